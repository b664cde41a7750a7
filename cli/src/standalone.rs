//! `dray standalone`: the same files as `connect-standalone`, the same behaviour.

use crate::{Failure, local};
use dray_agent::files;
use dray_control::listeners::Listeners;
use dray_process::Telemetry;
use dray_runtime::config::WorkerConfig;
use dray_runtime::status::StatusBoard;
use std::path::{Path, PathBuf};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal as unix_signal};

/// Where the process keeps its state.
const DATA_DIR: &str = "dray.data.dir";

/// Arguments of `dray standalone`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The worker's properties file
    worker: PathBuf,
    /// Connector files: Java properties, or JSON
    connectors: Vec<PathBuf>,
}

/// Runs until SIGINT or SIGTERM, then drains.
pub(crate) fn run(args: &Args, runtime: &Runtime, telemetry: Telemetry) -> Result<(), Failure> {
    let usage = |error: files::Error| Failure::Usage(error.to_string());
    let config = files::worker(&args.worker, &telemetry.hidden).map_err(usage)?;
    let connectors: Vec<_> = args
        .connectors
        .iter()
        .map(|path| files::connector(path))
        .collect::<Result<_, _>>()
        .map_err(usage)?;
    let data = data_dir(&config, &args.worker);
    let listeners = Listeners::of(config.originals())
        .map_err(|problem| Failure::Usage(format!("{}: {problem}", args.worker.display())))?;
    runtime.block_on(async {
        let stop = signal();
        tokio::pin!(stop);
        let mut local = tokio::select! {
            local = local::start(config, &connectors, &data, StatusBoard::default(), &listeners, telemetry) => local?,
            () = &mut stop => return Ok(()),
        };
        tokio::select! {
            () = &mut stop => local.stop().await,
            failure = local.failed() => Err(failure),
        }
    })
}

/// `dray.data.dir`, or a folder beside the offsets, which are state of this process too; where those are in a topic, beside the worker file.
fn data_dir(config: &WorkerConfig, worker: &Path) -> PathBuf {
    if let Some(folder) = config.originals().get(DATA_DIR) {
        return PathBuf::from(folder);
    }
    let mut beside = config.offsets_file.as_deref().unwrap_or(worker).as_os_str().to_owned();
    beside.push(".dray");
    PathBuf::from(beside)
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
