//! Java client settings in librdkafka's words. Pure: settings in, settings and warnings out. No warning and no error
//! here quotes a value of a secret.

use super::errors::local;
use crate::error::{Class, Error, Result};
use crate::port::ClientConfig;
use crate::wire::oauth;
use std::collections::BTreeMap;

mod jaas;
mod table;

use table::{MEANINGLESS, RENAMED, SAME};

/// Which client the settings are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Producer,
    Consumer,
    /// Worker settings without a prefix come here too, so a name that is not a client's is no reason for a warning.
    Admin,
}

/// Settings that librdkafka takes, and what the user should know about the rest.
#[derive(Debug, Default)]
pub(crate) struct Translated {
    pub(crate) settings: BTreeMap<String, String>,
    pub(crate) warnings: Vec<String>,
}

impl Translated {
    fn set(&mut self, key: &str, value: impl Into<String>) {
        self.settings.insert(key.to_owned(), value.into());
    }

    /// Sets what the configuration left open.
    pub(crate) fn default_to(&mut self, key: &str, value: &str) {
        self.settings.entry(key.to_owned()).or_insert_with(|| value.to_owned());
    }
}

/// How a renamed setting's value changes.
#[derive(Clone, Copy, Debug)]
enum Value {
    Same,
    /// Bytes to KiB, rounded up.
    Kibibytes,
    /// Java's -1 (the system's choice) is librdkafka's 0.
    SystemDefault,
}

/// Translates settings and adds the defaults of `role`.
pub(crate) fn translate(config: &ClientConfig, role: Role) -> Result<Translated> {
    let mut out = Translated::default();
    for (key, value) in config {
        let key = key.as_str();
        if special(key, value, role, &mut out)? {
            continue;
        }
        if let Some((_, name, change)) = RENAMED.iter().find(|(java, ..)| *java == key) {
            let value = change.apply(key, value)?;
            out.set(name, value);
        } else if SAME.contains(&key) {
            out.set(key, value.as_str());
        } else if MEANINGLESS
            .iter()
            .any(|prefix| key == *prefix || (prefix.ends_with('.') && key.starts_with(prefix)))
        {
            // The worker's own defaults carry these; they would be a warning for everybody.
            if !SILENT.contains(&key) && role != Role::Admin {
                out.warnings
                    .push(format!("the client setting `{key}` has no meaning here and is ignored"));
            }
        } else if role != Role::Admin {
            out.warnings
                .push(format!("the client setting `{key}` is not known and is ignored"));
        }
    }
    tls(config, &mut out)?;
    match role {
        Role::Producer => producer_defaults(&mut out),
        Role::Consumer => consumer_defaults(&mut out),
        Role::Admin => {}
    }
    Ok(out)
}

/// Settings without meaning that Connect itself puts into every client's configuration.
const SILENT: &[&str] = &[
    "key.serializer",
    "value.serializer",
    "key.deserializer",
    "value.deserializer",
    "max.block.ms",
    "max.poll.records",
];

impl Value {
    fn apply(self, key: &str, value: &str) -> Result<String> {
        match self {
            Self::Same => Ok(value.to_owned()),
            Self::Kibibytes => Ok(number(key, value)?.max(1).unsigned_abs().div_ceil(1024).to_string()),
            Self::SystemDefault => Ok(number(key, value)?.max(0).to_string()),
        }
    }
}

/// Settings whose value decides what they become. True when `key` is one of them.
fn special(key: &str, value: &str, role: Role, out: &mut Translated) -> Result<bool> {
    match key {
        "security.protocol" | "auto.offset.reset" | "compression.type" | "group.protocol" | "isolation.level"
        | "client.dns.lookup" => {
            let value = value.to_ascii_lowercase();
            match (key, value.as_str()) {
                ("auto.offset.reset", "none") => out.set(key, "error"),
                ("client.dns.lookup", "default") => out.set(key, "use_all_dns_ips"),
                (_, _) => out.set(key, value),
            }
        }
        "enable.auto.commit" => {
            if value.eq_ignore_ascii_case("true") {
                out.warnings
                    .push("`enable.auto.commit` stays false: offsets are committed when data is safe".to_owned());
            }
        }
        "partitioner" | "partitioner.class" => {
            out.warnings.push(format!(
                "`{key}` is ignored: records are partitioned by murmur2, as Java's default does"
            ));
        }
        "partition.assignment.strategy" => {
            let mut names = Vec::new();
            for class in value.split(',').map(str::trim).filter(|class| !class.is_empty()) {
                match class.rsplit('.').next().unwrap_or(class) {
                    "RangeAssignor" | "range" => names.push("range"),
                    "RoundRobinAssignor" | "roundrobin" => names.push("roundrobin"),
                    "CooperativeStickyAssignor" | "cooperative-sticky" => names.push("cooperative-sticky"),
                    other => out
                        .warnings
                        .push(format!("the assignor `{other}` is not known and is left out")),
                }
            }
            // librdkafka refuses eager and cooperative assignors in one list; in Java the list serves upgrades only.
            if names.iter().any(|name| *name != "cooperative-sticky") {
                names.retain(|name| *name != "cooperative-sticky");
            }
            if !names.is_empty() {
                out.set(key, names.join(","));
            }
        }
        // For a producer it is how long the broker may take; for the others only the socket's time-out comes near.
        "request.timeout.ms" if role != Role::Producer => {
            out.set("socket.timeout.ms", number(key, value)?.clamp(10, 300_000).to_string());
        }
        "request.timeout.ms" => out.set(key, number(key, value)?.clamp(1, 900_000).to_string()),
        "metadata.max.age.ms" => out.set(key, number(key, value)?.clamp(1, 86_400_000).to_string()),
        "delivery.timeout.ms" => out.set(
            "message.timeout.ms",
            number(key, value)?.clamp(0, 2_147_483_647).to_string(),
        ),
        "connections.max.idle.ms" => out.set(key, number(key, value)?.clamp(0, 2_147_483_647).to_string()),
        "sasl.jaas.config" => jaas::read(key, value, out)?,
        // Ours: librdkafka is given the tokens (`rd/oauth.rs`). Of tokens that nobody signs it is enough that they are described.
        key if oauth::MEANT.contains(&key) => {
            if !value.trim().is_empty() {
                out.set(key, value);
            }
        }
        "enable.sasl.oauthbearer.unsecure.jwt" => {}
        "ssl.endpoint.identification.algorithm" => out.set(key, if value.is_empty() { "none" } else { value }),
        // Ours: they say which client speaks, and how.
        key if key.starts_with("dray.") => {}
        key if key.starts_with("ssl.truststore.") || key.starts_with("ssl.keystore.") || key == "ssl.key.password" => {}
        _ => return Ok(false),
    }
    Ok(true)
}

fn number(key: &str, value: &str) -> Result<i64> {
    value
        .trim()
        .parse()
        .map_err(|_| invalid(key, format!("`{value}` is not a whole number")))
}

fn invalid(key: &str, message: impl Into<String>) -> Error {
    local(
        format!("client setting `{key}`"),
        "INVALID_CONFIG",
        message,
        Class::Fatal,
    )
}

/// Trust and key stores: PEM files and texts, PKCS12 key stores. Java's own store format cannot be read.
fn tls(config: &ClientConfig, out: &mut Translated) -> Result<()> {
    let get = |key: &str| config.get(key).filter(|value| !value.is_empty());
    let kind = |key: &str, path: Option<&String>| match get(key) {
        Some(kind) => kind.to_ascii_uppercase(),
        None if path.is_some_and(|p| p.ends_with(".pem") || p.ends_with(".crt")) => "PEM".to_owned(),
        None if path.is_some_and(|p| p.ends_with(".p12") || p.ends_with(".pfx")) => "PKCS12".to_owned(),
        None => "JKS".to_owned(),
    };
    if let Some(path) = get("ssl.truststore.location") {
        match kind("ssl.truststore.type", Some(path)).as_str() {
            "PEM" => out.set("ssl.ca.location", path),
            other => {
                return Err(invalid(
                    "ssl.truststore.location",
                    format!("a {other} store cannot be read: use PEM"),
                ));
            }
        }
    }
    if let Some(pem) = get("ssl.truststore.certificates") {
        out.set("ssl.ca.pem", pem);
    }
    if let Some(pem) = get("ssl.keystore.certificate.chain") {
        out.set("ssl.certificate.pem", pem);
    }
    if let Some(pem) = get("ssl.keystore.key") {
        out.set("ssl.key.pem", pem);
    }
    if let Some(path) = get("ssl.keystore.location") {
        match kind("ssl.keystore.type", Some(path)).as_str() {
            "PEM" => {
                out.set("ssl.certificate.location", path);
                out.set("ssl.key.location", path);
            }
            "PKCS12" => {
                out.set("ssl.keystore.location", path);
                if let Some(password) = get("ssl.keystore.password") {
                    out.set("ssl.keystore.password", password);
                }
            }
            other => {
                return Err(invalid(
                    "ssl.keystore.location",
                    format!("a {other} store cannot be read: use PEM or PKCS12"),
                ));
            }
        }
    }
    if let Some(password) = get("ssl.key.password") {
        out.set("ssl.key.password", password);
    }
    Ok(())
}

fn producer_defaults(out: &mut Translated) {
    // librdkafka's own default is a CRC32; a key would change its partition when a Java worker is replaced.
    out.set("partitioner", "murmur2_random");
    for (key, value) in [
        ("acks", "all"),
        ("enable.idempotence", "false"),
        ("max.in.flight.requests.per.connection", "1"),
        ("linger.ms", "5"),
        ("batch.size", "524288"),
        ("compression.type", "none"),
        ("message.max.bytes", "1048576"),
        ("message.timeout.ms", "2147483647"),
        // Bytes bound the queue, not a count: the lanes' quotas and this are in bytes.
        ("queue.buffering.max.messages", "0"),
        // Several full requests per partition leader in memory, and no more: the lanes hold the rest back.
        ("queue.buffering.max.kbytes", "131072"),
    ] {
        out.default_to(key, value);
    }
}

fn consumer_defaults(out: &mut Translated) {
    for (key, value) in [
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "false"),
    ] {
        out.set(key, value);
    }
    for (key, value) in [
        ("auto.offset.reset", "earliest"),
        ("isolation.level", "read_uncommitted"),
        // How long a partition waits before it fetches again once the prefetch is full: a second by default, in which
        // a busy task empties the prefetch and then has nothing to do.
        ("fetch.queue.backoff.ms", "5"),
        ("max.poll.interval.ms", "300000"),
    ] {
        out.default_to(key, value);
    }
    if out
        .settings
        .get("group.protocol")
        .is_some_and(|protocol| protocol == "consumer")
    {
        // The broker decides these in the new protocol, and librdkafka refuses to start when they are set.
        for key in [
            "session.timeout.ms",
            "heartbeat.interval.ms",
            "partition.assignment.strategy",
        ] {
            if out.settings.remove(key).is_some() {
                out.warnings.push(format!(
                    "`{key}` is the broker's to decide with `group.protocol=consumer`; ignored"
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests;
