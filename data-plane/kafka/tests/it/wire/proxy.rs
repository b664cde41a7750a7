//! A proxy before the real broker that changes single answers: error codes where they are scripted, connections that are cut in the
//! middle of a frame, and its own address instead of the broker's.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::{
    ApiVersionsRequest, ConsumerGroupHeartbeatRequest, FetchRequest, FindCoordinatorRequest, ListOffsetsRequest,
    MetadataRequest, OffsetCommitRequest, OffsetFetchRequest, RequestHeader, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use uuid::Uuid;

/// What is done to an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// This code, in place of what the broker said.
    Code(i16),
    /// Half of it, and then the end of the connection.
    Cut,
}

#[derive(Debug, Default)]
struct Script {
    faults: VecDeque<(i16, Fault)>,
    fired: HashMap<i16, usize>,
    /// Fetches without an answer for which the broker may wait for more than a second.
    long_polls: usize,
}

/// The proxy; dropping it ends all connections.
pub(super) struct Proxy {
    port: u16,
    script: Arc<Mutex<Script>>,
    _tasks: JoinSet<()>,
}

/// What was asked on a connection, by correlation id.
#[derive(Debug, Default)]
struct Asked {
    requests: HashMap<i32, (i16, i16)>,
    /// Those among them that are long polls.
    long_polls: HashSet<i32>,
    /// The partition that the latest fetch named.
    fetched: Option<(Uuid, i32)>,
}

impl Proxy {
    pub(super) async fn start(broker: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let script: Arc<Mutex<Script>> = Arc::default();
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&script);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("accepts");
                let upstream = TcpStream::connect(&broker).await.expect("the broker");
                connections.spawn(serve(client, upstream, port, Arc::clone(&shared)));
            }
        });
        Self {
            port,
            script,
            _tasks: tasks,
        }
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Does this to the next answer of an API that no earlier fault waits for.
    pub(super) fn inject(&self, api: i16, fault: Fault) {
        self.script.lock().expect("whole").faults.push_back((api, fault));
    }

    /// How many faults of this API have happened.
    pub(super) fn fired(&self, api: i16) -> usize {
        self.script.lock().expect("whole").fired.get(&api).copied().unwrap_or(0)
    }

    /// How many fetches have no answer yet for which the broker may wait for more than a second.
    pub(super) fn long_polls(&self) -> usize {
        self.script.lock().expect("whole").long_polls
    }
}

async fn serve(client: TcpStream, upstream: TcpStream, port: u16, script: Arc<Mutex<Script>>) {
    client.set_nodelay(true).expect("an option");
    upstream.set_nodelay(true).expect("an option");
    let (mut from_client, to_client) = client.into_split();
    let (from_broker, mut to_broker) = upstream.into_split();
    let asked = Arc::new(Mutex::new(Asked::default()));
    let noted = Arc::clone(&asked);
    let forward = async {
        while let Some(frame) = read_frame(&mut from_client).await {
            if note(&frame, &noted) {
                script.lock().expect("whole").long_polls += 1;
            }
            if write_frame(&mut to_broker, &frame).await.is_none() {
                break;
            }
        }
    };
    tokio::select! {
        () = forward => {}
        () = answer(from_broker, to_client, &asked, port, &script) => {}
    }
}

async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    asked: &Mutex<Asked>,
    port: u16,
    script: &Mutex<Script>,
) {
    while let Some(frame) = read_frame(&mut from).await {
        let correlation = i32::from_be_bytes(*frame.first_chunk().expect("an id"));
        let (request, fetched) = {
            let mut asked = asked.lock().expect("whole");
            if asked.long_polls.remove(&correlation) {
                script.lock().expect("whole").long_polls -= 1;
            }
            (asked.requests.remove(&correlation), asked.fetched)
        };
        let Some((api, version)) = request else { return };
        let fault = {
            let mut script = script.lock().expect("whole");
            let place = script.faults.iter().position(|(of, _)| *of == api);
            // Nothing can be said of a partition before one was asked for.
            let place = place.filter(|_| api != FetchRequest::KEY || fetched.is_some());
            let fault = place.and_then(|place| script.faults.remove(place));
            if fault.is_some() {
                *script.fired.entry(api).or_default() += 1;
            }
            fault.map(|(_, fault)| fault)
        };
        let frame = match fault {
            Some(Fault::Cut) => {
                to.write_u32(frame.len() as u32).await.ok();
                to.write_all(&frame[..frame.len() / 2]).await.ok();
                return;
            }
            Some(Fault::Code(code)) => refused(api, version, frame, code, fetched),
            None => readdressed(api, version, frame, port),
        };
        if write_frame(&mut to, &frame).await.is_none() {
            return;
        }
    }
}

/// Whether it is a long poll.
fn note(frame: &Bytes, asked: &Mutex<Asked>) -> bool {
    let (api, version) = (
        i16::from_be_bytes([frame[0], frame[1]]),
        i16::from_be_bytes([frame[2], frame[3]]),
    );
    let correlation = i32::from_be_bytes(frame[4..8].try_into().expect("four bytes"));
    let mut asked = asked.lock().expect("whole");
    asked.requests.insert(correlation, (api, version));
    if api == FetchRequest::KEY {
        let mut body = frame.clone();
        RequestHeader::decode(&mut body, FetchRequest::header_version(version)).expect("a header");
        let request = FetchRequest::decode(&mut body, version).expect("a fetch");
        let topic = request.topics.first();
        if let Some((id, partition)) = topic.and_then(|topic| Some((topic.topic_id, topic.partitions.first()?))) {
            asked.fetched = Some((id, partition.partition));
        }
        return request.max_wait_ms > 1000 && asked.long_polls.insert(correlation);
    }
    false
}

/// The answer to a request of this kind, changed.
pub(crate) fn changed<R: Request>(version: i16, mut frame: Bytes, change: impl FnOnce(&mut R::Response)) -> Bytes {
    let header_version = R::Response::header_version(version);
    let header = ResponseHeader::decode(&mut frame, header_version).expect("a header");
    let mut response = R::Response::decode(&mut frame, version).expect("an answer");
    change(&mut response);
    let mut out = BytesMut::new();
    header.encode(&mut out, header_version).expect("encodes");
    response.encode(&mut out, version).expect("encodes");
    out.freeze()
}

/// An answer that names this port instead of the brokers', where it names any.
pub(crate) fn readdressed(api: i16, version: i16, frame: Bytes, port: u16) -> Bytes {
    let (host, port) = (StrBytes::from_static_str("127.0.0.1"), i32::from(port));
    match api {
        MetadataRequest::KEY => changed::<MetadataRequest>(version, frame, |answer| {
            for broker in &mut answer.brokers {
                (broker.host, broker.port) = (host.clone(), port);
            }
        }),
        FindCoordinatorRequest::KEY => changed::<FindCoordinatorRequest>(version, frame, |answer| {
            (answer.host, answer.port) = (host.clone(), port);
            for coordinator in &mut answer.coordinators {
                (coordinator.host, coordinator.port) = (host.clone(), port);
            }
        }),
        // Versions that are none of the codec's, and could not be changed here.
        ApiVersionsRequest::KEY => changed::<ApiVersionsRequest>(version, frame, |answer| {
            for served in &mut answer.api_keys {
                if matches!(served.api_key, OffsetCommitRequest::KEY | OffsetFetchRequest::KEY) {
                    served.max_version = served.max_version.min(9);
                }
            }
        }),
        _ => frame,
    }
}

/// Codes of a fetch that are said of all of it.
const OF_THE_SESSION: [i16; 3] = [70, 71, 106];

fn refused(api: i16, version: i16, frame: Bytes, code: i16, fetched: Option<(Uuid, i32)>) -> Bytes {
    match api {
        FetchRequest::KEY => changed::<FetchRequest>(version, frame, |answer| {
            answer.responses.clear();
            if OF_THE_SESSION.contains(&code) {
                answer.error_code = code;
                return;
            }
            let (topic, partition) = fetched.expect("a partition was asked for");
            let partition = PartitionData::default()
                .with_partition_index(partition)
                .with_error_code(code);
            let topic = FetchableTopicResponse::default()
                .with_topic_id(topic)
                .with_partitions(vec![partition]);
            answer.responses.push(topic);
        }),
        ListOffsetsRequest::KEY => changed::<ListOffsetsRequest>(version, frame, |answer| {
            let partitions = answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            partitions.for_each(|partition| partition.error_code = code);
        }),
        OffsetCommitRequest::KEY => changed::<OffsetCommitRequest>(version, frame, |answer| {
            let partitions = answer.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            partitions.for_each(|partition| partition.error_code = code);
        }),
        OffsetFetchRequest::KEY => changed::<OffsetFetchRequest>(version, frame, |answer| {
            for group in &mut answer.groups {
                group.error_code = code;
                group.topics.clear();
            }
        }),
        FindCoordinatorRequest::KEY => changed::<FindCoordinatorRequest>(version, frame, |answer| {
            answer.error_code = code;
            answer
                .coordinators
                .iter_mut()
                .for_each(|coordinator| coordinator.error_code = code);
        }),
        ConsumerGroupHeartbeatRequest::KEY => changed::<ConsumerGroupHeartbeatRequest>(version, frame, |answer| {
            answer.error_code = code;
            (answer.member_epoch, answer.assignment) = (0, None);
        }),
        _ => panic!("no code is put into an answer of API {api}"),
    }
}

pub(crate) async fn read_frame(from: &mut OwnedReadHalf) -> Option<Bytes> {
    let length = from.read_u32().await.ok()?;
    let mut frame = BytesMut::zeroed(length as usize);
    from.read_exact(&mut frame).await.ok()?;
    Some(frame.freeze())
}

pub(crate) async fn write_frame(to: &mut OwnedWriteHalf, frame: &[u8]) -> Option<()> {
    to.write_u32(frame.len() as u32).await.ok()?;
    to.write_all(frame).await.ok()
}
