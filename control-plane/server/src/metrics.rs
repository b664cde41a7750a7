//! What a replica measures: what is wanted beside what is seen, agents, and who leads. All of it is read from the cache and the board when
//! somebody looks, so it is there also when nothing runs. `deploy/metrics/README.md` has all of them.

use crate::board::{Board, Freshness, Seen};
use crate::cache::{Cache, State};
use crate::desk::Desk;
use crate::switchboard::Switchboard;
use dray_machine::cluster::LinkState;
use dray_model::{AgentPolicy, ConnectorState, TargetState, TaskState};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::sync::Arc;

/// What is counted of a reason. Agents and connectors stand in it, so that one outage has few of them.
const REASON: usize = 160;

/// Reads a replica.
pub(crate) struct ControlCollector {
    pub(crate) cache: Arc<Cache>,
    pub(crate) board: Arc<Board>,
    pub(crate) desk: Desk,
    pub(crate) switchboard: Arc<Switchboard>,
}

impl Debug for ControlCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlCollector").finish_non_exhaustive()
    }
}

type Labels = Vec<(&'static str, String)>;
type Counts = BTreeMap<Labels, u64>;

impl Collector for ControlCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let state = self.cache.now();
        let seen = self.board.read(Seen::clone);
        self.replica(&mut encoder, &state, seen.freshness)?;
        wanted(&mut encoder, &state)?;
        actual(&mut encoder, &seen)?;
        agents(&mut encoder, &state, &seen)
    }
}

impl ControlCollector {
    fn replica(&self, encoder: &mut DescriptorEncoder<'_>, state: &State, freshness: Freshness) -> fmt::Result {
        let yes = |is: bool| u64::from(is);
        let leads = self.desk.leader().is_some();
        let fresh = matches!(freshness, Freshness::Fresh(_));
        for (name, help, value) in [
            ("dray_control_leads", "Whether this replica leads.", yes(leads)),
            (
                "dray_control_has_leader",
                "Whether this replica knows a leader.",
                yes(state.leader.is_some()),
            ),
            (
                "dray_control_statuses_fresh",
                "Whether a leader tells this replica what is seen; if not, what is actual here grows old.",
                yes(fresh),
            ),
            (
                "dray_control_store_revision",
                "The revision of the metadata store that this replica has seen.",
                state.revision.get(),
            ),
            (
                "dray_control_replicas",
                "Replicas that are there.",
                state.replicas.len() as u64,
            ),
            (
                "dray_control_unreadable_keys",
                "Keys of the metadata store whose values cannot be read.",
                state.unreadable.len() as u64,
            ),
            (
                "dray_control_agents_answering",
                "Agents that answer calls at this replica, which are those of the leader.",
                self.switchboard.count() as u64,
            ),
            (
                "kafka_connect_worker_rebalance_epoch",
                "The term of the leader. There is no rebalance; what Connect counts as its generations are terms here.",
                state.term.map_or(0, |term| term.get()),
            ),
        ] {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value as f64).encode(metric)?;
        }
        let leader = state.leader.iter().map(|leader| {
            let endpoint = leader.record.endpoints.first().cloned().unwrap_or_default();
            vec![("replica", leader.record.replica.clone()), ("url", endpoint)]
        });
        let help = "1 for who leads.";
        gauges(
            encoder,
            "kafka_connect_worker_rebalance_leader_name",
            help,
            leader.map(|labels| (labels, 1)),
        )
    }
}

/// What is in the metadata store.
fn wanted(encoder: &mut DescriptorEncoder<'_>, state: &State) -> fmt::Result {
    let targets = [TargetState::Started, TargetState::Paused, TargetState::Stopped];
    let (mut connectors, mut tasks) = (zeros(&targets), zeros(&targets));
    let (mut each, mut each_tasks, mut deleting, mut tripped) = (Counts::new(), Counts::new(), 0, 0);
    for (name, spec) in state.specs() {
        if spec.record.deleting {
            deleting += 1;
            continue;
        }
        tripped += u64::from(spec.record.paused_by_breaker().is_some());
        let label = || ("state", lower(spec.record.target));
        let set = state.tasks(name).filter(|set| Some(set.record.uid) == spec.record.uid);
        let count = set.map_or(0, |set| set.record.tasks.len() as u64);
        *connectors.entry(vec![label()]).or_default() += 1;
        *tasks.entry(vec![label()]).or_default() += count;
        each.insert(vec![("connector", name.to_string()), label()], 1);
        each_tasks.insert(vec![("connector", name.to_string())], count);
    }
    let help = "Connectors, by what is wanted of them.";
    gauges(encoder, "dray_connectors_wanted", help, connectors.into_iter())?;
    gauges(
        encoder,
        "dray_tasks_wanted",
        "Tasks of the current task sets, by what is wanted of them.",
        tasks.into_iter(),
    )?;
    gauges(
        encoder,
        "dray_connectors_deleting",
        "Connectors that are being deleted.",
        [(Vec::new(), deleting)].into_iter(),
    )?;
    gauges(
        encoder,
        "dray_connectors_tripped",
        "Connectors that are paused because too many of their records failed.",
        [(Vec::new(), tripped)].into_iter(),
    )?;
    gauges(
        encoder,
        "dray_connector_wanted",
        "1 for what is wanted of the connector.",
        each.into_iter(),
    )?;
    gauges(
        encoder,
        "dray_connector_tasks_wanted",
        "How many tasks the connector is to have.",
        each_tasks.into_iter(),
    )
}

/// What is on the board.
fn actual(encoder: &mut DescriptorEncoder<'_>, seen: &Seen) -> fmt::Result {
    use ConnectorState as C;
    use TaskState as T;
    let mut connectors = zeros(&[
        C::Unassigned,
        C::Running,
        C::Paused,
        C::Failed,
        C::Restarting,
        C::Stopped,
    ]);
    let mut tasks = zeros(&[T::Unassigned, T::Running, T::Paused, T::Failed, T::Restarting]);
    let (mut each, mut each_tasks, mut reasons) = (Counts::new(), Counts::new(), Counts::new());
    for (name, connector) in &seen.connectors {
        if let Some(status) = &connector.connector {
            let label = || ("state", lower(status.state));
            *connectors.entry(vec![label()]).or_default() += 1;
            each.insert(vec![("connector", name.to_string()), label()], 1);
        }
        for status in connector.tasks.values() {
            let label = || ("state", lower(status.state));
            *tasks.entry(vec![label()]).or_default() += 1;
            *each_tasks
                .entry(vec![("connector", name.to_string()), label()])
                .or_default() += 1;
            if status.state == T::Unassigned {
                let reason = status
                    .trace
                    .as_deref()
                    .unwrap_or("unknown")
                    .lines()
                    .next()
                    .unwrap_or_default();
                let reason = reason[..reason.floor_char_boundary(REASON)].to_owned();
                *reasons.entry(vec![("reason", reason)]).or_default() += 1;
            }
        }
    }
    gauges(
        encoder,
        "dray_connectors_actual",
        "Connectors, by the state that is seen.",
        connectors.into_iter(),
    )?;
    gauges(
        encoder,
        "dray_tasks_actual",
        "Tasks, by the state that is seen.",
        tasks.into_iter(),
    )?;
    gauges(
        encoder,
        "dray_tasks_unassigned",
        "Tasks that nobody runs, by the reason.",
        reasons.into_iter(),
    )?;
    gauges(
        encoder,
        "dray_connector_actual",
        "1 for the state in which the connector is seen.",
        each.into_iter(),
    )?;
    gauges(
        encoder,
        "dray_connector_tasks_actual",
        "Tasks of the connector, by the state that is seen.",
        each_tasks.into_iter(),
    )
}

fn agents(encoder: &mut DescriptorEncoder<'_>, state: &State, seen: &Seen) -> fmt::Result {
    use AgentPolicy as P;
    let mut policies = zeros(&[P::Active, P::Cordoned, P::Draining, P::Restarting, P::Removed]);
    for (_, agent) in state.agents() {
        *policies.entry(vec![("state", lower(agent.record.policy))]).or_default() += 1;
    }
    gauges(
        encoder,
        "dray_agents",
        "Agents, by what the operator decided.",
        policies.into_iter(),
    )?;
    let connected = seen.agents.iter().map(|(id, agent)| {
        let connected = u64::from(agent.link == LinkState::Connected);
        (vec![("agent", id.to_string())], connected)
    });
    gauges(
        encoder,
        "dray_agent_connected",
        "Whether the leader hears the agent.",
        connected,
    )?;
    let tasks = seen
        .agents
        .iter()
        .map(|(id, agent)| (vec![("agent", id.to_string())], u64::from(agent.tasks)));
    gauges(
        encoder,
        "dray_agent_tasks",
        "Tasks and connector instances that the agent owns.",
        tasks,
    )?;
    let unfenced = seen
        .agents
        .iter()
        .map(|(id, agent)| (vec![("agent", id.to_string())], agent.unfenced.len() as u64));
    gauges(
        encoder,
        "dray_agent_unfenced_sessions",
        "Sessions of the agent that are dead and not fenced everywhere yet.",
        unfenced,
    )
}

/// Every state, with none in it.
fn zeros<S: Copy + ToString>(states: &[S]) -> Counts {
    states.iter().map(|state| (vec![("state", lower(*state))], 0)).collect()
}

fn lower(state: impl ToString) -> String {
    state.to_string().to_lowercase()
}

fn gauges(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl Iterator<Item = (Labels, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value as f64).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
