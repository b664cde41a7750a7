//! Values of the store as records, and back; and the names of both sides.

use bytes::Bytes;
use dray_machine::cluster::{Name, Record, WriteId};
use dray_model::record::{
    ActiveTopics, AgentRecord, ClusterMeta, ConnectorSpec, KafkaRecord, LeaderRecord, LoggerLevels, Ownership,
    ReplicaRecord, Written,
};
use dray_model::{AgentId, ConnectorName, ConnectorUid};
use dray_store::keys::{self, Keys};
use dray_store::{Entry, Revision, Value};
use dray_wire::store::tasks::{self, Manifest};
use dray_wire::store::{Rest, decode as read, encode as write};
use std::num::NonZeroU64;

pub(crate) use dray_wire::Error;

/// What stands under a key.
pub(crate) enum Decoded {
    Record(Name, Record, Rest),
    Leader(LeaderRecord),
    Replica(String, ReplicaRecord),
    Kafka(KafkaRecord),
    Topics(ConnectorName, ActiveTopics),
    Part(ConnectorName, Vec<u8>, Bytes),
    Loggers(LoggerLevels),
    /// Something that is not kept in the cache.
    Other,
}

/// A record as it is stored.
pub(crate) struct Encoded {
    pub(crate) value: Value,
    /// Parts of a large task set, by digest.
    pub(crate) parts: Vec<(Vec<u8>, Bytes)>,
}

/// The name of a record that the machine knows.
pub(crate) fn record_name(name: &keys::Name) -> Option<Name> {
    Some(match name {
        keys::Name::Meta => Name::Meta,
        keys::Name::Spec(connector) => Name::Spec(connector.clone()),
        keys::Name::Tasks(connector) => Name::Tasks(connector.clone()),
        keys::Name::Own(connector, shard) => Name::Own(connector.clone(), *shard),
        keys::Name::Agent(id) => Name::Agent(AgentId::try_from(id.as_str()).ok()?),
        keys::Name::Leader
        | keys::Name::Kafka
        | keys::Name::Topics(_)
        | keys::Name::Loggers
        | keys::Name::Replica(_)
        | keys::Name::Part(..)
        | keys::Name::Operation(_)
        | keys::Name::Idempotency(_) => return None,
    })
}

/// The same name in the store.
pub(crate) fn store_name(name: &Name) -> keys::Name {
    match name {
        Name::Meta => keys::Name::Meta,
        Name::Spec(connector) => keys::Name::Spec(connector.clone()),
        Name::Tasks(connector) => keys::Name::Tasks(connector.clone()),
        Name::Own(connector, shard) => keys::Name::Own(connector.clone(), *shard),
        Name::Agent(id) => keys::Name::Agent(id.as_str().into()),
    }
}

/// Reads a value; `part` finds parts of task sets.
pub(crate) fn decode<'a>(
    name: &keys::Name,
    entry: &Entry,
    part: impl Fn(&ConnectorName, &[u8]) -> Option<&'a Bytes>,
) -> Result<Decoded, Error> {
    let value = &entry.value;
    let (record, rest) = match name {
        keys::Name::Meta => read::<ClusterMeta>(value).map(|(meta, rest)| (Record::Meta(meta), rest))?,
        keys::Name::Spec(_) => {
            let (mut spec, rest) = read::<ConnectorSpec>(value)?;
            // Its creation is what it is: the record could not say it when it was written.
            spec.uid = NonZeroU64::new(entry.create_revision.get()).map(ConnectorUid::from);
            (Record::Spec(spec), rest)
        }
        keys::Name::Tasks(connector) => Manifest::decode(value)?
            .assemble(|digest| part(connector, digest.as_bytes()).map(|part| &part[..]))
            .map(|(tasks, rest)| (Record::Tasks(tasks), rest))?,
        keys::Name::Own(..) => read::<Ownership>(value).map(|(own, rest)| (Record::Own(own), rest))?,
        keys::Name::Agent(_) => read::<AgentRecord>(value).map(|(agent, rest)| (Record::Agent(agent), rest))?,
        keys::Name::Leader => return Ok(Decoded::Leader(read(value)?.0)),
        keys::Name::Kafka => return Ok(Decoded::Kafka(read(value)?.0)),
        keys::Name::Topics(connector) => return Ok(Decoded::Topics(connector.clone(), read(value)?.0)),
        keys::Name::Loggers => return Ok(Decoded::Loggers(read(value)?.0)),
        keys::Name::Replica(id) => return Ok(Decoded::Replica(id.clone(), read(value)?.0)),
        keys::Name::Part(connector, digest) => {
            return Ok(Decoded::Part(connector.clone(), digest.clone(), value.clone()));
        }
        keys::Name::Operation(_) | keys::Name::Idempotency(_) => return Ok(Decoded::Other),
    };
    Ok(record_name(name).map_or(Decoded::Other, |name| Decoded::Record(name, record, rest)))
}

/// Writes a record, with what the record that it replaces has from a newer version.
pub(crate) fn encode(record: &Record, rest: &Rest) -> Result<Encoded, Error> {
    let value = match record {
        Record::Meta(meta) => write(meta, rest)?,
        Record::Spec(spec) => write(spec, rest)?,
        Record::Own(own) => write(own, rest)?,
        Record::Agent(agent) => write(agent, rest)?,
        Record::Tasks(set) => {
            let encoded = tasks::encode(set, rest)?;
            let parts = encoded
                .parts
                .into_iter()
                .map(|(digest, part)| (digest.as_bytes().to_vec(), part.into()));
            return Ok(Encoded {
                value: encoded.value.into(),
                parts: parts.collect(),
            });
        }
    };
    Ok(Encoded {
        value: value.into(),
        parts: Vec::new(),
    })
}

/// The leader's key.
pub(crate) fn encode_leader(record: &LeaderRecord) -> Result<Value, Error> {
    Ok(write(record, &Rest::default())?.into())
}

/// A replica's key.
pub(crate) fn encode_replica(record: &ReplicaRecord) -> Result<Value, Error> {
    Ok(write(record, &Rest::default())?.into())
}

/// Which write of which leader a value comes from.
pub(crate) fn written_by(keys: &Keys, entry: &Entry) -> Option<(Revision, WriteId)> {
    let written = match keys.parse(&entry.key)? {
        keys::Name::Meta => read::<ClusterMeta>(&entry.value).ok()?.0.written?,
        keys::Name::Own(..) => read::<Ownership>(&entry.value).ok()?.0.written,
        keys::Name::Agent(_) => read::<AgentRecord>(&entry.value).ok()?.0.written,
        // Nobody else changes what a leader has put there.
        keys::Name::Tasks(_) => return None,
        // Somebody has changed it since: the leader looks at it and decides anew.
        keys::Name::Spec(_) => return None,
        keys::Name::Leader
        | keys::Name::Kafka
        | keys::Name::Topics(_)
        | keys::Name::Loggers
        | keys::Name::Replica(_)
        | keys::Name::Part(..)
        | keys::Name::Operation(_)
        | keys::Name::Idempotency(_) => return None,
    };
    let Written { term, operation } = written;
    Some((Revision::new(term.get()), WriteId(operation)))
}
