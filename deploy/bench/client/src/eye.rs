//! Watches the statuses, and does what stdin says, a line each, answered by one JSON object each:
//!
//! | | |
//! |---|---|
//! | `create COUNT CLIENTS PREFIX CONFIG` | connectors PREFIX00000 .. with this configuration (JSON; `@` is the number); answers when all are stored |
//! | `update TIMES CLIENTS PREFIX COUNT KEY CONFIG` | another value for KEY of one connector after the other, TIMES in all |
//! | `delete COUNT PREFIX` | |
//! | `write NAME CONFIG` | one change, at one replica after the other until one accepts it |
//! | `running COUNT` | waits until so many tasks and instances run |
//! | `renewed COUNT` | the same, all with another ownership than at the mark |
//! | `connected COUNT` | waits until so many agents are connected |
//! | `holds AGENT COUNT` | waits until an agent owns so many |
//! | `quiet MS` | waits until no ownership or state has changed for so long |
//! | `mark` | remembers the ownerships |
//! | `changes` | whose changed since the mark: from which agent to which |
//! | `cordon`, `uncordon`, `drain` AGENT | |
//! | `leader` | the replica that leads |

use crate::seen::Seen;
use crate::{Result, say};
use dray_wire::admin::v1::agent_service_client::AgentServiceClient;
use dray_wire::admin::v1::cluster_service_client::ClusterServiceClient;
use dray_wire::admin::v1::connector_service_client::ConnectorServiceClient;
use dray_wire::admin::v1::status_service_client::StatusServiceClient;
use dray_wire::admin::v1::{
    AgentLink, CordonAgentRequest, CreateConnectorRequest, DeleteConnectorRequest, DrainAgentRequest,
    GetClusterRequest, UncordonAgentRequest, UpdateConnectorConfigRequest, WatchStatusRequest,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

/// One attempt of a call.
const CALL: Duration = Duration::from_secs(10);
/// One attempt while a replica may be dead: another one is asked then.
const TRY: Duration = Duration::from_secs(1);
/// The longest that anything is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

fn channel(address: &str) -> Result<Channel> {
    Ok(Endpoint::from_shared(format!("http://{address}"))?
        .connect_timeout(Duration::from_secs(2))
        .tcp_nodelay(true)
        .connect_lazy())
}

/// Says once when a replica answers: asked every millisecond.
pub(crate) async fn answers(address: &str) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    say(&json!({"asking": address}));
    while Instant::now() < end {
        // A channel of its own each time: one that was refused waits before it tries again.
        let request = ClusterServiceClient::new(channel(address)?)
            .get_cluster(GetClusterRequest::default())
            .await;
        if request.is_ok() {
            say(&json!({"answers": address}));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Err("no answer".into())
}

struct Eye {
    replicas: Vec<Channel>,
    next: AtomicUsize,
    seen: Mutex<Seen>,
    news: Notify,
}

/// Does what stdin says until it ends.
pub(crate) async fn run(addresses: &[String]) -> Result<()> {
    let eye = Arc::new(Eye {
        replicas: addresses
            .iter()
            .map(|address| channel(address))
            .collect::<Result<_>>()?,
        next: AtomicUsize::new(0),
        seen: Mutex::default(),
        news: Notify::new(),
    });
    let mut watcher = JoinSet::new();
    watcher.spawn(watch(eye.clone()));
    eye.until("statuses", |seen| seen.synced).await?;
    say(&json!({"ready": true}));
    let mut lines = crate::input();
    while let Some(line) = lines.recv().await {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = eye
            .clone()
            .obey(&words)
            .await
            .map_err(|error| format!("{line}: {error}"))?;
        say(&answer);
    }
    Ok(())
}

/// Listens to one replica after the other.
async fn watch(eye: Arc<Eye>) {
    for place in 0.. {
        let mut client = StatusServiceClient::new(eye.replicas[place % eye.replicas.len()].clone())
            .max_decoding_message_size(dray_wire::MAX_MESSAGE);
        if let Ok(Ok(stream)) = tokio::time::timeout(TRY, client.watch_status(WatchStatusRequest::default())).await {
            let mut stream = stream.into_inner();
            while let Ok(Some(said)) = stream.message().await {
                eye.seen().take(said.reset, said.synced, said.changes);
                eye.news.notify_waiters();
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Eye {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn until(&self, what: &str, so: impl Fn(&Seen) -> bool) -> Result<()> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if so(&self.seen()) {
                return Ok(());
            }
            if tokio::time::timeout_at(end, news).await.is_err() {
                let (states, wrong) = self.seen().summary();
                return Err(format!("not within {PATIENCE:?}: {what}; {states:?} {wrong:#?}").into());
            }
        }
    }

    async fn obey(self: Arc<Self>, words: &[&str]) -> Result<Value> {
        let started = Instant::now();
        let mut answer = match words {
            ["create", count, clients, prefix, config @ ..] => {
                let (config, prefix) = (config.join(" "), (*prefix).to_owned());
                let eye = self.clone();
                self.timed(count.parse()?, clients.parse()?, move |number| {
                    let (eye, name) = (eye.clone(), named(&prefix, number));
                    let config = config.replace('@', &format!("{number:05}"));
                    async move { eye.create(name, pairs(&config)?).await }
                })
                .await?
            }
            ["update", times, clients, prefix, count, key, config @ ..] => {
                let (config, prefix, key) = (config.join(" "), (*prefix).to_owned(), (*key).to_owned());
                let count: usize = count.parse()?;
                let eye = self.clone();
                self.timed(times.parse()?, clients.parse()?, move |time| {
                    // All over the names, not one shard after the other.
                    let (eye, number) = (eye.clone(), time * 7919 % count);
                    let config = pairs(&config.replace('@', &format!("{number:05}")));
                    let (name, key) = (named(&prefix, number), key.clone());
                    async move {
                        let mut config = config?;
                        config.insert(key, (1000 + time).to_string());
                        eye.update(name, config).await
                    }
                })
                .await?
            }
            ["delete", count, prefix] => {
                let (eye, prefix) = (self.clone(), (*prefix).to_owned());
                self.timed(count.parse()?, 16, move |number| {
                    let (eye, name) = (eye.clone(), named(&prefix, number));
                    async move {
                        let expected_revision = 0;
                        let request = DeleteConnectorRequest {
                            name,
                            expected_revision,
                        };
                        eye.connectors().delete_connector(request).await?;
                        Ok(())
                    }
                })
                .await?
            }
            ["write", name, config @ ..] => {
                let config = pairs(&config.join(" "))?;
                let (name, mut tries) = ((*name).to_owned(), 0);
                loop {
                    tries += 1;
                    match tokio::time::timeout(TRY, self.update(name.clone(), config.clone())).await {
                        Ok(Ok(())) => break json!({"tries": tries}),
                        Ok(Err(error)) if started.elapsed() > PATIENCE => return Err(error),
                        // The replica may be the dead one.
                        Ok(Err(_)) | Err(_) => drop(self.next.fetch_add(1, Ordering::Relaxed)),
                    }
                }
            }
            ["running", count] => {
                let count: usize = count.parse()?;
                self.until(&format!("{count} running"), |seen| seen.running == count)
                    .await?;
                json!({})
            }
            ["renewed", count] => {
                let count: usize = count.parse()?;
                self.until(&format!("{count} renewed"), |seen| seen.renewed >= count)
                    .await?;
                json!({})
            }
            ["connected", count] => {
                let count: usize = count.parse()?;
                let connected = |seen: &Seen| {
                    seen.agents
                        .values()
                        .filter(|agent| agent.link() == AgentLink::Connected)
                        .count()
                        == count
                };
                self.until(&format!("{count} agents connected"), connected).await?;
                json!({})
            }
            ["holds", agent, count] => {
                let count: usize = count.parse()?;
                self.until(&format!("{agent} has {count}"), |seen| seen.of(agent) == count)
                    .await?;
                json!({})
            }
            ["quiet", ms] => {
                let long = Duration::from_millis(ms.parse()?);
                let mut from = Instant::now();
                while from.elapsed() < long {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    from = from.max(self.seen().changed.unwrap_or(from));
                    if started.elapsed() > PATIENCE {
                        return Err("statuses go on changing".into());
                    }
                }
                json!({})
            }
            ["mark"] => {
                self.seen().mark();
                json!({})
            }
            ["changes"] => {
                let changes = self.seen().changes();
                let changes: Vec<_> = changes
                    .into_iter()
                    .map(|c| json!([c.name, c.task, c.from, c.to]))
                    .collect();
                json!({"changes": changes})
            }
            ["cordon", id] => {
                let id = (*id).to_owned();
                self.agents().cordon_agent(CordonAgentRequest { id }).await?;
                json!({})
            }
            ["uncordon", id] => {
                let id = (*id).to_owned();
                self.agents().uncordon_agent(UncordonAgentRequest { id }).await?;
                json!({})
            }
            ["drain", id] => {
                let id = (*id).to_owned();
                self.agents().drain_agent(DrainAgentRequest { id }).await?;
                json!({})
            }
            ["leader"] => {
                let mut cluster = ClusterServiceClient::new(self.replica());
                let cluster = cluster.get_cluster(GetClusterRequest::default());
                let leader = tokio::time::timeout(CALL, cluster).await??.into_inner().leader;
                json!({"leader": leader.map(|leader| leader.replica)})
            }
            _ => return Err("src/eye.rs has the commands".into()),
        };
        let (states, wrong) = self.seen().summary();
        answer["ms"] = json!(started.elapsed().as_secs_f64() * 1e3);
        answer["states"] = json!(states);
        answer["wrong"] = json!(wrong);
        Ok(answer)
    }

    fn replica(&self) -> Channel {
        self.replicas[self.next.load(Ordering::Relaxed) % self.replicas.len()].clone()
    }

    fn connectors(&self) -> ConnectorServiceClient<Channel> {
        ConnectorServiceClient::new(self.replica())
    }

    fn agents(&self) -> AgentServiceClient<Channel> {
        AgentServiceClient::new(self.replica())
    }

    async fn create(&self, name: String, config: BTreeMap<String, String>) -> Result<()> {
        let request = CreateConnectorRequest {
            name,
            config,
            target: 0,
            skip_validation: true,
        };
        self.connectors().create_connector(request).await?;
        Ok(())
    }

    async fn update(&self, name: String, config: BTreeMap<String, String>) -> Result<()> {
        let request = UpdateConnectorConfigRequest {
            name,
            config,
            expected_revision: 0,
            skip_validation: true,
        };
        self.connectors().update_connector_config(request).await?;
        Ok(())
    }

    /// Calls for the numbers below `count`, by so many clients at once; how long a call took.
    async fn timed<F: Future<Output = Result<()>> + Send + 'static>(
        &self,
        count: usize,
        clients: usize,
        call: impl Fn(usize) -> F + Clone + Send + 'static,
    ) -> Result<Value> {
        let next = Arc::new(AtomicUsize::new(0));
        let mut calling = JoinSet::new();
        for _ in 0..clients {
            let (next, call) = (next.clone(), call.clone());
            calling.spawn(async move {
                let mut took = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return Ok::<_, Box<dyn std::error::Error + Send + Sync>>(took);
                    }
                    let started = Instant::now();
                    tokio::time::timeout(CALL, call(number)).await??;
                    took.push(started.elapsed().as_secs_f64() * 1e3);
                }
            });
        }
        let mut took = Vec::with_capacity(count);
        while let Some(done) = calling.join_next().await {
            took.extend(done??);
        }
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took.get(((took.len().max(1) - 1) as f64 * share).round() as usize);
        Ok(json!({"calls": took.len(), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": took.last()}))
    }
}

fn named(prefix: &str, number: usize) -> String {
    format!("{prefix}{number:05}")
}

fn pairs(config: &str) -> Result<BTreeMap<String, String>> {
    Ok(serde_json::from_str::<serde_json::Map<String, Value>>(config)?
        .into_iter()
        .map(|(key, value)| (key, value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        .collect())
}
