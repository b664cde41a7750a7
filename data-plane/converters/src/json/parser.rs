//! Parses JSON as Jackson does with Connect's settings: what follows the first value is ignored, the same name twice is
//! allowed. What becomes of the values is up to a [`Sink`].

use std::collections::HashMap;
use std::ops::Range;

use dray_connect::backing::BatchNumber;

use super::node::Number;
use super::outline::{Outline, Place};
use super::scan::{Result, Scanner, Text, after_blanks, plain_end, short_number, short_word};

/// Arrays and objects within each other; Jackson's limit.
const MAX_DEPTH: usize = 1000;
/// Up to so many names are compared with each other, more are hashed.
const FEW: usize = 32;

/// Takes the values of a text, children first.
pub(crate) trait Sink {
    /// A handle of a value.
    type Node: Copy;
    fn null(&mut self) -> Self::Node;
    fn boolean(&mut self, value: bool) -> Self::Node;
    fn number(&mut self, number: Number<'_>) -> Self::Node;
    fn string(&mut self, text: Text<'_>) -> Self::Node;
    fn array(&mut self, elements: &[Self::Node]) -> Self::Node;
    /// Names and values by turns, each name once.
    fn object(&mut self, members: &[Self::Node]) -> Self::Node;
    /// The schema that was known before, not parsed again; only a member of an envelope is one.
    fn known_schema(&mut self) -> Self::Node;
    /// The batch in which a handle of a name may stand for the same name of other texts; none where it may not.
    fn batch(&self) -> Option<BatchNumber> {
        None
    }
    /// The text of a string of `input`.
    fn bytes<'s>(&'s self, string: Self::Node, input: &'s [u8]) -> &'s [u8];
}

/// A parsed document, whose value is in its [`Scratch`].
pub(crate) struct Document {
    /// Where the value of the root's last member `schema` stands, unless it is the known one.
    pub(crate) schema: Option<Range<usize>>,
}

/// What is open while a text is parsed, and its value afterwards; kept for the next text, so that parsing does not allocate.
#[derive(Debug)]
pub(crate) struct Scratch<N> {
    nodes: Vec<N>,
    open: Vec<Open>,
    outline: Outline,
    /// The first names of the outline, as a text of this batch had them: all texts of a batch share them, so that who looks for a name
    /// need not read it again and again.
    names: Vec<N>,
    batch: Option<BatchNumber>,
}

impl<N: Copy> Scratch<N> {
    /// The value of the text that was parsed last, if there was any in it.
    #[inline]
    pub(crate) fn root(&self) -> Option<N> {
        self.nodes.last().copied()
    }
}

impl<N> Default for Scratch<N> {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            open: Vec::new(),
            outline: Outline::default(),
            names: Vec::new(),
            batch: None,
        }
    }
}

/// An array or object whose end was not seen yet.
#[derive(Debug)]
struct Open {
    is_object: bool,
    /// Its first part, in the list of nodes.
    start: usize,
    /// One bit for each name, by a hash: a name whose bit is not set is a new one.
    seen: u128,
    /// Whether a name came twice, or may have.
    repeated: bool,
}

/// Parses the first value of `input`. Where the root has a member `schema` that starts with the bytes `known`, which are
/// an object, that object is not parsed again.
pub(crate) fn parse<S: Sink>(
    input: &[u8],
    known: Option<&[u8]>,
    sink: &mut S,
    scratch: &mut Scratch<S::Node>,
) -> Result<Document> {
    let mut parser = Parser::new(input, 0, known, sink, scratch);
    parser.scanner.skip_blanks();
    if parser.scanner.at == input.len() {
        return Ok(Document { schema: None });
    }
    let starts_number = matches!(parser.scanner.peek(), Some(b'-' | b'0'..=b'9'));
    parser.value()?;
    if starts_number && !matches!(parser.scanner.peek(), None | Some(b' ' | b'\t' | b'\r' | b'\n')) {
        return Err(parser.scanner.syntax("expected a blank after a number at the root"));
    }
    Ok(Document { schema: parser.schema })
}

/// Parses the value that starts there, which is a part of what somebody else reads; says where it ends, too.
pub(crate) fn parse_part<S: Sink>(
    input: &[u8],
    at: usize,
    sink: &mut S,
    scratch: &mut Scratch<S::Node>,
) -> Result<(S::Node, usize)> {
    let mut parser = Parser::new(input, at, None, sink, scratch);
    parser.value()?;
    let end = parser.scanner.at;
    Ok((scratch.root().unwrap_or_else(|| sink.null()), end))
}

struct Parser<'a, 'p, S: Sink> {
    scanner: Scanner<'a>,
    sink: &'p mut S,
    nodes: &'p mut Vec<S::Node>,
    open: &'p mut Vec<Open>,
    outline: &'p mut Outline,
    names: &'p mut Vec<S::Node>,
    known: Option<&'p [u8]>,
    /// Set while the root's member `schema` is read.
    schema_start: Option<usize>,
    schema: Option<Range<usize>>,
}

impl<'a, 'p, S: Sink> Parser<'a, 'p, S> {
    fn new(
        input: &'a [u8],
        at: usize,
        known: Option<&'p [u8]>,
        sink: &'p mut S,
        scratch: &'p mut Scratch<S::Node>,
    ) -> Self {
        scratch.nodes.clear();
        scratch.open.clear();
        scratch.outline.rewind();
        let batch = sink.batch();
        if batch.is_none() || batch != scratch.batch {
            scratch.names.clear();
            scratch.batch = batch;
        }
        Self {
            scanner: Scanner::new(input, at),
            sink,
            nodes: &mut scratch.nodes,
            open: &mut scratch.open,
            outline: &mut scratch.outline,
            names: &mut scratch.names,
            known,
            schema_start: None,
            schema: None,
        }
    }

    /// A value with all that is inside; it is the last of the nodes then. What is open is kept in a list and not on the stack of the
    /// thread, which a message of brackets could fill.
    ///
    /// A node is made where it stays: it is written in pieces, and to move it at once would wait for them.
    ///
    /// The place in the input is a local variable here; the scanner is told where tokens that are not plain are left to it.
    fn value(&mut self) -> Result<()> {
        let input = self.scanner.input;
        let mut at = self.scanner.at;
        'value: loop {
            match input.get(at) {
                Some(b'"') => {
                    if let Some(end) = plain_end(input, at + 1) {
                        let text = Text::Plain(at + 1..end);
                        at = end + 1;
                        self.nodes.push(self.sink.string(text));
                    } else {
                        self.scanner.at = at;
                        self.nodes.push(self.sink.string(self.scanner.text()?));
                        at = self.scanner.at;
                    }
                }
                Some(b'-' | b'0'..=b'9') => {
                    if let Some((number, end)) = short_number(input, at) {
                        at = end;
                        self.nodes.push(self.sink.number(number));
                    } else {
                        self.scanner.at = at;
                        self.nodes.push(self.sink.number(self.scanner.number()?));
                        at = self.scanner.at;
                    }
                }
                Some(bracket @ (b'{' | b'[')) => {
                    self.scanner.at = at;
                    if *bracket == b'{' && self.at_known_schema() {
                        at = self.scanner.at;
                        self.nodes.push(self.sink.known_schema());
                    } else if self.opened(*bracket)? {
                        at = self.scanner.at;
                        continue 'value;
                    } else {
                        at = self.scanner.at;
                        self.nodes.push(if *bracket == b'{' {
                            self.sink.object(&[])
                        } else {
                            self.sink.array(&[])
                        });
                    }
                }
                Some(b' ' | b'\t' | b'\r' | b'\n') => {
                    at = after_blanks(input, at);
                    continue 'value;
                }
                _ => {
                    if let Some((word, end)) = short_word(input, at) {
                        at = end;
                        self.nodes.push(match word {
                            Some(word) => self.sink.boolean(word),
                            None => self.sink.null(),
                        });
                    } else {
                        self.scanner.at = at;
                        let node = self.word()?;
                        self.nodes.push(node);
                        at = self.scanner.at;
                    }
                }
            }
            // The value is whole: it goes into what is open, which may thereby be whole as well.
            loop {
                let Some(outer) = self.open.last() else {
                    self.scanner.at = at;
                    return Ok(());
                };
                let is_object = outer.is_object;
                if let Some(start) = self.schema_start
                    && self.open.len() == 1
                {
                    self.schema_ends(start, at);
                }
                // Most texts have no blanks, and the names of the text before.
                if is_object
                    && input.get(at) == Some(&b',')
                    && let Some(value) = self.expected_name(at + 1)
                {
                    at = value;
                    continue 'value;
                }
                at = after_blanks(input, at);
                match (input.get(at), is_object) {
                    (Some(b','), true) => {
                        at = self.name(after_blanks(input, at + 1))?;
                        continue 'value;
                    }
                    (Some(b','), false) => {
                        at = after_blanks(input, at + 1);
                        continue 'value;
                    }
                    (Some(b'}'), true) | (Some(b']'), false) => {
                        at += 1;
                        self.closed();
                    }
                    (_, _) => {
                        self.scanner.at = at;
                        let wanted = if is_object { "',' or '}'" } else { "',' or ']'" };
                        return Err(self.scanner.unexpected(wanted));
                    }
                }
            }
        }
    }

    fn word(&mut self) -> Result<S::Node> {
        match self.scanner.peek() {
            Some(b't') => {
                self.scanner.literal("true")?;
                Ok(self.sink.boolean(true))
            }
            Some(b'f') => {
                self.scanner.literal("false")?;
                Ok(self.sink.boolean(false))
            }
            Some(b'n') => {
                self.scanner.literal("null")?;
                Ok(self.sink.null())
            }
            Some(_) | None => Err(self.scanner.unexpected("a value")),
        }
    }

    /// The value of the root's member `schema` ends here.
    #[cold]
    fn schema_ends(&mut self, start: usize, end: usize) {
        self.schema_start = None;
        let is_known = self.known.is_some() && self.known == self.scanner.input.get(start..end);
        self.schema = (!is_known).then_some(start..end);
    }

    /// Steps over an opening bracket and up to the first value; false when nothing is inside.
    fn opened(&mut self, bracket: u8) -> Result<bool> {
        let depth = self.open.len() + 1;
        if depth > MAX_DEPTH {
            let text = format!("document nesting depth ({depth}) exceeds the maximum allowed ({MAX_DEPTH})");
            return Err(self.scanner.syntax(text));
        }
        self.scanner.at += 1;
        self.scanner.skip_blanks();
        if self.scanner.peek() == Some(bracket + 2) {
            self.scanner.at += 1;
            return Ok(false);
        }
        self.open.push(Open {
            is_object: bracket == b'{',
            start: self.nodes.len(),
            seen: 0,
            repeated: false,
        });
        if bracket == b'{' {
            self.scanner.at = self.name(self.scanner.at)?;
        }
        Ok(true)
    }

    /// The member's name that starts there; returns where its value starts, or the blanks before it.
    #[inline(always)]
    fn name(&mut self, at: usize) -> Result<usize> {
        match self.expected_name(at) {
            Some(value) => Ok(value),
            None => self.new_name(at),
        }
    }

    /// The name that the text before had at this place.
    #[inline(always)]
    fn expected_name(&mut self, at: usize) -> Option<usize> {
        let input = self.scanner.input;
        let depth = self.open.len();
        let outer = self.open.last_mut()?;
        let parts = self.nodes.len() - outer.start;
        let name = self.outline.expect(input, at, Place { depth, parts })?;
        outer.seen |= name.seen;
        let end = at + name.len;
        let node = match self.names.get(name.number) {
            Some(node) => *node,
            None => {
                let node = self.sink.string(Text::Plain(at + 1..end - 2));
                // Names are expected one after the other.
                self.names.push(node);
                node
            }
        };
        self.nodes.push(node);
        if name.is_schema {
            self.schema_start = Some(after_blanks(input, end));
        }
        Some(end)
    }

    #[inline(never)]
    fn new_name(&mut self, at: usize) -> Result<usize> {
        let input = self.scanner.input;
        if input.get(at) == Some(&b'"')
            && let Some(end) = plain_end(input, at + 1)
        {
            let colon = after_blanks(input, end + 1);
            if input.get(colon) == Some(&b':') {
                let value = after_blanks(input, colon + 1);
                self.named(Text::Plain(at + 1..end), value);
                return Ok(value);
            }
        }
        self.rare_name(at)
    }

    /// A name that is not plain, or not followed by a colon.
    #[inline(never)]
    fn rare_name(&mut self, at: usize) -> Result<usize> {
        self.scanner.at = at;
        // Copied out of the scanner, which goes on to the colon.
        let name = match self.scanner.name()? {
            Text::Plain(range) => Ok(range),
            Text::Unescaped(text) => Err(text.to_owned()),
        };
        self.scanner.colon()?;
        let value = self.scanner.at;
        match &name {
            Ok(range) => self.named(Text::Plain(range.clone()), value),
            Err(text) => self.named(Text::Unescaped(text), value),
        }
        Ok(value)
    }

    fn named(&mut self, text: Text<'_>, value: usize) {
        let input = self.scanner.input;
        let name = text.bytes(input);
        let depth = self.open.len();
        let is_schema = depth == 1 && name == b"schema";
        if is_schema {
            self.schema_start = Some(value);
        }
        if let Some(outer) = self.open.last_mut() {
            let seen = 1_u128 << hash(name);
            // Only a name whose bit is set may have come before.
            if outer.seen & seen != 0 && !outer.repeated {
                let (members, _) = self.nodes.get(outer.start..).unwrap_or_default().as_chunks::<2>();
                let mut before = members.iter().map(|[name, _]| self.sink.bytes(*name, input));
                outer.repeated = members.len() > FEW || before.any(|before| before == name);
            }
            outer.seen |= seen;
            let quoted = match &text {
                Text::Plain(range) if !outer.repeated => input.get(range.start - 1..range.end + 2),
                Text::Plain(_) | Text::Unescaped(_) => None,
            };
            let parts = self.nodes.len() - outer.start;
            let quoted = quoted.filter(|quoted| quoted.ends_with(b"\":"));
            let kept = self.outline.learn(quoted, Place { depth, parts }, seen, is_schema);
            self.names.truncate(kept);
        }
        self.nodes.push(self.sink.string(text));
    }

    /// A closing bracket was found: the array or object is whole, and stands for its parts.
    #[inline]
    fn closed(&mut self) {
        let Some(whole) = self.open.pop() else { return };
        if whole.repeated {
            self.keep_last_of_each_name(whole.start);
        }
        let parts = self.nodes.get(whole.start..).unwrap_or_default();
        let node = if whole.is_object {
            self.sink.object(parts)
        } else {
            self.sink.array(parts)
        };
        self.nodes.truncate(whole.start);
        self.nodes.push(node);
    }

    /// Of members with the same name the last value wins and keeps the place of the first.
    #[cold]
    fn keep_last_of_each_name(&mut self, start: usize) {
        let mut unique: Vec<[S::Node; 2]> = Vec::new();
        let mut places: HashMap<&[u8], usize> = HashMap::new();
        let (members, _) = self.nodes.get(start..).unwrap_or_default().as_chunks::<2>();
        for member @ [name, value] in members {
            let name = self.sink.bytes(*name, self.scanner.input);
            let place = *places.entry(name).or_insert(unique.len());
            match unique.get_mut(place) {
                Some([_, slot]) => *slot = *value,
                None => unique.push(*member),
            }
        }
        self.nodes.truncate(start);
        self.nodes.extend(unique.into_iter().flatten());
    }

    /// Steps over the known schema where it starts here. An object ends with its bracket, so equal bytes are an equal
    /// object whatever follows.
    fn at_known_schema(&mut self) -> bool {
        let here = self.open.len() == 1 && self.schema_start == Some(self.scanner.at);
        here && self.known.is_some_and(|known| self.scanner.eat(known))
    }
}

/// A number below 128 that differs for most names of an object.
fn hash(name: &[u8]) -> u32 {
    let byte = |place: usize| u32::from(name.get(place).copied().unwrap_or(0));
    let last = name.len().wrapping_sub(1);
    let mixed = byte(0) | byte(name.len() / 2) << 8 | byte(last) << 16 | (name.len() as u32) << 24;
    mixed.wrapping_mul(0x9E37_79B1) >> 25
}
