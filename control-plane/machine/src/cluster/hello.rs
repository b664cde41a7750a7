//! The first message of a stream, and what is answered: the session begins, goes on, or is over.

use super::agents::Newcomer;
use super::edits::Edit;
use super::event::{ConnectionId, LinkState};
use super::tasks::Stage;
use super::{Machine, Stream};
use dray_model::message::{Fenced, FencedWhy, Held, Hello, NotLeader, Order, PROTOCOL, RevokedWhy, Verdict, Welcome};
use dray_model::{AgentId, AgentNumber, AgentPolicy, Generation, SessionId, TaskKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// When an agent says Hello again that came while nobody could answer.
const RETRY_MS: u32 = 500;
/// … whose id is taken, or that must be looked at by somebody.
const REFUSED_MS: u32 = 5_000;
/// … that shall begin a new session: as soon as nothing of the old one lives.
const OVER_MS: u32 = 100;

impl Machine {
    /// The first message of a stream.
    pub(super) fn hello(&mut self, connection: ConnectionId, hello: Box<Hello>) {
        if self.streams.contains_key(&connection) {
            let number = self.closed(connection);
            self.close(connection);
            self.complain(number, "it said Hello twice on one stream; the stream was closed");
            return;
        }
        let number = self.ids.get(&hello.agent).copied();
        if let Err(fenced) = self.is_welcome(&hello) {
            self.complain(number, &fenced.detail);
            return self.refuse(connection, fenced);
        }
        let later = hello.max_term.is_some_and(|term| term > self.term);
        if !self.is_valid() || later || self.meta.is_none() {
            self.send(
                connection,
                Order::NotLeader(NotLeader {
                    endpoints: Vec::new(),
                    retry_after_ms: RETRY_MS,
                }),
            );
            return self.close(connection);
        }
        let Some(number) = number else {
            return self.newcomer(connection, hello);
        };
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        if agent.latest > Some(connection) {
            return self.close(connection); // of an older stream: what it says of sessions was overtaken by a later Hello
        }
        agent.latest = Some(connection);
        self.streams.insert(connection, Stream::Agent(number));
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        if let Some((older, _)) = agent.hello.replace((connection, hello)) {
            self.close(older);
        }
        self.work.agents.insert(number);
    }

    /// What can be said of a Hello without knowing its agent.
    fn is_welcome(&self, hello: &Hello) -> Result<(), Fenced> {
        let (from, to) = hello.protocol;
        if from.max(*PROTOCOL.start()) > to.min(*PROTOCOL.end()) {
            return Err(fenced(
                FencedWhy::Protocol,
                format!(
                    "it speaks protocols {from} to {to}, this leader {} to {}: upgrade the older one",
                    PROTOCOL.start(),
                    PROTOCOL.end()
                ),
                REFUSED_MS,
            ));
        }
        match &self.meta {
            Some(meta) if meta.cluster != hello.cluster => Err(fenced(
                FencedWhy::OtherCluster,
                format!(
                    "its group.id is `{}`, and this is cluster `{}`",
                    hello.cluster, meta.cluster
                ),
                REFUSED_MS,
            )),
            Some(_) | None => Ok(()),
        }
    }

    /// People shall see what is wrong with an agent.
    fn complain(&mut self, number: Option<AgentNumber>, problem: &str) {
        if let Some(agent) = number.and_then(|number| self.agents.get_mut(&number)) {
            agent.problem = Some(problem.into());
            self.work.seen_agents.insert(agent.record.number);
        }
    }

    pub(super) fn refuse(&mut self, connection: ConnectionId, fenced: Fenced) {
        self.send(connection, Order::Fenced(fenced));
        self.close(connection);
    }

    /// One that has no number yet.
    fn newcomer(&mut self, connection: ConnectionId, hello: Box<Hello>) {
        if hello.session.is_some() || !hello.held.is_empty() {
            return self.refuse(
                connection,
                over("nothing is known of this agent: its record was removed"),
            );
        }
        let id = hello.agent.clone();
        if let Some(known) = self.newcomers.get_mut(&id) {
            if known.connection > connection {
                return self.close(connection); // of an older stream
            }
            if known.hello.instance != hello.instance {
                return self.refuse(connection, duplicate(REFUSED_MS));
            }
            let older = std::mem::replace(&mut known.connection, connection);
            known.hello = hello;
            if self.streams.contains_key(&older) {
                self.close(older);
            }
        } else {
            let newcomer = Newcomer {
                connection,
                hello,
                session: None,
            };
            self.newcomers.insert(id.clone(), newcomer);
        }
        self.streams.insert(connection, Stream::Newcomer(id));
        self.work.newcomers = true;
    }

    /// A newcomer's record was written.
    pub(super) fn admitted(&mut self, id: &AgentId) {
        let (Some(newcomer), Some(number)) = (self.newcomers.remove(id), self.ids.get(id).copied()) else {
            return;
        };
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        agent.granted = newcomer.session;
        agent.latest = agent.latest.max(Some(newcomer.connection));
        if let Some(stream) = self.streams.get_mut(&newcomer.connection) {
            *stream = Stream::Agent(number);
            agent.hello = Some((newcomer.connection, newcomer.hello));
        }
        self.work.agents.insert(number);
    }

    /// A stream is gone. Returns whose it was.
    pub(super) fn closed(&mut self, connection: ConnectionId) -> Option<AgentNumber> {
        match self.streams.remove(&connection)? {
            Stream::Newcomer(id) => {
                let waits = |known: &Newcomer| known.connection == connection && known.session.is_none();
                if self.newcomers.get(&id).is_some_and(waits) {
                    self.newcomers.remove(&id);
                }
                None
            }
            Stream::Agent(number) => {
                let agent = self.agents.get_mut(&number)?;
                agent.hello.take_if(|(of, _)| *of == connection);
                if agent.connection == Some(connection) {
                    self.broke(number);
                }
                Some(number)
            }
        }
    }

    /// Answers the Hello of an agent whose record can be written: no write of it is under way.
    pub(super) fn greet(&mut self, number: AgentNumber) {
        let valid = self.is_valid();
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        let Some((connection, hello)) = agent.hello.take() else {
            return;
        };
        if !valid {
            agent.hello = Some((connection, hello));
            self.muted.insert(number);
            return;
        }
        if agent.record.policy == AgentPolicy::Removed {
            let removed = fenced(FencedWhy::Removed, "an operator removed this agent".into(), REFUSED_MS);
            return self.refuse(connection, removed);
        }
        let Some(session) = hello.session else {
            return self.begin(number, connection, hello);
        };
        if agent.record.session == Some(session) && agent.record.instance == hello.instance {
            // Not written yet, so it can still be taken back.
            agent
                .edits
                .retain(|edit| !matches!(edit, Edit::Declare(of) if *of == session));
            agent.dead.remove(&session);
            self.resume(number, connection, session, hello);
        } else {
            self.refuse(
                connection,
                over("its session is over: it was silent for too long, or another one began"),
            );
        }
    }

    /// An agent that holds nothing wants a session.
    fn begin(&mut self, number: AgentNumber, connection: ConnectionId, hello: Box<Hello>) {
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        if !hello.held.is_empty() {
            return self.refuse(connection, over("it holds tasks of no session"));
        }
        let record = &agent.record;
        if agent.granted.is_some() && agent.granted == record.session && record.instance == hello.instance {
            return self.welcome(number, connection, hello, Vec::new(), true);
        }
        let proved = record.instance == hello.instance || hello.previous_instance == Some(record.instance);
        if let Some(old) = record.session.filter(|_| !proved) {
            if let Some(wait) = self.may_live(number, old) {
                self.complain(
                    Some(number),
                    "another process says that it is this agent, while this one may be alive: give each its own id and data folder",
                );
                return self.refuse(connection, duplicate(wait));
            }
            self.note_dead(number, old);
        }
        let Some(session) = self.session() else { return };
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        let is_dead = |instance| instance == hello.instance || Some(instance) == hello.previous_instance;
        let dead = agent.dead.iter().filter(|(_, dead)| is_dead(dead.instance));
        let proved: Vec<SessionId> = dead.map(|(session, _)| *session).collect();
        agent.proved.extend(proved.iter().copied());
        if !agent.edits.iter().any(|edit| matches!(edit, Edit::Declare(_))) {
            agent.proved.extend(agent.record.session);
        }
        agent.granted = Some(session);
        agent.edits.push(Edit::Begin {
            session,
            hello: hello.clone(),
            proved,
        });
        agent.hello = Some((connection, hello));
    }

    /// Whether a session may be alive, as far as its tasks' classes are concerned. Then: when to ask again.
    fn may_live(&self, number: AgentNumber, session: SessionId) -> Option<u32> {
        let agent = self.agents.get(&number)?;
        if !agent.lost {
            return Some(1_000);
        }
        let is_strict = |key: &TaskKey| {
            !self.is_fenceable(*key)
                && self
                    .task(*key)
                    .and_then(|task| task.owner)
                    .is_some_and(|owner| owner.session == session)
        };
        if !agent.record.unfenceable && !agent.owned.iter().any(is_strict) {
            return None;
        }
        let until = agent.acked.plus(self.timing.reassign_ms);
        let wait = until.since(self.now);
        (wait > 0).then(|| u32::try_from(wait).unwrap_or(u32::MAX).min(REFUSED_MS))
    }

    /// A session goes on: what the agent holds is compared with what it is to run.
    fn resume(&mut self, number: AgentNumber, connection: ConnectionId, session: SessionId, hello: Box<Hello>) {
        let mut held: BTreeMap<TaskKey, Vec<Held>> = BTreeMap::new();
        for task in &hello.held {
            held.entry(task.owned.task).or_default().push(task.clone());
        }
        let listed = hello.held.clone();
        self.adopt(number, connection, &hello, false);
        let Some(agent) = self.agents.get(&number) else { return };
        let mut kept = BTreeMap::new();
        for key in agent.owned.clone() {
            let owner = self.task(key).and_then(|task| task.owner);
            if !owner.is_some_and(|owner| owner.agent == number && owner.session == session) {
                continue;
            }
            let of_task = held.get(&key).map_or(&[][..], Vec::as_slice);
            if let Some(generation) = self.is_held(key, of_task) {
                kept.insert(key, generation);
            }
            self.touch(key);
        }
        let verdicts = listed.iter().map(|held| Verdict {
            owned: held.owned,
            keep: kept.get(&held.owned.task) == Some(&held.owned.generation),
        });
        let verdicts = verdicts.collect();
        self.welcome(number, connection, hello, verdicts, false);
    }

    /// What an agent says that it holds of a task that its session owns. Returns the generation that it keeps.
    fn is_held(&mut self, key: TaskKey, held: &[Held]) -> Option<Generation> {
        let minted = self.term.generation(self.generations);
        let wants = self.connectors.get(&key.connector)?.wish(key.number);
        let stale_config = key.is_instance() && self.instance_may_be_old(key);
        let latest = held.iter().max_by_key(|held| held.owned.generation);
        let asked_restarts = self.connectors.get(&key.connector)?.spec.asked_restarts(key.number);
        // Asked for, and the leader that was to carry it out is gone.
        let lost_restart = latest
            .and_then(|held| held.asked_restarts)
            .is_some_and(|known| known != asked_restarts);
        let task = self.task_mut(key)?;
        let owner = task.owner?;
        let Some(latest) = latest else {
            // What its session owns and does not hold is dead.
            if matches!(task.stage(), Stage::Assigned | Stage::Revoking) {
                task.stopped();
            }
            return None;
        };
        let generation = latest.owned.generation;
        let legal = generation >= owner.generation && minted.is_none_or(|minted| generation < minted);
        let at_home = wants == super::connectors::Wish::Run && task.target == Some(owner.agent);
        let told = task.told.max(Some(generation));
        if task.writing {
            return None; // it said that it was dead, and another owner is being written
        }
        if task.stage() == Stage::Stopped {
            // It said that it was dead, and holds it: one of the two is wrong, so nothing may follow before it stops.
            task.enter(Stage::Assigned);
        }
        task.told = told;
        task.older = held.len() > 1 || told != Some(generation);
        if !legal || latest.stopping || !at_home {
            task.enter(Stage::Revoking);
            let why = if at_home {
                RevokedWhy::NotOwned
            } else {
                RevokedWhy::Moved
            };
            task.revoked = (why, true);
            task.told = Some(generation);
            return None;
        }
        task.enter(Stage::Assigned);
        if task.generation < Some(generation) {
            task.generation = Some(generation); // an earlier leader restarted it
        }
        let anew = std::mem::take(&mut task.anew);
        task.restarting |= lost_restart;
        if task.generation != Some(generation) || stale_config || anew || lost_restart {
            self.renew(key); // what it was told since is lost
        }
        Some(generation)
    }

    /// Whether an instance that an earlier leader started may not know the present configuration: the tasks that it made are of another.
    fn instance_may_be_old(&self, key: TaskKey) -> bool {
        let Some(connector) = self.connectors.get(&key.connector) else {
            return false;
        };
        let version = connector.set.as_ref().map(|set| set.config_version);
        let told_by_us = self.task(key).is_some_and(|task| task.digest.is_some());
        !told_by_us && version != Some(connector.assigned.config_version)
    }

    /// The stream is the agent's from now on.
    fn adopt(&mut self, number: AgentNumber, connection: ConnectionId, hello: &Hello, fresh: bool) {
        let now = self.now;
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        let older = agent.connection.replace(connection);
        agent.broke = None;
        agent.lost = false;
        agent.leaving = None;
        agent.problem = None;
        agent.unanswered = None;
        agent.asked.clear();
        agent.granted = None;
        agent.heard = now;
        agent.acked = now;
        agent.plugins = hello
            .plugins
            .iter()
            .map(|plugin| (plugin.class.clone(), plugin.version.clone()))
            .collect();
        if agent.link != LinkState::Connected {
            agent.enter(LinkState::Connected);
        }
        let differs = agent.record.capacity != hello.capacity
            || agent.record.labels != hello.labels
            || agent.record.worker_id != hello.worker_id
            || (&agent.record.region, &agent.record.zone) != (&hello.region, &hello.zone)
            || agent.record.software_version != hello.software_version;
        if differs {
            agent.edits.push(Edit::Facts(Box::new(hello.clone())));
        }
        let commands = std::mem::take(&mut agent.commands);
        if let Some(older) = older {
            self.close(older);
        }
        for asked in commands.into_values() {
            self.fence_ended(
                asked,
                Some("the agent that was asked to fence it came back on another stream".into()),
            );
        }
        self.timers.insert((now, super::Timer::Silence(number)));
        self.joined(number, fresh);
        if !fresh {
            self.come_home(number);
        }
    }

    fn welcome(
        &mut self,
        number: AgentNumber,
        connection: ConnectionId,
        hello: Box<Hello>,
        verdicts: Vec<Verdict>,
        fresh: bool,
    ) {
        if fresh {
            self.adopt(number, connection, &hello, true);
        }
        let Some(agent) = self.agents.get(&number) else { return };
        let Some(session) = agent.record.session else { return };
        let protocol = hello.protocol.1.min(*PROTOCOL.end());
        let welcome = Welcome {
            session,
            number,
            lease: self.timing.lease,
            protocol,
            verdicts,
            worker: self.meta.as_ref().map_or_else(Arc::default, |meta| meta.worker.clone()),
        };
        self.send(connection, Order::Welcome(welcome));
    }

    /// The session of an agent was declared dead, or another one began: what is open of it is closed.
    pub(super) fn session_ended(&mut self, number: AgentNumber) {
        let valid = self.is_valid();
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        agent.outbox.clear();
        agent.unanswered = None;
        agent.leaving = None;
        if agent.record.session.is_none() && agent.link != LinkState::Gone {
            agent.enter(LinkState::Gone);
        }
        let Some(connection) = agent.connection.take() else {
            return;
        };
        let commands = std::mem::take(&mut agent.commands);
        for asked in commands.into_values() {
            self.fence_ended(
                asked,
                Some("the agent that was asked to fence it was declared dead".into()),
            );
        }
        if valid {
            self.refuse(connection, over("it was declared dead: it was silent for too long"));
        } else {
            self.close(connection);
        }
    }

    /// An operator removed an agent: when it has no task left, it is told.
    pub(super) fn part(&mut self, number: AgentNumber) {
        let valid = self.is_valid();
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        let may_go = agent.record.policy == AgentPolicy::Removed && agent.owned.is_empty();
        let Some(connection) = agent.connection.filter(|_| may_go && valid) else {
            return;
        };
        let removed = fenced(FencedWhy::Removed, "an operator removed this agent".into(), REFUSED_MS);
        self.closed(connection);
        self.refuse(connection, removed);
    }
}

fn fenced(why: FencedWhy, detail: String, retry_after_ms: u32) -> Fenced {
    Fenced {
        why,
        detail,
        retry_after_ms,
    }
}

fn over(detail: &str) -> Fenced {
    fenced(FencedWhy::DeclaredDead, detail.into(), OVER_MS)
}

fn duplicate(retry_after_ms: u32) -> Fenced {
    let detail = "another process with this agent's id has a session that may be alive";
    fenced(FencedWhy::DuplicateId, detail.into(), retry_after_ms)
}
