//! Settings in, settings out.

use super::*;

fn config(pairs: &[(&str, &str)]) -> ClientConfig {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[track_caller]
fn check(role: Role, pairs: &[(&str, &str)], expected: &[(&str, &str)]) -> Vec<String> {
    let out = translate(&config(pairs), role).expect("translates");
    for (key, value) in expected {
        assert_eq!(out.settings.get(*key).map(String::as_str), Some(*value), "{key}");
    }
    out.warnings
}

#[test]
fn what_connect_puts_into_every_producer_gives_no_warning() {
    let warnings = check(
        Role::Producer,
        &[
            ("bootstrap.servers", "b:9092"),
            (
                "key.serializer",
                "org.apache.kafka.common.serialization.ByteArraySerializer",
            ),
            (
                "value.serializer",
                "org.apache.kafka.common.serialization.ByteArraySerializer",
            ),
            ("max.block.ms", "9223372036854775807"),
            ("enable.idempotence", "false"),
            ("acks", "all"),
            ("max.in.flight.requests.per.connection", "1"),
            ("delivery.timeout.ms", "2147483647"),
            ("client.id", "connector-producer-c-0"),
        ],
        &[
            ("bootstrap.servers", "b:9092"),
            ("message.timeout.ms", "2147483647"),
            ("partitioner", "murmur2_random"),
            ("acks", "all"),
            ("linger.ms", "5"),
            ("batch.size", "524288"),
            ("compression.type", "none"),
            ("max.in.flight.requests.per.connection", "1"),
        ],
    );
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn renamed() {
    check(
        Role::Producer,
        &[
            ("buffer.memory", "33554433"),
            ("max.request.size", "2000000"),
            ("send.buffer.bytes", "-1"),
            ("compression.type", "ZSTD"),
        ],
        &[
            ("queue.buffering.max.kbytes", "32769"),
            ("message.max.bytes", "2000000"),
            ("socket.send.buffer.bytes", "0"),
            ("compression.type", "zstd"),
        ],
    );
    check(
        Role::Consumer,
        &[
            ("fetch.max.wait.ms", "7"),
            ("max.partition.fetch.bytes", "9"),
            ("auto.offset.reset", "none"),
            ("request.timeout.ms", "900000"),
        ],
        &[
            ("fetch.wait.max.ms", "7"),
            ("fetch.message.max.bytes", "9"),
            ("auto.offset.reset", "error"),
            ("socket.timeout.ms", "300000"),
            ("enable.auto.commit", "false"),
            ("fetch.queue.backoff.ms", "5"),
        ],
    );
    check(
        Role::Consumer,
        &[("fetch.queue.backoff.ms", "70")],
        &[("fetch.queue.backoff.ms", "70")],
    );
}

#[test]
fn the_partitioner_is_not_for_choice() {
    let warnings = check(
        Role::Producer,
        &[("partitioner.class", "x.Y")],
        &[("partitioner", "murmur2_random")],
    );
    assert_eq!(warnings.len(), 1);
}

#[test]
fn unknown_and_meaningless_are_named_but_not_for_admin() {
    let pairs = [("ssl.protocol", "TLSv1.3"), ("no.such.thing", "1")];
    let warnings = check(Role::Consumer, &pairs, &[]);
    assert!(
        warnings.iter().any(|w| w.contains("`ssl.protocol` has no meaning")),
        "{warnings:?}"
    );
    assert!(
        warnings.iter().any(|w| w.contains("`no.such.thing` is not known")),
        "{warnings:?}"
    );
    assert!(check(Role::Admin, &pairs, &[]).is_empty());
}

#[test]
fn assignors() {
    check(
        Role::Consumer,
        &[(
            "partition.assignment.strategy",
            "org.apache.kafka.clients.consumer.RangeAssignor, org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        )],
        &[("partition.assignment.strategy", "range")],
    );
    check(
        Role::Consumer,
        &[(
            "partition.assignment.strategy",
            "org.apache.kafka.clients.consumer.CooperativeStickyAssignor",
        )],
        &[("partition.assignment.strategy", "cooperative-sticky")],
    );
}

#[test]
fn the_new_group_protocol_drops_what_the_broker_decides() {
    let out = translate(
        &config(&[("group.protocol", "CONSUMER"), ("session.timeout.ms", "6000")]),
        Role::Consumer,
    )
    .unwrap();
    assert!(!out.settings.contains_key("session.timeout.ms"));
    assert_eq!(out.settings["group.protocol"], "consumer");
}

#[test]
fn jaas_plain_and_scram() {
    let text = r#"org.apache.kafka.common.security.scram.ScramLoginModule required
        username="us;er" password="p\"w=1";"#;
    check(
        Role::Producer,
        &[
            ("sasl.jaas.config", text),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("security.protocol", "SASL_SSL"),
        ],
        &[
            ("sasl.username", "us;er"),
            ("sasl.password", "p\"w=1"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("security.protocol", "sasl_ssl"),
        ],
    );
}

#[test]
fn tokens_are_described_by_javas_settings() {
    let text = r#"org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required
        clientId="me" clientSecret="hunter2" scope="kafka" extension_logicalCluster="lkc-1";"#;
    let warnings = check(
        Role::Producer,
        &[
            ("sasl.mechanism", "OAUTHBEARER"),
            ("sasl.jaas.config", text),
            ("sasl.oauthbearer.token.endpoint.url", "https://idp/token"),
            ("sasl.oauthbearer.scope", " "),
            ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
            ("sasl.login.read.timeout.ms", "7"),
        ],
        &[
            ("sasl.jaas.clientId", "me"),
            ("sasl.jaas.clientSecret", "hunter2"),
            ("sasl.jaas.scope", "kafka"),
            ("sasl.jaas.extension_logicalCluster", "lkc-1"),
            ("sasl.oauthbearer.token.endpoint.url", "https://idp/token"),
            ("sasl.login.read.timeout.ms", "7"),
        ],
    );
    assert_eq!(warnings, Vec::<String>::new());
    let warnings = check(Role::Producer, &[("sasl.login.class", "x.Y")], &[]);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[test]
fn a_bad_jaas_does_not_print_the_secret() {
    for text in [
        "x.Krb5LoginModule required password=\"hunter2\";",
        "x.PlainLoginModule required password=\"hunter2\";",
        "x.PlainLoginModule required username=me password=\"hunter2;",
    ] {
        let error = translate(&config(&[("sasl.jaas.config", text)]), Role::Producer).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}

#[test]
fn stores() {
    check(
        Role::Producer,
        &[
            ("ssl.truststore.location", "/ca.pem"),
            ("ssl.truststore.type", "PEM"),
            ("ssl.keystore.location", "/k.p12"),
            ("ssl.keystore.password", "s"),
            ("ssl.endpoint.identification.algorithm", ""),
        ],
        &[
            ("ssl.ca.location", "/ca.pem"),
            ("ssl.keystore.location", "/k.p12"),
            ("ssl.keystore.password", "s"),
            ("ssl.endpoint.identification.algorithm", "none"),
        ],
    );
    assert!(translate(&config(&[("ssl.truststore.location", "/ca.jks")]), Role::Admin).is_err());
}
