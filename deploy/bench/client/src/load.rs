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
use std::thread;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// Open connections, each with a thread: nothing but the machine stands between the time of a request and its bytes. Each sends every
/// sixteenth request; one that is still being answered then makes the next late, and that wait counts.
const CLIENTS: u32 = 16;
/// One request in so many is a write.
const WRITES: u32 = 10;
/// Until all are connected.
const CONNECT: Duration = Duration::from_millis(100);
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
    /// When the first is to be sent, and how much later each one after it.
    begun: Instant,
    interval: Duration,
    count: u32,
}

/// In ms, of each request: how long after its time it was answered, and how long after it a client that was free woke up. The second is the
/// machine's and no part of the first.
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
pub(crate) fn run(load: &Load<'_>) -> Result<Value> {
    let plan = Plan {
        address: load.address.to_owned(),
        connectors: load.connectors,
        config: serde_json::from_str(load.config)?,
        begun: Instant::now() + CONNECT,
        interval: Duration::from_secs(1) / load.per_second,
        count: load.per_second * load.seconds,
    };
    let mut all = Took::default();
    thread::scope(|scope| {
        let plan = &plan;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|first| scope.spawn(move || client(plan, first)))
            .collect();
        for client in clients {
            let took = client.join().map_err(|_| "a client has panicked")??;
            all.reads.extend(took.reads);
            all.writes.extend(took.writes);
            all.late.extend(took.late);
            all.refused.extend(took.refused);
        }
        Result::Ok(())
    })?;
    Ok(json!({
        "read": percentiles(all.reads),
        "write": percentiles(all.writes),
        "late": percentiles(all.late),
        "refused": all.refused.len(),
        "first_refused": all.refused.first(),
    }))
}

fn client(plan: &Plan, first: u32) -> Result<Took> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let stream = TcpStream::connect(&plan.address).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::select! {
            took = plan.ask_all(&mut sender, first) => took,
            ended = connection => Err(ended.err().map_or_else(|| "the connection was closed".into(), Into::into)),
        }
    })
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
    async fn ask_all(&self, sender: &mut SendRequest<Full<Bytes>>, first: u32) -> Result<Took> {
        let mut took = Took::default();
        for number in (first..self.count).step_by(CLIENTS as usize) {
            let mut due = self.begun + self.interval * number;
            let free = due.saturating_duration_since(Instant::now());
            if !free.is_zero() {
                // Nothing else runs on this thread.
                thread::sleep(free);
                took.late.push(since(due));
                due = Instant::now();
            }
            let (method, path, body) = self.request(number);
            let write = method == Method::PUT;
            if let Some(refused) = ask(&self.address, sender, method, path, body).await? {
                took.refused.push(refused);
            }
            if write { &mut took.writes } else { &mut took.reads }.push(since(due));
        }
        Ok(took)
    }

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
