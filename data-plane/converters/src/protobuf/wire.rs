//! Protobuf's binary form: numbers of variable length, keys of fields, and the place in what is read; and the message indexes that
//! stand before it.

use dray_connect::{Error, Result};

/// A number of variable length.
pub(super) const VARINT: u32 = 0;
/// Eight bytes.
pub(super) const EIGHT: u32 = 1;
/// A length, and as many bytes.
pub(super) const LENGTH: u32 = 2;
/// The first and the last key of a group.
const GROUP: u32 = 3;
const GROUP_END: u32 = 4;
/// Four bytes.
pub(super) const FOUR: u32 = 5;

/// Groups within each other that are passed over.
const MAX_GROUPS: usize = 100;
/// Messages within each other in a .proto file, at most; what stands before a message cannot name more.
const MAX_INDEXES: usize = 100;

/// What is read, and how far.
#[derive(Clone, Copy)]
pub(super) struct Bytes<'a> {
    all: &'a [u8],
    pub(super) at: usize,
    pub(super) end: usize,
}

impl<'a> Bytes<'a> {
    /// The bytes of that range.
    #[inline(always)]
    pub(super) fn new(all: &'a [u8], at: usize, end: usize) -> Self {
        Self {
            all,
            at,
            end: end.min(all.len()),
        }
    }

    #[inline(always)]
    pub(super) fn is_done(&self) -> bool {
        self.at >= self.end
    }

    #[inline(always)]
    pub(super) fn varint(&mut self) -> Result<u64> {
        if self.at < self.end
            && let Some(first) = self.all.get(self.at)
            && *first < 0x80
        {
            self.at += 1;
            return Ok(u64::from(*first));
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Result<u64> {
        let rest = self.all.get(self.at..self.end).unwrap_or_default();
        let mut value = 0_u64;
        for (count, byte) in rest.iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * count);
            if *byte < 0x80 {
                self.at += count + 1;
                return Ok(value);
            }
        }
        if rest.len() < 10 {
            return Err(ended());
        }
        Err(Error::data("malformed data: a number of more than ten bytes"))
    }

    /// The key of the next field: its number and, in the last three bits, its wire type.
    #[inline(always)]
    pub(super) fn key(&mut self) -> Result<u32> {
        let key = self.varint()?;
        match u32::try_from(key) {
            Ok(key) if key >= 8 => Ok(key),
            _ => Err(Error::data(format!(
                "malformed data: there is no field number {}",
                key >> 3
            ))),
        }
    }

    /// The bytes that come next, by their place.
    #[inline(always)]
    pub(super) fn take(&mut self, count: usize) -> Result<(usize, usize)> {
        let start = self.at;
        match start.checked_add(count).filter(|end| *end <= self.end) {
            Some(end) => {
                self.at = end;
                Ok((start, end))
            }
            None => Err(ended()),
        }
    }

    /// The place of what stands behind its length.
    #[inline(always)]
    pub(super) fn block(&mut self) -> Result<(usize, usize)> {
        let length = self.varint()?;
        self.take(usize::try_from(length).map_err(|_| ended())?)
    }

    #[inline(always)]
    pub(super) fn slice(&self, (start, end): (usize, usize)) -> &'a [u8] {
        &self.all[start..end]
    }

    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let range = self.take(N)?;
        self.slice(range).try_into().map_err(|_| ended())
    }

    /// Passes over the value of a field that nobody knows.
    pub(super) fn skip(&mut self, key: u32) -> Result<()> {
        if key & 7 != GROUP {
            return self.skip_one(key);
        }
        let mut open = vec![key >> 3];
        while let Some(group) = open.last() {
            let key = self.key()?;
            match key & 7 {
                GROUP if open.len() >= MAX_GROUPS => {
                    return Err(Error::data(format!(
                        "malformed data: more than {MAX_GROUPS} groups within each other"
                    )));
                }
                GROUP => open.push(key >> 3),
                GROUP_END if key >> 3 == *group => drop(open.pop()),
                _ => self.skip_one(key)?,
            }
        }
        Ok(())
    }

    /// The same of anything but a group.
    pub(super) fn skip_one(&mut self, key: u32) -> Result<()> {
        match key & 7 {
            VARINT => drop(self.varint()?),
            EIGHT => drop(self.take(8)?),
            LENGTH => drop(self.block()?),
            FOUR => drop(self.take(4)?),
            GROUP_END => return Err(Error::data("malformed data: the end of a group that was not begun")),
            other => return Err(Error::data(format!("malformed data: there is no wire type {other}"))),
        }
        Ok(())
    }
}

#[inline(always)]
pub(super) fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[inline(always)]
pub(super) fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[cold]
pub(super) fn ended() -> Error {
    Error::data("malformed data: it ends before the message does")
}

#[inline(always)]
pub(super) fn varint(value: u64, out: &mut Vec<u8>) {
    if value < 0x80 {
        out.push(value as u8);
    } else {
        long_varint(value, out);
    }
}

/// At most ten bytes, which are appended at once.
#[inline(never)]
fn long_varint(value: u64, out: &mut Vec<u8>) {
    let (digits, count) = digits(value);
    out.extend_from_slice(digits.get(..count).unwrap_or_default());
}

#[inline(always)]
fn digits(mut value: u64) -> ([u8; 10], usize) {
    let mut digits = [0; 10];
    let mut count = 0;
    for digit in &mut digits {
        count += 1;
        if value < 0x80 {
            *digit = value as u8;
            break;
        }
        *digit = value as u8 | 0x80;
        value >>= 7;
    }
    (digits, count)
}

#[inline(always)]
pub(super) fn block(bytes: &[u8], out: &mut Vec<u8>) {
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends what is written, behind its length.
#[inline]
pub(super) fn measured(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
    let start = out.len();
    // One byte will do for most; what is longer moves.
    out.push(0);
    write(out)?;
    let length = out.len() - start - 1;
    if length < 0x80 {
        out[start] = length as u8;
        return Ok(());
    }
    let (digits, count) = digits(length as u64);
    let end = out.len();
    out.resize(end + count - 1, 0);
    out.copy_within(start + 1..end, start + count);
    out[start..start + count].copy_from_slice(&digits[..count]);
    Ok(())
}

/// The message indexes at the beginning of `bytes`: which message of the file, which one within that, and so on. And how many bytes they are.
pub(super) fn read_indexes(bytes: &[u8]) -> Result<(Vec<usize>, usize)> {
    let mut rest = Bytes::new(bytes, 0, bytes.len());
    let mut number = || -> Result<usize> {
        let value = rest.varint().map_err(|_| bad_indexes())?;
        usize::try_from(unzigzag(value)).map_err(|_| bad_indexes())
    };
    let count = number()?;
    if count > MAX_INDEXES {
        return Err(bad_indexes());
    }
    let mut indexes = Vec::new();
    for _ in 0..count {
        indexes.push(number()?);
    }
    // None are the first message.
    if indexes.is_empty() {
        indexes.push(0);
    }
    Ok((indexes, rest.at))
}

pub(super) fn write_indexes(indexes: &[usize]) -> Vec<u8> {
    let mut out = Vec::new();
    if *indexes == [0] {
        out.push(0);
        return out;
    }
    varint(zigzag(indexes.len() as i64), &mut out);
    for index in indexes {
        varint(zigzag(*index as i64), &mut out);
    }
    out
}

#[cold]
fn bad_indexes() -> Error {
    Error::data(
        "malformed data: behind the id of the schema no message indexes stand, which Protobuf has there: was it written as Avro or JSON?",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_there_and_back() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            varint(value, &mut out);
            assert_eq!(Bytes::new(&out, 0, out.len()).varint().unwrap(), value);
            let signed = value as i64;
            assert_eq!(unzigzag(zigzag(signed)), signed);
        }
        assert!(Bytes::new(&[0x80; 5], 0, 5).varint().is_err());
        assert!(Bytes::new(&[0xff; 11], 0, 11).varint().is_err());
        // What lies behind the end is not there.
        assert!(Bytes::new(&[0x80, 1], 0, 1).varint().is_err());
    }

    #[test]
    fn lengths_stand_before_what_they_measure() {
        for length in [0, 1, 127, 128, 20_000] {
            let mut out = b"x".to_vec();
            measured(&mut out, |out| {
                out.extend(std::iter::repeat_n(7, length));
                Ok(())
            })
            .unwrap();
            let mut bytes = Bytes::new(&out, 1, out.len());
            let range = bytes.block().unwrap();
            assert!(bytes.is_done());
            assert_eq!(bytes.slice(range), vec![7; length]);
        }
    }

    #[test]
    fn indexes() {
        for (indexes, bytes) in [
            (&[0][..], &[0][..]),
            (&[1], &[2, 2]),
            (&[0, 3], &[4, 0, 6]),
            (&[64], &[2, 0x80, 1]),
        ] {
            assert_eq!(write_indexes(indexes), bytes);
            assert_eq!(read_indexes(bytes).unwrap(), (indexes.to_vec(), bytes.len()));
        }
        assert_eq!(read_indexes(&[2, 0, 9]).unwrap(), (vec![0], 2));
        for bad in [&[][..], &[1], &[2], &[4, 0], &[0xfe, 0xff, 0xff, 0xff, 0x0f], &[2, 1]] {
            assert!(read_indexes(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn unknown_fields_are_passed_over() {
        // Number 2: a group with a text, and a group of number 3 within.
        let bytes = [0x13, 0x0a, 1, b'x', 0x1b, 0x08, 5, 0x1c, 0x14, 9];
        let mut rest = Bytes::new(&bytes, 0, bytes.len());
        let key = rest.key().unwrap();
        rest.skip(key).unwrap();
        assert_eq!(rest.at, 9);
        let open = [0x13; 200];
        let mut rest = Bytes::new(&open, 0, open.len());
        let key = rest.key().unwrap();
        assert!(rest.skip(key).unwrap_err().to_string().contains("within each other"));
        assert!(Bytes::new(&[], 0, 0).skip(0x14).is_err());
        assert!(Bytes::new(&[], 0, 0).skip(0x0e).is_err());
    }
}
