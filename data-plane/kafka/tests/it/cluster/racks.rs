//! The replica in one's own rack is read, not the leader (KIP-392).

use super::nodes::cluster;
use super::relay::{Relay, What};
use super::traffic::{Reads, Sending};
use dray_kafka::Kafka;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::protocol::Request as _;
use std::time::Duration;

const OFFSET_OUT_OF_RANGE: i16 = 1;
/// How long the replica is read before the leader is asked again.
const MAX_AGE: Duration = Duration::from_secs(2);

/// The leader is node 1 and the reader is in the rack of node 3.
#[tokio::test(flavor = "multi_thread")]
async fn the_replica_in_the_readers_rack_is_read_while_it_is_there() {
    let cluster = cluster().await;
    let relay = Relay::start(&cluster).await;
    let topic = cluster.topic("racks", &[&[1, 2, 3]], &[]).await;
    let mut sending = Sending::start(&Kafka::new(), &cluster.client(&[("batch.size", "200")]), &topic, 1);
    let age = MAX_AGE.as_millis().to_string();
    let client = relay.client(&[("client.rack", "rack-3"), ("metadata.max.age.ms", &age)]);
    let mut reads = Reads::start(&Kafka::new(), &client, &topic, 1);

    relay.gives(0, 3).await;
    let named = relay.answers(0, FetchRequest::KEY);
    let named = named
        .iter()
        .find(|(node, answered)| *node == 1 && !answered.preferred.is_empty());
    assert_eq!(named.expect("the leader names a replica").1.preferred, [3]);
    sending.more(300).await;
    reads.more(300).await;
    assert_eq!(
        [relay.bytes(0, 1), relay.bytes(0, 2)],
        [0, 0],
        "all came from the follower"
    );

    // What the leader said holds for a while, and is then asked for again.
    let mark = relay.mark();
    let asks = |node: i32| {
        let events = relay.since(mark);
        let to_node = |event: &&super::relay::Event| {
            event.node == node && event.api == FetchRequest::KEY && matches!(event.what, What::Asked { .. })
        };
        events.iter().filter(to_node).count()
    };
    relay.until(|| asks(1) > 0).await;
    let mark_again = relay.mark();
    relay.gives(mark_again, 3).await;
    reads.more(100).await;
    assert_eq!(relay.bytes(mark, 1), 0);
    assert!(asks(1) < asks(3), "the leader is asked now and then");

    // What the follower does not have may be at the leader.
    let mark = relay.mark();
    relay.refuse_fetch(3, OFFSET_OUT_OF_RANGE);
    let refused = || {
        let answers = relay.answers(mark, FetchRequest::KEY);
        answers
            .iter()
            .position(|(_, answered)| answered.codes.iter().any(|(code, ..)| *code == OFFSET_OUT_OF_RANGE))
    };
    relay.until(|| refused().is_some()).await;
    let behind = || {
        relay
            .answers(mark, FetchRequest::KEY)
            .into_iter()
            .skip(refused().unwrap_or(0) + 1)
    };
    relay.until(|| behind().any(|(node, _)| node == 1)).await;
    reads.more(100).await;

    // Nor is it missed when it is gone.
    let mark = relay.mark();
    cluster.kill9(3).await;
    relay.gives(mark, 1).await;
    reads.more(100).await;
    cluster.start().await;
    let mark = relay.mark();
    relay.gives(mark, 3).await;
    sending.more(100).await;
    let counts = sending.end().await;
    reads.end(&counts).await;
}
