//! Avro's binary form: numbers of variable length, and the place in what is read.

use dray_connect::{Error, Result};

/// What is read, and how far.
pub(super) struct Bytes<'a> {
    all: &'a [u8],
    pub(super) at: usize,
    /// Elements that take no byte are still to be had: a few bytes may claim any number of them.
    pub(super) empties: usize,
}

/// Elements without a byte that one message may have.
const MAX_EMPTIES: usize = 100_000;

impl<'a> Bytes<'a> {
    pub(super) fn new(all: &'a [u8], at: usize) -> Self {
        Self {
            all,
            at,
            empties: MAX_EMPTIES,
        }
    }

    #[inline(always)]
    fn byte(&mut self) -> Result<u8> {
        match self.all.get(self.at) {
            Some(byte) => {
                self.at += 1;
                Ok(*byte)
            }
            None => Err(ended()),
        }
    }

    /// The bytes that come next, by their place.
    #[inline(always)]
    pub(super) fn take(&mut self, count: usize) -> Result<(usize, usize)> {
        let start = self.at;
        match start.checked_add(count).filter(|end| *end <= self.all.len()) {
            Some(end) => {
                self.at = end;
                Ok((start, end))
            }
            None => Err(ended()),
        }
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

    #[inline(always)]
    pub(super) fn boolean(&mut self) -> Result<bool> {
        Ok(self.byte()? == 1)
    }

    #[inline(always)]
    pub(super) fn int(&mut self) -> Result<i32> {
        let long = self.long()?;
        i32::try_from(long).map_err(|_| Error::data("Invalid int encoding"))
    }

    #[inline(always)]
    pub(super) fn long(&mut self) -> Result<i64> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(unzigzag(u64::from(first)));
        }
        self.long_rest(first)
    }

    fn long_rest(&mut self, first: u8) -> Result<i64> {
        let mut value = u64::from(first & 0x7f);
        for shift in (7..70).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte < 0x80 {
                return Ok(unzigzag(value));
            }
        }
        Err(Error::data("Invalid long encoding"))
    }

    /// The length of a text or of bytes.
    #[inline(always)]
    pub(super) fn length(&mut self) -> Result<usize> {
        let length = self.long()?;
        usize::try_from(length).map_err(|_| Error::data(format!("Malformed data. Length is negative: {length}")))
    }

    /// How many elements the next block has; zero is the end.
    pub(super) fn block(&mut self) -> Result<usize> {
        let count = self.long()?;
        if count >= 0 {
            return usize::try_from(count).map_err(|_| ended());
        }
        // A negative count is followed by the block's size in bytes, for readers that skip it.
        self.long()?;
        usize::try_from(count.unsigned_abs()).map_err(|_| ended())
    }

    /// To be called behind each element, with the place where it began.
    #[inline(always)]
    pub(super) fn element(&mut self, began: usize) -> Result<()> {
        if self.at > began {
            return Ok(());
        }
        self.empties = self.empties.checked_sub(1).ok_or_else(|| {
            Error::data(format!(
                "Malformed data. More than {MAX_EMPTIES} elements that have no bytes"
            ))
        })?;
        Ok(())
    }
}

#[inline(always)]
fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cold]
fn ended() -> Error {
    Error::data("Malformed data. It ends before the record does")
}

#[inline(always)]
pub(super) fn long(value: i64, out: &mut Vec<u8>) {
    let value = ((value << 1) ^ (value >> 63)) as u64;
    if value < 0x80 {
        out.push(value as u8);
    } else {
        long_rest(value, out);
    }
}

/// At most ten bytes, which are appended at once.
#[inline(never)]
fn long_rest(mut value: u64, out: &mut Vec<u8>) {
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
    out.extend_from_slice(digits.get(..count).unwrap_or_default());
}

#[inline(always)]
pub(super) fn bytes(bytes: &[u8], out: &mut Vec<u8>) {
    long(bytes.len() as i64, out);
    append(bytes, out);
}

/// Short ones without a call: their first and their last bytes, which may overlap.
#[inline(always)]
fn append(bytes: &[u8], out: &mut Vec<u8>) {
    let end = out.len() + bytes.len();
    match (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
        (Some(first), Some(last)) if bytes.len() <= 32 => {
            out.extend_from_slice(first);
            out.truncate(end - last.len());
            out.extend_from_slice(last);
        }
        (None, _) => {
            if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
                out.extend_from_slice(first);
                out.truncate(end - last.len());
                out.extend_from_slice(last);
            } else {
                for byte in bytes {
                    out.push(*byte);
                }
            }
        }
        (_, _) => out.extend_from_slice(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_there_and_back() {
        for value in [
            0,
            -1,
            1,
            63,
            64,
            -64,
            -65,
            8191,
            i64::from(i32::MAX),
            i64::MAX,
            i64::MIN,
        ] {
            let mut out = Vec::new();
            long(value, &mut out);
            assert_eq!(Bytes::new(&out, 0).long().unwrap(), value);
        }
        let mut out = Vec::new();
        long(-65, &mut out);
        assert_eq!(out, [0x81, 0x01]);
    }

    #[test]
    fn bytes_of_any_length_are_appended() {
        let all: Vec<u8> = (0..100).collect();
        for length in 0..all.len() {
            let mut out = vec![9];
            bytes(&all[..length], &mut out);
            let prefix = if length < 64 { 1 } else { 2 };
            assert_eq!(out[1 + prefix..], all[..length]);
        }
    }

    #[test]
    fn what_is_no_number_is_an_error() {
        assert!(Bytes::new(&[0x80; 5], 0).long().is_err());
        assert!(Bytes::new(&[0xff; 11], 0).long().is_err());
        assert!(Bytes::new(&[0x80, 0x80, 0x80, 0x80, 0x10], 0).int().is_err());
        assert!(Bytes::new(&[1], 0).length().is_err());
    }
}
