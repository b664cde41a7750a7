//! What agents report while a session lasts, and what they are asked to do once.

use super::v1;
use crate::Invalid;
use crate::read::{self, PROSE, at_most, choice, each, millis, name, optional_text, prose, required, same_words};
use dray_model::message::{
    AssignedConnector, Command, CommandResult, CommandWhat, Heartbeat, LeaveIntent, RunState, StoppedTask, TaskConfigs,
    TaskReport, WriterOpened,
};
use dray_model::record::MAX_TASKS;
use dray_model::{ConfigDiff, Cost};
use std::sync::Arc;

same_words!(v1::RunState, RunState: Fencing Starting Running Paused Restarting Failed Stopping);

impl From<Heartbeat> for v1::Heartbeat {
    fn from(heartbeat: Heartbeat) -> Self {
        Self {
            seq: heartbeat.seq,
            changed: heartbeat.changed.into_iter().map(Into::into).collect(),
            cpu_millis: heartbeat.cpu_millis,
            memory_bytes: heartbeat.memory_bytes,
        }
    }
}

impl TryFrom<v1::Heartbeat> for Heartbeat {
    type Error = Invalid;

    fn try_from(heartbeat: v1::Heartbeat) -> Result<Self, Invalid> {
        Ok(Self {
            seq: heartbeat.seq,
            changed: each("changed", heartbeat.changed)?,
            cpu_millis: heartbeat.cpu_millis,
            memory_bytes: heartbeat.memory_bytes,
        })
    }
}

impl From<StoppedTask> for v1::StoppedTask {
    fn from(stopped: StoppedTask) -> Self {
        Self {
            owned: Some(stopped.owned.into()),
            clean: stopped.clean,
        }
    }
}

impl TryFrom<v1::StoppedTask> for StoppedTask {
    type Error = Invalid;

    fn try_from(stopped: v1::StoppedTask) -> Result<Self, Invalid> {
        Ok(Self {
            owned: required("owned", stopped.owned)?,
            clean: stopped.clean,
        })
    }
}

impl From<TaskReport> for v1::TaskReport {
    fn from(report: TaskReport) -> Self {
        Self {
            owned: Some(report.owned.into()),
            state: v1::RunState::from(report.state).into(),
            trace: report.trace.map(prose),
            restarts: report.restarts,
            cost: report.cost.map_or(0, Cost::units),
            tripped: report.tripped,
        }
    }
}

impl TryFrom<v1::TaskReport> for TaskReport {
    type Error = Invalid;

    fn try_from(report: v1::TaskReport) -> Result<Self, Invalid> {
        Ok(Self {
            owned: required("owned", report.owned)?,
            state: choice::<v1::RunState, _>("state", report.state)?,
            trace: optional_text("trace", report.trace, PROSE)?,
            restarts: report.restarts,
            cost: Cost::try_from(report.cost).ok(),
            tripped: report.tripped,
        })
    }
}

impl From<LeaveIntent> for v1::LeaveIntent {
    fn from(intent: LeaveIntent) -> Self {
        Self {
            expect_back: intent.expect_back_ms.map(read::duration),
        }
    }
}

impl TryFrom<v1::LeaveIntent> for LeaveIntent {
    type Error = Invalid;

    fn try_from(intent: v1::LeaveIntent) -> Result<Self, Invalid> {
        let back = intent.expect_back;
        Ok(Self {
            expect_back_ms: back.map(|back| millis("expect_back", Some(back))).transpose()?,
        })
    }
}

impl From<TaskConfigs> for v1::TaskConfigs {
    fn from(configs: TaskConfigs) -> Self {
        let task = |task: Arc<ConfigDiff>| Arc::unwrap_or_clone(task).into();
        Self {
            instance: Some(configs.instance.into()),
            config_version: configs.config_version,
            tasks: configs.tasks.into_iter().map(task).collect(),
        }
    }
}

impl TryFrom<v1::TaskConfigs> for TaskConfigs {
    type Error = Invalid;

    fn try_from(configs: v1::TaskConfigs) -> Result<Self, Invalid> {
        at_most("tasks", configs.tasks.len(), MAX_TASKS as usize, "tasks")?;
        let task = |task| Arc::new(ConfigDiff::from(task));
        Ok(Self {
            instance: required("instance", configs.instance)?,
            config_version: configs.config_version,
            tasks: configs.tasks.into_iter().map(task).collect(),
        })
    }
}

impl From<WriterOpened> for v1::WriterOpened {
    fn from(opened: WriterOpened) -> Self {
        Self {
            cluster: opened.cluster.into(),
            refused: opened.refused.map(prose),
        }
    }
}

impl TryFrom<v1::WriterOpened> for WriterOpened {
    type Error = Invalid;

    fn try_from(opened: v1::WriterOpened) -> Result<Self, Invalid> {
        Ok(Self {
            cluster: name("cluster", opened.cluster)?,
            refused: optional_text("refused", opened.refused, PROSE)?,
        })
    }
}

impl From<Command> for v1::Command {
    fn from(command: Command) -> Self {
        let what = match command.what {
            CommandWhat::FenceSessions { connector, dead } => v1::command::What::FenceSessions(v1::FenceSessions {
                connector: Some(Arc::unwrap_or_clone(connector).into()),
                dead: dead.into_iter().map(Into::into).collect(),
            }),
        };
        Self {
            id: command.id,
            what: Some(what),
        }
    }
}

impl TryFrom<v1::Command> for Command {
    type Error = Invalid;

    fn try_from(command: v1::Command) -> Result<Self, Invalid> {
        let what = match command.what {
            Some(v1::command::What::FenceSessions(fence)) => {
                let connector: AssignedConnector = required("fence_sessions.connector", fence.connector)?;
                CommandWhat::FenceSessions {
                    connector: Arc::new(connector),
                    dead: each("fence_sessions.dead", fence.dead)?,
                }
            }
            None => return Err(Invalid::new("what", "is nothing that this version knows")),
        };
        Ok(Self { id: command.id, what })
    }
}

impl From<CommandResult> for v1::CommandResult {
    fn from(result: CommandResult) -> Self {
        Self {
            id: result.id,
            error: result.error.map(prose),
        }
    }
}

impl TryFrom<v1::CommandResult> for CommandResult {
    type Error = Invalid;

    fn try_from(result: v1::CommandResult) -> Result<Self, Invalid> {
        Ok(Self {
            id: result.id,
            error: optional_text("error", result.error, PROSE)?,
        })
    }
}
