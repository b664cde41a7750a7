//! A relay before each node, which clients take for the nodes: it notes what is asked of which node and what that answers, and can hold
//! answers back or change one.

use super::nodes::{Cluster, client};
use crate::wire::proxy::{changed, read_frame, write_frame};
use crate::within;
use bytes::Bytes;
use dray_kafka::port::ClientConfig;
use kafka_protocol::messages::{FetchRequest, FindCoordinatorRequest, MetadataRequest, ProduceRequest};
use kafka_protocol::protocol::{Request as _, StrBytes};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Something that went through.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) at: Instant,
    pub(super) node: i32,
    /// Counts the connections to all nodes.
    pub(super) connection: usize,
    pub(super) api: i16,
    pub(super) what: What,
}

#[derive(Clone, Debug)]
pub(super) enum What {
    Asked { version: i16 },
    Answered(Answered),
}

/// What an answer to Produce or Fetch says.
#[derive(Clone, Debug, Default)]
pub(super) struct Answered {
    pub(super) throttle: Duration,
    /// Of its partitions, each with the leader and epoch that it names.
    pub(super) codes: Vec<(i16, i32, i32)>,
    /// Replicas that it names to be read instead.
    pub(super) preferred: Vec<i32>,
    /// Of records that it brings.
    pub(super) bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    connections: usize,
    /// The next fetch answer with records that comes from this node says this code instead.
    fault: Option<(i32, i16)>,
}

/// The relay; dropping it ends all connections.
pub(super) struct Relay {
    ports: Vec<u16>,
    state: Arc<Mutex<State>>,
    /// Answers to Metadata wait until this is over.
    hold: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Line {
    node: i32,
    connection: usize,
    ports: Vec<u16>,
    state: Arc<Mutex<State>>,
    hold: watch::Receiver<bool>,
}

impl Relay {
    pub(super) async fn start(cluster: &Cluster) -> Self {
        let (mut listeners, mut ports) = (Vec::new(), Vec::new());
        for address in cluster.addresses() {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            ports.push(listener.local_addr().expect("bound").port());
            listeners.push((listener, address.clone()));
        }
        let state: Arc<Mutex<State>> = Arc::default();
        let hold = watch::Sender::new(false);
        let mut tasks = JoinSet::new();
        for ((listener, address), node) in listeners.into_iter().zip(1..) {
            let line = Line {
                node,
                connection: 0,
                ports: ports.clone(),
                state: Arc::clone(&state),
                hold: hold.subscribe(),
            };
            tasks.spawn(async move {
                let mut connections = JoinSet::new();
                while let Ok((client, _)) = listener.accept().await {
                    let (mut line, address) = (line.clone(), address.clone());
                    line.connection = {
                        let mut state = line.state.lock().expect("whole");
                        state.connections += 1;
                        state.connections
                    };
                    connections.spawn(async move {
                        // A node that is away refuses, and its relay hangs up.
                        if let Ok(broker) = TcpStream::connect(&address).await {
                            line.serve(client, broker).await;
                        }
                    });
                }
            });
        }
        Self {
            ports,
            state,
            hold,
            _tasks: tasks,
        }
    }

    /// A client's settings that lead through the relay.
    pub(super) fn client(&self, pairs: &[(&str, &str)]) -> ClientConfig {
        let servers: Vec<String> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        client(&servers.join(","), pairs)
    }

    /// Has answers to Metadata wait, or wait no longer.
    pub(super) fn hold_metadata(&self, hold: bool) {
        self.hold.send_replace(hold);
    }

    /// The next fetch answer with records from this node says this code instead.
    pub(super) fn refuse_fetch(&self, node: i32, code: i16) {
        self.state.lock().expect("whole").fault = Some((node, code));
    }

    /// How much has gone through so far.
    pub(super) fn mark(&self) -> usize {
        self.state.lock().expect("whole").events.len()
    }

    /// What has gone through since then.
    pub(super) fn since(&self, mark: usize) -> Vec<Event> {
        self.state.lock().expect("whole").events[mark..].to_vec()
    }

    /// Requests of an API since then.
    pub(super) fn asked(&self, mark: usize, api: i16) -> usize {
        let is = |event: &&Event| event.api == api && matches!(event.what, What::Asked { .. });
        self.since(mark).iter().filter(is).count()
    }

    /// Answers of an API since then, with the nodes that gave them.
    pub(super) fn answers(&self, mark: usize, api: i16) -> Vec<(i32, Answered)> {
        let of_api = self.since(mark).into_iter().filter(|event| event.api == api);
        let answers = of_api.filter_map(|event| match event.what {
            What::Answered(answered) => Some((event.node, answered)),
            What::Asked { .. } => None,
        });
        answers.collect()
    }

    /// Waits until a node has given records since then.
    pub(super) async fn gives(&self, mark: usize, node: i32) {
        self.until(|| self.bytes(mark, node) > 0).await;
    }

    /// Waits until what has gone through says so.
    pub(super) async fn until(&self, is_so: impl Fn() -> bool) {
        let looking = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within(looking).await;
    }

    /// Bytes of records that a node has given since then.
    pub(super) fn bytes(&self, mark: usize, node: i32) -> usize {
        let answers = self.answers(mark, FetchRequest::KEY);
        let of_node = answers.iter().filter(|(from, _)| *from == node);
        of_node.map(|(_, answered)| answered.bytes).sum()
    }
}

type Asked = Arc<Mutex<HashMap<i32, (i16, i16)>>>;

impl Line {
    async fn serve(&self, client: TcpStream, broker: TcpStream) {
        client.set_nodelay(true).expect("an option");
        broker.set_nodelay(true).expect("an option");
        let (mut from_client, to_client) = client.into_split();
        let (from_broker, mut to_broker) = broker.into_split();
        let asked = Asked::default();
        let forward = async {
            while let Some(frame) = read_frame(&mut from_client).await {
                let number = |at: usize| i16::from_be_bytes([frame[at], frame[at + 1]]);
                let correlation = i32::from_be_bytes(frame[4..8].try_into().expect("four bytes"));
                let (api, version) = (number(0), number(2));
                asked.lock().expect("whole").insert(correlation, (api, version));
                self.note(api, What::Asked { version });
                if write_frame(&mut to_broker, &frame).await.is_none() {
                    break;
                }
            }
        };
        tokio::select! {
            () = forward => {}
            () = self.answer(from_broker, to_client, &asked) => {}
        }
    }

    fn note(&self, api: i16, what: What) {
        let event = Event {
            at: Instant::now(),
            node: self.node,
            connection: self.connection,
            api,
            what,
        };
        self.state.lock().expect("whole").events.push(event);
    }

    async fn answer(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, asked: &Asked) {
        while let Some(frame) = read_frame(&mut from).await {
            let correlation = i32::from_be_bytes(*frame.first_chunk().expect("an id"));
            let request = asked.lock().expect("whole").remove(&correlation);
            let Some((api, version)) = request else { return };
            if api == MetadataRequest::KEY {
                let mut hold = self.hold.clone();
                if hold.wait_for(|hold| !hold).await.is_err() {
                    return;
                }
            }
            let frame = self.change(api, version, frame);
            if write_frame(&mut to, &frame).await.is_none() {
                return;
            }
        }
    }

    /// Where the relay of a node is.
    fn place(&self, node: i32) -> (StrBytes, i32) {
        let port = usize::try_from(node - 1).ok().and_then(|at| self.ports.get(at));
        (
            StrBytes::from_static_str("127.0.0.1"),
            port.copied().unwrap_or(0).into(),
        )
    }

    /// The answer with the relay's addresses for the nodes'.
    fn change(&self, api: i16, version: i16, frame: Bytes) -> Bytes {
        match api {
            MetadataRequest::KEY => changed::<MetadataRequest>(version, frame, |answer| {
                for broker in &mut answer.brokers {
                    (broker.host, broker.port) = self.place(broker.node_id.0);
                }
            }),
            FindCoordinatorRequest::KEY => changed::<FindCoordinatorRequest>(version, frame, |answer| {
                (answer.host, answer.port) = self.place(answer.node_id.0);
            }),
            ProduceRequest::KEY => changed::<ProduceRequest>(version, frame, |answer| {
                for node in &mut answer.node_endpoints {
                    (node.host, node.port) = self.place(node.node_id.0);
                }
                let partitions = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
                let code = |of: &kafka_protocol::messages::produce_response::PartitionProduceResponse| {
                    let leader = &of.current_leader;
                    (of.error_code, leader.leader_id.0, leader.leader_epoch)
                };
                let answered = Answered {
                    throttle: Duration::from_millis(u64::try_from(answer.throttle_time_ms).expect("a time")),
                    codes: partitions.map(code).collect(),
                    ..Answered::default()
                };
                self.note(api, What::Answered(answered));
            }),
            FetchRequest::KEY => changed::<FetchRequest>(version, frame, |answer| {
                for node in &mut answer.node_endpoints {
                    (node.host, node.port) = self.place(node.node_id.0);
                }
                let partitions = answer.responses.iter_mut().flat_map(|topic| &mut topic.partitions);
                let mut answered = Answered {
                    throttle: Duration::from_millis(u64::try_from(answer.throttle_time_ms).expect("a time")),
                    ..Answered::default()
                };
                for partition in partitions {
                    let bytes = partition.records.as_ref().map_or(0, Bytes::len);
                    let fault = &mut self.state.lock().expect("whole").fault;
                    if let Some((_, code)) = fault.take_if(|(node, _)| *node == self.node && bytes > 0) {
                        (partition.error_code, partition.records) = (code, None);
                    }
                    let leader = &partition.current_leader;
                    let code = (partition.error_code, leader.leader_id.0, leader.leader_epoch);
                    answered.codes.push(code);
                    answered.bytes += partition.records.as_ref().map_or(0, Bytes::len);
                    if partition.preferred_read_replica.0 >= 0 {
                        answered.preferred.push(partition.preferred_read_replica.0);
                    }
                }
                self.note(api, What::Answered(answered));
            }),
            _ => frame,
        }
    }
}
