//! Parses JSON as Jackson does with Connect's settings: leading zeros are allowed, what follows the first value is
//! ignored, the same name twice is allowed.
//!
//! Jackson's limits hold as well. They keep a small message from costing much.

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

/// An array or object whose end was not seen yet.
enum Open<'a> {
    Array(Vec<Node<'a>>),
    /// With the name of the member whose value comes next.
    Object(Vec<(Cow<'a, str>, Node<'a>)>, Cow<'a, str>),
}

/// An array or object that was given a value.
enum Put<'a> {
    Goes(Open<'a>),
    Whole(Node<'a>),
}

struct Parser<'a, 'k> {
    input: &'a [u8],
    at: usize,
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

    /// A value with all that is inside. What is open is kept in a list and not on the stack of the thread, which a message
    /// of brackets could fill.
    fn value(&mut self) -> Result<Node<'a>> {
        let mut open: Vec<Open<'a>> = Vec::new();
        let mut schema_start = None;
        'value: loop {
            if let [Open::Object(_, name)] = open.as_slice()
                && name == "schema"
            {
                schema_start = Some(self.at);
            }
            let mut node = if self.at_known_schema(schema_start) {
                Node::KnownSchema
            } else if let Some(bracket @ (b'{' | b'[')) = self.peek() {
                match self.opened(bracket, open.len())? {
                    Some(inner) => {
                        open.push(inner);
                        continue 'value;
                    }
                    None if bracket == b'{' => Node::Object(Vec::new()),
                    None => Node::Array(Vec::new()),
                }
            } else {
                self.scalar()?
            };
            // The value is whole: it goes into what is open, which may thereby be whole as well.
            loop {
                if open.len() == 1
                    && let Some(start) = schema_start.take()
                {
                    self.schema = (!matches!(node, Node::KnownSchema)).then_some(start..self.at);
                }
                let Some(outer) = open.pop() else { return Ok(node) };
                self.skip_blanks();
                match self.put(outer, node)? {
                    Put::Goes(outer) => {
                        open.push(outer);
                        continue 'value;
                    }
                    Put::Whole(outer) => node = outer,
                }
            }
        }
    }

    /// Steps over an opening bracket and up to the first value; none when nothing is inside.
    fn opened(&mut self, bracket: u8, depth: usize) -> Result<Option<Open<'a>>> {
        if depth >= MAX_DEPTH {
            let text = format!(
                "document nesting depth ({}) exceeds the maximum allowed ({MAX_DEPTH})",
                depth + 1
            );
            return Err(self.syntax(text));
        }
        self.at += 1;
        self.skip_blanks();
        if self.peek() == Some(bracket + 2) {
            self.at += 1;
            return Ok(None);
        }
        Ok(Some(if bracket == b'{' {
            Open::Object(Vec::new(), self.name()?)
        } else {
            Open::Array(Vec::new())
        }))
    }

    /// Adds a value to an array or object, and steps over the comma or the bracket behind it.
    fn put(&mut self, outer: Open<'a>, node: Node<'a>) -> Result<Put<'a>> {
        match (outer, self.peek()) {
            (Open::Array(mut elements), Some(end @ (b',' | b']'))) => {
                elements.push(node);
                self.at += 1;
                if end == b']' {
                    return Ok(Put::Whole(Node::Array(elements)));
                }
                self.skip_blanks();
                Ok(Put::Goes(Open::Array(elements)))
            }
            (Open::Object(mut members, name), Some(end @ (b',' | b'}'))) => {
                members.push((name, node));
                self.at += 1;
                if end == b'}' {
                    return Ok(Put::Whole(Node::object(members)));
                }
                self.skip_blanks();
                let next = self.name()?;
                Ok(Put::Goes(Open::Object(members, next)))
            }
            (Open::Array(_), _) => Err(self.unexpected("',' or ']'")),
            (Open::Object(_, _), _) => Err(self.unexpected("',' or '}'")),
        }
    }

    /// A member's name, up to the start of its value.
    fn name(&mut self) -> Result<Cow<'a, str>> {
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
        Ok(name)
    }

    fn scalar(&mut self) -> Result<Node<'a>> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                Ok(Node::String(self.string(MAX_STRING)?))
            }
            Some(b'-' | b'0'..=b'9') => Ok(Node::Number(self.number()?)),
            Some(b't') => self.literal("true", Node::Boolean(true)),
            Some(b'f') => self.literal("false", Node::Boolean(false)),
            Some(b'n') => self.literal("null", Node::Null),
            Some(_) | None => Err(self.unexpected("a value")),
        }
    }

    /// Steps over the known schema where it starts here. An object ends with its bracket, so equal bytes are an equal
    /// object whatever follows.
    fn at_known_schema(&mut self, schema_start: Option<usize>) -> bool {
        let Some(known) = self
            .known
            .filter(|known| schema_start == Some(self.at) && self.rest().starts_with(known))
        else {
            return false;
        };
        self.at += known.len();
        true
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
