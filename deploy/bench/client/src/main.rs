//! The client of the cluster's benchmarks (deploy/bench/cluster.py): what operators do, done often and timed, over gRPC and over REST, and
//! agents that carry nothing.
//!
//! Answers go to stdout, one JSON object a line; a failure ends with exit code 1 and a reason.

mod agents;
mod eye;
mod load;
mod seen;

use std::error::Error;
use std::process::ExitCode;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "usage: dray-bench COMMAND
  eye ADDRESSES                   watches the statuses at replicas of the control plane, and does what stdin says (src/eye.rs)
  answers ADDRESS                 says when a replica at this address answers a read
  agents ADDRESSES CLUSTER COUNT  agents that are connected and carry nothing, until stdin ends
  load ADDRESS CONNECTORS PER_SECOND SECONDS CONFIG  reads and writes of the REST API, and how long they took (src/load.rs)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("dray-bench: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let result = runtime.block_on(run(&args.iter().map(String::as_str).collect::<Vec<_>>()));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dray-bench {}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &[&str]) -> Result<()> {
    match args {
        ["eye", addresses] => eye::run(&list(addresses)).await,
        ["answers", address] => eye::answers(address).await,
        ["agents", addresses, cluster, count] => agents::run(&list(addresses), cluster, count.parse()?).await,
        ["load", address, connectors, per_second, seconds, config] => {
            let load = load::Load {
                address,
                connectors: connectors.parse()?,
                per_second: per_second.parse()?,
                seconds: seconds.parse()?,
                config,
            };
            say(&load::run(&load)?);
            Ok(())
        }
        _ => Err(USAGE.into()),
    }
}

fn list(addresses: &str) -> Vec<String> {
    addresses.split(',').map(str::to_owned).collect()
}

/// The lines of stdin, until it ends.
fn input() -> tokio::sync::mpsc::Receiver<String> {
    let (lines, input) = tokio::sync::mpsc::channel(1);
    // Not joined: it may wait for a line forever.
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(std::result::Result::ok) {
            if lines.blocking_send(line).is_err() {
                return;
            }
        }
    });
    input
}

/// One answer.
fn say(answer: &serde_json::Value) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    // Whoever started us is gone: there is nobody left to tell.
    drop(writeln!(out, "{answer}").and_then(|()| out.flush()));
}
