//! Renewing a log-in on the connection that it was made on (KIP-368). A broker closes a connection whose log-in has ended once it is asked
//! something else there.
//!
//! It is done on the connection, and not with a new one in its place: the broker answers one request after the other, so the log-in stands
//! in order behind what is on its way, whose answers come first, and before what waits; nothing is asked twice, nobody has to find out what
//! became of a request, and fetch sessions go on. It is done when the next request is to be written, as Java's client does it: a
//! connection that nobody uses needs no log-in, and the broker takes one late.

use super::{Asked, Io, Reply, answer_header, write_pieces};
use crate::error::Result;
use crate::lock::lock;
use crate::wire::dial::{Session, Versions, broken, unfit, unserved, version};
use crate::wire::frame::Frame;
use crate::wire::sasl::{Asks, renewed_after};
use kafka_protocol::protocol::{Decodable as _, Request};
use std::ops::RangeInclusive;
use tokio::io::AsyncWrite;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A log-in, and when it is to be renewed.
pub(super) struct Renewal {
    session: Session,
    at: Option<Instant>,
}

impl Renewal {
    pub(super) fn new(session: Session) -> Self {
        let at = Some(Instant::now() + renewed_after(session.lifetime));
        Self { session, at }
    }

    pub(super) fn is_due(&self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    /// Logs in anew. Nobody else may write meanwhile.
    ///
    /// # Errors
    /// When the connection is of no more use: it breaks, or the broker does not take the log-in.
    pub(super) async fn renew<W: AsyncWrite + Send + Unpin>(&mut self, line: &mut InUse<'_, W>) -> Result<()> {
        self.session.login.prepare().await?;
        let lifetime = self.session.login.prove(&mut line.during(&self.session)).await?;
        tracing::debug!(broker = %line.io.address, ?lifetime, "log-in renewed");
        self.at = lifetime.map(|lifetime| Instant::now() + renewed_after(lifetime));
        Ok(())
    }
}

/// The writing half of a connection.
pub(super) struct InUse<'a, W> {
    pub(super) io: &'a Io,
    pub(super) out: &'a mut W,
    pub(super) correlation: &'a mut i32,
    pub(super) versions: &'a Versions,
}

/// The same while a log-in is renewed.
struct During<'a, 'b, W> {
    line: &'a mut InUse<'b, W>,
    session: &'a Session,
}

impl<'b, W> InUse<'b, W> {
    fn during<'a>(&'a mut self, session: &'a Session) -> During<'a, 'b, W> {
        During { line: self, session }
    }
}

impl<W: AsyncWrite + Send + Unpin> Asks for During<'_, '_, W> {
    fn address(&self) -> &str {
        &self.line.io.address
    }

    async fn ask<R>(&mut self, request: &R, wanted: RangeInclusive<i16>) -> Result<R::Response>
    where
        R: Request + Sync,
        R::Response: Send,
    {
        let (line, session) = (&mut *self.line, self.session);
        let address = &line.io.address;
        let version = version::<R>(line.versions, &wanted).ok_or_else(|| unserved::<R>(address, &wanted))?;
        let (answer, reply) = oneshot::channel();
        // What is on its way may take as long as it was given, and is answered first.
        let last = lock(&line.io.waiting).back().map(|waiting| waiting.deadline);
        let before = last.map_or_else(Default::default, |at| at.saturating_duration_since(Instant::now()));
        let asked = Asked {
            frame: Frame::of(request, version, &session.client)?,
            timeout: before + session.within,
            answer: Some(answer),
        };
        *line.correlation = line.correlation.wrapping_add(1);
        let mut pieces = Vec::new();
        line.io.register(asked, *line.correlation, &mut pieces)?;
        let written = write_pieces(line.out, &mut pieces).await;
        written.map_err(|error| broken(address, &error))?;
        let mut answer = Reply(reply).await?;
        answer_header::<R>(&mut answer, version)?;
        R::Response::decode(&mut answer, version).map_err(|error| unfit(R::KEY, version, &error))
    }
}
