//! `dray standalone`: the same files as `connect-standalone`, the same behaviour.

use crate::Failure;
use anyhow::Context as _;
use dray_agent::{files, plugins, standalone};
use dray_kafka::RdKafka;
use dray_runtime::config::WorkerConfig;
use dray_runtime::crew::Crew;
use dray_runtime::offsets::OffsetStore;
use dray_runtime::offsets::file::FileOffsets;
use dray_runtime::offsets::topic::TopicOffsets;
use dray_runtime::status::StatusBoard;
use dray_runtime::worker::Worker;
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal as unix_signal};

/// Arguments of `dray standalone`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The worker's properties file
    worker: PathBuf,
    /// Connector files: Java properties, or JSON
    connectors: Vec<PathBuf>,
}

/// Runs until SIGINT or SIGTERM, then drains.
pub(crate) fn run(args: &Args, runtime: &Runtime) -> Result<(), Failure> {
    let usage = |error: files::Error| Failure::Usage(error.to_string());
    let config = files::worker(&args.worker).map_err(usage)?;
    let connectors: Vec<_> = args
        .connectors
        .iter()
        .map(|path| files::connector(path))
        .collect::<Result<_, _>>()
        .map_err(usage)?;
    runtime.block_on(async {
        let worker = worker(config, StatusBoard::default())?;
        let names: Vec<String> = connectors.iter().map(|file| file.name.to_string()).collect();
        standalone::run(worker, connectors, signal())
            .await
            .map_err(|error| Failure::Usage(format!("connectors {}: {error}", names.join(", "))))
    })
}

/// A worker on rdkafka with its offsets in a topic or in a file, whichever its settings name, and a crew for its connectors.
/// Called inside the tokio runtime.
pub(crate) fn worker(config: WorkerConfig, board: StatusBoard) -> Result<Worker, Failure> {
    let port = Arc::new(RdKafka::new());
    let what = "offsets of source connectors";
    let offsets: Arc<dyn OffsetStore> = match &config.offsets_topic {
        Some(topic) => Arc::new(TopicOffsets::open(topic.clone(), &config, port.as_ref()).context(what)?),
        None => {
            let file = config.offsets_file.clone().unwrap_or_default();
            Arc::new(FileOffsets::open(&file).context(what)?)
        }
    };
    let worker = Worker::new(config, port, offsets, plugins::all(), board);
    let cores = std::thread::available_parallelism().map_or(2, NonZero::get);
    let crew = Crew::start(cores).context("threads for connectors")?;
    Ok(worker.with_crew(Arc::new(crew)))
}

/// Resolves at SIGINT or SIGTERM.
pub(crate) async fn signal() {
    let mut terminate = match unix_signal(SignalKind::terminate()) {
        Ok(terminate) => terminate,
        Err(error) => {
            tracing::error!(%error, "SIGTERM cannot be caught");
            return;
        }
    };
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => drop(interrupted),
        _ = terminate.recv() => {}
    }
}
