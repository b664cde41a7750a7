//! Producers: one sender for all lanes of equal settings.

use super::inbox::Inbox;
use super::lane::Lane;
use super::sender::Sender;
use super::settings::Settings;
use crate::error::Result;
use crate::lock::lock;
use crate::port::ClientConfig;
use crate::wire::cluster::Cluster;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};
use tokio::task::JoinSet;

/// A sender and what its lanes need of it; ends with its last lane.
#[derive(Debug)]
pub(super) struct Producer {
    pub(super) settings: Arc<Settings>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) inbox: Arc<Inbox>,
    /// Dropped with the last lane, and the sender with it.
    _sender: JoinSet<()>,
}

/// The producers of a process, by effective configuration.
#[derive(Debug, Default)]
pub(crate) struct Producers(Mutex<HashMap<ClientConfig, Weak<Producer>>>);

impl Producers {
    /// A lane on the producer for these settings, which is made when there is none.
    pub(crate) fn lane(
        &self,
        config: &ClientConfig,
        cluster: Arc<Cluster>,
        quota: usize,
        owner: Option<&str>,
    ) -> Result<Lane> {
        // `client.id` names the first of the tasks that share a producer; it is not a reason for another one.
        let mut key = config.clone();
        key.remove("client.id");
        let mut producers = lock(&self.0);
        producers.retain(|_, producer| producer.strong_count() > 0);
        let producer = match producers.get(&key).and_then(Weak::upgrade) {
            Some(producer) => producer,
            None => {
                let settings = Arc::new(Settings::read(config)?);
                let inbox = Arc::new(Inbox::default());
                let sender = Sender::new(Arc::clone(&settings), Arc::clone(&cluster), Arc::clone(&inbox));
                let mut tasks = JoinSet::new();
                tasks.spawn_on(sender.run(), cluster.runtime());
                let producer = Arc::new(Producer {
                    settings,
                    cluster,
                    inbox,
                    _sender: tasks,
                });
                producers.insert(key, Arc::downgrade(&producer));
                producer
            }
        };
        drop(producers);
        Ok(Lane::new(producer, quota, owner))
    }
}
