//! `dray status`: what is seen of connectors and tasks, once or as it changes.

use super::Args;
use super::describe::cause;
use super::output::{self, Doing as _, Output, Table, or_dash};
use super::select::Select;
use crate::Failure;
use crate::cluster::{Cluster, Event, Seen};
use anyhow::Context as _;
use serde_json::json;
use tokio::sync::mpsc;

/// So many events wait for a slow terminal; then the stream waits, and the control plane merges what comes faster.
const QUEUE: usize = 64;

/// `dray status`.
#[derive(clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    select: Select,
    /// Everything, then every change of it, until Ctrl-C; as JSON, an object a line
    ///
    /// An object with `reset` begins a snapshot: forget everything before it. From the first with `synced` on, it is complete.
    #[arg(short, long, conflicts_with_all = ["names", "selector", "failed"])]
    watch: bool,
    #[command(flatten)]
    args: Args,
}

pub(crate) async fn run(args: Status) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    if args.watch {
        return tokio::select! {
            ended = watch(&*cluster, args.args.output) => ended,
            () = crate::standalone::signal() => Ok(()),
            () = output::reader_gone() => Ok(()),
        };
    }
    let connectors = args.select.find(&*cluster).await?;
    let output = args.args.output;
    output::warn_if_stale(connectors.iter().find_map(|connector| connector.stale_s));
    if output.value(&json!({ "connectors": connectors }))? {
        return Ok(());
    }
    let dray = connectors.iter().any(|connector| connector.seen.agent.is_some());
    let mut table = match dray {
        true => Table::new(&["NAME", "STATE", "AGENT", "WORKER", "GENERATION", "RESTARTS"], &[]),
        false => Table::new(&["NAME", "STATE", "WORKER"], &[]),
    };
    let mut causes = Vec::new();
    for connector in &connectors {
        let own = (connector.name.clone(), &connector.state, &connector.seen);
        let tasks = connector.tasks.iter();
        let tasks = tasks.map(|task| (format!("{}-{}", connector.name, task.id), &task.state, &task.seen));
        for (name, state, seen) in std::iter::once(own).chain(tasks) {
            causes.extend(seen.trace.as_ref().map(|trace| (name.clone(), trace)));
            table.row(row(name, state, seen, dray));
        }
    }
    table.print(output)?;
    if output == Output::Name {
        return Ok(());
    }
    // Why something is not as it should be, below the table.
    causes
        .into_iter()
        .try_for_each(|(name, trace)| output::line(&format!("{name}: {}", cause(trace))))
}

/// Only Dray has agents, generations and restarts.
pub(super) fn row(name: String, state: &str, seen: &Seen, dray: bool) -> Vec<String> {
    let worker = or_dash(&seen.worker_id);
    if !dray {
        return vec![name, state.into(), worker];
    }
    let agent = or_dash(seen.agent.as_deref().unwrap_or_default());
    let generation = or_dash(seen.generation.unwrap_or_default());
    let restarts = seen.restarts.unwrap_or_default().to_string();
    vec![name, state.into(), agent, worker, generation, restarts]
}

async fn watch(cluster: &dyn Cluster, output: Output) -> Result<(), Failure> {
    let (events, mut queue) = mpsc::channel(QUEUE);
    // Whoever ends first ends the other: a closed queue the watch, a broken watch the queue.
    let show = async move {
        while let Some(event) = queue.recv().await {
            print(&event, output)?;
        }
        Ok(())
    };
    let (watched, shown) = tokio::join!(cluster.watch(events), show);
    shown.and(watched.doing(cluster, "watch the status"))
}

fn print(event: &Event, output: Output) -> Result<(), Failure> {
    match output {
        // A line each, so that programs can read them one by one.
        Output::Json => return output::line(&serde_json::to_string(event).context("an event as JSON")?),
        Output::Yaml => return output::line(&format!("---\n{}", output::yaml(&json!(event))?.trim_end())),
        Output::Table | Output::Wide | Output::Name => {}
    }
    output::warn_if_stale(event.stale_s);
    for change in &event.changes {
        let trace = change
            .trace
            .as_deref()
            .map(|trace| format!(": {}", cause(trace)))
            .unwrap_or_default();
        let state = change.state.as_deref().unwrap_or("GONE");
        let line = format!(
            "{:<9}  {:<24}  {state:<10}  {}{trace}",
            change.what, change.name, change.place
        );
        output::line(line.trim_end())?;
    }
    Ok(())
}
