//! Settings: one list says them all; a YAML file, the environment and flags give them, and the later wins.
//!
//! Nothing is taken that is not on the list: a wrong key, variable or flag is an error that names the nearest right one, and so is a
//! value that its kind does not allow. What is missing is said all at once.

mod flags;
mod kind;
#[cfg(test)]
mod tests;

pub use kind::{Kind, duration};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// A program, as its help shows it.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// As it is called.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// Its version.
    pub version: &'static str,
    /// What its environment variables begin with, without the last underscore: `DRAY_CONTROL`.
    pub env: &'static str,
}

/// One setting. Its key in the file is `name`, its flag `--name`, its variable the program's prefix and the name in capitals.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// In kebab case.
    pub name: &'static str,
    /// One sentence or two; without the default.
    pub help: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What it is when it is not given.
    pub default: Given,
}

/// What stands in for a setting that is not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Given {
    /// This text, read like a flag's.
    Default(&'static str),
    /// Nothing.
    Optional,
    /// An error.
    Required,
}

/// What was asked for on the command line.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The settings.
    pub config: T,
    /// Only `--check-config`: say that they are good, and end.
    pub check_only: bool,
}

/// Why there are no settings.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// Help or the version was asked for: this is it.
    Said(String),
    /// The input is wrong, and how.
    Usage(String),
}

impl Stop {
    /// Prints it; 2 for wrong input.
    #[must_use]
    #[allow(clippy::print_stdout)] // help is what was asked for
    pub fn report(&self, program: &Program) -> ExitCode {
        match self {
            Self::Said(text) => {
                print!("{text}");
                ExitCode::SUCCESS
            }
            Self::Usage(text) => {
                eprintln!("{}: {text}", program.name);
                ExitCode::from(2)
            }
        }
    }
}

impl Setting {
    /// Its environment variable.
    fn variable(&self, program: &Program) -> String {
        variable(program, self.name)
    }
}

fn variable(program: &Program, name: &str) -> String {
    format!("{}_{}", program.env, name.replace('-', "_").to_uppercase())
}

/// Reads the settings of this process.
pub fn load<T: DeserializeOwned>(program: &Program, settings: &[Setting]) -> Result<Loaded<T>, Stop> {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .collect();
    load_from(program, settings, std::env::args_os(), environment)
}

/// Reads settings: arguments begin with the program's name.
pub fn load_from<T: DeserializeOwned>(
    program: &Program,
    settings: &[Setting],
    arguments: impl IntoIterator<Item = OsString>,
    environment: BTreeMap<String, OsString>,
) -> Result<Loaded<T>, Stop> {
    let flags = flags::parse(program, settings, arguments)?;
    let from_environment = from_environment(program, settings, &environment)?;
    let file = flags.config.or(from_environment.config);
    let mut values = Map::new();
    for setting in settings {
        if let Given::Default(text) = setting.default {
            let value = setting.kind.read(text).map_err(|expected| {
                Stop::Usage(format!(
                    "the default of `{}` is not {expected}: please report this",
                    setting.name
                ))
            })?;
            values.insert(setting.name.into(), value);
        }
    }
    if let Some(file) = &file {
        values.extend(from_file(program, settings, Path::new(file))?);
    }
    values.extend(from_environment.values);
    values.extend(flags.values);
    complete(program, settings, &values)?;
    let config = serde_json::from_value(Value::Object(values)).map_err(|error| Stop::Usage(error.to_string()))?;
    Ok(Loaded {
        config,
        check_only: flags.check_only,
    })
}

/// What one source gave.
struct Source {
    config: Option<OsString>,
    values: Map<String, Value>,
}

fn from_environment(
    program: &Program,
    settings: &[Setting],
    environment: &BTreeMap<String, OsString>,
) -> Result<Source, Stop> {
    let config = variable(program, "config");
    let mut source = Source {
        config: environment.get(&config).cloned(),
        values: Map::new(),
    };
    let prefix = format!("{}_", program.env);
    for (name, value) in environment
        .iter()
        .filter(|(name, _)| name.starts_with(&prefix) && **name != config)
    {
        let Some(setting) = settings.iter().find(|setting| setting.variable(program) == *name) else {
            let known: Vec<String> = settings.iter().map(|setting| setting.variable(program)).collect();
            let hint = nearest(name, known.iter().map(String::as_str));
            return Err(Stop::Usage(format!("environment: {name} is not a setting{hint}")));
        };
        let text = value
            .to_str()
            .ok_or_else(|| Stop::Usage(format!("environment: {name} is not UTF-8")))?;
        let value = setting
            .kind
            .read(text)
            .map_err(|expected| Stop::Usage(format!("environment: {name}={text:?} is not {expected}")))?;
        source.values.insert(setting.name.into(), value);
    }
    Ok(source)
}

fn from_file(program: &Program, settings: &[Setting], file: &Path) -> Result<Map<String, Value>, Stop> {
    let at = file.display();
    let text = std::fs::read_to_string(file).map_err(|error| Stop::Usage(format!("{at}: {error}")))?;
    let mut values = Map::new();
    if text
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
    {
        return Ok(values);
    }
    let found: BTreeMap<String, Value> =
        serde_saphyr::from_str(&text).map_err(|error| Stop::Usage(format!("{at}: {error}")))?;
    for (key, value) in found {
        let Some(setting) = settings.iter().find(|setting| setting.name == key) else {
            let hint = nearest(&key, settings.iter().map(|setting| setting.name));
            return Err(Stop::Usage(format!(
                "{at}: `{key}` is not a setting of {}{hint}",
                program.name
            )));
        };
        if value.is_null() {
            continue;
        }
        let value = setting
            .kind
            .take(value.clone())
            .map_err(|expected| Stop::Usage(format!("{at}: `{key}: {}` is not {expected}", kind::shown(&value))))?;
        values.insert(key, value);
    }
    Ok(values)
}

/// Everything that is required is there.
fn complete(program: &Program, settings: &[Setting], values: &Map<String, Value>) -> Result<(), Stop> {
    let missing: Vec<String> = settings
        .iter()
        .filter(|setting| setting.default == Given::Required && !values.contains_key(setting.name))
        .map(|setting| format!("`{}` (--{0}, {})", setting.name, setting.variable(program)))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Stop::Usage(format!(
        "not set: {}; give it in the file of --config, in the environment or as a flag",
        missing.join(", ")
    )))
}

/// A hint at the name that was meant, when there is one near enough.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let near = known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .max_by(|(one, _), (other, _)| one.total_cmp(other));
    match near {
        Some((similarity, known)) if similarity > 0.8 => format!("; did you mean {known}?"),
        _ => "; --help lists all".into(),
    }
}
