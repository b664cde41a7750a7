//! Random days. After every event the machine is compared with itself; after a day of legal events everything runs again, once.

use super::super::*;
use super::world::*;
use crate::seeds::same_each_time;
use dray_model::message::*;
use dray_model::{AgentPolicy, TargetState};
use proptest::prelude::*;
use std::num::NonZeroU64;

/// What happens; numbers are taken modulo what exists.
#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Create {
        connector: usize,
        tasks: usize,
        strict: bool,
    },
    Configure {
        connector: usize,
        tasks: usize,
    },
    Target {
        connector: usize,
        target: TargetState,
    },
    Delete(usize),
    Restart {
        connector: usize,
        task: Option<u32>,
    },
    Rewant {
        connector: usize,
        tasks: usize,
    },
    Freeze(usize),
    Thaw(usize),
    Reconnect(usize),
    Reborn {
        agent: usize,
        proof: bool,
    },
    Leave {
        agent: usize,
        back: Option<u32>,
    },
    SlowStop {
        agent: usize,
        slow: bool,
    },
    Policy {
        agent: usize,
        policy: AgentPolicy,
    },
    Writer {
        agent: usize,
        refused: bool,
    },
    Fail {
        agent: usize,
        task: usize,
    },
    Elect,
    Valid(bool),
    Hold(bool),
    /// One of the writes that are held back is applied, or comes to another end.
    Release {
        which: usize,
        outcome: usize,
    },
}

const AGENTS: [&str; 4] = ["a", "b", "c", "d"];
const CONNECTORS: [&str; 3] = ["one", "two", "three"];
const SHARES: [&str; 5] = ["1", "x,y", "y,x", "x,y,z,w", "x,v,z"];

fn step() -> impl Strategy<Value = Step> {
    let agent = || 0..AGENTS.len();
    let connector = || 0..CONNECTORS.len();
    let tasks = || 0..SHARES.len();
    let targets = prop::sample::select(vec![TargetState::Started, TargetState::Paused, TargetState::Stopped]);
    let policies = prop::sample::select(vec![
        AgentPolicy::Active,
        AgentPolicy::Active,
        AgentPolicy::Cordoned,
        AgentPolicy::Draining,
        AgentPolicy::Restarting,
    ]);
    let back = prop::option::of(1_000..30_000_u32);
    prop_oneof![
        6 => prop::sample::select(vec![100_u64, 500, 1_500, 6_000, 12_000, 50_000]).prop_map(Step::Pass),
        2 => (connector(), tasks(), any::<bool>()).prop_map(|(connector, tasks, strict)| Step::Create { connector, tasks, strict }),
        2 => (connector(), tasks()).prop_map(|(connector, tasks)| Step::Configure { connector, tasks }),
        2 => (connector(), targets).prop_map(|(connector, target)| Step::Target { connector, target }),
        1 => connector().prop_map(Step::Delete),
        1 => (connector(), prop::option::of(0..4_u32)).prop_map(|(connector, task)| Step::Restart { connector, task }),
        2 => (connector(), tasks()).prop_map(|(connector, tasks)| Step::Rewant { connector, tasks }),
        2 => agent().prop_map(Step::Freeze),
        2 => agent().prop_map(Step::Thaw),
        2 => agent().prop_map(Step::Reconnect),
        1 => (agent(), any::<bool>()).prop_map(|(agent, proof)| Step::Reborn { agent, proof }),
        1 => (agent(), back).prop_map(|(agent, back)| Step::Leave { agent, back }),
        1 => (agent(), any::<bool>()).prop_map(|(agent, slow)| Step::SlowStop { agent, slow }),
        1 => (agent(), policies).prop_map(|(agent, policy)| Step::Policy { agent, policy }),
        2 => (agent(), any::<bool>()).prop_map(|(agent, refused)| Step::Writer { agent, refused }),
        1 => (agent(), 0..8_usize).prop_map(|(agent, task)| Step::Fail { agent, task }),
        1 => Just(Step::Elect),
        1 => any::<bool>().prop_map(Step::Valid),
        1 => any::<bool>().prop_map(Step::Hold),
        2 => (0..8_usize, 0..8_usize).prop_map(|(which, outcome)| Step::Release { which, outcome }),
    ]
}

fn exists(world: &World, connector: &str) -> bool {
    world.store.contains_key(&Name::Spec(name(connector)))
}

fn take(world: &mut World, step: &Step) {
    match *step {
        Step::Pass(ms) => world.pass(ms),
        Step::Create {
            connector,
            tasks,
            strict,
        } if !exists(world, CONNECTORS[connector]) => {
            let recovery = if strict { "strict" } else { "fenced" };
            let pairs = [
                ("connector.class", "Source"),
                ("tasks", SHARES[tasks]),
                ("dray.recovery", recovery),
            ];
            world.create(CONNECTORS[connector], &pairs);
        }
        Step::Configure { connector, tasks } if exists(world, CONNECTORS[connector]) => {
            world.configure(
                CONNECTORS[connector],
                &[("connector.class", "Source"), ("tasks", SHARES[tasks])],
            );
        }
        Step::Target { connector, target } if exists(world, CONNECTORS[connector]) => {
            world.change(CONNECTORS[connector], |spec| spec.target = target);
        }
        Step::Delete(connector) if exists(world, CONNECTORS[connector]) => {
            world.change(CONNECTORS[connector], |spec| spec.deleting = true);
        }
        Step::Restart { connector, task } if exists(world, CONNECTORS[connector]) => {
            world.change(CONNECTORS[connector], |spec| match task {
                Some(task) => *spec.task_restarts.entry(task).or_default() += 1,
                None => spec.restarts += 1,
            });
        }
        Step::Rewant { connector, tasks } if exists(world, CONNECTORS[connector]) => {
            let key = TaskKey::instance(world.uid(CONNECTORS[connector]));
            for id in AGENTS {
                let running = world.agents[id].running.get(&key).copied();
                if let (Some(generation), false) = (running, world.agents[id].frozen) {
                    let owned = Owned { task: key, generation };
                    let version = world.versions.get(&owned).copied().unwrap_or(1);
                    world.want_tasks(id, owned, version, SHARES[tasks]);
                }
            }
        }
        Step::Create { .. } | Step::Configure { .. } | Step::Target { .. } | Step::Delete(_) => {}
        Step::Restart { .. } | Step::Rewant { .. } => {}
        Step::Freeze(agent) => world.freeze(AGENTS[agent]),
        Step::Thaw(agent) => thaw(world, AGENTS[agent]),
        Step::Reconnect(agent) if !world.agents[AGENTS[agent]].frozen => {
            world.disconnect(AGENTS[agent]);
            world.connect(AGENTS[agent]);
        }
        Step::Reconnect(_) => {}
        Step::Reborn { agent, proof } => world.restart(AGENTS[agent], proof),
        Step::Leave { agent, back } => {
            let expect_back_ms = back;
            if !world.agents[AGENTS[agent]].frozen {
                world.say(AGENTS[agent], FromAgent::LeaveIntent(LeaveIntent { expect_back_ms }));
            }
        }
        Step::SlowStop { agent, slow } => slow_stop(world, AGENTS[agent], slow),
        Step::Policy { agent, policy } => {
            if world
                .store
                .contains_key(&Name::Agent(AGENTS[agent].try_into().unwrap()))
            {
                world.policy(AGENTS[agent], policy);
            }
        }
        Step::Writer { agent, refused } => {
            if !world.agents[AGENTS[agent]].frozen {
                world.open_writer(AGENTS[agent], "kafka", refused.then_some("no"));
            }
        }
        Step::Fail { agent, task } => {
            let agent = AGENTS[agent];
            let keys: Vec<_> = world.agents[agent].running.keys().copied().collect();
            if let (Some(key), false) = (keys.get(task), world.agents[agent].frozen) {
                let report = world.agents[agent].report_as(*key, RunState::Failed);
                world.say(agent, FromAgent::TaskEvents(vec![report]));
                let running = world.agents[agent].report(*key);
                world.say(agent, FromAgent::TaskEvents(vec![running]));
            }
        }
        Step::Elect => world.elect(),
        Step::Valid(valid) => world.valid = valid,
        Step::Hold(true) => world.held = world.held.take().or_else(|| Some(Default::default())),
        Step::Hold(false) => world.flow(),
        Step::Release { which, outcome } => {
            let Some(held) = world.held.as_mut().filter(|held| !held.is_empty()) else {
                return;
            };
            let write = held.remove(which % held.len()).unwrap();
            let outcome = match outcome {
                0 => Outcome::Refused,
                1 => Outcome::Conflict,
                _ => return world.apply(write),
            };
            world.step(Event::Written {
                write: write.id,
                outcome,
            });
        }
    }
}

/// A paused process goes on: it says Hello with what it has.
fn thaw(world: &mut World, id: &str) {
    if std::mem::take(&mut world.agent(id).frozen) {
        world.connect(id);
    }
}

fn slow_stop(world: &mut World, id: &str, slow: bool) {
    let was = std::mem::replace(&mut world.agent(id).slow_stop, slow);
    if was && !slow && !world.agents[id].frozen {
        let pending = std::mem::take(&mut world.agent(id).to_stop);
        world.stop(id, pending);
    }
}

fn start() -> World {
    let mut world = World::new();
    for id in AGENTS {
        world.start(id);
    }
    world.pass(1_000);
    world
}

/// The trouble ends: everything is heard, and goes as it should.
fn calm(world: &mut World) {
    world.valid = true;
    world.flow();
    world.pass(100);
    for id in AGENTS {
        slow_stop(world, id, false);
        if world.store.contains_key(&Name::Agent(id.try_into().unwrap())) {
            world.policy(id, AgentPolicy::Active);
        }
        // Whatever became of it: a new process, with the proof.
        world.restart(id, true);
    }
    // One that was refused, as its predecessor may have been alive, asks again.
    for _ in 0..3 {
        world.pass(40_000);
        for id in AGENTS {
            if world.agents[id].stream.is_none() {
                world.connect(id);
            }
        }
    }
    world.pass(40_000);
}

proptest! {
    #![proptest_config(same_each_time(300))]

    #[test]
    fn after_any_day_everything_runs_once(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = start();
        for step in &steps {
            take(&mut world, step);
        }
        calm(&mut world);
        prop_assert_eq!(world.resigned, None);
        for connector in CONNECTORS.into_iter().filter(|connector| exists(&world, connector)) {
            let Record::Spec(spec) = &world.store[&Name::Spec(name(connector))].record else { unreachable!() };
            prop_assert!(!spec.deleting, "{} was not deleted: {}", connector, world.state(connector));
            let state = world.state(connector);
            let (word, running) = match spec.target {
                TargetState::Started => ("RUNNING ", true),
                TargetState::Paused => ("PAUSED ", true),
                TargetState::Stopped => ("STOPPED ", false),
            };
            prop_assert_eq!(state, word, "{}", connector);
            let runs = world.running(connector);
            prop_assert!(runs.values().all(|agents| agents.len() == 1), "{:?}", runs);
            let tasks = match world.store.get(&Name::Tasks(name(connector))).map(|stored| &stored.record) {
                Some(Record::Tasks(set)) => {
                    prop_assert_eq!(set.config_version, spec.config_version);
                    set.tasks.len() + 1
                }
                Some(Record::Meta(_) | Record::Spec(_) | Record::Own(_) | Record::Agent(_)) => unreachable!(),
                None => 0,
            };
            prop_assert_eq!(runs.len(), if running { tasks } else { 0 }, "{:?}", runs);
        }
        // And then nothing moves.
        let (said, writes) = (world.changes_said(), world.writes);
        world.pass(30_000);
        prop_assert_eq!((world.changes_said(), world.writes), (said, writes));
    }

    /// Agents and stores may say anything: nothing panics, and what is kept in two places agrees.
    #[test]
    fn nonsense_breaks_nothing(
        steps in prop::collection::vec((step(), nonsense()), 1..60),
    ) {
        let mut world = start();
        for (step, nonsense) in &steps {
            take(&mut world, step);
            say_nonsense(&mut world, nonsense);
        }
        world.pass(10_000);
    }
}

/// Something that nobody should say.
#[derive(Clone, Debug)]
struct Nonsense {
    kind: usize,
    agent: usize,
    connector: usize,
    number: u32,
    counter: u32,
    state: usize,
}

fn nonsense() -> impl Strategy<Value = Nonsense> {
    let number = prop_oneof![0..5_u32, Just(TaskKey::INSTANCE), any::<u32>()];
    (
        0..14_usize,
        0..AGENTS.len(),
        0..CONNECTORS.len() + 1,
        number,
        0..60_u32,
        0..7_usize,
    )
        .prop_map(|(kind, agent, connector, number, counter, state)| Nonsense {
            kind,
            agent,
            connector,
            number,
            counter,
            state,
        })
}

fn say_nonsense(world: &mut World, nonsense: &Nonsense) {
    let id = AGENTS[nonsense.agent];
    let connector = CONNECTORS
        .get(nonsense.connector)
        .filter(|connector| exists(world, connector));
    let uid = connector.map_or(NonZeroU64::MIN.into(), |connector| world.uid(connector));
    let task = TaskKey {
        connector: uid,
        number: nonsense.number,
    };
    let Some(generation) = world.machine.term.generation(nonsense.counter) else {
        return;
    };
    let owned = Owned { task, generation };
    let states = [
        RunState::Fencing,
        RunState::Starting,
        RunState::Running,
        RunState::Paused,
        RunState::Restarting,
        RunState::Failed,
        RunState::Stopping,
    ];
    let report = TaskReport {
        owned,
        state: states[nonsense.state],
        trace: Some("?".into()),
        restarts: nonsense.counter,
        cost: dray_model::Cost::try_from(nonsense.number).ok(),
        tripped: false,
    };
    let reasons = [
        RefusedWhy::NoPlugin,
        RefusedWhy::OverCapacity,
        RefusedWhy::Connector,
        RefusedWhy::Suspect,
    ];
    let refused = RefusedTask {
        owned,
        why: reasons[nonsense.state % 4],
        message: "no".into(),
    };
    let dead = dray_model::AgentSession {
        agent: (1 + nonsense.agent as u32).try_into().unwrap(),
        session: world.machine.term.session(nonsense.counter).unwrap(),
    };
    let message = match nonsense.kind {
        0 => FromAgent::TasksStopped(vec![StoppedTask { owned, clean: false }]),
        1 => FromAgent::TaskEvents(vec![report]),
        2 => FromAgent::AssignmentAck(AssignmentAck {
            nonce: u64::from(nonsense.counter),
            refused: vec![refused],
        }),
        3 => {
            world.want_tasks(id, owned, u64::from(nonsense.counter % 4), SHARES[nonsense.state % 5]);
            return;
        }
        4 => FromAgent::SessionFenced {
            dead,
            cluster: cluster("kafka"),
        },
        5 => FromAgent::CommandResult(CommandResult {
            id: 1 << 63 | u64::from(nonsense.counter % 4),
            error: (nonsense.state == 0).then(|| "failed".into()),
        }),
        6 => FromAgent::GenerationCheck(vec![owned, owned]),
        7 => {
            // It lists what is not its own, twice, and quotes a session that may be anybody's.
            let agent = world.agent(id);
            let held = Held {
                owned,
                stopping: nonsense.state == 0,
                asked_restarts: Some(nonsense.counter),
            };
            let mut hello = agent.hello.clone();
            hello.session = agent.session;
            hello.held = agent.held();
            hello.held.extend([held.clone(), held]);
            let connection = ConnectionId(1_000_000 + world.now.0 + u64::from(nonsense.counter));
            let message = FromAgent::Hello(Box::new(hello));
            return world.step(Event::Message { connection, message });
        }
        8 => FromAgent::Hello(Box::new(world.agents[id].hello.clone())),
        9 => FromAgent::LeaveIntent(LeaveIntent { expect_back_ms: None }),
        10 => {
            let write = WriteId(u64::from(nonsense.counter));
            let known = world.held.iter().flatten().any(|held| held.id == write);
            let outcome = Outcome::Conflict;
            if !known {
                world.step(Event::Written { write, outcome });
            }
            return;
        }
        11 => return world.step(Event::Closed(ConnectionId(u64::from(nonsense.counter)))),
        12 => {
            let stale = world.store.iter().nth(nonsense.counter as usize % world.store.len());
            let (name, stored) = stale.map(|(name, stored)| (name.clone(), stored.clone())).unwrap();
            return world.step(Event::Changed(Change {
                name,
                revision: Revision(stored.revision.0 - 1),
                record: None,
            }));
        }
        _ => FromAgent::Heartbeat(Heartbeat {
            seq: 0,
            changed: vec![report],
            cpu_millis: u32::MAX,
            memory_bytes: u64::MAX,
        }),
    };
    world.say(id, message);
}
