//! `status.storage.topic`: the states of what runs here, in Kafka Connect's format, for tools that read them there. Dray itself never reads
//! it, and nothing waits for it: only the latest state of each connector and task is kept until Kafka has taken it.

use dray_connect::Result;
use dray_kafka::port::{ClientConfig, KafkaPort, NewTopic, ProduceRecord, ProducerLane};
use dray_model::WorkerId;
use dray_model::message::{RunState, TaskReport};
use dray_runtime::client_config;
use dray_runtime::config::WorkerConfig;
use dray_runtime::guard::trace;
use dray_runtime::status::Subject;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Bytes in flight: a thousand long traces.
const QUOTA: usize = 8 << 20;
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two tries.
const RETRY: Duration = Duration::from_secs(1);

/// Records that Kafka has not taken: at most one for each connector and task. None is a tombstone.
type Pending = BTreeMap<String, Option<Vec<u8>>>;

/// The topic. Dropping it ends the writer.
pub(crate) struct StatusTopic {
    shared: Arc<Shared>,
    worker_id: WorkerId,
    _writer: JoinSet<()>,
}

#[derive(Default)]
struct Shared {
    pending: Mutex<Pending>,
    wake: Notify,
}

impl StatusTopic {
    /// The topic that the worker's configuration names, if it names one. Made without talking to Kafka.
    ///
    /// # Errors
    /// When a client's settings are wrong.
    pub(crate) fn open(worker: &WorkerConfig, port: &Arc<dyn KafkaPort>, worker_id: WorkerId) -> Result<Option<Self>> {
        let keys = worker.originals();
        let Some(name) = keys.get("status.storage.topic") else {
            return Ok(None);
        };
        let number = |key: &str, default: i32| {
            keys.get(key)
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(default)
        };
        let topic = NewTopic {
            name: name.trim().to_owned(),
            partitions: number("status.storage.partitions", 5),
            replication_factor: i16::try_from(number("status.storage.replication.factor", 3)).unwrap_or(3),
            configs: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        };
        let mut settings = client_config::internal(keys, "dray-status");
        settings.insert("acks".into(), "all".into());
        let client = |error| dray_connect::Error::connect("Kafka client cannot be made").with_source(error);
        let lane = port.producer_lane(&settings, QUOTA, None).map_err(client)?;
        let shared = Arc::new(Shared::default());
        let mut writer = JoinSet::new();
        let (port, own) = (port.clone(), shared.clone());
        writer.spawn(async move {
            create(&topic, &settings, port.as_ref()).await;
            write(&topic.name, lane, &own).await;
        });
        Ok(Some(Self {
            shared,
            worker_id,
            _writer: writer,
        }))
    }

    /// The state of something that runs here.
    pub(crate) fn show(&self, subject: &Subject, report: &TaskReport) {
        let state = match report.state {
            RunState::Running => "RUNNING",
            RunState::Paused => "PAUSED",
            RunState::Restarting => "RESTARTING",
            RunState::Failed => "FAILED",
            RunState::Fencing | RunState::Starting | RunState::Stopping => return, // Connect has no word for these
        };
        self.put(subject, Some(self.value(state, report.trace.as_deref(), report)));
    }

    /// It has ended here; `deleted`: and everywhere.
    pub(crate) fn ended(&self, subject: &Subject, report: &TaskReport, deleted: bool) {
        let value = (!deleted).then(|| self.value("UNASSIGNED", None, report));
        self.put(subject, value);
    }

    fn value(&self, state: &str, trace: Option<&str>, report: &TaskReport) -> Vec<u8> {
        let value = serde_json::json!({
            "state": state,
            "trace": trace,
            "worker_id": self.worker_id.as_str(),
            "generation": report.owned.generation.get(),
        });
        value.to_string().into_bytes()
    }

    fn put(&self, subject: &Subject, value: Option<Vec<u8>>) {
        let key = match subject {
            Subject::Connector(name) => format!("status-connector-{name}"),
            Subject::Task(id) => format!("status-task-{id}"),
        };
        self.shared.pending().insert(key, value);
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        // Held for a few lines that cannot panic.
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the topic where it is missing; asks until Kafka answers.
async fn create(topic: &NewTopic, settings: &ClientConfig, port: &dyn KafkaPort) {
    loop {
        let made = match port.admin(settings) {
            Ok(admin) => admin.create_topic(topic, PATIENCE).await.map(drop),
            Err(error) => Err(error),
        };
        match made {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(topic = topic.name, error = %trace(&error), "the topic of statuses cannot be made yet");
                sleep(RETRY).await;
            }
        }
    }
}

async fn write(topic: &str, mut lane: Box<dyn ProducerLane>, shared: &Shared) {
    loop {
        let batch = std::mem::take(&mut *shared.pending());
        if batch.is_empty() {
            shared.wake.notified().await;
            continue;
        }
        let mut failed = Pending::new();
        let records: Vec<(String, Option<Vec<u8>>)> = batch.into_iter().collect();
        for (sequence, (key, value)) in (0..).zip(&records) {
            let record = ProduceRecord {
                topic,
                partition: None,
                timestamp: None,
                key: Some(key.as_bytes()),
                value: value.as_deref(),
                headers: &[],
                sequence,
            };
            loop {
                match lane.produce(&[record]) {
                    Ok(0) => lane.ready().await,
                    Ok(_) => break,
                    Err(refused) => {
                        tracing::warn!(topic, key, error = %trace(&refused.error), "a status cannot be written");
                        break; // it never will
                    }
                }
            }
        }
        let mut acks = Vec::new();
        while lane.in_flight() > 0 {
            lane.acks(&mut acks).await;
        }
        for ack in acks {
            if let Err(error) = ack.outcome {
                tracing::warn!(topic, error = %trace(&*error), "statuses could not be written; tried again");
                let again = ack.sequence as usize..ack.sequence as usize + ack.count;
                failed.extend(records[again].iter().cloned());
            }
        }
        if !failed.is_empty() {
            sleep(RETRY).await;
            let mut pending = shared.pending();
            for (key, value) in failed {
                pending.entry(key).or_insert(value); // what came meanwhile is newer
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dray_kafka::Class;
    use dray_kafka::fake::FakeKafka;
    use dray_model::message::Owned;
    use dray_model::{ConnectorName, ConnectorUid, Generation, TaskId, TaskKey};

    fn report(state: RunState, trace: Option<&str>) -> TaskReport {
        TaskReport {
            owned: Owned {
                task: TaskKey {
                    connector: ConnectorUid::FIRST,
                    number: 0,
                },
                generation: Generation::INITIAL,
            },
            state,
            trace: trace.map(str::to_owned),
            restarts: 0,
            cost: None,
            tripped: false,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn states_are_written_as_connect_writes_them_and_survive_a_refusal() {
        let kafka = FakeKafka::new();
        let string = "org.apache.kafka.connect.storage.StringConverter";
        let keys = [
            ("status.storage.topic", "statuses"),
            ("status.storage.partitions", "1"),
            ("key.converter", string),
            ("value.converter", string),
        ];
        let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let worker = WorkerConfig::parse(&keys).unwrap();
        let port: Arc<dyn KafkaPort> = Arc::new(kafka.clone());
        let topic = StatusTopic::open(&worker, &port, WorkerId::from("w:8083"))
            .unwrap()
            .unwrap();
        let name = ConnectorName::try_from("c").unwrap();
        let task = Subject::Task(TaskId::new(name.clone(), 0));
        kafka.fail_next(Class::Retriable, 1);
        topic.show(&task, &report(RunState::Failed, Some("why")));
        topic.show(&Subject::Connector(name), &report(RunState::Running, None));
        topic.show(&task, &report(RunState::Starting, None));
        let written = || {
            let text = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8(bytes).unwrap());
            let records = kafka.records("statuses").into_iter();
            let mut all: Vec<_> = records
                .map(|record| (text(record.key).unwrap(), text(record.value)))
                .collect();
            all.sort();
            all
        };
        let until = |count: usize| async move {
            while written().len() < count {
                sleep(Duration::from_millis(10)).await;
            }
        };
        until(2).await;
        let value = |state: &str, trace: &str| {
            Some(format!(
                r#"{{"state":"{state}","trace":{trace},"worker_id":"w:8083","generation":1}}"#
            ))
        };
        let expected = [
            ("status-connector-c".to_owned(), value("RUNNING", "null")),
            ("status-task-c-0".to_owned(), value("FAILED", "\"why\"")),
        ];
        assert_eq!(written(), expected);
        topic.ended(&task, &report(RunState::Stopping, None), true);
        until(3).await;
        assert!(
            written().contains(&("status-task-c-0".to_owned(), None)),
            "a deleted task has a tombstone"
        );
    }
}
