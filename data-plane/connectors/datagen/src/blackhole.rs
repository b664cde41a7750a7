//! The blackhole sink: takes every record, counts it and forgets it.

use dray_connect::config::{ConfigDef, ConfigMap};
use dray_connect::connector::{SinkConnector, SinkOffsetChanges, SinkTask};
use dray_connect::context::{ConnectorContext, SinkTaskContext};
use dray_connect::sink_batch::SinkBatch;
use dray_connect::{Result, async_trait};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tracing::info;

/// Has no configuration of its own.
#[derive(Debug, Default)]
pub struct BlackholeSinkConnector {
    config_def: ConfigDef,
    config: ConfigMap,
    received: Arc<AtomicU64>,
}

impl BlackholeSinkConnector {
    /// Not yet started.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records that the tasks of this instance have taken.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl SinkConnector for BlackholeSinkConnector {
    fn config_def(&self) -> &ConfigDef {
        &self.config_def
    }

    async fn start(&mut self, _context: ConnectorContext, config: &ConfigMap) -> Result<()> {
        self.config = config.clone();
        Ok(())
    }

    fn task_configs(&self, max_tasks: usize) -> Result<Vec<ConfigMap>> {
        Ok(vec![self.config.clone(); max_tasks])
    }

    fn task(&self) -> Box<dyn SinkTask> {
        Box::new(BlackholeSinkTask {
            received: 0,
            total: self.received.clone(),
        })
    }

    fn alter_offsets(&self, _config: &ConfigMap, _offsets: &SinkOffsetChanges) -> Result<bool> {
        Ok(true)
    }

    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Counts records.
#[derive(Debug)]
pub struct BlackholeSinkTask {
    received: u64,
    total: Arc<AtomicU64>,
}

#[async_trait]
impl SinkTask for BlackholeSinkTask {
    async fn start(&mut self, _context: SinkTaskContext, _config: &ConfigMap) -> Result<()> {
        Ok(())
    }

    async fn put(&mut self, batch: &SinkBatch) -> Result<()> {
        self.received += batch.len() as u64;
        self.total.fetch_add(batch.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    async fn stop(&mut self) -> Result<()> {
        info!(records = self.received, "blackhole task took its last record");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dray_connect::backing::Backing;
    use dray_connect::datum::Field;
    use dray_connect::sink_batch::{SinkRecordData, TimestampType};

    #[tokio::test]
    async fn every_record_is_counted() {
        let mut connector = BlackholeSinkConnector::new();
        let (requests, _receiver) = tokio::sync::mpsc::channel(1);
        connector
            .start(ConnectorContext::new(requests, None), &ConfigMap::new())
            .await
            .unwrap();
        assert_eq!(connector.task_configs(3).unwrap().len(), 3);
        let mut batch = SinkBatch::new(Backing::default());
        let topic = batch.backing_mut().topic(&"t".into());
        for offset in 0..5 {
            batch.push(SinkRecordData {
                topic,
                partition: 0,
                offset,
                timestamp: None,
                timestamp_type: TimestampType::None,
                key: Field::default(),
                value: Field::default(),
                headers: None,
                fetched: 0,
            });
        }
        for _ in 0..2 {
            let mut task = connector.task();
            task.start(SinkTaskContext::new(false), &ConfigMap::new())
                .await
                .unwrap();
            task.put(&batch).await.unwrap();
            task.stop().await.unwrap();
        }
        assert_eq!(connector.received(), 10);
    }
}
