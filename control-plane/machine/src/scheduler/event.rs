//! What the scheduler is told and what it answers.

use dray_model::{
    AgentNumber, AgentPolicy, Capacity, ConnectorUid, Cost, Labels, Millis, PluginClass, PluginVersion, Region,
    Selector, TaskKey, VersionRange, Zone,
};
use std::fmt;

/// What an agent says of itself in Hello, and what the store knows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentSpec {
    /// Its number.
    pub number: AgentNumber,
    /// Where it stands.
    pub region: Region,
    /// The zone of the region: zones of different regions are different, whatever their names.
    pub zone: Zone,
    /// What selectors look at.
    pub labels: Labels,
    /// Every plugin that it can load, a class as often as it has versions.
    pub plugins: Vec<(PluginClass, PluginVersion)>,
    /// What it can carry.
    pub capacity: Capacity,
    /// What the operator decided.
    pub policy: AgentPolicy,
}

/// What an agent must have to run the tasks of a connector. Connectors with equal needs share all work of finding agents.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Needs {
    /// The plugins: the connector's class, its converters, transforms and predicates. No range: any version.
    pub plugins: Vec<(PluginClass, Option<VersionRange>)>,
    /// The regions in which it may run; none named: every region.
    pub regions: Vec<Region>,
    /// What the labels of the agent must fulfil.
    pub selector: Selector,
}

/// The tasks that a connector shall have.
#[derive(Clone, Debug)]
pub struct TaskSet {
    /// The connector.
    pub connector: ConnectorUid,
    /// What their agents must have.
    pub needs: Needs,
    /// Where they had better run, other things being equal.
    pub prefers: Option<Zone>,
    /// Whether balance may move them. Tasks that stop and start slowly say no; recovery and drains move them all the same.
    pub movable: bool,
    /// The tasks and, as [`TaskKey::INSTANCE`], the instance. Each number once.
    pub tasks: Vec<TaskInput>,
}

/// One task of a [`TaskSet`].
#[derive(Clone, Copy, Debug)]
pub struct TaskInput {
    /// Its number.
    pub number: u32,
    /// What it costs; a task that the scheduler knows keeps the cost that was measured.
    pub cost: Cost,
    /// Who owns it as the store says: what a new leader begins with. `None` changes nothing for a task that is known.
    pub owner: Option<AgentNumber>,
}

/// How far a refusal reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The agent cannot run what has these needs: a plugin does not load. Forgotten at the agent's next session or inventory.
    Needs,
    /// The agent cannot run this connector. Forgotten at the connector's next task set, or the agent's next session.
    Connector,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// A new leader read this agent from the store; it is not connected yet.
    AgentKnown(AgentSpec),
    /// An agent's Hello was accepted. `fresh`: it is a new session, not a stream that broke and came back.
    AgentJoined {
        /// The agent.
        agent: AgentSpec,
        /// Whether the session is new.
        fresh: bool,
    },
    /// No heartbeat, or the stream broke: it is given nothing, and keeps its tasks.
    AgentSilent(AgentNumber),
    /// `not_before` has passed: its tasks are free.
    AgentLost(AgentNumber),
    /// It stops in good order. Its tasks are held for it until `back_by` (5 minutes at most); `None`: they are free.
    AgentLeaving {
        /// The agent.
        agent: AgentNumber,
        /// Until when it wants to be back.
        back_by: Option<Millis>,
    },
    /// The operator decided.
    PolicyChanged {
        /// The agent.
        agent: AgentNumber,
        /// The decision.
        policy: AgentPolicy,
    },
    /// An agent can carry more or less than before.
    CapacityChanged {
        /// The agent.
        agent: AgentNumber,
        /// What it can carry now.
        capacity: Capacity,
    },
    /// A connector has these tasks from now on. A set without tasks is a stopped or deleted connector.
    Published(TaskSet),
    /// An agent does not take a task that it was assigned.
    Refused {
        /// The task.
        task: TaskKey,
        /// The agent.
        agent: AgentNumber,
        /// What else it will not take.
        refusal: Refusal,
    },
    /// What a task costs, as measured.
    CostMeasured {
        /// The task.
        task: TaskKey,
        /// The measured cost.
        cost: Cost,
    },
    /// The store names this agent as the owner.
    Owned {
        /// The task.
        task: TaskKey,
        /// The owner.
        agent: AgentNumber,
    },
    /// Nobody owns the task any more, and it must be assigned again.
    Freed(TaskKey),
    /// An agent reports RUNNING or PAUSED.
    Running {
        /// The task.
        task: TaskKey,
        /// Who reports.
        agent: AgentNumber,
    },
    /// The owner is back and runs it still: a move away from it that recovery began is off, if the task may stay.
    Returned(TaskKey),
    /// The task failed: its start is over, it keeps its owner.
    Failed(TaskKey),
    /// Nothing but the time. Wanted every 100 ms to 1 s.
    Tick,
}

/// What the machine shall do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Make `to` the owner. `from` is the owner until then: it stops the task first. The same agent twice: a move away from it is
    /// called off.
    Assign {
        /// The task.
        task: TaskKey,
        /// The owner to be.
        to: AgentNumber,
        /// The owner so far.
        from: Option<AgentNumber>,
    },
    /// Nobody can run it, for this reason. `from` still owns it and must stop it.
    Unassign {
        /// The task.
        task: TaskKey,
        /// The owner so far.
        from: Option<AgentNumber>,
        /// What is shown beside UNASSIGNED.
        reason: Unplaced,
    },
}

/// Why no agent can run a task: the first condition that leaves no agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unplaced {
    /// No agent is connected and active.
    NoAgent,
    /// None of the agents is in a region where the connector may run.
    NoRegion {
        /// Where it may run.
        regions: Vec<Region>,
    },
    /// No agent there has the plugin at all.
    NoPlugin {
        /// The class.
        class: PluginClass,
    },
    /// There are agents with the plugin, and none has this version.
    NoVersion {
        /// The class.
        class: PluginClass,
        /// The versions asked for.
        range: VersionRange,
    },
    /// There are agents with each plugin, and none has all of them.
    NoAgentWithAllPlugins,
    /// The labels of no such agent fulfil the selector.
    NoLabels {
        /// The selector.
        selector: Selector,
    },
    /// All of these agents refused it.
    Refused {
        /// How many.
        agents: u32,
    },
    /// All of these agents are full.
    Full {
        /// How many.
        agents: u32,
        /// What the task costs.
        cost: Cost,
    },
}

impl fmt::Display for Unplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAgent => f.write_str("no agent is connected and active: start one, or uncordon one"),
            Self::NoRegion { regions } => {
                let names: Vec<_> = regions.iter().map(Region::as_str).collect();
                write!(f, "no agent is connected and active in region {}", names.join(" or "))
            }
            Self::NoPlugin { class } => write!(f, "no agent that may run it has the plugin {class}: install it"),
            Self::NoVersion { class, range } => {
                write!(
                    f,
                    "no agent that may run it has the plugin {class} in version {range}: install it, or ask for another version"
                )
            }
            Self::NoAgentWithAllPlugins => f.write_str("no agent has all of its plugins: install them on one"),
            Self::NoLabels { selector } => write!(f, "no agent with its plugins has labels that fulfil `{selector}`"),
            Self::Refused { agents } => write!(
                f,
                "all agents that could run it refused it ({agents}): see their reasons"
            ),
            Self::Full { agents, cost } => write!(
                f,
                "all agents that could run it are full ({agents}; it costs {cost} units and a slot): add an agent or capacity"
            ),
        }
    }
}

/// Where a task stands in the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// This agent owns it.
    On(AgentNumber),
    /// This agent shall own it: its assignment is under way.
    Assigning {
        /// The agent.
        to: AgentNumber,
        /// The owner until then.
        from: Option<AgentNumber>,
    },
    /// This agent shall own it and is starting as many tasks as it may at once.
    Queued(AgentNumber),
    /// Its agent said that it comes back by then.
    Held {
        /// The agent.
        agent: AgentNumber,
        /// Until when the task is held.
        until: Millis,
    },
    /// Its agent is silent, and may still run it.
    Silent(AgentNumber),
    /// Its agent is lost, with so many others that its tasks are recovered slowly or not at all.
    Recovering(AgentNumber),
    /// No agent can run it.
    Unplaced(Unplaced),
}

/// The limits of the scheduler.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Moves of balance in flight that an agent takes part in, in or out. 5: a move costs each side a stop or a start.
    pub moves_per_agent: u32,
    /// Tasks that balance may move in a minute, in percent of all. 2: a wrong cost cannot turn the cluster over.
    pub balance_percent_a_minute: u32,
    /// … and at least so many, or small clusters would never fill a new agent. 60: one a second.
    pub balance_a_minute: u32,
    /// Starts in progress an agent; what it owns already is none. 256: a start counts from the decision until RUNNING is heard, so an agent
    /// that takes 100 ms for that (the owner's write, the delta, the start, the report) starts 2,500 tasks a second, and one whose sinks
    /// join their groups for a second, 250; few enough not to exhaust its memory and its brokers.
    pub starts_per_agent: u32,
    /// Moves in flight out of a draining agent.
    pub drain_parallel: u32,
    /// Tasks recovered a second from a zone of which more than 55 % is silent.
    pub guarded_recovery_a_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            moves_per_agent: 5,
            balance_percent_a_minute: 2,
            balance_a_minute: 60,
            starts_per_agent: 256,
            drain_parallel: 5,
            guarded_recovery_a_second: 100,
        }
    }
}
