//! Streams to the control plane: the agent dials out, one stream at a time, to one replica after the other.

use crate::answers::Answers;
use crate::worker_config::WorkerConfigs;
use dray_model::message::{FromAgent, Order, ToAgent};
use dray_session::{ConnectionId, Event};
use dray_wire::agent::v1::agent_control_service_client::AgentControlServiceClient;
use dray_wire::agent::v1::{SessionRequest, SessionResponse};
use futures::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

/// Opening a connection; then the next replica is tried.
const CONNECT: Duration = Duration::from_secs(3);
/// HTTP/2 pings notice a peer that is gone without a word. They are never the lease.
const PING: Duration = Duration::from_secs(10);
const PING_ANSWER: Duration = Duration::from_secs(5);
/// What the last words of an agent may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Messages that wait for the stream. The machine merges what it says a second; a stream that does not take this much is broken.
const OUTBOUND: usize = 256;
/// A full delta has 500 assignments.
const LARGEST_MESSAGE: usize = 32 << 20;

/// Opens a channel: to this address, or, in a process that has its control plane within, to that.
pub type Dial = Arc<dyn Fn(&str) -> BoxFuture<'static, Result<Channel, tonic::transport::Error>> + Send + Sync>;

/// Dials addresses such as `http://host:8083`; the scheme may be left out.
#[must_use]
pub fn dial_out() -> Dial {
    Arc::new(|address| {
        let address = if address.contains("://") {
            address.to_owned()
        } else {
            format!("http://{address}")
        };
        Box::pin(async move {
            Endpoint::from_shared(address)?
                .connect_timeout(CONNECT)
                .http2_keep_alive_interval(PING)
                .keep_alive_timeout(PING_ANSWER)
                .keep_alive_while_idle(true)
                .tcp_nodelay(true)
                .connect()
                .await
        })
    })
}

/// The streams of an agent. Dropping it closes them.
pub(crate) struct Link {
    dial: Dial,
    configured: Vec<String>,
    next: usize,
    open: BTreeMap<ConnectionId, mpsc::Sender<SessionRequest>>,
    streams: JoinSet<ConnectionId>,
    events: mpsc::Sender<Event>,
    answers: Arc<Answers>,
    configs: WorkerConfigs,
}

impl Link {
    pub(crate) fn new(
        dial: Dial,
        configured: Vec<String>,
        events: mpsc::Sender<Event>,
        answers: Arc<Answers>,
        configs: WorkerConfigs,
    ) -> Self {
        Self {
            dial,
            configured,
            next: 0,
            open: BTreeMap::new(),
            streams: JoinSet::new(),
            events,
            answers,
            configs,
        }
    }

    /// Opens a stream: where the leader is said to be, else to the next of the configured addresses.
    pub(crate) fn connect(&mut self, connection: ConnectionId, endpoints: &[String]) {
        let choice = if endpoints.is_empty() {
            &self.configured
        } else {
            endpoints
        };
        let address = choice.get(self.next % choice.len().max(1)).cloned().unwrap_or_default();
        self.next = self.next.wrapping_add(1);
        let (sender, outbound) = mpsc::channel(OUTBOUND);
        self.open.insert(connection, sender);
        let (dial, events, answers) = (self.dial.clone(), self.events.clone(), self.answers.clone());
        let configs = self.configs.clone();
        self.streams.spawn(async move {
            if let Err(problem) = stream(dial, &address, connection, outbound, &events, &answers, &configs).await {
                tracing::info!(address, problem, "no stream to the control plane");
            }
            // A closed queue is an agent that has ended.
            drop(events.send(Event::Disconnected(connection)).await);
            connection
        });
    }

    pub(crate) fn disconnect(&mut self, connection: ConnectionId) {
        // The stream ends when nobody can say anything on it any more.
        self.open.remove(&connection);
    }

    /// Says something. A stream that takes nothing more is given up: the machine opens another and says again what holds.
    pub(crate) fn send(&mut self, connection: ConnectionId, message: FromAgent) {
        let Some(sender) = self.open.get(&connection) else {
            return;
        };
        if sender.try_send(message.into()).is_err() {
            self.open.remove(&connection);
        }
    }

    /// Has what was said go out, and ends the streams, within a second: what the leader does not hear it has to find out, and fences
    /// the session for it. Nobody may wait for events any more.
    pub(crate) async fn close(mut self) {
        self.open.clear();
        let ended = async { while self.streams.join_next().await.is_some() {} };
        if timeout(FAREWELL, ended).await.is_err() {
            tracing::debug!("a stream to the control plane did not end in time");
        }
    }

    /// Waits for a stream to have ended. Cancel-safe.
    pub(crate) async fn ended(&mut self) {
        match self.streams.join_next().await {
            Some(Ok(connection)) => drop(self.open.remove(&connection)),
            Some(Err(error)) => tracing::error!(%error, "a stream's task panicked"),
            None => std::future::pending().await,
        }
    }
}

async fn stream(
    dial: Dial,
    address: &str,
    connection: ConnectionId,
    outbound: mpsc::Receiver<SessionRequest>,
    events: &mpsc::Sender<Event>,
    answers: &Arc<Answers>,
    configs: &WorkerConfigs,
) -> Result<(), String> {
    let channel = dial(address).await.map_err(|error| chain(&error))?;
    let mut client = AgentControlServiceClient::new(channel.clone())
        .max_decoding_message_size(LARGEST_MESSAGE)
        .max_encoding_message_size(LARGEST_MESSAGE);
    // Before the call: the server answers it when it has read the Hello.
    drop(events.send(Event::Connected(connection)).await);
    let response = client.session(ReceiverStream::new(outbound)).await;
    let mut inbound = response.map_err(|status| status.message().to_owned())?.into_inner();
    // Calls are answered beside the session, and no longer than it.
    let mut beside = JoinSet::new();
    loop {
        let message: Option<SessionResponse> = inbound.message().await.map_err(|status| status.message().to_owned())?;
        let Some(message) = message else { return Ok(()) };
        let message = ToAgent::try_from(message).map_err(|error| error.to_string())?;
        if let Order::Welcome(welcome) = &message.body {
            configs.prepare(welcome).await?;
            beside.spawn(answers.clone().serve(channel.clone()));
        }
        if events.send(Event::Message { connection, message }).await.is_err() {
            return Ok(());
        }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
