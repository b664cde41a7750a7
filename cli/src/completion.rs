//! Completion in shells: of commands, flags, and the names of connectors, tasks, plugins, loggers, agents and contexts.
//!
//! The shell calls this binary while it completes; for names the cluster is asked that the environment or the current context names.

use crate::Failure;
use crate::cluster::Cluster;
use crate::cluster::contexts::Contexts;
use crate::cluster::open::Where;
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::Shells;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::time::Duration;

/// The variable by which the shell says that it completes.
pub(crate) const VARIABLE: &str = "DRAY_COMPLETE";
/// How long somebody waits who has pressed Tab.
const WITHIN: Duration = Duration::from_secs(2);

/// `dray completion`.
#[derive(clap::Args)]
pub(crate) struct Completion {
    /// Which shell
    #[arg(value_parser = ["bash", "zsh", "fish", "elvish", "powershell"])]
    shell: String,
}

/// Prints what the shell has to run at its start.
pub(crate) fn run(args: &Completion) -> Result<(), Failure> {
    let shells = Shells::builtins();
    let shell = shells
        .completer(&args.shell)
        .ok_or_else(|| Failure::Usage(format!("`{}` is no shell that is known", args.shell)))?;
    let mut script = Vec::new();
    let written = shell.write_registration(VARIABLE, "dray", "dray", "dray", &mut script);
    written.map_err(anyhow::Error::from)?;
    match io::Write::write_all(&mut io::stdout(), &script) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(anyhow::Error::from(error).into()),
        _ => Ok(()),
    }
}

type Names<'a> = Pin<Box<dyn Future<Output = Option<Vec<String>>> + Send + 'a>>;

/// What a cluster knows; nothing when it does not answer in time.
fn asked(names: impl for<'a> Fn(&'a dyn Cluster) -> Names<'a> + Send + Sync + 'static) -> ArgValueCandidates {
    ArgValueCandidates::new(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return vec![];
        };
        let found = runtime.block_on(async {
            let ask = async {
                let cluster = Where::default().open().await.ok()?;
                names(&*cluster).await
            };
            tokio::time::timeout(WITHIN, ask).await.ok().flatten()
        });
        // A request that blocks its thread is left to end by itself.
        runtime.shutdown_background();
        found
            .unwrap_or_default()
            .into_iter()
            .map(CompletionCandidate::new)
            .collect()
    })
}

pub(crate) fn connectors() -> ArgValueCandidates {
    asked(|cluster| {
        Box::pin(async {
            let connectors = cluster.connectors().await.ok()?;
            Some(connectors.into_iter().map(|connector| connector.name).collect())
        })
    })
}

pub(crate) fn tasks() -> ArgValueCandidates {
    asked(|cluster| {
        Box::pin(async {
            let connectors = cluster.connectors().await.ok()?;
            let ids = connectors.iter().flat_map(|connector| {
                let ids = connector.tasks.iter().map(|task| task.id);
                ids.map(|id| format!("{}-{id}", connector.name))
            });
            Some(ids.collect())
        })
    })
}

pub(crate) fn plugins() -> ArgValueCandidates {
    asked(|cluster| {
        Box::pin(async {
            let plugins = cluster.plugins().await.ok()?;
            Some(plugins.into_iter().map(|plugin| plugin.class).collect())
        })
    })
}

pub(crate) fn loggers() -> ArgValueCandidates {
    asked(|cluster| Box::pin(async { Some(cluster.loggers().await.ok()?.into_keys().collect()) }))
}

pub(crate) fn agents() -> ArgValueCandidates {
    asked(|cluster| {
        Box::pin(async {
            let agents = cluster.agents().await.ok()?;
            Some(agents.into_iter().map(|agent| agent.id).collect())
        })
    })
}

pub(crate) fn contexts() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        let contexts = Contexts::read().unwrap_or_default().contexts;
        contexts.into_keys().map(CompletionCandidate::new).collect()
    })
}
