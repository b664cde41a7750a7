//! Both connectors on real temporary files, with an in-memory offset store and on paused time: an idle `poll` ends at
//! once, because only the clock moves on when nothing else can.

mod sink;
mod source;
mod source_changes;

use dray_connect::config::ConfigMap;
use dray_connect::connector::SourceTask;
use dray_connect::context::{OffsetReader, SourceTaskContext};
use dray_connect::offset::{OffsetMap, SourcePartition};
use dray_connect::source_batch::{Body, SourceBatch};
use dray_connect::{Result, async_trait};
use std::path::Path;
use std::sync::Arc;

/// Gives one stored offset for every partition.
struct Stored(Option<OffsetMap>);

#[async_trait]
impl OffsetReader for Stored {
    async fn offsets(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>> {
        Ok(vec![self.0.clone(); partitions.len()])
    }
}

fn context(stored: Option<OffsetMap>) -> SourceTaskContext {
    SourceTaskContext::new(Arc::new(Stored(stored)))
}

fn position(number: i64) -> OffsetMap {
    OffsetMap::new().with("position", dray_connect::offset::Primitive::Long(number))
}

fn config(entries: &[(&str, &str)]) -> ConfigMap {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// A source task over `file`, resumed at a position.
async fn reading(file: &Path, stored: Option<i64>, more: &[(&str, &str)]) -> crate::source::FileStreamSourceTask {
    let mut config = config(&[("file", file.to_str().unwrap()), ("topic", "t")]);
    config.extend(self::config(more));
    let mut task = crate::source::FileStreamSourceTask::new();
    task.start(context(stored.map(position)), &config).await.unwrap();
    task
}

/// The lines of one poll with the positions behind them; `None` is a null position.
async fn polled(task: &mut dyn SourceTask) -> Vec<(String, Option<i64>)> {
    let mut batch = SourceBatch::new();
    task.poll(&mut batch).await.unwrap();
    rows(&batch)
}

fn rows(batch: &SourceBatch) -> Vec<(String, Option<i64>)> {
    let mut rows = Vec::new();
    for record in batch.records() {
        let Body::Data { value, .. } = &record.body else {
            panic!("not data")
        };
        rows.push((
            batch.view(value).1.as_str().unwrap().to_owned(),
            record.source_offset.to_map().long("position"),
        ));
    }
    rows
}

/// Polls until there is something; a file that is only noticed after a grace period needs more than one.
async fn next_lines(task: &mut dyn SourceTask) -> Vec<(String, Option<i64>)> {
    for _ in 0..10 {
        let lines = polled(task).await;
        if !lines.is_empty() {
            return lines;
        }
    }
    panic!("no lines in ten polls");
}

/// What the lines should be.
fn lines(expected: &[(&str, i64)]) -> Vec<(String, Option<i64>)> {
    expected
        .iter()
        .map(|(line, position)| ((*line).to_owned(), Some(*position)))
        .collect()
}
