//! Log-ins that end (KIP-368): they are renewed on their connections while records come and go.

use super::endpoint::{Endpoint, SECRET};
use super::listener::{Listener, Proxy};
use super::*;
use std::time::Instant;
use tokio::sync::watch;

/// Log-ins of each busy connection: the first, and three renewals.
const LOG_INS: usize = 4;
/// A token's life.
const LIFE: Duration = Duration::from_secs(10);

/// Waits until the proxy has seen this.
async fn until(proxy: &Proxy, seen: impl Fn(&Proxy) -> bool) {
    let waiting = async {
        while !seen(proxy) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(waiting).await;
}

struct Traffic {
    topic: String,
    lane: Box<dyn ProducerLane>,
    consumer: Box<dyn Consumer>,
    sent: u32,
    found: Vec<(i32, i64, Vec<u8>, Vec<u8>)>,
}

impl Traffic {
    async fn start(port: &dyn KafkaPort, plain: &ClientConfig, client: &ClientConfig) -> Self {
        let new = NewTopic {
            name: unique("renewal"),
            partitions: 3,
            replication_factor: 1,
            configs: BTreeMap::new(),
        };
        create(port, plain, &new).await;
        let mut member = client.clone();
        member.insert("group.id".to_owned(), new.name.clone());
        let topics = std::slice::from_ref(&new.name);
        let mut traffic = Self {
            lane: port.producer_lane(client, 1 << 20, None).expect("lane"),
            consumer: port.consumer(&member, topics, 1 << 20).expect("consumer"),
            topic: new.name,
            sent: 0,
            found: Vec::new(),
        };
        traffic.flow(|| false).await;
        traffic
    }

    /// Writes, and reads at the same time, as long as `more`.
    async fn flow(&mut self, more: impl Fn() -> bool) {
        let (lane, consumer, topic, found) = (&mut self.lane, &mut self.consumer, &self.topic, &mut self.found);
        let (sent, mut told) = watch::channel(self.sent);
        let writing = async move {
            let mut next = *sent.borrow();
            loop {
                let acks = produce(&mut **lane, topic, &numbered(next..next + 100)).await;
                assert!(acks.iter().all(|ack| ack.outcome.is_ok()), "{acks:?}");
                next += 100;
                sent.send_replace(next);
                if !more() {
                    return next;
                }
            }
        };
        let reading = async {
            // The end of the writer is the end of the channel, and its last word is still there.
            loop {
                if found.len() < *told.borrow_and_update() as usize {
                    found.extend(read(&mut **consumer, 1).await);
                } else if told.changed().await.is_err() {
                    return;
                }
            }
        };
        let (sent, ()) = tokio::join!(writing, reading);
        self.sent = sent;
    }

    async fn end(self) {
        self.consumer.close().await;
        assert!(in_order(&self.found));
        let number = |value: &[u8]| std::str::from_utf8(value).ok()?.parse::<u32>().ok();
        let mut numbers: Vec<_> = self.found.iter().filter_map(|(.., value)| number(value)).collect();
        numbers.sort_unstable();
        assert!(
            numbers.iter().copied().eq(0..self.sent),
            "{} of {}",
            numbers.len(),
            self.sent
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_outlive_their_log_ins_and_no_record_is_lost_or_doubled() {
    let jaas = |mechanism: &str, module: &str, more: &str| {
        format!(
            "listener.name.sasl_plaintext.{mechanism}.sasl.jaas.config=org.apache.kafka.common.security.{module}LoginModule \
             required{more};\n"
        )
    };
    let settings = format!(
        "connections.max.reauth.ms=3000\nsasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,OAUTHBEARER\n{}{}",
        jaas("plain", "plain.Plain", " user_alice=\"alice-secret\""),
        jaas("scram-sha-256", "scram.Scram", "")
    );
    let listener = Listener::start(&settings).await;
    let user = [
        "--alter",
        "--entity-type",
        "users",
        "--entity-name",
        "bob",
        "--add-config",
    ];
    let user = [user.as_slice(), &["SCRAM-SHA-256=[password=bob-secret]"]].concat();
    listener.tool("kafka.admin.ConfigCommand", &user);
    let endpoint = Endpoint::start(LIFE).await;
    let port = Kafka::new().with_java_options(&endpoint.java_options());
    let password = |mechanism: &str, module: &str, user: &str| {
        let module = format!("org.apache.kafka.common.security.{module}LoginModule");
        let jaas = format!("{module} required username=\"{user}\" password=\"{user}-secret\";");
        listener.client(mechanism, &[("sasl.jaas.config", &jaas)])
    };
    let plain = config(&[("bootstrap.servers", &listener.plain)]);
    let began = Instant::now();
    let mut all = Vec::new();
    for client in [
        password("PLAIN", "plain.Plain", "alice"),
        password("SCRAM-SHA-256", "scram.Scram", "bob"),
        oauth::client(&listener, &endpoint.url, SECRET, "kafka"),
    ] {
        all.push(Traffic::start(&port, &plain, &client).await);
    }
    let proxy = &listener.proxy;
    let connections = proxy.seen().len();

    // Of each client one connection writes and one reads.
    let busy = 2 * all.len();
    let flowing = all
        .iter_mut()
        .map(|traffic| traffic.flow(|| proxy.with_log_ins(LOG_INS) < busy));
    within(futures::future::join_all(flowing)).await;
    assert_eq!(proxy.seen().len(), connections, "{:?}", proxy.seen());

    // Nobody writes, until the log-ins of those who wrote have ended: those who read have renewed theirs twice.
    let readers = all.len();
    until(proxy, |proxy| proxy.with_log_ins(LOG_INS + 2) >= readers).await;
    for traffic in &mut all {
        traffic.flow(|| false).await;
    }
    let seen = proxy.seen();
    assert_eq!(seen.len(), connections, "{seen:?}");
    assert!(seen.iter().all(|seen| !seen.closed), "{seen:?}");
    // Tokens were fetched anew, and each served all of its connections.
    let most = began.elapsed().as_secs_f64() / LIFE.mul_f64(0.8).as_secs_f64() + 1.0;
    assert!(
        endpoint.issued() > 1 && endpoint.issued() as f64 <= most,
        "{} of {most}",
        endpoint.issued()
    );
    for traffic in all {
        traffic.end().await;
    }
}
