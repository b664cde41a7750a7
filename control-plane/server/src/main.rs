//! The `dray-control` binary: one replica of the control plane over etcd.

mod settings;

use dray_control::{Control, StartError};
use dray_process::{Telemetry, chain};
use dray_store_etcd::EtcdStore;
use settings::{PROGRAM, Plan, SETTINGS, Settings};
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait after an etcd that does not answer at the start. It may be starting as well.
const RETRY: Duration = Duration::from_secs(1);
/// Files and names are the only things that block.
const BLOCKING_THREADS: usize = 4;

fn main() -> ExitCode {
    let loaded = match dray_process::settings::load::<Settings>(&PROGRAM, &SETTINGS) {
        Ok(loaded) => loaded,
        Err(stop) => return stop.report(&PROGRAM),
    };
    let log = loaded.config.log;
    let mut plan = match loaded.config.validate() {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("{}: {}", PROGRAM.name, chain(error.as_ref()));
            return ExitCode::from(2);
        }
    };
    if loaded.check_only {
        eprintln!("{}: the settings are good", PROGRAM.name);
        return ExitCode::SUCCESS;
    }
    plan.control.telemetry = Telemetry::start(log);
    dray_process::exit_code(PROGRAM.name, run(plan))
}

fn run(plan: Plan) -> Result<(), Box<dyn Error + Send + Sync>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    runtime.block_on(async {
        let mut stop = std::pin::pin!(dray_process::stop_signal()?);
        let control = tokio::select! {
            () = &mut stop => return Ok(()),
            control = start(&plan) => control?,
        };
        dray_process::notify_ready();
        tracing::info!(cluster = %plan.control.cluster, replica = control.replica(), "ready");
        stop.await;
        dray_process::notify_stopping();
        tracing::info!("stopping");
        control.stop().await;
        Ok(())
    })
}

/// Tries again as long as etcd does not answer.
async fn start(plan: &Plan) -> Result<Control, Box<dyn Error + Send + Sync>> {
    loop {
        let error = match EtcdStore::connect(plan.etcd.clone()).await {
            Ok(store) => match Control::start(Arc::new(store), plan.control.clone()).await {
                Ok(control) => return Ok(control),
                Err(StartError::Store(error)) => error,
                Err(error) => return Err(error.into()),
            },
            Err(error) => error,
        };
        if !error.is_retryable() {
            return Err(error.into());
        }
        tracing::warn!(error = %chain(&error), "etcd does not answer: trying again");
        tokio::time::sleep(RETRY).await;
    }
}
