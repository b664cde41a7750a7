//! Reads the pieces of a message that came from a broker. Whatever it holds, the end is an error and no panic, and nothing is allocated by
//! a length that it claims.

/// The bytes end before what they should hold, or are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Short;

type Result<T> = std::result::Result<T, Short>;

/// What is left of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Short)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(crate) fn i16(&mut self) -> Result<i16> {
        self.array().map(i16::from_be_bytes)
    }

    pub(crate) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    pub(crate) fn uvarint(&mut self) -> Result<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Short)
    }

    /// The length of an array, none as 0. There are at least as many bytes left, as nothing is empty.
    pub(crate) fn length(&mut self, flexible: bool) -> Result<usize> {
        let length = if flexible {
            usize::try_from(self.uvarint()?).map_err(|_| Short)?.saturating_sub(1)
        } else {
            usize::try_from(self.i32()?.max(0)).map_err(|_| Short)?
        };
        if length > self.0.len() { Err(Short) } else { Ok(length) }
    }

    /// A text that may be null.
    pub(crate) fn string(&mut self, flexible: bool) -> Result<Option<&'a str>> {
        let length = if flexible {
            self.uvarint()?
                .checked_sub(1)
                .map(usize::try_from)
                .transpose()
                .map_err(|_| Short)?
        } else {
            usize::try_from(self.i16()?).ok()
        };
        let Some(length) = length else {
            return Ok(None);
        };
        std::str::from_utf8(self.take(length)?).map(Some).map_err(|_| Short)
    }

    /// The bytes of a tagged field, behind its tag.
    pub(crate) fn field(&mut self) -> Result<Self> {
        let length = usize::try_from(self.uvarint()?).map_err(|_| Short)?;
        self.take(length).map(Self)
    }

    pub(crate) fn skip_tags(&mut self) -> Result<()> {
        for _ in 0..self.uvarint()? {
            self.uvarint()?;
            self.field()?;
        }
        Ok(())
    }
}
