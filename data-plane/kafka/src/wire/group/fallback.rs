//! The consumers of a process, and what one is before it is known whether the broker has groups of the new protocol: our own member, or
//! librdkafka's classic one. The reader notices nothing of it.

use super::consumer::WireConsumer;
use super::settings::ConsumerSettings;
use crate::error::Result;
use crate::lock::lock;
use crate::metrics::ClientMetrics;
use crate::port::{Assignment, ClientConfig, Consumer, ConsumerEvent};
use crate::rd::client::translated;
use crate::rd::config::Role;
use crate::wire::cluster::{Cluster, Clusters};
use crate::wire::fetch::hub::Fetching;
use crate::wire::fetch::reader::WireReader;
use crate::wire::fetch::reading::Reading;
use async_trait::async_trait;
use dray_connect::sink_batch::TopicPartition;
use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, Weak};
use tokio::runtime::Handle;

/// Makes a classic member, subscribed to these topics.
pub(crate) type Classic = Box<dyn FnMut(&[String]) -> Result<Box<dyn Consumer>> + Send>;

/// Consumers of a process.
#[derive(Debug)]
pub(crate) struct Consumers {
    fetching: Mutex<Vec<Weak<Fetching>>>,
    classic: Arc<ClassicClusters>,
    runtime: Option<Handle>,
}

impl Default for Consumers {
    /// Their tasks run on the runtime that this is called in: whoever asks for a consumer may stand on a thread that connectors block.
    fn default() -> Self {
        Self {
            fetching: Mutex::default(),
            classic: Arc::default(),
            runtime: Handle::try_current().ok(),
        }
    }
}

/// The clusters, by bootstrap servers, that refused the new protocol: another member there need not try. Until the process ends: a
/// cluster gets the new protocol once in its life.
#[derive(Debug, Default)]
struct ClassicClusters(Mutex<HashSet<String>>);

impl Consumers {
    /// A member over our own connections; none when the settings, or what is known of the cluster, ask for librdkafka's. `classic` makes
    /// that one when the broker turns out not to have the new protocol.
    ///
    /// # Errors
    /// When the settings are not what they should be.
    pub(crate) fn consumer(
        &self,
        clusters: &Clusters,
        config: &ClientConfig,
        topics: &[String],
        prefetch: usize,
        classic: Classic,
    ) -> Result<Option<Box<dyn Consumer>>> {
        let Some(settings) = ConsumerSettings::read(config, prefetch)? else {
            return Ok(None);
        };
        if !settings.asked_for && lock(&self.classic.0).contains(&settings.servers) {
            return Ok(None);
        }
        let Some(cluster) = clusters.of(config)? else {
            return Ok(None);
        };
        let fetching = self.fetching(cluster);
        let consumer = WireConsumer::start(&settings, topics, prefetch, &fetching);
        if settings.asked_for {
            return Ok(Some(Box::new(consumer)));
        }
        Ok(Some(Box::new(Tentative {
            consumer: Box::new(consumer),
            classic: Some(classic),
            topics: topics.to_vec(),
            leave_when_lost: false,
            servers: settings.servers,
            known: Arc::clone(&self.classic),
        })))
    }

    /// A reader over our own connections; none when the settings ask for librdkafka's.
    ///
    /// # Errors
    /// When the settings are not what they should be.
    pub(crate) fn reader(
        &self,
        clusters: &Clusters,
        config: &ClientConfig,
        assignment: &Assignment,
    ) -> Result<Option<WireReader>> {
        let settings = translated(config, Role::Consumer)?.settings;
        let Some(reading) = Reading::read(config, &settings, assignment.prefetch)? else {
            return Ok(None);
        };
        let Some(cluster) = clusters.of(config)? else {
            return Ok(None);
        };
        Ok(Some(WireReader::start(&reading, assignment, &self.fetching(cluster))))
    }

    /// What fetches from this cluster, for all of the process.
    fn fetching(&self, cluster: Arc<Cluster>) -> Arc<Fetching> {
        let mut all = lock(&self.fetching);
        all.retain(|fetching| fetching.strong_count() > 0);
        let found = all
            .iter()
            .filter_map(Weak::upgrade)
            .find(|known| Arc::ptr_eq(known.cluster(), &cluster));
        found.unwrap_or_else(|| {
            let runtime = self.runtime.clone().unwrap_or_else(Handle::current);
            let fetching = Arc::new(Fetching::start(cluster, runtime));
            all.push(Arc::downgrade(&fetching));
            fetching
        })
    }
}

struct Tentative {
    consumer: Box<dyn Consumer>,
    /// None once it is known which it is.
    classic: Option<Classic>,
    topics: Vec<String>,
    leave_when_lost: bool,
    servers: String,
    known: Arc<ClassicClusters>,
}

impl Tentative {
    fn fall_back(&mut self, mut classic: Classic) -> Result<()> {
        tracing::info!("the broker has no groups of the new protocol (KIP-848); joining as a classic member");
        lock(&self.known.0).insert(self.servers.clone());
        self.consumer = classic(&self.topics)?;
        if self.leave_when_lost {
            self.consumer.leave_when_lost();
        }
        Ok(())
    }
}

#[async_trait]
impl Consumer for Tentative {
    async fn event(&mut self) -> ConsumerEvent {
        loop {
            let event = self.consumer.event().await;
            match &event {
                ConsumerEvent::Error(error) if error.code == "UnsupportedFeature" => {
                    let Some(classic) = self.classic.take() else {
                        return event;
                    };
                    if let Err(error) = self.fall_back(classic) {
                        return ConsumerEvent::Error(error);
                    }
                }
                ConsumerEvent::Assigned(_) => {
                    self.classic = None;
                    return event;
                }
                ConsumerEvent::Records(_)
                | ConsumerEvent::Revoked(_)
                | ConsumerEvent::Lost(_)
                | ConsumerEvent::Error(_) => return event,
            }
        }
    }

    async fn revoked(&mut self) {
        self.consumer.revoked().await;
    }

    async fn commit(&mut self, offsets: &BTreeMap<TopicPartition, i64>) -> Result<()> {
        self.consumer.commit(offsets).await
    }

    async fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<()> {
        self.consumer.seek(partition, offset).await
    }

    async fn pause(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.consumer.pause(partitions).await
    }

    async fn resume(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.consumer.resume(partitions).await
    }

    async fn subscribe(&mut self, topics: &[String]) -> Result<()> {
        self.topics = topics.to_vec();
        match self.consumer.subscribe(topics).await {
            // Its end is waiting to be heard of, and the classic member will subscribe to these.
            Err(error) if error.code == "CLOSED" && self.classic.is_some() => Ok(()),
            result => result,
        }
    }

    fn ends(&self) -> BTreeMap<TopicPartition, i64> {
        self.consumer.ends()
    }

    fn metrics(&self) -> Option<ClientMetrics> {
        self.consumer.metrics()
    }

    fn leave_when_lost(&mut self) {
        self.leave_when_lost = true;
        self.consumer.leave_when_lost();
    }

    async fn rejoin(&mut self) -> Result<()> {
        self.consumer.rejoin().await
    }

    async fn close(self: Box<Self>) {
        self.consumer.close().await;
    }
}
