//! The `dray` binary: `dray standalone`, `dray quickstart`, `dray dev-broker`, `dray transform`, and the commands for clusters.

mod cluster;
mod command;
mod completion;
mod local;
mod quickstart;
mod stages;
mod standalone;
mod transform;

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::CompleteEnv;
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
    #[command(subcommand, visible_alias = "connectors")]
    Connector(Box<command::connector::Command>),
    /// Create connectors as files declare them, or change those that are there
    Apply(Box<command::apply::Apply>),
    /// Dead letters of connectors
    #[command(subcommand)]
    Dlq(command::dlq::Command),
    /// Tasks of a cluster's connectors
    #[command(subcommand, visible_alias = "tasks")]
    Task(command::task::Command),
    /// Show what connectors and tasks are doing
    Status(Box<command::status::Status>),
    /// Plugins of a cluster
    #[command(subcommand, visible_alias = "plugins")]
    Plugin(command::plugin::Command),
    /// Agents of a Dray cluster
    #[command(subcommand, visible_alias = "agents")]
    Agent(command::agent::Command),
    /// The cluster itself
    #[command(subcommand)]
    Cluster(command::cluster::Command),
    /// Levels of a cluster's logs
    #[command(subcommand, visible_alias = "loggers")]
    Logger(command::logger::Command),
    /// Names for clusters, and which of them is meant
    #[command(subcommand, visible_alias = "contexts")]
    Context(command::context::Command),
    /// Print what a shell runs at its start to complete commands and names: `source <(dray completion bash)`
    Completion(completion::Completion),
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
    /// Exit 1, and all that there is to say was said.
    Shown,
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
    match CompleteEnv::with_factory(Args::command)
        .var(completion::VARIABLE)
        .try_complete(std::env::args_os(), std::env::current_dir().ok().as_deref())
    {
        Ok(false) => {}
        Ok(true) => return ExitCode::SUCCESS,
        Err(error) => return report(Failure::Usage(error.to_string())),
    }
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
        Command::Connector(command) => runtime.block_on(command::connector::run(*command)),
        Command::Apply(args) => runtime.block_on(command::apply::run(&args)),
        Command::Dlq(command) => runtime.block_on(command::dlq::run(command)),
        Command::Task(command) => runtime.block_on(command::task::run(command)),
        Command::Status(args) => runtime.block_on(command::status::run(*args)),
        Command::Plugin(command) => runtime.block_on(command::plugin::run(command)),
        Command::Agent(command) => runtime.block_on(command::agent::run(command)),
        Command::Cluster(command) => runtime.block_on(command::cluster::run(command)),
        Command::Logger(command) => runtime.block_on(command::logger::run(command)),
        Command::Context(command) => command::context::run(command),
        Command::Completion(args) => completion::run(&args),
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
        Failure::Shown => ExitCode::FAILURE,
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
