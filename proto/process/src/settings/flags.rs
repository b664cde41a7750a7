//! The command line, and the help.

use super::{Given, Program, Setting, Stop, variable};
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};
use serde_json::{Map, Value};
use std::ffi::OsString;

/// What the command line gave.
pub(super) struct Flags {
    pub(super) config: Option<OsString>,
    pub(super) check_only: bool,
    pub(super) values: Map<String, Value>,
}

pub(super) fn parse(
    program: &Program,
    settings: &[Setting],
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Flags, Stop> {
    let matches = match command(program, settings).try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return Err(Stop::Said(error.to_string()));
        }
        Err(error) => {
            let text = error.to_string();
            return Err(Stop::Usage(text.trim_start_matches("error: ").trim_end().into()));
        }
    };
    let mut values = Map::new();
    for setting in settings {
        let Some(text) = matches.get_one::<String>(setting.name) else {
            continue;
        };
        let value = setting
            .kind
            .read(text)
            .map_err(|expected| Stop::Usage(format!("--{} {text:?} is not {expected}", setting.name)))?;
        values.insert(setting.name.into(), value);
    }
    Ok(Flags {
        config: matches.get_one::<OsString>("config").cloned(),
        check_only: matches.get_flag("check-config"),
        values,
    })
}

fn command(program: &Program, settings: &[Setting]) -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("PATH")
        .value_parser(clap::value_parser!(OsString))
        .help(format!(
            "A YAML file with settings, under the names of the flags [env: {}]",
            variable(program, "config")
        ));
    let check = Arg::new("check-config")
        .long("check-config")
        .action(ArgAction::SetTrue)
        .help("Check the settings, say so and end");
    let flags = settings.iter().map(|setting| {
        let default = match setting.default {
            Given::Default(default) => format!(" [default: {default}]"),
            Given::Optional => String::new(),
            Given::Required => " [required]".into(),
        };
        Arg::new(setting.name)
            .long(setting.name)
            .value_name(setting.kind.placeholder())
            .help(format!(
                "{} [env: {}]{default}",
                setting.help,
                setting.variable(program)
            ))
    });
    Command::new(program.name)
        .about(program.about)
        .version(program.version)
        .arg(config)
        .arg(check)
        .args(flags)
        .after_help(
            "A setting is taken from the flag, else from the environment, else from the file, else its default. DRAY_LOG filters what is \
             logged (DRAY_LOG=debug).",
        )
}
