//! The protocol between agents and the leader: `dray.agent.v1` and [`dray_model::message`].

mod assignment;
mod hello;
mod report;

use crate::Invalid;
use crate::read::{self, each, name, number, required};
use dray_model::AgentSession;
use dray_model::message::{FromAgent, Order, ToAgent};

/// As it is on the wire.
#[allow(missing_docs, clippy::all, unreachable_pub)]
pub mod v1 {
    tonic::include_proto!("dray.agent.v1");
}

use v1::session_request::Body as Request;
use v1::session_response::Body as Response;

impl From<FromAgent> for v1::SessionRequest {
    fn from(message: FromAgent) -> Self {
        Self {
            body: Some(match message {
                FromAgent::Hello(hello) => Request::Hello((*hello).into()),
                FromAgent::Heartbeat(heartbeat) => Request::Heartbeat(heartbeat.into()),
                FromAgent::AssignmentAck(ack) => Request::AssignmentAck(ack.into()),
                FromAgent::TasksStopped(tasks) => Request::TasksStopped(v1::TasksStopped {
                    tasks: tasks.into_iter().map(Into::into).collect(),
                }),
                FromAgent::TaskEvents(events) => Request::TaskEvents(v1::TaskEvents {
                    events: events.into_iter().map(Into::into).collect(),
                }),
                FromAgent::LeaveIntent(intent) => Request::LeaveIntent(intent.into()),
                FromAgent::TaskConfigs(configs) => Request::TaskConfigs(configs.into()),
                FromAgent::WriterOpened(opened) => Request::WriterOpened(opened.into()),
                FromAgent::SessionFenced { dead, cluster } => Request::SessionFenced(v1::SessionFenced {
                    agent: dead.agent.get(),
                    session: dead.session.get(),
                    cluster: cluster.into(),
                }),
                FromAgent::GenerationCheck(owned) => Request::GenerationCheck(v1::GenerationCheck {
                    owned: owned.into_iter().map(Into::into).collect(),
                }),
                FromAgent::CommandResult(result) => Request::CommandResult(result.into()),
            }),
        }
    }
}

impl TryFrom<v1::SessionRequest> for FromAgent {
    type Error = Invalid;

    fn try_from(message: v1::SessionRequest) -> Result<Self, Invalid> {
        let body = message.body;
        Ok(match body.ok_or_else(unknown_body)? {
            Request::Hello(hello) => Self::Hello(Box::new(required("hello", Some(hello))?)),
            Request::Heartbeat(heartbeat) => Self::Heartbeat(required("heartbeat", Some(heartbeat))?),
            Request::AssignmentAck(ack) => Self::AssignmentAck(required("assignment_ack", Some(ack))?),
            Request::TasksStopped(stopped) => Self::TasksStopped(each("tasks_stopped.tasks", stopped.tasks)?),
            Request::TaskEvents(events) => Self::TaskEvents(each("task_events.events", events.events)?),
            Request::LeaveIntent(intent) => Self::LeaveIntent(required("leave_intent", Some(intent))?),
            Request::TaskConfigs(configs) => Self::TaskConfigs(required("task_configs", Some(configs))?),
            Request::WriterOpened(opened) => Self::WriterOpened(required("writer_opened", Some(opened))?),
            Request::SessionFenced(fenced) => Self::SessionFenced {
                dead: AgentSession {
                    agent: read::agent_number("session_fenced.agent", fenced.agent)?,
                    session: number("session_fenced.session", fenced.session)?,
                },
                cluster: name("session_fenced.cluster", fenced.cluster)?,
            },
            Request::GenerationCheck(check) => Self::GenerationCheck(each("generation_check.owned", check.owned)?),
            Request::CommandResult(result) => Self::CommandResult(required("command_result", Some(result))?),
        })
    }
}

impl From<ToAgent> for v1::SessionResponse {
    fn from(message: ToAgent) -> Self {
        Self {
            term: message.term.get(),
            body: Some(match message.body {
                Order::Welcome(welcome) => Response::Welcome(welcome.into()),
                Order::HeartbeatAck(ack) => Response::HeartbeatAck(v1::HeartbeatAck { seq: ack.seq }),
                Order::Assignments(delta) => Response::Assignments((*delta).into()),
                Order::TaskConfigsStored { instance } => Response::TaskConfigsStored(v1::TaskConfigsStored {
                    instance: Some(instance.into()),
                }),
                Order::WriterConfirmed(cluster) => Response::WriterConfirmed(v1::WriterConfirmed {
                    cluster: cluster.into(),
                }),
                Order::Verdicts(verdicts) => Response::Verdicts(v1::Verdicts {
                    verdicts: verdicts.into_iter().map(Into::into).collect(),
                }),
                Order::Command(command) => Response::Command(command.into()),
                Order::Fenced(fenced) => Response::Fenced(fenced.into()),
                Order::NotLeader(other) => Response::NotLeader(other.into()),
            }),
        }
    }
}

impl TryFrom<v1::SessionResponse> for ToAgent {
    type Error = Invalid;

    fn try_from(message: v1::SessionResponse) -> Result<Self, Invalid> {
        let term = number("term", message.term)?;
        let body = match message.body.ok_or_else(unknown_body)? {
            Response::Welcome(welcome) => Order::Welcome(required("welcome", Some(welcome))?),
            Response::HeartbeatAck(ack) => Order::HeartbeatAck(dray_model::message::HeartbeatAck { seq: ack.seq }),
            Response::Assignments(delta) => Order::Assignments(Box::new(required("assignments", Some(delta))?)),
            Response::TaskConfigsStored(stored) => Order::TaskConfigsStored {
                instance: required("task_configs_stored.instance", stored.instance)?,
            },
            Response::WriterConfirmed(confirmed) => {
                Order::WriterConfirmed(name("writer_confirmed.cluster", confirmed.cluster)?)
            }
            Response::Verdicts(verdicts) => Order::Verdicts(each("verdicts.verdicts", verdicts.verdicts)?),
            Response::Command(command) => Order::Command(required("command", Some(command))?),
            Response::Fenced(fenced) => Order::Fenced(required("fenced", Some(fenced))?),
            Response::NotLeader(other) => Order::NotLeader(required("not_leader", Some(other))?),
        };
        Ok(Self { term, body })
    }
}

fn unknown_body() -> Invalid {
    Invalid::new("body", "is nothing that this version knows")
}
