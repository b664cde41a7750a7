//! `dray quickstart`: records flow from a growing file through Kafka to another file, before the user's eyes.

use crate::{Failure, local, standalone as command};
use anyhow::{Context as _, anyhow};
use dray_agent::files::ConnectorFile;
use dray_connect::ConfigMap;
use dray_control::listeners::{self, Listeners};
use dray_devbroker::{Config, DevBroker};
use dray_kafka::Kafka;
use dray_kafka::port::{ClientConfig, KafkaPort as _, NewTopic};
use dray_model::{ConnectorName, TargetState};
use dray_process::Telemetry;
use dray_runtime::config::WorkerConfig;
use dray_runtime::status::{StatusBoard, Statuses};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Lines that `--once` sends.
const LINES: u64 = 10_000;
/// How long `--once` waits for them.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines that the live view appends each round, and the time between two rounds: a thousand a second.
const ROUND: (u64, Duration) = (100, Duration::from_millis(100));

/// Arguments of `dray quickstart`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Send 10,000 lines, check that exactly these arrive, print the figures and exit
    #[arg(long)]
    once: bool,
    /// Use this Kafka instead of the embedded broker
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap_servers: Option<String>,
}

/// Where things are, for this run.
struct Scene {
    folder: tempfile::TempDir,
    servers: String,
    topic: String,
}

impl Scene {
    fn source(&self) -> PathBuf {
        self.folder.path().join("source.txt")
    }

    fn sink(&self) -> PathBuf {
        self.folder.path().join("sink.txt")
    }

    fn worker(&self) -> ConfigMap {
        let string = "org.apache.kafka.connect.storage.StringConverter";
        config(&[
            ("bootstrap.servers", &self.servers),
            ("key.converter", string),
            ("value.converter", string),
            (
                "offset.storage.file.filename",
                &self.folder.path().join("connect.offsets").display().to_string(),
            ),
        ])
    }

    fn connectors(&self) -> Result<Vec<ConnectorFile>, Failure> {
        let source = config(&[
            ("connector.class", "FileStreamSource"),
            ("file", &self.source().display().to_string()),
            ("topic", &self.topic),
        ]);
        let sink = config(&[
            ("connector.class", "FileStreamSink"),
            ("file", &self.sink().display().to_string()),
            ("topics", &self.topic),
        ]);
        Ok(vec![self.connector("source", source)?, self.connector("sink", sink)?])
    }

    fn connector(&self, kind: &str, mut config: ConfigMap) -> Result<ConnectorFile, Failure> {
        let name = format!("{}-{kind}", self.topic);
        config.insert("name".to_owned(), name.clone());
        let name = ConnectorName::try_from(name.as_str()).map_err(|error| anyhow!(error))?;
        Ok(ConnectorFile {
            path: self.folder.path().join(kind),
            name,
            config,
            initial_state: TargetState::Started,
        })
    }
}

fn config(pairs: &[(&str, &str)]) -> ConfigMap {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

/// Runs the show.
pub(crate) fn run(args: &Args, runtime: &Runtime, telemetry: Telemetry) -> Result<(), Failure> {
    let started = Instant::now();
    runtime.block_on(async {
        let broker = match &args.bootstrap_servers {
            Some(_) => None,
            None => Some(DevBroker::start(Config::default()).await.map_err(anyhow::Error::from)?),
        };
        let servers = match (&args.bootstrap_servers, &broker) {
            (Some(servers), _) => servers.clone(),
            (None, broker) => broker.as_ref().map(DevBroker::bootstrap_servers).unwrap_or_default(),
        };
        let folder = tempfile::Builder::new()
            .prefix("dray-quickstart-")
            .tempdir()
            .context("temporary folder")?;
        let topic = format!("dray-quickstart-{}", std::process::id());
        let scene = Scene { folder, servers, topic };
        std::fs::write(scene.source(), "").with_context(|| format!("cannot write {}", scene.source().display()))?;

        create_topic(&scene).await?;
        let board = StatusBoard::default();
        let config = WorkerConfig::parse(&scene.worker()).map_err(anyhow::Error::from)?;
        let connectors = scene.connectors()?;
        let listeners = Listeners::on(free_address(args.once));
        let data = scene.folder.path().join("dray");
        let local = local::start(config, &connectors, &data, board.clone(), &listeners, telemetry).await?;

        say(&format!(
            "Kafka       {}{}",
            scene.servers,
            if broker.is_some() { " (embedded, in memory)" } else { "" }
        ));
        say(&format!("source file {}", scene.source().display()));
        say(&format!("topic       {}", scene.topic));
        say(&format!("sink file   {}", scene.sink().display()));
        for address in local.addresses() {
            say(&format!("REST        http://{address}"));
        }
        let shown = if args.once {
            once(&scene, &board, started).await
        } else {
            live(&scene, &board).await
        };
        local.stop().await?;
        if let Some(broker) = broker {
            broker.shutdown().await;
        }
        shown
    })
}

/// Connect's port for people, who may run something there already; programs run side by side.
fn free_address(once: bool) -> SocketAddr {
    let usual = listeners::DEFAULT;
    match !once && TcpListener::bind(usual).is_ok() {
        true => usual,
        false => SocketAddr::new(usual.ip(), 0),
    }
}

/// Creates the topic before the sink asks for it: a consumer that finds none looks again only after a second or two.
async fn create_topic(scene: &Scene) -> Result<(), Failure> {
    let servers = ("bootstrap.servers".to_owned(), scene.servers.clone());
    let admin = Kafka::new()
        .admin(&ClientConfig::from([servers]))
        .map_err(anyhow::Error::from)?;
    let topic = NewTopic {
        name: scene.topic.clone(),
        partitions: 1,
        replication_factor: -1,
        configs: BTreeMap::new(),
    };
    let created = admin.create_topic(&topic, Duration::from_secs(10)).await;
    created.with_context(|| format!("cannot create topic {} at {}", scene.topic, scene.servers))?;
    Ok(())
}

/// Sends the lines, waits until they have all arrived, compares.
async fn once(scene: &Scene, board: &StatusBoard, started: Instant) -> Result<(), Failure> {
    let lines: String = (0..LINES).map(line).collect();
    let sent = Instant::now();
    append(&scene.source(), &lines)?;
    let mut states = board.watch();
    loop {
        let arrived = std::fs::metadata(scene.sink()).map_or(0, |file| file.len());
        if arrived >= lines.len() as u64 {
            break;
        }
        fail_if_failed(&states.borrow_and_update())?;
        if sent.elapsed() > PATIENCE {
            return Err(anyhow!(
                "only {arrived} of {} bytes arrived in {} s; see the log above",
                lines.len(),
                PATIENCE.as_secs()
            )
            .into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let took = sent.elapsed();
    let found = std::fs::read_to_string(scene.sink()).context("sink file")?;
    if found != lines {
        return Err(anyhow!(
            "the sink file differs from the source file: {} lines arrived",
            found.lines().count()
        )
        .into());
    }
    say(&format!(
        "{LINES} lines sent, the same {LINES} lines arrived, in {:.0} ms ({:.0} lines/s); {:.2} s since the start",
        took.as_secs_f64() * 1e3,
        LINES as f64 / took.as_secs_f64(),
        started.elapsed().as_secs_f64()
    ));
    Ok(())
}

/// Appends lines until Ctrl-C and shows how they arrive.
async fn live(scene: &Scene, board: &StatusBoard) -> Result<(), Failure> {
    say("");
    say("Try in another terminal:");
    say(&format!("  tail -f {}", scene.sink().display()));
    say(&format!("  echo hello >> {}", scene.source().display()));
    say(&format!("  kcat -b {} -t {} -C -o end", scene.servers, scene.topic));
    say("Ctrl-C ends it.");
    say("");
    let mut ticks = tokio::time::interval(ROUND.1);
    let end = command::signal();
    tokio::pin!(end);
    let (mut sent, mut bytes) = (0, 0);
    let mut round: Option<(u64, Instant)> = None;
    let mut latency = Duration::ZERO;
    let states = board.watch();
    loop {
        tokio::select! {
            () = &mut end => break,
            _ = ticks.tick() => {}
        }
        fail_if_failed(&states.borrow())?;
        let arrived = std::fs::metadata(scene.sink()).map_or(0, |file| file.len());
        if round.is_none() {
            let lines: String = (sent..sent + ROUND.0).map(line).collect();
            append(&scene.source(), &lines)?;
            sent += ROUND.0;
            bytes += lines.len() as u64;
            round = Some((bytes, Instant::now()));
        }
        if let Some((goal, since)) = round {
            // Looked at every few milliseconds, so that the latency shown is not the length of a tick.
            let mut seen = arrived;
            while seen < goal && since.elapsed() < ROUND.1 {
                tokio::time::sleep(Duration::from_millis(1)).await;
                seen = std::fs::metadata(scene.sink()).map_or(0, |file| file.len());
            }
            if seen >= goal {
                latency = since.elapsed();
                round = None;
            }
        }
        let behind = round.map_or(0, |_| ROUND.0);
        eprint!(
            "\r{sent:>9} lines sent {:>9} arrived  latency {:>5.1} ms ",
            sent - behind,
            latency.as_secs_f64() * 1e3
        );
        drop(std::io::stderr().flush()); // a closed terminal is no reason to stop
    }
    eprintln!();
    Ok(())
}

fn fail_if_failed(statuses: &Statuses) -> Result<(), Failure> {
    let failed = statuses
        .tasks
        .iter()
        .find(|(_, entry)| entry.state == dray_model::TaskState::Failed);
    match failed {
        Some((id, entry)) => Err(anyhow!(
            "task {id} failed: {}",
            entry.trace.as_deref().unwrap_or("no reason given")
        )
        .into()),
        None => Ok(()),
    }
}

fn append(path: &Path, text: &str) -> Result<(), Failure> {
    let append = || {
        std::fs::OpenOptions::new()
            .append(true)
            .open(path)?
            .write_all(text.as_bytes())
    };
    Ok(append().with_context(|| format!("cannot append to {}", path.display()))?)
}

fn line(number: u64) -> String {
    format!("{number:010} the quick brown fox jumps over the lazy dog\n")
}

/// One line for the user. To stderr, like the log, so that both stay in order.
fn say(text: &str) {
    eprintln!("{text}");
}
