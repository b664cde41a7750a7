//! What lies behind the records of a batch: blocks of bytes, an arena for copies, the rows of nested values, and
//! tables of schemas and topics. Spans, rows and ids point into it. How nested values are put in is in `datum::build`.

use crate::datum::Datum;
use crate::schema::{Schema, SchemaRef};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    #[inline]
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

/// A schema in the table of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaId(u32);

/// A topic's name in the table of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicId(u32);

/// The parts of a nested value: a run of nodes in the [`Backing`] of its batch. Means nothing outside that batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    start: u32,
    len: u32,
}

/// The fields of a struct, as many as its schema has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StructRow {
    schema: SchemaId,
    start: u32,
}

impl StructRow {
    /// The struct's schema.
    #[must_use]
    pub fn schema(self) -> SchemaId {
        self.schema
    }
}

/// Owns what the records of one batch point to: blocks taken over without a copy (a file block, a fetched buffer), one
/// arena for bytes that are copied in, one for the nodes of nested values, and tables of schemas and topics. Records hold
/// [`Span`]s, [`Row`]s and ids, so a record costs no reference count and no allocation.
///
/// Rows never change once they are written, so that any number of records may point to the same one.
#[derive(Debug, Default)]
pub struct Backing {
    blocks: Vec<Bytes>,
    arena: Vec<u8>,
    nodes: Vec<Datum>,
    schemas: Vec<SchemaRef>,
    topics: Vec<Arc<str>>,
    /// Texts that many records have, and where they were copied to.
    constants: Vec<(Arc<str>, Span)>,
    number: BatchNumber,
}

/// Tells batches of the process apart: what was found out about places in one means nothing in another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchNumber(u64);

impl Default for BatchNumber {
    /// One that no batch had before.
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// How many of the latest schemas are compared before one is entered again. A batch has a handful; the limit bounds the
/// cost where every record comes with a schema of its own.
const LATEST_SCHEMAS: usize = 16;

/// So many texts are copied once; more are copied each time, which is as quick as to look for them.
const CONSTANTS: usize = 16;

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
    #[inline]
    pub fn copy(&mut self, bytes: &[u8]) -> Span {
        append(&mut self.arena, bytes)
    }

    /// The bytes of a span of this backing.
    #[must_use]
    #[inline]
    pub fn bytes(&self, span: Span) -> &[u8] {
        let block: &[u8] = if span.block == ARENA {
            &self.arena
        } else {
            &self.blocks[span.block as usize]
        };
        &block[span.start as usize..(span.start + span.len) as usize]
    }

    /// The schema's place in the table. Schemas are told apart by identity, as handles of the same [`SchemaRef`]. For a schema
    /// within itself it is the place of what that stands for.
    #[inline]
    pub fn schema(&mut self, schema: &SchemaRef) -> SchemaId {
        let place = self.known(schema).unwrap_or_else(|| self.enter(schema));
        SchemaId(place as u32)
    }

    #[inline]
    fn known(&self, schema: &SchemaRef) -> Option<usize> {
        let latest = self.schemas.iter().enumerate().rev().take(LATEST_SCHEMAS);
        latest
            .filter(|(_, known)| Arc::ptr_eq(known, schema))
            .map(|(i, _)| i)
            .next()
    }

    fn enter(&mut self, schema: &SchemaRef) -> usize {
        let resolved = Schema::resolved(schema);
        let known = if Arc::ptr_eq(&resolved, schema) {
            None
        } else {
            self.known(&resolved)
        };
        known.unwrap_or_else(|| {
            self.schemas.push(resolved);
            self.schemas.len() - 1
        })
    }

    /// A schema of this batch.
    #[must_use]
    #[inline]
    pub fn schema_of(&self, id: SchemaId) -> &SchemaRef {
        &self.schemas[id.0 as usize]
    }

    /// The topic's place in the table.
    #[inline]
    pub fn topic(&mut self, name: &Arc<str>) -> TopicId {
        // From the back, where the latest are; a batch has a handful.
        let known = |other: &Arc<str>| Arc::ptr_eq(other, name) || other == name;
        let place = self.topics.iter().rposition(known).unwrap_or_else(|| {
            self.topics.push(Arc::clone(name));
            self.topics.len() - 1
        });
        TopicId(place as u32)
    }

    /// The name of a topic of this batch.
    #[must_use]
    #[inline]
    pub fn topic_name(&self, id: TopicId) -> &Arc<str> {
        &self.topics[id.0 as usize]
    }

    /// How many topics the table has.
    #[must_use]
    #[inline]
    pub fn topics(&self) -> usize {
        self.topics.len()
    }

    /// Copies a text into the arena, the first time that it comes with this handle.
    #[inline]
    pub(crate) fn copy_once(&mut self, text: &Arc<str>) -> Span {
        once(&mut self.constants, &mut self.arena, text)
    }

    /// A topic's name, copied into the arena.
    #[inline]
    pub(crate) fn copy_topic(&mut self, id: TopicId) -> Span {
        once(&mut self.constants, &mut self.arena, &self.topics[id.0 as usize])
    }

    /// Appends a row.
    ///
    /// # Panics
    /// When there would be 2^32 nodes: batches are bounded far below.
    pub(crate) fn row(&mut self, nodes: impl IntoIterator<Item = Datum>) -> Row {
        let start = self.nodes.len();
        self.nodes.extend(nodes);
        let end = u32::try_from(self.nodes.len()).expect("a batch has fewer than 2^32 nodes");
        Row {
            start: start as u32,
            len: end - start as u32,
        }
    }

    /// As [`Backing::row`], for nodes that lie together: one copy.
    ///
    /// # Panics
    /// As [`Backing::row`].
    #[inline]
    pub(crate) fn row_of(&mut self, nodes: &[Datum]) -> Row {
        let start = self.nodes.len();
        self.nodes.extend_from_slice(nodes);
        let end = u32::try_from(self.nodes.len()).expect("a batch has fewer than 2^32 nodes");
        Row {
            start: start as u32,
            len: end - start as u32,
        }
    }

    /// Appends the row of a struct; the caller has checked that there is a node for each field.
    #[inline]
    pub(crate) fn struct_row(&mut self, schema: SchemaId, nodes: &[Datum]) -> StructRow {
        let Row { start, .. } = self.row_of(nodes);
        StructRow { schema, start }
    }

    /// The nodes of a row of this backing.
    #[inline]
    pub(crate) fn nodes(&self, row: Row) -> &[Datum] {
        &self.nodes[row.start as usize..][..row.len as usize]
    }

    /// The fields of a struct of this backing, in schema order.
    #[inline]
    pub(crate) fn fields(&self, row: StructRow) -> &[Datum] {
        let count = self.schema_of(row.schema).fields().map_or(0, <[_]>::len);
        &self.nodes[row.start as usize..][..count]
    }

    /// Bytes held: blocks, arena and nodes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.arena.len() + size_of_val(&*self.nodes) + self.blocks.iter().map(Bytes::len).sum::<usize>()
    }

    /// Forgets everything; the arenas keep their allocations.
    pub fn clear(&mut self) {
        self.blocks.clear();
        self.arena.clear();
        self.nodes.clear();
        self.schemas.clear();
        self.topics.clear();
        self.constants.clear();
        self.number = BatchNumber::default();
    }

    /// The batch that this is. What is put in does not change it, [`Backing::clear`] does.
    #[must_use]
    #[inline]
    pub fn number(&self) -> BatchNumber {
        self.number
    }
}

#[inline]
fn once(constants: &mut Vec<(Arc<str>, Span)>, arena: &mut Vec<u8>, text: &Arc<str>) -> Span {
    if let Some((_, span)) = constants.iter().find(|(known, _)| Arc::ptr_eq(known, text)) {
        return *span;
    }
    let span = append(arena, text.as_bytes());
    if constants.len() < CONSTANTS {
        constants.push((Arc::clone(text), span));
    }
    span
}

#[inline]
fn append(arena: &mut Vec<u8>, bytes: &[u8]) -> Span {
    let start = u32::try_from(arena.len()).expect("a batch stays below 4 GiB");
    arena.extend_from_slice(bytes);
    Span {
        block: ARENA,
        start,
        len: bytes.len() as u32,
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

    #[test]
    fn texts_that_come_again_are_copied_once() {
        let mut backing = Backing::default();
        let text: Arc<str> = "bench".into();
        let first = backing.copy_once(&text);
        assert_eq!(backing.copy_once(&text), first);
        assert_eq!(backing.bytes(first), b"bench");
        let topic = backing.topic(&"orders".into());
        let name = backing.copy_topic(topic);
        assert_eq!((backing.copy_topic(topic), backing.bytes(name)), (name, &b"orders"[..]));
        assert_eq!(backing.size(), "benchorders".len());
        // More than are known: they are there, only not once.
        let more: Vec<Arc<str>> = (0..CONSTANTS).map(|number| number.to_string().into()).collect();
        for text in more.iter().chain(&more) {
            let span = backing.copy_once(text);
            assert_eq!(backing.bytes(span), text.as_bytes());
        }
        backing.clear();
        let again = backing.copy_once(&text);
        assert_eq!(backing.bytes(again), b"bench", "another batch has none of these");
    }

    #[test]
    fn schemas_are_entered_once() {
        let mut backing = Backing::default();
        let (text, number) = (Schema::string(), Schema::int64());
        let ids = [&text, &number, &text].map(|schema| backing.schema(schema));
        assert_eq!(ids[0], ids[2]);
        assert_ne!(ids[0], ids[1]);
        assert!(Arc::ptr_eq(backing.schema_of(ids[1]), &number));
        backing.clear();
        assert_eq!(backing.schema(&number), ids[0]);
    }
}
