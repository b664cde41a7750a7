//! Records that the sink itself reports, and what the log says of any that failed.

use super::Runner;
use crate::dead_letter::Letter;
use crate::guard::trace;
use crate::policy::{ErrorPolicy, Failure, Stage};
use crate::status::TaskSelf;
use dray_connect::sink_batch::TimestampType;
use dray_connect::{Error, Result};
use dray_kafka::port::FetchBatch;

impl Runner {
    pub(super) async fn report_errant(&mut self, fetch: &FetchBatch, errant: Vec<(usize, Error)>) -> Result<()> {
        if errant.is_empty() {
            return Ok(());
        }
        let letter = |(place, error)| Letter {
            place,
            failure: Failure {
                stage: Stage::TaskPut,
                class: "org.apache.kafka.connect.sink.SinkTask".into(),
                error,
            },
        };
        let letters: Vec<Letter> = errant.into_iter().map(letter).collect();
        for letter in &letters {
            self.policy.failures.failed();
            self.policy.failures.gave_up();
            log_failure(&self.me, &self.policy, letter, fetch);
        }
        if let Some(queue) = &mut self.dead_letters {
            queue.send(fetch, &letters).await?;
        }
        letters
            .into_iter()
            .try_for_each(|letter| self.policy.judge(letter.failure.error))
    }
}

pub(super) fn log_failure(me: &TaskSelf, policy: &ErrorPolicy, letter: &Letter, fetch: &FetchBatch) {
    if !policy.log {
        return;
    }
    policy.failures.logged();
    let record = &fetch.records[letter.place];
    let time = match (record.timestamp, record.timestamp_type) {
        (Some(time), TimestampType::CreateTime) => format!(", timestamp={time}, timestampType=CreateTime"),
        (Some(time), TimestampType::LogAppendTime) => format!(", timestamp={time}, timestampType=LogAppendTime"),
        (None, _) | (_, TimestampType::None) => String::new(),
    };
    let consumed = if policy.log_messages {
        format!(
            ", where consumed record is {{topic='{}', partition={}, offset={}{time}}}",
            fetch.topics[record.topic as usize], record.partition, record.offset
        )
    } else {
        String::new()
    };
    tracing::error!(error = %trace(&letter.failure.error),
        "Error encountered in task {}. Executing stage '{}' with class '{}'{consumed}.", me.id, letter.failure.stage.name(), letter.failure.class);
}
