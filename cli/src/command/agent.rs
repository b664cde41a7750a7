//! `dray agent`: the processes of a Dray cluster that run tasks.

use super::describe::field;
use super::output::{self, Doing as _, Output, Report, Table, or_dash};
use super::{Args, confirm};
use crate::Failure;
use crate::cluster::{Agent, Cluster, Policy};
use serde_json::{Value, json};
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

/// Between two looks at a drain.
const LOOK: Duration = Duration::from_millis(500);

/// What there is under `dray agent`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// List all agents
    #[command(visible_alias = "ls")]
    List(Args),
    /// Show all of an agent
    #[command(alias = "get")]
    Describe(Named),
    /// Give agents no more tasks; they keep those that they have
    Cordon(Named),
    /// Let agents be given tasks again; ends a drain
    Uncordon(Named),
    /// Move the tasks of agents elsewhere, a few at a time
    Drain(Drain),
    /// Remove agents for good: their tasks go elsewhere at once; asks first
    Remove(Remove),
}

/// A command on some agents.
#[derive(clap::Args)]
pub(crate) struct Named {
    /// Ids of agents
    #[arg(value_name = "AGENT", required = true, add = crate::completion::agents())]
    ids: Vec<String>,
    #[command(flatten)]
    args: Args,
}

/// `dray agent drain`.
#[derive(clap::Args)]
pub(crate) struct Drain {
    #[command(flatten)]
    named: Named,
    /// Wait until they have no task left
    #[arg(long)]
    wait: bool,
    /// The most seconds to wait
    #[arg(long, value_name = "SECONDS", default_value_t = 600, requires = "wait")]
    timeout: u64,
}

/// `dray agent remove`.
#[derive(clap::Args)]
pub(crate) struct Remove {
    #[command(flatten)]
    named: Named,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

pub(crate) async fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list(&args).await,
        Command::Describe(args) => describe(&args).await,
        Command::Cordon(args) => decide(&args, Policy::Cordoned, "cordon", "is cordoned").await,
        Command::Uncordon(args) => decide(&args, Policy::Active, "uncordon", "may be given tasks").await,
        Command::Drain(args) => {
            decide(&args.named, Policy::Draining, "drain", "drains").await?;
            if args.wait { wait(&args).await } else { Ok(()) }
        }
        Command::Remove(args) => {
            confirm(
                &format!("Remove agent {} for good?", args.named.ids.join(", ")),
                args.yes,
            )?;
            decide(&args.named, Policy::Removed, "remove", "is removed").await
        }
    }
}

async fn list(args: &Args) -> Result<(), Failure> {
    let cluster = args.open().await?;
    let agents = cluster.agents().await.doing(&*cluster, "list the agents")?;
    output::warn_if_stale(agents.iter().find_map(|agent| agent.stale_s));
    if args.output.value(&json!({ "agents": agents }))? {
        return Ok(());
    }
    let mut table = Table::new(
        &["ID", "LINK", "POLICY", "TASKS", "WORKER", "PLACE", "VERSION"],
        &["SLOTS", "LABELS"],
    );
    for agent in &agents {
        table.row(vec![
            agent.id.clone(),
            agent.link.clone(),
            policy(agent),
            agent.tasks.to_string(),
            or_dash(&agent.worker_id),
            format!("{}/{}", agent.region, agent.zone),
            or_dash(&agent.software_version),
            agent.slots.to_string(),
            or_dash(labels(agent)),
        ]);
    }
    table.print(args.output)?;
    if args.output == Output::Name {
        return Ok(());
    }
    // What is wrong with one, below the table.
    let problems = agents
        .iter()
        .filter_map(|agent| Some((&agent.id, agent.problem.as_ref()?)));
    problems
        .into_iter()
        .try_for_each(|(id, problem)| output::line(&format!("{id}: {problem}")))
}

fn policy(agent: &Agent) -> String {
    let drained = if agent.drained { " (drained)" } else { "" };
    format!("{}{drained}", agent.policy)
}

fn labels(agent: &Agent) -> String {
    let labels = agent.labels.iter().map(|(key, value)| format!("{key}={value}"));
    labels.collect::<Vec<_>>().join(",")
}

async fn describe(args: &Named) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let mut agents = Vec::new();
    for id in &args.ids {
        let found = cluster.agent(id).await;
        agents.push(found.doing(&*cluster, format_args!("describe agent `{id}`"))?);
    }
    let output = args.args.output;
    let printed = match &agents[..] {
        [one] => output.value(one)?,
        all => output.value(&json!({ "agents": all }))?,
    };
    if printed {
        return Ok(());
    }
    if output == Output::Name {
        return agents.iter().try_for_each(|agent| output::line(&agent.id));
    }
    agents.iter().try_for_each(print)
}

fn print(agent: &Agent) -> Result<(), Failure> {
    output::warn_if_stale(agent.stale_s);
    field("Id", &agent.id)?;
    if let Some(problem) = &agent.problem {
        field("Problem", problem)?;
    }
    field("Link", &agent.link)?;
    field("Policy", &policy(agent))?;
    field("Tasks", &format!("{} of {} slots", agent.tasks, agent.slots))?;
    field("Worker", &or_dash(&agent.worker_id))?;
    field("Place", &format!("{}/{}", agent.region, agent.zone))?;
    field("Labels", &or_dash(labels(agent)))?;
    field("Version", &or_dash(&agent.software_version))?;
    field("Session", &or_dash(agent.session))?;
    for unfenced in &agent.unfenced {
        field(
            "Unfenced",
            &format!("session {} on {}", unfenced.session, unfenced.clusters.join(", ")),
        )?;
    }
    Ok(())
}

async fn decide(args: &Named, policy: Policy, verb: &str, sentence: &str) -> Result<(), Failure> {
    let cluster = args.args.open().await?;
    let mut report = Report::new(&*cluster, args.args.output, "agent", args.ids.len());
    for id in &args.ids {
        report.begin(id);
        match cluster.decide(id, policy).await {
            Ok(()) => report.done(id, verb, sentence, Value::Null)?,
            Err(error) => report.failed(id, verb, None, &error),
        }
    }
    report.finish()
}

/// Until all are drained, another decision about one is made, or the time is over.
async fn wait(args: &Drain) -> Result<(), Failure> {
    let cluster = args.named.args.open().await?;
    let end = Instant::now() + Duration::from_secs(args.timeout);
    for id in &args.named.ids {
        loop {
            let agent = drained(&*cluster, id).await?;
            progress(id, &agent);
            if agent.drained {
                break;
            }
            if Instant::now() >= end {
                return Err(Failure::Failed(anyhow::anyhow!(
                    "agent `{id}` still has {} tasks after {} s; it drains on: `dray agent describe {id}` shows how far it is",
                    agent.tasks,
                    args.timeout
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

async fn drained(cluster: &dyn Cluster, id: &str) -> Result<Agent, Failure> {
    let found = cluster.agent(id).await;
    let agent = found.doing(cluster, format_args!("wait for the drain of agent `{id}`"))?;
    match agent.policy.as_str() {
        "DRAINING" => Ok(agent),
        other => Err(Failure::Failed(anyhow::anyhow!(
            "agent `{id}` is {other} now: somebody has ended its drain"
        ))),
    }
}

fn progress(id: &str, agent: &Agent) {
    if io::stderr().is_terminal() {
        let end = if agent.drained { "\n" } else { "" };
        eprint!("\r\x1b[Kagent {id}: {} tasks left{end}", agent.tasks);
    }
}
