//! The fake's lanes.

use super::Shared;
use crate::error::{Class, Error};
use crate::port::{Ack, ProduceRecord, ProduceRefused, ProducerLane};
use async_trait::async_trait;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// A lane. Acknowledged bytes return to the quota when the acknowledgement is handed out or waited for.
pub(super) struct FakeLane {
    shared: Arc<Shared>,
    id: u64,
    quota: usize,
    used: usize,
    /// Bytes in flight; several records may carry one sequence.
    bytes: HashMap<u64, VecDeque<usize>>,
    acked: Vec<Ack>,
    in_flight: usize,
}

impl FakeLane {
    pub(super) fn new(shared: Arc<Shared>, quota: usize) -> Self {
        let id = shared.change(|cluster| {
            let id = cluster.id();
            cluster.lanes.insert(id, VecDeque::new());
            id
        });
        Self {
            shared,
            id,
            quota,
            used: 0,
            bytes: HashMap::new(),
            acked: Vec::new(),
            in_flight: 0,
        }
    }

    fn collect(&mut self) {
        let acks = self
            .shared
            .lock()
            .lanes
            .get_mut(&self.id)
            .map(std::mem::take)
            .unwrap_or_default();
        for ack in acks {
            if let Some(sizes) = self.bytes.get_mut(&ack.sequence) {
                self.used -= sizes.pop_front().unwrap_or_default();
                if sizes.is_empty() {
                    self.bytes.remove(&ack.sequence);
                }
            }
            Ack::append(&mut self.acked, ack.sequence, ack.outcome);
        }
    }

    fn hand_out(&mut self, out: &mut Vec<Ack>) {
        self.in_flight -= self.acked.iter().map(|ack| ack.count).sum::<usize>();
        out.append(&mut self.acked);
    }

    async fn wait(&self) {
        let id = self.id;
        self.shared
            .wait(|cluster| cluster.lanes.get(&id).is_none_or(|acks| !acks.is_empty()).then_some(()))
            .await;
    }
}

#[async_trait]
impl ProducerLane for FakeLane {
    fn produce(&mut self, records: &[ProduceRecord<'_>]) -> Result<usize, ProduceRefused> {
        self.collect();
        for (taken, record) in records.iter().enumerate() {
            let headers: usize = record
                .headers
                .iter()
                .map(|h| h.key.len() + h.value.map_or(0, <[u8]>::len))
                .sum();
            let size = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len) + headers;
            let charge = size.max(1);
            if self.used > 0 && self.used + charge > self.quota {
                return Ok(taken);
            }
            let refused = self.shared.change(|cluster| {
                if size > cluster.max_request_size {
                    return Some(Error {
                        what: format!("producing a record to `{}`", record.topic),
                        code: "MSG_SIZE_TOO_LARGE".to_owned(),
                        message: format!(
                            "the record has {size} bytes and the limit is {}",
                            cluster.max_request_size
                        ),
                        class: Class::Fatal,
                    });
                }
                let ack = Ack {
                    sequence: record.sequence,
                    count: 1,
                    outcome: cluster.store(record).map_err(Box::new),
                };
                if cluster.held {
                    cluster.waiting.push_back((self.id, ack));
                } else {
                    cluster.deliver(self.id, ack);
                }
                None
            });
            if let Some(error) = refused {
                return Err(ProduceRefused { taken, error });
            }
            self.bytes.entry(record.sequence).or_default().push_back(charge);
            self.used += charge;
            self.in_flight += 1;
        }
        Ok(records.len())
    }

    async fn ready(&mut self) {
        loop {
            self.collect();
            if self.used == 0 || self.used < self.quota {
                return;
            }
            self.wait().await;
        }
    }

    async fn acks(&mut self, out: &mut Vec<Ack>) {
        loop {
            self.collect();
            if !self.acked.is_empty() {
                return self.hand_out(out);
            }
            self.wait().await;
        }
    }

    fn try_acks(&mut self, out: &mut Vec<Ack>) {
        self.collect();
        self.hand_out(out);
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }
}

impl Drop for FakeLane {
    fn drop(&mut self) {
        self.shared.lock().lanes.remove(&self.id);
    }
}
