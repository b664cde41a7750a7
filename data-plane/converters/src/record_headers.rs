//! The headers of a record as converters of its key and value see them, in bytes: `Headers` in Kafka's words.

use std::ops::Range;

use crate::Written;

/// The headers of a record that is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadHeaders<'a> {
    bytes: &'a [u8],
    places: &'a [(Range<u32>, Option<Range<u32>>)],
}

impl<'a> ReadHeaders<'a> {
    /// Those whose names and values lie at these places of the bytes, in order; no place is a null value.
    #[inline]
    #[must_use]
    pub fn new(bytes: &'a [u8], places: &'a [(Range<u32>, Option<Range<u32>>)]) -> Self {
        Self { bytes, places }
    }

    /// The value of the last header of that name; none when there is no such header, or its value is null.
    #[inline]
    #[must_use]
    pub fn last(&self, name: &str) -> Option<&'a [u8]> {
        let slice = |place: &Range<u32>| &self.bytes[place.start as usize..place.end as usize];
        let mut from_behind = self.places.iter().rev();
        let (_, value) = from_behind.find(|(of, _)| slice(of) == name.as_bytes())?;
        value.as_ref().map(slice)
    }
}

/// The headers of records that are written, those of one record behind those of another.
#[derive(Debug, Default)]
pub struct WrittenHeaders<'a> {
    all: Vec<(&'a str, Written<'a>)>,
    /// Where those of the record that is being written begin.
    start: usize,
}

impl<'a> WrittenHeaders<'a> {
    /// What is added from now on is of the next record.
    #[inline]
    pub fn begin(&mut self) {
        self.start = self.all.len();
    }

    /// Adds a header to the record that is being written.
    #[inline]
    pub fn push(&mut self, name: &'a str, value: Written<'a>) {
        self.all.push((name, value));
    }

    /// Where the headers of the record that is being written are among all.
    #[inline]
    #[must_use]
    pub fn of_record(&self) -> Range<usize> {
        self.start..self.all.len()
    }

    /// Takes back those of the record that is being written.
    #[inline]
    pub fn take_back(&mut self) {
        self.all.truncate(self.start);
    }

    /// All headers in order.
    #[must_use]
    pub fn all(&self) -> &[(&'a str, Written<'a>)] {
        &self.all
    }

    /// Adds a header unless the last one of its name has that value already.
    pub(crate) fn ensure(&mut self, name: &'static str, value: &[u8], scratch: &mut Vec<u8>) {
        let mut from_behind = self.all[self.start..].iter().rev();
        let last = from_behind.find(|(of, _)| *of == name);
        if last.is_some_and(|(_, last)| last.bytes(scratch) == Some(value)) {
            return;
        }
        let start = scratch.len();
        scratch.extend_from_slice(value);
        self.push(name, Written::Scratch(start..scratch.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_header_of_a_name_counts() {
        let bytes = b"abxyb";
        let places = [(0..1, Some(2..3)), (1..2, Some(3..4)), (0..1, Some(3..4)), (4..5, None)];
        let headers = ReadHeaders::new(bytes, &places);
        assert_eq!(headers.last("a"), Some(&b"y"[..]));
        // As in Java: null, whatever came before.
        assert_eq!(headers.last("b"), None);
        assert_eq!(headers.last("c"), None);
        assert_eq!(ReadHeaders::default().last("a"), None);
    }

    #[test]
    fn a_header_is_added_once() {
        let mut headers = WrittenHeaders::default();
        let mut scratch = Vec::new();
        headers.ensure("id", b"1", &mut scratch);
        headers.begin();
        headers.push("id", Written::Same(b"1"));
        headers.ensure("id", b"1", &mut scratch);
        assert_eq!(headers.of_record(), 1..2);
        headers.ensure("id", b"2", &mut scratch);
        headers.ensure("id", b"2", &mut scratch);
        let values: Vec<_> = headers.all().iter().map(|(_, value)| value.bytes(&scratch)).collect();
        assert_eq!(values, [Some(&b"1"[..]), Some(b"1"), Some(b"2")]);
        headers.take_back();
        assert_eq!(headers.all().len(), 1);
    }
}
