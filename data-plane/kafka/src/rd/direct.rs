//! A few requests that librdkafka has no call for, sent to the broker directly: fencing without its pause, and leaving a group on
//! a member's behalf. One connection at a time, one request at a time; nothing of the record path.

use super::client::translated;
use super::config::Role;
use super::errors::local;
use super::idle::{Idle, Way};
use crate::codes;
use crate::error::{Class, Error, Result};
use crate::port::ClientConfig;
pub(super) use crate::wire::dial::Line as Connection;
use crate::wire::dial::Line;
use crate::wire::security::Security;
use async_trait::async_trait;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FindCoordinatorRequest;
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;
use std::time::Duration;

/// One server that does not answer must not take the time of the others.
const CONNECT: Duration = Duration::from_secs(5);
/// Between two tries of a request that may succeed later.
const PAUSE: Duration = Duration::from_millis(100);

/// What the coordinator is one of.
#[derive(Clone, Copy, Debug)]
pub(super) enum Of {
    Group,
    Transaction,
}

/// What a coordinator is asked.
#[async_trait]
pub(super) trait Ask: Sync {
    /// What it answers.
    type Answer: Send;

    /// Does all that is to be done, from its beginning each time.
    async fn ask(&self, coordinator: &mut Connection) -> Result<Self::Answer>;
}

/// Client settings as far as they concern a connection.
pub(super) struct Direct {
    servers: Vec<String>,
    client: StrBytes,
    security: Security,
    way: Way,
    idle: Arc<Idle>,
}

impl Direct {
    /// Reads the settings. None when they ask for a way to connect that is librdkafka's alone.
    pub(super) fn read(config: &ClientConfig, idle: &Arc<Idle>) -> Result<Option<Self>> {
        let mut settings = translated(config, Role::Admin)?.settings;
        let Some(security) = Security::read(&settings, &idle.sources)? else {
            return Ok(None);
        };
        let client = settings.remove("client.id").unwrap_or_default();
        settings.retain(|key, _| {
            let decides = ["bootstrap.", "security.", "sasl.", "ssl."];
            decides.iter().any(|prefix| key.starts_with(prefix))
        });
        let servers = settings.get("bootstrap.servers").map_or("", String::as_str).split(',');
        Ok(Some(Self {
            servers: servers
                .map(|server| server.trim().to_owned())
                .filter(|server| !server.is_empty())
                .collect(),
            client: StrBytes::from_string(client),
            security,
            way: settings,
            idle: Arc::clone(idle),
        }))
    }

    /// Connects to the coordinator of a group or transactional id.
    async fn coordinator(&self, of: Of, key: &str) -> Result<Connection> {
        let mut first = self.any().await?;
        let key_type = match of {
            Of::Group => 0,
            Of::Transaction => 1,
        };
        let key = StrBytes::from_string(key.to_owned());
        let request = FindCoordinatorRequest::default().with_key(key).with_key_type(key_type);
        // The versions with one key, which every broker serves.
        let found = first.ask(&request, 1..=3).await?;
        check(
            "finding the coordinator",
            found.error_code,
            found.error_message.as_deref(),
        )?;
        let address = format!("{}:{}", found.host.as_str(), found.port);
        if first.leads_to(&address) {
            return Ok(first);
        }
        self.idle.keep(&self.way, first);
        match self.idle.take(&self.way, Some(&address)) {
            Some(connection) => Ok(connection.used_by(&self.client)),
            None => self.connect(&address).await,
        }
    }

    /// A connection that is there, or to the first of the bootstrap servers that answers.
    async fn any(&self) -> Result<Connection> {
        if let Some(connection) = self.idle.take(&self.way, None) {
            return Ok(connection.used_by(&self.client));
        }
        let mut last = local(
            "connecting",
            "INVALID_CONFIG",
            "`bootstrap.servers` is missing",
            Class::Fatal,
        );
        for server in &self.servers {
            match self.connect(server).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn connect(&self, address: &str) -> Result<Connection> {
        Line::open(address, &self.client, &self.security, CONNECT).await
    }

    /// Asks the coordinator until it has answered: connections that break and coordinators that move are looked for again.
    pub(super) async fn ask<A: Ask>(
        &self,
        of: Of,
        key: &str,
        what: &str,
        timeout: Duration,
        ask: &A,
    ) -> Result<A::Answer> {
        let mut last = None;
        let trying = async {
            loop {
                let result = match self.coordinator(of, key).await {
                    Ok(mut connection) => {
                        let result = ask.ask(&mut connection).await;
                        if result.is_ok() {
                            self.idle.keep(&self.way, connection);
                        }
                        result
                    }
                    Err(error) => Err(error),
                };
                match result {
                    Err(error) if error.is_retriable() => {
                        self.idle.forget(&self.way);
                        tracing::debug!(%error, what, "tried again");
                        last = Some(error);
                    }
                    result => return result,
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        let result = tokio::time::timeout(timeout, trying).await;
        let late = |last: Option<Error>| {
            let why = last.map_or_else(|| "no answer".to_owned(), |last| last.to_string());
            local(what, "TIMED_OUT", why, Class::Retriable)
        };
        match result {
            Ok(result) => result.map_err(|error| Error {
                what: format!("{what}: {}", error.what),
                ..error
            }),
            Err(_) => Err(late(last)),
        }
    }
}

/// What an error code of an answer means.
pub(super) fn check(what: &str, code: i16, message: Option<&str>) -> Result<()> {
    let Some(error) = ResponseError::try_from_code(code) else {
        return Ok(());
    };
    let class = if error.is_retriable() {
        Class::Retriable
    } else {
        Class::Fatal
    };
    let message = codes::with_rights(code, message.map_or_else(|| error.to_string(), str::to_owned));
    Err(local(what, &format!("{error:?}"), message, class))
}
