//! Datagen against an in-memory offset store, on paused time.

use super::*;
use dray_connect::context::OffsetReader;
use dray_connect::offset::{Primitive, SourcePartition};
use dray_connect::source_batch::Body;
use dray_connect::value::Value;
use std::sync::Arc;

struct Stored(Option<i64>);

#[async_trait]
impl OffsetReader for Stored {
    async fn offsets(&self, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>> {
        let offset = self
            .0
            .map(|number| OffsetMap::new().with(SEQUENCE, Primitive::Long(number)));
        Ok(vec![offset; partitions.len()])
    }
}

fn config(entries: &[(&str, &str)]) -> ConfigMap {
    let all = [("topic", "t"), ("rate", "0")].iter().chain(entries);
    all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

async fn started(stored: Option<i64>, entries: &[(&str, &str)]) -> DatagenSourceTask {
    let mut task = DatagenSourceTask::new();
    task.start(SourceTaskContext::new(Arc::new(Stored(stored))), &config(entries))
        .await
        .unwrap();
    task
}

async fn polled(task: &mut DatagenSourceTask) -> Vec<(Value, Value, OffsetMap)> {
    let mut batch = SourceBatch::new();
    task.poll(&mut batch).await.unwrap();
    let row = |record: &dray_connect::source_batch::SourceRecord| {
        let Body::Data { key, value, .. } = &record.body else {
            panic!("not data")
        };
        (
            batch.view(key).1.to_value(),
            batch.view(value).1.to_value(),
            record.source_offset.to_map(),
        )
    };
    batch.records().iter().map(row).collect()
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_records_and_a_restart_goes_on() {
    for shape in ["text", "struct"] {
        let entries = [("schema", shape), ("count", "50"), ("key", "sequence"), ("seed", "7")];
        let all = polled(&mut started(None, &entries).await).await;
        assert_eq!(all.len(), 50);
        assert_eq!(all[49].2.long(SEQUENCE), Some(50));
        assert_eq!(all[3].0, Value::string("3"));
        let mut resumed = started(Some(20), &entries).await;
        assert_eq!(polled(&mut resumed).await, all[20..]);
        let more = tokio::time::timeout(Duration::from_secs(3600), polled(&mut resumed)).await;
        assert!(
            more.is_err(),
            "the count is reached, and nobody is woken up for nothing"
        );
        let other = polled(&mut started(None, &[("schema", shape), ("count", "50"), ("seed", "8")]).await).await;
        assert_ne!(other[5].1, all[5].1);
        assert_eq!(other[5].0, Value::Null);
    }
}

#[tokio::test(start_paused = true)]
async fn texts_have_the_size_that_was_asked_for() {
    for size in [0, 1, 2, 17, 5000, 100_000] {
        let mut task = started(None, &[("value.bytes", &size.to_string())]).await;
        let records = polled(&mut task).await;
        assert!(!records.is_empty() && records.len() <= 10_000);
        assert!(
            records
                .iter()
                .all(|(_, value, _)| value.as_str().unwrap().len() == size)
        );
    }
}

#[tokio::test(start_paused = true)]
async fn records_come_at_their_rate() {
    let mut task = started(None, &[("rate", "500")]).await;
    let begin = Instant::now();
    let mut records = 0;
    while begin.elapsed() < Duration::from_secs(10) {
        records += polled(&mut task).await.len();
    }
    assert!((5000..=5002).contains(&records), "{records}");
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert!(polled(&mut task).await.len() <= 501, "an hour's debt is forgotten");
}

#[test]
fn wrong_configurations_are_named() {
    let error = Plan::new(&config(&[("schema", "xml")])).unwrap_err().to_string();
    assert_eq!(
        error,
        "Invalid value xml for configuration schema: String must be one of: text, struct"
    );
    let error = Plan::new(&config(&[("rate", "-1")])).unwrap_err().to_string();
    assert_eq!(
        error,
        "Invalid value -1 for configuration rate: Value must be at least 0"
    );
    let defaults = Plan::new(&ConfigMap::from([("topic".into(), "t".into())])).unwrap();
    assert_eq!(defaults.rate.map(NonZeroU64::get), Some(100));
}

#[tokio::test]
async fn offsets_are_checked() {
    let connector = DatagenSourceConnector::new();
    let offset = |number| Some(OffsetMap::new().with(SEQUENCE, Primitive::Long(number)));
    assert!(
        connector
            .alter_offsets(&ConfigMap::new(), &[(None, offset(3)), (None, None)])
            .unwrap()
    );
    assert!(
        connector
            .alter_offsets(&ConfigMap::new(), &[(None, offset(-1))])
            .is_err()
    );
    assert!(
        connector
            .alter_offsets(&ConfigMap::new(), &[(None, Some(OffsetMap::new()))])
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn several_tasks_generate_records_of_their_own() {
    let mut connector = DatagenSourceConnector::new();
    let (requests, _receiver) = tokio::sync::mpsc::channel(1);
    let entries = [("tasks", "3"), ("count", "5"), ("key", "sequence")];
    connector
        .start(ConnectorContext::new(requests, None), &config(&entries))
        .await
        .unwrap();
    assert_eq!(connector.task_configs(2).unwrap().len(), 2, "tasks.max is the limit");
    let configs = connector.task_configs(10).unwrap();
    assert_eq!(configs.len(), 3);
    let mut seen = Vec::new();
    for config in &configs {
        let mut task = DatagenSourceTask::new();
        task.start(SourceTaskContext::new(Arc::new(Stored(None))), config)
            .await
            .unwrap();
        let mut batch = SourceBatch::new();
        task.poll(&mut batch).await.unwrap();
        let record = &batch.records()[0];
        let Body::Data { value, .. } = &record.body else {
            panic!("not data")
        };
        let partition = batch.source_partitions()[0].to_json();
        seen.push((partition, batch.view(value).1.to_value()));
    }
    assert_eq!(
        seen[0].0, r#"{"topic":"t"}"#,
        "the first one is where one task alone would be"
    );
    assert_eq!(seen[2].0, r#"{"topic":"t","task":2}"#);
    assert_ne!(seen[0].1, seen[1].1);
    assert_ne!(seen[1].1, seen[2].1);
}
