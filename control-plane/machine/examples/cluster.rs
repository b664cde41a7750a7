//! What the leader's machine costs at full size: 1,000 agents, 10,000 connectors, 100,000 tasks. `cluster` prints, in milliseconds of a core, what
//! a new leader needs, what the agents' return costs it, and what an ordinary event and the loss of an agent do.
#![allow(clippy::print_stdout)]

use dray_machine::cluster::{
    ConnectionId, Effect, Event, Machine, Name, Outcome, Record, Revision, Snapshot, Stored, Timing,
};
use dray_model::message::{FromAgent, Heartbeat, Held, Hello, Owned, Plugin, PluginKind, RunState, TaskReport};
use dray_model::record::{
    AgentRecord, ClusterMeta, ConnectorSpec, Owner, Ownership, Shard, TaskSet, TaskSpec, Written,
};
use dray_model::{
    AgentNumber, AgentPolicy, Capacity, ConfigDigest, ConfigMap, ConnectorName, ConnectorUid, Cost, Instance, Millis,
    SessionId, TargetState, TaskKey, Term,
};
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{Duration, Instant};

const AGENTS: u64 = 1_000;
const CONNECTORS: u64 = 10_000;
const TASKS: u32 = 10;
const REVISION: u64 = 100_000;

fn one(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).expect("counted from 1")
}

fn term(number: u64) -> Term {
    one(number).into()
}

fn number(agent: u64) -> AgentNumber {
    let number = u32::try_from(agent + 1).expect("few agents");
    AgentNumber::try_from(number).expect("counted from 1")
}

fn session(agent: u64) -> SessionId {
    let number = u32::try_from(agent).expect("few agents");
    term(1).session(number).expect("a young term")
}

fn hello(agent: u64) -> Hello {
    let plugins = (0..60).map(|class| Plugin {
        class: format!("org.example.Plugin{class}").try_into().expect("a name"),
        version: "1".into(),
        kind: PluginKind::Source,
    });
    Hello {
        cluster: "dray".into(),
        agent: format!("agent-{agent}").try_into().expect("a name"),
        instance: Instance(agent.into()),
        previous_instance: None,
        session: Some(session(agent)),
        max_term: Some(term(1)),
        software_version: "1".into(),
        protocol: (1, 1),
        worker_id: format!("10.0.0.{agent}:8083").as_str().into(),
        region: format!("region-{}", agent % 4).try_into().expect("a name"),
        zone: format!("zone-{}", agent / 4 % 3).try_into().expect("a name"),
        labels: BTreeMap::new(),
        capacity: Capacity::new(250, 400_000).expect("not 0"),
        plugins: plugins.collect(),
        held: Vec::new(),
    }
}

/// The store of a cluster that has run for a while, and what each agent holds.
fn cluster() -> (Snapshot, Vec<Vec<Held>>) {
    let written = Written {
        term: term(1),
        operation: 1,
    };
    let mut snapshot = Vec::new();
    let mut put = |name: Name, record: Record| {
        let revision = Revision(REVISION);
        snapshot.push((name, Stored { revision, record }));
    };
    let meta = ClusterMeta {
        cluster: "dray".into(),
        epoch: 0,
        next_agent: number(AGENTS),
        worker: Arc::default(),
        written: Some(written),
    };
    put(Name::Meta, Record::Meta(meta));
    for agent in 0..AGENTS {
        let hello = hello(agent);
        let record = AgentRecord {
            number: number(agent),
            session: hello.session,
            instance: hello.instance,
            clusters: BTreeSet::from(["kafka".try_into().expect("a name")]),
            unfenceable: false,
            dead_sessions: BTreeMap::new(),
            policy: AgentPolicy::Active,
            worker_id: hello.worker_id,
            region: hello.region,
            zone: hello.zone,
            labels: hello.labels,
            capacity: hello.capacity,
            software_version: hello.software_version,
            written,
        };
        put(Name::Agent(hello.agent), Record::Agent(record));
    }
    let mut held = vec![Vec::new(); usize::try_from(AGENTS).expect("few agents")];
    let mut given = 0_u32;
    for connector in 0..CONNECTORS {
        let name = ConnectorName::try_from(format!("connector-{connector}")).expect("a name");
        let uid = ConnectorUid::from(one(connector + 10));
        let config = ConfigMap::from([
            ("connector.class".into(), format!("Plugin{}", connector % 40)),
            ("topic".into(), format!("topic-{connector}")),
        ]);
        let task = TaskSpec {
            config: Arc::default(),
            digest: ConfigDigest::of_task(&config, &config),
            cost: Cost::DEFAULT,
        };
        let mut owner = |key: TaskKey| {
            given += 1;
            let agent = u64::from(given) * 7 % AGENTS;
            let generation = term(1).generation(given).expect("a young term");
            let owned = Owned { task: key, generation };
            held[usize::try_from(agent).expect("few agents")].push(Held {
                owned,
                stopping: false,
                asked_restarts: Some(0),
            });
            Owner {
                agent: number(agent),
                session: session(agent),
                generation,
            }
        };
        let owners = |owners| Ownership { uid, owners, written };
        let instance = BTreeMap::from([(TaskKey::INSTANCE, owner(TaskKey::instance(uid)))]);
        let tasks = (0..TASKS).map(|number| (number, owner(TaskKey { connector: uid, number })));
        put(
            Name::Own(name.clone(), Shard::Tasks(0)),
            Record::Own(owners(tasks.collect())),
        );
        put(Name::Own(name.clone(), Shard::Connector), Record::Own(owners(instance)));
        let set = TaskSet {
            uid,
            config_version: 1,
            tasks: vec![task; TASKS as usize],
            written,
        };
        put(Name::Tasks(name.clone()), Record::Tasks(set));
        let spec = ConnectorSpec {
            uid: Some(uid),
            config,
            target: TargetState::Started,
            config_version: 1,
            restarts: 0,
            task_restarts: BTreeMap::new(),
            deleting: false,
            altering: None,
            breaker: None,
            writer: "example".into(),
            operation: "1".into(),
        };
        put(Name::Spec(name), Record::Spec(spec));
    }
    (snapshot, held)
}

/// The time that this thread was on a core, if the system says so: a machine that is busy with other things does not change it.
fn on_core() -> Option<Duration> {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = schedstat.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let (begun, core) = (Instant::now(), on_core());
    let result = run();
    let wall = begun.elapsed();
    // The system counts in ticks of some milliseconds.
    let core = core.zip(on_core()).map(|(before, now)| now.saturating_sub(before));
    let took = core.filter(|_| wall > Duration::from_millis(20)).unwrap_or(wall);
    println!("{what:<60} {:>10.3} ms", took.as_secs_f64() * 1_000.0);
    result
}

/// Steps the machine, and applies what it writes. Returns how many messages it sent.
fn step(machine: &mut Machine, now: Millis, event: Event, revision: &mut u64) -> usize {
    let mut sent = 0;
    let mut effects = machine.step(now, event);
    while !effects.is_empty() {
        let mut then = Vec::new();
        for effect in effects {
            match effect {
                Effect::Send { .. } => sent += 1,
                Effect::Write(write) => {
                    *revision += 1;
                    let outcome = Outcome::Applied(Revision(*revision));
                    let write = write.id;
                    then.extend(machine.step(now, Event::Written { write, outcome }));
                }
                Effect::Close(_) | Effect::Show(_) | Effect::Answer(_) | Effect::Resign(_) => {}
            }
        }
        effects = then;
    }
    sent
}

fn main() {
    let (snapshot, held) = cluster();
    let mut now = Millis(1_000_000);
    let mut revision = REVISION + 10;
    let (mut machine, effects) = timed("a new leader takes over", || {
        Machine::new(term(revision), now, snapshot, Timing::default())
    });
    println!("{:<60} {:>10}", "… effects", effects.len());
    drop(effects);
    let say = |machine: &mut Machine, now, agent: u64, message, revision: &mut u64| {
        let connection = ConnectionId(agent);
        step(machine, now, Event::Message { connection, message }, revision)
    };
    step(&mut machine, now, Event::Valid(now.plus(1_000_000)), &mut revision);
    timed("all agents say Hello with what they hold", || {
        for (agent, held) in (0..AGENTS).zip(&held) {
            let mut hello = hello(agent);
            hello.held.clone_from(held);
            say(
                &mut machine,
                now,
                agent,
                FromAgent::Hello(Box::new(hello)),
                &mut revision,
            );
        }
    });
    let heartbeat = |changed| {
        FromAgent::Heartbeat(Heartbeat {
            seq: 1,
            changed,
            cpu_millis: 0,
            memory_bytes: 0,
        })
    };
    timed("all report all their tasks", || {
        for (agent, held) in (0..AGENTS).zip(&held) {
            let reports = held.iter().map(|held| TaskReport {
                owned: held.owned,
                state: RunState::Running,
                trace: None,
                restarts: 0,
                cost: None,
                tripped: false,
            });
            say(&mut machine, now, agent, heartbeat(reports.collect()), &mut revision);
        }
    });
    timed("a heartbeat of each", || {
        for agent in 0..AGENTS {
            say(&mut machine, now, agent, heartbeat(Vec::new()), &mut revision);
        }
    });
    now = now.plus(100);
    timed("a tick", || step(&mut machine, now, Event::Tick, &mut revision));
    timed("a stream breaks", || {
        step(&mut machine, now, Event::Closed(ConnectionId(7)), &mut revision)
    });
    now = now.plus(1_000);
    let sent = timed("… and its tasks have other owners", || {
        step(&mut machine, now, Event::Tick, &mut revision)
    });
    println!("{:<60} {sent:>10}", "… messages");
}
