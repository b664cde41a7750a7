//! An agent that does what it is told and nothing else: it runs whatever it is assigned in no time.

use dray_control::Control;
use dray_model::message::{
    Assignment, AssignmentAck, FromAgent, Heartbeat, Held, Hello, Order, Owned, Plugin, PluginKind, RunState,
    StoppedTask, TaskConfigs, TaskReport, ToAgent,
};
use dray_model::{AgentId, Capacity, ConfigDiff, Instance, SessionId, TaskKey};
use dray_wire::agent::v1::agent_control_service_client::AgentControlServiceClient;
use dray_wire::agent::v1::{SessionRequest, SessionResponse};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

pub(crate) const CLASS: &str = "io.dray.test.IdleSource";

/// What a test looks at.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) sessions: Vec<SessionId>,
    pub(crate) running: BTreeMap<TaskKey, Owned>,
    /// Every start, in order.
    pub(crate) started: Vec<Owned>,
    pub(crate) stopped: Vec<Owned>,
    pub(crate) not_leader: usize,
    pub(crate) connected: bool,
}

pub(crate) struct FakeAgent {
    pub(crate) seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

/// A channel to an address.
pub(crate) fn channel(address: std::net::SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect_lazy()
}

/// A channel that never leaves the process.
pub(crate) async fn inside(control: &Control) -> Channel {
    let stream = control.connect().await.unwrap();
    let mut stream = Some(TokioIo::new(stream));
    let connect = tower::service_fn(move |_| {
        let stream = stream.take();
        async move { stream.ok_or_else(|| std::io::Error::other("the connection is used up")) }
    });
    Endpoint::from_static("http://inside")
        .connect_with_connector(connect)
        .await
        .unwrap()
}

impl FakeAgent {
    /// Each instance that it runs wants so many tasks.
    pub(crate) fn start(cluster: &str, id: &str, channels: Vec<Channel>, tasks_each: usize) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        let mut agent = Agent {
            cluster: cluster.into(),
            id: AgentId::try_from(id).unwrap(),
            session: None,
            tasks_each,
            seen: seen.clone(),
        };
        tasks.spawn(async move {
            loop {
                for channel in &channels {
                    agent.connection(channel.clone()).await;
                    agent.seen.lock().unwrap().connected = false;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        });
        Self { seen, _tasks: tasks }
    }
}

struct Agent {
    cluster: String,
    id: AgentId,
    session: Option<SessionId>,
    tasks_each: usize,
    seen: Arc<Mutex<Seen>>,
}

impl Agent {
    fn hello(&self) -> FromAgent {
        let held = |owned: &Owned| Held {
            owned: *owned,
            stopping: false,
            asked_restarts: None,
        };
        FromAgent::Hello(Box::new(Hello {
            cluster: self.cluster.clone(),
            agent: self.id.clone(),
            instance: Instance(self.id.as_str().bytes().map(u128::from).sum()),
            previous_instance: None,
            session: self.session,
            max_term: None,
            software_version: "0".into(),
            protocol: (1, 1),
            worker_id: format!("{}:8083", self.id).into(),
            region: "here".try_into().unwrap(),
            zone: "a".try_into().unwrap(),
            labels: BTreeMap::new(),
            capacity: Capacity::new(100_000, 1_000_000_000).unwrap(),
            plugins: vec![Plugin {
                class: CLASS.try_into().unwrap(),
                version: "1.0".into(),
                kind: PluginKind::Source,
            }],
            held: self.seen.lock().unwrap().running.values().map(held).collect(),
        }))
    }

    async fn connection(&mut self, channel: Channel) {
        let (requests, mut queue) = mpsc::channel::<SessionRequest>(64);
        let mut client = AgentControlServiceClient::new(channel).max_decoding_message_size(dray_wire::MAX_MESSAGE);
        requests.send(self.hello().into()).await.unwrap();
        let stream = futures::stream::poll_fn(move |context| queue.poll_recv(context));
        let Ok(answers) = client.session(stream).await else {
            return;
        };
        self.converse(requests, answers.into_inner()).await;
    }

    async fn converse(&mut self, requests: mpsc::Sender<SessionRequest>, mut answers: Streaming<SessionResponse>) {
        let mut beat = tokio::time::interval(Duration::from_secs(1));
        let mut seq = 0;
        loop {
            let answers = tokio::select! {
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => self.on(ToAgent::try_from(answer).unwrap()),
                    Ok(None) | Err(_) => return,
                },
                _ = beat.tick() => {
                    if !self.seen.lock().unwrap().connected {
                        continue;
                    }
                    seq += 1;
                    let beat = Heartbeat { seq, changed: vec![], cpu_millis: 1, memory_bytes: 1 };
                    Some(vec![FromAgent::Heartbeat(beat)])
                }
            };
            let Some(answers) = answers else { return };
            for answer in answers {
                if requests.send(answer.into()).await.is_err() {
                    return;
                }
            }
        }
    }

    /// What to say; `None`: hang up.
    fn on(&mut self, message: ToAgent) -> Option<Vec<FromAgent>> {
        let mut seen = self.seen.lock().unwrap();
        let mut said = Vec::new();
        match message.body {
            Order::Welcome(welcome) => {
                self.session = Some(welcome.session);
                seen.sessions.push(welcome.session);
                seen.connected = true;
                let mut stopped = Vec::new();
                for verdict in welcome.verdicts.iter().filter(|verdict| !verdict.keep) {
                    seen.running.remove(&verdict.owned.task);
                    stopped.push(verdict.owned);
                }
                said.extend(dead(&mut seen, stopped));
                let reports = seen.running.values().map(|owned| report(*owned, false)).collect();
                let heartbeat = Heartbeat {
                    seq: 0,
                    changed: reports,
                    cpu_millis: 1,
                    memory_bytes: 1,
                };
                said.push(FromAgent::Heartbeat(heartbeat));
            }
            Order::Assignments(delta) => {
                let nonce = delta.nonce;
                said.push(FromAgent::AssignmentAck(AssignmentAck { nonce, refused: vec![] }));
                let mut stopped = Vec::new();
                for revocation in &delta.revocations {
                    seen.running.remove(&revocation.owned.task);
                    stopped.push(revocation.owned);
                }
                for assignment in &delta.assignments {
                    if let Some(old) = seen.running.insert(assignment.owned.task, assignment.owned)
                        && old != assignment.owned
                    {
                        stopped.push(old);
                    }
                    seen.started.push(assignment.owned);
                }
                said.extend(dead(&mut seen, stopped));
                said.push(FromAgent::TaskEvents(
                    delta
                        .assignments
                        .iter()
                        .map(|new| report(new.owned, new.paused))
                        .collect(),
                ));
                let config_version = |assignment: &Assignment| {
                    let uid = assignment.owned.task.connector;
                    delta
                        .connectors
                        .iter()
                        .find(|connector| connector.uid == uid)
                        .unwrap()
                        .config_version
                };
                for instance in delta.assignments.iter().filter(|new| new.owned.task.is_instance()) {
                    let task = |number: usize| {
                        let set = [("task".into(), number.to_string())].into();
                        Arc::new(ConfigDiff { set, removed: vec![] })
                    };
                    said.push(FromAgent::TaskConfigs(TaskConfigs {
                        instance: instance.owned,
                        config_version: config_version(instance),
                        tasks: (0..self.tasks_each).map(task).collect(),
                    }));
                }
            }
            Order::NotLeader(_) => {
                seen.not_leader += 1;
                return None;
            }
            Order::Fenced(_) => {
                self.session = None;
                seen.running.clear();
                return None;
            }
            Order::HeartbeatAck(_)
            | Order::TaskConfigsStored { .. }
            | Order::WriterConfirmed(_)
            | Order::Verdicts(_)
            | Order::Command(_) => {}
        }
        Some(said)
    }
}

fn dead(seen: &mut Seen, stopped: Vec<Owned>) -> Option<FromAgent> {
    seen.stopped.extend(&stopped);
    let dead = |owned| StoppedTask { owned, clean: true };
    (!stopped.is_empty()).then(|| FromAgent::TasksStopped(stopped.into_iter().map(dead).collect()))
}

fn report(owned: Owned, paused: bool) -> TaskReport {
    TaskReport {
        owned,
        state: if paused { RunState::Paused } else { RunState::Running },
        trace: None,
        restarts: 0,
        cost: None,
        tripped: false,
    }
}
