//! The world of one run: what there is, what is due when, and who is told. Time passes from event to event.

use crate::agent::Agent;
use crate::altering::Altering;
use crate::checks::Checks;
use crate::coverage::{Coverage, Seen};
use crate::kafka::Kafka;
use crate::mutation::Mutation;
use crate::network::{Network, Way};
use crate::process::Clock;
use crate::profile::Profile;
use crate::random::Random;
use crate::replica::{Replica, StoreCall, StoreReply};
use crate::requests::{Answer, Request};
use crate::runs::Timer;
use crate::store::Store;
use crate::trace::Trace;
use crate::users::Users;
use crate::{AGENT_SLOTS, REPLICAS, Time};
use dray_model::ConnectorUid;
use dray_model::message::{FromAgent, Owned, ToAgent};
use dray_session as session;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// What is due.
pub(crate) enum Item {
    Agent {
        agent: usize,
        life: u64,
        input: Input,
    },
    Replica {
        replica: usize,
        life: u64,
        said: Said,
    },
    ResumeAgent(usize, u64),
    ResumeReplica(usize, u64),
    RestartAgent {
        agent: usize,
        folder: bool,
    },
    RestartReplica(usize),
    Dialled {
        agent: usize,
        life: u64,
        number: session::ConnectionId,
        replica: usize,
    },
    Pump {
        connection: usize,
        way: Way,
    },
    /// A request is at the door of a Kafka cluster.
    AtKafka {
        agent: usize,
        life: u64,
        request: Box<Request>,
        late: bool,
    },
    /// A replica's call is at the door of the store.
    AtStore {
        replica: usize,
        life: u64,
        call: StoreCall,
    },
    /// The log up to here is on its way to a replica.
    Watch {
        replica: usize,
        life: u64,
        upto: usize,
    },
    Relist {
        replica: usize,
        life: u64,
    },
    Fault,
    CutUp {
        agent: usize,
        long: Time,
    },
    User,
    Alter(ConnectorUid),
    Lease,
    Second,
    Heal,
}

/// What an agent's process is told.
pub(crate) enum Input {
    Tick,
    Connected(session::ConnectionId),
    Disconnected(session::ConnectionId),
    Message(session::ConnectionId, ToAgent),
    /// A request leaves the process. In one that was paused in between it does so before any code of ours runs.
    Out(Box<Request>),
    Answer(Box<Request>, Answer),
    Timer(u64, Timer),
    /// A mutation holds back a kill until then.
    KillLate(Owned),
    Leave(Option<u32>),
}

/// What a replica's process is told.
pub(crate) enum Said {
    Tick,
    Message(usize, FromAgent),
    Closed(usize),
    Store(StoreReply),
    Watch(usize),
    Relist,
}

struct Due {
    at: Time,
    order: u64,
    item: Item,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Everything.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) random: Random,
    due: BinaryHeap<Reverse<Due>>,
    order: u64,
    pub(crate) steps: u64,
    pub(crate) profile: Profile,
    pub(crate) mutation: Option<Mutation>,
    pub(crate) store: Store,
    pub(crate) kafka: [Kafka; 2],
    pub(crate) kafka_blocked_until: [Time; AGENT_SLOTS],
    pub(crate) network: Network,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) users: Users,
    /// Connectors whose offsets somebody sets.
    pub(crate) altering: BTreeMap<ConnectorUid, Altering>,
    pub(crate) checks: Checks,
    pub(crate) coverage: Coverage,
    pub(crate) trace: Trace,
    /// What went wrong, once something has.
    pub(crate) failure: Option<String>,
    /// Faults and users have ended at this time.
    pub(crate) healed_at: Option<Time>,
    pub(crate) finished: bool,
}

impl World {
    pub(crate) fn new(seed: u64, mutation: Option<Mutation>, trace: Trace) -> Self {
        let mut random = Random::new(seed);
        let profile = Profile::new(&mut random, mutation);
        let clock = |at: usize, random: &mut Random| Clock {
            starts_at: 100_000 + random.below(1_000_000),
            ppm: profile.clocks[at],
        };
        let replicas = (0..REPLICAS).map(|at| Replica::new(clock(at, &mut random))).collect();
        let agents = (0..AGENT_SLOTS)
            .map(|at| Agent::new(clock(REPLICAS + at, &mut random)))
            .collect();
        let kafka = || Kafka::new(profile.id_expiry);
        let mut world = Self {
            now: 0,
            due: BinaryHeap::new(),
            order: 0,
            steps: 0,
            mutation,
            store: Store::default(),
            kafka: [kafka(), kafka()],
            kafka_blocked_until: [0; AGENT_SLOTS],
            network: Network::default(),
            replicas,
            agents,
            users: Users::default(),
            altering: BTreeMap::new(),
            checks: Checks::default(),
            coverage: Coverage::default(),
            trace,
            failure: None,
            healed_at: None,
            finished: false,
            random,
            profile,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.seed_store();
        for replica in 0..REPLICAS {
            self.start_replica(replica);
        }
        for agent in 0..crate::AGENTS {
            self.start_agent(agent, false);
        }
        for agent in crate::AGENTS..AGENT_SLOTS {
            self.agents[agent].process.up = false;
        }
        self.after(self.profile.faults_ms, Item::Heal);
        for item in [Item::Lease, Item::Second, Item::User] {
            self.after(100, item);
        }
        self.after(8_000, Item::Fault);
    }

    /// Runs until the end or a failure.
    pub(crate) fn run(&mut self) {
        while !self.finished && self.failure.is_none() {
            let Some(Reverse(due)) = self.due.pop() else { return };
            self.now = due.at;
            self.steps += 1;
            self.on(due.item);
        }
    }

    fn on(&mut self, item: Item) {
        match item {
            Item::Agent { agent, life, input } => self.agent_input(agent, life, input),
            Item::Replica { replica, life, said } => self.replica_input(replica, life, said),
            Item::ResumeAgent(agent, life) => self.resume_agent(agent, life),
            Item::ResumeReplica(replica, life) => self.resume_replica(replica, life),
            Item::RestartAgent { agent, folder } => {
                let twin = (agent + crate::AGENTS) % (2 * crate::AGENTS);
                let taken = self.healed_at.is_some() && self.agents.get(twin).is_some_and(|twin| twin.process.up);
                if !self.agents[agent].process.up && !taken {
                    self.start_agent(agent, folder);
                }
            }
            Item::RestartReplica(replica) => {
                if !self.replicas[replica].process.up {
                    self.start_replica(replica);
                }
            }
            Item::Dialled {
                agent,
                life,
                number,
                replica,
            } => self.dialled(agent, life, number, replica),
            Item::Pump { connection, way } => self.pump(connection, way),
            Item::AtKafka {
                agent,
                life,
                request,
                late,
            } => self.at_kafka(agent, life, request, late),
            Item::AtStore { replica, life, call } => self.at_store(replica, life, call),
            Item::Watch { replica, life, upto } => self.watch_arrives(replica, life, upto),
            Item::Relist { replica, life } => self.for_replica_of_life(replica, life, Said::Relist),
            Item::Fault => self.fault(),
            Item::CutUp { agent, long } => self.cut_up(agent, long),
            Item::User => self.user(),
            Item::Alter(connector) => self.alter_step(connector),
            Item::Lease => self.lease(),
            Item::Second => self.second(),
            Item::Heal => self.heal(),
        }
    }

    pub(crate) fn after(&mut self, wait: Time, item: Item) {
        self.order += 1;
        let due = Due {
            at: self.now + wait,
            order: self.order,
            item,
        };
        self.due.push(Reverse(due));
    }

    pub(crate) fn for_agent(&mut self, agent: usize, after: Time, input: Input) {
        let life = self.agents[agent].process.life;
        self.after(after, Item::Agent { agent, life, input });
    }

    pub(crate) fn for_replica(&mut self, replica: usize, after: Time, said: Said) {
        let life = self.replicas[replica].process.life;
        self.after(after, Item::Replica { replica, life, said });
    }

    fn for_replica_of_life(&mut self, replica: usize, life: u64, said: Said) {
        self.after(0, Item::Replica { replica, life, said });
    }

    fn agent_input(&mut self, agent: usize, life: u64, input: Input) {
        let process = &mut self.agents[agent].process;
        if !process.up || process.life != life {
            return;
        }
        if process.paused {
            process.inbox.push(input);
        } else {
            self.agent_on(agent, input);
        }
    }

    fn replica_input(&mut self, replica: usize, life: u64, said: Said) {
        let process = &mut self.replicas[replica].process;
        if !process.up || process.life != life {
            return;
        }
        if process.paused {
            process.inbox.push(said);
        } else {
            self.replica_on(replica, said);
        }
    }

    fn resume_agent(&mut self, agent: usize, life: u64) {
        let process = &mut self.agents[agent].process;
        if process.life != life || !std::mem::take(&mut process.paused) {
            return;
        }
        process.resumed_at = self.now;
        let inbox = std::mem::take(&mut process.inbox);
        self.note_agent(agent, || "resumes".into());
        self.check_overlap(agent);
        // What was on its way out goes out before any code of ours runs (F11).
        let (out, rest): (Vec<_>, Vec<_>) = inbox.into_iter().partition(|input| matches!(input, Input::Out(_)));
        for input in out {
            if let Input::Out(request) = input {
                self.request_leaves(agent, request, true);
            }
        }
        for input in rest {
            if self.agents[agent].process.up && self.agents[agent].process.life == life && self.failure.is_none() {
                self.agent_on(agent, input);
            }
        }
    }

    fn resume_replica(&mut self, replica: usize, life: u64) {
        let process = &mut self.replicas[replica].process;
        if process.life != life || !std::mem::take(&mut process.paused) {
            return;
        }
        process.resumed_at = self.now;
        let inbox = std::mem::take(&mut process.inbox);
        self.note_replica(replica, || "resumes".into());
        for said in inbox {
            if self.replicas[replica].process.up
                && self.replicas[replica].process.life == life
                && self.failure.is_none()
            {
                self.replica_on(replica, said);
            }
        }
    }

    pub(crate) fn fail(&mut self, what: impl Into<String>) {
        if self.failure.is_none() {
            let what = what.into();
            self.trace.note(self.now, || "***".into(), || what.clone());
            self.failure = Some(what);
        }
    }

    pub(crate) fn see(&mut self, what: Seen) {
        self.coverage.see(what);
    }

    pub(crate) fn note(&mut self, what: impl FnOnce() -> String) {
        self.trace.note(self.now, || "---".into(), what);
    }

    pub(crate) fn note_agent(&mut self, agent: usize, what: impl FnOnce() -> String) {
        self.trace.note(self.now, || crate::agent::slot_name(agent), what);
    }

    pub(crate) fn note_replica(&mut self, replica: usize, what: impl FnOnce() -> String) {
        self.trace.note(self.now, || format!("r{replica}"), what);
    }
}
