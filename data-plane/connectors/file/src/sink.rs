//! FileStreamSink: appends the text of each record's value and a line end to a file or to standard output.

use crate::config::{sink_def, sink_path};
use crate::lent::Lent;
use crate::output::Output;
use dray_connect::config::{ConfigDef, ConfigMap};
use dray_connect::connector::{SinkConnector, SinkOffsetChanges, SinkOffsets, SinkTask};
use dray_connect::context::{ConnectorContext, SinkTaskContext};
use dray_connect::datum::ValueRef;
use dray_connect::sink_batch::SinkBatch;
use dray_connect::{Error, Result, async_trait};

/// All tasks append to the same file, each batch in one piece.
#[derive(Debug)]
pub struct FileStreamSinkConnector {
    config_def: ConfigDef,
    config: ConfigMap,
}

impl FileStreamSinkConnector {
    /// Not yet started.
    #[must_use]
    pub fn new() -> Self {
        Self {
            config_def: sink_def(),
            config: ConfigMap::new(),
        }
    }
}

impl Default for FileStreamSinkConnector {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl SinkConnector for FileStreamSinkConnector {
    fn config_def(&self) -> &ConfigDef {
        &self.config_def
    }

    async fn start(&mut self, _context: ConnectorContext, config: &ConfigMap) -> Result<()> {
        sink_path(config)?;
        self.config = config.clone();
        Ok(())
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<ConfigMap>> {
        Ok(vec![self.config.clone(); max_tasks])
    }

    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(FileStreamSinkTask::new())
    }

    /// Consumer offsets mean nothing to a file that is only appended to.
    fn alter_offsets(&self, _config: &ConfigMap, _offsets: &SinkOffsetChanges) -> Result<bool> {
        Ok(true)
    }

    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Writes lines. `put` hands a batch to the system in one write, so nothing is buffered here; `flush` makes it durable.
/// After a failed write the task confirms no offset any more: what was put before is written again by the next task.
#[derive(Debug, Default)]
pub struct FileStreamSinkTask {
    output: Option<Lent<Output>>,
}

impl FileStreamSinkTask {
    /// Not yet started.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn output(&mut self) -> Result<&mut Lent<Output>> {
        self.output
            .as_mut()
            .ok_or_else(|| Error::connect("the task was not started"))
    }
}

#[async_trait]
impl SinkTask for FileStreamSinkTask {
    async fn start(&mut self, _context: SinkTaskContext, config: &ConfigMap) -> Result<()> {
        let output = match sink_path(config)? {
            None => Output::stdout(),
            Some(path) => {
                let name = path.display().to_string();
                let cannot = |error: dray_connect::error::BoxError| {
                    Error::connect(format!("Couldn't find or create file '{name}' for FileStreamSinkTask"))
                        .with_source(error)
                };
                let opened = tokio::task::spawn_blocking(move || Output::file(&path)).await;
                opened
                    .map_err(|error| cannot(error.into()))?
                    .map_err(|error| cannot(error.into()))?
            }
        };
        self.output = Some(Lent::new(output));
        Ok(())
    }

    async fn put(&mut self, batch: &SinkBatch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let output = self.output()?.settled().await?;
        output.lines.clear();
        for record in batch.iter() {
            push_text(&mut output.lines, record.value());
            output.lines.push(b'\n');
        }
        // To the page cache, which takes it at once, unless the disk hangs: then this thread of the crew is replaced.
        output.write();
        outcome(output)
    }

    async fn flush(&mut self, _offsets: &SinkOffsets) -> Result<()> {
        outcome(self.output()?.run(Output::sync).await?)
    }

    /// Closes the file; nothing is left to write. What was not flushed was not committed either.
    async fn stop(&mut self) -> Result<()> {
        if let Some(mut lent) = self.output.take() {
            lent.settled().await?;
        }
        Ok(())
    }
}

/// Takes what became of the last call.
fn outcome(output: &mut Output) -> Result<()> {
    std::mem::replace(&mut output.outcome, Ok(()))
}

/// The value as Java's `toString` gives it.
fn push_text(lines: &mut Vec<u8>, value: ValueRef<'_>) {
    if let ValueRef::Str(text) = value {
        lines.extend_from_slice(text);
    } else {
        lines.extend_from_slice(value.to_value().java_to_string().as_bytes());
    }
}
