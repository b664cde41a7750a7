//! A group's offsets by topic id: version 10 of `OffsetCommit` and `OffsetFetch` (Kafka 4.1 on), which `kafka-protocol` has not yet. Pure.
//!
//! By name, a topic that was deleted and created anew would inherit what is committed in the old one's name, and a sink would skip the
//! new one's records before that. By id such a commit is refused, and there is nothing to inherit.

use super::machine::Place;
use crate::wire::frame::put_uvarint;
use crate::wire::reader::{Reader, Short};
use bytes::{BufMut, BytesMut};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The version that is written and read here.
pub(super) const VERSION: i16 = 10;

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub(super) group: &'a str,
    pub(super) member: &'a str,
    pub(super) epoch: i32,
}

/// Writes the body of an `OffsetCommit`.
pub(super) fn write_commit(out: &mut BytesMut, by: Asker<'_>, offsets: &BTreeMap<Place, i64>) {
    put_text(out, by.group);
    out.put_i32(by.epoch);
    put_text(out, by.member);
    out.put_u8(NULL); // group.instance.id
    put_topics(out, offsets, |out, place, offset| {
        out.put_i32(place.partition);
        out.put_i64(*offset);
        out.put_i32(-1); // The leader's epoch is not known.
        put_text(out, ""); // No metadata.
        out.put_u8(NO_TAGS);
    });
    out.put_u8(NO_TAGS);
}

/// Writes the body of an `OffsetFetch` for these partitions, that waits for what transactions have not decided.
pub(super) fn write_fetch(out: &mut BytesMut, by: Asker<'_>, places: impl IntoIterator<Item = Place>) {
    put_uvarint(out, 1 + 1);
    put_text(out, by.group);
    put_text(out, by.member);
    out.put_i32(by.epoch);
    let places = places.into_iter().map(|place| (place, ())).collect();
    put_topics(out, &places, |out, place, ()| out.put_i32(place.partition));
    out.put_u8(NO_TAGS);
    out.put_u8(1); // Stable offsets only.
    out.put_u8(NO_TAGS);
}

/// What an `OffsetCommit` was answered: the codes of partitions, those without an error too.
pub(super) fn read_commit(mut from: Reader<'_>) -> Result<Vec<(Place, i16)>, Short> {
    from.i32()?; // Throttling; the broker mutes the connection itself.
    let mut codes = Vec::new();
    each_partition(&mut from, |from, place| {
        codes.push((place, from.i16()?));
        from.skip_tags()
    })?;
    Ok(codes)
}

/// What an `OffsetFetch` was answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Committed {
    /// The group's own code.
    pub(super) code: i16,
    /// Partitions with an offset, or with an error.
    pub(super) partitions: Vec<(Place, std::result::Result<i64, i16>)>,
}

pub(super) fn read_fetch(mut from: Reader<'_>) -> Result<Committed, Short> {
    from.i32()?; // Throttling.
    let mut committed = Committed::default();
    for _ in 0..from.length(true)? {
        from.string(true)?; // The group; one was asked for.
        each_partition(&mut from, |from, place| {
            let offset = from.i64()?;
            from.i32()?; // The leader's epoch.
            from.string(true)?; // Metadata.
            match from.i16()? {
                0 if offset >= 0 => committed.partitions.push((place, Ok(offset))),
                0 => {} // Nothing was committed.
                code => committed.partitions.push((place, Err(code))),
            }
            from.skip_tags()
        })?;
        committed.code = from.i16()?;
        from.skip_tags()?;
    }
    Ok(committed)
}

const NO_TAGS: u8 = 0;
/// A text that is null, or an array.
const NULL: u8 = 0;

fn put_text(out: &mut BytesMut, text: &str) {
    put_uvarint(out, text.len() + 1);
    out.put_slice(text.as_bytes());
}

/// An array of topics, each with its partitions.
fn put_topics<T>(out: &mut BytesMut, places: &BTreeMap<Place, T>, mut put: impl FnMut(&mut BytesMut, Place, &T)) {
    let mut topics: BTreeMap<Uuid, Vec<(Place, &T)>> = BTreeMap::new();
    for (place, value) in places {
        topics.entry(place.topic).or_default().push((*place, value));
    }
    put_uvarint(out, topics.len() + 1);
    for (id, places) in topics {
        out.put_slice(id.as_bytes());
        put_uvarint(out, places.len() + 1);
        for (place, value) in places {
            put(out, place, value);
        }
        out.put_u8(NO_TAGS);
    }
}

fn each_partition<'a>(
    from: &mut Reader<'a>,
    mut visit: impl FnMut(&mut Reader<'a>, Place) -> Result<(), Short>,
) -> Result<(), Short> {
    for _ in 0..from.length(true)? {
        let topic = Uuid::from_bytes(from.array()?);
        for _ in 0..from.length(true)? {
            let partition = from.i32()?;
            visit(from, Place { topic, partition })?;
        }
        from.skip_tags()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
    use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
    use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
    use kafka_protocol::messages::offset_fetch_response::{
        OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
    };
    use kafka_protocol::messages::{
        GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
    };
    use kafka_protocol::protocol::{Encodable, StrBytes};

    /// Version 10 differs from 9 in that an id of 16 bytes stands for a name, and a name of 15 bytes has 16 with its length: read as an
    /// id, these are the same bytes.
    const NAME: &str = "fifteen-letters";

    fn place(partition: i32) -> Place {
        let mut id = [16; 16];
        id[1..].copy_from_slice(NAME.as_bytes());
        Place {
            topic: Uuid::from_bytes(id),
            partition,
        }
    }

    fn text(text: &'static str) -> StrBytes {
        StrBytes::from_static_str(text)
    }

    fn nine(message: &impl Encodable) -> BytesMut {
        let mut out = BytesMut::new();
        message.encode(&mut out, 9).expect("encodes");
        out
    }

    const BY: Asker<'_> = Asker {
        group: "g",
        member: "m",
        epoch: 7,
    };

    #[test]
    fn a_commit_is_one_of_version_9_with_an_id_for_a_name() {
        let partitions = [(1, 40), (3, 0)].map(|(partition, offset)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(partition)
                .with_committed_offset(offset)
                .with_committed_metadata(Some(text("")))
        });
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(text(NAME)))
            .with_partitions(partitions.to_vec());
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text("g")))
            .with_member_id(text("m"))
            .with_generation_id_or_member_epoch(7)
            .with_topics(vec![topic]);
        let mut written = BytesMut::new();
        write_commit(&mut written, BY, &BTreeMap::from([(place(1), 40), (place(3), 0)]));
        assert_eq!(written, nine(&request));

        let partitions = [(1, 0), (3, 100)].map(|(partition, code)| {
            OffsetCommitResponsePartition::default()
                .with_partition_index(partition)
                .with_error_code(code)
        });
        let topic = OffsetCommitResponseTopic::default()
            .with_name(TopicName(text(NAME)))
            .with_partitions(partitions.to_vec());
        let answer = nine(&OffsetCommitResponse::default().with_topics(vec![topic]));
        assert_eq!(
            read_commit(Reader::new(&answer)),
            Ok(vec![(place(1), 0), (place(3), 100)])
        );
        for cut in 0..answer.len() - 1 {
            assert_eq!(read_commit(Reader::new(&answer[..cut])), Err(Short), "{cut}");
        }
    }

    #[test]
    fn committed_offsets_are_those_of_version_9_with_an_id_for_a_name() {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(TopicName(text(NAME)))
            .with_partition_indexes(vec![1, 3]);
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(GroupId(text("g")))
            .with_member_id(Some(text("m")))
            .with_member_epoch(7)
            .with_topics(Some(vec![topic]));
        let request = OffsetFetchRequest::default()
            .with_groups(vec![group])
            .with_require_stable(true);
        let mut written = BytesMut::new();
        write_fetch(&mut written, BY, [place(1), place(3)]);
        assert_eq!(written, nine(&request));

        let partitions = [(1, 40, 0), (2, -1, 0), (3, -1, 88)].map(|(partition, offset, code)| {
            OffsetFetchResponsePartitions::default()
                .with_partition_index(partition)
                .with_committed_offset(offset)
                .with_metadata(Some(text("")))
                .with_error_code(code)
        });
        let topic = OffsetFetchResponseTopics::default()
            .with_name(TopicName(text(NAME)))
            .with_partitions(partitions.to_vec());
        let group = OffsetFetchResponseGroup::default()
            .with_group_id(GroupId(text("g")))
            .with_topics(vec![topic])
            .with_error_code(25);
        let answer = nine(&OffsetFetchResponse::default().with_groups(vec![group]));
        let committed = Committed {
            code: 25,
            partitions: vec![(place(1), Ok(40)), (place(3), Err(88))],
        };
        assert_eq!(read_fetch(Reader::new(&answer)), Ok(committed));
        for cut in 0..answer.len() - 1 {
            assert_eq!(read_fetch(Reader::new(&answer[..cut])), Err(Short), "{cut}");
        }
    }
}
