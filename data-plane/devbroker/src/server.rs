//! The listener and the connections: frames in, frames out, one request of a connection at a time, as Kafka does it.
//!
//! A frame that is too long, cut off, claims what it does not hold (`wire`) or does not decode closes its own connection.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind, ResponseHeader, ResponseKind};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::Broker;
use crate::error_response::error_response;
use crate::faults::Fault;
use crate::handlers;
use crate::stale;
use crate::versions;
use crate::wire;

/// Kafka's `socket.request.max.bytes`.
const MAX_FRAME: usize = 100 << 20;
/// A length is only a claim until the bytes are here, so memory is taken in steps of this size.
const READ_STEP: usize = 256 << 10;
/// API key, version and correlation id stand at the same place in every header version.
const HEADER_PREFIX: usize = 8;
/// The most connections at a time; the next one waits in the listen queue. Tests open dozens, not thousands.
const MAX_CONNECTIONS: usize = 1_000;
/// After a failed accept, so that running out of file descriptors does not become a busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
/// Frames up to this size are copied out of the read buffer. Names and metadata that the broker keeps are slices of
/// their frame; without the copy each would keep the whole read buffer alive.
const COPIED_FRAME: usize = 16 << 10;
/// The `UNSUPPORTED_VERSION` error code.
const UNSUPPORTED_VERSION: i16 = 35;

/// The running tasks.
#[derive(Debug)]
pub(crate) struct Server {
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

/// What a handler knows of the connection that asks.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Where the client reached us: what metadata tells it to come back to.
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) client_id: StrBytes,
    pub(crate) version: i16,
}

/// Why a connection is closed. None of these touches another connection.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("connection failed")]
    Io(#[from] std::io::Error),
    #[error("frame of {0} bytes; the limit is {MAX_FRAME} and the least is {HEADER_PREFIX}")]
    FrameLength(i32),
    #[error("unknown API key {0}")]
    UnknownApi(i16),
    #[error("{api:?} version {version} is not served")]
    UnsupportedVersion { api: ApiKey, version: i16 },
    #[error("{api:?} version {version} does not decode: {reason}")]
    Malformed { api: ApiKey, version: i16, reason: String },
    #[error("the answer to {api:?} version {version} does not encode: {reason}")]
    Unencodable { api: ApiKey, version: i16, reason: String },
    #[error("cut by a scripted fault")]
    Scripted,
}

impl Server {
    pub(crate) fn start(listener: TcpListener, broker: Arc<Broker>) -> Self {
        let tasks = TaskTracker::new();
        let shutdown = CancellationToken::new();
        let timekeeper = Arc::clone(&broker);
        tasks.spawn({
            let shutdown = shutdown.clone();
            async move {
                // The timekeeper only waits and then acts in one go, so it can be dropped while it waits.
                shutdown.run_until_cancelled(timekeeper.coordinator.keep_time()).await;
            }
        });
        tasks.spawn(accept(listener, broker, tasks.clone(), shutdown.clone()));
        Self { tasks, shutdown }
    }

    pub(crate) async fn shutdown(self) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

async fn accept(listener: TcpListener, broker: Arc<Broker>, tasks: TaskTracker, shutdown: CancellationToken) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let accepting = async {
        loop {
            // The semaphore is never closed; were it, there would be nobody left to serve.
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // A connection that ended in the queue, or no file descriptor left: both pass with time.
                    tracing::warn!(%error, "dev broker could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let broker = Arc::clone(&broker);
            let shutdown = shutdown.clone();
            tasks.spawn(async move {
                // Dropping a request halfway loses only its answer: handlers change state between awaits, not across.
                match shutdown.run_until_cancelled(serve(stream, &broker)).await {
                    None | Some(Ok(())) => {}
                    Some(Err(closed @ (Closed::Io(_) | Closed::Scripted))) => {
                        tracing::debug!(error = %closed, "dev broker closed a connection");
                    }
                    Some(Err(closed)) => tracing::warn!(error = %closed, "dev broker closed a connection"),
                }
                drop(permit);
            });
        }
    };
    shutdown.run_until_cancelled(accepting).await;
}

async fn serve(mut stream: TcpStream, broker: &Broker) -> Result<(), Closed> {
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let remote = stream.peer_addr()?;
    let mut input = BytesMut::new();
    while let Some(frame) = read_frame(&mut stream, &mut input).await? {
        let (answer, throttled) = answer(frame, broker, local, remote).await?;
        if let Some(answer) = answer {
            stream.write_all(&answer).await?;
        }
        tokio::time::sleep(throttled).await;
    }
    Ok(())
}

/// The next frame without its length, or `None` at the end of the stream.
async fn read_frame(stream: &mut TcpStream, input: &mut BytesMut) -> Result<Option<Bytes>, Closed> {
    while input.len() < 4 {
        input.reserve(READ_STEP);
        if stream.read_buf(input).await? == 0 {
            return if input.is_empty() { Ok(None) } else { Err(truncated()) };
        }
    }
    let claimed = (&input[..]).get_i32();
    let length = usize::try_from(claimed).map_err(|_| Closed::FrameLength(claimed))?;
    if !(HEADER_PREFIX..=MAX_FRAME).contains(&length) {
        return Err(Closed::FrameLength(claimed));
    }
    while input.len() < 4 + length {
        input.reserve((4 + length - input.len()).min(READ_STEP));
        if stream.read_buf(input).await? == 0 {
            return Err(truncated());
        }
    }
    input.advance(4);
    if length > COPIED_FRAME {
        return Ok(Some(input.split_to(length).freeze()));
    }
    let frame = Bytes::copy_from_slice(&input[..length]);
    input.advance(length);
    Ok(Some(frame))
}

fn truncated() -> Closed {
    Closed::Io(std::io::ErrorKind::UnexpectedEof.into())
}

/// The answer to a frame, length included, `None` where the client asked for none; and how long to read nothing then.
async fn answer(
    mut frame: Bytes,
    broker: &Broker,
    local: SocketAddr,
    remote: SocketAddr,
) -> Result<(Option<BytesMut>, Duration), Closed> {
    let mut prefix = &frame[..HEADER_PREFIX];
    let (key, version, correlation_id) = (prefix.get_i16(), prefix.get_i16(), prefix.get_i32());
    let api = ApiKey::try_from(key).map_err(|()| Closed::UnknownApi(key))?;
    if !versions::is_served(api, version) {
        if api == ApiKey::ApiVersions {
            // The one case where a client may be newer than we are: it reads version 0 and asks again.
            let body = ResponseKind::ApiVersions(versions::api_versions(UNSUPPORTED_VERSION));
            let answer = encode(api, 0, correlation_id, &body)?;
            return Ok((Some(answer), Duration::ZERO));
        }
        return Err(Closed::UnsupportedVersion { api, version });
    }
    let malformed = |error: &dyn std::fmt::Display| Closed::Malformed {
        api,
        version,
        reason: error.to_string(),
    };
    let header = RequestHeader::decode(&mut frame, api.request_header_version(version)).map_err(|e| malformed(&e))?;
    wire::check_request(api, version, &frame).map_err(|e| malformed(&e))?;
    let request = RequestKind::decode(api, &mut frame, version).map_err(|e| malformed(&e))?;
    let peer = Peer {
        local,
        remote,
        client_id: header.client_id.unwrap_or_default(),
        version,
    };

    let fault = broker.faults.next(api);
    match fault {
        Some(Fault::CutBefore) => return Err(Closed::Scripted),
        Some(Fault::Delay(delay)) => tokio::time::sleep(delay).await,
        Some(Fault::Error(_) | Fault::CutAfter | Fault::Throttle(_) | Fault::OldLeader | Fault::MissingTopics)
        | None => {}
    }
    let mut body = match fault {
        Some(Fault::Error(error)) => error_response(&request, version, error),
        Some(_) | None => handlers::handle(broker, &peer, request).await,
    };
    let mut throttled = Duration::ZERO;
    match (fault, &mut body) {
        (Some(Fault::CutAfter), _) => return Err(Closed::Scripted),
        (Some(Fault::Throttle(time)), body) => {
            throttled = time;
            if let Some(body) = body {
                stale::throttle(body, time);
            }
        }
        (Some(Fault::OldLeader), Some(ResponseKind::Metadata(metadata))) => stale::old_leader(metadata),
        (Some(Fault::MissingTopics), Some(ResponseKind::Metadata(metadata))) => stale::missing_topics(metadata),
        (Some(_) | None, _) => {}
    }
    let answer = body
        .map(|body| encode(api, version, correlation_id, &body))
        .transpose()?;
    Ok((answer, throttled))
}

fn encode(api: ApiKey, version: i16, correlation_id: i32, body: &ResponseKind) -> Result<BytesMut, Closed> {
    let unencodable = |reason: String| {
        tracing::error!(?api, version, reason, "dev broker could not encode an answer");
        Closed::Unencodable { api, version, reason }
    };
    let mut frame = BytesMut::with_capacity(256);
    frame.put_i32(0);
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    header
        .encode(&mut frame, api.response_header_version(version))
        .map_err(|e| unencodable(e.to_string()))?;
    body.encode(&mut frame, version)
        .map_err(|e| unencodable(format!("{e:#}")))?;
    let length = i32::try_from(frame.len() - 4).map_err(|e| unencodable(e.to_string()))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}
