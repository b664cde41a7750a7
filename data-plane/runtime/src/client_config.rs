//! Settings of Kafka clients, layered as Connect does it: what the framework needs, the worker's prefixed keys, the
//! connector's overrides; later ones win.

use dray_connect::ConfigMap;
use dray_kafka::CLIENT;
use dray_kafka::port::ClientConfig;

fn base(worker: &ConfigMap) -> ClientConfig {
    let servers = worker.get("bootstrap.servers").map_or("localhost:9092", String::as_str);
    let mut config = ClientConfig::from([("bootstrap.servers".to_owned(), servers.to_owned())]);
    choose(&mut config, worker);
    config
}

/// Which client serves: not one of Kafka's settings, so it needs no prefix.
fn choose(config: &mut ClientConfig, from: &ConfigMap) {
    if let Some(client) = from.get(CLIENT) {
        config.insert(CLIENT.to_owned(), client.clone());
    }
}

fn layer(into: &mut ClientConfig, from: &ConfigMap, prefix: &str) {
    let keys = from
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?, value)));
    into.extend(keys.map(|(key, value)| (key.to_owned(), value.clone())));
}

/// Settings of a producer. Equal for all tasks without overrides, so that they share one.
#[must_use]
pub fn producer(worker: &ConfigMap, connector: &ConfigMap) -> ClientConfig {
    let mut config = base(worker);
    config.insert("acks".into(), "all".into());
    config.insert("delivery.timeout.ms".into(), "2147483647".into());
    config.insert("client.id".into(), "dray-producer".into());
    choose(&mut config, connector);
    layer(&mut config, worker, "producer.");
    layer(&mut config, connector, "producer.override.");
    config
}

/// Settings of a sink task's consumer. `marker` ends its client id, whatever that is set to: by it a successor finds the members that a
/// dead session has left in the group.
#[must_use]
pub fn consumer(
    worker: &ConfigMap,
    connector: &ConfigMap,
    name: &str,
    task: u32,
    marker: Option<&str>,
) -> ClientConfig {
    let mut config = base(worker);
    config.insert("group.id".into(), format!("connect-{name}"));
    config.insert("client.id".into(), format!("connector-consumer-{name}-{task}"));
    config.insert("enable.auto.commit".into(), "false".into());
    config.insert("auto.offset.reset".into(), "earliest".into());
    choose(&mut config, connector);
    layer(&mut config, worker, "consumer.");
    layer(&mut config, connector, "consumer.override.");
    if let Some(marker) = marker {
        config.entry("client.id".into()).or_default().push_str(marker);
    }
    config
}

/// Settings of a client for the worker's own topics. Connect hands every other worker key to these clients; only those
/// that concern a connection mean something.
#[must_use]
pub fn internal(worker: &ConfigMap, client_id: &str) -> ClientConfig {
    let mut config = base(worker);
    config.insert("client.id".into(), client_id.into());
    let connection = ["security.", "sasl.", "ssl.", "client.id", "client.dns.lookup"];
    let keys = worker
        .iter()
        .filter(|(key, _)| connection.iter().any(|prefix| key.starts_with(prefix)));
    config.extend(keys.map(|(key, value)| (key.clone(), value.clone())));
    config
}

/// Settings of an admin client.
#[must_use]
pub fn admin(worker: &ConfigMap, connector: &ConfigMap) -> ClientConfig {
    let mut config = internal(worker, "dray-admin");
    layer(&mut config, worker, "admin.");
    layer(&mut config, connector, "admin.override.");
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrides_win_over_the_worker_and_the_framework() {
        let map = |pairs: &[(&str, &str)]| -> ConfigMap {
            pairs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect()
        };
        let worker = map(&[
            ("bootstrap.servers", "a:1"),
            ("producer.linger.ms", "1"),
            ("producer.acks", "1"),
            ("linger.ms", "9"),
        ]);
        let connector = map(&[
            ("producer.override.linger.ms", "2"),
            ("consumer.override.client.id", "mine"),
        ]);
        let config = producer(&worker, &connector);
        assert_eq!(config["linger.ms"], "2");
        assert_eq!(config["acks"], "1");
        assert_eq!(config["bootstrap.servers"], "a:1");
        let plain = consumer(&worker, &connector, "c", 3, None);
        assert_eq!(plain["group.id"], "connect-c");
        assert!(!plain.contains_key(CLIENT));
        let chosen = consumer(&map(&[(CLIENT, "librdkafka")]), &connector, "c", 3, None);
        assert_eq!(chosen[CLIENT], "librdkafka");
        let own = producer(&map(&[(CLIENT, "librdkafka")]), &map(&[(CLIENT, "wire")]));
        assert_eq!(own[CLIENT], "wire");
        let marked = consumer(&worker, &connector, "c", 3, Some(".7-9"));
        assert_eq!(marked["client.id"], format!("{}.7-9", plain["client.id"]));
    }
}
