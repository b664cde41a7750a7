//! `dray connector describe`: all that there is to know, what is wrong first, and the long traces last.

use super::connector::state;
use super::output::{self, Doing as _, Table, or_dash};
use super::status::row;
use crate::Failure;
use crate::cluster::{Cluster, Config, Connector, ErrorKind, Seen};
use serde::Serialize;

/// All of a connector.
#[derive(Serialize)]
pub(super) struct Described {
    #[serde(flatten)]
    pub(super) connector: Connector,
    /// None: this cluster does not count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    topics: Option<Vec<String>>,
    /// By number, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_configs: Option<Vec<Config>>,
}

pub(super) async fn read(
    cluster: &dyn Cluster,
    connector: Connector,
    tasks_config: bool,
) -> Result<Described, Failure> {
    let name = &connector.name;
    let topics = match cluster.topics(name).await {
        Ok(topics) => Some(topics),
        // Tracking may be switched off, which is refused, and older releases do not have it.
        Err(error)
            if matches!(
                error.kind,
                ErrorKind::Unsupported | ErrorKind::Unauthorized | ErrorKind::Refused
            ) =>
        {
            None
        }
        // It was deleted meanwhile.
        Err(error) if error.kind == ErrorKind::NotFound => None,
        Err(error) => {
            return Err(Failure::of(
                &format!("read the topics of connector `{name}`"),
                Some(cluster),
                &error,
            ));
        }
    };
    let task_configs = match tasks_config {
        false => None,
        true => {
            let found = cluster.task_configs(name).await;
            Some(found.doing(cluster, format_args!("read the tasks of connector `{name}`"))?)
        }
    };
    Ok(Described {
        connector,
        topics,
        task_configs,
    })
}

pub(super) fn print(described: &Described) -> Result<(), Failure> {
    let connector = &described.connector;
    output::warn_if_stale(connector.stale_s);
    field("Name", &connector.name)?;
    for (what, trace) in traces(connector) {
        field("Cause", &format!("{what}: {}", cause(trace)))?;
    }
    field("State", &state(connector))?;
    if let Some(wanted) = connector.wanted {
        field("Wanted", wanted.word())?;
    }
    field("Type", connector.kind.as_deref().unwrap_or("-"))?;
    place(&connector.seen)?;
    if let Some(revision) = connector.revision {
        field("Revision", &revision.to_string())?;
    }
    if let Some(topics) = &described.topics {
        field("Topics", &or_dash(topics.join(", ")))?;
    }
    output::line("Tasks:")?;
    tasks(connector)?;
    output::line("Config:")?;
    config(&connector.config, "  ")?;
    for (number, task) in described.task_configs.iter().flatten().enumerate() {
        output::line(&format!("Config of task {number}:"))?;
        config(task, "  ")?;
    }
    for (what, trace) in traces(connector).filter(|(_, trace)| trace.trim().contains('\n')) {
        output::line(&format!("Trace of {what}:"))?;
        for line in trace.trim_end().lines() {
            output::line(&format!("  {line}"))?;
        }
    }
    Ok(())
}

/// A name in one width, and its value; further lines of it are indented.
pub(super) fn field(name: &str, value: &str) -> Result<(), Failure> {
    let value = value.replace('\n', "\n          ");
    output::line(format!("{:<9} {value}", format!("{name}:")).trim_end())
}

/// Where something runs, and how often it was started again.
pub(super) fn place(seen: &Seen) -> Result<(), Failure> {
    field("Worker", &or_dash(&seen.worker_id))?;
    if let Some(agent) = &seen.agent {
        let generation = seen.generation.filter(|generation| *generation != 0);
        let generation = generation
            .map(|generation| format!(" (generation {generation})"))
            .unwrap_or_default();
        field("Agent", &format!("{}{generation}", or_dash(agent)))?;
    }
    match seen.restarts {
        Some(restarts) if restarts > 0 => field("Restarts", &restarts.to_string()),
        _ => Ok(()),
    }
}

fn tasks(connector: &Connector) -> Result<(), Failure> {
    if connector.tasks.is_empty() {
        return output::line("  none");
    }
    let dray = connector.tasks.iter().any(|task| task.seen.agent.is_some());
    let mut table = match dray {
        true => Table::new(&["  ID", "STATE", "AGENT", "WORKER", "GENERATION", "RESTARTS"], &[]),
        false => Table::new(&["  ID", "STATE", "WORKER"], &[]),
    };
    for task in &connector.tasks {
        table.row(row(format!("  {}", task.id), &task.state, &task.seen, dray));
    }
    table.print(output::Output::Table)
}

pub(super) fn config(config: &Config, indent: &str) -> Result<(), Failure> {
    let mut entries = config.iter();
    entries.try_for_each(|(key, value)| output::line(&format!("{indent}{key}={}", value.replace('\n', "\\n"))))
}

/// What says why it is not as it should be: its own first, then those of its tasks.
fn traces(connector: &Connector) -> impl Iterator<Item = (String, &str)> {
    let own = connector
        .seen
        .trace
        .as_deref()
        .map(|trace| ("connector".to_owned(), trace));
    let tasks = connector
        .tasks
        .iter()
        .filter_map(|task| Some((format!("task {}", task.id), task.seen.trace.as_deref()?)));
    own.into_iter().chain(tasks)
}

/// What a trace says in one line: how it begins, and its innermost cause.
pub(super) fn cause(trace: &str) -> String {
    let lines = || trace.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines().next().unwrap_or_default();
    let innermost = lines().filter_map(|line| line.strip_prefix("Caused by: ")).next_back();
    match innermost {
        Some(innermost) => format!("{first}: {innermost}"),
        None => first.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::cause;

    #[test]
    fn the_cause_is_how_it_begins_and_the_innermost() {
        let java = "org.apache.kafka.connect.errors.ConnectException: Exiting\n\tat a.B.c(B.java:1)\nCaused by: x.Outer: o\n\t... 3 more\n\
                    Caused by: java.net.ConnectException: refused\n\tat d.E\n";
        for (trace, expected) in [
            (
                java,
                "org.apache.kafka.connect.errors.ConnectException: Exiting: java.net.ConnectException: refused",
            ),
            ("x.Error: why\n\tat a.B\n", "x.Error: why"),
            ("\n  no agent has the plugin\n", "no agent has the plugin"),
            ("", ""),
        ] {
            assert_eq!(cause(trace), expected);
        }
    }
}
