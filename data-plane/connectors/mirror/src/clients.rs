//! Settings of the Kafka clients: connections under `source.cluster.` and `target.cluster.`, the rest under the client's own prefixes; later
//! ones win, as in MirrorMaker.

use crate::config::{self, Plan};
use dray_connect::ConfigMap;
use dray_connect::{Error, Result};
use dray_kafka::CLIENT;
use dray_kafka::port::ClientConfig;

pub(crate) const SERVERS: &str = "bootstrap.servers";

/// Only these count under `source.cluster.` and `target.cluster.`.
fn is_of_connection(key: &str) -> bool {
    key == SERVERS || key == "security.protocol" || key.starts_with("ssl.") || key.starts_with("sasl.")
}

fn layered(config: &ConfigMap, side: &str, kind: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    // Not one of Kafka's settings, so it needs no prefix.
    if let Some(choice) = config.get(CLIENT) {
        client.insert(CLIENT.to_owned(), choice.clone());
    }
    let mut layer = |prefix: String, takes: fn(&str) -> bool| {
        let keys = config.iter().filter_map(|(key, value)| {
            let key = key.strip_prefix(&*prefix)?;
            takes(key).then(|| (key.to_owned(), value.clone()))
        });
        client.extend(keys);
    };
    layer(format!("{side}.cluster."), is_of_connection);
    // Of this connector's own keys two begin as these do, and the framework's overrides too.
    layer(format!("{kind}."), |key| {
        !key.starts_with("override.") && key != "poll.timeout.ms" && key != "timeout.ms"
    });
    layer(format!("{side}.{kind}."), |_| true);
    client
}

fn named(mut client: ClientConfig, config: &ConfigMap, plan: &Plan, task: Option<&str>, role: &str) -> ClientConfig {
    let before = client.get("client.id").map_or_else(String::new, |id| format!("{id}|"));
    let name = config.get("name").map_or("mirror", String::as_str);
    let (source, target) = (&plan.policy.source, &plan.selection.target);
    let task = task.map_or_else(String::new, |task| format!("-{task}"));
    let id = format!("{before}{source}->{target}|{name}{task}|{role}");
    client.insert("client.id".to_owned(), id);
    client
}

fn with_servers(client: ClientConfig) -> Result<ClientConfig> {
    if client.get(SERVERS).is_none_or(|servers| servers.trim().is_empty()) {
        return Err(Error::config(format!(
            "Missing required configuration \"source.cluster.{SERVERS}\" which has no default value."
        )));
    }
    Ok(client)
}

/// Of the consumer of a task.
pub(crate) fn consumer(config: &ConfigMap, plan: &Plan) -> Result<ClientConfig> {
    let mut client = layered(config, "source", "consumer");
    client.insert("enable.auto.commit".to_owned(), "false".to_owned());
    client
        .entry("auto.offset.reset".to_owned())
        .or_insert_with(|| "earliest".to_owned());
    with_servers(named(
        client,
        config,
        plan,
        Some(config::index(config)),
        "replication-consumer",
    ))
}

/// Of the admin client of the source.
pub(crate) fn source_admin(config: &ConfigMap, plan: &Plan) -> Result<ClientConfig> {
    let client = layered(config, "source", "admin");
    with_servers(named(client, config, plan, None, "replication-source-admin"))
}

/// Of the admin client of the target: as the keys say where they name a cluster, or else `worker`, the settings by which the worker
/// reaches the cluster that it writes to, with what the keys say beside.
pub(crate) fn target_admin(config: &ConfigMap, plan: &Plan, worker: &ClientConfig) -> ClientConfig {
    let own = layered(config, "target", "admin");
    let mut client = if own.contains_key(SERVERS) {
        ClientConfig::new()
    } else {
        worker.clone()
    };
    client.remove("client.id");
    client.extend(own);
    named(client, config, plan, None, "replication-target-admin")
}
