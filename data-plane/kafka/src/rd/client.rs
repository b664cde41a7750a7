//! What all clients have in common: from translated settings to librdkafka's, logs to tracing, the list of threads.

use super::config::{Role, Translated, translate};
use super::oauth::Tokens;
use crate::error::Result;
pub(super) use crate::lock::lock;
use crate::port::ClientConfig;
use crate::wire::oauth;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use std::sync::Mutex;
use std::thread::JoinHandle;

/// Translates and logs what the user should know, once per client.
pub(crate) fn translated(config: &ClientConfig, role: Role) -> Result<Translated> {
    let out = translate(config, role)?;
    let client = out.settings.get("client.id").map_or("-", String::as_str);
    for warning in &out.warnings {
        tracing::warn!(client.id = client, warning, "client setting");
    }
    Ok(out)
}

/// librdkafka's form of settings.
pub(super) fn native(translated: &Translated) -> rdkafka::ClientConfig {
    let mut config = rdkafka::ClientConfig::new();
    // It is given the tokens, and knows nothing of where they come from.
    let known = translated.settings.iter().filter(|(key, _)| !oauth::is_own(key));
    for (key, value) in known {
        config.set(key, value);
    }
    config.set_log_level(RDKafkaLogLevel::Info);
    config
}

/// One line of librdkafka's log.
pub(super) fn log(client: &str, level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(client.id = client, facility, message, "librdkafka");
        }
        // What librdkafka calls an error it mostly gets over by itself: a broker away, a connection lost.
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::warn!(client.id = client, facility, message, "librdkafka");
        }
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::info!(client.id = client, facility, message, "librdkafka");
        }
        RDKafkaLogLevel::Debug => tracing::debug!(client.id = client, facility, message, "librdkafka"),
    }
}

/// A client-wide error. Its consequences come with the operations that fail, so here it is only logged.
pub(super) fn log_error(client: &str, error: &KafkaError, reason: &str) {
    // How the end of a partition is known, to who asked for it.
    if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
        return;
    }
    tracing::warn!(client.id = client, error = %error, reason, "kafka client reports an error");
}

/// A context for clients that only answer calls.
#[derive(Debug)]
pub(super) struct Quiet {
    pub(super) client: String,
    pub(super) tokens: Tokens,
}

impl rdkafka::ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(&self.client, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&self.client, &error, reason);
    }
}

impl rdkafka::consumer::ConsumerContext for Quiet {}

/// Threads of clients that were dropped, not closed. They end by themselves; whoever comes next joins them.
#[derive(Debug, Default)]
pub(super) struct Threads(Mutex<Vec<JoinHandle<()>>>);

impl Threads {
    /// Takes over a thread that was told to end, and joins those that did.
    pub(super) fn retire(&self, thread: JoinHandle<()>) {
        let mut threads = lock(&self.0);
        threads.push(thread);
        let (ended, running) = std::mem::take(&mut *threads)
            .into_iter()
            .partition(JoinHandle::is_finished);
        *threads = running;
        drop(threads);
        join_all(ended);
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        join_all(std::mem::take(&mut *lock(&self.0)));
    }
}

fn join_all(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        // The last owner can be the thread itself, which cannot wait for itself.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("a kafka client thread panicked");
        }
    }
}
