//! The settings of `dray-agent`: who it is, where it stands, what it can carry, and where its control plane is. What workers share
//! (Kafka, converters, offsets) comes from the control plane.

use crate::folder::DataFolder;
use crate::inventory::inventory;
use crate::plugins;
use dray_model::{AgentId, Capacity, Instance, InvalidName, Region, WorkerId, ZeroCost, Zone};
use dray_process::settings::{Given, Kind, Program, Setting};
use dray_session::Identity;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The program.
pub const PROGRAM: Program = Program {
    name: "dray-agent",
    about: "Runs connector tasks of a Dray cluster. It dials out to the control plane; nothing connects to it.",
    version: env!("CARGO_PKG_VERSION"),
    env: "DRAY_AGENT",
};

/// All settings.
pub const SETTINGS: &[Setting] = &[
    Setting {
        name: "cluster",
        help: "Id of the Dray cluster: `group.id` of its worker configuration.",
        kind: Kind::Text,
        default: Given::Required,
    },
    Setting {
        name: "control",
        help: "Addresses of the control plane's replicas, host:port.",
        kind: Kind::List,
        default: Given::Required,
    },
    Setting {
        name: "agent-id",
        help: "Its name, which must stay the same over restarts and be no other agent's. Without it: the host's name.",
        kind: Kind::Text,
        default: Given::Optional,
    },
    Setting {
        name: "worker-id",
        help: "What Connect's REST API shows as worker_id, host:port. Without it: the host's name and 8083.",
        kind: Kind::Text,
        default: Given::Optional,
    },
    Setting {
        name: "region",
        help: "The region it stands in.",
        kind: Kind::Text,
        default: Given::Default("default"),
    },
    Setting {
        name: "zone",
        help: "The zone of the region: agents of one zone fail together, and tasks of a connector are spread over zones.",
        kind: Kind::Text,
        default: Given::Default("default"),
    },
    Setting {
        name: "labels",
        help: "Labels that connectors select agents by (`dray.placement.labels`), key=value.",
        kind: Kind::Map,
        default: Given::Optional,
    },
    Setting {
        name: "task-slots",
        help: "How many tasks and connector instances it takes at most.",
        kind: Kind::Number,
        default: Given::Default("16384"),
    },
    Setting {
        name: "cost-units",
        help: "How much work it takes at most; an ordinary task is 1000 units. Agents are loaded in proportion to it.",
        kind: Kind::Number,
        default: Given::Default("16384000"),
    },
    Setting {
        name: "data-dir",
        help: "A folder on a local disk, for this agent alone. Its lock proves after a crash that the process before is dead.",
        kind: Kind::File,
        default: Given::Default("/var/lib/dray-agent"),
    },
    Setting {
        name: "back-in",
        help: "When it is stopped: after which time it means to be back. Its tasks are held for it so long, 5 min at most. Without it \
               they go to other agents at once.",
        kind: Kind::Duration,
        default: Given::Optional,
    },
    Setting {
        name: "metrics-listen",
        help: "Where to serve /metrics, host:port, such as 127.0.0.1:9404; port 0 takes a free one. Without it: nowhere.",
        kind: Kind::Text,
        default: Given::Optional,
    },
    Setting {
        name: "log",
        help: "`text` or `json`. DRAY_LOG sets the level, as in DRAY_LOG=debug.",
        kind: Kind::Choice(&["text", "json"]),
        default: Given::Default("text"),
    },
];

/// What they say.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AgentSettings {
    /// The Dray cluster.
    pub cluster: String,
    /// The control plane.
    pub control: Vec<String>,
    agent_id: Option<String>,
    worker_id: Option<String>,
    region: String,
    zone: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    task_slots: u32,
    cost_units: u32,
    /// Its folder.
    pub data_dir: PathBuf,
    back_in: Option<u64>,
    metrics_listen: Option<String>,
    /// How log lines look.
    pub log: dray_process::log::Format,
}

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// A name is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// It could carry nothing.
    #[error("task-slots and cost-units must be at least 1; to give an agent no tasks, cordon it")]
    Capacity(#[from] ZeroCost),
    /// There is nowhere to dial.
    #[error("control: give the address of at least one replica")]
    NoControl,
    /// Nothing can be served there.
    #[error("metrics-listen: {0} is not an address such as 127.0.0.1:9404 or [::1]:9404")]
    Listen(String),
}

/// Settings that can be used.
#[derive(Clone, Debug)]
pub struct Plan {
    agent: AgentId,
    worker_id: WorkerId,
    region: Region,
    zone: Zone,
    capacity: Capacity,
    /// In how many milliseconds it means to be back.
    pub back_in_ms: Option<u32>,
    /// Where it serves its metrics.
    pub metrics_listen: Option<SocketAddr>,
}

impl AgentSettings {
    /// Checks what can be checked without touching anything.
    ///
    /// # Errors
    /// For the first setting that is wrong.
    pub fn validate(&self) -> Result<Plan, Invalid> {
        if self.control.is_empty() {
            return Err(Invalid::NoControl);
        }
        let host = host();
        let worker_id = self.worker_id.clone().unwrap_or_else(|| format!("{host}:8083"));
        let address = |text: &String| text.parse().map_err(|_| Invalid::Listen(text.clone()));
        Ok(Plan {
            metrics_listen: self.metrics_listen.as_ref().map(address).transpose()?,
            agent: AgentId::try_from(self.agent_id.clone().unwrap_or(host))?,
            worker_id: WorkerId::from(worker_id),
            region: Region::try_from(self.region.as_str())?,
            zone: Zone::try_from(self.zone.as_str())?,
            capacity: Capacity::new(self.task_slots, self.cost_units)?,
            back_in_ms: self.back_in.map(|time| u32::try_from(time).unwrap_or(u32::MAX)),
        })
    }

    /// Who this process is. `instance` is a random number.
    ///
    /// # Errors
    /// When a plugin has no legal name.
    pub fn identity(&self, plan: &Plan, folder: &DataFolder) -> Result<Identity, InvalidName> {
        Ok(Identity {
            cluster: self.cluster.clone(),
            agent: plan.agent.clone(),
            instance: folder.instance,
            previous_instance: folder.previous,
            worker_id: plan.worker_id.clone(),
            region: plan.region.clone(),
            zone: plan.zone.clone(),
            labels: self.labels.clone(),
            capacity: plan.capacity,
            plugins: inventory(&plugins::all())?,
            software_version: PROGRAM.version.to_owned(),
            seed: folder.instance.0 as u64,
        })
    }
}

/// The name of this host.
#[must_use]
pub fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// A random number for a process.
#[must_use]
pub fn new_instance() -> Instance {
    Instance(uuid::Uuid::new_v4().as_u128())
}
