//! Agents that are connected and carry nothing: each has a connection of its own, says hello, and then its heartbeats.

use crate::{Result, say};
use dray_wire::agent::v1::agent_control_service_client::AgentControlServiceClient;
use dray_wire::agent::v1::session_request::Body;
use dray_wire::agent::v1::session_response::Body as Said;
use dray_wire::agent::v1::{AssignmentAck, Capacity, Heartbeat, Hello, Plugin, PluginKind, SessionRequest};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

/// Before one that was sent away, or has lost its stream, tries again.
const AGAIN: Duration = Duration::from_millis(200);
/// Between two counts.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Default)]
struct Count {
    /// Agents with a session.
    welcome: AtomicUsize,
    /// Heartbeats that were acknowledged.
    beats: AtomicU64,
    /// The longest time from a heartbeat to its acknowledgement, in microseconds.
    slowest: AtomicU64,
    /// Streams that ended.
    broken: AtomicU64,
}

/// Says `{"connected": COUNT}` when all have a session, and at each line of stdin how it went since the last.
pub(crate) async fn run(addresses: &[String], cluster: &str, count: usize) -> Result<()> {
    let seen = Arc::new(Count::default());
    let mut agents = JoinSet::new();
    for number in 0..count {
        let (addresses, cluster, seen) = (addresses.to_vec(), cluster.to_owned(), seen.clone());
        agents.spawn(async move {
            for attempt in number.. {
                let address = &addresses[attempt % addresses.len()];
                if session(address, &cluster, number, &seen).await.is_err() {
                    seen.broken.fetch_add(1, Ordering::Relaxed);
                }
                tokio::time::sleep(AGAIN).await;
            }
        });
    }
    let started = Instant::now();
    while seen.welcome.load(Ordering::Relaxed) < count {
        tokio::time::sleep(LOOK).await;
    }
    say(&json!({"connected": count, "ms": started.elapsed().as_secs_f64() * 1e3}));
    let mut lines = crate::input();
    while lines.recv().await.is_some() {
        say(&json!({
            "connected": seen.welcome.load(Ordering::Relaxed),
            "beats": seen.beats.swap(0, Ordering::Relaxed),
            "slowest_ms": seen.slowest.swap(0, Ordering::Relaxed) as f64 / 1e3,
            "broken": seen.broken.swap(0, Ordering::Relaxed),
        }));
    }
    Ok(())
}

/// One stream, until it ends.
async fn session(address: &str, cluster: &str, number: usize, count: &Count) -> Result<()> {
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .tcp_nodelay(true)
        .connect()
        .await?;
    let (out, requests) = mpsc::channel(16);
    let say = async |body| out.send(SessionRequest { body: Some(body) }).await;
    let mut instance = vec![0; 16];
    instance[..8].copy_from_slice(&(number as u64 + 1).to_be_bytes());
    instance[8..12].copy_from_slice(&std::process::id().to_be_bytes());
    say(Body::Hello(Hello {
        cluster: cluster.to_owned(),
        agent: format!("simulated-{number:05}"),
        instance,
        software_version: env!("CARGO_PKG_VERSION").into(),
        protocol_min: 1,
        protocol_max: 1,
        worker_id: format!("simulated-{number:05}:8083"),
        region: "default".into(),
        zone: format!("zone-{}", number % 3),
        capacity: Some(Capacity {
            slots: 1000,
            cost: 1_000_000,
        }),
        plugins: vec![Plugin {
            class: "org.apache.kafka.connect.file.FileStreamSourceConnector".into(),
            version: "1".into(),
            kind: PluginKind::Source.into(),
        }],
        ..Hello::default()
    }))
    .await?;
    let mut client = AgentControlServiceClient::new(channel);
    let mut answers = client.session(ReceiverStream::new(requests)).await?.into_inner();
    let beat = loop {
        match answers.message().await?.and_then(|answer| answer.body) {
            Some(Said::Welcome(welcome)) => {
                let beat = welcome.lease.and_then(|lease| lease.heartbeat).ok_or("no lease")?;
                break Duration::try_from(beat)?;
            }
            Some(Said::NotLeader(_) | Said::Fenced(_)) | None => return Err("sent away".into()),
            Some(_) => {}
        }
    };
    count.welcome.fetch_add(1, Ordering::Relaxed);
    let result = beats(&mut answers, &out, beat, number, count).await;
    count.welcome.fetch_sub(1, Ordering::Relaxed);
    result
}

async fn beats(
    answers: &mut tonic::Streaming<dray_wire::agent::v1::SessionResponse>,
    out: &mpsc::Sender<SessionRequest>,
    beat: Duration,
    number: usize,
    count: &Count,
) -> Result<()> {
    // Agents start when they start: not all beat at once.
    let first = tokio::time::Instant::now() + beat.mul_f64((number % 100) as f64 / 100.0);
    let mut timer = tokio::time::interval_at(first, beat);
    let (mut seq, mut sent) = (0, Instant::now());
    loop {
        let body = tokio::select! {
            _ = timer.tick() => {
                seq += 1;
                sent = Instant::now();
                Body::Heartbeat(Heartbeat { seq, changed: Vec::new(), cpu_millis: 10, memory_bytes: 20 << 20 })
            }
            said = answers.message() => match said?.and_then(|said| said.body) {
                Some(Said::HeartbeatAck(ack)) => {
                    if ack.seq == seq {
                        let micros = u64::try_from(sent.elapsed().as_micros())?;
                        count.slowest.fetch_max(micros, Ordering::Relaxed);
                    }
                    count.beats.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                Some(Said::Assignments(delta)) => {
                    Body::AssignmentAck(AssignmentAck { nonce: delta.nonce, refused: Vec::new() })
                }
                Some(Said::NotLeader(_) | Said::Fenced(_)) | None => return Err("sent away".into()),
                Some(_) => continue,
            },
        };
        out.send(SessionRequest { body: Some(body) }).await?;
    }
}
