//! The cluster itself, its replicas and its leader; and what names the writer of a record.

use super::{Form, v1};
use crate::Invalid;
use crate::read::{agent_number, name, number};
use dray_model::record::{ClusterMeta, KafkaRecord, LeaderRecord, LoggerLevel, LoggerLevels, ReplicaRecord, Written};
use std::sync::Arc;

pub(super) fn written(written: Written) -> v1::Written {
    v1::Written {
        term: written.term.get(),
        operation: written.operation,
    }
}

pub(super) fn read_written(field: &str, wire: Option<v1::Written>) -> Result<Written, Invalid> {
    let wire = wire.ok_or_else(|| Invalid::new(field, "is missing"))?;
    Ok(Written {
        term: number(&format!("{field}.term"), wire.term)?,
        operation: wire.operation,
    })
}

impl Form for ClusterMeta {
    const WHAT: &'static str = "cluster_meta";
    type Wire = v1::ClusterMeta;

    fn read(wire: v1::ClusterMeta) -> Result<Self, Invalid> {
        let written = wire.written;
        Ok(Self {
            cluster: wire.cluster,
            epoch: wire.epoch,
            next_agent: agent_number("next_agent", wire.next_agent)?,
            worker: Arc::new(wire.worker),
            written: written.map(|by| read_written("written", Some(by))).transpose()?,
        })
    }

    fn wire(&self) -> Result<v1::ClusterMeta, Invalid> {
        Ok(v1::ClusterMeta {
            cluster: self.cluster.clone(),
            epoch: self.epoch,
            next_agent: self.next_agent.get(),
            worker: (*self.worker).clone(),
            written: self.written.map(written),
        })
    }
}

impl Form for LeaderRecord {
    const WHAT: &'static str = "leader";
    type Wire = v1::Leader;

    fn read(wire: v1::Leader) -> Result<Self, Invalid> {
        Ok(Self {
            replica: wire.replica,
            endpoints: wire.endpoints,
            beats: wire.beats,
            software_version: wire.software_version,
        })
    }

    fn wire(&self) -> Result<v1::Leader, Invalid> {
        Ok(v1::Leader {
            replica: self.replica.clone(),
            endpoints: self.endpoints.clone(),
            beats: self.beats,
            software_version: self.software_version.clone(),
        })
    }
}

impl Form for LoggerLevels {
    const WHAT: &'static str = "loggers";
    type Wire = v1::LoggerLevels;

    fn read(wire: v1::LoggerLevels) -> Result<Self, Invalid> {
        let level = |level: v1::LoggerLevel| LoggerLevel {
            number: level.number,
            name: level.name,
            level: level.level,
        };
        Ok(Self {
            last: wire.last,
            levels: wire.levels.into_iter().map(level).collect(),
        })
    }

    fn wire(&self) -> Result<v1::LoggerLevels, Invalid> {
        let level = |level: &LoggerLevel| v1::LoggerLevel {
            number: level.number,
            name: level.name.clone(),
            level: level.level.clone(),
        };
        Ok(v1::LoggerLevels {
            last: self.last,
            levels: self.levels.iter().map(level).collect(),
        })
    }
}

impl Form for ReplicaRecord {
    const WHAT: &'static str = "replica";
    type Wire = v1::Replica;

    fn read(wire: v1::Replica) -> Result<Self, Invalid> {
        Ok(Self {
            endpoints: wire.endpoints,
            software_version: wire.software_version,
        })
    }

    fn wire(&self) -> Result<v1::Replica, Invalid> {
        Ok(v1::Replica {
            endpoints: self.endpoints.clone(),
            software_version: self.software_version.clone(),
        })
    }
}

impl Form for KafkaRecord {
    const WHAT: &'static str = "kafka_cluster";
    type Wire = v1::KafkaCluster;

    fn read(wire: v1::KafkaCluster) -> Result<Self, Invalid> {
        Ok(Self {
            cluster: name("id", wire.id)?,
        })
    }

    fn wire(&self) -> Result<v1::KafkaCluster, Invalid> {
        Ok(v1::KafkaCluster {
            id: self.cluster.as_str().into(),
        })
    }
}
