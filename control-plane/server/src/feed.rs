//! What another replica's leader sees, on this replica's board: one stream of statuses to the leader, as any client has it.

use crate::board::Board;
use crate::cache::{Cache, LeaderSeen, State};
use crate::clock;
use dray_machine::cluster::{LinkState, Shown, ShownAgent, ShownStatus};
use dray_model::{AgentId, ConnectorName, Generation, KafkaCluster, Term};
use dray_wire::MAX_MESSAGE;
use dray_wire::admin::v1;
use dray_wire::admin::v1::status_change::What;
use dray_wire::admin::v1::status_service_client::StatusServiceClient;
use std::num::NonZeroU64;
use std::time::Duration;
use tokio::time::timeout;
use tonic::transport::Endpoint;

/// Before the leader is tried again. Its statuses are at most this much older than a second.
const RETRY: Duration = Duration::from_millis(300);
/// How long a watch may be behind the leader that writes; it is milliseconds.
const RECORD: Duration = Duration::from_secs(2);
/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(2);
/// HTTP/2 pings find a leader that is gone without a word.
const PING: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(2));

/// Follows whoever leads elsewhere. Never returns.
pub(crate) async fn follow(cache: &Cache, board: &Board, replica: &str) {
    let mut states = cache.subscribe();
    loop {
        let leader = states.borrow_and_update().leader.clone();
        match leader {
            Some(leader) if leader.record.replica != replica => {
                let term = leader.term;
                tokio::select! {
                    () = listen(cache, board, &leader) => {}
                    // Another one leads: its endpoints are others.
                    _ = states.wait_for(|state| state.leader.as_ref().is_none_or(|now| now.term != term)) => {}
                }
                board.unheard(term, clock::now());
                tokio::time::sleep(RETRY).await;
            }
            // Nobody, or this replica, whose own machine writes the board. The sender lives as long as the cache.
            Some(_) | None => drop(states.changed().await),
        }
    }
}

/// Until no endpoint of the leader answers any more.
async fn listen(cache: &Cache, board: &Board, leader: &LeaderSeen) {
    for endpoint in &leader.record.endpoints {
        match connect(endpoint).await {
            Ok(mut statuses) => match take(cache, board, leader.term, &mut statuses).await {
                Ok(()) => tracing::debug!(endpoint, "the leader ended its feed"),
                Err(status) => tracing::debug!(endpoint, %status, "the leader's feed broke"),
            },
            Err(error) => tracing::debug!(endpoint, %error, "the leader cannot be reached"),
        }
    }
}

async fn connect(endpoint: &str) -> Result<tonic::Streaming<v1::WatchStatusResponse>, dray_store::BoxError> {
    let channel = Endpoint::from_shared(endpoint.to_owned())?
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(PING.0)
        .keep_alive_timeout(PING.1)
        .keep_alive_while_idle(true)
        .connect()
        .await?;
    let mut client = StatusServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    Ok(client
        .watch_status(v1::WatchStatusRequest::default())
        .await?
        .into_inner())
}

async fn take(
    cache: &Cache,
    board: &Board,
    term: Term,
    statuses: &mut tonic::Streaming<v1::WatchStatusResponse>,
) -> Result<(), tonic::Status> {
    // What is being collected of a snapshot: what was known stays on the board until all of it is there.
    let mut snapshot: Option<Vec<Shown>> = None;
    while let Some(message) = statuses.message().await? {
        let fresh = message.freshness.unwrap_or_default();
        if message.reset {
            snapshot = Some(Vec::new());
        }
        // It has not sat down yet, and begins anew when it does.
        if fresh.term != term.get() || fresh.stale {
            continue;
        }
        for change in &message.changes {
            if let Some(What::Agent(change)) = &change.what
                && change.status.is_some()
                && let Ok(id) = AgentId::try_from(change.agent.as_str())
            {
                known(cache, &id).await;
            }
        }
        let state = cache.now();
        let changes = message.changes.into_iter().filter_map(|change| read(&state, change));
        match &mut snapshot {
            Some(collected) => {
                collected.extend(changes);
                if message.synced {
                    board.replace(term, snapshot.take().unwrap_or_default());
                }
            }
            None => changes.for_each(|shown| board.show(term, shown)),
        }
    }
    Ok(())
}

/// Waits until our cache has the record of an agent: the leader shows it as soon as it is written, which may be before our watch tells.
/// One that does not come is gone again, and its change with it.
async fn known(cache: &Cache, id: &AgentId) {
    let mut states = cache.subscribe();
    drop(timeout(RECORD, states.wait_for(|state| state.agent(id).is_some())).await);
}

/// A change in our words; `None`: a newer version's, or something that cannot be.
fn read(state: &State, change: v1::StatusChange) -> Option<Shown> {
    Some(match change.what? {
        What::Connector(change) => {
            let status = change.status.map(|status| {
                let state = v1::ConnectorState::try_from(status.state).ok()?.try_into().ok()?;
                shown(state, status.agent, status.generation, status.trace, status.restarts)
            });
            Shown::Connector(ConnectorName::try_from(change.name).ok()?, all(status)?)
        }
        What::Task(change) => {
            let status = change.status.map(|status| {
                let state = v1::TaskState::try_from(status.state).ok()?.try_into().ok()?;
                shown(state, status.agent, status.generation, status.trace, status.restarts)
            });
            Shown::Task(
                ConnectorName::try_from(change.connector).ok()?,
                change.task,
                all(status)?,
            )
        }
        What::Agent(change) => {
            let id = AgentId::try_from(change.agent).ok()?;
            let status = change.status.map(|status| agent(state, &id, change.policy, status));
            Shown::Agent(id, all(status)?.map(Box::new))
        }
    })
}

/// Nothing that is read as nothing, or something that is read as something.
#[expect(clippy::option_option, reason = "whether there is one, and whether it can be read")]
fn all<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(read) => read.map(Some),
    }
}

fn shown<S>(state: S, agent: String, generation: u64, trace: Option<String>, restarts: u32) -> Option<ShownStatus<S>> {
    let agent = match agent.is_empty() {
        true => None,
        false => Some(AgentId::try_from(agent).ok()?),
    };
    Some(ShownStatus {
        state,
        agent,
        generation: NonZeroU64::new(generation).map(Generation::from),
        trace,
        restarts,
    })
}

fn agent(state: &State, id: &AgentId, policy: i32, status: v1::AgentStatus) -> Option<ShownAgent> {
    let link = match v1::AgentLink::try_from(status.link).ok()? {
        v1::AgentLink::Unspecified => return None,
        v1::AgentLink::Unknown => LinkState::Unknown,
        v1::AgentLink::Connected => LinkState::Connected,
        v1::AgentLink::Silent => LinkState::Silent,
        v1::AgentLink::Returning => LinkState::Returning,
        v1::AgentLink::Gone => LinkState::Gone,
    };
    let unfenced = status.unfenced.into_iter().map(|unfenced| {
        let clusters = unfenced
            .clusters
            .into_iter()
            .map(|cluster| KafkaCluster::try_from(cluster).ok());
        Some((
            NonZeroU64::new(unfenced.session)?.into(),
            clusters.collect::<Option<Vec<_>>>()?,
        ))
    });
    Some(ShownAgent {
        number: state.agent(id)?.record.number,
        link,
        session: NonZeroU64::new(status.session).map(Into::into),
        policy: v1::AgentPolicy::try_from(policy).ok()?.try_into().ok()?,
        drained: status.drained,
        tasks: status.tasks,
        unfenced: unfenced.collect::<Option<Vec<_>>>()?,
        problem: status.problem,
    })
}
