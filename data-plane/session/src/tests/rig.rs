//! An agent with a leader and a driver that do what a test says. Effects are read as texts; whatever a test looks at, [`Watch`] looks at all.

use super::watch::Watch;
use crate::{ConnectionId, Effect, Event, Gate, Identity, Session};
use dray_model::message::*;
use dray_model::*;
use std::collections::BTreeMap;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

pub(super) fn identity(seed: u64) -> Identity {
    Identity {
        cluster: "dray".into(),
        agent: "a".try_into().unwrap(),
        instance: Instance(7),
        previous_instance: None,
        worker_id: "host:1".into(),
        region: "r".try_into().unwrap(),
        zone: "z".try_into().unwrap(),
        labels: Labels::default(),
        capacity: Capacity {
            slots: NonZeroU32::MIN,
            cost: NonZeroU32::MIN,
        },
        plugins: Vec::new(),
        software_version: "0".into(),
        seed,
    }
}

pub(super) fn term(n: u64) -> Term {
    NonZeroU64::new(n).unwrap().into()
}

pub(super) fn session(n: u64) -> SessionId {
    NonZeroU64::new(n).unwrap().into()
}

pub(super) fn uid(n: u64) -> ConnectorUid {
    NonZeroU64::new(n).unwrap().into()
}

/// A task of connector 1; connector 2 is `strict`.
pub(super) fn task(connector: u64, number: u32) -> TaskKey {
    TaskKey {
        connector: uid(connector),
        number,
    }
}

pub(super) fn owned(task: TaskKey, generation: u64) -> Owned {
    Owned {
        task,
        generation: NonZeroU64::new(generation).unwrap().into(),
    }
}

pub(super) fn cluster(name: &str) -> KafkaCluster {
    name.try_into().unwrap()
}

pub(super) fn connector(n: u64) -> Arc<AssignedConnector> {
    Arc::new(AssignedConnector {
        uid: uid(n),
        name: format!("c{n}").try_into().unwrap(),
        config_version: 1,
        config: ConfigMap::new(),
        recovery: if n == 2 { Recovery::Strict } else { Recovery::Fenced },
    })
}

pub(super) fn assignment(owned: Owned) -> Assignment {
    Assignment {
        owned,
        config: Arc::default(),
        digest: ConfigDigest::from([0; 32]),
        paused: false,
        cost: Cost::DEFAULT,
        fence_first: Vec::new(),
        asked_restarts: Some(0),
    }
}

pub(super) fn dead_session(agent: u32, id: u64, clusters: &[&str]) -> DeadSession {
    DeadSession {
        session: AgentSession {
            agent: agent.try_into().unwrap(),
            session: session(id),
        },
        clusters: clusters.iter().map(|name| cluster(name)).collect(),
    }
}

pub(super) fn welcome(id: u64, verdicts: &[(Owned, bool)]) -> Welcome {
    Welcome {
        session: session(id),
        number: 1.try_into().unwrap(),
        lease: LeasePolicy::default(),
        protocol: 1,
        verdicts: verdicts
            .iter()
            .map(|(owned, keep)| Verdict {
                owned: *owned,
                keep: *keep,
            })
            .collect(),
        worker: Arc::default(),
    }
}

pub(super) fn report(owned: Owned, state: RunState) -> TaskReport {
    TaskReport {
        owned,
        state,
        trace: None,
        restarts: 0,
        cost: None,
        tripped: false,
    }
}

/// The agent under test.
pub(super) struct Rig {
    pub(super) session: Session,
    pub(super) now: u64,
    pub(super) watch: Watch,
    /// The latest stream.
    pub(super) connection: u64,
    /// The term in which the leader speaks.
    pub(super) term: u64,
    nonce: u64,
    /// The latest heartbeat of each stream.
    pub(super) beats: BTreeMap<u64, u64>,
    /// What the latest Hello quoted and listed.
    pub(super) hello: (Option<SessionId>, Vec<Owned>),
    /// All that was wanted by the last step, heartbeats and gates too.
    pub(super) last: Vec<Effect>,
}

impl Rig {
    pub(super) fn new() -> Self {
        Self::seeded(1)
    }

    pub(super) fn seeded(seed: u64) -> Self {
        let (session, effects) = Session::new(identity(seed), Millis(1_000));
        let mut rig = Self {
            session,
            now: 1_000,
            watch: Watch::default(),
            connection: 0,
            term: 5,
            nonce: 0,
            beats: BTreeMap::new(),
            hello: (None, Vec::new()),
            last: Vec::new(),
        };
        rig.saw(None, effects);
        rig
    }

    /// With session 1 and its first heartbeat acknowledged.
    pub(super) fn up() -> Self {
        let mut rig = Self::new();
        rig.on(Event::Connected(ConnectionId(1)));
        rig.hear(Order::Welcome(welcome(1, &[])));
        rig.ack();
        rig
    }

    fn saw(&mut self, event: Option<&Event>, effects: Vec<Effect>) {
        self.watch.step(Millis(self.now), event, &effects);
        self.session.proof();
        for effect in &effects {
            match effect {
                Effect::Connect { connection, .. } => self.connection = connection.0,
                Effect::Send {
                    connection,
                    message: FromAgent::Heartbeat(beat),
                } => drop(self.beats.insert(connection.0, beat.seq)),
                Effect::Send {
                    message: FromAgent::Hello(hello),
                    ..
                } => self.hello = (hello.session, hello.held.iter().map(|held| held.owned).collect()),
                _ => {}
            }
        }
        self.last = effects;
    }

    /// What comes of it, without heartbeats and gates.
    pub(super) fn on(&mut self, event: Event) -> String {
        let effects = self.session.step(Millis(self.now), event.clone());
        self.saw(Some(&event), effects);
        let quiet = self.last.iter().filter(|effect| !is_noise(effect));
        quiet.map(text).collect::<Vec<_>>().join("; ")
    }

    pub(super) fn hear(&mut self, body: Order) -> String {
        self.on(Event::Message {
            connection: ConnectionId(self.connection),
            message: ToAgent {
                term: term(self.term),
                body,
            },
        })
    }

    pub(super) fn ack(&mut self) -> String {
        let seq = self.beats.get(&self.connection).copied().unwrap_or(0);
        self.hear(Order::HeartbeatAck(HeartbeatAck { seq }))
    }

    pub(super) fn assign(&mut self, assignments: Vec<Assignment>) -> String {
        self.delta(Vec::new(), assignments)
    }

    pub(super) fn revoke(&mut self, owned: Owned) -> String {
        let revocation = Revocation {
            owned,
            graceful_ms: 5_000,
            why: RevokedWhy::Moved,
        };
        self.delta(vec![revocation], Vec::new())
    }

    pub(super) fn delta(&mut self, revocations: Vec<Revocation>, assignments: Vec<Assignment>) -> String {
        self.nonce += 1;
        let mut uids: Vec<_> = assignments.iter().map(|one| one.owned.task.connector.get()).collect();
        uids.dedup();
        self.hear(Order::Assignments(Box::new(AssignmentDelta {
            nonce: self.nonce,
            revocations,
            connectors: uids.into_iter().filter(|uid| *uid < 9).map(connector).collect(),
            assignments,
        })))
    }

    /// Time passes in steps of 100 ms, or as soon as the agent wants to wake; what comes of it, without heartbeats and gates.
    pub(super) fn pass(&mut self, ms: u64) -> String {
        self.pass_with(ms, false)
    }

    /// The same, with a leader that answers.
    pub(super) fn pass_acked(&mut self, ms: u64) -> String {
        self.pass_with(ms, true)
    }

    fn pass_with(&mut self, ms: u64, acks: bool) -> String {
        let end = self.now + ms;
        let mut texts = Vec::new();
        while self.now < end {
            let wake = self.session.wake_at().map_or(u64::MAX, |at| at.0);
            self.now = (self.now + 100).min(end).min(wake.max(self.now + 1));
            texts.push(self.on(Event::Tick));
            if acks {
                texts.push(self.ack());
            }
        }
        texts.retain(|text| !text.is_empty());
        texts.join("; ")
    }

    pub(super) fn gate(&self) -> Gate {
        self.session.gate()
    }

    /// The stream breaks; a new one is opened and greeted. What was said on it.
    pub(super) fn reconnect(&mut self) -> String {
        self.on(Event::Disconnected(ConnectionId(self.connection)));
        self.await_connect();
        self.on(Event::Connected(ConnectionId(self.connection)))
    }

    /// Whatever the stream does: until a new one is greeted.
    pub(super) fn reconnect_until_hello(&mut self) {
        for _ in 0..700 {
            let greeted = self.on(Event::Connected(ConnectionId(self.connection)));
            if greeted.contains("say hello") {
                return;
            }
            self.pass(100);
        }
        panic!("no Hello within 70 s");
    }

    /// A writer on this cluster, ready to be used.
    pub(super) fn writer(&mut self, name: &str) {
        self.on(Event::WriterWanted(cluster(name)));
        self.on(Event::WriterOpened {
            session: self.watch.session.unwrap(),
            cluster: cluster(name),
            refused: None,
        });
        assert_eq!(
            self.hear(Order::WriterConfirmed(cluster(name))),
            format!("use writer {name}")
        );
    }

    pub(super) fn commit(&mut self, name: &str, sent: u64) -> String {
        self.on(Event::WriterCommitted {
            session: self.watch.session.unwrap(),
            cluster: cluster(name),
            sent: Millis(sent),
        })
    }

    pub(super) fn fence(&mut self, name: &str) -> String {
        self.on(Event::WriterFenced {
            session: self.watch.session.unwrap(),
            cluster: cluster(name),
        })
    }

    /// Until a stream is asked for.
    pub(super) fn await_connect(&mut self) {
        let before = self.connection;
        for _ in 0..700 {
            if self.connection > before {
                return;
            }
            self.pass(100);
        }
        panic!("no attempt to connect within 70 s");
    }
}

fn is_noise(effect: &Effect) -> bool {
    let beat = |message: &FromAgent| matches!(message, FromAgent::Heartbeat(_));
    matches!(effect, Effect::Gate(_)) || matches!(effect, Effect::Send { message, .. } if beat(message))
}

fn name(owned: &Owned) -> String {
    format!("{}@{}", owned.task, owned.generation)
}

/// An effect in few words.
pub(super) fn text(effect: &Effect) -> String {
    match effect {
        Effect::Connect { connection, endpoints } => format!(
            "connect {}",
            [vec![connection.0.to_string()], endpoints.clone()].concat().join(" ")
        ),
        Effect::Disconnect(connection) => format!("disconnect {}", connection.0),
        Effect::Send { message, .. } => said(message),
        Effect::SessionBegan { session, .. } => format!("session {session}"),
        Effect::OpenWriter { cluster, .. } => format!("open writer {cluster}"),
        Effect::UseWriter { cluster, .. } => format!("use writer {cluster}"),
        Effect::Start { assignment, .. } if assignment.paused => format!("start paused {}", name(&assignment.owned)),
        Effect::Start { assignment, .. } => format!("start {}", name(&assignment.owned)),
        Effect::FenceFirst { owned, .. } => format!("fence for {}", name(owned)),
        Effect::SetPaused { owned, paused: true } => format!("pause {}", name(owned)),
        Effect::SetPaused { owned, .. } => format!("resume {}", name(owned)),
        Effect::Stop { owned, graceful_ms, .. } => format!("stop {} in {graceful_ms}", name(owned)),
        Effect::Kill { owned } => format!("kill {}", name(owned)),
        Effect::Checked { owned, keep } => format!("checked {} {keep}", name(owned)),
        Effect::Gate(gate) => format!("{gate:?}"),
        Effect::Command { id, .. } => format!("command {id}"),
        Effect::Leave => "leave".into(),
        Effect::Warn(text) => format!("warn {text}"),
    }
}

fn said(message: &FromAgent) -> String {
    match message {
        FromAgent::Hello(hello) => {
            let session = hello.session.map_or("none".into(), |id| id.to_string());
            let held = hello.held.iter().map(|held| {
                let mark = if held.stopping { " stopping" } else { "" };
                format!(" {}{mark}", name(&held.owned))
            });
            format!("say hello {session}{}", held.collect::<String>())
        }
        FromAgent::Heartbeat(beat) => format!("say beat {}", beat.seq),
        FromAgent::AssignmentAck(ack) => {
            let refused = ack
                .refused
                .iter()
                .map(|task| format!(" {:?} {}", task.why, name(&task.owned)));
            format!("say ack{}", refused.collect::<String>())
        }
        FromAgent::TasksStopped(stopped) => {
            let stopped = stopped.iter().map(|task| format!(" {}", name(&task.owned)));
            format!("say stopped{}", stopped.collect::<String>())
        }
        FromAgent::TaskEvents(events) => {
            let events = events
                .iter()
                .map(|event| format!(" {} {:?}", name(&event.owned), event.state));
            format!("say event{}", events.collect::<String>())
        }
        FromAgent::LeaveIntent(intent) => format!("say leaving {:?}", intent.expect_back_ms),
        FromAgent::TaskConfigs(configs) => format!("say configs {}", name(&configs.instance)),
        FromAgent::WriterOpened(opened) if opened.refused.is_some() => format!("say refused {}", opened.cluster),
        FromAgent::WriterOpened(opened) => format!("say opened {}", opened.cluster),
        FromAgent::SessionFenced { dead, cluster } => format!("say fenced {} {cluster}", dead.session),
        FromAgent::GenerationCheck(checks) => {
            format!(
                "say check{}",
                checks
                    .iter()
                    .map(|owned| format!(" {}", name(owned)))
                    .collect::<String>()
            )
        }
        FromAgent::CommandResult(result) => format!("say result {} {:?}", result.id, result.error),
    }
}
