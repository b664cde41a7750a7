//! Leaders move while records are on their way: each is stored once, in order, and read.

use super::nodes::{Cluster, cluster};
use super::relay::Relay;
use super::traffic::{Reads, Sending};
use crate::{PATIENCE, within};
use dray_kafka::Kafka;
use dray_kafka::port::KafkaPort as _;
use kafka_protocol::messages::{FetchRequest, MetadataRequest, ProduceRequest};
use kafka_protocol::protocol::Request as _;

const NOT_LEADER: i16 = 6;
const FENCED_LEADER_EPOCH: i16 = 74;
/// Of a broker that has not yet heard who leads now.
const UNKNOWN_LEADER_EPOCH: i16 = 75;
/// Since when brokers say who leads instead (KIP-951).
const HINTS: [(i16, i16); 2] = [(ProduceRequest::KEY, 10), (FetchRequest::KEY, 16)];

/// Batches of a few records, so that several are on their way whatever happens.
const SENDER: [(&str, &str); 3] = [("batch.size", "200"), ("linger.ms", "2"), ("retry.backoff.ms", "20")];

const REPLICAS: [&[i32]; 3] = [&[1, 2, 3], &[2, 3, 1], &[3, 1, 2]];
const TWO_IN_SYNC: (&str, &str) = ("min.insync.replicas", "2");

/// Waits until so many more records of all three partitions are stored, and read.
async fn goes_on(sending: &mut Sending, reads: &mut Reads, count: u64) {
    sending.more(count).await;
    reads.more(count / 3).await;
}

async fn lead_each(cluster: &Cluster, topic: &str, leader: impl Fn(i32) -> i32) {
    for partition in 0..3 {
        cluster.lead(topic, partition, leader(partition)).await;
    }
}

/// Four times each leadership moves; then a broker shuts down, another is killed, and both come back.
#[tokio::test(flavor = "multi_thread")]
async fn leaders_move_and_brokers_die_and_each_record_is_there_once_in_order() {
    let cluster = cluster().await;
    let topic = cluster.topic("moves", &REPLICAS, &[TWO_IN_SYNC]).await;
    let client = cluster.client(&SENDER);
    let mut sending = Sending::start(&Kafka::new(), &client, &topic, 3);
    let mut reads = Reads::start(&Kafka::new(), &client, &topic, 3);
    // Reads to the end now and then, whoever leads.
    let mut tail = Kafka::new().tail(&client, &topic).expect("a tail");
    let mut seen = 0;
    goes_on(&mut sending, &mut reads, 300).await;
    for round in 0..4 {
        lead_each(&cluster, &topic, |partition| (partition + round) % 3 + 1).await;
        let at_least = seen + 300;
        goes_on(&mut sending, &mut reads, 300).await;
        tail.read_to_end(PATIENCE, &mut |_| seen += 1).await.expect("read");
        assert!(seen >= at_least, "{seen} of {at_least}");
    }
    cluster.stop(3).await;
    tail.read_to_end(PATIENCE, &mut |_| seen += 1).await.expect("read");
    goes_on(&mut sending, &mut reads, 300).await;
    // Of two replicas that are in sync one dies: nothing is stored until another has caught up, and nothing lost.
    cluster.kill9(2).await;
    cluster.start().await;
    goes_on(&mut sending, &mut reads, 300).await;
    cluster.in_sync(&topic).await;
    lead_each(&cluster, &topic, |partition| partition + 1).await;
    goes_on(&mut sending, &mut reads, 300).await;
    let retries = sending.metrics().retries.total;
    let counts = sending.end().await;
    assert!(retries > 0, "something was sent again");
    reads.end(&counts).await;
    tail.read_to_end(PATIENCE, &mut |_| seen += 1).await.expect("read");
    assert_eq!(seen, counts.iter().sum::<u64>());
    // What is in the log, for another client: exactly these, in order.
    let mut again = Reads::start(&Kafka::new(), &client, &topic, 3);
    again.until(&counts).await;
    again.end(&counts).await;
}

/// Whoever is told by a broker who leads now (KIP-951) asks nobody else: no answer to Metadata comes while leaders move.
#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_has_moved_is_found_by_the_hint() {
    let cluster = cluster().await;
    let relay = Relay::start(&cluster).await;
    let topic = cluster.topic("hints", &[&[1, 2, 3]], &[]).await;
    let client = relay.client(&SENDER);
    // Each knows only what it was told itself.
    let mut sending = Sending::start(&Kafka::new(), &client, &topic, 1);
    let mut reads = Reads::start(&Kafka::new(), &client, &topic, 1);
    sending.more(100).await;
    reads.more(100).await;

    relay.hold_metadata(true);
    let mark = relay.mark();
    for leader in [2, 3, 1, 2, 1, 3] {
        cluster.lead(&topic, 0, leader).await;
        sending.more(100).await;
        reads.more(100).await;
    }
    let end = relay.mark();
    let events = relay.since(mark);
    relay.hold_metadata(false);

    let news = |api: i16, codes: &[i16]| {
        let (mut news, mut late, mut newest) = (0, 0, -1);
        for (_, answered) in relay.answers(mark, api) {
            for (code, leader, epoch) in answered.codes {
                if !codes.contains(&code) {
                    assert_eq!(code, 0, "of API {api}");
                } else if epoch > newest && leader > 0 {
                    (news, newest) = (news + 1, epoch);
                } else if epoch < newest {
                    late += 1;
                }
            }
        }
        (news, late)
    };
    let (of_produce, late) = news(ProduceRequest::KEY, &[NOT_LEADER]);
    let (of_fetch, _) = news(
        FetchRequest::KEY,
        &[NOT_LEADER, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH],
    );
    assert!(of_produce >= 6 && of_fetch >= 6, "{of_produce} and {of_fetch} hints");
    let asked = relay.asked(mark, MetadataRequest::KEY);
    // A broker that has not yet heard that it leads knows less than who asks it: then others are asked too, and nobody waits for them.
    assert!(asked <= late, "{asked} questions, {late} late brokers");
    for event in &events[..end - mark] {
        let since = HINTS.iter().find(|(api, _)| *api == event.api);
        if let (Some((_, since)), super::relay::What::Asked { version }) = (since, &event.what) {
            assert!(version >= since, "{event:?}");
        }
    }
    let counts = sending.end().await;
    reads.end(&counts).await;
    within(cluster.in_sync(&topic)).await;
}
