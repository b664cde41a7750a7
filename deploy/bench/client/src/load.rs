//! Requests of the REST API at a steady rate, of which a tenth are writes: each at its time, whatever became of those before, so that an
//! answer that is late makes those behind it no rarer.

use crate::Result;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// Open connections. Requests that all of them are too busy for are late, and their wait counts.
const CLIENTS: usize = 16;
/// One request in so many is a write.
const WRITES: u32 = 10;
/// One in so many is a list of all names.
const LISTS: u32 = 20;
/// Prime to the number of connectors: requests go all over the names, not one after the other.
const STEP: u32 = 7919;

/// What is asked of whom.
pub(crate) struct Load<'a> {
    pub(crate) address: &'a str,
    pub(crate) connectors: u32,
    pub(crate) per_second: u32,
    pub(crate) seconds: u32,
    /// The configuration that writes give each connector, with another `batch.size` each time.
    pub(crate) config: &'a str,
}

struct Plan {
    address: String,
    connectors: u32,
    config: Map<String, Value>,
    /// The number of a request, and when it is to be sent.
    due: Mutex<mpsc::Receiver<(u32, Instant)>>,
}

/// How long after its time each was answered, and how late it was sent, in ms.
#[derive(Default)]
struct Took {
    reads: Vec<f64>,
    writes: Vec<f64>,
    late: Vec<f64>,
    refused: Vec<String>,
}

/// Runs the load and gives its percentiles, in ms.
///
/// # Errors
/// When there is no connection, or one breaks. An answer that is a refusal is counted.
pub(crate) async fn run(load: &Load<'_>) -> Result<Value> {
    let (interval, count) = (Duration::from_secs(1) / load.per_second, load.per_second * load.seconds);
    let (pace, due) = mpsc::channel(count as usize);
    let plan = Arc::new(Plan {
        address: load.address.to_owned(),
        connectors: load.connectors,
        config: serde_json::from_str(load.config)?,
        due: Mutex::new(due),
    });
    // A thread of its own: the timers of the runtime are good to a millisecond.
    let pacer = tokio::task::spawn_blocking(move || {
        let begun = Instant::now();
        for number in 0..count {
            let at = begun + interval * number;
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
            if pace.blocking_send((number, at)).is_err() {
                return;
            }
        }
    });
    let mut clients: JoinSet<Result<Took>> = (0..CLIENTS).map(|_| client(plan.clone())).collect();
    let mut all = Took::default();
    while let Some(took) = clients.join_next().await {
        let took = took??;
        all.reads.extend(took.reads);
        all.writes.extend(took.writes);
        all.late.extend(took.late);
        all.refused.extend(took.refused);
    }
    pacer.await?;
    Ok(json!({
        "read": percentiles(all.reads),
        "write": percentiles(all.writes),
        "late": percentiles(all.late),
        "refused": all.refused.len(),
        "first_refused": all.refused.first(),
    }))
}

async fn client(plan: Arc<Plan>) -> Result<Took> {
    let stream = TcpStream::connect(&plan.address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut took = Took::default();
    let asks = async {
        loop {
            let next = plan.due.lock().await.recv().await;
            let Some((number, due)) = next else { break Ok(took) };
            took.late.push(since(due));
            let (method, path, body) = plan.request(number);
            let write = method == Method::PUT;
            if let Some(refused) = ask(&plan.address, &mut sender, method, path, body).await? {
                took.refused.push(refused);
            }
            if write { &mut took.writes } else { &mut took.reads }.push(since(due));
        }
    };
    tokio::select! {
        took = asks => took,
        ended = connection => Err(ended.err().map_or_else(|| "the connection was closed".into(), Into::into)),
    }
}

/// Sends a request, takes all of the answer, and says why if it is a refusal.
async fn ask(
    host: &str,
    sender: &mut SendRequest<Full<Bytes>>,
    method: Method,
    path: String,
    body: Vec<u8>,
) -> Result<Option<String>> {
    let asked = format!("{method} {path}");
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, host)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(body))?;
    sender.ready().await?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    let refused = status >= StatusCode::MULTIPLE_CHOICES;
    Ok(refused.then(|| {
        format!(
            "{asked}: {status} {}",
            String::from_utf8_lossy(&body[..body.len().min(300)])
        )
    }))
}

impl Plan {
    fn request(&self, number: u32) -> (Method, String, Vec<u8>) {
        let name = format!("c{:05}", number.wrapping_mul(STEP) % self.connectors);
        if number.is_multiple_of(WRITES) {
            let mut config = self.config.clone();
            config.insert("batch.size".into(), (1000 + number).to_string().into());
            return (
                Method::PUT,
                format!("/connectors/{name}/config"),
                Value::from(config).to_string().into_bytes(),
            );
        }
        let path = match number % LISTS {
            1 => "/connectors".into(),
            _ => format!("/connectors/{name}{}", ["", "/config", "/status"][number as usize % 3]),
        };
        (Method::GET, path, Vec::new())
    }
}

fn since(due: Instant) -> f64 {
    due.elapsed().as_secs_f64() * 1e3
}

fn percentiles(mut values: Vec<f64>) -> Value {
    values.sort_by(f64::total_cmp);
    let at = |percent: usize| values.get((values.len() * percent / 100).min(values.len().saturating_sub(1)));
    json!({ "p50": at(50), "p99": at(99) })
}
