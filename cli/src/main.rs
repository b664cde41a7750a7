//! The `dray` binary: `dray standalone`, `dray quickstart`, `dray dev-broker`, `dray transform`, and what talks to a control plane.

mod control;
mod listeners;
mod local;
mod quickstart;
mod standalone;
mod transform;

use clap::{Parser, Subcommand};
use dray_process::Telemetry;
use dray_process::log::Format;
use std::process::ExitCode;

/// Kafka Connect, done again in Rust.
#[derive(Parser)]
#[command(name = "dray", version, disable_help_subcommand = true)]
struct Args {
    /// Log as JSON lines instead of text
    #[arg(long, global = true)]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run connectors in this process, from the files that connect-standalone takes
    Standalone(standalone::Args),
    /// Show records flow from a file through Kafka to a file; without a Kafka, an embedded broker is used
    Quickstart(quickstart::Args),
    /// Run the embedded broker alone (memory only: for trying out and for tests)
    DevBroker(DevBrokerArgs),
    /// Try out the transforms of a connector
    #[command(subcommand)]
    Transform(transform::Command),
    /// Connectors of a cluster
    #[command(subcommand)]
    Connector(control::connector::Command),
    /// Tasks of a cluster's connectors
    #[command(subcommand)]
    Task(control::task::Command),
    /// Agents of a cluster
    #[command(subcommand)]
    Agent(control::agent::Command),
    /// The cluster itself
    #[command(subcommand)]
    Cluster(control::cluster::Command),
    /// Show what connectors and tasks are doing
    Status(control::status::Status),
}

#[derive(clap::Args)]
struct DevBrokerArgs {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 9092)]
    port: u16,
}

/// What ended the command.
enum Failure {
    /// The user's input is wrong: exit 2.
    Usage(String),
    /// Anything else: exit 1.
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Threads for calls that block (files, librdkafka's admin requests), however many tasks make them; tokio's own bound is
/// 512. File tasks keep to a half of them, so that a disk that hangs leaves the others free.
const BLOCKING_THREADS: usize = 24;

fn main() -> ExitCode {
    let args = Args::parse();
    let format = if args.log_json { Format::Json } else { Format::Text };
    let telemetry = Telemetry::start(format);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return report(Failure::Failed(error.into())),
    };
    let result = match args.command {
        Command::Standalone(args) => standalone::run(&args, &runtime, telemetry),
        Command::Quickstart(args) => quickstart::run(&args, &runtime, telemetry),
        Command::DevBroker(args) => dev_broker(&args, &runtime),
        Command::Transform(transform::Command::Test(args)) => transform::test(&args),
        Command::Connector(command) => runtime.block_on(control::connector::run(command)),
        Command::Task(command) => runtime.block_on(control::task::run(command)),
        Command::Agent(command) => runtime.block_on(control::agent::run(command)),
        Command::Cluster(command) => runtime.block_on(control::cluster::run(command)),
        Command::Status(args) => runtime.block_on(control::status::run(args)),
    };
    // A plugin that blocks a thread must not keep the process: everything that matters was joined before.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => report(failure),
    }
}

fn report(failure: Failure) -> ExitCode {
    match failure {
        Failure::Usage(text) => {
            eprintln!("dray: {text}");
            ExitCode::from(2)
        }
        Failure::Failed(error) => {
            eprintln!("dray: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dev_broker(args: &DevBrokerArgs, runtime: &tokio::runtime::Runtime) -> Result<(), Failure> {
    runtime.block_on(async {
        let config = dray_devbroker::Config {
            port: args.port,
            ..dray_devbroker::Config::default()
        };
        let broker = dray_devbroker::DevBroker::start(config)
            .await
            .map_err(anyhow::Error::from)?;
        eprintln!(
            "broker at {}; all data is in memory; Ctrl-C ends it",
            broker.bootstrap_servers()
        );
        standalone::signal().await;
        broker.shutdown().await;
        Ok(())
    })
}
