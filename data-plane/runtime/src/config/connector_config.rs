//! The keys that every connector has, those of sources and those of sinks, and the settings that both kinds share.

use super::source_config::Oversize;
use super::{PluginClasses, PluginConfig, converter_class, key, unique_names};
use crate::breaker;
use crate::policy::ErrorPolicy;
use crate::unsupported;
use dray_connect::config::{
    CaseInsensitiveValidString, ConfigDef, ConfigType, Importance, Lambda, NonEmptyString,
    NonEmptyStringWithoutControlChars, ParsedConfig, Range, Regex, ValidString, Validator as _, Width,
};
use dray_connect::{ConfigMap, Error, Result};
use dray_model::message::Recovery;
use dray_session::RestartPolicy;
use std::sync::{Arc, LazyLock};

use ConfigType::{Boolean, Class, Double, Int, List, Long, Short, String as Text};
use Importance::{High, Low, Medium};

/// The key of the connector's class.
const CLASS: &str = "connector.class";
/// What a sink reads: a list,
pub(super) const TOPICS: &str = "topics";
/// or a pattern.
pub(super) const PATTERN: &str = "topics.regex";
/// Which failures are tried again. Our own keys begin with `dray.`.
const RESTART_POLICY: &str = "dray.restart.policy";
/// The dead letter queue of a source.
pub(crate) const SOURCE_LETTERS: &str = "dray.errors.deadletterqueue.topic.name";
/// What a source does with records that are too large.
pub(super) const OVERSIZE: &str = "dray.errors.oversize";
/// Whether bad records are looked for in a batch that a sink refuses.
pub(super) const BISECT: &str = "dray.errors.bisect";
const COMMON: &str = "Common";
const ERRORS: &str = "Error Handling";

static SOURCE: LazyLock<ConfigDef> = LazyLock::new(define_source);
static SINK: LazyLock<ConfigDef> = LazyLock::new(define_sink);

/// The definition of a source connector's framework keys; a connector adds its own.
#[must_use]
pub fn source_definition() -> &'static ConfigDef {
    &SOURCE
}

/// The definition of a sink connector's framework keys; a connector adds its own.
#[must_use]
pub fn sink_definition() -> &'static ConfigDef {
    &SINK
}

/// The class that a configuration names, which has to be known before it can be parsed.
///
/// # Errors
/// When it names none.
pub fn class(config: &ConfigMap) -> Result<&str> {
    match config.get(CLASS).map(|class| class.trim()) {
        Some(class) => Ok(class),
        None => Err(Error::config(format!(
            "Missing required configuration \"{CLASS}\" which has no default value."
        ))),
    }
}

/// How a connector's tasks recover, `dray.recovery`; the control plane reads the same key, and is the one who says what is wrong with it.
#[must_use]
pub fn recovery(config: &ConfigMap) -> Recovery {
    match config.get("dray.recovery").map(|class| class.trim()) {
        Some("strict") => Recovery::Strict,
        Some(_) | None => Recovery::Fenced,
    }
}

/// Which failures are tried again, of a configuration that was found good.
pub(crate) fn restart_policy(config: &ConfigMap) -> RestartPolicy {
    let name = config.get(RESTART_POLICY);
    name.and_then(|name| name.trim().parse().ok()).unwrap_or_default()
}

/// What the framework needs of any connector's configuration.
#[derive(Clone, Debug)]
pub struct ConnectorConfig {
    /// `tasks.max`.
    pub tasks_max: usize,
    /// `tasks.max.enforce`.
    pub enforce_tasks_max: bool,
    /// The key converter, where it is not the worker's.
    pub key_converter: Option<PluginConfig>,
    /// The value converter, where it is not the worker's.
    pub value_converter: Option<PluginConfig>,
    /// The header converter, where it is not the worker's.
    pub header_converter: Option<PluginConfig>,
    /// What happens to records that fail.
    pub errors: ErrorPolicy,
    originals: ConfigMap,
}

impl ConnectorConfig {
    pub(super) fn read(parsed: &ParsedConfig) -> Result<Self> {
        unsupported::refuse_connector(parsed)?;
        Ok(Self {
            tasks_max: usize::try_from(parsed.int("tasks.max")?).unwrap_or(1),
            enforce_tasks_max: parsed.boolean("tasks.max.enforce")?,
            key_converter: PluginConfig::read(parsed, "key.converter"),
            value_converter: PluginConfig::read(parsed, "value.converter"),
            header_converter: PluginConfig::read(parsed, "header.converter"),
            errors: ErrorPolicy::read(parsed)?,
            originals: parsed.originals().clone(),
        })
    }

    /// The keys that each of its tasks is given as well, as they were written: `topics` and `topics.regex`.
    pub(crate) fn topic_keys(&self) -> ConfigMap {
        let mut keys = self.originals.clone();
        keys.retain(|key, _| key == TOPICS || key == PATTERN);
        keys
    }

    /// The configuration as it was written, the connector's own keys included.
    #[must_use]
    pub fn originals(&self) -> &ConfigMap {
        &self.originals
    }
}

fn define_common() -> ConfigDef {
    let converter =
        "Replaces the worker's; keys below it are its own, and those of the worker's converter do not count then.";
    let version = "The version of that class; the installed one when not set.";
    ConfigDef::new()
        .with_classes(Arc::new(PluginClasses))
        .define(
            key(
                "name",
                Text,
                High,
                "The connector's name; no other in the cluster has it.",
            )
            .validator(NonEmptyStringWithoutControlChars)
            .group(COMMON, 1)
            .width(Width::Medium)
            .display_name("Connector name"),
        )
        .define(
            key(
                CLASS,
                Text,
                High,
                "The class of the connector, by its full name or an alias.",
            )
            .group(COMMON, 2)
            .width(Width::Long)
            .display_name("Connector class"),
        )
        .define(
            key("connector.plugin.version", Text, Medium, version)
                .default_null()
                .group(COMMON, 3)
                .width(Width::Medium)
                .display_name("Connector version"),
        )
        .define(
            key(
                "tasks.max",
                Int,
                High,
                "The most tasks that the connector may split its work into.",
            )
            .default_value(1)
            .validator(Range::at_least(1))
            .group(COMMON, 4)
            .width(Width::Short)
            .display_name("Tasks max"),
        )
        .define(
            key(
                "tasks.max.enforce",
                Boolean,
                Low,
                "Whether a connector that makes more tasks fails, or is only warned of.",
            )
            .default_value(true)
            .group(COMMON, 5)
            .width(Width::Short)
            .display_name("Enforce tasks max"),
        )
        .define(
            key("key.converter", Class, Low, converter)
                .default_null()
                .validator(converter_class("Converter"))
                .group(COMMON, 6)
                .width(Width::Short)
                .display_name("Key converter class"),
        )
        .define(
            key("key.converter.plugin.version", Text, Low, version)
                .default_null()
                .group(COMMON, 7)
                .width(Width::Short)
                .display_name("Key converter version"),
        )
        .define(
            key("value.converter", Class, Low, converter)
                .default_null()
                .validator(converter_class("Converter"))
                .group(COMMON, 8)
                .width(Width::Short)
                .display_name("Value converter class"),
        )
        .define(
            key("value.converter.plugin.version", Text, Low, version)
                .default_null()
                .group(COMMON, 9)
                .width(Width::Short)
                .display_name("Value converter version"),
        )
        .define(
            key("header.converter", Class, Low, converter)
                .default_null()
                .validator(converter_class("HeaderConverter"))
                .group(COMMON, 10)
                .width(Width::Short)
                .display_name("Header converter class"),
        )
        .define(
            key("header.converter.plugin.version", Text, Low, version)
                .default_null()
                .group(COMMON, 11)
                .width(Width::Short)
                .display_name("Header converter version"),
        )
        .define(
            key(
                "transforms",
                List,
                Low,
                "Names of the transforms that each record goes through, in this order.",
            )
            .default_value("")
            .validator(unique_names("unique transformation aliases"))
            .group("Transforms", 12)
            .width(Width::Long)
            .display_name("Transforms"),
        )
        .define(
            key(
                "predicates",
                List,
                Low,
                "Names of the predicates that transforms can ask.",
            )
            .default_value("")
            .validator(unique_names("unique predicate aliases"))
            .group("Predicates", 13)
            .width(Width::Long)
            .display_name("Predicates"),
        )
        .define(
            key(
                "config.action.reload",
                Text,
                Low,
                "What to do when a secret of the configuration has changed: none or restart.",
            )
            .default_value("restart")
            .validator(ValidString::of(["none", "restart"]))
            .group(COMMON, 14)
            .width(Width::Medium)
            .display_name("Reload Action"),
        )
        .define(
            key(
                "errors.retry.timeout",
                Long,
                Medium,
                "How long, in milliseconds, a failed operation is tried again; 0 is never, -1 for ever.",
            )
            .default_value(0)
            .group(ERRORS, 1)
            .width(Width::Medium)
            .display_name("Retry Timeout for Errors"),
        )
        .define(
            key(
                "errors.retry.delay.max.ms",
                Long,
                Medium,
                "The longest wait between two tries; beyond it waits are random below it.",
            )
            .default_value(60_000)
            .group(ERRORS, 2)
            .width(Width::Medium)
            .display_name("Maximum Delay Between Retries for Errors"),
        )
        .define(
            key(
                "errors.tolerance",
                Text,
                Medium,
                "Whether a record that fails ends the task (none) or is left out (all).",
            )
            .default_value("none")
            .validator(ValidString::of(["none", "all"]))
            .group(ERRORS, 3)
            .width(Width::Short)
            .display_name("Error Tolerance"),
        )
        .define(
            key("errors.log.enable", Boolean, Medium, "Whether each failure is logged.")
                .default_value(false)
                .group(ERRORS, 4)
                .width(Width::Short)
                .display_name("Log Errors"),
        )
        .define(
            key(
                "errors.log.include.messages",
                Boolean,
                Medium,
                "Whether the log says which record it was.",
            )
            .default_value(false)
            .group(ERRORS, 5)
            .width(Width::Short)
            .display_name("Log Error Details"),
        )
        .define(
            key(
                RESTART_POLICY,
                Text,
                Medium,
                "Which failures of the connector and its tasks are tried again: what a later try can cure (transient), all, or none.",
            )
            .default_value("transient")
            .validator(ValidString::of(RestartPolicy::NAMES))
            .group("Dray", 1)
            .width(Width::Short)
            .display_name("Restart Policy"),
        )
        .define(
            key(
                breaker::PERCENT,
                Double,
                Medium,
                "How many percent of a task's last records may fail and be tolerated; when more do, the task fails and its whole connector is paused, \
                 until it is resumed or its configuration is changed.",
            )
            .default_value(100.0)
            .validator(Range::between(0.0, 100.0))
            .group("Dray", 2)
            .width(Width::Short)
            .display_name("Breaker Percent"),
        )
        .define(
            key(
                breaker::RECORDS,
                Int,
                Medium,
                "How many records those are the percent of.",
            )
            .default_value(1000)
            .validator(Range::at_least(1))
            .group("Dray", 3)
            .width(Width::Short)
            .display_name("Breaker Records"),
        )
}

fn define_source() -> ConfigDef {
    const EXACTLY_ONCE: &str = "Exactly Once Support";
    let interval = Lambda::new("[0,...]", |name, value| {
        if value.is_null() {
            Ok(())
        } else {
            Range::at_least(0).ensure_valid(name, value)
        }
    });
    define_common()
        .define(
            key(
                "topic.creation.groups",
                List,
                Low,
                "Names of groups of topics that are created with settings of their own.",
            )
            .default_value("")
            .validator(unique_names("unique topic creation groups"))
            .group("Topic Creation", 1)
            .width(Width::Long)
            .display_name("Topic Creation Groups"),
        )
        .define(
            key(
                "exactly.once.support",
                Text,
                Medium,
                "Whether the connector may run without exactly-once delivery (requested) or not (required).",
            )
            .default_value("requested")
            .validator(CaseInsensitiveValidString::of(["requested", "required"]))
            .group(EXACTLY_ONCE, 2)
            .width(Width::Short)
            .display_name("Exactly once support"),
        )
        .define(
            key(
                "transaction.boundary",
                Text,
                Medium,
                "Where transactions end: after each poll, after an interval, or where the connector says.",
            )
            .default_value("poll")
            .validator(CaseInsensitiveValidString::of(["poll", "interval", "connector"]))
            .group(EXACTLY_ONCE, 3)
            .width(Width::Short)
            .display_name("Transaction Boundary"),
        )
        .define(
            key(
                "transaction.boundary.interval.ms",
                Long,
                Low,
                "The interval between transactions; the worker's offset.flush.interval.ms when not set.",
            )
            .default_null()
            .validator(interval)
            .group(EXACTLY_ONCE, 4)
            .width(Width::Short)
            .display_name("Transaction boundary interval"),
        )
        .define(
            key(
                "offsets.storage.topic",
                Text,
                Low,
                "A topic of this connector alone for its offsets; the worker's when not set.",
            )
            .default_null()
            .validator(NonEmptyString)
            .group("offsets.topic", 1)
            .width(Width::Long)
            .display_name("Offsets topic"),
        )
        .define(
            key(
                SOURCE_LETTERS,
                Text,
                Medium,
                "The topic that records go to when they fail; none when empty.",
            )
            .default_value("")
            .group("Dray", 4)
            .width(Width::Medium)
            .display_name("Dead Letter Queue Topic Name"),
        )
        .define(
            key(
                "dray.errors.deadletterqueue.topic.replication.factor",
                Short,
                Medium,
                "Its replication factor when it has to be created.",
            )
            .default_value(3)
            .group("Dray", 5)
            .width(Width::Medium)
            .display_name("Dead Letter Queue Topic Replication Factor"),
        )
        .define(
            key(
                OVERSIZE,
                Text,
                Medium,
                "What happens to a record that is larger than Kafka takes: what errors.tolerance says (fail), a dead letter, or its value is cut.",
            )
            .default_value("fail")
            .validator(ValidString::of(Oversize::NAMES))
            .group("Dray", 6)
            .width(Width::Short)
            .display_name("Oversize"),
        )
}

fn define_sink() -> ConfigDef {
    define_common()
        .define(
            key(
                "topics",
                List,
                High,
                "The topics to read; either these or topics.regex.",
            )
            .default_value("")
            .group(COMMON, 4)
            .width(Width::Long)
            .display_name("Topics"),
        )
        .define(
            key(
                PATTERN,
                Text,
                High,
                "A pattern that the names of the topics to read match as a whole.",
            )
            .default_value("")
            .validator(Regex)
            .group(COMMON, 4)
            .width(Width::Long)
            .display_name("Topics regex"),
        )
        .define(
            key(
                "errors.deadletterqueue.topic.name",
                Text,
                Medium,
                "The topic that records go to when they fail; none when empty.",
            )
            .default_value("")
            .group(ERRORS, 6)
            .width(Width::Medium)
            .display_name("Dead Letter Queue Topic Name"),
        )
        .define(
            key(
                "errors.deadletterqueue.topic.replication.factor",
                Short,
                Medium,
                "Its replication factor when it has to be created.",
            )
            .default_value(3)
            .group(ERRORS, 7)
            .width(Width::Medium)
            .display_name("Dead Letter Queue Topic Replication Factor"),
        )
        .define(
            key(
                "errors.deadletterqueue.context.headers.enable",
                Boolean,
                Medium,
                "Whether its records get headers that say where they come from and what failed.",
            )
            .default_value(false)
            .group(ERRORS, 8)
            .width(Width::Medium)
            .display_name("Enable Error Context Headers"),
        )
        .define(
            key(
                BISECT,
                Boolean,
                Medium,
                "Whether a batch that the sink refuses for its data is split until the bad records are found, which go to the dead letter queue.",
            )
            .default_value(true)
            .group("Dray", 4)
            .width(Width::Short)
            .display_name("Bisect"),
        )
}
