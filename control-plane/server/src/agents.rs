//! Agents' streams: what an agent says goes to the leader of this replica, what the leader says goes to the agent. A replica that does not
//! lead says who does.
//!
//! Nothing is merged here: the leader keeps, for each agent, what it has to be told, and has little under way at a time. A peer that takes
//! nothing for a while is closed, and says again what holds when it comes back.

use crate::cache::Cache;
use crate::desk::{Desk, OUTBOUND, Seat, StreamEvent};
use dray_machine::cluster::ConnectionId;
use dray_model::message::{FromAgent, NotLeader, Order, ToAgent};
use dray_model::{AgentId, Term};
use dray_wire::agent::v1::agent_control_service_server::AgentControlService;
use dray_wire::agent::v1::{SessionRequest, SessionResponse};
use futures::stream::{BoxStream, StreamExt as _, poll_fn};
use std::num::NonZeroU64;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

/// Messages that tonic has not taken: what is on the wire and in HTTP/2's window comes on top.
const ANSWERS: usize = 4;
/// A peer that takes nothing for so long is closed.
const STUCK: Duration = Duration::from_secs(10);
/// Ten times what one cell is made for; each costs some 50 KB.
const STREAMS: usize = 10_000;
/// When to ask a replica again that knows no leader: an election takes up to 6 s, and the answer costs nothing.
const RETRY_MS: u32 = 200;

type Answer = Result<SessionResponse, Status>;

/// The service of `dray.agent.v1`.
#[derive(Clone)]
pub(crate) struct Agents {
    desk: Desk,
    cache: Arc<Cache>,
    replica: Arc<str>,
    tasks: TaskTracker,
    stop: CancellationToken,
    streams: Arc<Semaphore>,
}

/// Why a stream ends.
enum End {
    /// The agent has closed it, or is gone.
    Gone,
    /// The leader has closed it.
    Closed,
    /// This replica does not lead (any more).
    NotLeader,
    /// The agent is told why.
    Refused(Status),
}

impl Agents {
    /// The streams' tasks belong to `tasks`, and end soon after `stop`.
    pub(crate) fn new(
        desk: Desk,
        cache: Arc<Cache>,
        replica: &str,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            desk,
            cache,
            replica: replica.into(),
            tasks,
            stop,
            streams: Arc::new(Semaphore::new(STREAMS)),
        }
    }

    /// The leader, if it is here. While nobody else leads, whoever has come early waits for a while: the next leader may be this replica,
    /// or is and has not sat down yet, and coming again costs an agent more than that takes.
    async fn leader(&self) -> Option<Seat> {
        let (mut seats, mut states) = (self.desk.watch(), self.cache.subscribe());
        let known = async {
            while self.desk.leader().is_none() && self.elsewhere().is_none() {
                tokio::select! {
                    Ok(()) = seats.changed() => {}
                    Ok(()) = states.changed() => {}
                    else => return,
                }
            }
        };
        tokio::select! {
            _ = timeout(Duration::from_millis(RETRY_MS.into()), known) => {}
            () = self.stop.cancelled() => {}
        }
        self.desk.leader()
    }

    async fn talk(
        &self,
        connection: ConnectionId,
        mut inbound: Streaming<SessionRequest>,
        answers: mpsc::Sender<Answer>,
    ) {
        let end = match self.leader().await {
            Some(seat) => {
                let (outbound, orders) = mpsc::channel(OUTBOUND);
                let opened = StreamEvent::Opened { connection, outbound };
                if seat.events.send(opened).await.is_err() {
                    End::NotLeader
                } else {
                    let who = OnceLock::new();
                    let end = tokio::select! {
                        end = listen(connection, &mut inbound, &seat.events, &who) => end,
                        end = speak(orders, &answers, &who) => end,
                        () = answers.closed() => End::Gone,
                        () = self.stop.cancelled() => End::NotLeader,
                    };
                    // Dropping the term closes both directions at once.
                    let stood_up = matches!(end, End::Closed) && seat.events.is_closed();
                    let end = if stood_up { End::NotLeader } else { end };
                    // A leader that is gone needs not to know.
                    drop(seat.events.send(StreamEvent::Closed(connection)).await);
                    end
                }
            }
            None => End::NotLeader,
        };
        let last = match end {
            End::Gone | End::Closed => return,
            End::NotLeader => Ok(self.not_leader().into()),
            End::Refused(status) => {
                tracing::warn!(connection = connection.0, %status, "an agent's stream is refused");
                Err(status)
            }
        };
        // Who does not take it is gone.
        drop(timeout(STUCK, answers.send(last)).await);
    }

    fn not_leader(&self) -> ToAgent {
        let other = self.elsewhere();
        ToAgent {
            term: self.cache.now().term.unwrap_or(Term::from(NonZeroU64::MIN)),
            body: Order::NotLeader(NotLeader {
                retry_after_ms: if other.is_some() { 0 } else { RETRY_MS },
                endpoints: other.unwrap_or_default(),
            }),
        }
    }

    /// Where the leader is, when it is another replica.
    fn elsewhere(&self) -> Option<Vec<String>> {
        let state = self.cache.now();
        // Our own record may outlive our term in the cache.
        let other = state
            .leader
            .as_ref()
            .filter(|leader| *leader.record.replica != *self.replica);
        other.map(|leader| leader.record.endpoints.clone())
    }
}

/// What the agent says.
async fn listen(
    connection: ConnectionId,
    inbound: &mut Streaming<SessionRequest>,
    events: &mpsc::Sender<StreamEvent>,
    who: &OnceLock<AgentId>,
) -> End {
    let mut first = true;
    loop {
        let message = match inbound.message().await {
            Ok(Some(message)) => message,
            Ok(None) | Err(_) => return End::Gone,
        };
        let message = match FromAgent::try_from(message) {
            Ok(message) => message,
            Err(invalid) => return End::Refused(Status::invalid_argument(invalid.to_string())),
        };
        if std::mem::take(&mut first) != matches!(message, FromAgent::Hello(_)) {
            return End::Refused(Status::failed_precondition(
                "a stream begins with `hello`, and has only one",
            ));
        }
        if let FromAgent::Hello(hello) = &message {
            who.get_or_init(|| hello.agent.clone());
        }
        if events.send(StreamEvent::Message { connection, message }).await.is_err() {
            return End::NotLeader;
        }
    }
}

/// What the leader says.
async fn speak(mut orders: mpsc::Receiver<ToAgent>, answers: &mpsc::Sender<Answer>, who: &OnceLock<AgentId>) -> End {
    while let Some(order) = orders.recv().await {
        // Of one that was never admitted nothing else is seen here.
        if let Order::Fenced(fenced) = &order.body {
            let agent = who.get().map_or("", AgentId::as_str);
            tracing::warn!(agent, why = ?fenced.why, detail = %fenced.detail, "an agent was sent away");
        }
        match timeout(STUCK, answers.send(Ok(order.into()))).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Gone,
            Err(_) => return End::Refused(Status::resource_exhausted("the agent took no message for 10 s")),
        }
    }
    End::Closed
}

#[tonic::async_trait]
impl AgentControlService for Agents {
    type SessionStream = BoxStream<'static, Answer>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        if self.stop.is_cancelled() {
            return Err(Status::unavailable("this replica is shutting down"));
        }
        let Ok(permit) = self.streams.clone().try_acquire_owned() else {
            return Err(Status::resource_exhausted(format!(
                "this replica has {STREAMS} streams and takes no more"
            )));
        };
        let (answers, mut taken) = mpsc::channel::<Answer>(ANSWERS);
        // Here, and not in the task: a later stream has a higher number, by which the leader tells the older one.
        let (agents, connection) = (self.clone(), self.desk.connection());
        self.tasks.spawn(async move {
            agents.talk(connection, request.into_inner(), answers).await;
            drop(permit);
        });
        Ok(Response::new(poll_fn(move |context| taken.poll_recv(context)).boxed()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::term;
    use dray_model::message::HeartbeatAck;

    fn order(seq: u64) -> ToAgent {
        ToAgent {
            term: term(1),
            body: Order::HeartbeatAck(HeartbeatAck { seq }),
        }
    }

    /// A peer that takes nothing is closed after ten seconds; one that takes something in time is not.
    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_closed() {
        let (outbound, orders) = mpsc::channel(OUTBOUND);
        let (answers, mut taken) = mpsc::channel::<Answer>(ANSWERS);
        for seq in 0..10 {
            outbound.send(order(seq)).await.unwrap();
        }
        let begun = tokio::time::Instant::now();
        let reader = async {
            tokio::time::sleep(STUCK - Duration::from_secs(1)).await;
            taken.recv().await.unwrap().unwrap();
            std::future::pending().await
        };
        let who = OnceLock::new();
        let end = tokio::select! {
            end = speak(orders, &answers, &who) => end,
            () = reader => unreachable!("it waits for ever"),
        };
        assert!(matches!(end, End::Refused(status) if status.code() == tonic::Code::ResourceExhausted));
        assert_eq!(begun.elapsed(), STUCK * 2 - Duration::from_secs(1));
    }
}
