//! A worker over the fake Kafka, a store of offsets in memory, and connectors that misbehave on demand.

use async_trait::async_trait;
use dray_connect::backing::Backing;
use dray_connect::config::ConfigDef;
use dray_connect::connector::{
    ConnectorPlugin, Make, SinkConnector, SinkOffsets, SinkTask, SourceConnector, SourceTask,
};
use dray_connect::context::{ConnectorContext, SinkTaskContext, SourceTaskContext};
use dray_connect::datum::{Datum, Utf8Span};
use dray_connect::offset::{OffsetMap, Primitive, SourceOffset, SourcePartition};
use dray_connect::schema::Schema;
use dray_connect::sink_batch::{SinkBatch, TopicPartition};
use dray_connect::source_batch::{Body, Field, SourceBatch, SourceRecord};
use dray_connect::{ConfigMap, Error, Result};
use dray_kafka::fake::FakeKafka;
use dray_model::{ConnectorName, ConnectorState, Generation, TargetState, TaskId, TaskState};
use dray_runtime::config::WorkerConfig;
use dray_runtime::crew::Crew;
use dray_runtime::guard::trace;
use dray_runtime::offsets::{OffsetEntry, OffsetStore, key_json};
use dray_runtime::status::{StatusBoard, TaskSelf};
use dray_runtime::worker::{Running, Worker};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Offsets in memory.
#[derive(Default)]
pub(crate) struct MemOffsets {
    stored: Mutex<BTreeMap<String, OffsetMap>>,
    /// Commits wait for their turn, which comes when somebody is in a hurry.
    turn: Option<Notify>,
}

impl MemOffsets {
    /// The stored position of a connector's only source partition.
    pub(crate) fn position(&self, connector: &str) -> Option<i64> {
        self.stored
            .lock()
            .unwrap()
            .get(&key_json(connector, &partition()))
            .and_then(|offset| offset.long("position"))
    }
}

#[async_trait]
impl OffsetStore for MemOffsets {
    async fn read(&self, connector: &str, partitions: &[SourcePartition]) -> Result<Vec<Option<OffsetMap>>> {
        let stored = self.stored.lock().unwrap();
        Ok(partitions
            .iter()
            .map(|partition| stored.get(&key_json(connector, partition)).cloned())
            .collect())
    }

    async fn list(&self, connector: &str) -> Result<Vec<(OffsetMap, OffsetMap)>> {
        let stored = self.stored.lock().unwrap();
        let of_connector = stored.iter().filter_map(|(key, offset)| {
            let (whose, partition): (String, serde_json::Value) = serde_json::from_str(key).unwrap();
            (whose == connector).then(|| (OffsetMap::from_json(&partition).unwrap(), offset.clone()))
        });
        Ok(of_connector.collect())
    }

    async fn commit(&self, entries: Vec<OffsetEntry>) -> Result<()> {
        if let Some(turn) = &self.turn {
            turn.notified().await;
        }
        self.store(entries);
        Ok(())
    }

    async fn commit_at_once(&self, entries: Vec<OffsetEntry>) -> Result<()> {
        if let Some(turn) = &self.turn {
            turn.notify_waiters();
        }
        self.store(entries);
        Ok(())
    }
}

impl MemOffsets {
    fn store(&self, entries: Vec<OffsetEntry>) {
        for entry in entries {
            let key = key_json(entry.task.connector.as_str(), &entry.partition);
            self.stored.lock().unwrap().insert(key, entry.offset.unwrap());
        }
    }
}

fn partition() -> SourcePartition {
    Arc::new(OffsetMap::new().with("counter", Primitive::Long(1)))
}

/// A worker with everything that a test looks at.
pub(crate) struct Stage {
    pub(crate) kafka: FakeKafka,
    pub(crate) offsets: Arc<MemOffsets>,
    pub(crate) worker: Worker,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::over(MemOffsets::default())
    }

    /// Commits wait until somebody is in a hurry.
    pub(crate) fn with_turns() -> Self {
        Self::over(MemOffsets {
            turn: Some(Notify::new()),
            ..MemOffsets::default()
        })
    }

    fn over(offsets: MemOffsets) -> Self {
        let (kafka, offsets) = (FakeKafka::new(), Arc::new(offsets));
        let string = "org.apache.kafka.connect.storage.StringConverter";
        let config = map(&[("key.converter", string), ("value.converter", string)]);
        let plugins = vec![&SOURCE, &SINK, &UNMAKEABLE, &NO_SOURCE_TASK, &NO_SINK_TASK];
        let worker = Worker::new(
            WorkerConfig::parse(&config).unwrap(),
            Arc::new(kafka.clone()),
            offsets.clone(),
            plugins,
            StatusBoard::default(),
        );
        Self { kafka, offsets, worker }
    }

    /// Over a real broker; the Kafka of the stage is not used then.
    pub(crate) fn on_kafka(kafka: dray_kafka::Kafka, servers: &str) -> Self {
        let mut stage = Self::new();
        let string = "org.apache.kafka.connect.storage.StringConverter";
        let config = map(&[
            ("key.converter", string),
            ("value.converter", string),
            ("bootstrap.servers", servers),
            ("offset.flush.interval.ms", "200"),
        ]);
        stage.worker = Worker::new(
            WorkerConfig::parse(&config).unwrap(),
            Arc::new(kafka),
            stage.offsets.clone(),
            vec![&SOURCE, &SINK],
            StatusBoard::default(),
        );
        stage
    }

    /// Connectors and tasks on a crew of so many threads, in real time.
    pub(crate) fn on_crew(size: usize) -> Self {
        let mut stage = Self::new();
        stage.worker = stage.worker.with_crew(Arc::new(Crew::start(size).unwrap()));
        stage
    }

    /// Starts task 0 of a connector.
    pub(crate) fn task(&self, name: &str, config: &[(&str, &str)]) -> Running {
        let mut config = map(config);
        config.insert("name".into(), name.into());
        self.task_from(name, &config)
    }

    /// Starts task 0 of a connector from a whole configuration.
    pub(crate) fn task_from(&self, name: &str, config: &ConfigMap) -> Running {
        self.worker
            .start_task(&id(name), Generation::INITIAL, config, config, TargetState::Started)
            .unwrap()
    }

    /// Whether task 0 of a connector failed because its breaker tripped.
    pub(crate) fn tripped(&self, name: &str) -> bool {
        self.worker.board().watch().borrow().tasks[&id(name)].tripped
    }

    /// The state of task 0 of a connector.
    pub(crate) fn state(&self, name: &str) -> TaskState {
        self.worker.board().watch().borrow().tasks[&id(name)].state
    }

    /// Waits until a connector is in a state; returns the trace.
    pub(crate) async fn wait_for_connector(&self, name: &ConnectorName, state: ConnectorState) -> Option<String> {
        let mut board = self.worker.board().watch();
        let seen = board.wait_for(|all| all.connectors.get(name).is_some_and(|entry| entry.state == state));
        let all = tokio::time::timeout(Duration::from_secs(60), seen)
            .await
            .expect("the state is reached")
            .unwrap();
        all.connectors[name].trace.clone()
    }

    /// Waits until a task is in a state; returns the trace.
    pub(crate) async fn wait_for(&self, name: &str, state: TaskState) -> Option<String> {
        let mut board = self.worker.board().watch();
        let seen = board.wait_for(|all| all.tasks.get(&id(name)).is_some_and(|entry| entry.state == state));
        let all = tokio::time::timeout(Duration::from_secs(60), seen)
            .await
            .expect("the state is reached")
            .unwrap();
        all.tasks[&id(name)].trace.clone()
    }

    /// Values of a topic.
    pub(crate) fn values(&self, topic: &str) -> Vec<String> {
        let text = |value: Option<Vec<u8>>| String::from_utf8(value.unwrap()).unwrap();
        self.kafka
            .records(topic)
            .into_iter()
            .map(|record| text(record.value))
            .collect()
    }
}

/// A source task on its own.
pub(crate) fn counter() -> Box<dyn SourceTask> {
    Box::new(Counter::default())
}

/// A sink task on its own.
pub(crate) fn keeper() -> Box<dyn SinkTask> {
    Box::new(Keeper::default())
}

/// A task without its supervisor: when it fails, it is shown as failed.
pub(crate) async fn shown(me: TaskSelf, work: impl Future<Output = Result<()>>) {
    if let Err(error) = work.await {
        me.report(TaskState::Failed, Some(trace(&error)));
    }
}

pub(crate) fn id(name: &str) -> TaskId {
    TaskId::new(ConnectorName::try_from(name).unwrap(), 0)
}

pub(crate) fn map(pairs: &[(&str, &str)]) -> ConfigMap {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Waits (on paused time) until something holds.
pub(crate) async fn until(mut met: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !met() {
        assert!(Instant::now() < deadline, "it never happened");
        tokio::time::advance(Duration::from_millis(10)).await;
        tokio::task::yield_now().await;
    }
}

/// The shelves of those that have begun to misbehave, and how often.
static REACHED: Mutex<BTreeMap<String, u32>> = Mutex::new(BTreeMap::new());

/// Waits until the task or connector with this `shelf` misbehaves.
pub(crate) async fn misbehaves(shelf: &str) {
    until(|| has_misbehaved(shelf)).await;
}

/// Whether it has begun to.
pub(crate) fn has_misbehaved(shelf: &str) -> bool {
    REACHED.lock().unwrap().contains_key(shelf)
}

/// How often the call that its configuration names was made.
pub(crate) fn reached(shelf: &str) -> u32 {
    REACHED.lock().unwrap().get(shelf).copied().unwrap_or_default()
}

static GATE: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// Takes its thread until [`unblock_all`].
fn block() {
    let open = GATE.0.lock().unwrap();
    drop(GATE.1.wait_while(open, |open| !*open).unwrap());
}

/// Lets everything that blocks go on, from now on.
pub(crate) fn unblock_all() {
    *GATE.0.lock().unwrap() = true;
    GATE.1.notify_all();
}

/// [`misbehave`] in a call that does not wait.
fn misbehave_now(config: &ConfigMap, call: &str) -> Result<()> {
    futures::FutureExt::now_or_never(misbehave(config, call))
        .expect("a call that does not wait cannot hang on paused time")
}

/// Misbehaves if the configuration names this call.
async fn misbehave(config: &ConfigMap, call: &str) -> Result<()> {
    if config.get("fault.call").map(String::as_str) != Some(call) {
        return Ok(());
    }
    let shelf = config.get("shelf").cloned().unwrap_or_default();
    let times = {
        let mut reached = REACHED.lock().unwrap();
        let times = reached.entry(shelf).or_insert(0);
        *times += 1;
        *times
    };
    // Which of these calls fail; all, when it is not said.
    let fails = |calls: &String| calls.split(' ').any(|call| call.parse() == Ok(times));
    if !config.get("fault.on").is_none_or(fails) {
        return Ok(());
    }
    match config["fault.kind"].as_str() {
        "hang" => std::future::pending().await,
        "block" => {
            block();
            Ok(())
        }
        "panic" => panic!("asked to"),
        "retriable" => Err(Error::retriable("asked to")),
        "data" => Err(Error::data("asked to")),
        _ => Err(Error::connect("asked to")),
    }
}

static SOURCE: ConnectorPlugin = ConnectorPlugin {
    class: "Counter",
    aliases: &[],
    task_class: "CounterTask",
    version: "1",
    make: Make::Source(|| Box::new(Counter::default())),
};

static SINK: ConnectorPlugin = ConnectorPlugin {
    class: "Keeper",
    aliases: &[],
    task_class: "KeeperTask",
    version: "1",
    make: Make::Sink(|| Box::new(Keeper::default())),
};

/// Panics when an instance is made.
static UNMAKEABLE: ConnectorPlugin = ConnectorPlugin {
    class: "Unmakeable",
    aliases: &[],
    task_class: "UnmakeableTask",
    version: "1",
    make: Make::Source(|| panic!("asked to")),
};

/// Panic when a task is made.
static NO_SOURCE_TASK: ConnectorPlugin = ConnectorPlugin {
    class: "NoSourceTask",
    make: Make::Source(|| {
        Box::new(Counter {
            no_task: true,
            ..Counter::default()
        })
    }),
    ..SOURCE
};
static NO_SINK_TASK: ConnectorPlugin = ConnectorPlugin {
    class: "NoSinkTask",
    make: Make::Sink(|| {
        Box::new(Keeper {
            no_task: true,
            ..Keeper::default()
        })
    }),
    ..SINK
};

/// Sends the numbers from its offset up to `count`.
#[derive(Default)]
pub(crate) struct Counter {
    def: Option<ConfigDef>,
    config: ConfigMap,
    next: i64,
    no_task: bool,
}

#[async_trait]
impl SourceConnector for Counter {
    fn config_def(&self) -> &ConfigDef {
        self.def.as_ref().expect("nobody asks in these tests")
    }
    async fn start(&mut self, _context: ConnectorContext, config: &ConfigMap) -> Result<()> {
        self.config = config.clone();
        misbehave(config, "connector.start").await
    }
    fn task_configs(&self, _max: usize) -> Result<Vec<ConfigMap>> {
        misbehave_now(&self.config, "taskConfigs")?;
        let mut config = map(&[("count", &self.config["count"])]);
        // What only its tasks have.
        let extra = self.config.get("extra").cloned();
        config.extend(extra.map(|extra| ("own".to_owned(), extra)));
        Ok(vec![config; self.config["tasks"].parse().unwrap()])
    }
    fn task(&self) -> Box<dyn SourceTask> {
        assert!(!self.no_task, "asked to");
        Box::new(Self::default())
    }
    async fn stop(&mut self) -> Result<()> {
        misbehave(&self.config, "connector.stop").await
    }
}

#[async_trait]
impl SourceTask for Counter {
    async fn start(&mut self, context: SourceTaskContext, config: &ConfigMap) -> Result<()> {
        self.config = config.clone();
        misbehave(config, "start").await?;
        let stored = context.offset_reader().offsets(&[partition()]).await?;
        self.next = stored[0]
            .as_ref()
            .and_then(|offset| offset.long("position"))
            .unwrap_or(0);
        Ok(())
    }
    async fn poll(&mut self, batch: &mut SourceBatch) -> Result<()> {
        misbehave(&self.config, "poll").await?;
        let count: i64 = self.config["count"].parse().unwrap();
        if self.next >= count {
            tokio::time::sleep(Duration::from_secs(1)).await;
            return Ok(());
        }
        let (topic, source_partition) = (
            batch.topic(&self.config["topic"].as_str().into()),
            batch.source_partition(&partition()),
        );
        let schema = Some(batch.schema(&Schema::string()));
        // So that records have a size.
        let width = self.config.get("width").map_or(0, |width| width.parse().unwrap());
        for _ in 0..10.min(count - self.next) {
            let span = batch.backing_mut().copy(format!("{:0width$}", self.next).as_bytes());
            let datum = Datum::Str(utf8(batch.backing(), span));
            self.next += 1;
            batch.push(SourceRecord {
                topic,
                kafka_partition: None,
                timestamp: None,
                source_partition,
                source_offset: SourceOffset::Long {
                    field: "position",
                    value: self.next,
                },
                body: Body::Data {
                    key: Field::default(),
                    value: Field { schema, datum },
                    headers: None,
                },
            });
        }
        Ok(())
    }
    async fn committed(&mut self, _offsets: &[(SourcePartition, OffsetMap)]) -> Result<()> {
        misbehave(&self.config, "committed").await
    }
    async fn stop(&mut self) -> Result<()> {
        misbehave(&self.config, "stop").await
    }
}

fn utf8(backing: &Backing, span: dray_connect::backing::Span) -> Utf8Span {
    Utf8Span::new(backing, span).unwrap()
}

/// What all keepers were given, by `shelf` of their configuration.
pub(crate) static SHELVES: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

/// Keeps the text of each value.
#[derive(Default)]
pub(crate) struct Keeper {
    def: Option<ConfigDef>,
    config: ConfigMap,
    puts: u32,
    no_task: bool,
}

#[async_trait]
impl SinkConnector for Keeper {
    fn config_def(&self) -> &ConfigDef {
        self.def.as_ref().expect("nobody asks in these tests")
    }
    async fn start(&mut self, _context: ConnectorContext, config: &ConfigMap) -> Result<()> {
        self.config = config.clone();
        Ok(())
    }
    fn task_configs(&self, max: usize) -> Result<Vec<ConfigMap>> {
        Ok(vec![self.config.clone(); max])
    }
    fn task(&self) -> Box<dyn SinkTask> {
        assert!(!self.no_task, "asked to");
        Box::new(Self::default())
    }
    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

#[async_trait]
impl SinkTask for Keeper {
    async fn start(&mut self, _context: SinkTaskContext, config: &ConfigMap) -> Result<()> {
        self.config = config.clone();
        misbehave(config, "start").await
    }
    async fn open(&mut self, _partitions: &[TopicPartition]) -> Result<()> {
        misbehave(&self.config, "open").await
    }
    async fn close(&mut self, _partitions: &[TopicPartition]) -> Result<()> {
        misbehave(&self.config, "close").await
    }
    async fn put(&mut self, batch: &SinkBatch) -> Result<()> {
        self.puts += 1;
        // `retriable` is cured by the third try.
        if self
            .config
            .get("fault.kind")
            .is_none_or(|kind| kind != "retriable" || self.puts < 3)
        {
            misbehave(&self.config, "put").await?;
        }
        let texts = || batch.iter().map(|record| record.value().to_value().java_to_string());
        let refuses = self.config.get("refuses").map_or("", String::as_str);
        if texts().any(|text| refuses.split(' ').any(|refused| refused == text)) {
            return Err(Error::data("it refuses a record, and does not say which"));
        }
        let mut shelves = SHELVES.lock().unwrap();
        let shelf = shelves.entry(self.config["shelf"].clone()).or_default();
        shelf.extend(texts());
        Ok(())
    }
    async fn pre_commit(&mut self, offsets: &SinkOffsets) -> Result<SinkOffsets> {
        misbehave(&self.config, "flush").await?;
        let hold = self.config.get("hold.back").map_or(0, |hold| hold.parse().unwrap());
        Ok(offsets
            .iter()
            .map(|(partition, offset)| (partition.clone(), offset - hold))
            .collect())
    }
    async fn stop(&mut self) -> Result<()> {
        misbehave(&self.config, "stop").await
    }
}
