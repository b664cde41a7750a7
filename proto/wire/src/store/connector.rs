//! What is wanted of a connector, and which topics it has used.

use super::{Form, v1};
use crate::Invalid;
use crate::read::{self, choice, number, optional, same_words};
use dray_model::TargetState;
use dray_model::record::{ActiveTopics, Breaker, ConnectorSpec};
use std::collections::BTreeMap;

same_words!(v1::TargetState, TargetState: Started Paused Stopped);

impl Form for ConnectorSpec {
    const WHAT: &'static str = "connector";
    type Wire = v1::Connector;

    fn read(wire: v1::Connector) -> Result<Self, Invalid> {
        Ok(Self {
            uid: optional(wire.uid),
            config: wire.config,
            target: choice::<v1::TargetState, _>("target", wire.target)?,
            config_version: wire.config_version,
            restarts: wire.restarts,
            task_restarts: wire.task_restarts,
            deleting: wire.deleting,
            altering: wire.altering,
            breaker: wire.breaker.map(breaker).transpose()?,
            writer: wire.writer,
            operation: wire.operation,
        })
    }

    fn wire(&self) -> Result<v1::Connector, Invalid> {
        Ok(v1::Connector {
            uid: self.uid.map_or(0, |uid| uid.get()),
            config: self.config.clone(),
            target: v1::TargetState::from(self.target).into(),
            config_version: self.config_version,
            restarts: self.restarts,
            task_restarts: self.task_restarts.clone(),
            deleting: self.deleting,
            altering: self.altering.clone(),
            breaker: self.breaker.as_ref().map(|breaker| v1::Breaker {
                reason: breaker.reason.clone(),
                tasks: breaker
                    .tasks
                    .iter()
                    .map(|(task, generation)| (*task, generation.get()))
                    .collect(),
                paused: breaker.paused,
            }),
            writer: self.writer.clone(),
            operation: self.operation.clone(),
        })
    }
}

fn breaker(wire: v1::Breaker) -> Result<Breaker, Invalid> {
    let mut tasks = BTreeMap::new();
    for (task, generation) in wire.tasks {
        tasks.insert(read::task(task)?, number("breaker.tasks", generation)?);
    }
    Ok(Breaker {
        reason: wire.reason,
        tasks,
        paused: wire.paused,
    })
}

impl Form for ActiveTopics {
    const WHAT: &'static str = "active_topics";
    type Wire = v1::ActiveTopics;

    fn read(wire: v1::ActiveTopics) -> Result<Self, Invalid> {
        Ok(Self {
            topics: wire.topics.into_iter().collect(),
        })
    }

    fn wire(&self) -> Result<v1::ActiveTopics, Invalid> {
        Ok(v1::ActiveTopics {
            topics: self.topics.iter().cloned().collect(),
        })
    }
}
