//! What the fuzz targets do, for as long as ordinary tests may take: answers as brokers send them, changed in every place, and changed
//! at random. Nothing panics, nothing takes memory by the word of its input, and everything ends.

use super::memory::most_held;
use super::{answered, fetched};
use crate::port::{HeaderRef, ProduceRecord};
use crate::wire::batch::compression::Codec;
use crate::wire::batch::encode::{Open, Stamp};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{AbortedTransaction, FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use kafka_protocol::messages::{
    BrokerId, FetchResponse, GroupId, OffsetFetchResponse, ProduceResponse, ProducerId, TopicName,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use proptest::prelude::*;
use proptest::sample::Index;
use std::time::{Duration, Instant};

/// Memory for each byte of the input, and besides: buffers of codecs, whose size is theirs to say and has a limit.
const EACH: usize = 100;
const BESIDES: usize = 256 << 10;
/// Blocks of LZ4 have up to 4 MiB, and Zstandard repeats a byte 128 Ki times for three of its own.
const COMPRESSED: usize = 32 << 20;
/// As `make fuzz` has it: far more than any input of this size takes on a loaded machine.
const TOO_LONG: Duration = Duration::from_secs(10);

const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const ATTRIBUTES: usize = 21;

/// Something that a broker sends, and what reads it.
struct Answer {
    bytes: Vec<u8>,
    read: fn(&[u8]),
    /// Memory that it may take besides.
    besides: usize,
}

/// Some records of every kind, in one batch from this offset on.
fn batch(offset: i64, codec: Codec, attributes: i16) -> Vec<u8> {
    let header = |key, value| HeaderRef { key, value };
    let headers = [header("a", Some(&b"1"[..])), header("", None)];
    let record = ProduceRecord {
        topic: "t",
        partition: None,
        timestamp: None,
        key: Some(b"key"),
        value: Some(b"value value value value value value value value"),
        headers: &[],
        sequence: 0,
    };
    let mut open = Open::with_capacity(512);
    open.push(&record, 1_700_000_000_000);
    open.push(&ProduceRecord { key: None, ..record }, 1_700_000_000_999);
    open.push(
        &ProduceRecord {
            value: None,
            headers: &headers,
            ..record
        },
        1_600_000_000_000,
    );
    let sealed = open.seal(codec, None);
    let stamp = Stamp {
        producer_id: 7,
        epoch: 1,
        sequence: 3,
    };
    let mut batch = [&sealed.head(stamp)[..], &sealed.records()].concat();
    batch[..8].copy_from_slice(&offset.to_be_bytes());
    assert_eq!(batch[ATTRIBUTES + 1] & 7, codec.attributes() as u8, "it became smaller");
    batch[ATTRIBUTES + 1] |= attributes as u8;
    super::righted(batch).to_vec()
}

fn encoded(message: &impl Encodable, version: i16) -> Vec<u8> {
    let mut out = BytesMut::new();
    message.encode(&mut out, version).expect("encodes");
    out.to_vec()
}

fn fetch() -> Vec<u8> {
    let aborted = AbortedTransaction::default()
        .with_producer_id(ProducerId(7))
        .with_first_offset(3);
    // An aborted transaction and its marker, whose key is `key` and so none that is known.
    let records = [
        batch(0, Codec::None, 0),
        batch(3, Codec::None, TRANSACTIONAL),
        batch(6, Codec::None, TRANSACTIONAL | CONTROL),
        batch(9, Codec::Snappy, 0),
    ]
    .concat();
    let partition = PartitionData::default()
        .with_aborted_transactions(Some(vec![aborted]))
        .with_records(Some(Bytes::from(records)));
    let topic = FetchableTopicResponse::default().with_partitions(vec![partition, PartitionData::default()]);
    encoded(&FetchResponse::default().with_responses(vec![topic]), 17)
}

fn produce(version: i16) -> Vec<u8> {
    let text = StrBytes::from_static_str;
    let mut part = PartitionProduceResponse::default().with_error_code(6);
    let mut response = ProduceResponse::default();
    if version >= 8 {
        let of_record = BatchIndexAndErrorMessage::default().with_batch_index_error_message(Some(text("bad")));
        part = part
            .with_record_errors(vec![of_record])
            .with_error_message(Some(text("no")));
    }
    if version >= 10 {
        let node = NodeEndpoint::default().with_node_id(BrokerId(4)).with_host(text("h"));
        response = response.with_node_endpoints(vec![node]);
    }
    let topic = TopicProduceResponse::default()
        .with_name(TopicName(text("t")))
        .with_partition_responses(vec![part.clone(), part]);
    encoded(&response.with_responses(vec![topic]), version)
}

/// An answer of version 9, whose topic's name is as long as the id that later ones have in its place; shortened by that name's length.
fn committed() -> Vec<u8> {
    const NAME: &str = "0123456789abcdef";
    let text = StrBytes::from_static_str;
    let partition = OffsetFetchResponsePartitions::default()
        .with_committed_offset(40)
        .with_metadata(Some(text("m")));
    let topic = OffsetFetchResponseTopics::default()
        .with_name(TopicName(text(NAME)))
        .with_partitions(vec![partition.clone(), partition]);
    let group = OffsetFetchResponseGroup::default()
        .with_group_id(GroupId(text("g")))
        .with_topics(vec![topic]);
    let mut bytes = encoded(&OffsetFetchResponse::default().with_groups(vec![group]), 9);
    let name = bytes
        .windows(NAME.len())
        .position(|bytes| bytes == NAME.as_bytes())
        .expect("the name");
    bytes.remove(name - 1);
    bytes
}

fn answers() -> Vec<Answer> {
    let answer = |bytes, read, besides| Answer { bytes, read, besides };
    let mut answers = vec![
        answer(fetch(), fetched as fn(&[u8]), BESIDES),
        answer(batch(5, Codec::None, 0), fetched, BESIDES),
        answer(committed(), answered, BESIDES),
    ];
    answers.extend([3, 8, 9, 12].map(|version| answer(produce(version), answered as fn(&[u8]), BESIDES)));
    let codecs = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];
    answers.extend(codecs.map(|codec| answer(batch(0, codec, 0), fetched as fn(&[u8]), COMPRESSED)));
    answers
}

fn check(answer: &Answer, changed: &[u8]) {
    let began = Instant::now();
    let held = most_held(|| (answer.read)(changed));
    let allowed = EACH * changed.len() + answer.besides;
    assert!(held <= allowed, "{held} bytes of memory for {changed:?}");
    assert!(began.elapsed() < TOO_LONG, "{:?} for {changed:?}", began.elapsed());
}

/// Lengths as no honest broker writes them: of two, four and eight bytes, of seven bits a byte, and with their sign folded in.
const EXTREMES: &[&[u8]] = &[
    &[0x00],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0x7f, 0xff],
    &[0x00, 0x00, 0x00, 0x00],
    &[0x7f, 0xff, 0xff, 0xff],
    &[0x80, 0x00, 0x00, 0x00],
    &[0xff, 0xff, 0xff, 0xff],
    &[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0x07],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xfe, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
];

/// Writes over what is there.
fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    let end = bytes.len().min(at + with.len());
    bytes[at..end].copy_from_slice(&with[..end - at]);
}

#[test]
fn an_answer_with_any_length_in_any_place_is_read_or_refused() {
    for answer in answers() {
        check(&answer, &answer.bytes);
        for at in 0..answer.bytes.len() {
            check(&answer, &answer.bytes[..at]);
            for extreme in EXTREMES {
                let mut changed = answer.bytes.clone();
                overwrite(&mut changed, at, extreme);
                check(&answer, &changed);
            }
        }
    }
}

/// What is done to an answer.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Write(Index, Vec<u8>),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    /// What stands in one place comes again in another.
    Repeat(Index, Index, usize),
    /// From here on it is another answer, from somewhere on.
    Splice(Index, Index, Index),
    Cut(Index),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>, others: &[Answer]) {
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Flip(at, bit) => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << (bit & 7);
            }
            Self::Write(at, with) => {
                let at = at.index(bytes.len());
                overwrite(bytes, at, with);
            }
            Self::Insert(at, new) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = at.index(bytes.len());
                let end = bytes.len().min(at + count);
                bytes.drain(at..end);
            }
            Self::Repeat(from, to, count) => {
                let (from, to) = (from.index(bytes.len()), to.index(bytes.len()));
                let part = bytes[from..bytes.len().min(from + count)].to_vec();
                bytes.splice(to..to, part);
            }
            Self::Splice(at, other, from) => {
                let other = &others[other.index(others.len())].bytes;
                bytes.truncate(at.index(bytes.len()));
                bytes.extend_from_slice(&other[from.index(other.len())..]);
            }
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let at = any::<Index>;
    let extreme = (0..EXTREMES.len()).prop_map(|extreme| EXTREMES[extreme].to_vec());
    let written = prop_oneof![extreme, prop::collection::vec(any::<u8>(), 1..9)];
    prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, bit)| Change::Flip(at, bit)),
        4 => (at(), written.clone()).prop_map(|(at, with)| Change::Write(at, with)),
        2 => (at(), written).prop_map(|(at, new)| Change::Insert(at, new)),
        1 => (at(), 1..20_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (at(), at(), 1..200_usize).prop_map(|(from, to, count)| Change::Repeat(from, to, count)),
        1 => (at(), at(), at()).prop_map(|(at, other, from)| Change::Splice(at, other, from)),
        1 => at().prop_map(Change::Cut),
    ]
}

#[test]
fn an_answer_that_is_changed_at_random_is_read_or_refused() {
    let answers = answers();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(20_000));
    let changes = (any::<Index>(), prop::collection::vec(change(), 1..6));
    let result = runner.run(&changes, |(answer, changes)| {
        let answer = &answers[answer.index(answers.len())];
        let mut bytes = answer.bytes.clone();
        for change in &changes {
            change.apply(&mut bytes, &answers);
        }
        // Another's records may have been spliced in, compressed ones too.
        check(
            &Answer {
                bytes: Vec::new(),
                read: answer.read,
                besides: COMPRESSED,
            },
            &bytes,
        );
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}
