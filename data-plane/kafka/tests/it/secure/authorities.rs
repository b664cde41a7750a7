//! A client without a trust store believes whom the machine does. What that is comes from the environment, so this binary is started once
//! more with another one.

use super::*;

/// The broker's address in the process that is a client; none in that of the tests.
const ROLE: &str = "DRAY_TEST_BELIEVES";

fn client(broker: &str) -> ClientConfig {
    let jaas = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"alice\" password=\"alice-secret\";";
    config(&[
        ("bootstrap.servers", broker),
        ("security.protocol", "SASL_SSL"),
        ("sasl.mechanism", "PLAIN"),
        ("sasl.jaas.config", jaas),
    ])
}

/// What a process says of this broker that believes the authorities in this file.
fn believing(file: &Path, broker: &Broker) -> (bool, String) {
    let output = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", "secure::authorities::a_process_of_its_own", "--nocapture"])
        .env(ROLE, &broker.secure)
        .env("SSL_CERT_FILE", file)
        .env_remove("SSL_CERT_DIR")
        .output()
        .expect("it starts");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Both clients, with the broker's certificate among the machine's and without.
pub(super) async fn the_machines_are_believed(broker: &Broker) {
    let known = certificate(&broker.folder.path().join("broker.p12"));
    let (well, said) = tokio::task::block_in_place(|| believing(&known, broker));
    assert!(well, "{said}");
    let other = broker.folder.path().join("stranger.p12");
    key_pair(&other, "broker");
    let (well, said) = tokio::task::block_in_place(|| believing(&certificate(&other), broker));
    assert!(!well && said.contains("invalid peer certificate"), "{said}");
    let (well, said) = tokio::task::block_in_place(|| believing(Path::new("/dev/null"), broker));
    assert!(!well && said.contains("ssl.truststore.location"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_its_own() {
    let Ok(broker) = std::env::var(ROLE) else {
        return;
    };
    let client = client(&broker);
    let members = Kafka::new().group_members(&client, "g", Duration::from_secs(3)).await;
    assert!(members.is_ok(), "{}", members.unwrap_err());
    round_trip(&Kafka::new(), &client).await;
    round_trip(&RdKafka::new(), &client).await;
}
