//! The life of a group member, over one librdkafka client or several: the new group protocol (KIP-848) is tried first, and
//! a broker that does not have it gets a classic member instead. The reader notices nothing of it.

use super::client::{lock, native};
use super::config::Translated;
use super::consumer::Item;
use super::errors::from_kafka;
use super::member::{Identity, Link, Member, Over, Protocol};
use super::oauth::Tokens;
use super::polling::run;
use crate::error::Result;
use crate::wire::oauth::Sources;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};

/// Settings of the classic protocol: librdkafka refuses them under the new one, so who writes one has chosen.
const CLASSIC: [&str; 3] = [
    "session.timeout.ms",
    "heartbeat.interval.ms",
    "partition.assignment.strategy",
];

/// Its session where none is written, librdkafka's default and Java's.
const SESSION_MS: u32 = 45_000;

/// The clusters, by bootstrap servers, that refused the new protocol: another member there need not try. Until the process
/// ends: a cluster gets the new protocol once in its life.
#[derive(Debug, Default)]
pub(super) struct ClassicClusters(Mutex<HashSet<String>>);

/// A member's settings and its link to the reader.
pub(super) struct Membership {
    settings: Translated,
    sources: Arc<Sources>,
    identity: Identity,
    max_records: usize,
    link: Arc<Link>,
    classic: Arc<ClassicClusters>,
    /// The new protocol is to be tried; none of the settings speaks against it.
    tentative: bool,
}

impl Membership {
    pub(super) fn new(
        settings: Translated,
        identity: Identity,
        max_records: usize,
        link: Arc<Link>,
        (classic, sources): (&Arc<ClassicClusters>, &Arc<Sources>),
    ) -> Self {
        let has = |key: &str| settings.settings.contains_key(key);
        let tentative = !has("group.protocol")
            && !CLASSIC.into_iter().any(has)
            && !lock(&classic.0).contains(&bootstrap(&settings));
        Self {
            settings,
            sources: Arc::clone(sources),
            identity,
            max_records,
            link,
            classic: Arc::clone(classic),
            tentative,
        }
    }

    /// Makes a client that joins the group, unless it is to stay out of it for now.
    pub(super) fn join(&mut self) -> Result<BaseConsumer<Member>> {
        let what = format!("joining the group `{}`", self.identity.group);
        let mut config = native(&self.settings);
        let chosen = self.settings.settings.get("group.protocol");
        if self.tentative {
            config.set("group.protocol", "consumer");
        }
        let debug = self.settings.settings.get("debug");
        let new_protocol = self.tentative || chosen.is_some_and(|protocol| protocol == "consumer");
        if new_protocol {
            // Only here does librdkafka say that the broker does not have it.
            let contexts = debug.map_or_else(|| "cgrp".to_owned(), |debug| format!("{debug},cgrp"));
            config.set("debug", contexts);
            config.set_log_level(RDKafkaLogLevel::Debug);
        }
        if !new_protocol {
            // librdkafka refuses a poll interval below the session; Java does not, so an unwritten session gives way.
            let interval = self.settings.settings.get("max.poll.interval.ms");
            let interval = interval.and_then(|ms| ms.parse::<u32>().ok()).unwrap_or(SESSION_MS);
            if interval < SESSION_MS && !self.settings.settings.contains_key(CLASSIC[0]) {
                config.set(CLASSIC[0], interval.to_string());
            }
        }
        let muted = new_protocol && debug.is_none();
        let protocol = if new_protocol { Protocol::New } else { Protocol::Classic };
        let (identity, link) = (self.identity.clone(), Arc::clone(&self.link));
        let tokens = Tokens::read(&self.settings, &self.sources)?;
        let member = Member::new(identity, link, tokens, self.tentative, protocol, muted);
        let consumer: BaseConsumer<Member> = config
            .create_with_context(member)
            .map_err(|error| from_kafka(what.as_str(), &error))?;
        if self.link.is_out() {
            return Ok(consumer);
        }
        let topics = self.link.topics();
        let names: Vec<&str> = topics.iter().map(String::as_str).collect();
        consumer.subscribe(&names).map_err(|error| from_kafka(what, &error))?;
        Ok(consumer)
    }

    /// Polls until the reader is gone, and leaves the group.
    pub(super) fn live(&mut self, mut consumer: BaseConsumer<Member>) {
        loop {
            let over = run(&consumer, self.max_records);
            match over {
                Over::Closed => return,
                Over::Unsupported => {
                    tracing::info!(
                        group = self.identity.group,
                        "the broker has no groups of the new protocol (KIP-848); joining as a classic member"
                    );
                    self.tentative = false;
                    lock(&self.classic.0).insert(bootstrap(&self.settings));
                }
                Over::Expelled => {
                    tracing::warn!(
                        group = self.identity.group,
                        "the group does not know this member any more; it begins anew"
                    );
                }
            }
            consumer.context().abandon(over);
            drop(consumer);
            consumer = match self.join() {
                Ok(consumer) => consumer,
                Err(error) => return self.link.events.push(Item::Error(error)),
            };
        }
    }
}

fn bootstrap(settings: &Translated) -> String {
    settings.settings.get("bootstrap.servers").cloned().unwrap_or_default()
}
