//! Whether a source reads its own dead letter queue, as only a connector can that reads Kafka: each of its letters would come back to it.
//!
//! Clusters are compared by the servers that clients ask first, as nothing is connected while a configuration is validated. One server in common
//! makes two clusters one. Without any they are taken for two: to refuse what may be one would refuse every mirror of all topics that has a
//! queue. Whoever reaches one cluster by two names has to exclude the queue himself.

use crate::config::connector_config::SOURCE_LETTERS;
use crate::config::sink_config::Conflict;
use dray_connect::ConfigMap;
use dray_connect::connector::SourceConnector;
use std::collections::BTreeSet;

const SERVERS: &str = "bootstrap.servers";

/// What stands against the dead letter queue of a source; `worker` is the worker's configuration.
pub(super) fn conflict(source: &dyn SourceConnector, config: &ConfigMap, worker: &ConfigMap) -> Option<Conflict> {
    let letters = config.get(SOURCE_LETTERS).map_or("", |topic| topic.trim());
    if letters.is_empty() {
        return None;
    }
    // Where its configuration is wrong, its own keys say so.
    let read = crate::guard::guarded_now("reads_topic", || source.reads_topic(config, letters));
    let read = read.ok().flatten()?;
    let written = config
        .get("producer.override.bootstrap.servers")
        .or_else(|| worker.get("producer.bootstrap.servers"))
        .or_else(|| worker.get(SERVERS))?;
    let (read, written) = (servers(&read), servers(written));
    let server = read.intersection(&written).next()?;
    let problem = format!(
        "The DLQ topic '{letters}' may not be one of the topics that the connector itself reads, and it reads it from {server}, where its \
         letters are written: name another topic, or exclude this one from what is read"
    );
    Some(Conflict {
        key: SOURCE_LETTERS,
        problem,
    })
}

/// A list of servers, with one name for the machine itself.
fn servers(list: &str) -> BTreeSet<String> {
    let one = |server: &str| {
        // `SASL_SSL://host:9092` is a server of that name, too.
        let server = server.rsplit("://").next().unwrap_or(server).to_ascii_lowercase();
        match server.rsplit_once(':') {
            Some(("127.0.0.1" | "[::1]", port)) => format!("localhost:{port}"),
            Some(_) | None => server,
        }
    };
    let some = list.split(',').map(str::trim).filter(|server| !server.is_empty());
    some.map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::servers;

    #[test]
    fn a_server_has_one_name() {
        for (one, other, same) in [
            ("a:9092", " b:9092 , A:9092", true),
            ("127.0.0.1:9092", "localhost:9092", true),
            ("PLAINTEXT://[::1]:9092", "localhost:9092", true),
            ("a:9092", "a:9093", false),
            ("a:9092,", ",b:9092", false),
        ] {
            assert_eq!(!servers(one).is_disjoint(&servers(other)), same, "{one} {other}");
        }
    }
}
