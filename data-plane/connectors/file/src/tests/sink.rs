//! The sink: text, appending, durability and failures.

use super::config;
use crate::output::Output;
use crate::sink::{FileStreamSinkConnector, FileStreamSinkTask};
use dray_connect::backing::Backing;
use dray_connect::connector::{SinkConnector, SinkOffsets, SinkTask};
use dray_connect::context::{ConnectorContext, SinkTaskContext};
use dray_connect::datum::Field;
use dray_connect::sink_batch::{SinkBatch, SinkRecordData, TimestampType, TopicPartition};
use dray_connect::value::Value;
use std::error::Error as _;
use std::path::Path;

fn batch(values: impl IntoIterator<Item = Value>) -> SinkBatch {
    let mut batch = SinkBatch::new(Backing::default());
    let topic = batch.backing_mut().topic(&"t".into());
    for (offset, value) in (0..).zip(values) {
        let value = batch.backing_mut().value(&value);
        batch.push(SinkRecordData {
            topic,
            partition: 0,
            offset,
            timestamp: None,
            timestamp_type: TimestampType::None,
            key: Field::default(),
            value: Field::schemaless(value),
            headers: None,
            fetched: offset as u32,
        });
    }
    batch
}

fn offsets() -> SinkOffsets {
    SinkOffsets::from([(
        TopicPartition {
            topic: "t".into(),
            partition: 0,
        },
        3,
    )])
}

async fn writing(file: &Path) -> FileStreamSinkTask {
    let mut task = FileStreamSinkTask::new();
    task.start(
        SinkTaskContext::new(false),
        &config(&[("file", file.to_str().unwrap())]),
    )
    .await
    .unwrap();
    task
}

#[tokio::test]
async fn values_are_appended_as_java_prints_them() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("out.txt");
    std::fs::write(&file, "before\n").unwrap();
    let mut task = writing(&file).await;
    let map = Value::Map(vec![
        (Value::string("a"), Value::Int32(1)),
        (Value::string("b"), Value::string("x")),
    ]);
    let list = Value::Array(vec![Value::Int32(1), Value::Int32(2)]);
    task.put(&batch([
        Value::string("é €"),
        Value::Null,
        Value::Int64(-3),
        Value::Float64(1e10),
    ]))
    .await
    .unwrap();
    task.put(&batch([])).await.unwrap();
    task.put(&batch([
        Value::Float32(1.0),
        Value::Boolean(true),
        map,
        list,
        Value::string(""),
    ]))
    .await
    .unwrap();
    assert_eq!(task.pre_commit(&offsets()).await.unwrap(), offsets());
    task.stop().await.unwrap();
    let expected = "before\né €\nnull\n-3\n1.0E10\n1.0\ntrue\n{a=1, b=x}\n[1, 2]\n\n";
    assert_eq!(std::fs::read_to_string(&file).unwrap(), expected);
}

#[tokio::test]
async fn a_full_disk_fails_the_task_and_commits_nothing() {
    let mut task = writing(Path::new("/dev/full")).await;
    assert!(task.pre_commit(&offsets()).await.is_ok(), "nothing was put yet");
    let error = task.put(&batch([Value::string("lost")])).await.unwrap_err();
    assert_eq!(error.to_string(), "could not write to '/dev/full'");
    assert!(
        error.source().unwrap().to_string().contains("No space left"),
        "{:?}",
        error.source()
    );
    assert!(!error.is_retriable());
    assert!(task.put(&batch([Value::string("more")])).await.is_err());
    for _ in 0..2 {
        let error = task.pre_commit(&offsets()).await.unwrap_err();
        assert_eq!(error.to_string(), "could not sync '/dev/full'");
    }
    task.stop().await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_opened_fails_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("no/such/out.txt");
    let config = config(&[("file", file.to_str().unwrap())]);
    let error = FileStreamSinkTask::new()
        .start(SinkTaskContext::new(false), &config)
        .await
        .unwrap_err();
    let expected = format!(
        "Couldn't find or create file '{}' for FileStreamSinkTask",
        file.display()
    );
    assert_eq!(error.to_string(), expected);
    assert!(error.source().is_some());
}

#[tokio::test]
async fn batches_of_several_tasks_stay_in_one_piece() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("out.txt");
    let mut tasks = tokio::task::JoinSet::new();
    for name in ["a", "b", "c"] {
        let mut task = writing(&file).await;
        tasks.spawn(async move {
            for _ in 0..50 {
                task.put(&batch(vec![Value::string(name); 100])).await.unwrap();
            }
            task.stop().await.unwrap();
        });
    }
    tasks.join_all().await;
    let text = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 15_000);
    assert!(
        lines
            .chunks(100)
            .all(|chunk| chunk.iter().all(|line| *line == chunk[0]))
    );
}

/// The kernel's limit on the size of files stands for a full disk: it ends a write in the middle. It holds for the whole
/// process, so the test runs itself again in a process of its own.
#[test]
fn a_half_written_batch_is_taken_back() {
    const CHILD: &str = "DRAY_TEST_FILE_LIMIT";
    if let Some(file) = std::env::var_os(CHILD) {
        let mut output = Output::file(Path::new(&file)).unwrap();
        output.lines = b"good\n".to_vec();
        output.write();
        output.outcome.as_ref().unwrap();
        output.lines = vec![b'x'; 4000];
        output.write();
        let error = output.outcome.as_ref().unwrap_err();
        assert!(
            error.to_string().ends_with("the part that was written was taken back"),
            "{error}"
        );
        output.sync();
        assert!(output.outcome.is_err());
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("out.txt");
    let test = "tests::sink::a_half_written_batch_is_taken_back";
    // One block of `ulimit -f` is 512 or 1024 bytes. The signal that comes with the error is ignored.
    let script = format!("trap '' XFSZ; ulimit -f 2; exec \"$0\" --exact {test} --nocapture");
    let child = std::process::Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, &file)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stderr));
    assert!(
        String::from_utf8_lossy(&child.stdout).contains("1 passed"),
        "the test has another name now"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "good\n");
}

#[tokio::test]
async fn the_connector_gives_every_task_the_same_file() {
    let (requests, _receiver) = tokio::sync::mpsc::channel(1);
    let mut connector = FileStreamSinkConnector::new();
    let config = config(&[("file", "f")]);
    connector
        .start(ConnectorContext::new(requests, None), &config)
        .await
        .unwrap();
    assert_eq!(
        connector.task_configs(3).unwrap(),
        [config.clone(), config.clone(), config.clone()]
    );
    assert!(
        connector
            .alter_offsets(
                &config,
                &offsets().into_iter().map(|(at, offset)| (at, Some(offset))).collect()
            )
            .unwrap()
    );
}

#[tokio::test]
async fn a_half_line_of_a_killed_process_is_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("out.txt");
    std::fs::write(&file, "whole\nha").unwrap();
    let mut task = writing(&file).await;
    task.put(&batch([Value::String("half".into())])).await.unwrap();
    task.stop().await.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "whole\nha\nhalf\n");
}
