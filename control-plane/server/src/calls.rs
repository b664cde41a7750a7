//! Streams of calls: each agent has one to the replica that welcomed it, beside that of its session.

use crate::cache::Cache;
use crate::desk::Desk;
use crate::gathered::Gathering;
use crate::logging;
use crate::status;
use crate::switchboard::{Asked, Switchboard};
use dray_model::message::CallsHello;
use dray_wire::agent::v1::agent_call_service_server::AgentCallService;
use dray_wire::agent::v1::call_answer::Result as Answered;
use dray_wire::agent::v1::{CallsRequest, CallsResponse, LoggerLevel, SetLevelsCall, calls_request, calls_response};
use futures::stream::{BoxStream, StreamExt as _, poll_fn};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming};

/// Calls that tonic has not taken.
const OUTBOUND: usize = 4;
/// A peer that takes nothing, or does not say who it is, for so long is closed.
const STUCK: Duration = Duration::from_secs(10);

type Answer = Result<CallsResponse, Status>;

/// The service of calls.
#[derive(Clone)]
pub(crate) struct Calls {
    switchboard: Arc<Switchboard>,
    gathering: Arc<Gathering>,
    desk: Desk,
    cache: Arc<Cache>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Calls {
    /// The streams' tasks belong to `tasks`, and end soon after `stop`.
    pub(crate) fn new(
        switchboard: Arc<Switchboard>,
        gathering: Arc<Gathering>,
        desk: Desk,
        cache: Arc<Cache>,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            switchboard,
            gathering,
            desk,
            cache,
            tasks,
            stop,
        }
    }

    async fn serve(&self, mut inbound: Streaming<CallsRequest>, outbound: &mpsc::Sender<Answer>) -> Result<(), Status> {
        let hello = hello(&mut inbound).await?;
        tracing::debug!(agent = %hello.agent, "answers calls");
        let (number, asked) = self.switchboard.join(hello.agent.clone(), hello.plugins);
        let ended = tokio::select! {
            ended = talk(&mut inbound, asked, outbound, &self.cache) => ended,
            never = self.gathering.from(&hello.agent, number) => match never {},
            () = outbound.closed() => Ok(()),
            () = self.stop.cancelled() => Err(status::stopping()),
        };
        self.switchboard.leave(&hello.agent, number);
        ended
    }
}

async fn hello(inbound: &mut Streaming<CallsRequest>) -> Result<CallsHello, Status> {
    let first = timeout(STUCK, inbound.message()).await;
    let first = first.map_err(|_| Status::deadline_exceeded("no `hello` in 10 s"))??;
    match first.and_then(|message| message.body) {
        Some(calls_request::Body::Hello(hello)) => {
            CallsHello::try_from(hello).map_err(|invalid| Status::invalid_argument(format!("hello.{invalid}")))
        }
        Some(calls_request::Body::Answer(_)) | None => {
            Err(Status::failed_precondition("a stream of calls begins with `hello`"))
        }
    }
}

/// Until one side has had enough. Who waits for an answer then learns that it will not come.
async fn talk(
    inbound: &mut Streaming<CallsRequest>,
    mut asked: mpsc::Receiver<Asked>,
    outbound: &mpsc::Sender<Answer>,
    cache: &Cache,
) -> Result<(), Status> {
    let mut waiting: HashMap<u64, oneshot::Sender<Answered>> = HashMap::new();
    let mut id = 0;
    // A new agent is told what holds in the whole cluster; others, what has changed of it.
    let mut states = cache.subscribe();
    states.mark_changed();
    let mut told = 0;
    loop {
        tokio::select! {
            Ok(()) = states.changed() => {
                let loggers = states.borrow_and_update().loggers.clone();
                let news = logging::news(&loggers, &mut told).into_iter();
                let levels: Vec<_> = news.map(|(name, level)| LoggerLevel { name: name.into(), level: level.into() }).collect();
                if levels.is_empty() {
                    continue;
                }
                id += 1;
                // An agent that does not know the call says so, and nobody waits for it.
                let call = CallsResponse {
                    id,
                    timeout_ms: u32::try_from(STUCK.as_millis()).unwrap_or(u32::MAX),
                    call: Some(calls_response::Call::SetLevels(SetLevelsCall { levels })),
                };
                match timeout(STUCK, outbound.send(Ok(call))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Ok(()),
                    Err(_) => return Err(Status::resource_exhausted("the agent took no call for 10 s")),
                }
            }
            asked = asked.recv() => {
                // A newer stream of the agent has the calls now.
                let Some(asked) = asked else { return Ok(()) };
                waiting.retain(|_, answer| !answer.is_closed());
                id += 1;
                let call = CallsResponse {
                    id,
                    timeout_ms: u32::try_from(asked.timeout.as_millis()).unwrap_or(u32::MAX),
                    call: Some(asked.call),
                };
                waiting.insert(id, asked.answer);
                match timeout(STUCK, outbound.send(Ok(call))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Ok(()),
                    Err(_) => return Err(Status::resource_exhausted("the agent took no call for 10 s")),
                }
            }
            message = inbound.message() => {
                let Ok(Some(message)) = message else { return Ok(()) };
                let Some(calls_request::Body::Answer(answer)) = message.body else {
                    return Err(Status::failed_precondition("a stream of calls has one `hello`, then answers"));
                };
                // Somebody who does not wait any more is told nothing. An answer that we do not know fails at the one who waits.
                if let (Some(waits), Some(result)) = (waiting.remove(&answer.id), answer.result) {
                    drop(waits.send(result));
                }
            }
        }
    }
}

#[tonic::async_trait]
impl AgentCallService for Calls {
    type CallsStream = BoxStream<'static, Answer>;

    async fn calls(&self, request: Request<Streaming<CallsRequest>>) -> Result<Response<Self::CallsStream>, Status> {
        if self.stop.is_cancelled() {
            return Err(status::stopping());
        }
        if self.desk.leader().is_none() {
            return Err(Status::failed_precondition(
                "calls come from the leader, which this replica is not",
            ));
        }
        let (outbound, mut taken) = mpsc::channel::<Answer>(OUTBOUND);
        let calls = self.clone();
        self.tasks.spawn(async move {
            if let Err(status) = calls.serve(request.into_inner(), &outbound).await {
                // Who does not take it is gone.
                drop(timeout(STUCK, outbound.send(Err(status))).await);
            }
        });
        Ok(Response::new(poll_fn(move |context| taken.poll_recv(context)).boxed()))
    }
}
