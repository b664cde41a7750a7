//! How a session begins, goes on and ends.

use super::v1;
use crate::Invalid;
use crate::read::{
    self, WORD, at_most, choice, each, millis, name, number, optional, prose, required, same_words, text,
};
use dray_model::message::{
    CallsHello, Fenced, FencedWhy, Held, Hello, NotLeader, Owned, Plugin, PluginKind, Verdict, Welcome,
};
use dray_model::{Capacity, LeasePolicy, PluginVersion, TaskKey, WorkerId};
use std::sync::Arc;

/// Ten times what a worker of Connect with all its plugins has.
const MOST_PLUGINS: usize = 4_096;
const MOST_LABELS: usize = 256;
/// An agent is meant for 100 tasks, and may hold more while they stop.
const MOST_HELD: usize = 65_536;

same_words!(v1::PluginKind, PluginKind: Source Sink Converter HeaderConverter Transformation Predicate ConfigProvider);
same_words!(v1::FencedWhy, FencedWhy: DeclaredDead DuplicateId Removed Protocol OtherCluster);

impl From<Owned> for v1::Owned {
    fn from(owned: Owned) -> Self {
        Self {
            connector_uid: owned.task.connector.get(),
            task: owned.task.number,
            generation: owned.generation.get(),
        }
    }
}

impl TryFrom<v1::Owned> for Owned {
    type Error = Invalid;

    fn try_from(owned: v1::Owned) -> Result<Self, Invalid> {
        Ok(Self {
            task: TaskKey {
                connector: number("connector_uid", owned.connector_uid)?,
                number: read::task(owned.task)?,
            },
            generation: number("generation", owned.generation)?,
        })
    }
}

impl From<Hello> for v1::Hello {
    fn from(hello: Hello) -> Self {
        Self {
            cluster: hello.cluster,
            agent: hello.agent.into(),
            instance: read::instance_bytes(hello.instance),
            previous_instance: hello.previous_instance.map(read::instance_bytes).unwrap_or_default(),
            session: hello.session.map_or(0, |session| session.get()),
            max_term: hello.max_term.map_or(0, |term| term.get()),
            software_version: hello.software_version,
            protocol_min: hello.protocol.0,
            protocol_max: hello.protocol.1,
            worker_id: hello.worker_id.into(),
            region: hello.region.into(),
            zone: hello.zone.into(),
            labels: hello.labels,
            capacity: Some(hello.capacity.into()),
            plugins: hello.plugins.into_iter().map(Into::into).collect(),
            held: hello.held.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::Hello> for Hello {
    type Error = Invalid;

    fn try_from(hello: v1::Hello) -> Result<Self, Invalid> {
        if hello.protocol_min == 0 {
            return Err(Invalid::new("protocol_min", "protocols are numbered from 1"));
        }
        if hello.protocol_max < hello.protocol_min {
            return Err(Invalid::new("protocol_max", "is below protocol_min"));
        }
        at_most("labels", hello.labels.len(), MOST_LABELS, "labels")?;
        for (key, value) in &hello.labels {
            at_most("labels", key.len().max(value.len()), WORD, "bytes in one key or value")?;
        }
        at_most("plugins", hello.plugins.len(), MOST_PLUGINS, "plugins")?;
        at_most("held", hello.held.len(), MOST_HELD, "tasks")?;
        let previous = &hello.previous_instance;
        Ok(Self {
            cluster: text("cluster", hello.cluster, WORD)?,
            agent: name("agent", hello.agent)?,
            instance: read::instance("instance", &hello.instance)?,
            previous_instance: (!previous.is_empty())
                .then(|| read::instance("previous_instance", previous))
                .transpose()?,
            session: optional(hello.session),
            max_term: optional(hello.max_term),
            software_version: text("software_version", hello.software_version, WORD)?,
            protocol: (hello.protocol_min, hello.protocol_max),
            worker_id: WorkerId::from(text("worker_id", hello.worker_id, WORD)?),
            region: name("region", hello.region)?,
            zone: name("zone", hello.zone)?,
            labels: hello.labels,
            capacity: required("capacity", hello.capacity)?,
            plugins: plugins(hello.plugins)?,
            held: each("held", hello.held)?,
        })
    }
}

/// A newer agent may have plugins of a kind that no connector of ours can ask for; that is no reason to refuse it.
fn plugins(mut plugins: Vec<v1::Plugin>) -> Result<Vec<Plugin>, Invalid> {
    plugins.retain(|plugin| v1::PluginKind::try_from(plugin.kind).is_ok());
    each("plugins", plugins)
}

impl From<CallsHello> for v1::CallsHello {
    fn from(hello: CallsHello) -> Self {
        Self {
            agent: hello.agent.into(),
            plugins: hello.plugins.into_iter().map(Into::into).collect(),
        }
    }
}

impl TryFrom<v1::CallsHello> for CallsHello {
    type Error = Invalid;

    fn try_from(hello: v1::CallsHello) -> Result<Self, Invalid> {
        at_most("plugins", hello.plugins.len(), MOST_PLUGINS, "plugins")?;
        Ok(Self {
            agent: name("agent", hello.agent)?,
            plugins: plugins(hello.plugins)?,
        })
    }
}

impl From<Capacity> for v1::Capacity {
    fn from(capacity: Capacity) -> Self {
        Self {
            slots: capacity.slots.get(),
            cost: capacity.cost.get(),
        }
    }
}

impl TryFrom<v1::Capacity> for Capacity {
    type Error = Invalid;

    fn try_from(capacity: v1::Capacity) -> Result<Self, Invalid> {
        read::capacity(capacity.slots, capacity.cost)
    }
}

impl From<Plugin> for v1::Plugin {
    fn from(plugin: Plugin) -> Self {
        Self {
            class: plugin.class.into(),
            version: plugin.version.into(),
            kind: v1::PluginKind::from(plugin.kind).into(),
        }
    }
}

impl TryFrom<v1::Plugin> for Plugin {
    type Error = Invalid;

    fn try_from(plugin: v1::Plugin) -> Result<Self, Invalid> {
        Ok(Self {
            class: name("class", plugin.class)?,
            version: PluginVersion::from(text("version", plugin.version, WORD)?),
            kind: choice::<v1::PluginKind, _>("kind", plugin.kind)?,
        })
    }
}

impl From<Held> for v1::Held {
    fn from(held: Held) -> Self {
        Self {
            owned: Some(held.owned.into()),
            stopping: held.stopping,
            asked_restarts: held.asked_restarts,
        }
    }
}

impl TryFrom<v1::Held> for Held {
    type Error = Invalid;

    fn try_from(held: v1::Held) -> Result<Self, Invalid> {
        Ok(Self {
            owned: required("owned", held.owned)?,
            stopping: held.stopping,
            asked_restarts: held.asked_restarts,
        })
    }
}

impl From<Welcome> for v1::Welcome {
    fn from(welcome: Welcome) -> Self {
        Self {
            session: welcome.session.get(),
            number: welcome.number.get(),
            lease: Some(welcome.lease.into()),
            protocol: welcome.protocol,
            verdicts: welcome.verdicts.into_iter().map(Into::into).collect(),
            worker: Arc::unwrap_or_clone(welcome.worker),
        }
    }
}

impl TryFrom<v1::Welcome> for Welcome {
    type Error = Invalid;

    fn try_from(welcome: v1::Welcome) -> Result<Self, Invalid> {
        Ok(Self {
            session: number("session", welcome.session)?,
            number: read::agent_number("number", welcome.number)?,
            lease: required("lease", welcome.lease)?,
            protocol: welcome.protocol,
            verdicts: each("verdicts", welcome.verdicts)?,
            worker: Arc::new(welcome.worker),
        })
    }
}

impl From<LeasePolicy> for v1::LeasePolicy {
    fn from(lease: LeasePolicy) -> Self {
        Self {
            heartbeat: Some(read::duration(lease.heartbeat_ms)),
            suspect: Some(read::duration(lease.suspect_ms)),
            lease: Some(read::duration(lease.lease_ms)),
            stop: Some(read::duration(lease.stop_ms)),
            quiet: Some(read::duration(lease.quiet_ms)),
        }
    }
}

impl TryFrom<v1::LeasePolicy> for LeasePolicy {
    type Error = Invalid;

    fn try_from(lease: v1::LeasePolicy) -> Result<Self, Invalid> {
        Ok(Self {
            heartbeat_ms: millis("heartbeat", lease.heartbeat)?,
            suspect_ms: millis("suspect", lease.suspect)?,
            lease_ms: millis("lease", lease.lease)?,
            stop_ms: millis("stop", lease.stop)?,
            quiet_ms: millis("quiet", lease.quiet)?,
        })
    }
}

impl From<Verdict> for v1::Verdict {
    fn from(verdict: Verdict) -> Self {
        Self {
            owned: Some(verdict.owned.into()),
            keep: verdict.keep,
        }
    }
}

impl TryFrom<v1::Verdict> for Verdict {
    type Error = Invalid;

    fn try_from(verdict: v1::Verdict) -> Result<Self, Invalid> {
        Ok(Self {
            owned: required("owned", verdict.owned)?,
            keep: verdict.keep,
        })
    }
}

impl From<NotLeader> for v1::NotLeader {
    fn from(other: NotLeader) -> Self {
        Self {
            endpoints: other.endpoints,
            retry_after: Some(read::duration(other.retry_after_ms)),
        }
    }
}

impl TryFrom<v1::NotLeader> for NotLeader {
    type Error = Invalid;

    fn try_from(other: v1::NotLeader) -> Result<Self, Invalid> {
        Ok(Self {
            endpoints: other.endpoints,
            retry_after_ms: millis("retry_after", other.retry_after)?,
        })
    }
}

impl From<Fenced> for v1::Fenced {
    fn from(fenced: Fenced) -> Self {
        Self {
            why: v1::FencedWhy::from(fenced.why).into(),
            detail: prose(fenced.detail),
            retry_after: Some(read::duration(fenced.retry_after_ms)),
        }
    }
}

impl TryFrom<v1::Fenced> for Fenced {
    type Error = Invalid;

    /// A reason that we do not know changes nothing: the session is over.
    fn try_from(fenced: v1::Fenced) -> Result<Self, Invalid> {
        Ok(Self {
            why: choice::<v1::FencedWhy, _>("why", fenced.why).unwrap_or(FencedWhy::DeclaredDead),
            detail: text("detail", fenced.detail, read::PROSE)?,
            retry_after_ms: millis("retry_after", fenced.retry_after)?,
        })
    }
}
