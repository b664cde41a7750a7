//! `dray context`: names for clusters, and which of them is meant.

use super::output::{Output, Table, line};
use crate::Failure;
use crate::cluster::contexts::{Context, Contexts};
use crate::cluster::open::url_of;
use serde_json::json;
use std::path::PathBuf;

/// What there is under `dray context`.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Give a cluster a name, or change what is known of it; the first one becomes the current one
    Set(Set),
    /// List them
    #[command(visible_alias = "ls")]
    List(Show),
    /// Print the name of the current one
    Current,
    /// Make one the current one: it is meant from then on
    Use(Named),
    /// Forget one
    #[command(visible_alias = "rm")]
    Remove(Named),
}

/// `dray context set`.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("address").args(["control", "rest"]).required(true))]
pub(crate) struct Set {
    /// Its name
    #[arg(value_name = "NAME", add = crate::completion::contexts())]
    name: String,
    /// Replicas of Dray's control plane, with commas between them
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    control: Vec<String>,
    /// REST API of any Kafka Connect
    #[arg(long, value_name = "URL")]
    rest: Option<String>,
    /// Who asks, for basic authentication; the password is read from DRAY_PASSWORD, or written into the file by hand
    #[arg(long, value_name = "NAME", requires = "rest")]
    user: Option<String>,
    /// Certificates in PEM that are trusted instead of the machine's own
    #[arg(long, value_name = "FILE", requires = "rest")]
    ca: Option<PathBuf>,
}

/// `dray context list`.
#[derive(clap::Args)]
pub(crate) struct Show {
    /// How to show what comes back
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// A command on one context.
#[derive(clap::Args)]
pub(crate) struct Named {
    /// Its name
    #[arg(value_name = "NAME", add = crate::completion::contexts())]
    name: String,
}

pub(crate) fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Set(args) => set(args),
        Command::List(args) => list(args.output),
        Command::Current => match Contexts::read()?.current {
            Some(name) => line(&name),
            None => Err(Failure::Failed(anyhow::anyhow!(
                "no context is the current one\n  `dray context use NAME` makes one; `dray context list` shows what there is"
            ))),
        },
        Command::Use(Named { name }) => {
            let mut contexts = Contexts::read()?;
            contexts.find(&name)?;
            contexts.current = Some(name.clone());
            contexts.write()?;
            line(&format!("context {name} is the current one"))
        }
        Command::Remove(Named { name }) => {
            let mut contexts = Contexts::read()?;
            contexts.find(&name)?;
            contexts.contexts.remove(&name);
            if contexts.current.as_ref() == Some(&name) {
                contexts.current = None;
            }
            contexts.write()?;
            line(&format!("context {name} is removed"))
        }
    }
}

fn set(args: Set) -> Result<(), Failure> {
    let mut contexts = Contexts::read()?;
    let password = std::env::var("DRAY_PASSWORD").ok().filter(|_| args.user.is_some());
    let rest = args
        .rest
        .as_deref()
        .map(url_of)
        .transpose()
        .map_err(|error| Failure::Usage(error.said))?;
    let context = Context {
        control: args.control,
        rest,
        user: args.user,
        password,
        // Commands may run in other folders.
        ca: args.ca.map(|path| std::path::absolute(&path).unwrap_or(path)),
    };
    contexts.contexts.insert(args.name.clone(), context);
    let current = contexts.current.get_or_insert_with(|| args.name.clone());
    let is_current = *current == args.name;
    contexts.write()?;
    let said = if is_current {
        "is set, and the current one"
    } else {
        "is set"
    };
    line(&format!("context {} {said}", args.name))
}

fn list(output: Output) -> Result<(), Failure> {
    let contexts = Contexts::read()?;
    let kind = |context: &Context| if context.rest.is_some() { "rest" } else { "control" };
    let address = |context: &Context| context.rest.clone().unwrap_or_else(|| context.control.join(","));
    let all = contexts.contexts.iter();
    // Without passwords.
    let shown = all.clone().map(|(name, context)| {
        json!({
            "name": name,
            "current": contexts.current.as_ref() == Some(name),
            "transport": kind(context),
            "address": address(context),
            "user": context.user,
        })
    });
    if output.value(&json!({ "contexts": shown.collect::<Vec<_>>() }))? {
        return Ok(());
    }
    let mut table = Table::new(&["NAME", "CURRENT", "BY", "ADDRESS"], &["USER"]);
    for (name, context) in all {
        let current = if contexts.current.as_ref() == Some(name) {
            "*"
        } else {
            ""
        };
        table.row(vec![
            name.clone(),
            current.into(),
            kind(context).into(),
            address(context),
            context.user.clone().unwrap_or_default(),
        ]);
    }
    table.print(output)
}
