//! TLS and SASL with the settings of a Java client, on a broker of the test's own that demands both.

use super::*;
use dray_kafka::Class;
use dray_kafka::port::{Outcome, SessionRecord};
use std::path::{Path, PathBuf};
use std::process::Command;

mod acls;
mod authorities;
mod endpoint;
mod listener;
mod oauth;
mod renewal;

const STORE_PASSWORD: &str = "store-secret";

struct Broker {
    script: PathBuf,
    folder: tempfile::TempDir,
    plain: String,
    secure: String,
}

impl Broker {
    /// One listener without security, for what the test sets up, and one with TLS and SASL.
    fn start() -> Self {
        let script = std::env::var("DRAY_TEST_KAFKA_SH").expect("DRAY_TEST_KAFKA_SH starts brokers: run `make test`");
        let script = PathBuf::from(script);
        let ports = text(Command::new(&script).args(["freeport", "3"]));
        let [plain, secure, controller] = ports.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("three ports, not {ports}");
        };
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("controller.port"), controller).expect("written");
        let store = folder.path().join("broker.p12");
        key_pair(&store, "broker");
        let store = store.display();
        let extra = format!(
            "listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_SSL://localhost:{secure}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT\n\
             ssl.keystore.type=PKCS12\nssl.keystore.location={store}\n\
             ssl.keystore.password={STORE_PASSWORD}\nssl.key.password={STORE_PASSWORD}\n\
             sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512\n\
             listener.name.sasl_ssl.plain.sasl.jaas.config=\
             org.apache.kafka.common.security.plain.PlainLoginModule required user_alice=\"alice-secret\";\n\
             listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n\
             listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
             org.apache.kafka.common.security.scram.ScramLoginModule required;\n"
        );
        let broker = Self {
            plain: format!("127.0.0.1:{plain}"),
            secure: format!("localhost:{secure}"),
            script,
            folder,
        };
        let mut start = Command::new(&broker.script);
        text(
            start
                .env("DRAY_BROKER_EXTRA", extra)
                .arg("start")
                .arg(broker.folder.path())
                .arg(plain),
        );
        // Not both in one request.
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let mut tool = Command::new(&broker.script);
            tool.args(["tool", "kafka.admin.ConfigCommand", "--bootstrap-server", &broker.plain]);
            tool.args(["--alter", "--entity-type", "users", "--entity-name", "bob"]);
            text(tool.args(["--add-config", &format!("{mechanism}=[password=bob-secret]")]));
        }
        broker
    }

    /// What a Java client is given: JAAS text, and the broker's certificate as PEM trust store.
    fn client(&self, mechanism: &str, module: &str, user: &str, password: &str) -> ClientConfig {
        let authority = certificate(&self.folder.path().join("broker.p12"));
        let jaas = format!(
            "org.apache.kafka.common.security.{module}LoginModule required username=\"{user}\" password=\"{password}\";"
        );
        config(&[
            ("bootstrap.servers", &self.secure),
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", mechanism),
            ("sasl.jaas.config", &jaas),
            ("ssl.truststore.type", "PEM"),
            ("ssl.truststore.location", &authority.display().to_string()),
        ])
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        text(Command::new(&self.script).arg("kill9").arg(self.folder.path()));
    }
}

/// A key and a certificate for `localhost`, signed by itself.
fn key_pair(store: &Path, alias: &str) {
    let mut keytool = Command::new("keytool");
    keytool.args([
        "-genkeypair",
        "-keyalg",
        "RSA",
        "-validity",
        "2",
        "-storetype",
        "PKCS12",
    ]);
    keytool.args(["-alias", alias, "-dname", "CN=localhost", "-ext", "san=dns:localhost"]);
    text(keytool.args(["-storepass", STORE_PASSWORD, "-keystore"]).arg(store));
}

/// The certificate of a store as a PEM file beside it.
fn certificate(store: &Path) -> PathBuf {
    let pem = store.with_extension("pem");
    let mut keytool = Command::new("keytool");
    keytool.args([
        "-exportcert",
        "-rfc",
        "-alias",
        "broker",
        "-storepass",
        STORE_PASSWORD,
        "-keystore",
    ]);
    text(keytool.arg(store).arg("-file").arg(&pem));
    pem
}

fn text(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Sends ten records and reads them back as a group member.
async fn round_trip(port: &dyn KafkaPort, client: &ClientConfig) {
    let name = unique("secure");
    let new = NewTopic {
        name: name.clone(),
        partitions: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
    };
    create(port, client, &new).await;
    let mut lane = port.producer_lane(client, 1 << 20, None).expect("lane");
    let acks = produce(&mut *lane, &name, &numbered(0..10)).await;
    assert!(acks.iter().all(|ack| ack.outcome.is_ok()), "{acks:?}");
    let mut member = client.clone();
    member.insert("group.id".to_owned(), name.clone());
    let mut consumer = port
        .consumer(&member, std::slice::from_ref(&name), 1 << 20)
        .expect("consumer");
    assert_eq!(read(&mut *consumer, 10).await.len(), 10);
    consumer.close().await;
}

/// What is sent directly, and not by librdkafka.
async fn session(client: &ClientConfig) {
    let port = RdKafka::new();
    let id = unique("c-agent-1");
    let mut producer = port
        .transactional_producer(client, &id, PATIENCE)
        .await
        .expect("a producer");
    let topic = unique("offsets");
    let new = NewTopic {
        name: topic.clone(),
        partitions: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
    };
    create(&port, client, &new).await;
    let record = || SessionRecord {
        topic: topic.as_str().into(),
        key: b"k".to_vec(),
        value: None,
    };
    let outcome = producer.commit(vec![record()]).await;
    assert!(matches!(outcome, Outcome::Committed), "{outcome:?}");
    port.fence(client, &id, PATIENCE).await.expect("fenced");
    let outcome = producer.commit(vec![record()]).await;
    assert!(matches!(outcome, Outcome::Fenced(_)), "{outcome:?}");

    let mut member = client.clone();
    let group = unique("connect-sink");
    member.insert("group.id".to_owned(), group.clone());
    let mut consumer = port.consumer(&member, &[topic], 1 << 20).expect("consumer");
    consumer.leave_when_lost();
    let assigned = async { while !matches!(consumer.event().await, ConsumerEvent::Assigned(_)) {} };
    within(assigned).await;
    let members = port.group_members(client, &group, PATIENCE).await.expect("members");
    assert_eq!(members.len(), 1, "{members:?}");
    let left = port.leave_on_behalf(client, &group, &members, PATIENCE).await;
    left.expect("it has left");
    let members = port.group_members(client, &group, PATIENCE).await.expect("no members");
    assert_eq!(members, []);
    consumer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_with_plain_and_scram_and_their_refusals() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.expect("a broker");
    let ports: [Box<dyn KafkaPort>; 2] = [Box::new(Kafka::new()), Box::new(RdKafka::new())];
    for port in ports {
        round_trip(&*port, &broker.client("PLAIN", "plain.Plain", "alice", "alice-secret")).await;
        round_trip(
            &*port,
            &broker.client("SCRAM-SHA-512", "scram.Scram", "bob", "bob-secret"),
        )
        .await;
    }
    session(&broker.client("PLAIN", "plain.Plain", "alice", "alice-secret")).await;
    session(&broker.client("SCRAM-SHA-256", "scram.Scram", "bob", "bob-secret")).await;
    session(&broker.client("SCRAM-SHA-512", "scram.Scram", "bob", "bob-secret")).await;

    authorities::the_machines_are_believed(&broker).await;

    let wrong_password = broker.client("PLAIN", "plain.Plain", "alice", "guess");
    let mut unknown_authority = broker.client("PLAIN", "plain.Plain", "alice", "alice-secret");
    let other = broker.folder.path().join("other.p12");
    key_pair(&other, "broker");
    let other = certificate(&other).display().to_string();
    unknown_authority.insert("ssl.truststore.location".to_owned(), other);
    let wrong_scram = broker.client("SCRAM-SHA-256", "scram.Scram", "bob", "guess");
    for (client, class) in [
        (&wrong_password, Class::Fatal),
        (&wrong_scram, Class::Fatal),
        (&unknown_authority, Class::Retriable),
    ] {
        let members = RdKafka::new().group_members(client, "g", Duration::from_secs(3)).await;
        let error = members.expect_err("refused");
        assert_eq!(error.class, class, "{error}");
        assert!(!error.to_string().contains("guess"), "{error}");
    }
    for client in [wrong_password, unknown_authority] {
        let admin = RdKafka::new().admin(&client).expect("admin");
        let error = admin.topics(Duration::from_secs(3)).await.expect_err("refused");
        // As long as the broker refuses there is no connection; it may be repaired, so it is tried again.
        assert_eq!(error.class, Class::Retriable, "{error}");
        assert!(!error.to_string().contains("guess"), "{error}");
    }
}
