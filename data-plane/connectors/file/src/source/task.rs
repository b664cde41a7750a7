//! The task of FileStreamSource: polls the file or standard input.

use super::FILENAME;
use crate::config::SourcePlan;
use crate::input::{Input, Look};
use crate::lines::{Lines, POSITION, Stamp};
use crate::stdin::{self, Pipe};
use bytes::{Bytes, BytesMut};
use dray_connect::config::ConfigMap;
use dray_connect::connector::SourceTask;
use dray_connect::context::SourceTaskContext;
use dray_connect::offset::{OffsetMap, Primitive, SourcePartition};
use dray_connect::source_batch::SourceBatch;
use dray_connect::{Error, Result, async_trait};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard};
use tokio::time::{Instant, timeout_at};

/// How long an idle `poll` waits: how late news arrive that the watcher did not see.
const IDLE: Duration = Duration::from_secs(1);

/// Reads lines. Between polls it keeps the lines of the last block that found no room, and what is held back.
#[derive(Debug, Default)]
pub struct FileStreamSourceTask {
    running: Option<Running>,
    /// Stands for standard input in tests.
    stdin: Option<Arc<Mutex<Pipe>>>,
}

#[derive(Debug)]
struct Running {
    lines: Lines,
    stamp: Stamp,
    batch_lines: usize,
    from: From,
}

/// Where blocks come from.
#[derive(Debug)]
enum From {
    File {
        input: Input,
        news: Arc<Notify>,
    },
    /// Held until the task stops, so that two tasks never share the lines between them.
    Stdin(OwnedMutexGuard<Pipe>),
}

impl FileStreamSourceTask {
    /// Not yet started.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    #[cfg(test)]
    pub(crate) fn with_stdin(pipe: Arc<Mutex<Pipe>>) -> Self {
        Self {
            running: None,
            stdin: Some(pipe),
        }
    }

    async fn over_file(path: PathBuf, context: &SourceTaskContext, plan: SourcePlan) -> Result<Running> {
        let partition = partition(plan.file.as_deref());
        let position = stored_position(context, &partition).await?;
        let news = Arc::new(Notify::new());
        let stamp = Stamp::of_file(plan.topic, partition, &format!("'{}'", path.display()));
        let input = Input::new(path, position, news.clone());
        let from = From::File { input, news };
        Ok(Running {
            lines: Lines::new(position),
            stamp,
            batch_lines: plan.batch_lines,
            from,
        })
    }

    async fn over_stdin(&self, plan: SourcePlan) -> Result<Running> {
        let pipe = match &self.stdin {
            Some(pipe) => pipe.clone(),
            None => stdin::pipe()
                .await
                .map_err(|error| Error::connect("could not read stdin").with_source(error))?,
        };
        let mut pipe = pipe
            .try_lock_owned()
            .map_err(|_| Error::connect("another task already reads stdin"))?;
        let mut lines = Lines::new(0);
        lines.feed(std::mem::take(&mut pipe.held));
        let stamp = Stamp::of_stream(plan.topic, partition(plan.file.as_deref()));
        Ok(Running {
            lines,
            stamp,
            batch_lines: plan.batch_lines,
            from: From::Stdin(pipe),
        })
    }
}

#[async_trait]
impl SourceTask for FileStreamSourceTask {
    async fn start(&mut self, context: SourceTaskContext, config: &ConfigMap) -> Result<()> {
        let plan = SourcePlan::new(config)?;
        self.running = Some(match plan.path() {
            Some(path) => Self::over_file(path, &context, plan).await?,
            None => self.over_stdin(plan).await?,
        });
        Ok(())
    }

    /// Every await leaves what it waits for in the task, and after a record is pushed none follows: cancel-safe.
    async fn poll(&mut self, batch: &mut SourceBatch) -> Result<()> {
        let Some(Running {
            lines,
            stamp,
            batch_lines,
            from,
        }) = &mut self.running
        else {
            return Err(Error::connect("the task was not started"));
        };
        let deadline = Instant::now() + IDLE;
        loop {
            if lines.fill(batch, stamp, *batch_lines)? > 0 {
                return Ok(());
            }
            match from.next(lines, deadline).await? {
                Next::Block(block) => lines.feed(block),
                Next::Restarted => lines.restart(batch, stamp),
                Next::Idle => return Ok(()),
            }
            if !batch.is_empty() {
                return Ok(());
            }
        }
    }

    async fn stop(&mut self) -> Result<()> {
        if let Some(Running {
            lines,
            from: From::Stdin(mut pipe),
            ..
        }) = self.running.take()
        {
            pipe.held = lines.held();
        }
        Ok(())
    }
}

enum Next {
    /// What was held back and new bytes behind it.
    Block(Bytes),
    /// What was held back will not be completed.
    Restarted,
    /// Nothing until the deadline.
    Idle,
}

impl From {
    /// Waits for more than what `lines` holds back. Cancel-safe.
    async fn next(&mut self, lines: &Lines, deadline: Instant) -> Result<Next> {
        match self {
            Self::File { input, news } => next_of_file(input, news, lines.held(), deadline).await,
            Self::Stdin(pipe) => match timeout_at(deadline, pipe.blocks.recv()).await {
                Ok(Some(Ok(block))) => {
                    let mut joined = BytesMut::from(lines.held().as_ref());
                    joined.extend_from_slice(&block);
                    Ok(Next::Block(joined.freeze()))
                }
                Ok(Some(Err(error))) => Err(Error::connect("could not read stdin").with_source(error)),
                Ok(None) if !lines.held().is_empty() => Ok(Next::Restarted),
                Ok(None) => {
                    tokio::time::sleep_until(deadline).await;
                    Ok(Next::Idle)
                }
                Err(_) => Ok(Next::Idle),
            },
        }
    }
}

async fn next_of_file(input: &mut Input, news: &Notify, held: Bytes, deadline: Instant) -> Result<Next> {
    loop {
        match input.look(&held, Instant::now())? {
            Look::Block(block) => return Ok(Next::Block(block)),
            Look::Restarted => return Ok(Next::Restarted),
            Look::Missing | Look::End => {}
        }
        if timeout_at(deadline, news.notified()).await.is_err() {
            return Ok(Next::Idle);
        }
    }
}

fn partition(file: Option<&str>) -> SourcePartition {
    let file = file.map_or(Primitive::Null, |file| Primitive::String(file.into()));
    Arc::new(OffsetMap::new().with(FILENAME, file))
}

async fn stored_position(context: &SourceTaskContext, partition: &SourcePartition) -> Result<u64> {
    let stored = context.offset_reader().offsets(std::slice::from_ref(partition)).await?;
    match stored
        .into_iter()
        .next()
        .flatten()
        .as_ref()
        .and_then(|offset| offset.get(POSITION))
    {
        None | Some(Primitive::Null) => Ok(0),
        // Negative ones are refused by `alter_offsets`, and Java skips nothing for them.
        Some(Primitive::Long(position)) => Ok(u64::try_from(*position).unwrap_or(0)),
        Some(Primitive::Boolean(_) | Primitive::Double(_) | Primitive::String(_)) => {
            Err(Error::connect("Offset position is the incorrect type"))
        }
    }
}
