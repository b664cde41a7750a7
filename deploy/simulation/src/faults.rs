//! What goes wrong, and that it ends: after [`heal`](World::heal) everything must become as it should.

use crate::agent::agent_id;
use crate::coverage::Seen;
use crate::profile::Fault;
use crate::world::{Input, Item, World};
use crate::{AGENT_SLOTS, AGENTS, REPLICAS, Time};
use dray_model::AgentPolicy;

impl World {
    pub(crate) fn fault(&mut self) {
        if self.healed_at.is_some() {
            return;
        }
        let gap = self.profile.fault_gap_ms;
        let wait = self.random.range(gap / 4, gap * 2);
        self.after(wait, Item::Fault);
        let fault = self.random.index(self.profile.faults.len());
        let fault = self.profile.faults[fault];
        let agent = self.random.index(AGENT_SLOTS);
        let replica = self.random.index(REPLICAS);
        let long = self.long();
        self.note(|| format!("fault {fault:?}: agent {agent}, replica {replica}, {long} ms"));
        match fault {
            Fault::AgentCrash | Fault::AgentWiped | Fault::AgentPause | Fault::AgentTwice | Fault::AgentLeave => {
                self.agent_fault(fault, agent, long);
            }
            Fault::AgentCut => {
                self.see(Seen::AgentCut);
                let one = self.random.permille(400);
                for at in (0..REPLICAS).filter(|at| !one || *at == replica) {
                    let link = &mut self.network.links[agent][at];
                    link.up_blocked_until = self.now + long;
                    link.down_blocked_until = self.now + long;
                }
            }
            Fault::AgentCutOneWay => {
                self.see(Seen::AgentCutOneWay);
                let up = self.random.permille(500);
                for link in &mut self.network.links[agent] {
                    *(if up {
                        &mut link.up_blocked_until
                    } else {
                        &mut link.down_blocked_until
                    }) = self.now + long;
                }
            }
            Fault::KafkaCut => {
                self.see(Seen::KafkaCut);
                let all = self.random.permille(100);
                for at in (0..AGENT_SLOTS).filter(|at| all || *at == agent) {
                    self.kafka_blocked_until[at] = self.now + long;
                }
            }
            Fault::SlowNetwork => {
                self.see(Seen::SlowNetwork);
                for link in &mut self.network.links[agent] {
                    link.slow_until = self.now + long;
                }
            }
            Fault::StreamReset | Fault::AllStreamsReset | Fault::HalfOpen => self.stream_fault(fault),
            Fault::LeaderCrash | Fault::LeaderPause | Fault::LeaderResign => {
                if let Some(leader) = self.leader() {
                    self.replica_fault(fault, leader, long);
                }
            }
            Fault::ReplicaCrash => self.replica_fault(fault, replica, long),
            Fault::StoreCut
            | Fault::StoreDown
            | Fault::StoreFull
            | Fault::LeaseRevoked
            | Fault::WatchDropped
            | Fault::RepliesLost => self.store_fault(fault, replica, long),
        }
    }

    /// How long a fault lasts: often around the times that matter, up to a minute.
    fn long(&mut self) -> Time {
        match self.random.below(4) {
            0 => self.random.range(200, 3_000),
            1 => self.random.range(3_000, 9_000),
            2 => self.random.range(9_000, 25_000),
            _ => self.random.range(25_000, 60_000),
        }
    }

    fn agent_fault(&mut self, fault: Fault, agent: usize, long: Time) {
        let up = self.agents[agent].process.up;
        let wait = if self.random.permille(500) {
            self.random.range(200, 2_500)
        } else {
            long
        };
        match fault {
            Fault::AgentCrash if up => {
                self.see(Seen::AgentCrash);
                self.end_agent(agent, false);
                self.after(wait, Item::RestartAgent { agent, folder: true });
            }
            Fault::AgentWiped if up => {
                self.see(Seen::AgentWiped);
                self.end_agent(agent, true);
                self.after(wait, Item::RestartAgent { agent, folder: false });
            }
            Fault::AgentPause if up && !self.agents[agent].process.paused => {
                self.see(Seen::AgentPaused);
                self.agents[agent].process.paused = true;
                let life = self.agents[agent].process.life;
                self.after(long, Item::ResumeAgent(agent, life));
            }
            Fault::AgentTwice => {
                let twin = AGENTS + self.random.index(AGENT_SLOTS - AGENTS);
                if !self.agents[twin].process.up {
                    self.see(Seen::AgentTwice);
                    self.start_agent(twin, false);
                }
            }
            Fault::AgentLeave if up => {
                let back = self.random.permille(700);
                self.agents[agent].back_in = Some(if back {
                    self.random.range(200, 4_000)
                } else {
                    long.max(9_000)
                });
                let back_in_ms = back.then_some(20_000);
                self.to_agent(agent, 0, Input::Leave(back_in_ms));
            }
            _ => {}
        }
    }

    fn stream_fault(&mut self, fault: Fault) {
        let open = self.open_connections();
        if open.is_empty() {
            return;
        }
        let one = open[self.random.index(open.len())];
        match fault {
            Fault::HalfOpen => self.half_open(one),
            Fault::AllStreamsReset => {
                self.see(Seen::AllStreamsReset);
                for at in open {
                    self.break_connection(at);
                }
            }
            _ => {
                self.see(Seen::StreamReset);
                self.break_connection(one);
            }
        }
    }

    fn replica_fault(&mut self, fault: Fault, replica: usize, long: Time) {
        if !self.replicas[replica].process.up {
            return;
        }
        match fault {
            Fault::LeaderPause => {
                if !self.replicas[replica].process.paused {
                    self.see(Seen::LeaderPaused);
                    self.replicas[replica].process.paused = true;
                    let life = self.replicas[replica].process.life;
                    self.after(long, Item::ResumeReplica(replica, life));
                }
            }
            Fault::LeaderResign => {
                if !self.replicas[replica].process.paused {
                    self.see(Seen::LeaderResigned);
                    self.resign(replica, "it was told to");
                }
            }
            _ => {
                self.see(if fault == Fault::LeaderCrash {
                    Seen::LeaderCrash
                } else {
                    Seen::ReplicaCrash
                });
                self.replicas[replica].process.end();
                self.replicas[replica].role = crate::replica::Role::Follower;
                let host_gone = self.random.permille(300);
                self.ends_gone(|connection| connection.replica == replica, host_gone);
                self.after(long, Item::RestartReplica(replica));
            }
        }
    }

    fn store_fault(&mut self, fault: Fault, replica: usize, long: Time) {
        let until = self.now + long;
        let leader = self.leader().filter(|_| self.random.permille(600));
        let replica = leader.unwrap_or(replica);
        match fault {
            Fault::StoreDown => {
                self.see(Seen::StoreDown);
                self.store.down_until = until;
                // Leases live on while there is no quorum, and begin anew with a new leader of the store.
                if let Some(key) = &mut self.store.leader {
                    key.expires = key.expires.max(until + 5_000);
                }
            }
            Fault::StoreFull => {
                self.see(Seen::StoreFull);
                self.store.full_until = until;
            }
            Fault::LeaseRevoked => {
                self.see(Seen::LeaseRevoked);
                self.store.remove_leader();
                self.store_changed();
            }
            Fault::WatchDropped => {
                self.see(Seen::WatchDropped);
                self.drop_watch(replica);
            }
            Fault::RepliesLost => {
                self.see(Seen::RepliesLost);
                self.replicas[replica].lossy_until = until;
            }
            _ => {
                self.see(Seen::StoreCut);
                match self.random.below(3) {
                    0 => self.replicas[replica].calls_blocked_until = until,
                    1 => self.replicas[replica].replies_blocked_until = until,
                    _ => {
                        self.replicas[replica].calls_blocked_until = until;
                        self.replicas[replica].replies_blocked_until = until;
                    }
                }
                if self.replicas[replica].replies_blocked_until == until {
                    self.drop_watch(replica);
                }
            }
        }
    }

    /// Faults and users end.
    pub(crate) fn heal(&mut self) {
        self.note(|| "all faults end".into());
        self.healed_at = Some(self.now);
        self.network.links = Default::default();
        self.kafka_blocked_until = [0; AGENT_SLOTS];
        self.store.down_until = 0;
        self.store.full_until = 0;
        for at in 0..REPLICAS {
            let replica = &mut self.replicas[at];
            replica.calls_blocked_until = 0;
            replica.replies_blocked_until = 0;
            replica.lossy_until = 0;
            if replica.process.up {
                self.after(1, Item::ResumeReplica(at, self.replicas[at].process.life));
            } else {
                self.start_replica(at);
            }
        }
        for at in 0..AGENT_SLOTS {
            if self.agents[at].process.paused {
                self.after(1, Item::ResumeAgent(at, self.agents[at].process.life));
            }
        }
        // One process for each id is left.
        for twin in AGENTS..AGENT_SLOTS {
            let first = twin - AGENTS;
            if self.agents[twin].process.up && self.agents[first].process.up {
                let ends = self.random.pick(&[first, twin]);
                self.end_agent(ends, false);
            }
        }
        for at in 0..AGENTS {
            let twin = self.agents.get(at + AGENTS).is_some_and(|twin| twin.process.up);
            if !self.agents[at].process.up && !twin {
                let folder = self.random.permille(700);
                self.start_agent(at, folder);
            }
        }
        for at in 0..AGENTS {
            if at == 0 || self.random.permille(600) {
                self.set_policy(&agent_id(at), AgentPolicy::Active);
            }
        }
    }
}
