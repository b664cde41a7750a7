//! Random leaders and drivers: whatever they say, in whatever order, what [`Watch`](super::watch::Watch) looks at holds.

use super::rig::*;
use super::rules_links::command;
use crate::{ConnectionId, Effect, Event};
use dray_model::message::*;
use dray_model::{Millis, SessionId, TaskKey};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Act {
    Time(u64),
    /// The stream does what it is asked to, and the leader what it should, so many steps.
    Onward(u8),
    /// These in a row.
    All(Vec<Act>),
    Connected(u64),
    Disconnected(u64),
    Welcome(u64, u8),
    Ack(u64),
    Assign {
        task: u8,
        ahead: u8,
        paused: bool,
        fence: bool,
        known: bool,
    },
    Revoke {
        task: u8,
        ahead: u8,
        graceful_ms: u32,
    },
    Fenced(u32),
    NotLeader,
    /// Another leader comes; or the old one says a word.
    Term(u8),
    Wanted(u8),
    Opened(u8, bool, bool),
    Confirmed(u8),
    Committed(u8, u64),
    WriterFenced(u8, bool),
    FenceDone(u8),
    Dead(u8, bool),
    Report(u8, u8),
    Check(u8),
    Verdict(u8, bool),
    Command(u64),
    CommandDone(u64),
    Configs(u8),
    Stored(u8),
    SessionFenced(u8),
    Leave(Option<u32>),
}

fn act() -> impl Strategy<Value = Act> {
    use Act::*;
    prop_oneof![
        6 => prop_oneof![4 => 0u64..400, 2 => 400u64..6_000, 1 => 6_000u64..70_000].prop_map(Time),
        24 => (1u8..8).prop_map(Onward),
        3 => (0u8..2).prop_map(|k| All(vec![Wanted(k), Opened(k, false, true), Confirmed(k)])),
        2 => (0u8..5, any::<bool>()).prop_map(|(task, keep)| All(vec![Check(task), Verdict(task, keep)])),
        2 => (0u8..5).prop_map(|task| {
            All(vec![Disconnected(0), Check(task), Time(5), Committed(0, 0), Committed(1, 0)])
        }),
        1 => (0u64..3).prop_map(Connected),
        2 => (0u64..3).prop_map(Disconnected),
        2 => (0u64..3, any::<u8>()).prop_map(|(id, keep)| Welcome(id, keep)),
        4 => (0u64..4).prop_map(Ack),
        12 => (0u8..5, 0u8..4, any::<bool>(), prop::bool::weighted(0.3), prop::bool::weighted(0.9))
            .prop_map(|(task, ahead, paused, fence, known)| Assign { task, ahead, paused, fence, known }),
        4 => (0u8..5, 0u8..4, prop_oneof![Just(0), Just(5_000), any::<u32>()])
            .prop_map(|(task, ahead, graceful_ms)| Revoke { task, ahead, graceful_ms }),
        1 => any::<u32>().prop_map(Fenced),
        1 => Just(NotLeader),
        2 => (0u8..4).prop_map(Term),
        4 => (0u8..2).prop_map(Wanted),
        5 => (0u8..2, prop::bool::weighted(0.1), prop::bool::weighted(0.9)).prop_map(|(k, refused, own)| Opened(k, refused, own)),
        5 => (0u8..2).prop_map(Confirmed),
        5 => (0u8..2, 0u64..9_000).prop_map(|(k, ago)| Committed(k, ago)),
        1 => (0u8..2, prop::bool::weighted(0.8)).prop_map(|(k, own)| WriterFenced(k, own)),
        4 => (0u8..5).prop_map(FenceDone),
        9 => (0u8..5, any::<bool>()).prop_map(|(task, clean)| Dead(task, clean)),
        6 => (0u8..5, 0u8..7).prop_map(|(task, state)| Report(task, state)),
        6 => (0u8..5).prop_map(Check),
        6 => (0u8..5, any::<bool>()).prop_map(|(task, keep)| Verdict(task, keep)),
        1 => (0u64..4).prop_map(Command),
        1 => (0u64..4).prop_map(CommandDone),
        1 => (0u8..5).prop_map(Configs),
        1 => (0u8..5).prop_map(Stored),
        1 => (0u8..2).prop_map(SessionFenced),
    ]
}

const STATES: [RunState; 7] = [
    RunState::Fencing,
    RunState::Starting,
    RunState::Running,
    RunState::Paused,
    RunState::Restarting,
    RunState::Failed,
    RunState::Stopping,
];

/// Tasks 0 and 1 of two connectors, one of them strict, and an instance.
fn key(n: u8) -> TaskKey {
    match n {
        4 => TaskKey::instance(uid(1)),
        n => task(u64::from(n % 2) + 1, u32::from(n / 2)),
    }
}

struct World {
    rig: Rig,
    /// The newest generation that was handed out of each task.
    generations: BTreeMap<u8, u64>,
    newest: u64,
    sessions: u64,
    seen: BTreeMap<&'static str, u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            rig: Rig::seeded(seed),
            generations: BTreeMap::new(),
            newest: 10,
            sessions: 0,
            seen: BTreeMap::new(),
        }
    }

    fn k(n: u8) -> dray_model::KafkaCluster {
        cluster(["k", "n"][usize::from(n)])
    }

    fn present(&self) -> SessionId {
        self.rig.watch.session.unwrap_or_else(|| session(1))
    }

    fn generation(&self, task: u8) -> Owned {
        let generation = self.generations.get(&task).copied().unwrap_or(10);
        owned(key(task), generation)
    }

    /// What runs of a task, or what was handed out of it.
    fn living(&self, task: u8) -> Owned {
        let alive = self.rig.watch.alive.keys().find(|owned| owned.task == key(task));
        alive.copied().unwrap_or_else(|| self.generation(task))
    }

    fn act(&mut self, act: &Act) {
        let rig = &mut self.rig;
        let current = rig.connection;
        let event = match act.clone() {
            Act::Time(ms) => {
                rig.now += ms;
                Event::Tick
            }
            Act::Onward(steps) => {
                for _ in 1..steps {
                    self.onward();
                    self.count();
                }
                return self.onward();
            }
            Act::All(acts) => {
                return for act in &acts {
                    self.act(act);
                    self.count();
                };
            }
            Act::Connected(back) => Event::Connected(ConnectionId(current.saturating_sub(back))),
            Act::Disconnected(back) => Event::Disconnected(ConnectionId(current.saturating_sub(back))),
            Act::Welcome(id, keep) => return self.welcome(id, keep),
            Act::Ack(back) => {
                let seq = rig.beats.get(&current).copied().unwrap_or(0).saturating_sub(back);
                return drop(rig.hear(Order::HeartbeatAck(HeartbeatAck { seq })));
            }
            Act::Assign {
                task,
                ahead,
                paused,
                fence,
                known,
            } => return self.assign(task, ahead, paused, fence, known),
            Act::Revoke {
                task,
                ahead,
                graceful_ms,
            } => {
                let Owned { task, generation } = self.generation(task);
                let owned = owned(task, generation.get() + u64::from(ahead / 3));
                let why = RevokedWhy::Moved;
                return drop(self.rig.delta(
                    vec![Revocation {
                        owned,
                        graceful_ms,
                        why,
                    }],
                    Vec::new(),
                ));
            }
            Act::Fenced(retry_after_ms) => {
                let (why, detail) = (FencedWhy::DeclaredDead, String::new());
                return drop(rig.hear(Order::Fenced(Fenced {
                    why,
                    detail,
                    retry_after_ms: retry_after_ms % 3_000,
                })));
            }
            Act::NotLeader => {
                let not = NotLeader {
                    endpoints: vec!["x".into()],
                    retry_after_ms: 500,
                };
                return drop(rig.hear(Order::NotLeader(not)));
            }
            Act::Term(0) => {
                rig.term += 1;
                Event::Disconnected(ConnectionId(current))
            }
            Act::Term(word) => {
                rig.term -= 1;
                rig.hear(match word {
                    1 => Order::Welcome(welcome(1, &[])),
                    2 => Order::Fenced(Fenced {
                        why: FencedWhy::DeclaredDead,
                        detail: String::new(),
                        retry_after_ms: 0,
                    }),
                    _ => Order::WriterConfirmed(Self::k(0)),
                });
                rig.term += 1;
                return;
            }
            Act::Wanted(k) => Event::WriterWanted(Self::k(k)),
            Act::Opened(k, refused, own) => Event::WriterOpened {
                session: if own { self.present() } else { session(999) },
                cluster: Self::k(k),
                refused: refused.then(|| "no".into()),
            },
            Act::Confirmed(k) => return drop(rig.hear(Order::WriterConfirmed(Self::k(k)))),
            Act::Committed(k, ago) => Event::WriterCommitted {
                sent: Millis(rig.now.saturating_sub(ago)),
                session: self.present(),
                cluster: Self::k(k),
            },
            Act::WriterFenced(k, own) => Event::WriterFenced {
                session: if own { self.present() } else { session(999) },
                cluster: Self::k(k),
            },
            Act::FenceDone(task) => Event::FenceDone(self.generation(task)),
            Act::Dead(task, clean) => Event::Dead {
                owned: self.living(task),
                clean,
            },
            Act::Report(task, state) => Event::Report(report(self.living(task), STATES[usize::from(state)])),
            Act::Check(task) => Event::Check(self.living(task)),
            Act::Verdict(task, keep) => {
                let owned = self.living(task);
                return drop(self.rig.hear(Order::Verdicts(vec![Verdict { owned, keep }])));
            }
            Act::Command(id) => return drop(rig.hear(Order::Command(command(id)))),
            Act::CommandDone(id) => Event::CommandDone { id, error: None },
            Act::Configs(task) => Event::TaskConfigs(TaskConfigs {
                instance: self.living(task),
                config_version: 1,
                tasks: Vec::new(),
            }),
            Act::Stored(task) => {
                let instance = self.living(task);
                return drop(self.rig.hear(Order::TaskConfigsStored { instance }));
            }
            Act::SessionFenced(k) => Event::SessionFenced {
                dead: dead_session(2, 3, &[]).session,
                cluster: Self::k(k),
            },
            Act::Leave(back_in_ms) => Event::Leave { back_in_ms },
        };
        self.rig.on(event);
    }

    /// One step of what a leader and a driver would do.
    fn onward(&mut self) {
        let current = ConnectionId(self.rig.connection);
        let greeted = self.rig.on(Event::Connected(current));
        if greeted.contains("say hello") {
            return;
        }
        if self.rig.beats.contains_key(&current.0) {
            self.rig.ack();
        } else if self.rig.session.is_greeted() {
            self.welcome(0, u8::MAX);
        } else {
            self.rig.now += 500;
            self.rig.on(Event::Tick);
        }
    }

    fn welcome(&mut self, other: u64, keep: u8) {
        let (quoted, held) = self.rig.hello.clone();
        self.sessions += u64::from(quoted.is_none());
        let id = quoted.map_or(self.sessions, SessionId::get) + other / 2;
        self.sessions = self.sessions.max(id);
        let verdicts: Vec<_> = held
            .iter()
            .enumerate()
            .map(|(n, owned)| (*owned, keep >> (n % 8) & 1 == 1))
            .collect();
        self.rig.hear(Order::Welcome(welcome(id, &verdicts)));
    }

    fn assign(&mut self, task: u8, ahead: u8, paused: bool, fence: bool, known: bool) {
        let now = self.generation(task).generation.get();
        // Mostly the next one; sometimes the same again, or an old one.
        let generation = match ahead {
            0 => now,
            1 => now.saturating_sub(1).max(1),
            _ => {
                self.newest += 1;
                self.newest
            }
        };
        self.generations.insert(task, generation.max(now));
        let fence_first = if fence {
            vec![dead_session(2, 3, &["k"])]
        } else {
            Vec::new()
        };
        let assignment = Assignment {
            paused,
            fence_first,
            ..assignment(owned(key(task), generation))
        };
        let connectors = if known {
            vec![connector(assignment.owned.task.connector.get())]
        } else {
            Vec::new()
        };
        self.rig.hear(Order::Assignments(Box::new(AssignmentDelta {
            nonce: 1,
            revocations: Vec::new(),
            connectors,
            assignments: vec![assignment],
        })));
    }

    fn count(&mut self) {
        for effect in &self.rig.last {
            let what = match effect {
                Effect::SessionBegan { .. } => "session",
                Effect::Start { .. } => "start",
                Effect::Stop { .. } => "stop",
                Effect::Kill { .. } => "kill",
                Effect::UseWriter { .. } => "use",
                Effect::Checked { keep: true, .. } => "keep",
                Effect::FenceFirst { .. } => "fence",
                Effect::Leave => "leave",
                Effect::Gate(gate) if gate.shut => "shut",
                Effect::Send {
                    message: FromAgent::TasksStopped(_),
                    ..
                } => "stopped",
                _ => continue,
            };
            *self.seen.entry(what).or_default() += 1;
        }
    }
}

#[test]
fn whatever_a_leader_says() {
    /// What must be seen, or the test is about nothing.
    const SEEN: [&str; 10] = [
        "session", "start", "stop", "kill", "use", "keep", "fence", "leave", "shut", "stopped",
    ];
    let config = Config {
        failure_persistence: None,
        ..Config::default()
    };
    let cases = config.cases;
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let seen: RefCell<BTreeMap<&str, u64>> = RefCell::default();
    let leave = prop::option::of(prop::option::of(any::<u32>()));
    let strategy = (any::<u64>(), prop::collection::vec(act(), 50..250), leave);
    let result = runner.run(&strategy, |(seed, acts, leave)| {
        let mut world = World::new(seed);
        // The end comes before the last few.
        let at = acts.len() * 4 / 5;
        for (n, act) in acts.iter().enumerate() {
            if let Some(back) = leave.filter(|_| n == at) {
                world.act(&Act::Leave(back));
                world.count();
            }
            world.act(act);
            world.count();
        }
        for (what, times) in &world.seen {
            *seen.borrow_mut().entry(what).or_default() += times;
        }
        Ok(())
    });
    result.unwrap();
    let seen = seen.into_inner();
    for what in SEEN {
        let times = seen.get(what).copied().unwrap_or(0);
        assert!(
            times * 20 > u64::from(cases),
            "this test hardly sees `{what}`: {seen:?}"
        );
    }
}
