//! What a broker with an authorizer refuses: each refusal comes soon, is no passing error, and says what was tried, on what, and which right
//! is missing. With the rights the same clients' successors do it all.

use super::listener::Listener;
use super::*;
use dray_connect::sink_batch::TopicPartition;
use dray_kafka::Error;
use dray_kafka::port::{Assignment, ReaderEvent};

const SETTINGS: &str = "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
    super.users=User:ANONYMOUS\n\
    sasl.enabled.mechanisms=PLAIN\n\
    listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
    user_nobody=\"secret\" user_reads=\"secret\" user_writes=\"secret\" user_joins=\"secret\";";

/// A broker that lets the test itself do everything, and principals what they are allowed.
struct Guarded(Listener);

impl Guarded {
    async fn start() -> Self {
        Self(Listener::start(SETTINGS).await)
    }

    async fn allow(&self, user: &str, operation: &str, resources: &[&str]) {
        let principal = format!("User:{user}");
        let mut arguments = vec!["--add", "--allow-principal", &principal, "--operation", operation];
        arguments.extend(resources);
        tokio::task::block_in_place(|| self.0.tool("org.apache.kafka.tools.AclCommand", &arguments));
    }

    /// Settings of a principal's clients.
    fn client(&self, user: &str, pairs: &[(&str, &str)]) -> ClientConfig {
        let module = "org.apache.kafka.common.security.plain.PlainLoginModule required";
        let jaas = format!("{module} username=\"{user}\" password=\"secret\";");
        let mut client = self.0.client("PLAIN", &[("sasl.jaas.config", &jaas)]);
        client.extend(
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        );
        client
    }

    /// A topic with ten records.
    async fn topic(&self) -> String {
        let (port, name) = (Kafka::new(), unique("guarded"));
        let client = config(&[("bootstrap.servers", &self.0.plain)]);
        let new = NewTopic {
            name: name.clone(),
            partitions: 1,
            replication_factor: 1,
            configs: BTreeMap::new(),
        };
        create(&port, &client, &new).await;
        let mut lane = port.producer_lane(&client, 1 << 20, None).expect("lane");
        let acks = produce(&mut *lane, &name, &numbered(0..10)).await;
        assert!(acks.iter().all(|ack| ack.outcome.is_ok()), "{acks:?}");
        name
    }
}

/// A refusal is final, and says all of this.
fn refused(error: &Error, code: &str, words: &[&str]) {
    let text = error.to_string();
    assert_eq!((&*error.code, error.class), (code, Class::Fatal), "{text}");
    assert!(
        words.iter().all(|word| text.contains(word)),
        "{text} lacks one of {words:?}"
    );
    assert!(!text.contains("secret"), "{text}");
}

/// What became of a record that is produced.
async fn produced(port: &dyn KafkaPort, client: &ClientConfig, topic: &str) -> Result<(), Error> {
    let mut lane = port.producer_lane(client, 1 << 20, None).expect("lane");
    if let Err(refused) = offer(&mut *lane, &[record(topic, b"k", b"v", 0)]).await {
        return Err(refused.error);
    }
    let mut acks = Vec::new();
    within(lane.acks(&mut acks)).await;
    acks.pop().expect("one").outcome.map(drop).map_err(|error| *error)
}

/// The first word of a member that is none of a passing error: records, or why there are none.
async fn consumed(port: &dyn KafkaPort, client: &ClientConfig, topic: &str) -> Result<usize, Error> {
    let mut consumer = port.consumer(client, &[topic.to_owned()], 1 << 20).expect("consumer");
    let found = loop {
        match within(consumer.event()).await {
            ConsumerEvent::Records(batch) => break Ok(batch.records.len()),
            ConsumerEvent::Error(error) if error.is_retriable() => {}
            ConsumerEvent::Error(error) => break Err(error),
            ConsumerEvent::Assigned(_) | ConsumerEvent::Revoked(_) | ConsumerEvent::Lost(_) => {}
        }
    };
    consumer.close().await;
    found
}

async fn assigned(port: &dyn KafkaPort, client: &ClientConfig, topic: &str) -> Result<usize, Error> {
    let place = TopicPartition {
        topic: topic.into(),
        partition: 0,
    };
    let assignment = Assignment {
        partitions: vec![(place, None)],
        prefetch: 1 << 20,
        whole: None,
    };
    let mut reader = port.reader(client, assignment).expect("a reader");
    loop {
        match within(reader.next()).await {
            ReaderEvent::Records(batch) => return Ok(batch.records.len()),
            ReaderEvent::Error(error) if error.is_retriable() => {}
            ReaderEvent::Error(error) => return Err(error),
            ReaderEvent::Topic(..) => {}
            ReaderEvent::Batch(_) => panic!("nothing whole was asked for"),
        }
    }
}

async fn tailed(port: &dyn KafkaPort, client: &ClientConfig, topic: &str) -> Result<usize, Error> {
    let mut count = 0;
    let mut tail = port.tail(client, topic)?;
    tail.read_to_end(PATIENCE, &mut |_| count += 1).await.map(|()| count)
}

/// What came of an act, what that was, and which words a refusal has.
type Act = (&'static str, [&'static str; 2], Result<(), Error>);

/// Administration of a topic and of a group.
async fn administered(port: &dyn KafkaPort, client: &ClientConfig, topic: &str) -> Vec<Act> {
    let admin = port.admin(client).expect("admin");
    let new = NewTopic {
        name: format!("{topic}-new-{}", unique("x")),
        partitions: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
    };
    let before = BTreeMap::from([(0, 1)]);
    let group = "guarded-group";
    let place = TopicPartition {
        topic: topic.into(),
        partition: 0,
    };
    let offsets = BTreeMap::from([(place, Some(1))]);
    let read = [GROUP, "READ on the group"];
    vec![
        (
            "create",
            [TOPIC, "CREATE"],
            admin.create_topic(&new, PATIENCE).await.map(drop),
        ),
        (
            "look",
            [TOPIC, "DESCRIBE"],
            admin.partitions(topic, PATIENCE).await.map(drop),
        ),
        (
            "settings",
            [TOPIC, "allow"],
            admin.topic_config(topic, PATIENCE).await.map(drop),
        ),
        (
            "partitions",
            [TOPIC, "allow"],
            admin.create_partitions(topic, 2, PATIENCE).await,
        ),
        (
            "spans",
            [TOPIC, "allow"],
            admin.spans(topic, 1, PATIENCE).await.map(drop),
        ),
        (
            "delete records",
            [TOPIC, "allow"],
            admin.delete_records(topic, &before, PATIENCE).await,
        ),
        (
            "members",
            read,
            port.group_members(client, group, PATIENCE).await.map(drop),
        ),
        (
            "offsets",
            read,
            port.group_offsets(client, group, PATIENCE).await.map(drop),
        ),
        (
            "set offsets",
            read,
            port.alter_group_offsets(client, group, &offsets, PATIENCE).await,
        ),
        (
            "delete group",
            [GROUP, "DELETE"],
            port.delete_group(client, group, PATIENCE).await,
        ),
    ]
}

const TOPIC: &str = "TopicAuthorizationFailed";
const GROUP: &str = "GroupAuthorizationFailed";
const ID: &str = "TransactionalIdAuthorizationFailed";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_allowed_is_refused_with_the_missing_right_and_works_once_it_is() {
    let guarded = Guarded::start().await;
    guarded.allow("reads", "Read", &["--topic", "*"]).await;
    guarded.allow("writes", "Write", &["--topic", "*"]).await;
    guarded.allow("joins", "Read", &["--group", "*"]).await;
    let topic = guarded.topic().await;
    let on: &[&str] = &[&topic];
    let ports: [(&str, Box<dyn KafkaPort>); 2] = [
        ("wire", Box::new(Kafka::new())),
        ("librdkafka", Box::new(RdKafka::new())),
    ];
    for (name, port) in &ports {
        let port = &**port;
        // Whom the topic is hidden from, and who may see and read it.
        for user in ["nobody", "reads"] {
            let error = produced(port, &guarded.client(user, &[]), &topic)
                .await
                .expect_err(name);
            refused(&error, TOPIC, &[on, &["WRITE"]].concat());
        }
        for user in ["nobody", "writes"] {
            let client = guarded.client(user, &[]);
            for error in [
                assigned(port, &client, &topic).await.expect_err(name),
                tailed(port, &client, &topic).await.expect_err(name),
            ] {
                // librdkafka looks for the coordinator of a group as well, though it joins none, and tells what it hears first.
                let group = *name == "librdkafka" && &*error.code == GROUP;
                let (code, right) = if group {
                    (GROUP, "READ on the group")
                } else {
                    (TOPIC, "READ")
                };
                refused(&error, code, &[on, &[right]].concat());
            }
        }
        for protocol in ["classic", "consumer"] {
            let group = unique("connect-guarded");
            let member = |user: &str| guarded.client(user, &[("group.id", &group), ("group.protocol", protocol)]);
            let error = consumed(port, &member("reads"), &topic).await.expect_err(name);
            refused(&error, GROUP, &[&group, "READ on the group"]);
            let error = consumed(port, &member("joins"), &topic).await.expect_err(name);
            refused(&error, TOPIC, &[on, &["READ"]].concat());
        }
        let nobody = guarded.client("nobody", &[]);
        let id = unique("connect-cluster-c");
        let error = port
            .transactional_producer(&nobody, &id, PATIENCE)
            .await
            .err()
            .expect(name);
        refused(&error, ID, &[&id, "WRITE on the transactional id"]);
        let error = port.fence(&nobody, &id, PATIENCE).await.expect_err(name);
        refused(&error, ID, &[&id, "WRITE on the transactional id"]);
        let acts = administered(port, &nobody, &topic).await;
        let allowed: Vec<_> = acts
            .iter()
            .filter(|(.., outcome)| outcome.is_ok())
            .map(|act| act.0)
            .collect();
        assert!(allowed.is_empty(), "{name}: {allowed:?}");
        for (_, [code, right], outcome) in acts {
            let on = if code == GROUP { "guarded-group" } else { &*topic };
            refused(&outcome.expect_err(right), code, &[on, right]);
        }
        let reads = port.admin(&guarded.client("reads", &[])).expect("admin");
        let error = reads.topic_config(&topic, PATIENCE).await.expect_err(name);
        refused(&error, TOPIC, &[&topic, "DESCRIBE_CONFIGS"]);
        // A list leaves out what is hidden.
        assert!(
            !port
                .admin(&nobody)
                .expect("admin")
                .topics(PATIENCE)
                .await
                .expect("topics")
                .contains_key(&topic)
        );
    }
    let everything = ["--topic", "*", "--group", "*", "--transactional-id", "*", "--cluster"];
    guarded.allow("nobody", "All", &everything).await;
    for (name, port) in &ports {
        let nobody = guarded.client("nobody", &[]);
        round_trip(&**port, &nobody).await;
        assert_eq!(
            produced(&**port, &nobody, &topic)
                .await
                .map_err(|error| error.to_string()),
            Ok(()),
            "{name}"
        );
        assert!(assigned(&**port, &nobody, &topic).await.expect(name) > 0);
        assert!(tailed(&**port, &nobody, &topic).await.expect(name) > 0);
        session(&nobody).await;
    }
}

/// A producer id without a right to one: Dray's own client writes in order all the same, and a source without its transactional id too;
/// both say so. What may not be written is refused.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_producer_id_records_are_written_in_order() {
    let guarded = Guarded::start().await;
    guarded.allow("writes", "Write", &["--topic", "*"]).await;
    let topic = guarded.topic().await;
    let port = Kafka::new();
    let client = guarded.client("writes", &[]);
    for owner in [None, Some("connect-cluster-c-0")] {
        let mut lane = port.producer_lane(&client, 1 << 20, owner).expect("lane");
        let acks = produce(&mut *lane, &topic, &numbered(0..100)).await;
        let offsets = acks.iter().map(|ack| ack.outcome.as_ref().expect("stored").offset);
        assert!(offsets.is_sorted(), "{owner:?}");
    }
}
