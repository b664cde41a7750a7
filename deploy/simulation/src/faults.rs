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
        let until = self.now + long;
        let leader = self.leader();
        // Two of three faults of a replica's store hit the one that leads.
        let near = leader.filter(|_| self.random.permille(600)).unwrap_or(replica);
        match fault {
            Fault::AgentCrash => self.crash_agent(agent, true, long),
            Fault::AgentWiped => self.crash_agent(agent, false, long),
            Fault::AgentPause => self.pause_agent(agent, long),
            Fault::AgentTwice => self.start_twin(),
            Fault::AgentLeave => self.make_leave(agent, long),
            Fault::AgentCut => {
                self.see(Seen::AgentCut);
                let one = self.random.permille(400);
                for at in (0..REPLICAS).filter(|at| !one || *at == replica) {
                    let link = &mut self.network.links[agent][at];
                    link.up_blocked_until = until.max(link.up_blocked_until);
                    link.down_blocked_until = until.max(link.down_blocked_until);
                }
            }
            Fault::AllCut => {
                self.see(Seen::AllCut);
                self.checks.all_cut = (self.now, until);
                for link in self.network.links.as_flattened_mut() {
                    link.up_blocked_until = until;
                    link.down_blocked_until = until;
                }
            }
            Fault::AgentCutOneWay => {
                self.see(Seen::AgentCutOneWay);
                let up = self.random.permille(500);
                if up && self.random.permille(400) {
                    return self.echo(agent, long);
                }
                for link in &mut self.network.links[agent] {
                    if up {
                        link.up_blocked_until = until.max(link.up_blocked_until);
                    } else {
                        link.down_blocked_until = until.max(link.down_blocked_until);
                    }
                }
            }
            Fault::KafkaCut => {
                self.see(Seen::KafkaCut);
                let all = self.random.permille(100);
                for at in (0..AGENT_SLOTS).filter(|at| all || *at == agent) {
                    self.kafka_blocked_until[at] = until;
                }
            }
            Fault::SlowNetwork => {
                self.see(Seen::SlowNetwork);
                let most = self.random.pick(&[2_000, 9_000, 20_000]);
                let most = self.random.pick(&[(most, most), (most, 20), (20, most)]);
                for link in &mut self.network.links[agent] {
                    link.slow_until = until;
                    link.slow_most = most;
                }
            }
            Fault::StreamReset => {
                if let Some(at) = self.some_connection() {
                    self.see(Seen::StreamReset);
                    self.break_connection(at);
                }
            }
            Fault::HalfOpen => {
                if let Some(at) = self.some_connection() {
                    self.half_open(at);
                }
            }
            Fault::AllStreamsReset => {
                self.see(Seen::AllStreamsReset);
                for at in self.open_connections() {
                    self.break_connection(at);
                }
            }
            Fault::LeaderCrash => {
                if let Some(leader) = leader {
                    self.see(Seen::LeaderCrash);
                    self.crash_replica(leader, long);
                }
            }
            Fault::ReplicaCrash => {
                self.see(Seen::ReplicaCrash);
                self.crash_replica(replica, long);
            }
            Fault::LeaderPause => {
                if let Some(leader) = leader.filter(|at| !self.replicas[*at].process.paused) {
                    self.see(Seen::LeaderPaused);
                    self.replicas[leader].process.paused = true;
                    let life = self.replicas[leader].process.life;
                    self.after(long, Item::ResumeReplica(leader, life));
                }
            }
            Fault::LeaderResign => {
                if let Some(leader) = leader.filter(|at| !self.replicas[*at].process.paused) {
                    self.see(Seen::LeaderResigned);
                    self.resign(leader, "it was told to");
                }
            }
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
                self.drop_watch(near);
            }
            Fault::RepliesLost => {
                self.see(Seen::RepliesLost);
                self.replicas[near].lossy_until = until;
            }
            Fault::StoreCut => self.cut_store(near, until),
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

    /// Answers become slow, and then the agent is not heard any more: what it hears still is of the past.
    fn echo(&mut self, agent: usize, long: Time) {
        let first = self.random.range(2_000, 8_000);
        let most = self.random.range(4_000, 12_000);
        for link in &mut self.network.links[agent] {
            link.slow_until = self.now + first + 1_000;
            link.slow_most = (20, most);
        }
        self.after(first, Item::CutUp { agent, long });
    }

    pub(crate) fn cut_up(&mut self, agent: usize, long: Time) {
        if self.healed_at.is_none() {
            for link in &mut self.network.links[agent] {
                link.up_blocked_until = link.up_blocked_until.max(self.now + long);
            }
        }
    }

    fn some_connection(&mut self) -> Option<usize> {
        let open = self.open_connections();
        (!open.is_empty()).then(|| open[self.random.index(open.len())])
    }

    fn crash_agent(&mut self, agent: usize, folder: bool, long: Time) {
        let wait = if self.random.permille(500) {
            self.random.range(200, 2_500)
        } else {
            long
        };
        if self.agents[agent].process.up {
            self.see(if folder { Seen::AgentCrash } else { Seen::AgentWiped });
            self.end_agent(agent, !folder);
            self.after(wait, Item::RestartAgent { agent, folder });
        }
    }

    fn pause_agent(&mut self, agent: usize, long: Time) {
        let process = &mut self.agents[agent].process;
        if process.up && !std::mem::replace(&mut process.paused, true) {
            let life = process.life;
            self.see(Seen::AgentPaused);
            self.after(long, Item::ResumeAgent(agent, life));
        }
    }

    /// Somebody starts a second process with the id of an agent on another host.
    fn start_twin(&mut self) {
        let twin = AGENTS + self.random.index(AGENT_SLOTS - AGENTS);
        if !self.agents[twin].process.up {
            self.see(Seen::AgentTwice);
            self.start_agent(twin, false);
        }
    }

    fn make_leave(&mut self, agent: usize, long: Time) {
        if self.agents[agent].process.up {
            let back = self.random.permille(700);
            self.agents[agent].back_in = if back {
                self.random.range(200, 4_000)
            } else {
                long.max(9_000)
            };
            let back_in_ms = back.then_some(20_000);
            self.for_agent(agent, 0, Input::Leave(back_in_ms));
        }
    }

    fn crash_replica(&mut self, replica: usize, long: Time) {
        if self.replicas[replica].process.up {
            self.replicas[replica].process.end();
            self.replicas[replica].role = crate::replica::Role::Follower;
            let host_gone = self.random.permille(300);
            self.ends_gone(|connection| connection.replica == replica, host_gone);
            self.after(long, Item::RestartReplica(replica));
        }
    }

    fn cut_store(&mut self, replica: usize, until: Time) {
        self.see(Seen::StoreCut);
        let which = self.random.below(3);
        if which != 1 {
            self.replicas[replica].calls_blocked_until = until;
        }
        if which != 0 {
            self.replicas[replica].replies_blocked_until = until;
            self.drop_watch(replica);
        }
    }

    /// Faults and users end.
    pub(crate) fn heal(&mut self) {
        self.note(|| "all faults end".into());
        self.healed_at = Some(self.now);
        self.network.links = Default::default();
        self.checks.all_cut = (0, 0);
        self.mend();
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
            let id = agent_id(at);
            // Nobody restarts it any more: it is there.
            let restarting = self
                .store
                .agent(&id)
                .is_some_and(|agent| agent.policy == AgentPolicy::Restarting);
            if at == 0 || restarting || self.random.permille(600) {
                self.set_policy(&id, AgentPolicy::Active);
            }
        }
    }
}
