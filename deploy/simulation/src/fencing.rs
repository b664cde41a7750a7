//! What an agent does to sessions that were declared dead: it fences their writers, and their members leave their groups.

use crate::agent::{Expel, Job, cluster_name};
use crate::mutation::Mutation;
use crate::requests::{Request, What};
use crate::world::World;
use dray_model::message::{AssignedConnector, DeadSession};
use dray_model::{AgentSession, SessionId};
use dray_session::Event;
use std::sync::Arc;

impl World {
    pub(crate) fn fence(&mut self, at: usize, dead: &[DeadSession], connector: &Arc<AssignedConnector>, done: Event) {
        let cluster = crate::users::cluster_of(&connector.config);
        let name = cluster_name(cluster);
        let left: Vec<_> = dead
            .iter()
            .filter(|dead| dead.clusters.contains(&name))
            .map(|dead| dead.session)
            .collect();
        if self.mutation == Some(Mutation::SkipFence) {
            for dead in left {
                self.tell(
                    at,
                    Event::SessionFenced {
                        dead,
                        cluster: name.clone(),
                    },
                );
            }
            return self.tell(at, done);
        }
        if left.is_empty() {
            return self.tell(at, done);
        }
        for dead in &left {
            self.request(
                at,
                Request {
                    cluster,
                    what: What::Fence(*dead),
                    run: None,
                },
            );
        }
        self.agents[at].jobs.push(Job { cluster, left, done });
    }

    pub(crate) fn fenced(&mut self, at: usize, cluster: usize, dead: AgentSession) {
        self.tell(
            at,
            Event::SessionFenced {
                dead,
                cluster: cluster_name(cluster),
            },
        );
        let mut done = Vec::new();
        self.agents[at].jobs.retain_mut(|job| {
            if job.cluster == cluster {
                job.left.retain(|left| *left != dead);
            }
            if job.left.is_empty() {
                done.push(job.done.clone());
            }
            !job.left.is_empty()
        });
        for event in done {
            self.tell(at, event);
        }
    }

    /// F4: members of dead sessions leave, and are watched until there was none for 10 s.
    pub(crate) fn expel(&mut self, at: usize, connector: &Arc<AssignedConnector>, dead: Vec<SessionId>) {
        if self.mutation == Some(Mutation::SkipFence) {
            return;
        }
        let now = self.agent_now(at);
        let cluster = crate::users::cluster_of(&connector.config);
        let what = What::LeaveFor {
            group: connector.uid,
            dead: dead.clone(),
        };
        self.request(
            at,
            Request {
                cluster,
                what,
                run: None,
            },
        );
        let expel = Expel {
            group: connector.uid,
            cluster,
            dead,
            clean_since: now,
            ask_at: now.plus(1_000),
        };
        self.agents[at].expels.push(expel);
    }

    pub(crate) fn expel_tick(&mut self, at: usize) {
        let now = self.agent_now(at);
        let mut ask = Vec::new();
        let mut over = Vec::new();
        self.agents[at].expels.retain_mut(|expel| {
            if now.since(expel.clean_since) >= 10_000 {
                over.push((expel.group, expel.dead.clone()));
                return false;
            }
            if now >= expel.ask_at {
                expel.ask_at = now.plus(1_000);
                ask.push((expel.cluster, expel.group, expel.dead.clone()));
            }
            true
        });
        for (group, dead) in over {
            self.checks.grace_over(group, &dead);
        }
        for (cluster, group, dead) in ask {
            let what = What::LeaveFor { group, dead };
            self.request(
                at,
                Request {
                    cluster,
                    what,
                    run: None,
                },
            );
        }
    }
}
