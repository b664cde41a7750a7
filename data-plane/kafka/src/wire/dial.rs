//! How a connection to a broker begins: TCP, TLS, which versions the broker serves, who we are. Until then, and for the few questions
//! that librdkafka has no call for, one request is on its way at a time.

use super::sasl::{Asks, Login};
use super::security::{Security, Stream};
use crate::codes::{check, local};
use crate::error::{Class, Error, Result};
use bytes::{Buf as _, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable as _, Encodable as _, HeaderVersion as _, Request, StrBytes};
use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// A description of a group of some thousand members is far below; more is no answer to what is asked here.
const MAX_FRAME: usize = 64 << 20;

/// What a broker serves, by API.
pub(crate) type Versions = HashMap<i16, RangeInclusive<i16>>;

/// A connection to one broker with one request on its way at a time.
pub(crate) struct Line {
    stream: Box<dyn Stream>,
    address: String,
    client: StrBytes,
    sent: i32,
    versions: Versions,
    session: Option<Session>,
}

/// A log-in that ends (KIP-368).
pub(crate) struct Session {
    pub(crate) login: Arc<Login>,
    /// As whom it is renewed: `client.id`.
    pub(crate) client: StrBytes,
    /// It is good for so long after it began.
    pub(crate) lifetime: Duration,
    began: Instant,
    /// How long a log-in may take.
    pub(crate) within: Duration,
}

impl Session {
    /// One that begins now.
    pub(crate) fn new(login: &Arc<Login>, client: &StrBytes, lifetime: Duration, within: Duration) -> Self {
        Self {
            login: Arc::clone(login),
            client: client.clone(),
            lifetime,
            began: Instant::now(),
            within,
        }
    }
}

/// What is left of a line when it is given up for a connection with many requests on their way.
pub(crate) struct Opened {
    pub(crate) stream: Box<dyn Stream>,
    pub(crate) address: String,
    pub(crate) versions: Versions,
    pub(crate) session: Option<Session>,
}

/// The newest of the `wanted` versions that a broker serves.
pub(crate) fn version<R: Request>(versions: &Versions, wanted: &RangeInclusive<i16>) -> Option<i16> {
    let served = versions.get(&R::KEY)?;
    let newest = (*wanted.end()).min(*served.end());
    (newest >= *wanted.start() && newest >= *served.start()).then_some(newest)
}

/// The error of a broker that is too old, or too new, for a request.
pub(crate) fn unserved<R: Request>(address: &str, wanted: &RangeInclusive<i16>) -> Error {
    let what = format!("asking {address}");
    let message = format!("the broker does not serve API {} in versions {wanted:?}", R::KEY);
    local(what, "UNSUPPORTED_VERSION", message, Class::Fatal)
}

/// The error of a message that is not what it should be.
pub(crate) fn unfit(api: i16, version: i16, error: &dyn std::fmt::Display) -> Error {
    let message = format!("API {api} version {version}: {error}");
    local("speaking with the broker", "PROTOCOL", message, Class::Fatal)
}

/// The error of a connection that broke.
pub(crate) fn broken(address: &str, error: &std::io::Error) -> Error {
    local(
        format!("speaking with {address}"),
        "CONNECTION",
        error.to_string(),
        Class::Retriable,
    )
}

impl Line {
    /// Connects and logs in.
    ///
    /// # Errors
    /// Retriable when nobody answers in time, or not as a broker does; fatal when the broker does not let us in.
    pub(crate) async fn open(address: &str, client: &StrBytes, security: &Security, within: Duration) -> Result<Self> {
        if let Some(login) = &security.login {
            login.prepare().await?;
        }
        let connecting = async {
            let stream = TcpStream::connect(address)
                .await
                .map_err(|error| broken(address, &error))?;
            stream.set_nodelay(true).map_err(|error| broken(address, &error))?;
            let mut line = Self {
                stream: security
                    .protect(stream, address)
                    .await
                    .map_err(|error| broken(address, &error))?,
                address: address.to_owned(),
                client: client.clone(),
                sent: 0,
                versions: HashMap::new(),
                session: None,
            };
            line.learn_versions().await?;
            if let Some(login) = &security.login {
                let lifetime = login.prove(&mut line).await?;
                line.session = lifetime.map(|lifetime| Session::new(login, client, lifetime, within));
            }
            Ok(line)
        };
        let late = || {
            local(
                format!("connecting to {address}"),
                "TIMED_OUT",
                "no answer",
                Class::Retriable,
            )
        };
        tokio::time::timeout(within, connecting)
            .await
            .unwrap_or_else(|_| Err(late()))
    }

    /// Gives the line up.
    pub(crate) fn into_opened(self) -> Opened {
        Opened {
            stream: self.stream,
            address: self.address,
            versions: self.versions,
            session: self.session,
        }
    }

    /// Whether the broker would close it for the next request.
    pub(crate) fn has_expired(&self) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| session.began.elapsed() >= session.lifetime)
    }

    pub(crate) fn leads_to(&self, address: &str) -> bool {
        self.address == address
    }

    /// The same, under another client's name.
    pub(crate) fn used_by(self, client: &StrBytes) -> Self {
        let client = client.clone();
        Self { client, ..self }
    }

    /// Whether the broker serves an API in one of these versions.
    pub(crate) fn serves<R: Request>(&self, wanted: &RangeInclusive<i16>) -> bool {
        version::<R>(&self.versions, wanted).is_some()
    }

    /// Sends a request in the newest of the `wanted` versions that the broker serves, and waits for the answer.
    pub(crate) async fn ask<R: Request>(&mut self, request: &R, wanted: RangeInclusive<i16>) -> Result<R::Response> {
        let version = version::<R>(&self.versions, &wanted).ok_or_else(|| unserved::<R>(&self.address, &wanted))?;
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
        let unfit = |error: &dyn std::fmt::Display| unfit(R::KEY, version, error);
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

impl Asks for Line {
    fn address(&self) -> &str {
        &self.address
    }

    async fn ask<R>(&mut self, request: &R, wanted: RangeInclusive<i16>) -> Result<R::Response>
    where
        R: Request + Sync,
        R::Response: Send,
    {
        Line::ask(self, request, wanted).await
    }
}
