//! The bytes behind a batch: blocks that the batch owns, and spans that point into them.

use bytes::Bytes;

/// Where a record's bytes lie in the [`Backing`] of its batch. Means nothing outside that batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    block: u32,
    start: u32,
    len: u32,
}

impl Span {
    /// The part `range` of this span, counted from its first byte.
    ///
    /// # Panics
    /// When the range does not lie within the span.
    #[must_use]
    pub fn slice(self, start: usize, end: usize) -> Self {
        assert!(
            start <= end && end <= self.len as usize,
            "{start}..{end} lies outside of a span of {}",
            self.len
        );
        Self {
            block: self.block,
            start: self.start + start as u32,
            len: (end - start) as u32,
        }
    }

    /// Length in bytes.
    #[must_use]
    pub fn len(self) -> usize {
        self.len as usize
    }

    /// Whether the span covers no byte.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }
}

/// Owns the bytes of one batch: blocks taken over without a copy (a file block, a fetched buffer) and one arena for
/// bytes that are copied in. Records hold [`Span`]s, so a record costs no reference count and no allocation.
#[derive(Debug, Default)]
pub struct Backing {
    blocks: Vec<Bytes>,
    arena: Vec<u8>,
}

/// The block number that stands for the arena.
const ARENA: u32 = u32::MAX;

impl Backing {
    /// Takes over a block; the returned span covers all of it.
    ///
    /// # Panics
    /// When the block is 4 GiB or longer: no source reads such blocks.
    pub fn adopt(&mut self, block: Bytes) -> Span {
        let len = u32::try_from(block.len()).expect("blocks are shorter than 4 GiB");
        let number = self.blocks.len() as u32;
        self.blocks.push(block);
        Span {
            block: number,
            start: 0,
            len,
        }
    }

    /// Copies bytes into the arena.
    ///
    /// # Panics
    /// When the arena would pass 4 GiB: batches are bounded far below.
    pub fn copy(&mut self, bytes: &[u8]) -> Span {
        let start = u32::try_from(self.arena.len()).expect("a batch stays below 4 GiB");
        self.arena.extend_from_slice(bytes);
        Span {
            block: ARENA,
            start,
            len: bytes.len() as u32,
        }
    }

    /// The bytes of a span of this backing.
    #[must_use]
    pub fn bytes(&self, span: Span) -> &[u8] {
        let block: &[u8] = if span.block == ARENA {
            &self.arena
        } else {
            &self.blocks[span.block as usize]
        };
        &block[span.start as usize..(span.start + span.len) as usize]
    }

    /// Bytes held, blocks and arena.
    #[must_use]
    pub fn size(&self) -> usize {
        self.arena.len() + self.blocks.iter().map(Bytes::len).sum::<usize>()
    }

    /// Forgets everything; the arena keeps its allocation.
    pub fn clear(&mut self) {
        self.blocks.clear();
        self.arena.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_point_into_blocks_and_arena() {
        let mut backing = Backing::default();
        let block = backing.adopt(Bytes::from_static(b"one\ntwo"));
        let copied = backing.copy(b"three");
        assert_eq!(backing.bytes(block.slice(4, 7)), b"two");
        assert_eq!(backing.bytes(copied), b"three");
        assert_eq!(backing.size(), 12);
    }
}
