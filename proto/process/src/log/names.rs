//! Loggers have names: the targets of our own lines (`dray_runtime::sink_task`), the Java classes and packages of Kafka Connect that do
//! the same, and connectors (`dray.connector.NAME`).

/// What the names of connectors' loggers begin with.
pub(super) const CONNECTOR: &str = "dray.connector.";
/// Everything.
pub(super) const ROOT: &str = "root";

/// A target of ours, and what does the same in Connect. Of several that fit, the longest target counts.
pub(super) const JAVA: &[(&str, &str)] = &[
    ("dray_agent", "org.apache.kafka.connect.runtime.Worker"),
    ("dray_agent::answers", "org.apache.kafka.connect.runtime.AbstractHerder"),
    (
        "dray_agent::kafka",
        "org.apache.kafka.connect.storage.KafkaOffsetBackingStore",
    ),
    (
        "dray_agent::status_topic",
        "org.apache.kafka.connect.storage.KafkaStatusBackingStore",
    ),
    ("dray_connector_datagen", "io.dray.connect.datagen"),
    ("dray_connector_file", "org.apache.kafka.connect.file"),
    ("dray_control", "org.apache.kafka.connect.runtime.distributed"),
    ("dray_converters", "org.apache.kafka.connect.converters"),
    ("dray_converters::json", "org.apache.kafka.connect.json"),
    ("dray_kafka", "org.apache.kafka.clients"),
    ("dray_kafka::rd::admin", "org.apache.kafka.clients.admin"),
    ("dray_kafka::rd::consumer", "org.apache.kafka.clients.consumer"),
    ("dray_kafka::rd::member", "org.apache.kafka.clients.consumer"),
    ("dray_kafka::rd::producer", "org.apache.kafka.clients.producer"),
    ("dray_rest", "org.apache.kafka.connect.runtime.rest"),
    ("dray_runtime", "org.apache.kafka.connect.runtime"),
    ("dray_runtime::crew", "org.apache.kafka.connect.runtime.Worker"),
    (
        "dray_runtime::dead_letter",
        "org.apache.kafka.connect.runtime.errors.DeadLetterQueueReporter",
    ),
    (
        "dray_runtime::instance",
        "org.apache.kafka.connect.runtime.WorkerConnector",
    ),
    ("dray_runtime::offsets", "org.apache.kafka.connect.storage"),
    (
        "dray_runtime::sink_task",
        "org.apache.kafka.connect.runtime.WorkerSinkTask",
    ),
    (
        "dray_runtime::source_task",
        "org.apache.kafka.connect.runtime.WorkerSourceTask",
    ),
    ("dray_runtime::supervise", "org.apache.kafka.connect.runtime.WorkerTask"),
    ("dray_runtime::topics", "org.apache.kafka.connect.util.TopicAdmin"),
    (
        "dray_store_etcd",
        "org.apache.kafka.connect.storage.KafkaConfigBackingStore",
    ),
    ("dray_transforms", "org.apache.kafka.connect.transforms"),
];

/// The name as it is kept: our own with `::`, and `root` in whatever case.
pub(super) fn canonical(name: &str) -> String {
    if name.eq_ignore_ascii_case(ROOT) {
        return ROOT.to_owned();
    }
    let ours = name.starts_with("dray_") || name == "dray";
    if ours { name.replace('.', "::") } else { name.to_owned() }
}

/// The name in Java of what has this target.
pub(super) fn java(target: &str) -> Option<&'static str> {
    let fits = JAVA.iter().filter(|(ours, _)| covers(ours, target, "::"));
    fits.max_by_key(|(ours, _)| ours.len()).map(|(_, java)| *java)
}

/// Whether a logger of this name is the other, or a parent of it.
pub(super) fn covers(parent: &str, name: &str, separator: &str) -> bool {
    name.strip_prefix(parent)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(separator))
}

/// All names that are known without anybody having set them.
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    JAVA.iter().flat_map(|(ours, java)| [*ours, *java])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_their_names_in_java() {
        for (target, name) in [
            (
                "dray_runtime::sink_task",
                Some("org.apache.kafka.connect.runtime.WorkerSinkTask"),
            ),
            ("dray_runtime::ledger", Some("org.apache.kafka.connect.runtime")),
            ("dray_runtime_x", None),
            ("h2::codec", None),
        ] {
            assert_eq!(java(target), name, "{target}");
        }
        assert!(covers("org.apache", "org.apache.kafka", ".") && !covers("org.ap", "org.apache", "."));
        assert_eq!(
            [canonical("ROOT"), canonical("dray_kafka.rd"), canonical("org.x")],
            ["root", "dray_kafka::rd", "org.x"]
        );
    }
}
