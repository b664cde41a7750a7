//! The commands that talk to a cluster, each a noun with its verbs. They know [`crate::cluster::Cluster`] and nothing of its transports.

pub(crate) mod agent;
pub(crate) mod apply;
pub(crate) mod cluster;
pub(crate) mod connector;
pub(crate) mod context;
mod describe;
mod files;
pub(crate) mod logger;
mod offsets;
mod output;
pub(crate) mod plugin;
mod preview;
mod select;
pub(crate) mod status;
pub(crate) mod task;

use crate::Failure;
use crate::cluster::{Cluster, open::Where};
use output::Output;
use std::io::{self, IsTerminal as _, Write as _};

/// Where the cluster is, and how to show what it says.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    at: Where,
    /// How to show what comes back
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

impl Args {
    async fn open(&self) -> Result<Box<dyn Cluster>, Failure> {
        self.at.open().await
    }
}

/// Asks before something is lost; `--yes` has answered already.
fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "{question} There is no terminal to ask on: add --yes"
        )));
    }
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{question} [y/N] ")
        .and_then(|()| io::stderr().flush())
        .and_then(|()| io::stdin().read_line(&mut answer));
    asked.map_err(anyhow::Error::from)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::Failed(anyhow::anyhow!("nothing was changed")))
    }
}
