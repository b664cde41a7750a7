//! A proxy before the real broker for one process that is stopped. It passes bytes on as they come, also half a request, can hold back
//! what the process is to be stopped in the middle of, and tells what became of batches that reached the broker after it woke up.

use crate::wire::proxy::{read_frame, readdressed, write_frame};
use crate::{bootstrap, within};
use bytes::Bytes;
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse, ResponseHeader,
};
use kafka_protocol::protocol::{Decodable as _, HeaderVersion as _, Request as _};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

const INVALID_PRODUCER_EPOCH: i16 = 47;
/// A request's length, API, version and correlation id.
const HEAD: usize = 12;

/// What is held back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Hold {
    #[default]
    Nothing,
    /// The second half of a request with batches.
    HalfABatch,
    /// The answer that has the producer id.
    ProducerId,
}

/// What the test wants of the gate.
#[derive(Clone, Copy, Debug, Default)]
struct Wish {
    hold: Hold,
    /// How often all connections were cut.
    cuts: usize,
    /// The process has been woken up.
    woken: bool,
}

/// What became of batches that reached the broker after the process had been woken up.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Late {
    /// Refused for their epoch.
    pub(super) refused: usize,
    pub(super) stored: usize,
    /// Refused for something else.
    pub(super) other: usize,
}

/// What the gate has seen.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Connections on which something is held.
    holding: usize,
    late: Late,
}

/// The gate; dropping it ends all connections.
pub(super) struct Gate {
    port: u16,
    wish: watch::Sender<Wish>,
    seen: watch::Sender<Seen>,
    _tasks: JoinSet<()>,
}

impl Gate {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (wish, seen) = (watch::Sender::default(), watch::Sender::default());
        let mut tasks = JoinSet::new();
        let line = Line {
            port,
            wish: wish.subscribe(),
            seen: seen.clone(),
            asked: Arc::default(),
        };
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("accepts");
                let broker = TcpStream::connect(bootstrap()).await.expect("the broker");
                let asked = Arc::default();
                connections.spawn(Line { asked, ..line.clone() }.serve(client, broker));
            }
        });
        Self {
            port,
            wish,
            seen,
            _tasks: tasks,
        }
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Holds this back as soon as it comes.
    pub(super) fn hold(&self, hold: Hold) {
        self.wish.send_modify(|wish| wish.hold = hold);
    }

    /// Waits until something is held back.
    pub(super) async fn holds(&self) {
        within(self.until(|seen| seen.holding > 0)).await;
    }

    /// Lets pass what it held back.
    pub(super) fn let_go(&self) {
        self.hold(Hold::Nothing);
    }

    /// Cuts all connections.
    pub(super) fn cut(&self) {
        self.wish.send_modify(|wish| wish.cuts += 1);
    }

    /// Whatever comes from here on, the process has sent after it was woken up: it is stopped, and all that it had written has passed.
    /// What is held back comes later than that too.
    pub(super) async fn is_to_be_woken(&self) {
        let passed = async {
            while self.seen.borrow().holding == 0 && self.in_the_kernel() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        within(passed).await;
        self.wish.send_modify(|wish| wish.woken = true);
    }

    /// Bytes that the process has written, and the gate has not read.
    fn in_the_kernel(&self) -> u64 {
        let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
        let port = format!(":{:04X}", self.port);
        let bytes = |line: &str| {
            // A number, two addresses, a state, and what waits to be acknowledged and to be read.
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (sending, reading) = fields[4].split_once(':').expect("two queues");
            let bytes = |queue| u64::from_str_radix(queue, 16).expect("a number");
            match (fields[1].ends_with(&port), fields[2].ends_with(&port)) {
                // The gate's own end, unless that is where it listens.
                (true, _) if fields[3] != "0A" => bytes(reading),
                (false, true) => bytes(sending),
                _ => 0,
            }
        };
        table.lines().skip(1).map(bytes).sum()
    }

    /// Waits for a batch that came too late, and is stored all the same.
    pub(super) async fn stores_late(&self) {
        self.until(|seen| seen.late.stored > 0).await;
    }

    pub(super) fn late(&self) -> Late {
        self.seen.borrow().late
    }

    async fn until(&self, met: impl FnMut(&Seen) -> bool) {
        self.seen.subscribe().wait_for(met).await.expect("we have it");
    }
}

/// A request that has passed as a whole.
#[derive(Clone, Copy, Debug)]
struct Asked {
    api: i16,
    version: i16,
    /// Its end came after the process was woken up.
    late: bool,
}

/// What the two directions of a connection share.
#[derive(Clone)]
struct Line {
    port: u16,
    wish: watch::Receiver<Wish>,
    seen: watch::Sender<Seen>,
    /// By correlation id.
    asked: Arc<Mutex<HashMap<i32, Asked>>>,
}

impl Line {
    async fn serve(self, client: TcpStream, broker: TcpStream) {
        for stream in [&client, &broker] {
            stream.set_nodelay(true).expect("an option");
        }
        let ((from_client, to_client), (from_broker, to_broker)) = (client.into_split(), broker.into_split());
        let mut wish = self.wish.clone();
        let cuts = wish.borrow_and_update().cuts;
        tokio::select! {
            () = self.requests(from_client, to_broker) => {}
            () = self.answers(from_broker, to_client) => {}
            _ = wish.wait_for(|wish| wish.cuts > cuts) => {}
        }
    }

    /// Passes on what the process asks, byte by byte.
    async fn requests(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        let mut buffer = vec![0; 64 << 10];
        let mut passing = Passing::default();
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let (passed, place) = passing.pass(rest);
                if place == Place::End {
                    let asked = Asked {
                        late: self.wish.borrow().woken,
                        ..passing.asked()
                    };
                    self.asked.lock().expect("whole").insert(passing.correlation(), asked);
                }
                if to.write_all(&rest[..passed]).await.is_err() {
                    return;
                }
                rest = &rest[passed..];
                match place {
                    Place::Half if passing.asked().api == ProduceRequest::KEY => self.keep(Hold::HalfABatch).await,
                    Place::End => passing = Passing::default(),
                    Place::Half | Place::Between => {}
                }
            }
        }
    }

    /// Waits as long as this is to be held back.
    async fn keep(&self, hold: Hold) {
        let mut wish = self.wish.clone();
        if wish.borrow_and_update().hold == hold {
            self.seen.send_modify(|seen| seen.holding += 1);
            // It ends when the gate does.
            wish.wait_for(|wish| wish.hold != hold).await.ok();
            self.seen.send_modify(|seen| seen.holding -= 1);
        }
    }

    /// Passes on what the broker answers, and looks at it.
    async fn answers(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
        while let Some(frame) = read_frame(&mut from).await {
            let correlation = i32::from_be_bytes(*frame.first_chunk().expect("an id"));
            let asked = self.asked.lock().expect("whole").remove(&correlation);
            let asked = asked.expect("an answer to a request that has passed");
            match asked.api {
                InitProducerIdRequest::KEY if has_an_id(asked.version, frame.clone()) => {
                    self.keep(Hold::ProducerId).await
                }
                ProduceRequest::KEY if asked.late => self.count(asked.version, frame.clone()),
                _ => {}
            }
            let frame = readdressed(asked.api, asked.version, frame, self.port);
            if write_frame(&mut to, &frame).await.is_none() {
                return;
            }
        }
    }

    fn count(&self, version: i16, mut frame: Bytes) {
        ResponseHeader::decode(&mut frame, ProduceResponse::header_version(version)).expect("a header");
        let answer = ProduceResponse::decode(&mut frame, version).expect("an answer");
        let parts = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
        self.seen.send_modify(|seen| {
            for part in parts {
                match part.error_code {
                    0 => seen.late.stored += 1,
                    INVALID_PRODUCER_EPOCH => seen.late.refused += 1,
                    _ => seen.late.other += 1,
                }
            }
        });
    }
}

/// Whether it is not an error, after which the process asks again.
fn has_an_id(version: i16, mut frame: Bytes) -> bool {
    ResponseHeader::decode(&mut frame, InitProducerIdResponse::header_version(version)).expect("a header");
    let answer = InitProducerIdResponse::decode(&mut frame, version).expect("an answer");
    answer.error_code == 0
}

/// How far a request has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Between,
    Half,
    End,
}

/// The request that is passing.
#[derive(Debug, Default)]
struct Passing {
    head: [u8; HEAD],
    passed: usize,
}

impl Passing {
    /// How many of these bytes may pass, and where the request is then.
    fn pass(&mut self, bytes: &[u8]) -> (usize, Place) {
        if self.passed < HEAD {
            let count = bytes.len().min(HEAD - self.passed);
            self.head[self.passed..self.passed + count].copy_from_slice(&bytes[..count]);
            self.passed += count;
            return (count, Place::Between);
        }
        let whole = 4 + self.number(0) as usize;
        let half = whole / 2;
        let until = if self.passed < half { half } else { whole };
        let count = bytes.len().min(until - self.passed);
        self.passed += count;
        match self.passed {
            passed if passed == whole => (count, Place::End),
            passed if passed == half => (count, Place::Half),
            _ => (count, Place::Between),
        }
    }

    fn number(&self, at: usize) -> i32 {
        i32::from_be_bytes(*self.head[at..].first_chunk().expect("four bytes"))
    }

    fn correlation(&self) -> i32 {
        self.number(8)
    }

    fn asked(&self) -> Asked {
        let version_and_api = self.number(4);
        Asked {
            api: (version_and_api >> 16) as i16,
            version: version_and_api as i16,
            late: false,
        }
    }
}
