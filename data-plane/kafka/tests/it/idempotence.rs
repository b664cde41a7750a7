//! What only the wire client does: nothing is stored twice or overtaken whatever is lost on the way, and whoever takes a name over shuts
//! its former owner out.

use super::*;
use dray_kafka::Class;
use dray_kafka::port::{HeaderRef, TailRecord};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A broker of the test's own.
struct Broker {
    script: PathBuf,
    folder: tempfile::TempDir,
    address: String,
    port: String,
}

impl Broker {
    fn start(settings: &str) -> Self {
        let script = std::env::var("DRAY_TEST_KAFKA_SH").expect("DRAY_TEST_KAFKA_SH starts brokers: run `make test`");
        let script = PathBuf::from(script);
        let port = run(Command::new(&script).arg("freeport")).trim().to_owned();
        let broker = Self {
            script,
            folder: tempfile::tempdir().expect("a folder"),
            address: format!("127.0.0.1:{port}"),
            port,
        };
        broker.run("start", settings);
        broker
    }

    fn run(&self, what: &str, settings: &str) {
        let mut command = Command::new(&self.script);
        command
            .env("DRAY_BROKER_EXTRA", settings)
            .arg(what)
            .arg(self.folder.path());
        if what == "start" {
            command.arg(&self.port);
        }
        run(&mut command);
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.run("kill9", "");
    }
}

pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Passes bytes on, and cuts every connection whenever it is told to.
struct Proxy {
    address: String,
    cuts: watch::Sender<u64>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    async fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        (listener, address)
    }

    fn start(listener: TcpListener, address: String, to: String) -> Self {
        let cuts = watch::Sender::new(0);
        let told = cuts.subscribe();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let (to, mut told) = (to.clone(), told.clone());
                told.mark_unchanged();
                connections.spawn(async move {
                    let Ok(mut broker) = TcpStream::connect(&to).await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut broker) => {}
                        _ = told.changed() => {}
                    }
                });
            }
        });
        Self {
            address,
            cuts,
            _tasks: tasks,
        }
    }

    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

/// All values of a topic, by partition.
async fn log(client: &ClientConfig, topic: &str) -> BTreeMap<i32, Vec<u64>> {
    let mut tail = RdKafka::new().tail(client, topic).expect("tail");
    let mut values: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
    let mut visit = |record: TailRecord<'_>| {
        let value = String::from_utf8_lossy(record.value.unwrap_or_default())
            .parse()
            .expect("a number");
        values.entry(record.partition).or_default().push(value);
    };
    tail.read_to_end(PATIENCE, &mut visit).await.expect("read");
    values
}

/// A lane that sends numbers and hears what became of them.
struct Numbers {
    lane: Box<dyn ProducerLane>,
    topic: String,
    next: u64,
    acks: Vec<Ack>,
}

impl Numbers {
    fn new(port: &dyn KafkaPort, client: &ClientConfig, topic: &str, owner: Option<&str>) -> Self {
        Self {
            lane: port.producer_lane(client, 1 << 20, owner).expect("lane"),
            topic: topic.to_owned(),
            next: 0,
            acks: Vec::new(),
        }
    }

    /// Hands records to the lane, one a call.
    async fn send(&mut self, count: u64) {
        for number in self.next..self.next + count {
            let value = number.to_string();
            let records = [record(&self.topic, b"k", value.as_bytes(), number)];
            assert_eq!(offer(&mut *self.lane, &records).await.expect("taken"), 1);
        }
        self.next += count;
    }

    /// Waits until so many are acknowledged.
    async fn until(&mut self, count: usize) {
        while counted(&self.acks) < count {
            within(self.lane.acks(&mut self.acks)).await;
        }
    }

    /// Waits for all, which have to be stored.
    async fn all_stored(&mut self) {
        self.until(self.next as usize).await;
        let failed = self.acks.iter().find(|ack| ack.outcome.is_err());
        assert!(failed.is_none(), "{failed:?}");
    }
}

/// Two hundred times all connections are cut while requests are on their way, some of them in the middle of a request or an answer.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_cuts_lose_nothing_double_nothing_and_keep_the_order() {
    const CUTS: u64 = 200;
    const EACH: u64 = 30;
    let (listener, address) = Proxy::listen().await;
    let advertised = address.clone();
    let (broker, inner) = tokio::task::spawn_blocking(move || {
        let script = std::env::var("DRAY_TEST_KAFKA_SH").expect("DRAY_TEST_KAFKA_SH starts brokers: run `make test`");
        let ports = run(Command::new(&script).args(["freeport", "3"]));
        // The script's own port answers as well, so that it sees the broker start.
        let [inner, controller, port] = ports.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("three ports, not {ports}");
        };
        let broker = Broker {
            script: script.into(),
            folder: tempfile::tempdir().expect("a folder"),
            address: format!("127.0.0.1:{port}"),
            port: port.to_owned(),
        };
        std::fs::write(broker.folder.path().join("controller.port"), controller).expect("written");
        let settings = format!(
            "listeners=PLAINTEXT://{},CUT://127.0.0.1:{inner},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://{},CUT://{advertised}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CUT:PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             inter.broker.listener.name=PLAINTEXT\n",
            broker.address, broker.address
        );
        broker.run("start", &settings);
        (broker, format!("127.0.0.1:{inner}"))
    })
    .await
    .expect("a broker");
    let proxy = Proxy::start(listener, address, inner);

    let direct = config(&[("bootstrap.servers", &broker.address)]);
    let name = unique("cuts");
    let new = NewTopic {
        name: name.clone(),
        partitions: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
    };
    create(&RdKafka::new(), &direct, &new).await;
    // A record is a batch, so that several are on their way at once.
    let client = config(&[
        ("bootstrap.servers", &proxy.address),
        ("batch.size", "1"),
        ("retry.backoff.ms", "1"),
        ("reconnect.backoff.ms", "1"),
        ("reconnect.backoff.max.ms", "20"),
    ]);
    let port = Kafka::new();
    let mut numbers = Numbers::new(&port, &client, &name, None);
    for round in 0..CUTS {
        let acked = counted(&numbers.acks);
        numbers.send(EACH).await;
        // Some of them are stored by now, and others are anywhere.
        numbers.until(acked + 1 + (round % 7) as usize).await;
        proxy.cut();
    }
    numbers.all_stored().await;
    let found = log(&direct, &name).await;
    assert_eq!(found[&0], (0..CUTS * EACH).collect::<Vec<_>>());
}

/// The broker is killed and comes back while records are on their way.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_broker_costs_nothing_but_time() {
    let broker = tokio::task::spawn_blocking(|| Broker::start(""))
        .await
        .expect("a broker");
    let client = config(&[("bootstrap.servers", &broker.address), ("batch.size", "200")]);
    let port = Kafka::new();
    let name = unique("killed");
    let new = NewTopic {
        name: name.clone(),
        partitions: 3,
        replication_factor: 1,
        configs: BTreeMap::from([("flush.messages".to_owned(), "1".to_owned())]),
    };
    create(&port, &client, &new).await;
    let mut numbers = Numbers::new(&port, &client, &name, None);
    numbers.send(500).await;
    numbers.until(100).await;
    let broker = tokio::task::spawn_blocking(move || {
        broker.run("kill9", "");
        broker.run("start", "");
        broker
    })
    .await
    .expect("it runs again");
    numbers.send(500).await;
    numbers.all_stored().await;
    let mut found: Vec<u64> = Vec::new();
    for values in log(&client, &name).await.into_values() {
        assert!(values.is_sorted(), "{values:?}");
        found.extend(values);
    }
    found.sort_unstable();
    assert_eq!(found, (0..1000).collect::<Vec<_>>());
    drop(broker);
}

/// From a successor's first record on, its predecessor's are refused, and it is told so.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_a_name_over_shuts_its_owner_out() {
    let port = Kafka::new();
    let topic = topic(&port, "owned", 1, &[("cleanup.policy", "compact")]).await;
    let name = unique("dray-source-0");
    let client = config(&[]);
    let mut zombie = Numbers::new(&port, &client, &topic, Some(&name));
    zombie.send(10).await;
    zombie.all_stored().await;

    let mut next = Numbers::new(&Kafka::new(), &client, &topic, Some(&name));
    next.next = 100;
    next.send(10).await;
    next.until(10).await;
    assert!(next.acks.iter().all(|ack| ack.outcome.is_ok()), "{:?}", next.acks);

    // Anything the old one had, or gets, is refused: in its acknowledgement, or at once from when it knows.
    let mut taken = 10;
    let mut refused = None;
    while refused.is_none() && taken < 15 {
        let records = [record(&topic, b"k", b"98", taken)];
        match offer(&mut *zombie.lane, &records).await {
            Ok(one) => taken += one as u64,
            Err(error) => refused = Some(error.error),
        }
    }
    assert!(taken > 10, "what it does not know yet, it takes: {refused:?}");
    assert!(refused.is_none_or(|error| error.class == Class::Fenced));
    zombie.until(taken as usize).await;
    for ack in each(zombie.acks.split_off(0)).iter().skip(10) {
        let error = ack.outcome.as_ref().expect_err("refused");
        assert_eq!(error.class, Class::Fenced, "{error}");
    }
    let value = [record(&topic, b"k", b"99", 99)];
    let refused = zombie.lane.produce(&value).expect_err("it stays out");
    assert_eq!((refused.taken, refused.error.class), (0, Class::Fenced));
    next.send(1).await;
    next.until(11).await;
    let found = log(&client, &topic).await;
    assert_eq!(found[&0], (0..10).chain(100..111).collect::<Vec<_>>());
}

/// Lanes of the same settings share requests, and none is starved or mixed up.
#[tokio::test(flavor = "multi_thread")]
async fn many_lanes_on_one_partition_keep_their_own_order() {
    const LANES: u64 = 20;
    const EACH: u64 = 500;
    let port = Arc::new(Kafka::new());
    let topic = topic(&*port, "shared", 1, &[]).await;
    let client = config(&[("batch.size", "300")]);
    let mut tasks = JoinSet::new();
    for lane in 0..LANES {
        let mut numbers = Numbers::new(&*port, &client, &topic, None);
        tasks.spawn(async move {
            numbers.next = lane * 1_000_000;
            for _ in 0..EACH {
                numbers.send(1).await;
            }
            numbers.until(EACH as usize).await;
            assert!(numbers.acks.iter().all(|ack| ack.outcome.is_ok()), "{:?}", numbers.acks);
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a lane");
    }
    let found = &log(&client, &topic).await[&0];
    assert_eq!(found.len() as u64, LANES * EACH);
    for lane in 0..LANES {
        let own: Vec<u64> = found
            .iter()
            .copied()
            .filter(|value| value / 1_000_000 == lane)
            .collect();
        assert_eq!(own, (lane * 1_000_000..lane * 1_000_000 + EACH).collect::<Vec<_>>());
    }
}

/// What is compressed here, librdkafka reads, and the broker, which checks and stores it.
#[tokio::test(flavor = "multi_thread")]
async fn every_codec_is_read_by_another_client() {
    let port = Kafka::new();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        // The broker decompresses, checks and compresses anew.
        let topic = topic(&port, codec, 1, &[("compression.type", "uncompressed")]).await;
        let client = config(&[("compression.type", codec), ("linger.ms", "50")]);
        let mut lane = port.producer_lane(&client, 4 << 20, None).expect("lane");
        let values: Vec<String> = (0..3000).map(|number| format!("value {number} ").repeat(9)).collect();
        let header = [
            HeaderRef {
                key: "h",
                value: Some(b"x"),
            },
            HeaderRef {
                key: "none",
                value: None,
            },
        ];
        let records: Vec<_> = values
            .iter()
            .zip(0..)
            .map(|(value, number)| ProduceRecord {
                headers: &header,
                timestamp: Some(1_700_000_000_000 - number as i64),
                ..record(&topic, b"k", value.as_bytes(), number)
            })
            .collect();
        for ack in send_all(&mut *lane, &records).await {
            assert_eq!(ack.outcome.expect("stored").offset, ack.sequence as i64, "{codec}");
        }
        let group = config(&[("group.id", &unique(codec)), ("dray.kafka.client", "librdkafka")]);
        let mut consumer = port
            .consumer(&group, std::slice::from_ref(&topic), 8 << 20)
            .expect("consumer");
        let mut seen = 0;
        while seen < values.len() {
            let ConsumerEvent::Records(batch) = event(&mut *consumer).await else {
                continue;
            };
            for found in &batch.records {
                let value = batch.bytes(found.value.as_ref().expect("a value"));
                assert_eq!(value, values[seen].as_bytes(), "{codec}");
                assert_eq!(found.timestamp, Some(1_700_000_000_000 - seen as i64));
                let headers = &batch.headers[found.headers.start as usize..found.headers.end as usize];
                assert_eq!(headers.len(), 2);
                assert_eq!(headers[0].1.as_ref().map(|value| batch.bytes(value)), Some(&b"x"[..]));
                assert_eq!(headers[1].1, None);
                seen += 1;
            }
        }
        consumer.close().await;
    }
}

/// A name that is renewed outlives its expiration; its owner is still fenced by a successor, and goes on until then.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_name_does_not_expire() {
    let settings = "transactional.id.expiration.ms=3000\n\
                    transaction.remove.expired.transaction.cleanup.interval.ms=500\nproducer.id.expiration.ms=86400000\n";
    let broker = tokio::task::spawn_blocking(move || Broker::start(settings))
        .await
        .expect("a broker");
    let client = config(&[
        ("bootstrap.servers", &broker.address),
        ("dray.producer.id.renewal.ms", "500"),
    ]);
    let port = Kafka::new();
    let name = unique("renewed");
    let new = NewTopic {
        name: name.clone(),
        partitions: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
    };
    create(&port, &client, &new).await;
    let mut owner = Numbers::new(&port, &client, &name, Some(&name));
    owner.send(1).await;
    owner.until(1).await;
    // Nothing else tells that a broker has forgotten something: a name that nobody renews is gone after this, as the end shows.
    let began = tokio::time::Instant::now();
    while began.elapsed() < Duration::from_secs(8) {
        tokio::time::sleep(Duration::from_millis(700)).await;
        owner.send(1).await;
    }
    owner.all_stored().await;

    // Its successor has the same producer id with a later epoch: that is what shuts the owner out.
    let mut next = Numbers::new(&Kafka::new(), &client, &name, Some(&name));
    next.next = 1000;
    next.send(1).await;
    next.until(1).await;
    let stored = owner.next as usize;
    owner.send(1).await;
    owner.until(stored + 1).await;
    let error = owner
        .acks
        .last()
        .expect("an acknowledgement")
        .outcome
        .as_ref()
        .expect_err("refused");
    assert_eq!(error.class, Class::Fenced, "{error}");
}
