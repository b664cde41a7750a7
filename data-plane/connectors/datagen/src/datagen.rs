//! The datagen source: records out of nothing, at a rate, the same ones for the same seed.

use crate::config::{Plan, TASK, definition};
use crate::generator::{Generator, SEQUENCE, partition};
use dray_connect::config::{ConfigDef, ConfigMap};
use dray_connect::connector::{ExactlyOnceSupport, SourceConnector, SourceTask};
use dray_connect::context::{ConnectorContext, SourceTaskContext};
use dray_connect::offset::OffsetMap;
use dray_connect::source_batch::SourceBatch;
use dray_connect::{Error, Result, async_trait};
use std::num::NonZeroU64;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How long a `poll` without records waits.
const IDLE: Duration = Duration::from_secs(1);

/// How far the source may run behind its rate before it forgets what it owes: it catches up after a pause of the
/// runtime, but not after a night.
const MAX_DEBT: Duration = Duration::from_secs(1);

/// Records and bytes of one batch.
const BATCH_RECORDS: u64 = 10_000;
const BATCH_BYTES: u64 = 1 << 20;

/// One task, or as many as it is told, each with records of its own.
#[derive(Debug)]
pub struct DatagenSourceConnector {
    config_def: ConfigDef,
    config: ConfigMap,
}

impl DatagenSourceConnector {
    /// Not yet started.
    #[must_use]
    pub fn new() -> Self {
        Self {
            config_def: definition(),
            config: ConfigMap::new(),
        }
    }
}

impl Default for DatagenSourceConnector {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl SourceConnector for DatagenSourceConnector {
    fn config_def(&self) -> &ConfigDef {
        &self.config_def
    }

    async fn start(&mut self, _context: ConnectorContext, config: &ConfigMap) -> Result<()> {
        Plan::new(config)?;
        self.config = config.clone();
        Ok(())
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<ConfigMap>> {
        let wanted = definition().parse(&self.config)?.int("tasks")?;
        let tasks = usize::try_from(wanted).unwrap_or(1).min(max_tasks);
        let config = |task: usize| {
            let mut config = self.config.clone();
            if tasks > 1 {
                config.insert(TASK.into(), task.to_string());
            }
            config
        };
        Ok((0..tasks).map(config).collect())
    }

    fn task(&self) -> Box<dyn SourceTask> {
        Box::new(DatagenSourceTask::new())
    }

    fn exactly_once_support(&self, _config: &ConfigMap) -> ExactlyOnceSupport {
        ExactlyOnceSupport::Supported
    }

    fn alter_offsets(&self, _config: &ConfigMap, offsets: &[(Option<OffsetMap>, Option<OffsetMap>)]) -> Result<bool> {
        for offset in offsets.iter().filter_map(|(_, offset)| offset.as_ref()) {
            if offset.long(SEQUENCE).is_none_or(|sequence| sequence < 0) {
                return Err(Error::connect(
                    "Offset objects should either be null or have a 'sequence' of at least 0",
                ));
            }
        }
        Ok(true)
    }

    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Generates records. Its offset `{"sequence": n}` is the number of the next record.
#[derive(Debug, Default)]
pub struct DatagenSourceTask {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    generator: Generator,
    next: u64,
    /// One after the last record.
    end: u64,
    /// Records of one batch.
    batch: u64,
    pace: Option<Pace>,
}

impl DatagenSourceTask {
    /// Not yet started.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl SourceTask for DatagenSourceTask {
    async fn start(&mut self, context: SourceTaskContext, config: &ConfigMap) -> Result<()> {
        let plan = Plan::new(config)?;
        let stored = context.offset_reader().offsets(&[partition(&plan)]).await?;
        let next = match stored.into_iter().next().flatten() {
            None => 0,
            Some(offset) => match offset.long(SEQUENCE).map(u64::try_from) {
                Some(Ok(sequence)) => sequence,
                Some(Err(_)) | None => {
                    return Err(Error::connect(format!(
                        "offset {} has no valid 'sequence'",
                        offset.to_json()
                    )));
                }
            },
        };
        let end = plan.count.map_or(u64::MAX, NonZeroU64::get);
        let batch = (BATCH_BYTES / (plan.value_bytes as u64).max(1)).clamp(1, BATCH_RECORDS);
        let pace = plan.rate.map(|rate| Pace {
            rate,
            due: Instant::now(),
        });
        self.running = Some(Running {
            generator: Generator::new(plan)?,
            next,
            end,
            batch,
            pace,
        });
        Ok(())
    }

    /// Nothing changes before the last await: cancel-safe.
    async fn poll(&mut self, batch: &mut SourceBatch) -> Result<()> {
        let Some(running) = &mut self.running else {
            return Err(Error::connect("the task was not started"));
        };
        let left = running.end.saturating_sub(running.next);
        if left == 0 {
            // There will never be another record, and what else a task has to do does not wait for a poll.
            return std::future::pending().await;
        }
        let mut records = left.min(running.batch);
        if let Some(pace) = &mut running.pace {
            let deadline = Instant::now() + IDLE;
            sleep_until(pace.due.min(deadline)).await;
            records = pace.take(Instant::now(), records);
        }
        let to = running.next + records;
        running.generator.fill(batch, running.next, to)?;
        running.next = to;
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        self.running = None;
        Ok(())
    }
}

/// Spreads records over time.
#[derive(Debug)]
struct Pace {
    rate: NonZeroU64,
    /// When the next record is due.
    due: Instant,
}

impl Pace {
    /// How many of `wanted` records are due now.
    fn take(&mut self, now: Instant, wanted: u64) -> u64 {
        let Some(late) = now.checked_duration_since(self.due) else {
            return 0;
        };
        if late > MAX_DEBT {
            self.due = now - MAX_DEBT;
        }
        let late = late.min(MAX_DEBT).as_nanos();
        let due = 1 + late * u128::from(self.rate.get()) / 1_000_000_000;
        let taken = u64::try_from(due).unwrap_or(u64::MAX).min(wanted);
        let nanos = u128::from(taken) * 1_000_000_000 / u128::from(self.rate.get());
        self.due += Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        taken
    }
}

#[cfg(test)]
mod tests;
