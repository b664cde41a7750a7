//! The keys of a worker file, standalone or distributed, and the settings that the runtime takes from them.

use super::{PluginClasses, PluginConfig, converter_class, key};
use crate::offsets::topic::OffsetTopic;
use crate::unsupported;
use dray_connect::config::{
    CaseInsensitiveValidString, ConfigDef, ConfigType, ConfigValue, Importance, Lambda, ParsedConfig, Range,
    ValidString,
};
use dray_connect::{ConfigMap, Error, Result};
use dray_process::hidden::Hidden;
use dray_providers::{Look, Providers, Resolved, Whose};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use ConfigType::{Boolean, Class, Int, List, Long, Password, Short, String as Text};
use Importance::{High, Low, Medium};

static DEFINITION: LazyLock<ConfigDef> = LazyLock::new(define);

/// The definition of a worker's keys.
#[must_use]
pub fn definition() -> &'static ConfigDef {
    &DEFINITION
}

/// What a worker file says.
#[derive(Clone, Debug)]
pub struct WorkerConfig {
    /// For connectors that name no key converter.
    pub key_converter: PluginConfig,
    /// For connectors that name no value converter.
    pub value_converter: PluginConfig,
    /// For connectors that name no header converter.
    pub header_converter: PluginConfig,
    /// `task.shutdown.graceful.timeout.ms`: how long a stop waits before it aborts.
    pub graceful_timeout: Duration,
    /// `offset.flush.interval.ms`: the time between two commits of offsets.
    pub flush_interval: Duration,
    /// `offset.flush.timeout.ms`: how long the last flush and commit may take.
    pub flush_timeout: Duration,
    /// `topic.creation.enable`: whether sources may create topics.
    pub topic_creation: bool,
    /// `topic.tracking.enable`: whether the topics that tasks use are told.
    pub topic_tracking: bool,
    /// `offset.storage.file.filename`: where source offsets are kept, when in a file.
    pub offsets_file: Option<PathBuf>,
    /// `offset.storage.topic` and what belongs to it: where source offsets are kept, when in a topic.
    pub offsets_topic: Option<OffsetTopic>,
    /// How often values of config providers are looked at again.
    pub providers_poll: Duration,
    providers: Arc<Providers>,
    originals: ConfigMap,
    written: ConfigMap,
}

/// How often values of config providers are looked at again, in ms.
const PROVIDERS_POLL: &str = "dray.config.providers.poll.interval.ms";

/// How long reading values may take. A disk may hang; what AWS is asked for ends sooner, with a reason.
const PROVIDERS_PATIENCE: Duration = Duration::from_secs(30);

impl WorkerConfig {
    /// Reads a worker's configuration.
    ///
    /// # Errors
    /// With Connect's text for the first key that is missing, has a value that is not allowed, or is not supported yet.
    pub fn parse(config: &ConfigMap) -> Result<Self> {
        Self::resolve(config, &Hidden::default())
    }

    /// Reads a worker's configuration that may refer to config providers of its own, whose values are hidden from then on. Blocks while
    /// they are read.
    ///
    /// # Errors
    /// As [`parse`](Self::parse), and when a value cannot be had.
    pub fn resolve(written: &ConfigMap, hidden: &Hidden) -> Result<Self> {
        let providers = Providers::of_worker(written, hidden.clone())?;
        let resolved = providers.resolve_blocking(Whose::Worker, written)?;
        let config = resolved.config();
        let parsed = definition().parse(config)?;
        unsupported::refuse_worker(&parsed)?;
        let converter = |key| PluginConfig::read(&parsed, key).expect("a converter of a worker has a value");
        Ok(Self {
            key_converter: converter("key.converter"),
            value_converter: converter("value.converter"),
            header_converter: converter("header.converter"),
            graceful_timeout: millis(&parsed, "task.shutdown.graceful.timeout.ms")?,
            flush_interval: millis(&parsed, "offset.flush.interval.ms")?,
            flush_timeout: millis(&parsed, "offset.flush.timeout.ms")?,
            topic_creation: parsed.boolean("topic.creation.enable")?,
            topic_tracking: parsed.boolean("topic.tracking.enable")?,
            offsets_file: parsed.string("offset.storage.file.filename").map(PathBuf::from),
            offsets_topic: OffsetTopic::read(&parsed)?,
            providers_poll: millis(&parsed, PROVIDERS_POLL)?,
            providers: Arc::new(providers),
            originals: config.clone(),
            written: written.clone(),
        })
    }

    /// The providers that connectors may refer to.
    #[must_use]
    pub fn providers(&self) -> &Arc<Providers> {
        &self.providers
    }

    /// A connector's or task's configuration with the values that it refers to. Cancel-safe.
    ///
    /// # Errors
    /// When a value cannot be had, or not in time.
    pub async fn resolve_connector(&self, look: Look, config: &ConfigMap) -> Result<Resolved> {
        if !self.providers.are_used_by(config) {
            return Ok(Resolved::plain(config));
        }
        let resolve = self.providers.resolve(Whose::Connector, look, config);
        match tokio::time::timeout(PROVIDERS_PATIENCE, resolve).await {
            Ok(resolved) => resolved,
            Err(_) => Err(Error::retriable(format!(
                "the config providers have not answered within {PROVIDERS_PATIENCE:?}"
            ))),
        }
    }

    /// The configuration with its references, as others may see it.
    #[must_use]
    pub fn written(&self) -> &ConfigMap {
        &self.written
    }

    /// The configuration as it was written, with the values that it refers to: client settings are layered from it.
    #[must_use]
    pub fn originals(&self) -> &ConfigMap {
        &self.originals
    }
}

fn millis(config: &ParsedConfig, key: &str) -> Result<Duration> {
    Ok(Duration::from_millis(u64::try_from(config.long(key)?).unwrap_or(0)))
}

fn define() -> ConfigDef {
    let def = ConfigDef::new().with_classes(Arc::new(PluginClasses));
    rest(ssl(common(def)))
        .define(
            key("offset.storage.file.filename", Text, High, "The file that source offsets are kept in.").default_null(),
        )
        .define(key("offset.storage.topic", Text, High, "The topic that source offsets are kept in.").default_null())
        .define(
            key("offset.storage.partitions", Int, Low, "Partitions of the offset topic when it is created; -1 is the broker's default.")
                .default_value(25)
                .validator(positive_or_minus_one("Positive number, or -1 to use the broker's default", "Number of partitions must be positive, or -1 to use the broker's default")),
        )
        .define(
            key("offset.storage.replication.factor", Short, Low, "Replication factor of the offset topic when it is created; -1 is the broker's default.")
                .default_value(3)
                .validator(positive_or_minus_one(
                    "Positive number not larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default",
                    "Replication factor must be positive and not larger than the number of brokers in the Kafka cluster, or -1 to use the broker's default",
                )),
        )
}

/// A number of partitions or replicas.
pub(super) fn positive_or_minus_one(description: &str, problem: &'static str) -> Lambda {
    Lambda::new(description, move |name, value| {
        let found = match value {
            ConfigValue::Short(number) => Some(i32::from(*number)),
            ConfigValue::Int(number) => Some(*number),
            ConfigValue::Null
            | ConfigValue::Boolean(_)
            | ConfigValue::String(_)
            | ConfigValue::Long(_)
            | ConfigValue::Double(_)
            | ConfigValue::List(_)
            | ConfigValue::Class(_)
            | ConfigValue::Password(_) => None,
        };
        if found.is_some_and(|found| found == -1 || found >= 1) {
            return Ok(());
        }
        Err(Error::invalid_config(
            name,
            Some(&value.java_to_string()),
            Some(problem),
        ))
    })
}

fn common(def: ConfigDef) -> ConfigDef {
    let dns = ["use_all_dns_ips", "resolve_canonical_bootstrap_servers_only"];
    let converter = "Turns what connectors give into the bytes that are stored in Kafka, and back, unless the connector names another.";
    let version = "The version of that class; the installed one when not set.";
    def.define(
        key("bootstrap.servers", List, High, "Brokers to ask first, as host:port.").default_value("localhost:9092"),
    )
    .define(
        key(
            "client.dns.lookup",
            Text,
            Medium,
            "How the addresses of a broker's name are used.",
        )
        .default_value("use_all_dns_ips")
        .validator(ValidString::of(dns)),
    )
    .define(key("key.converter", Class, High, converter).validator(converter_class("Converter")))
    .define(key("key.converter.plugin.version", Text, Low, version).default_null())
    .define(key("value.converter", Class, High, converter).validator(converter_class("Converter")))
    .define(key("value.converter.plugin.version", Text, Low, version).default_null())
    .define(
        key(
            "task.shutdown.graceful.timeout.ms",
            Long,
            Low,
            "How long all tasks together may take to stop before they are aborted.",
        )
        .default_value(5_000),
    )
    .define(
        // Connect's default is 60 s, which makes a crash repeat a minute of work; a second costs one small write.
        key(
            "offset.flush.interval.ms",
            Long,
            Low,
            "The time between two commits of a task's offsets.",
        )
        .default_value(1_000)
        .validator(Range::at_least(1)),
    )
    .define(
        key(
            "offset.flush.timeout.ms",
            Long,
            Low,
            "How long a task that stops waits for its last records and offsets.",
        )
        .default_value(5_000),
    )
    .define(key("plugin.path", List, Low, "Where Kafka Connect looks for plugins.").default_null())
    .define(
        key("plugin.discovery", Text, Low, "How Kafka Connect looks for plugins.")
            .default_value("hybrid_warn")
            .validator(CaseInsensitiveValidString::of([
                "only_scan",
                "hybrid_warn",
                "hybrid_fail",
                "service_load",
            ])),
    )
    .define(
        key(
            "metrics.sample.window.ms",
            Long,
            Low,
            "The length of one sample of a metric.",
        )
        .default_value(30_000)
        .validator(Range::at_least(0)),
    )
    .define(
        key(
            "metrics.num.samples",
            Int,
            Low,
            "How many samples of a metric are kept.",
        )
        .default_value(2)
        .validator(Range::at_least(1)),
    )
    .define(
        key(
            "metrics.recording.level",
            Text,
            Low,
            "The least important metrics that are kept.",
        )
        .default_value("INFO")
        .validator(ValidString::of(["INFO", "DEBUG"])),
    )
    .define(
        key("metric.reporters", List, Low, "Classes that report metrics.")
            .default_value("org.apache.kafka.common.metrics.JmxReporter"),
    )
    .define(
        key(
            "header.converter",
            Class,
            Low,
            "Turns headers into bytes and back, unless the connector names another.",
        )
        .default_value("org.apache.kafka.connect.storage.SimpleHeaderConverter")
        .validator(converter_class("HeaderConverter")),
    )
    .define(key("header.converter.plugin.version", Text, Low, version).default_null())
    .define(
        key(
            "config.providers",
            List,
            Low,
            "Names of config providers, which put secrets into configurations.",
        )
        .default_value(""),
    )
    .define(
        key(
            PROVIDERS_POLL,
            Long,
            Low,
            "How often values of config providers are looked at again, so that what uses a changed one restarts, in ms.",
        )
        .default_value(30_000)
        .validator(Range::at_least(100)),
    )
    .define(
        key(
            "connector.client.config.override.policy",
            Text,
            Medium,
            "Which client settings connectors may override.",
        )
        .default_value("All"),
    )
    .define(
        key(
            "topic.creation.enable",
            Boolean,
            Low,
            "Whether sources may create the topics that their topic.creation groups describe.",
        )
        .default_value(true),
    )
    .define(
        key(
            "topic.tracking.enable",
            Boolean,
            Low,
            "Whether the topics that a connector uses are recorded.",
        )
        .default_value(true),
    )
    .define(
        key(
            "topic.tracking.allow.reset",
            Boolean,
            Low,
            "Whether that record may be reset.",
        )
        .default_value(true),
    )
}

fn ssl(def: ConfigDef) -> ConfigDef {
    let null = || ConfigValue::Null;
    let keys: [(&str, ConfigType, ConfigValue, Importance); 19] = [
        ("ssl.protocol", Text, "TLSv1.3".into(), Medium),
        ("ssl.provider", Text, null(), Medium),
        ("ssl.cipher.suites", List, "".into(), Low),
        ("ssl.enabled.protocols", List, "TLSv1.2,TLSv1.3".into(), Medium),
        ("ssl.keystore.type", Text, "JKS".into(), Medium),
        ("ssl.keystore.location", Text, null(), High),
        ("ssl.keystore.password", Password, null(), High),
        ("ssl.key.password", Password, null(), High),
        ("ssl.keystore.key", Password, null(), High),
        ("ssl.keystore.certificate.chain", Password, null(), High),
        ("ssl.truststore.certificates", Password, null(), High),
        ("ssl.truststore.type", Text, "JKS".into(), Medium),
        ("ssl.truststore.location", Text, null(), High),
        ("ssl.truststore.password", Password, null(), High),
        ("ssl.keymanager.algorithm", Text, "SunX509".into(), Low),
        ("ssl.trustmanager.algorithm", Text, "PKIX".into(), Low),
        ("ssl.endpoint.identification.algorithm", Text, "https".into(), Low),
        ("ssl.secure.random.implementation", Text, null(), Low),
        ("ssl.engine.factory.class", Class, null(), Low),
    ];
    let doc = "TLS of the worker's own connections; it means what it means to every Kafka client.";
    keys.into_iter().fold(def, |def, (name, kind, default, importance)| {
        def.define(key(name, kind, importance, doc).default_value(default))
    })
}

fn rest(def: ConfigDef) -> ConfigDef {
    let advertised = "Where other workers and users reach this worker's REST interface.";
    def.define(key("listeners", List, Low, "URLs that the REST interface listens on.").default_value("http://:8083"))
        .define(key("rest.advertised.host.name", Text, Low, advertised).default_null())
        .define(key("rest.advertised.port", Int, Low, advertised).default_null())
        .define(key("rest.advertised.listener", Text, Low, advertised).default_null())
        .define(
            key(
                "access.control.allow.origin",
                Text,
                Low,
                "Origins that browsers may call the REST interface from.",
            )
            .default_value(""),
        )
        .define(
            key(
                "access.control.allow.methods",
                Text,
                Low,
                "Methods that browsers may call.",
            )
            .default_value(""),
        )
        .define(
            key(
                "response.http.headers.config",
                Text,
                Low,
                "Headers that are added to every answer.",
            )
            .default_value(""),
        )
        .define(key("rest.extension.classes", List, Low, "Extensions of the REST interface.").default_value(""))
        .define(
            key(
                "admin.listeners",
                List,
                Low,
                "URLs that the admin resources listen on; the REST interface's when not set.",
            )
            .default_null(),
        )
        .define(
            key(
                "ssl.client.auth",
                Text,
                Low,
                "Whether clients of the REST interface must show a certificate.",
            )
            .default_value("none")
            .validator(ValidString::of(["required", "requested", "none"])),
        )
}
