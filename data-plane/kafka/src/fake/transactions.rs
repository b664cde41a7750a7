//! The fake's transactional producers: each call commits all of its records at one moment, or nothing.

use super::{Cluster, FakeKafka, Shared};
use crate::error::{Class, Error};
use crate::port::{Outcome, ProduceRecord, SessionRecord, TransactionalProducer};
use async_trait::async_trait;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What the cluster knows of transactions.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// By transactional id; an older epoch is fenced.
    epochs: BTreeMap<String, u64>,
    held: bool,
    /// Transactions that are on their way while they are held.
    waiting: usize,
    committed: usize,
    failures: VecDeque<Class>,
}

impl FakeKafka {
    /// From now on transactions stay on their way until `release_transactions`.
    pub fn hold_transactions(&self) {
        self.shared.change(|cluster| cluster.transactions.held = true);
    }

    /// Lets the transactions that are held, and later ones, go on.
    pub fn release_transactions(&self) {
        self.shared.change(|cluster| cluster.transactions.held = false);
    }

    /// Transactions that are held.
    #[must_use]
    pub fn held_transactions(&self) -> usize {
        self.shared.lock().transactions.waiting
    }

    /// Transactions committed so far.
    #[must_use]
    pub fn committed_transactions(&self) -> usize {
        self.shared.lock().transactions.committed
    }

    /// The next `count` transactions are aborted with an error of this class; with [`Class::Fenced`] the producer is fenced.
    pub fn fail_transactions(&self, class: Class, count: usize) {
        let failures = std::iter::repeat_n(class, count);
        self.shared.lock().transactions.failures.extend(failures);
    }
}

impl Cluster {
    /// Fences all producers of this id; returns the epoch of the next.
    pub(super) fn raise_epoch(&mut self, transactional_id: &str) -> u64 {
        let epoch = self.transactions.epochs.entry(transactional_id.to_owned()).or_default();
        *epoch += 1;
        *epoch
    }

    fn transact(&mut self, id: &str, epoch: u64, records: &[SessionRecord]) -> Outcome {
        let fenced = || Outcome::Fenced(error(id, "ProducerFenced", "there is a newer producer", Class::Fenced));
        if self.transactions.epochs.get(id) != Some(&epoch) {
            return fenced();
        }
        match self.transactions.failures.pop_front() {
            None => {}
            Some(Class::Fenced) => {
                self.raise_epoch(id);
                return fenced();
            }
            Some(class) => return Outcome::Aborted(error(id, "SCRIPTED", "the test asked for it", class)),
        }
        let limit = self.max_request_size;
        if records
            .iter()
            .any(|record| record.key.len() + record.value.as_ref().map_or(0, Vec::len) > limit)
        {
            return Outcome::Aborted(error(id, "MSG_SIZE_TOO_LARGE", "a record is too large", Class::Fatal));
        }
        for record in records {
            let record = ProduceRecord {
                topic: &record.topic,
                partition: None,
                timestamp: None,
                key: Some(&record.key),
                value: record.value.as_deref(),
                headers: &[],
                sequence: 0,
            };
            if let Err(error) = self.store(&record) {
                // Only a topic that is not there; the others' records went to the same one.
                return Outcome::Aborted(error);
            }
        }
        self.transactions.committed += 1;
        Outcome::Committed
    }
}

fn error(id: &str, code: &str, message: &str, class: Class) -> Error {
    Error {
        what: format!("committing as `{id}`"),
        code: code.to_owned(),
        message: message.to_owned(),
        class,
    }
}

/// The producer of one epoch of a transactional id.
pub(super) struct FakeTransactional {
    pub(super) shared: Arc<Shared>,
    pub(super) id: String,
    pub(super) epoch: u64,
}

#[async_trait]
impl TransactionalProducer for FakeTransactional {
    async fn commit(&mut self, records: Vec<SessionRecord>) -> Outcome {
        self.shared.change(|cluster| cluster.transactions.waiting += 1);
        self.shared
            .wait(|cluster| (!cluster.transactions.held).then_some(()))
            .await;
        self.shared.change(|cluster| {
            cluster.transactions.waiting -= 1;
            cluster.transact(&self.id, self.epoch, &records)
        })
    }
}
