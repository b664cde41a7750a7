//! A connection to one broker, with many requests on their way. A broker answers the requests of one connection strictly in order, so
//! whatever may take long needs a connection of its own.
//!
//! One task reads and writes; it ends when the last user is gone and all is answered, when nobody asked anything for a while, or when
//! something breaks: whoever still waits for an answer is told, and does not know whether the request was carried out.

use super::dial::{Opened, Versions, broken, unfit, unserved, version};
use super::frame::Frame;
use super::low_water::LowWater;
use super::security::Stream;
use crate::codes::local;
use crate::error::{Class, Error, Result};
use crate::lock::lock;
use bytes::{Buf as _, Bytes, BytesMut};
use kafka_protocol::messages::ResponseHeader;
use kafka_protocol::protocol::{Decodable as _, HeaderVersion as _, Request, StrBytes};
use std::collections::VecDeque;
use std::future::Future;
use std::io::IoSlice;
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::Instant;

mod renewal;

use renewal::{InUse, Renewal};

/// Requests that wait to be written. Producers have few on their way each, so only hundreds of them on a stuck broker come near.
const QUEUE: usize = 4096;
/// Pieces written with one call; the system takes no more than 1,024.
const PIECES: usize = 256;
/// Small answers share so much memory; of a large one no more than this is copied once.
const READ: usize = 16 << 10;

/// So many who wait for answers are a few.
const FEW: usize = 4;
/// Of more it is waited for so many bytes each: somewhat less than the answer to a heartbeat that says nothing new.
const SHORT: usize = 40;

/// What decides how long a connection lives, and what it accepts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Without a request for so long it is closed (`connections.max.idle.ms`).
    pub(crate) idle: Duration,
    /// An answer that is longer is none (`receive.message.max.bytes`).
    pub(crate) max_frame: usize,
    /// Nobody waits for what is asked here: what others are about to ask is written with it, and what comes within so
    /// long is read at once while more than a few wait for answers. None writes and reads what there is.
    pub(crate) gather: Option<Duration>,
}

/// A connection, for all who ask the broker for the same purpose.
#[derive(Debug)]
pub(crate) struct Connection {
    address: Arc<str>,
    versions: Arc<Versions>,
    requests: mpsc::Sender<Asked>,
    waiting: Arc<Mutex<VecDeque<Waiting>>>,
    open: Arc<AtomicBool>,
}

/// A request to be written.
#[derive(Debug)]
struct Asked {
    frame: Frame,
    timeout: Duration,
    /// None: the broker answers nothing (`acks=0`).
    answer: Option<oneshot::Sender<Result<Bytes>>>,
}

/// A request that was written, or is being.
#[derive(Debug)]
struct Waiting {
    correlation: i32,
    deadline: Instant,
    answer: oneshot::Sender<Result<Bytes>>,
}

/// The answer with its header, once it is there. Dropping it only means that nobody looks at the answer.
#[derive(Debug)]
pub(crate) struct Reply(oneshot::Receiver<Result<Bytes>>);

impl Future for Reply {
    type Output = Result<Bytes>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let ended = || {
            local(
                "waiting for an answer",
                "CONNECTION",
                "the connection was closed",
                Class::Retriable,
            )
        };
        Pin::new(&mut self.0)
            .poll(cx)
            .map(|answer| answer.unwrap_or_else(|_| Err(ended())))
    }
}

impl Connection {
    /// Takes over what was dialled. The second is the connection's task, to be run by its owner.
    pub(crate) fn new(opened: Opened, limits: Limits) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (requests, queue) = mpsc::channel(QUEUE);
        let open = Arc::new(AtomicBool::new(true));
        let address: Arc<str> = opened.address.into();
        let versions = Arc::new(opened.versions);
        let waiting = Arc::default();
        let io = Io {
            address: Arc::clone(&address),
            versions: Arc::clone(&versions),
            waiting: Arc::clone(&waiting),
            first: Notify::new(),
            limits,
        };
        let renewal = opened.session.map(Renewal::new);
        let task = io.run(opened.stream, queue, renewal, Arc::clone(&open));
        let connection = Self {
            address,
            versions,
            requests,
            waiting,
            open,
        };
        (connection, task)
    }

    /// Where it leads.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether it is worth asking it something.
    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire) && !self.requests.is_closed()
    }

    /// The newest of the `wanted` versions that the broker serves.
    pub(crate) fn version<R: Request>(&self, wanted: &RangeInclusive<i16>) -> Option<i16> {
        version::<R>(&self.versions, wanted)
    }

    /// Sends a request behind those sent before. Without an answer in `timeout` the connection is given up.
    ///
    /// # Errors
    /// Retriable when the connection is closed, or too many requests wait; nothing was sent then.
    pub(crate) fn send(&self, frame: Frame, timeout: Duration) -> Result<Reply> {
        let (answer, reply) = oneshot::channel();
        self.enqueue(frame, timeout, Some(answer))?;
        Ok(Reply(reply))
    }

    /// The broker has said that it reads nothing from this connection for so long: whatever is on its way is answered as much later.
    pub(crate) fn held_up(&self, time: Duration) {
        for waiting in lock(&self.waiting).iter_mut() {
            waiting.deadline += time;
        }
    }

    /// Sends a request that the broker does not answer.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub(crate) fn tell(&self, frame: Frame) -> Result<()> {
        self.enqueue(frame, Duration::ZERO, None)
    }

    fn enqueue(&self, frame: Frame, timeout: Duration, answer: Option<oneshot::Sender<Result<Bytes>>>) -> Result<()> {
        let asked = Asked { frame, timeout, answer };
        self.requests.try_send(asked).map_err(|error| {
            let why = match error {
                mpsc::error::TrySendError::Full(_) => "too many requests wait to be written",
                mpsc::error::TrySendError::Closed(_) => "the connection was closed",
            };
            let what = format!("speaking with {}", self.address);
            local(what, "CONNECTION", why, Class::Retriable)
        })
    }

    /// Asks something small in the newest of the `wanted` versions. `client` is the `client.id` that the broker hears.
    ///
    /// # Errors
    /// Retriable when the connection breaks or the time is over: whether the request was carried out is not known then. Fatal when the
    /// broker does not serve the request, or answers something else.
    pub(crate) async fn ask<R: Request>(
        &self,
        client: &StrBytes,
        request: &R,
        wanted: RangeInclusive<i16>,
        timeout: Duration,
    ) -> Result<R::Response> {
        let version = self
            .version::<R>(&wanted)
            .ok_or_else(|| unserved::<R>(&self.address, &wanted))?;
        let mut answer = self.send(Frame::of(request, version, client)?, timeout)?.await?;
        answer_header::<R>(&mut answer, version)?;
        R::Response::decode(&mut answer, version).map_err(|error| unfit(R::KEY, version, &error))
    }
}

/// Reads the header of an answer.
pub(crate) fn answer_header<R: Request>(answer: &mut Bytes, version: i16) -> Result<()> {
    ResponseHeader::decode(answer, R::Response::header_version(version))
        .map(drop)
        .map_err(|error| unfit(R::KEY, version, &error))
}

/// The task of a connection.
struct Io {
    address: Arc<str>,
    versions: Arc<Versions>,
    waiting: Arc<Mutex<VecDeque<Waiting>>>,
    /// Somebody waits, and nobody did before; or nobody will ask any more.
    first: Notify,
    limits: Limits,
}

/// Why reading ended.
enum End {
    Broken(Error),
    Idle,
}

impl Io {
    async fn run(
        self,
        stream: Box<dyn Stream>,
        mut queue: mpsc::Receiver<Asked>,
        mut renewal: Option<Renewal>,
        open: Arc<AtomicBool>,
    ) {
        let low_water = LowWater::new(stream.socket());
        let (read, write) = tokio::io::split(stream);
        let last_user = AtomicBool::new(false);
        let error = tokio::select! {
            error = self.write(write, &mut queue, &mut renewal, &last_user) => error,
            end = self.read(read, low_water, &last_user) => match end {
                End::Broken(error) => error,
                End::Idle => broken(&self.address, &std::io::Error::other("nobody asked anything for a while")),
            },
        };
        open.store(false, Ordering::Release);
        queue.close();
        tracing::debug!(broker = %self.address, %error, "connection closed");
        let fail = |answer: oneshot::Sender<Result<Bytes>>| answer.send(Err(error.clone())).ok();
        for waiting in lock(&self.waiting).drain(..) {
            fail(waiting.answer);
        }
        while let Ok(asked) = queue.try_recv() {
            asked.answer.and_then(fail);
        }
    }

    /// Writes what is asked, as much at once as there is; ends when that fails.
    async fn write(
        &self,
        mut out: impl AsyncWrite + Send + Unpin,
        queue: &mut mpsc::Receiver<Asked>,
        renewal: &mut Option<Renewal>,
        last_user: &AtomicBool,
    ) -> Error {
        let mut correlation = 0_i32;
        let mut pieces = Vec::new();
        loop {
            let Some(asked) = queue.recv().await else {
                // Reading ends once all is answered.
                last_user.store(true, Ordering::Release);
                self.first.notify_one();
                return std::future::pending().await;
            };
            if let Some(renewal) = renewal.as_mut().filter(|renewal| renewal.is_due()) {
                let mut line = InUse {
                    io: self,
                    out: &mut out,
                    correlation: &mut correlation,
                    versions: &self.versions,
                };
                if let Err(error) = renewal.renew(&mut line).await {
                    return self.refuse(asked, &error);
                }
            }
            if self.limits.gather.is_some() {
                // Members whose time has come together ask one after the other, and this task is woken up by the first.
                tokio::task::yield_now().await;
            }
            let mut next = Some(asked);
            while let Some(asked) = next {
                correlation = correlation.wrapping_add(1);
                if let Err(error) = self.register(asked, correlation, &mut pieces) {
                    return error;
                }
                next = if pieces.len() < PIECES {
                    queue.try_recv().ok()
                } else {
                    None
                };
            }
            if let Err(error) = write_pieces(&mut out, &mut pieces).await {
                return broken(&self.address, &error);
            }
        }
    }

    /// Gives the connection up before this was sent. A new connection is worth a try, and says what the matter is if it is none.
    fn refuse(&self, asked: Asked, error: &Error) -> Error {
        let what = format!("renewing the log-in at {}", self.address);
        let error = local(what, "CONNECTION", error.to_string(), Class::Retriable);
        if let Some(answer) = asked.answer {
            answer.send(Err(error.clone())).ok();
        }
        error
    }

    /// Makes a request ready to be written. It waits for its answer from here on: one that cannot be written must not wait longer.
    fn register(&self, asked: Asked, correlation: i32, pieces: &mut Vec<Bytes>) -> Result<()> {
        let unfit = |error: std::num::TryFromIntError| broken(&self.address, &std::io::Error::other(error));
        if let Some(answer) = asked.answer {
            let mut waiting = lock(&self.waiting);
            if waiting.is_empty() {
                self.first.notify_one();
            }
            waiting.push_back(Waiting {
                correlation,
                deadline: Instant::now() + asked.timeout,
                answer,
            });
        }
        asked.frame.finish(correlation, pieces).map_err(unfit)
    }

    /// Reads answers and hands them out.
    async fn read(&self, mut input: impl AsyncRead + Unpin, mut low_water: LowWater, last_user: &AtomicBool) -> End {
        let mut buffer = BytesMut::with_capacity(READ);
        let mut heard = Instant::now();
        let mut gathers: Option<Instant> = None;
        loop {
            let deadline = lock(&self.waiting).front().map(|waiting| waiting.deadline);
            if deadline.is_none() && last_user.load(Ordering::Acquire) {
                return End::Idle;
            }
            let at = gathers.or(deadline).unwrap_or(heard + self.limits.idle);
            tokio::select! {
                biased;
                read = input.read_buf(&mut buffer) => match read {
                    Ok(0) => {
                        let error = std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the broker closed the connection");
                        return End::Broken(broken(&self.address, &error));
                    }
                    Ok(_) => {}
                    Err(error) => return End::Broken(broken(&self.address, &error)),
                },
                () = self.first.notified() => continue,
                () = tokio::time::sleep_until(at) => {
                    if gathers.take().is_some() {
                        low_water.at(1);
                        continue;
                    }
                    // The one who is waited for may have changed meanwhile.
                    let now = Instant::now();
                    match lock(&self.waiting).front() {
                        Some(waiting) if waiting.deadline <= now => return End::Broken(self.late()),
                        None if deadline.is_none() => return End::Idle,
                        Some(_) | None => continue,
                    }
                }
            }
            heard = Instant::now();
            match self.answers(&mut buffer) {
                Ok(missing) => low_water.set(missing),
                Err(error) => return End::Broken(error),
            }
            let waiting = lock(&self.waiting).len();
            gathers = None;
            if let Some(gather) = self.limits.gather
                && waiting > FEW
            {
                if low_water.at(waiting * SHORT) {
                    gathers = Some(heard + gather);
                } else {
                    tokio::time::sleep(gather).await;
                }
            }
        }
    }

    /// Hands out the answers that are there as a whole, and makes room for the next. How much of that is missing, if it has begun.
    fn answers(&self, buffer: &mut BytesMut) -> Result<usize> {
        loop {
            let Some(length) = buffer.first_chunk::<4>().map(|length| i32::from_be_bytes(*length)) else {
                if buffer.capacity() - buffer.len() < READ / 4 {
                    let begun = std::mem::replace(buffer, BytesMut::with_capacity(READ));
                    buffer.extend_from_slice(&begun);
                }
                return Ok(0);
            };
            let length = usize::try_from(length)
                .ok()
                .filter(|length| (4..=self.limits.max_frame).contains(length))
                .ok_or_else(|| {
                    broken(
                        &self.address,
                        &std::io::Error::other(format!("an answer of {length} bytes")),
                    )
                })?;
            if buffer.len() < 4 + length {
                // No more than that: whatever else is read behind it would have to be moved out of its memory.
                let missing = 4 + length - buffer.len();
                buffer.reserve(missing);
                return Ok(missing);
            }
            buffer.advance(4);
            let answer = buffer.split_to(length).freeze();
            let correlation = (&answer[..4]).get_i32();
            let waiting = lock(&self.waiting).pop_front();
            let Some(waiting) = waiting.filter(|waiting| waiting.correlation == correlation) else {
                let error = std::io::Error::other("the answer to another request");
                return Err(broken(&self.address, &error));
            };
            // Who does not wait any more does not need it.
            waiting.answer.send(Ok(answer)).ok();
        }
    }

    fn late(&self) -> Error {
        let what = format!("speaking with {}", self.address);
        local(what, "TIMED_OUT", "no answer in time", Class::Retriable)
    }
}

/// Writes all pieces with as few calls as possible.
async fn write_pieces(out: &mut (impl AsyncWrite + Unpin), pieces: &mut Vec<Bytes>) -> std::io::Result<()> {
    let mut first = 0;
    while first < pieces.len() {
        let slices: Vec<IoSlice<'_>> = pieces[first..]
            .iter()
            .take(PIECES)
            .map(|piece| IoSlice::new(piece))
            .collect();
        let mut written = out.write_vectored(&slices).await?;
        if written == 0 {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        while written > 0 {
            let part = written.min(pieces[first].len());
            pieces[first].advance(part);
            written -= part;
            if pieces[first].is_empty() {
                first += 1;
            }
        }
    }
    pieces.clear();
    out.flush().await
}

#[cfg(test)]
mod tests;
