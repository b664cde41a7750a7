//! Cuts text into tokens for the parser, in the ways and with the oddities of Connect's `Values.Parser`.

/// A position in the text that [`Tokens::rewind`] returns to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark(usize);

/// The tokens of a text. Each of `: , { } [ ] "` is one unless a backslash escapes it; everything between them is one.
#[derive(Debug)]
pub(super) struct Tokens<'a> {
    original: &'a str,
    /// Where reading goes on, in bytes; after `peeked` where that is set.
    at: usize,
    peeked: Option<&'a str>,
}

/// Whether Java's `trim` leaves nothing.
pub(super) fn is_blank(text: &str) -> bool {
    trim(text).is_empty()
}

/// Java's `String.trim`.
pub(super) fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

impl<'a> Tokens<'a> {
    pub(super) fn new(original: &'a str) -> Self {
        Self {
            original,
            at: 0,
            peeked: None,
        }
    }

    /// The whole text.
    pub(super) fn original(&self) -> &'a str {
        self.original
    }

    /// How far the text was read.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Where the next token starts. White space that a failed `consume` skipped is behind it.
    pub(super) fn mark(&self) -> Mark {
        Mark(self.at - self.peeked.map_or(0, str::len))
    }

    /// Reads again from there.
    pub(super) fn rewind(&mut self, mark: Mark) {
        self.at = mark.0;
        self.peeked = None;
    }

    /// Whether a token is left.
    pub(super) fn has_next(&self) -> bool {
        self.peeked.is_some() || self.has_more_text()
    }

    fn has_more_text(&self) -> bool {
        self.at < self.original.len()
    }

    /// The next token as it stands; empty at the end of the text.
    pub(super) fn next(&mut self) -> &'a str {
        match self.peeked.take() {
            Some(token) => token,
            None => self.read(),
        }
    }

    /// The raw text of the next `count` tokens; none, and nothing read, when there are fewer.
    pub(super) fn next_joined(&mut self, count: usize) -> Option<&'a str> {
        let start = self.mark();
        for _ in 0..count {
            if !self.has_next() {
                self.rewind(start);
                return None;
            }
            self.next();
        }
        self.original.get(start.0..self.at)
    }

    /// Takes the next token if it is `expected`, white space around it aside. Blank tokens before it are skipped for good
    /// even when it is not.
    pub(super) fn consume(&mut self, expected: &str) -> bool {
        if !self.has_next() {
            return false;
        }
        let mut token = match self.peeked {
            Some(token) => token,
            None => self.read(),
        };
        while is_blank(token) && self.has_more_text() {
            token = self.read();
        }
        let found = trim(token) == expected;
        self.peeked = if found { None } else { Some(token) };
        found
    }

    fn read(&mut self) -> &'a str {
        let rest = self.original.get(self.at..).unwrap_or_default();
        let mut escaped = false;
        let mut end = rest.len();
        for (i, byte) in rest.bytes().enumerate() {
            let is_delimiter = matches!(byte, b':' | b',' | b'{' | b'}' | b'[' | b']' | b'"');
            if is_delimiter && !escaped {
                end = i.max(1);
                break;
            }
            escaped = byte == b'\\' && !escaped;
        }
        self.at += end;
        rest.get(..end).unwrap_or_default()
    }
}
