//! What both planes agree on: ids, states and the legal changes of state.
//!
//! [`id`] names connectors, tasks and workers, [`generation`] fences their owners, [`state`] has the one table of legal
//! changes, [`status`] what was seen. [`agent`], [`cost`], [`label`], [`names`] and [`version`] are what placing needs. [`message`] is
//! what an agent and the leader say to each other, [`record`] what the metadata store holds. Wire types stop before this crate; it
//! knows no runtime and no transport.

pub mod agent;
pub mod clock;
pub mod config;
pub mod cost;
pub mod generation;
pub mod id;
pub mod label;
pub mod message;
pub mod names;
pub mod record;
pub mod session;
pub mod state;
pub mod status;
pub mod version;

pub use agent::{AgentNumber, AgentPolicy, InvalidAgentNumber};
pub use clock::Millis;
pub use config::{ConfigDiff, ConfigDigest, ConfigMap};
pub use cost::{Capacity, Cost, ZeroCost};
pub use generation::Generation;
pub use id::{ConnectorName, ConnectorUid, InvalidConnectorName, InvalidTaskId, TaskId, TaskKey, WorkerId};
pub use label::{InvalidSelector, Labels, Selector};
pub use names::{AgentId, InvalidName, KafkaCluster, PluginClass, Region, Zone};
pub use session::{AgentSession, Instance, LeasePolicy, SessionId, Term};
pub use state::{ConnectorState, IllegalTransition, TargetState, TaskState};
pub use status::{ConnectorStatus, Status, TaskStatus};
pub use version::{InvalidVersionRange, PluginVersion, VersionRange};
