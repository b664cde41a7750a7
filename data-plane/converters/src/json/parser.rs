//! Parses JSON as Jackson does with Connect's settings: leading zeros are allowed, what follows the first value is
//! ignored, the same name twice is allowed.
//!
//! Jackson's limits hold as well. They keep a small message from costing much: nesting is recursion here as there.

use std::borrow::Cow;
use std::ops::Range;

use super::node::{Node, Number};

/// Arrays and objects within each other.
const MAX_DEPTH: usize = 1000;
/// Digits of a number.
const MAX_DIGITS: usize = 1000;
/// Characters of a string; counted in bytes here, in UTF-16 units by Jackson.
const MAX_STRING: usize = 20_000_000;
/// Characters of a member's name.
const MAX_NAME: usize = 50_000;

/// What is wrong with a JSON text, and where.
#[derive(Debug, thiserror::Error)]
#[error("{problem} at byte {offset}")]
pub(super) struct Syntax {
    problem: String,
    offset: usize,
}

type Result<T> = std::result::Result<T, Syntax>;

/// A parsed document.
pub(super) struct Document<'a> {
    pub(super) root: Node<'a>,
    /// Where the value of the root's last member `schema` stands, unless it is the known one.
    pub(super) schema: Option<Range<usize>>,
}

/// Parses the first value of `input`. Where the root has a member `schema` that starts with the bytes `known`, which are
/// an object, that object is not parsed again.
pub(super) fn parse<'a>(input: &'a [u8], known: Option<&[u8]>) -> Result<Document<'a>> {
    let mut parser = Parser {
        input,
        at: 0,
        depth: 0,
        known,
        schema: None,
    };
    parser.skip_blanks();
    if parser.at == input.len() {
        return Ok(Document {
            root: Node::Missing,
            schema: None,
        });
    }
    let root = parser.value()?;
    if matches!(root, Node::Number(_)) && !matches!(parser.peek(), None | Some(b' ' | b'\t' | b'\r' | b'\n')) {
        return Err(parser.syntax("expected a blank after a number at the root"));
    }
    Ok(Document {
        root,
        schema: parser.schema,
    })
}

struct Parser<'a, 'k> {
    input: &'a [u8],
    at: usize,
    depth: usize,
    known: Option<&'k [u8]>,
    schema: Option<Range<usize>>,
}

impl<'a> Parser<'a, '_> {
    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    fn syntax(&self, problem: impl Into<String>) -> Syntax {
        Syntax {
            problem: problem.into(),
            offset: self.at,
        }
    }

    fn unexpected(&self, wanted: &str) -> Syntax {
        match self.peek() {
            Some(byte) => self.syntax(format!("expected {wanted}, found '{}'", byte.escape_ascii())),
            None => self.syntax(format!("expected {wanted}, found the end of the input")),
        }
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Node<'a>> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                Ok(Node::String(self.string(MAX_STRING)?))
            }
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => Ok(Node::Number(self.number()?)),
            Some(b't') => self.literal("true", Node::Boolean(true)),
            Some(b'f') => self.literal("false", Node::Boolean(false)),
            Some(b'n') => self.literal("null", Node::Null),
            Some(_) | None => Err(self.unexpected("a value")),
        }
    }

    /// Steps over the bracket, counts the level, and parses what is inside.
    fn nested(&mut self, inside: fn(&mut Self) -> Result<Node<'a>>) -> Result<Node<'a>> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            let text = format!(
                "document nesting depth ({}) exceeds the maximum allowed ({MAX_DEPTH})",
                self.depth
            );
            return Err(self.syntax(text));
        }
        self.at += 1;
        let node = inside(self)?;
        self.depth -= 1;
        Ok(node)
    }

    fn array(&mut self) -> Result<Node<'a>> {
        let mut elements = Vec::new();
        self.skip_blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Node::Array(elements));
        }
        loop {
            self.skip_blanks();
            elements.push(self.value()?);
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Node::Array(elements));
                }
                Some(_) | None => return Err(self.unexpected("',' or ']'")),
            }
        }
    }

    fn object(&mut self) -> Result<Node<'a>> {
        let mut members = Vec::new();
        self.skip_blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Node::Object(members));
        }
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'"') {
                return Err(self.unexpected("a member's name in quotes"));
            }
            self.at += 1;
            let name = self.string(MAX_NAME)?;
            self.skip_blanks();
            if self.peek() != Some(b':') {
                return Err(self.unexpected("':'"));
            }
            self.at += 1;
            self.skip_blanks();
            let node = if self.depth == 1 && name == "schema" {
                self.schema()?
            } else {
                self.value()?
            };
            members.push((name, node));
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Node::object(members));
                }
                Some(_) | None => return Err(self.unexpected("',' or '}'")),
            }
        }
    }

    /// The member `schema` of the root. An object ends with its bracket, so equal bytes are an equal object whatever follows.
    fn schema(&mut self) -> Result<Node<'a>> {
        if let Some(known) = self.known.filter(|known| self.rest().starts_with(known)) {
            self.at += known.len();
            self.schema = None;
            return Ok(Node::KnownSchema);
        }
        let start = self.at;
        let node = self.value()?;
        self.schema = Some(start..self.at);
        Ok(node)
    }

    fn literal(&mut self, word: &str, node: Node<'a>) -> Result<Node<'a>> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.unexpected(&format!("a value such as {word}")));
        }
        self.at += word.len();
        // A word must not go on: `nullx` is none.
        match self.peek() {
            Some(b'_' | b'$' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | 0x7f..) => {
                Err(self.unexpected("a word's end"))
            }
            Some(_) | None => Ok(node),
        }
    }

    /// Steps over digits and says how many there were.
    fn digits(&mut self) -> usize {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Number<'a>> {
        let negative = self.peek() == Some(b'-');
        self.at += usize::from(negative);
        let mut start = self.at;
        let mut count = self.digits();
        if count == 0 {
            return Err(self.unexpected("a digit"));
        }
        let zeros = self
            .input
            .get(start..self.at)
            .unwrap_or_default()
            .iter()
            .take_while(|byte| **byte == b'0')
            .count();
        let leading = zeros.min(count - 1);
        start += leading;
        count -= leading;
        let mut integral = true;
        if self.peek() == Some(b'.') {
            integral = false;
            self.at += 1;
            let fraction = self.digits();
            if fraction == 0 {
                return Err(self.unexpected("a digit after the decimal point"));
            }
            count += fraction;
        }
        if let Some(b'e' | b'E') = self.peek() {
            integral = false;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            let exponent = self.digits();
            if exponent == 0 {
                return Err(self.unexpected("a digit of the exponent"));
            }
            count += exponent;
        }
        if count > MAX_DIGITS {
            return Err(self.syntax(format!(
                "number value length ({count}) exceeds the maximum allowed ({MAX_DIGITS})"
            )));
        }
        let bytes = self.input.get(start..self.at).unwrap_or_default();
        let text = std::str::from_utf8(bytes).unwrap_or_default();
        let number = Number {
            negative,
            text,
            integral,
        };
        if !integral && number.scale().is_none() {
            return Err(self.syntax("the exponent of a number is out of range"));
        }
        Ok(number)
    }

    /// The rest of a string after its first quote.
    fn string(&mut self, limit: usize) -> Result<Cow<'a, str>> {
        let start = self.at;
        let plain = self.plain()?;
        let text = if self.peek() == Some(b'"') {
            self.at += 1;
            Cow::Borrowed(plain)
        } else {
            self.escaped(plain)?.into()
        };
        // Bytes are at least as many as Jackson's units; only a text past the limit is counted exactly.
        if text.len() > limit && text.encode_utf16().count() > limit {
            self.at = start;
            return Err(self.syntax(format!("string value length exceeds the maximum allowed ({limit})")));
        }
        Ok(text)
    }

    /// The text up to the next quote or backslash.
    fn plain(&mut self) -> Result<&'a str> {
        let rest = self.rest();
        let length = rest
            .iter()
            .position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f))
            .unwrap_or(rest.len());
        let run = rest.get(..length).unwrap_or_default();
        let text = std::str::from_utf8(run).map_err(|cause| Syntax {
            problem: "malformed UTF-8".to_owned(),
            offset: self.at + cause.valid_up_to(),
        })?;
        self.at += length;
        match self.peek() {
            Some(b'"' | b'\\') => Ok(text),
            Some(_) | None => Err(self.unexpected("the end of a string")),
        }
    }

    fn escaped(&mut self, plain: &str) -> Result<String> {
        let mut text = plain.to_owned();
        loop {
            let escape = self.peek() == Some(b'\\');
            self.at += 1;
            if !escape {
                return Ok(text);
            }
            let c = match self.peek() {
                Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
                Some(b'b') => '\u{8}',
                Some(b't') => '\t',
                Some(b'n') => '\n',
                Some(b'f') => '\u{c}',
                Some(b'r') => '\r',
                Some(b'u') => self.unicode()?,
                Some(_) | None => return Err(self.unexpected("an escape")),
            };
            self.at += 1;
            text.push(c);
            text.push_str(self.plain()?);
        }
    }

    /// The character of `uXXXX`, or of two of them that are a pair; stands at the last digit after it. Half a pair, which
    /// Rust's text cannot hold, becomes U+FFFD.
    fn unicode(&mut self) -> Result<char> {
        let first = self.hex()?;
        if (0xd800..0xdc00).contains(&first) && self.input.get(self.at + 1..self.at + 3) == Some(b"\\u") {
            let before = self.at;
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// Four hexadecimal digits after the `u` we stand at; stands at the last one after it.
    fn hex(&mut self) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            self.at += 1;
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or_else(|| self.unexpected("a hexadecimal digit"))?;
        }
        Ok(code)
    }
}
