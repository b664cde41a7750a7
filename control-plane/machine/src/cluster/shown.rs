//! What people see: of each connector, task and agent the latest word, and beside UNASSIGNED always the reason.

use super::Machine;
use super::altering::altering;
use super::connectors::{Connector, Wish};
use super::event::{Effect, LinkState, Shown, ShownAgent, ShownStatus};
use super::tasks::{Stage, Task};
use dray_model::message::RunState;
use dray_model::{AgentNumber, AgentPolicy, ConnectorState, ConnectorUid, TargetState, TaskKey, TaskState};

impl Machine {
    /// Shows what changed.
    pub(super) fn show(&mut self) {
        self.effects.reserve(self.work.seen_tasks.len());
        for key in std::mem::take(&mut self.work.seen_tasks) {
            self.show_task(key);
        }
        for uid in std::mem::take(&mut self.work.seen_connectors) {
            self.show_connector(uid);
        }
        for number in std::mem::take(&mut self.work.seen_agents) {
            self.show_agent(number);
        }
    }

    fn show_task(&mut self, key: TaskKey) {
        let Some(connector) = self.connectors.get(&key.connector) else {
            return;
        };
        let Some(task) = connector.tasks.get(&key.number) else {
            return;
        };
        let status = self.status(connector, key.number, task);
        let name = connector.name.clone();
        let Some(task) = self.task_mut(key) else { return };
        if task.shown.as_ref() == Some(&status) {
            return;
        }
        let before = task.shown.replace(status.clone());
        // A failure does not heal by itself: what came between was not seen.
        let legal = before
            .as_ref()
            .is_none_or(|before| before.state.next(status.state).is_ok());
        if !legal {
            let between = ShownStatus {
                state: TaskState::Restarting,
                ..status.clone()
            };
            self.effects
                .push(Effect::Show(Shown::Task(name.clone(), key.number, Some(between))));
        }
        self.effects
            .push(Effect::Show(Shown::Task(name, key.number, Some(status))));
    }

    fn show_connector(&mut self, uid: ConnectorUid) {
        let Some(connector) = self.connectors.get(&uid) else {
            return;
        };
        let Some(instance) = connector.tasks.get(&TaskKey::INSTANCE) else {
            return;
        };
        let of_instance = self.status(connector, TaskKey::INSTANCE, instance);
        let mut status = ShownStatus {
            state: ConnectorState::from(of_instance.state),
            agent: of_instance.agent,
            generation: of_instance.generation,
            trace: of_instance.trace,
            restarts: of_instance.restarts,
        };
        let stopped = connector.is_stopped() && connector.spec.target == TargetState::Stopped;
        if stopped && !connector.spec.deleting {
            status.state = ConnectorState::Stopped;
            status.trace = connector.altering().map(altering);
        } else if let Some(operation) = connector.altering().filter(|_| connector.is_stopped()) {
            status.state = ConnectorState::Unassigned;
            status.trace = Some(altering(operation));
        } else if connector.is_ending() {
            let ends = if connector.spec.deleting {
                "being deleted"
            } else {
                "stopping"
            };
            status.state = ConnectorState::Unassigned;
            status.trace = Some(match self.waits_for(connector) {
                Some(waits) => format!("{ends}: {waits}"),
                None => format!("{ends}: its tasks go from the store"),
            });
        } else if let Some(problem) = &connector.problem {
            status.trace = Some(problem.clone());
        } else if connector.is_changing()
            && status.trace.is_none()
            && let Some(waits) = self.waits_for_old(connector)
        {
            status.trace = Some(format!("its new task set waits: {waits}"));
        } else if status.trace.is_none() {
            status.trace = Self::why_paused(connector);
        }
        if let Some(problem) = connector.refused_by_store {
            status.trace = Some(problem.into());
        }
        let name = connector.name.clone();
        let Some(connector) = self.connectors.get_mut(&uid) else {
            return;
        };
        if connector.shown.as_ref() == Some(&status) {
            return;
        }
        let before = connector.shown.replace(status.clone());
        if before.is_some_and(|before| before.state.next(status.state).is_err()) {
            let between = ShownStatus {
                state: ConnectorState::Restarting,
                ..status.clone()
            };
            self.effects
                .push(Effect::Show(Shown::Connector(name.clone(), Some(between))));
        }
        self.effects.push(Effect::Show(Shown::Connector(name, Some(status))));
    }

    /// The first task or instance that an end waits for.
    fn waits_for(&self, connector: &Connector) -> Option<String> {
        let (number, task) = connector.tasks.iter().find(|(_, task)| !task.is_free())?;
        Some(self.waits(connector, *number, task))
    }

    /// The first old task that the next task set waits for.
    fn waits_for_old(&self, connector: &Connector) -> Option<String> {
        let waits =
            |(number, task): &(&u32, &Task)| matches!(connector.wish(**number), Wish::Wait(_)) && !task.is_free();
        let (number, task) = connector.tasks.iter().find(waits)?;
        Some(self.waits(connector, *number, task))
    }

    fn waits(&self, connector: &Connector, number: u32, task: &Task) -> String {
        let what = if number == TaskKey::INSTANCE {
            "its instance".to_owned()
        } else {
            format!("task {number}")
        };
        let Some(agent) = task.owner.and_then(|owner| self.agents.get(&owner.agent)) else {
            return format!("{what} is about to be free");
        };
        let id = &agent.id;
        match task.stage() {
            Stage::Unowned | Stage::Stopped => format!("{what} was stopped by agent {id}"),
            Stage::Orphaned => {
                let problem = connector.fences.values().find_map(|fence| fence.problem.as_deref());
                let problem = problem.map(|problem| format!(" ({problem})")).unwrap_or_default();
                format!("{what} was run by agent {id}, which was declared dead and is not fenced yet{problem}")
            }
            Stage::Assigned | Stage::Revoking if agent.connection.is_some() => format!("agent {id} is stopping {what}"),
            Stage::Assigned | Stage::Revoking => {
                format!("{what} may still run on agent {id}, which is silent; it is fenced or waited for")
            }
        }
    }

    /// What is to be shown of a task or an instance.
    fn status(&self, connector: &Connector, number: u32, task: &Task) -> ShownStatus<TaskState> {
        let (state, trace) = self.state(connector, number, task);
        let agent = task.owner.and_then(|owner| self.agents.get(&owner.agent));
        ShownStatus {
            state,
            agent: agent.map(|agent| agent.id.clone()),
            generation: task.generation,
            trace,
            restarts: task.report.as_ref().map_or(0, |report| report.restarts),
        }
    }

    fn state(&self, connector: &Connector, number: u32, task: &Task) -> (TaskState, Option<String>) {
        let unassigned = |why: String| (TaskState::Unassigned, Some(why));
        let agent = task.owner.and_then(|owner| self.agents.get(&owner.agent));
        let Some(agent) = agent else {
            return unassigned(self.unowned(connector, number, task));
        };
        let id = &agent.id;
        match task.stage() {
            Stage::Unowned => unassigned(self.unowned(connector, number, task)),
            Stage::Stopped if agent.leaving.is_some() => {
                unassigned(format!("its agent {id} stops, and its tasks are held for it"))
            }
            Stage::Stopped => unassigned(self.unowned(connector, number, task)),
            Stage::Orphaned => unassigned(format!(
                "its agent {id} was declared dead; {}",
                self.unowned(connector, number, task)
            )),
            Stage::Revoking => unassigned(format!("agent {id} is stopping it")),
            Stage::Assigned if agent.lost => unassigned(match &task.unplaced {
                Some(reason) => format!("its agent {id} is silent; {reason}"),
                None => format!("its agent {id} is silent; it is given away as soon as that is safe"),
            }),
            Stage::Assigned if agent.link == LinkState::Unknown => {
                unassigned(format!("its agent {id} was not heard yet by this leader"))
            }
            Stage::Assigned => match &task.report {
                Some(report) => match report.state {
                    RunState::Running => (TaskState::Running, report.trace.clone()),
                    RunState::Paused => (TaskState::Paused, report.trace.clone()),
                    RunState::Failed => (TaskState::Failed, report.trace.clone()),
                    RunState::Restarting => (TaskState::Restarting, report.trace.clone()),
                    RunState::Stopping => unassigned(format!("agent {id} is stopping it")),
                    RunState::Fencing | RunState::Starting if task.restarting => {
                        starting(TaskState::Restarting, agent, report.trace.as_deref())
                    }
                    RunState::Fencing | RunState::Starting => {
                        starting(TaskState::Unassigned, agent, report.trace.as_deref())
                    }
                },
                None if task.restarting => starting(TaskState::Restarting, agent, None),
                None => starting(TaskState::Unassigned, agent, None),
            },
        }
    }

    /// Why nobody owns a task, or what it waits for.
    fn unowned(&self, connector: &Connector, number: u32, task: &Task) -> String {
        match connector.wish(number) {
            Wish::Go(_) => return "it is no longer wanted".into(),
            Wish::Wait(_) => {
                return "it waits until the old tasks of its connector's former task set are stopped".into();
            }
            Wish::Run => {}
        }
        if let Some(reason) = &task.unplaced {
            let refusal = connector.refusals.get(&number).map(|refusal| format!("; {refusal}"));
            return format!("{reason}{}", refusal.unwrap_or_default());
        }
        match task.target.and_then(|target| self.agents.get(&target)) {
            Some(agent) => format!("it is being given to agent {}", agent.id),
            None => match &connector.problem {
                Some(problem) => problem.clone(),
                None => "it waits for its turn to be placed".into(),
            },
        }
    }

    fn show_agent(&mut self, number: AgentNumber) {
        let Some(agent) = self.agents.get_mut(&number) else {
            return;
        };
        let record = &agent.record;
        let dead = record.dead_sessions.iter().filter(|(_, clusters)| !clusters.is_empty());
        let shown = ShownAgent {
            number,
            link: agent.link,
            session: record.session,
            policy: record.policy,
            drained: record.policy == AgentPolicy::Draining && agent.owned.is_empty(),
            tasks: u32::try_from(agent.owned.len()).unwrap_or(u32::MAX),
            unfenced: dead
                .map(|(session, clusters)| (*session, clusters.iter().cloned().collect()))
                .collect(),
            problem: agent.problem.clone().or_else(|| {
                let why = "it has no session writer on a Kafka cluster that its tasks use: they recover as strict";
                record.unfenceable.then(|| why.into())
            }),
        };
        if agent.shown.as_ref() != Some(&shown) {
            agent.shown = Some(shown.clone());
            let id = agent.id.clone();
            self.effects.push(Effect::Show(Shown::Agent(id, Some(Box::new(shown)))));
        }
    }
}

/// A task that its agent was told to start.
fn starting(state: TaskState, agent: &super::Agent, trace: Option<&str>) -> (TaskState, Option<String>) {
    let doing = if state == TaskState::Restarting {
        "restarting"
    } else {
        "starting"
    };
    let trace = trace.map(|trace| format!(": {trace}")).unwrap_or_default();
    (state, Some(format!("{doing} on agent {}{trace}", agent.id)))
}
