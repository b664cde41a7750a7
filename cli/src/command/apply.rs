//! `dray apply` and `dray connector diff`: connectors as files declare them. What is declared is compared with what is there, and only what
//! differs is changed; what is the same is not touched, so a second `apply` does nothing.
//!
//! `--prune` deletes what is not declared any more. Labels say what it owns: those connectors whose `dray.labels` fit `-l`, and every
//! declared connector has to fit too, or it would be applied by one run and never pruned by another.

use super::Args;
use super::confirm;
use super::files::{Declared, Files};
use super::output::{self, Doing as _, Output, Report};
use super::select::{LABELS, labels};
use crate::Failure;
use crate::cluster::{Cluster, Config, Connector, Error, Validation};
use dray_model::label::Selector;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// `dray apply`.
#[derive(clap::Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    prune: Prune,
    /// Show what would be changed, check the configurations, and change nothing; exit code 1 when one is wrong
    #[arg(long)]
    dry_run: bool,
    /// Store them unchecked: the agent that gets one checks it
    #[arg(long)]
    no_validate: bool,
    /// Do not ask before anything is deleted
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    args: Args,
}

/// `dray connector diff`.
#[derive(clap::Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    files: Files,
    #[command(flatten)]
    prune: Prune,
    #[command(flatten)]
    args: Args,
}

#[derive(clap::Args, Clone, Debug)]
struct Prune {
    /// Delete connectors that are not declared; only those whose `dray.labels` fit -l
    #[arg(long, requires = "selector")]
    prune: bool,
    /// What --prune owns, such as `team=payments`; every declared connector has to fit too
    #[arg(short = 'l', long, value_name = "LABELS", requires = "prune")]
    selector: Option<Selector>,
}

/// What is to be done about a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Create,
    Update,
    Delete,
    None,
}

/// A key of which the values differ.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct KeyChange {
    key: String,
    /// None: it is not there.
    from: Option<String>,
    to: Option<String>,
}

/// One connector of a plan.
struct Step {
    name: String,
    action: Action,
    changes: Vec<KeyChange>,
    declared: Option<Declared>,
    revision: Option<u64>,
    /// Why its breaker has paused it: files do not say how a connector that exists shall be, and "as declared" alone would hide it.
    breaker: Option<String>,
}

impl Step {
    /// What has to be said besides of one that its breaker has paused.
    fn paused(&self) -> Option<String> {
        let (name, why) = (&self.name, self.breaker.as_ref()?);
        Some(match self.action {
            Action::Update => {
                format!("connector {name} is paused by its breaker ({why}): it runs again with this change")
            }
            Action::None => {
                format!("connector {name} is paused by its breaker ({why}): `dray connector resume {name}`")
            }
            Action::Create | Action::Delete => return None,
        })
    }
}

pub(crate) async fn run(args: &Apply) -> Result<(), Failure> {
    let declared = args.files.read()?;
    let cluster = args.args.open().await?;
    let cluster = &*cluster;
    let plan = plan(cluster, declared, &args.prune).await?;
    let output = args.args.output;
    if args.dry_run {
        return dry_run(cluster, &plan, output).await;
    }
    let doomed = plan.iter().filter(|step| step.action == Action::Delete);
    let doomed: Vec<&str> = doomed.map(|step| step.name.as_str()).collect();
    if !doomed.is_empty() {
        confirm(
            &format!("Delete {} ({})?", count(doomed.len(), "connector"), doomed.join(", ")),
            args.yes,
        )?;
    }
    let mut report = Report::new(cluster, output, "connector", plan.len());
    for step in plan {
        report.begin(&step.name);
        if let Some(paused) = step.paused() {
            eprintln!("dray: {paused}");
        }
        let (name, from) = (
            &step.name,
            step.declared.as_ref().map(|declared| declared.from.as_str()),
        );
        match done(cluster, &step, !args.no_validate).await {
            Ok((word, sentence)) => report.done(name, word, sentence, Value::Null)?,
            Err(error) if step.action == Action::Delete => report.failed(name, "prune", None, &error),
            Err(error) => report.failed(name, "apply", from, &error),
        }
    }
    report.finish()
}

/// Carries out a step. Where the cluster has revisions, what somebody else writes meanwhile is not lost.
async fn done(cluster: &dyn Cluster, step: &Step, checked: bool) -> Result<(&'static str, &'static str), Error> {
    match (step.action, &step.declared) {
        (Action::Create, Some(declared)) => {
            cluster.create(&declared.new, checked).await?;
            Ok(("created", "was created"))
        }
        (Action::Update, Some(declared)) => {
            cluster
                .configure(&step.name, &declared.new.config, step.revision, checked)
                .await?;
            Ok(("updated", "was updated"))
        }
        (Action::Delete, _) => {
            cluster.delete(&step.name).await?;
            Ok(("pruned", "is deleted: it is not declared"))
        }
        (Action::None | Action::Create | Action::Update, _) => Ok(("unchanged", "is as declared")),
    }
}

pub(crate) async fn diff(args: &Diff) -> Result<(), Failure> {
    let declared = args.files.read()?;
    let cluster = args.args.open().await?;
    let plan = plan(&*cluster, declared, &args.prune).await?;
    show(&plan, args.args.output)?;
    match plan.iter().any(|step| step.action != Action::None) {
        true => Err(Failure::Shown),
        false => Ok(()),
    }
}

async fn dry_run(cluster: &dyn Cluster, plan: &[Step], output: Output) -> Result<(), Failure> {
    show(plan, output)?;
    let mut wrong = false;
    for step in plan
        .iter()
        .filter(|step| matches!(step.action, Action::Create | Action::Update))
    {
        let Some(declared) = &step.declared else { continue };
        let found = cluster.validate(&declared.new.config).await;
        let found = found.doing(
            cluster,
            format_args!("validate connector `{}` ({})", step.name, declared.from),
        )?;
        if found.error_count > 0 {
            wrong = true;
            eprintln!(
                "dray: connector `{}` ({}) would be refused:\n{}",
                step.name,
                declared.from,
                errors(&found)
            );
        }
    }
    if wrong { Err(Failure::Shown) } else { Ok(()) }
}

/// Compares what is declared with what is there, by name; what is to be deleted comes last.
async fn plan(cluster: &dyn Cluster, declared: Vec<Declared>, prune: &Prune) -> Result<Vec<Step>, Failure> {
    if let Some(selector) = &prune.selector {
        for one in &declared {
            if !selector.fits(&labels(&one.new.config)) {
                return Err(Failure::Usage(format!(
                    "{}: the {LABELS} of connector `{}` do not fit `{selector}`: it would be applied, and never pruned",
                    one.from, one.new.name
                )));
            }
        }
    }
    let there = cluster.connectors().await.doing(cluster, "list the connectors")?;
    Ok(compared(declared, there, prune.selector.as_ref()))
}

fn compared(declared: Vec<Declared>, there: Vec<Connector>, owned: Option<&Selector>) -> Vec<Step> {
    let mut there: BTreeMap<String, Connector> = there
        .into_iter()
        .filter(|connector| !connector.deleting)
        .map(|connector| (connector.name.clone(), connector))
        .collect();
    let mut steps: Vec<Step> = declared
        .into_iter()
        .map(|declared| {
            let found = there.remove(&declared.new.name);
            let nothing = Config::new();
            let changes = changes(
                found.as_ref().map_or(&nothing, |found| &found.config),
                &declared.new.config,
            );
            Step {
                name: declared.new.name.clone(),
                action: match &found {
                    None => Action::Create,
                    Some(_) if changes.is_empty() => Action::None,
                    Some(_) => Action::Update,
                },
                changes,
                revision: found.as_ref().and_then(|found| found.revision),
                breaker: found.and_then(|found| found.breaker),
                declared: Some(declared),
            }
        })
        .collect();
    if let Some(owned) = owned {
        let ours = there
            .into_values()
            .filter(|connector| owned.fits(&labels(&connector.config)));
        steps.extend(ours.map(|connector| Step {
            name: connector.name,
            action: Action::Delete,
            changes: changes(&connector.config, &Config::new()),
            declared: None,
            revision: None,
            breaker: None,
        }));
    }
    steps
}

fn changes(from: &Config, to: &Config) -> Vec<KeyChange> {
    let keys: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
    let differ = keys.into_iter().filter(|key| from.get(*key) != to.get(*key));
    let change = |key: &String| KeyChange {
        key: key.clone(),
        from: from.get(key).cloned(),
        to: to.get(key).cloned(),
    };
    differ.map(change).collect()
}

fn show(plan: &[Step], output: Output) -> Result<(), Failure> {
    let differ = || plan.iter().filter(|step| step.action != Action::None);
    let steps: Vec<Value> = plan
        .iter()
        .map(|step| {
            let mut one = json!({ "name": step.name, "action": step.action, "changes": step.changes });
            if let Some(why) = &step.breaker {
                one["breaker"] = why.as_str().into();
            }
            one
        })
        .collect();
    if output.value(&json!({ "connectors": steps }))? {
        return Ok(());
    }
    if output == Output::Name {
        return differ().try_for_each(|step| output::line(&step.name));
    }
    for step in differ() {
        let what = match step.action {
            Action::Create => " would be created",
            Action::Delete => " would be deleted",
            Action::Update | Action::None => " would be changed",
        };
        output::line(&format!("connector {}{what}", step.name))?;
        for change in &step.changes {
            let value = |sign: char, value: &Option<String>| match value {
                Some(value) => output::line(&format!("{sign} {}={}", change.key, value.replace('\n', "\\n"))),
                None => Ok(()),
            };
            value('-', &change.from)?;
            value('+', &change.to)?;
        }
    }
    for paused in plan.iter().filter_map(Step::paused) {
        eprintln!("dray: {paused}");
    }
    let same = plan.len() - differ().count();
    if same > 0 {
        eprintln!(
            "dray: {} as declared",
            if same == 1 {
                "1 connector is".into()
            } else {
                format!("{same} connectors are")
            }
        );
    }
    Ok(())
}

/// What validation found, for people.
pub(super) fn print_validation(name: &str, found: &Validation) -> Result<(), Failure> {
    if found.error_count == 0 {
        output::line(&format!("connector {name} is valid"))?;
    } else {
        output::line(&format!(
            "connector {name} is wrong: {}",
            count(found.error_count as usize, "error")
        ))?;
        output::line(&errors(found))?;
    }
    for key in &found.unknown {
        output::line(&format!(
            "  {key}: nothing defines this key (a typing error?); it is passed on as it is"
        ))?;
    }
    Ok(())
}

fn errors(found: &Validation) -> String {
    let lines = found.errors.iter().flat_map(|wrong| {
        let recommended = match &wrong.recommended[..] {
            [] => String::new(),
            some => format!(" (recommended: {})", some.join(", ")),
        };
        wrong
            .errors
            .iter()
            .map(move |error| format!("  {}: {error}{recommended}", wrong.key))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn count(count: usize, what: &str) -> String {
    if count == 1 {
        format!("1 {what}")
    } else {
        format!("{count} {what}s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::{New, Target};

    fn config(pairs: &[(&str, &str)]) -> Config {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn only_what_differs_is_changed_and_only_what_is_owned_is_pruned() {
        let declared = |name: &str, x: &str| Declared {
            from: "f".into(),
            new: New {
                name: name.into(),
                config: config(&[("x", x)]),
                target: Target::Running,
            },
        };
        let there = |name: &str, pairs: &[(&str, &str)], deleting| Connector {
            name: name.into(),
            config: config(pairs),
            deleting,
            revision: Some(7),
            ..Connector::default()
        };
        let cluster = || {
            vec![
                there("same", &[("x", "1")], false),
                there("other", &[("x", "2"), ("y", "3")], false),
                there("going", &[("x", "1")], true),
                there("ours", &[(LABELS, "team=pay")], false),
                there("theirs", &[(LABELS, "team=ads")], false),
                there("nobodys", &[], false),
            ]
        };
        let files = || {
            ["same", "other", "going", "new"]
                .map(|name| declared(name, "1"))
                .to_vec()
        };
        let shown = |steps: Vec<Step>| -> Vec<String> {
            let keys = |step: &Step| {
                step.changes
                    .iter()
                    .map(|change| change.key.clone())
                    .collect::<Vec<_>>()
                    .join(" ")
            };
            steps
                .iter()
                .map(|step| format!("{} {:?} {}", step.name, step.action, keys(step)))
                .collect()
        };
        let kept = ["same None ", "other Update x y", "going Create x", "new Create x"];
        assert_eq!(shown(compared(files(), cluster(), None)), kept);
        let owned: Selector = "team=pay".parse().unwrap();
        let pruned = shown(compared(files(), cluster(), Some(&owned)));
        assert_eq!(pruned[..4], kept);
        assert_eq!(pruned[4..], ["ours Delete dray.labels"]);
    }
}
