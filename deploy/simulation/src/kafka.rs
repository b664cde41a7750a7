//! The model of Kafka: transactional ids with producer epochs, an offsets topic with open transactions, and consumer groups. It checks
//! I2 whenever it accepts a commit.

use crate::Time;
use dray_model::message::Owned;
use dray_model::{ConnectorUid, Generation, SessionId, TaskKey};
use std::collections::{BTreeMap, VecDeque};

/// `transaction.timeout.ms` of session writers.
pub(crate) const TRANSACTION_TIMEOUT_MS: Time = 10_000;
/// `session.timeout.ms` of sink members.
const MEMBER_TIMEOUT_MS: Time = 45_000;
/// Partitions of the topic that each sink connector reads.
const TOPIC_PARTITIONS: u32 = 4;

/// A source partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) connector: ConnectorUid,
    pub(crate) number: u32,
}

/// A transactional id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TxnId {
    /// The writer of a session.
    Session(SessionId),
    /// An exactly-once task.
    Task(TaskKey),
}

/// What InitProducerId gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    pub(crate) id: u64,
    pub(crate) epoch: u32,
}

/// An offset on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    pub(crate) part: Part,
    pub(crate) offset: u64,
    pub(crate) by: Owned,
}

/// The producer is fenced, or its id is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Committed,
    Aborted,
}

struct Logged {
    entry: Option<Entry>,
    txn: TxnId,
    state: State,
}

struct Txn {
    producer: Producer,
    /// Whose it is, of an exactly-once task.
    session: Option<SessionId>,
    open_since: Option<Time>,
    touched: Time,
}

/// One Kafka cluster.
#[derive(Default)]
pub(crate) struct Kafka {
    txns: BTreeMap<TxnId, Txn>,
    producers: u64,
    log: VecDeque<Logged>,
    /// Where the log begins: everything before is in `stable`.
    base: u64,
    stable: BTreeMap<Part, u64>,
    /// The last commit that was accepted, for I2.
    accepted: BTreeMap<Part, (Generation, u64)>,
    accepted_of: BTreeMap<TaskKey, Generation>,
    /// Under which no source partition may be committed any more: its offset was set by hand since.
    set_after: BTreeMap<Part, Generation>,
    groups: BTreeMap<ConnectorUid, Group>,
    members: u64,
    id_expiry: Option<Time>,
    /// Breaches of I2, in words.
    pub(crate) breaches: Vec<String>,
    pub(crate) timeouts: u64,
    pub(crate) expired: u64,
}

#[derive(Default)]
struct Group {
    members: BTreeMap<u64, Member>,
    assigned: BTreeMap<u32, u64>,
    committed: BTreeMap<u32, u64>,
}

struct Member {
    session: SessionId,
    owned: Owned,
    seen: Time,
}

impl Kafka {
    /// `id_expiry`: `transactional.id.expiration.ms`, when it matters.
    pub(crate) fn new(id_expiry: Option<Time>) -> Self {
        Self {
            id_expiry,
            ..Self::default()
        }
    }

    /// InitProducerId: fences whoever had the id, and aborts its transaction.
    pub(crate) fn init(&mut self, now: Time, id: TxnId) -> Producer {
        self.finish(id, State::Aborted);
        self.producers += 1;
        let next = Producer {
            id: self.producers,
            epoch: 0,
        };
        let txn = self.txns.entry(id).or_insert(Txn {
            producer: next,
            session: None,
            open_since: None,
            touched: now,
        });
        if txn.producer != next {
            txn.producer.epoch += 1;
        }
        txn.touched = now;
        txn.open_since = None;
        txn.producer
    }

    /// The same of an exactly-once task in a session.
    pub(crate) fn open_task(&mut self, now: Time, task: TaskKey, session: SessionId) -> Producer {
        let producer = self.init(now, TxnId::Task(task));
        if let Some(txn) = self.txns.get_mut(&TxnId::Task(task)) {
            txn.session = Some(session);
        }
        producer
    }

    /// Fences a dead session: its writer, and the ids of its exactly-once tasks. Parts of a task may go to a task of another number,
    /// which would fence neither by its own start: Connect fences all ids of the former task set for the same reason (KIP-618).
    pub(crate) fn fence(&mut self, now: Time, dead: SessionId) {
        self.init(now, TxnId::Session(dead));
        let tasks: Vec<TxnId> = self
            .txns
            .iter()
            .filter(|(_, txn)| txn.session == Some(dead))
            .map(|(id, _)| *id)
            .collect();
        for id in tasks {
            self.init(now, id);
        }
    }

    fn current(&mut self, now: Time, id: TxnId, producer: Producer) -> Result<&mut Txn, Refused> {
        let txn = self
            .txns
            .get_mut(&id)
            .filter(|txn| txn.producer == producer)
            .ok_or(Refused)?;
        txn.touched = now;
        Ok(txn)
    }

    /// Opens a transaction and puts offsets into it.
    pub(crate) fn add(&mut self, now: Time, id: TxnId, by: Producer, entries: &[Entry]) -> Result<(), Refused> {
        let txn = self.current(now, id, by)?;
        txn.open_since.get_or_insert(now);
        // A heartbeat is a record too.
        let entries = entries
            .iter()
            .copied()
            .map(Some)
            .chain(entries.is_empty().then_some(None));
        self.log.extend(entries.map(|entry| Logged {
            entry,
            txn: id,
            state: State::Open,
        }));
        Ok(())
    }

    /// Commits or aborts.
    pub(crate) fn end(&mut self, now: Time, id: TxnId, by: Producer, commit: bool) -> Result<(), Refused> {
        let txn = self.current(now, id, by)?;
        if txn.open_since.take().is_none() {
            return Err(Refused);
        }
        self.finish(id, if commit { State::Committed } else { State::Aborted });
        Ok(())
    }

    /// Keeps an id from expiring: F10.
    pub(crate) fn renew(&mut self, now: Time, id: TxnId, by: Producer) -> Result<(), Refused> {
        self.current(now, id, by).map(|_| ())
    }

    /// A commit without a writer: nothing fences it.
    pub(crate) fn plain(&mut self, entries: &[Entry], late: bool) {
        for entry in entries {
            if late {
                // In flight in a process that was paused: no local means can catch it, and no writer was allowed.
                self.stable
                    .entry(entry.part)
                    .and_modify(|at| *at = (*at).max(entry.offset))
                    .or_insert(entry.offset);
            } else {
                self.accept(*entry);
                self.stable.insert(entry.part, entry.offset);
            }
        }
    }

    fn finish(&mut self, id: TxnId, state: State) {
        for at in 0..self.log.len() {
            let logged = &mut self.log[at];
            if logged.txn == id && logged.state == State::Open {
                logged.state = state;
                if let (State::Committed, Some(entry)) = (state, logged.entry) {
                    self.accept(entry);
                }
            }
        }
        while let Some(first) = self.log.pop_front_if(|logged| logged.state != State::Open) {
            self.base += 1;
            if let (State::Committed, Some(entry)) = (first.state, first.entry) {
                self.stable.insert(entry.part, entry.offset);
            }
        }
    }

    /// I2.
    fn accept(&mut self, entry: Entry) {
        let Owned { task, generation } = entry.by;
        let before = self.accepted_of.entry(task).or_insert(generation);
        if generation < *before {
            let text = format!(
                "I2: a commit of task {task} under generation {generation} was accepted after one under {before}"
            );
            self.breaches.push(text);
        }
        *before = (*before).max(generation);
        if self
            .set_after
            .get(&entry.part)
            .is_some_and(|latest| generation <= *latest)
        {
            let text = format!(
                "I2: {:?} was committed by task {task} under {generation} after its offset was set by hand",
                entry.part
            );
            self.breaches.push(text);
        }
        let last = self.accepted.entry(entry.part).or_insert((generation, entry.offset));
        if generation < last.0 {
            let text = format!(
                "I2: source partition {:?} was committed under {generation} after {}",
                entry.part, last.0
            );
            self.breaches.push(text);
        }
        if entry.offset < last.1 {
            let text = format!(
                "I2: the offset of {:?} went back from {} (under {}) to {} (task {task} under {generation})",
                entry.part, last.1, last.0, entry.offset
            );
            self.breaches.push(text);
        }
        *last = (generation, entry.offset);
    }

    /// Somebody sets an offset by hand, when all that had any of these generations is dead or fenced.
    pub(crate) fn set_offset(&mut self, part: Part, latest: Option<Generation>) {
        let Some(latest) = latest else { return };
        self.stable.insert(part, 0);
        self.accepted.insert(part, (latest, 0));
        self.set_after.insert(part, latest);
    }

    /// The end of the offsets topic as read_uncommitted sees it.
    pub(crate) fn high_watermark(&self) -> u64 {
        self.base + self.log.len() as u64
    }

    /// Where the first open transaction begins.
    pub(crate) fn last_stable(&self) -> u64 {
        self.base
    }

    pub(crate) fn offset(&self, part: Part) -> u64 {
        self.stable.get(&part).copied().unwrap_or(0)
    }

    /// The highest generation under which a commit of the task was accepted.
    pub(crate) fn committed_under(&self, task: TaskKey) -> Option<Generation> {
        self.accepted_of.get(&task).copied()
    }

    /// What the brokers do by themselves.
    pub(crate) fn tick(&mut self, now: Time) {
        let over: Vec<TxnId> = self
            .txns
            .iter()
            .filter(|(_, txn)| txn.open_since.is_some_and(|since| now > since + TRANSACTION_TIMEOUT_MS))
            .map(|(id, _)| *id)
            .collect();
        for id in over {
            self.timeouts += 1;
            self.finish(id, State::Aborted);
            let txn = self.txns.get_mut(&id).expect("it was found above");
            txn.open_since = None;
            txn.producer.epoch += 1;
        }
        if let Some(expiry) = self.id_expiry {
            let before = self.txns.len();
            self.txns
                .retain(|_, txn| txn.open_since.is_some() || now < txn.touched + expiry);
            self.expired += (before - self.txns.len()) as u64;
        }
        for group in self.groups.values_mut() {
            group.retain(|member| now < member.seen + MEMBER_TIMEOUT_MS);
        }
    }

    pub(crate) fn join(&mut self, now: Time, group: ConnectorUid, session: SessionId, owned: Owned) -> u64 {
        self.members += 1;
        let member = self.members;
        let group = self.groups.entry(group).or_default();
        group.members.insert(
            member,
            Member {
                session,
                owned,
                seen: now,
            },
        );
        group.spread();
        member
    }

    pub(crate) fn heartbeat(&mut self, now: Time, group: ConnectorUid, member: u64) -> Result<(), Refused> {
        let group = self.groups.get_mut(&group).ok_or(Refused)?;
        group.members.get_mut(&member).ok_or(Refused)?.seen = now;
        group.give_up(member);
        Ok(())
    }

    pub(crate) fn leave(&mut self, group: ConnectorUid, member: u64) {
        if let Some(group) = self.groups.get_mut(&group) {
            group.members.remove(&member);
            group.spread();
        }
    }

    /// Every member of these sessions leaves; how many there were.
    pub(crate) fn leave_for(&mut self, group: ConnectorUid, sessions: &[SessionId]) -> u64 {
        let Some(group) = self.groups.get_mut(&group) else {
            return 0;
        };
        let before = group.members.len();
        group.retain(|member| !sessions.contains(&member.session));
        (before - group.members.len()) as u64
    }

    /// A sink commits what it has put since.
    pub(crate) fn commit(&mut self, now: Time, group: ConnectorUid, member: u64, advance: u64) -> Result<(), Refused> {
        let group = self.groups.get_mut(&group).ok_or(Refused)?;
        let record = group.members.get_mut(&member).ok_or(Refused)?;
        record.seen = now;
        let Owned { task, generation } = record.owned;
        let mine: Vec<u32> = group
            .assigned
            .iter()
            .filter(|(_, owner)| **owner == member)
            .map(|(p, _)| *p)
            .collect();
        for partition in &mine {
            *group.committed.entry(*partition).or_default() += advance;
        }
        if !mine.is_empty() {
            let before = self.accepted_of.entry(task).or_insert(generation);
            if generation < *before {
                let text = format!(
                    "I2: a group commit of task {task} under {generation} was accepted after one under {before}"
                );
                self.breaches.push(text);
            }
            *before = (*before).max(generation);
        }
        Ok(())
    }
}

impl Group {
    fn retain(&mut self, keep: impl Fn(&Member) -> bool) {
        let before = self.members.len();
        self.members.retain(|_, member| keep(member));
        if self.members.len() != before {
            self.spread();
        }
    }

    fn load(&self, member: u64) -> usize {
        self.assigned.values().filter(|owner| **owner == member).count()
    }

    /// Partitions that nobody holds go to who has the fewest.
    fn spread(&mut self) {
        let members = &self.members;
        self.assigned.retain(|_, owner| members.contains_key(owner));
        for partition in 0..TOPIC_PARTITIONS {
            if !self.assigned.contains_key(&partition) {
                let Some(to) = self.members.keys().copied().min_by_key(|member| self.load(*member)) else {
                    return;
                };
                self.assigned.insert(partition, to);
            }
        }
    }

    /// A member that has too many gives one up: the next member gets it only now.
    fn give_up(&mut self, member: u64) {
        let Some(to) = self.members.keys().copied().min_by_key(|other| self.load(*other)) else {
            return;
        };
        if self.load(member) > self.load(to) + 1 {
            let partition = self
                .assigned
                .iter()
                .find(|(_, owner)| **owner == member)
                .map(|(p, _)| *p);
            if let Some(partition) = partition {
                self.assigned.insert(partition, to);
            }
        }
    }
}
