//! Transactions of a leader, until their outcome is known, and what becomes of a call at the store's door.

use crate::coverage::Seen;
use crate::mutation::Mutation;
use crate::replica::{ANSWER_MS, Doing, Pending, Role, StoreCall, StoreReply};
use crate::store::Failed;
use crate::world::{Item, Said, World};
use dray_machine::cluster::{Event, Outcome, Revision, Write, WriteId};
use dray_model::Millis;
use std::rc::Rc;

impl World {
    pub(crate) fn machine_writes(&mut self, at: usize, write: Write) {
        self.check_write(at, &write);
        let Role::Leader(leader) = &mut self.replicas[at].role else {
            return;
        };
        leader.writes.push(Pending {
            write: Rc::new(write),
            state: Doing::Waits,
            attempt: 0,
        });
        self.start_writes(at);
    }

    /// Starts what shares no name with a write before it.
    pub(crate) fn start_writes(&mut self, at: usize) {
        let Role::Leader(leader) = &mut self.replicas[at].role else {
            return;
        };
        let mut start = Vec::new();
        for index in 0..leader.writes.len() {
            let (before, rest) = leader.writes.split_at(index);
            let write = &rest[0].write;
            let changed =
                |write: &Write, name| write.puts.iter().any(|(put, _)| put == name) || write.deletes.contains(name);
            let names = write.puts.iter().map(|(name, _)| name).chain(&write.deletes);
            let mut free = true;
            for name in names {
                free &= !before.iter().any(|earlier| changed(&earlier.write, name));
            }
            if rest[0].state == Doing::Waits && free {
                start.push(write.clone());
                leader.writes[index].state = Doing::Sent;
            }
        }
        let term = leader.term;
        for write in start {
            self.transact(at, term, write, 0);
        }
    }

    pub(crate) fn transact(&mut self, at: usize, term: u64, write: Rc<Write>, attempt: u32) {
        let silence = StoreReply::Silence {
            term,
            write: write.id,
            attempt,
        };
        self.for_replica(at, ANSWER_MS, Said::Store(silence));
        self.call(at, StoreCall::Transact { term, write, attempt });
    }

    pub(crate) fn look(&mut self, at: usize, term: u64, write: Rc<Write>, attempt: u32) {
        let silence = StoreReply::Silence {
            term,
            write: write.id,
            attempt,
        };
        self.for_replica(at, ANSWER_MS, Said::Store(silence));
        self.call(at, StoreCall::Look { term, write, attempt });
    }

    pub(crate) fn call(&mut self, at: usize, call: StoreCall) {
        let life = self.replicas[at].process.life;
        let delay = self.random.range(1, 8);
        self.after(
            delay,
            Item::AtStore {
                replica: at,
                life,
                call,
            },
        );
    }

    /// A call at the store's door. It is carried out even when its caller has died meanwhile.
    pub(crate) fn at_store(&mut self, at: usize, life: u64, call: StoreCall) {
        let replica = &self.replicas[at];
        let now = self.now;
        if now < self.store.down_until || now < replica.calls_blocked_until {
            // Lost, or late: what was given up may still be applied.
            if self.random.permille(500) {
                let late = self.random.range(300, 6_000);
                self.after(
                    late,
                    Item::AtStore {
                        replica: at,
                        life,
                        call,
                    },
                );
            }
            return;
        }
        let reply = match call {
            StoreCall::Campaign { sent } => {
                let term = self.store.campaign(now, at);
                StoreReply::Campaigned { term, sent }
            }
            StoreCall::Beat { term, sent } => {
                let result = self.store.beat(now, term);
                StoreReply::Beat { term, result, sent }
            }
            StoreCall::Resign { term } => {
                if self.store.leader.is_some_and(|leader| leader.term == term) {
                    self.store.remove_leader();
                    self.store_changed();
                }
                return;
            }
            StoreCall::Transact { term, write, attempt } => {
                let result = self.apply(at, term, &write);
                let seen = self.store.log.len();
                StoreReply::Transacted {
                    term,
                    write: write.id,
                    attempt,
                    result,
                    seen,
                }
            }
            StoreCall::Look { term, write, attempt } => {
                let applied = self.store.applied.get(&(term, write.id.0)).copied();
                let seen = self.store.log.len();
                StoreReply::Looked {
                    term,
                    write: write.id,
                    attempt,
                    applied,
                    seen,
                }
            }
        };
        self.store_changed();
        let replica = &self.replicas[at];
        let lost = now < replica.replies_blocked_until || (now < replica.lossy_until && self.random.permille(400));
        if !lost && self.replicas[at].process.life == life {
            let delay = self.random.range(1, 8);
            self.for_replica(at, delay, Said::Store(reply));
        }
    }

    pub(crate) fn apply(&mut self, at: usize, term: u64, write: &Write) -> Result<u64, Failed> {
        if let Some(revision) = self.store.applied.get(&(term, write.id.0)) {
            // An earlier attempt was: the driver reads that in the records after the conflict.
            return Ok(*revision);
        }
        let before = self.owners_before(write);
        let compared = (self.mutation != Some(Mutation::IgnoreTerm)).then_some(term);
        let revision = self.store.transact(self.now, compared, write)?;
        self.store.applied.insert((term, write.id.0), revision);
        self.check_applied(at, term, write, before);
        Ok(revision)
    }

    pub(crate) fn store_replies(&mut self, at: usize, reply: StoreReply) {
        match reply {
            StoreReply::Campaigned { term, sent } => {
                self.replicas[at].campaigned = None;
                if let (Ok(term), Role::Follower) = (term, &self.replicas[at].role) {
                    let now = self.replica_now(at);
                    self.replicas[at].role = Role::Elected {
                        term,
                        sent,
                        beat_at: now.plus(1_000),
                    };
                }
            }
            StoreReply::Beat { term, result, sent } => self.beat_answered(at, term, result, sent),
            StoreReply::Transacted {
                term,
                write,
                attempt,
                result,
                seen,
            } => {
                if self.doing(at, term, write, attempt) != Some(Doing::Sent) {
                    return;
                }
                match result {
                    Ok(applied) => self.ended(at, write, seen, Outcome::Applied(Revision(applied))),
                    Err(Failed::Conflict) => self.ended(at, write, seen, Outcome::Conflict),
                    Err(Failed::Full) => self.ended(at, write, 0, Outcome::Refused),
                    Err(Failed::NotLeader) => self.step_down(at, "its key is another's"),
                }
            }
            StoreReply::Looked {
                term,
                write,
                attempt,
                applied,
                seen,
            } => {
                if self.doing(at, term, write, attempt) != Some(Doing::Looks) {
                    return;
                }
                if let Some(applied) = applied {
                    self.see(Seen::UnknownApplied);
                    return self.ended(at, write, seen, Outcome::Applied(Revision(applied)));
                }
                self.see(Seen::UnknownAgain);
                let Some(pending) = self.pending(at, write) else { return };
                pending.attempt += 1;
                pending.state = Doing::Sent;
                let (write, attempt) = (pending.write.clone(), pending.attempt);
                self.transact(at, term, write, attempt);
            }
            StoreReply::Silence { term, write, attempt } => {
                let doing = self.doing(at, term, write, attempt);
                if !matches!(doing, Some(Doing::Sent | Doing::Looks)) {
                    return;
                }
                if doing == Some(Doing::Sent) {
                    self.see(Seen::Unknown);
                }
                let Some(pending) = self.pending(at, write) else { return };
                pending.attempt += 1;
                pending.state = Doing::Looks;
                let (write, attempt) = (pending.write.clone(), pending.attempt);
                self.look(at, term, write, attempt);
            }
        }
    }

    pub(crate) fn beat_answered(&mut self, at: usize, term: u64, result: Result<(), Failed>, sent: Millis) {
        let now = self.replica_now(at);
        let ours = match &self.replicas[at].role {
            Role::Leader(leader) => leader.term == term,
            Role::Elected { term: elected, .. } => *elected == term,
            Role::Follower => false,
        };
        match result {
            _ if !ours => {}
            Err(Failed::NotLeader | Failed::Conflict) => self.step_down(at, "its key is gone"),
            Err(Failed::Full) => {}
            Ok(()) => {
                self.see(Seen::Beat);
                let Role::Leader(leader) = &mut self.replicas[at].role else {
                    return;
                };
                let late = now >= leader.valid_until && leader.since + 3_000 < self.now;
                leader.valid_until = leader.valid_until.max(sent.plus(4_000));
                let until = leader.valid_until;
                if late {
                    self.see(Seen::BeatLate);
                }
                self.machine_step(at, Event::Valid(until));
            }
        }
    }

    pub(crate) fn pending(&mut self, at: usize, write: WriteId) -> Option<&mut Pending> {
        let Role::Leader(leader) = &mut self.replicas[at].role else {
            return None;
        };
        leader.writes.iter_mut().find(|pending| pending.write.id == write)
    }

    pub(crate) fn doing(&mut self, at: usize, term: u64, write: WriteId, attempt: u32) -> Option<Doing> {
        if self.replicas[at].leader().is_none_or(|leader| leader.term != term) {
            return None;
        }
        let pending = self.pending(at, write).filter(|pending| pending.attempt == attempt)?;
        Some(pending.state)
    }

    /// The outcome is known. What was in the way is told before a conflict is; an applied write may be told before or after its changes.
    pub(crate) fn ended(&mut self, at: usize, write: WriteId, seen: usize, outcome: Outcome) {
        match outcome {
            Outcome::Applied(_) => self.see(Seen::Applied),
            Outcome::Conflict => self.see(Seen::Conflict),
            Outcome::Refused => self.see(Seen::WriteRefused),
        }
        let after = match outcome {
            Outcome::Applied(_) if self.random.permille(500) => 0,
            Outcome::Refused => 0,
            Outcome::Applied(_) | Outcome::Conflict => seen,
        };
        let Some(pending) = self.pending(at, write) else { return };
        pending.state = Doing::Ended;
        let Role::Leader(leader) = &mut self.replicas[at].role else {
            return;
        };
        leader.outcomes.push((after, write, outcome));
        self.tell_outcomes(at);
    }

    pub(crate) fn tell_outcomes(&mut self, at: usize) {
        loop {
            let seen = self.replicas[at].seen;
            let Role::Leader(leader) = &mut self.replicas[at].role else {
                return;
            };
            let Some(index) = leader.outcomes.iter().position(|(after, _, _)| *after <= seen) else {
                return;
            };
            let (_, write, outcome) = leader.outcomes.remove(index);
            leader.writes.retain(|pending| pending.write.id != write);
            self.machine_step(at, Event::Written { write, outcome });
            self.start_writes(at);
        }
    }
}
