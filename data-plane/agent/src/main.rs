//! `dray-agent`: runs connector tasks of a Dray cluster.

use dray_agent::agent::Agent;
use dray_agent::folder::DataFolder;
use dray_agent::link::dial_out;
use dray_agent::plugins;
use dray_agent::settings::{self, AgentSettings, PROGRAM, Plan};
use dray_kafka::Kafka;
use dray_process::{Telemetry, exit_code, notify_ready, notify_stopping, stop_signal};
use dray_runtime::status::StatusBoard;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Threads for calls that block (files, librdkafka's admin requests), however many tasks make them.
const BLOCKING_THREADS: usize = 24;

fn main() -> ExitCode {
    let loaded = match dray_process::settings::load::<AgentSettings>(&PROGRAM, settings::SETTINGS) {
        Ok(loaded) => loaded,
        Err(stop) => return stop.report(&PROGRAM),
    };
    let plan = match loaded.config.validate() {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("{}: {error}", PROGRAM.name);
            return ExitCode::from(2);
        }
    };
    if loaded.check_only {
        eprintln!("{}: the settings are good", PROGRAM.name);
        return ExitCode::SUCCESS;
    }
    let telemetry = Telemetry::start(loaded.config.log);
    exit_code(PROGRAM.name, run(&loaded.config, &plan, telemetry))
}

fn run(settings: &AgentSettings, plan: &Plan, telemetry: Telemetry) -> Result<(), Box<dyn Error + Send + Sync>> {
    let folder = DataFolder::open(&settings.data_dir, settings::new_instance())?;
    let identity = settings.identity(plan, &folder)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build()?;
    let back_in_ms = plan.back_in_ms;
    let result = runtime.block_on(async {
        let stop = stop_signal()?;
        // Dropping it ends the server.
        let mut serving = JoinSet::new();
        if let Some(address) = plan.metrics_listen {
            let listen = |error| format!("metrics-listen: could not listen on {address}: {error}");
            let listener = TcpListener::bind(address).await.map_err(listen)?;
            tracing::info!(address = %listener.local_addr()?, "serving /metrics");
            let metrics = telemetry.metrics.clone();
            serving.spawn(async move {
                if let Err(error) = metrics.serve(listener).await {
                    tracing::error!(%error, "/metrics is no longer served");
                }
            });
        }
        let agent = Agent {
            identity,
            endpoints: settings.control.clone(),
            dial: dial_out(),
            // Where tokens may be fetched from, in the words of whoever moves over from Kafka Connect.
            port: Arc::new(Kafka::new().with_java_options(&std::env::var("KAFKA_OPTS").unwrap_or_default())),
            plugins: plugins::all(),
            offsets: None,
            board: StatusBoard::default(),
            telemetry: telemetry.clone(),
        };
        tracing::info!(agent = %agent.identity.agent, cluster = settings.cluster, version = PROGRAM.version, "agent started");
        notify_ready();
        agent
            .run(async move {
                stop.await;
                tracing::info!("agent is asked to stop and hands its tasks over");
                notify_stopping();
                back_in_ms
            })
            .await?;
        serving.shutdown().await;
        tracing::info!("agent has stopped");
        Ok(())
    });
    // A plugin that blocks a thread must not keep the process: everything that matters was joined before.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    drop(folder); // last: whoever gets the lock may believe that we are gone
    result
}
