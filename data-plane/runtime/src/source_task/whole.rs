//! Whole batches on their way through a source task: taken by the lane as they are, entered into the ledger as one, counted as what is in
//! them.

use super::{Flow, Runner};
use crate::encode::Passed;
use crate::ledger::Sequence;
use dray_connect::Result;
use dray_connect::source_batch::ShortCuts;
use dray_converters::ByteArrayConverter;
use dray_kafka::port::{Ack, ProduceWhole};
use std::collections::HashMap;

/// Records within whole batches that are on their way, beyond the one that each counts as, by the batch's sequence. Bounded by the lane's
/// quota.
#[derive(Debug, Default)]
pub(super) struct Within(HashMap<u64, usize>);

impl Within {
    /// How many records these acknowledgements are about: durable ones, and others.
    pub(super) fn ended(&mut self, acks: &[Ack]) -> (usize, usize) {
        let (mut durable, mut otherwise) = (0, 0);
        for ack in acks {
            let mut count = ack.count;
            // A whole batch is acknowledged alone.
            if count == 1 && !self.0.is_empty() {
                count += self.0.remove(&ack.sequence).unwrap_or(0);
            }
            match ack.outcome {
                Ok(_) => durable += count,
                Err(_) => otherwise += count,
            }
        }
        (durable, otherwise)
    }
}

impl Runner {
    /// What this task's pipeline leaves as it is.
    pub(super) fn short_cuts(&self) -> ShortCuts {
        let converters = &self.parts.converters;
        let classes = [
            converters.key.class(),
            converters.value.class(),
            converters.header.class(),
        ];
        if !self.parts.chain.is_empty() || classes != [ByteArrayConverter::CLASS; 3] {
            return ShortCuts::default();
        }
        ShortCuts {
            encoded: true,
            // Of what Kafka refuses each record is to be had.
            batches: self.parts.lane.passes().filter(|_| !self.refusals.is_on()),
        }
    }

    /// Hands a whole batch to the producer when it takes it.
    pub(super) async fn pass(&mut self, passed: &Passed<'_>) -> Result<Flow> {
        let sequence = passed.sequence.to_u64();
        let whole = ProduceWhole {
            topic: passed.topic,
            partition: passed.partition,
            batch: passed.batch,
            sequence,
        };
        loop {
            let allowed = self.parts.gate.to_finish();
            if self.parts.stop.run_until_cancelled(allowed).await.is_none() {
                return Ok(Flow::Stop);
            }
            match self.parts.lane.pass(whole) {
                Ok(true) => {
                    self.parts.active.passed(passed.topic, sequence);
                    if passed.batch.count > 1 {
                        self.within.0.insert(sequence, passed.batch.count - 1);
                    }
                    return Ok(Flow::Continue);
                }
                Ok(false) => {}
                Err(error) => {
                    self.parts.me.metrics.acknowledged(0, passed.batch.count);
                    self.on_unproducible(Sequence::from_u64(sequence), error)?;
                    return Ok(Flow::Continue);
                }
            }
            if self.wait_for_room().await? == Flow::Stop {
                return Ok(Flow::Stop);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dray_kafka::port::Delivered;

    #[test]
    fn what_is_within_counts_once() {
        let mut within = Within(HashMap::from([(7, 99), (9, 1)]));
        let ack = |sequence, count| Ack {
            sequence,
            count,
            outcome: Ok(Delivered {
                partition: 0,
                offset: 0,
            }),
        };
        assert_eq!(within.ended(&[ack(1, 6), ack(7, 1)]), (106, 0));
        assert_eq!(within.ended(&[ack(7, 1), ack(8, 1)]), (2, 0));
        assert_eq!(within.0.len(), 1);
    }
}
