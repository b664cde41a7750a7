//! A few requests that librdkafka has no call for, sent to the broker directly: fencing without its pause, and leaving a group on
//! a member's behalf. One connection at a time, one request at a time; nothing of the record path.

use super::client::translated;
use super::config::Role;
use super::errors::local;
use super::idle::{Idle, Way};
use super::security::{Security, Stream};
use crate::error::{Class, Error, Result};
use crate::port::ClientConfig;
use async_trait::async_trait;
use bytes::{Buf as _, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiVersionsRequest, FindCoordinatorRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable as _, Encodable as _, HeaderVersion as _, Request, StrBytes};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A description of a group of some thousand members is far below; more is no answer to what is asked here.
const MAX_FRAME: usize = 64 << 20;
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

/// A connection to one broker.
pub(super) struct Connection {
    stream: Box<dyn Stream>,
    address: String,
    client: StrBytes,
    sent: i32,
    /// What the broker serves, by API.
    versions: HashMap<i16, RangeInclusive<i16>>,
}

impl Direct {
    /// Reads the settings. None when they ask for a way to connect that is librdkafka's alone.
    pub(super) fn read(config: &ClientConfig, idle: &Arc<Idle>) -> Result<Option<Self>> {
        let mut settings = translated(config, Role::Admin)?.settings;
        let Some(security) = Security::read(&settings)? else {
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
        if address == first.address {
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
        let connecting = async {
            let stream = TcpStream::connect(address)
                .await
                .map_err(|error| broken(address, &error))?;
            stream.set_nodelay(true).map_err(|error| broken(address, &error))?;
            let mut connection = Connection {
                stream: self
                    .security
                    .protect(stream, address)
                    .await
                    .map_err(|error| broken(address, &error))?,
                address: address.to_owned(),
                client: self.client.clone(),
                sent: 0,
                versions: HashMap::new(),
            };
            connection.learn_versions().await?;
            if let Some(login) = &self.security.login {
                login.prove(&mut connection).await?;
            }
            Ok(connection)
        };
        let late = || {
            local(
                format!("connecting to {address}"),
                "TIMED_OUT",
                "no answer",
                Class::Retriable,
            )
        };
        tokio::time::timeout(CONNECT, connecting)
            .await
            .unwrap_or_else(|_| Err(late()))
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

impl Connection {
    pub(super) fn leads_to(&self, address: &str) -> bool {
        self.address == address
    }

    /// The same, under another client's name.
    fn used_by(self, client: &StrBytes) -> Self {
        let client = client.clone();
        Self { client, ..self }
    }

    /// Whether the broker serves an API in one of these versions.
    pub(super) fn serves<R: Request>(&self, wanted: &RangeInclusive<i16>) -> bool {
        self.version::<R>(wanted).is_some()
    }

    fn version<R: Request>(&self, wanted: &RangeInclusive<i16>) -> Option<i16> {
        let served = self.versions.get(&R::KEY)?;
        let newest = (*wanted.end()).min(*served.end());
        (newest >= *wanted.start() && newest >= *served.start()).then_some(newest)
    }

    /// Sends a request in the newest of the `wanted` versions that the broker serves, and waits for the answer.
    pub(super) async fn ask<R: Request>(&mut self, request: &R, wanted: RangeInclusive<i16>) -> Result<R::Response> {
        let missing = || {
            let what = format!("asking {}", self.address);
            let message = format!("the broker does not serve API {} in versions {wanted:?}", R::KEY);
            local(what, "UNSUPPORTED_VERSION", message, Class::Fatal)
        };
        let version = self.version::<R>(&wanted).ok_or_else(missing)?;
        self.exchange(request, version).await
    }

    async fn learn_versions(&mut self) -> Result<()> {
        let answer = self.exchange(&ApiVersionsRequest::default(), 0).await?;
        check("asking for API versions", answer.error_code, None)?;
        let keys = answer.api_keys.into_iter();
        self.versions = keys
            .map(|key| (key.api_key, key.min_version..=key.max_version))
            .collect();
        Ok(())
    }

    async fn exchange<R: Request>(&mut self, request: &R, version: i16) -> Result<R::Response> {
        self.sent += 1;
        let unfit = |error: &dyn std::fmt::Display| {
            let message = format!("API {} version {version}: {error}", R::KEY);
            local("speaking with the broker", "PROTOCOL", message, Class::Fatal)
        };
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.sent)
            .with_client_id(Some(self.client.clone()));
        let mut frame = BytesMut::from(&[0; 4][..]);
        header
            .encode(&mut frame, R::header_version(version))
            .map_err(|error| unfit(&error))?;
        request.encode(&mut frame, version).map_err(|error| unfit(&error))?;
        let length = u32::try_from(frame.len() - 4).map_err(|error| unfit(&error))?;
        frame[..4].copy_from_slice(&length.to_be_bytes());

        let mut answer = self
            .round_trip(&frame)
            .await
            .map_err(|error| broken(&self.address, &error))?;
        let header_version = R::Response::header_version(version);
        let header = ResponseHeader::decode(&mut answer, header_version).map_err(|error| unfit(&error))?;
        if header.correlation_id != self.sent {
            return Err(unfit(&"the answer to another request"));
        }
        R::Response::decode(&mut answer, version).map_err(|error| unfit(&error))
    }

    async fn round_trip(&mut self, frame: &[u8]) -> std::io::Result<Bytes> {
        self.stream.write_all(frame).await?;
        self.stream.flush().await?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).await?;
        let length = length.as_slice().get_u32() as usize;
        if length > MAX_FRAME {
            return Err(std::io::Error::other(format!("an answer of {length} bytes")));
        }
        let mut answer = BytesMut::zeroed(length);
        self.stream.read_exact(&mut answer).await?;
        Ok(answer.freeze())
    }
}

fn broken(address: &str, error: &std::io::Error) -> Error {
    local(
        format!("speaking with {address}"),
        "CONNECTION",
        error.to_string(),
        Class::Retriable,
    )
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
    let message = message.map_or_else(|| error.to_string(), str::to_owned);
    Err(local(what, &format!("{error:?}"), message, class))
}
