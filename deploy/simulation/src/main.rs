//! More seeds than `make test` plays, or one again: `make soak SEEDS=n FROM=k TRACE=1`.

use dray_simulation::{Mutation, report, sweep};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    match soak() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            // Nobody is left to be told when this fails too.
            writeln!(std::io::stderr(), "{text}").unwrap_or(());
            ExitCode::from(2)
        }
    }
}

fn number(name: &str, default: u64) -> Result<u64, String> {
    match std::env::var(name) {
        Ok(text) if !text.is_empty() => text
            .parse()
            .map_err(|_| format!("make soak: {name} is `{text}`, but must be a whole number")),
        _ => Ok(default),
    }
}

fn mutation() -> Result<Option<Mutation>, String> {
    match std::env::var("MUTATION") {
        Ok(text) if !text.is_empty() => {
            let found = Mutation::ALL
                .into_iter()
                .find(|mutation| format!("{mutation:?}") == text);
            found
                .map(Some)
                .ok_or_else(|| format!("make soak: MUTATION may be one of {:?}", Mutation::ALL))
        }
        _ => Ok(None),
    }
}

fn soak() -> Result<bool, String> {
    let (from, seeds) = (number("FROM", 1_000_000)?, number("SEEDS", 100_000)?);
    let mutation = mutation()?;
    let say = |text: String| writeln!(std::io::stdout(), "{text}").map_err(|error| error.to_string());
    if number("TRACE", 0)? > 0 {
        let whole = number("TRACE", 0)? > 1;
        for seed in from..from.saturating_add(seeds) {
            say(report(seed, mutation, whole))?;
        }
        return Ok(true);
    }
    let all = sweep(from, seeds, mutation, None);
    say(all.coverage.to_string())?;
    for (seed, failure) in &all.failures {
        say(format!("seed {seed}: {failure}"))?;
    }
    if let Some((seed, _)) = all.failures.first() {
        say(report(*seed, mutation, false))?;
    }
    let speed = all.steps / u64::try_from(all.took.as_millis().max(1)).unwrap_or(u64::MAX);
    say(format!(
        "{} seeds from {from}, {} virtual hours, {} steps in {:.1} s ({speed} a ms), {} failures",
        all.seeds,
        all.seconds / 3_600,
        all.steps,
        all.took.as_secs_f64(),
        all.failures.len()
    ))?;
    Ok(all.failures.is_empty())
}
