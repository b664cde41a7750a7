//! A dry run of a connector: what becomes of records on their way, stage by stage, by the converters and transforms that its tasks use.
//! Nothing is written: no record, no offset, no topic, no schema, and no group is joined. A sink's own code is not called at all; a
//! source's is started, polled and stopped, and never told that anything was committed.
//!
//! Nothing is tried again either (`errors.retry.*`), but what a converter lacks is looked up.

mod fetch;
mod given;
mod kept;
mod patience;
mod read_only;
mod sink;
mod source;
mod stages;

pub use self::given::{Given, transformed};
pub use self::stages::{Failed, Outcome, Part, Seen};

use self::read_only::ReadOnly;
use crate::config::WorkerConfig;
use crate::guard::trace;
use crate::offsets::OffsetStore;
use crate::validate::Refused;
use crate::worker::Worker;
use dray_connect::connector::{ConnectorPlugin, Make};
use dray_connect::sink_batch::TopicPartition;
use dray_connect::{ConfigMap, Error, Result};
use dray_kafka::port::KafkaPort;
use dray_model::ConnectorName;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The most records of a preview: somebody is to read it.
pub const MOST_RECORDS: usize = 100;
/// The longest that records are waited for.
pub const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// What may come on top of the wait: a source's start and stop, the first look at a sink's topics, and schemas that are looked up.
pub const BESIDE_THE_WAIT: Duration = Duration::from_secs(30);

/// What is to be previewed.
#[derive(Clone, Debug)]
pub struct Ask {
    /// A source begins where the connector of this name is.
    pub name: ConnectorName,
    /// Its configuration, with the values that it refers to.
    pub config: ConfigMap,
    /// Which records.
    pub records: Records,
}

/// Which records go the connector's way.
#[derive(Clone, Debug)]
pub enum Records {
    /// Real ones.
    Real {
        /// At most so many.
        most: usize,
        /// Where a sink begins. A source begins where it is.
        from: From,
        /// How long they are waited for.
        wait: Duration,
    },
    /// These. Of a sink they are as behind its converters.
    Given(Vec<Given>),
}

/// Where the records of a sink begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// The newest of all its topics.
    Newest,
    /// The oldest of all its topics.
    Oldest,
    /// These offsets, and no other partition.
    Offsets(Vec<(TopicPartition, i64)>),
}

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Preview {
    /// Of each record its stages in order; where it failed or was dropped, that is the last one.
    pub records: Vec<Vec<Seen>>,
    /// What there is to say besides: why there are no more.
    pub note: Option<String>,
}

/// What a preview works with.
struct Parts {
    name: ConnectorName,
    plugin: &'static ConnectorPlugin,
    config: ConfigMap,
    worker: Arc<WorkerConfig>,
    /// One that changes nothing.
    port: Arc<dyn KafkaPort>,
    offsets: Arc<dyn OffsetStore>,
}

impl Worker {
    /// Shows what becomes of records. Takes no longer than the wait and [`BESIDE_THE_WAIT`]; dropping the future ends it.
    ///
    /// # Errors
    /// When the configuration is wrong, with Connect's text, or there is nothing to show.
    pub async fn preview(&self, ask: Ask) -> Result<Preview, Refused> {
        let bad = |error: Error| Refused::BadRequest(trace(&error));
        let plugin = self.plugin(&ask.config).map_err(bad)?;
        self.check_connector(&ask.config).map_err(bad)?;
        let (worker, port, offsets) = self.lends();
        let parts = Parts {
            name: ask.name,
            plugin,
            config: ask.config,
            worker,
            port: Arc::new(ReadOnly(port)),
            offsets,
        };
        let job = format!("preview of {}", parts.name);
        let span = tracing::error_span!(parent: None, "preview", connector = %parts.name);
        let (sender, seen) = oneshot::channel();
        let work = async move {
            // Who does not wait any more has dropped the work as well.
            drop(sender.send(parts.run(ask.records).await));
        };
        // Connector code may block its thread: that is one of those that are for it.
        let _running = self.beside(&job, span, work);
        match seen.await {
            Ok(seen) => seen.map_err(|error| Refused::Failed(trace(&error))),
            Err(_) => Err(Refused::Failed("the preview ended before its time".to_owned())),
        }
    }
}

impl Parts {
    async fn run(&self, records: Records) -> Result<Preview> {
        match (self.plugin.make, records) {
            (Make::Source(make), Records::Real { most, wait, .. }) => {
                Box::pin(source::real(
                    self,
                    make,
                    most.clamp(1, MOST_RECORDS),
                    wait.min(LONGEST_WAIT),
                ))
                .await
            }
            (Make::Source(_), Records::Given(given)) => Box::pin(source::given(self, given)).await,
            (Make::Sink(_), Records::Real { most, from, wait }) => {
                Box::pin(sink::real(
                    self,
                    most.clamp(1, MOST_RECORDS),
                    &from,
                    wait.min(LONGEST_WAIT),
                ))
                .await
            }
            (Make::Sink(_), Records::Given(given)) => sink::given(self, given),
        }
    }
}
