//! Connector files: Java properties, JSON and YAML; one connector or many, in files, folders or on stdin (`-`).

use crate::Failure;
use crate::cluster::{Config, New, Target};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The ends of names of files that a folder is searched for.
const ENDS: [&str; 4] = ["json", "yaml", "yml", "properties"];

/// Which files.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Files {
    /// Files or folders with connectors: Java properties, JSON (as Connect's REST API takes it, one or a list) or YAML; `-` is stdin
    #[arg(value_name = "FILE", required_unless_present = "more")]
    files: Vec<PathBuf>,
    /// The same
    #[arg(short = 'f', long = "file", value_name = "FILE", num_args = 1..)]
    more: Vec<PathBuf>,
    /// Folders of folders too
    #[arg(short = 'R', long)]
    recursive: bool,
    /// The connector's name, where its file has none
    #[arg(short, long)]
    name: Option<String>,
}

/// A connector as a file declares it.
#[derive(Clone, Debug)]
pub(super) struct Declared {
    /// The file, for messages.
    pub(super) from: String,
    pub(super) new: New,
}

/// One declaration before it has its name.
struct Draft {
    name: Option<String>,
    config: Config,
    target: Option<String>,
}

impl Files {
    /// A single one.
    pub(super) fn one(file: &Path, name: Option<&str>) -> Self {
        Self {
            files: vec![file.to_owned()],
            more: Vec::new(),
            recursive: false,
            name: name.map(str::to_owned),
        }
    }

    /// Reads all of them. Names are there, and each is there once.
    pub(super) fn read(&self) -> Result<Vec<Declared>, Failure> {
        let mut declared: BTreeMap<String, Declared> = BTreeMap::new();
        for path in self.files.iter().chain(&self.more) {
            for (from, drafts) in read(path, self.recursive)? {
                let several = drafts.len() > 1;
                for (at, draft) in (1..).zip(drafts) {
                    let from = match several {
                        true => format!("{from} (connector {at})"),
                        false => from.clone(),
                    };
                    let one = self.declared(&from, draft).map_err(|problem| wrong(&from, problem))?;
                    if let Some(other) = declared.get(&one.new.name) {
                        let problem = format!("connector `{}` is in {} already", one.new.name, other.from);
                        return Err(wrong(&from, problem));
                    }
                    declared.insert(one.new.name.clone(), one);
                }
            }
        }
        if self.name.is_some() && declared.len() > 1 {
            return Err(Failure::Usage(
                "--name is for one connector, and there are several".into(),
            ));
        }
        Ok(declared.into_values().collect())
    }

    fn declared(&self, from: &str, draft: Draft) -> Result<Declared, String> {
        let Draft {
            name,
            mut config,
            target,
        } = draft;
        let own = config.get("name").cloned();
        let name = match (name, own, &self.name) {
            (Some(name), Some(own), _) if name != own => {
                return Err(format!(
                    "its `name` is `{name}`, but the one in its `config` is `{own}`: they must be the same"
                ));
            }
            (Some(name), ..) | (None, Some(name), _) => match &self.name {
                Some(given) if *given != name => {
                    return Err(format!(
                        "the connector is called `{name}`, and not `{given}` as --name says"
                    ));
                }
                _ => name,
            },
            (None, None, Some(given)) => given.clone(),
            (None, None, None) => return Err("the connector has no name: write `name`, or give --name".into()),
        };
        config.insert("name".into(), name.clone());
        let target = match target.as_deref().map(str::to_ascii_uppercase).as_deref() {
            None | Some("RUNNING") => Target::Running,
            Some("PAUSED") => Target::Paused,
            Some("STOPPED") => Target::Stopped,
            Some(other) => {
                return Err(format!(
                    "initial_state={other}: must be one of RUNNING, PAUSED, STOPPED"
                ));
            }
        };
        Ok(Declared {
            from: from.to_owned(),
            new: New { name, config, target },
        })
    }
}

/// Bytes of a file, or of stdin.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = match path.as_os_str() == "-" {
        false => fs::read(path),
        true => {
            let mut bytes = Vec::new();
            std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
        }
    };
    read.map_err(|error| wrong(&shown(path), format!("cannot be read: {error}")))
}

/// A file or stdin as messages call it.
pub(super) fn shown(path: &Path) -> String {
    match path.as_os_str() == "-" {
        true => "stdin".into(),
        false => path.display().to_string(),
    }
}

pub(super) fn wrong(from: &str, problem: impl std::fmt::Display) -> Failure {
    Failure::Usage(format!("{from}: {problem}"))
}

fn read(path: &Path, recursive: bool) -> Result<Vec<(String, Vec<Draft>)>, Failure> {
    let mut files = Vec::new();
    if path.as_os_str() != "-" && path.is_dir() {
        folder(path, recursive, &mut files)?;
    } else {
        files.push(path.to_owned());
    }
    let read = files.into_iter().map(|file| {
        let from = shown(&file);
        let end = file
            .extension()
            .and_then(|end| end.to_str())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let drafts = drafts(&end, &bytes(&file)?).map_err(|problem| wrong(&from, problem))?;
        Ok((from, drafts))
    });
    read.collect()
}

/// The files of a folder by name. What begins with a dot is left out.
fn folder(path: &Path, recursive: bool, files: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let unreadable = |error| wrong(&shown(path), format!("cannot be read: {error}"));
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    for entry in entries {
        let hidden = entry
            .file_name()
            .is_none_or(|name| name.to_string_lossy().starts_with('.'));
        let end = entry.extension().and_then(|end| end.to_str()).unwrap_or_default();
        if hidden {
            continue;
        } else if entry.is_dir() {
            if recursive {
                folder(&entry, recursive, files)?;
            }
        } else if ENDS.contains(&end) {
            files.push(entry);
        }
    }
    Ok(())
}

/// The connectors of a file, by the end of its name, or where that says nothing by what is in it.
fn drafts(end: &str, bytes: &[u8]) -> Result<Vec<Draft>, String> {
    let begins = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    let drafts = match (end, begins) {
        (_, None) => return Err("it is empty".into()),
        ("yaml" | "yml", _) => yaml(text(bytes)?)?,
        ("json", _) | (_, Some(b'{' | b'[')) => {
            json(serde_json::from_slice(bytes).map_err(|error| error.to_string())?)?
        }
        ("properties", _) => vec![properties(bytes)?],
        // Of a stream nothing is known. Properties are a single text to YAML, except where they are written with colons.
        _ => match text(bytes).ok().and_then(|text| yaml(text).ok()) {
            Some(drafts) => drafts,
            None => vec![properties(bytes)?],
        },
    };
    match drafts.iter().any(|draft| draft.config.is_empty()) {
        true => Err("there is no configuration in it".into()),
        false => Ok(drafts),
    }
}

fn text(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("it is not UTF-8: {error}"))
}

fn properties(bytes: &[u8]) -> Result<Draft, String> {
    Ok(Draft {
        name: None,
        config: dray_process::properties::read(bytes)?,
        target: None,
    })
}

/// One connector, flat or as a create request, a list of them, or the answer of `dray connector get -o json`.
fn json(value: Value) -> Result<Vec<Draft>, String> {
    match value {
        Value::Array(values) => {
            let drafts = values.into_iter().map(json).collect::<Result<Vec<_>, _>>()?;
            Ok(drafts.into_iter().flatten().collect())
        }
        Value::Object(mut object) => {
            if let Some(list @ Value::Array(_)) = object.get_mut("connectors") {
                return json(list.take());
            }
            let word = |key: &str| match object.get(key) {
                Some(Value::String(text)) => Some(text.clone()),
                _ => None,
            };
            let (name, target) = (word("name"), word("initial_state"));
            match object.remove("config") {
                Some(Value::Object(config)) => Ok(vec![Draft {
                    name,
                    config: flat(config)?,
                    target,
                }]),
                Some(_) => Err("`config` must be an object".into()),
                None => Ok(vec![Draft {
                    name: None,
                    config: flat(object)?,
                    target: None,
                }]),
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            Err("it must be an object, or a list of objects".into())
        }
    }
}

fn flat(object: serde_json::Map<String, Value>) -> Result<Config, String> {
    let entries = object.into_iter().map(|(key, value)| match value {
        Value::String(text) => Ok((key, text)),
        Value::Number(_) | Value::Bool(_) => Ok((key, value.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => {
            Err(format!("{key}={value}: must be a string, a number or a boolean"))
        }
    });
    entries.collect()
}

#[derive(Deserialize)]
struct Request {
    #[serde(default)]
    name: Option<String>,
    config: Config,
    #[serde(default)]
    initial_state: Option<String>,
}

/// As JSON, in one document or several. Values are taken as they are written: `1.50` stays `1.50`.
fn yaml(text: &str) -> Result<Vec<Draft>, String> {
    let shapes: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| error.to_string())?;
    let syntax = |error: serde_saphyr::Error| error.to_string();
    match &shapes[..] {
        [Value::Object(one)] if one.get("config").is_some_and(Value::is_object) => {
            let request: Request = serde_saphyr::from_str(text).map_err(syntax)?;
            Ok(vec![request.into()])
        }
        [Value::Object(one)] if !one.contains_key("connectors") => Ok(vec![Draft {
            name: None,
            config: serde_saphyr::from_str(text).map_err(syntax)?,
            target: None,
        }]),
        // Several documents, all requests or all flat.
        [Value::Object(one), _, ..] if one.get("config").is_some_and(Value::is_object) => {
            let requests: Vec<Request> = serde_saphyr::from_multiple(text).map_err(syntax)?;
            Ok(requests.into_iter().map(Draft::from).collect())
        }
        [Value::Object(_), _, ..] => {
            let configs: Vec<Config> = serde_saphyr::from_multiple(text).map_err(syntax)?;
            let draft = |config| Draft {
                name: None,
                config,
                target: None,
            };
            Ok(configs.into_iter().map(draft).collect())
        }
        _ => {
            let drafts = shapes.into_iter().map(json).collect::<Result<Vec<_>, _>>()?;
            Ok(drafts.into_iter().flatten().collect())
        }
    }
}

impl From<Request> for Draft {
    fn from(request: Request) -> Self {
        Self {
            name: request.name,
            config: request.config,
            target: request.initial_state,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(end: &str, text: &str) -> Result<String, String> {
        let drafts = drafts(end, text.as_bytes())?;
        let shown = drafts.into_iter().map(|draft| {
            let config: Vec<String> = draft
                .config
                .iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect();
            format!(
                "{}{}[{}]",
                draft.name.unwrap_or_default(),
                draft.target.unwrap_or_default(),
                config.join(" ")
            )
        });
        Ok(shown.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn every_form_is_the_same_connector() {
        for (end, text, expected) in [
            (
                "properties",
                "name=a\nx=1.50\nsmile=\u{1F600}\n",
                "[name=a smile=\u{1F600} x=1.50]",
            ),
            ("json", r#"{"name":"a","x":1.50,"y":true}"#, "[name=a x=1.50 y=true]"),
            (
                "json",
                r#"{"name":"a","config":{"x":"1"},"initial_state":"PAUSED"}"#,
                "aPAUSED[x=1]",
            ),
            (
                "json",
                r#"[{"name":"a","x":1},{"name":"b","config":{"y":2}}]"#,
                "[name=a x=1] b[y=2]",
            ),
            ("", r#"{"connectors":[{"name":"a","config":{"x":"1"}}]}"#, "a[x=1]"),
            ("yaml", "name: a\nx: 1.50\nflag: yes\n", "[flag=yes name=a x=1.50]"),
            ("yml", "name: a\nconfig:\n  x: 010\n  y: 'true'\n", "a[x=010 y=true]"),
            (
                "yaml",
                "name: a\nconfig: {x: 1}\n---\nname: b\nconfig: {x: 2}\n",
                "a[x=1] b[x=2]",
            ),
            (
                "yaml",
                "- name: a\n  config: {x: 1}\n- name: b\n  config: {x: 2}\n",
                "a[x=1] b[x=2]",
            ),
            // What comes without a file name.
            ("", "name=a\nx=1\n", "[name=a x=1]"),
            ("", "name: a\nconfig:\n  x: 1\n", "a[x=1]"),
        ] {
            assert_eq!(named(end, text).as_deref(), Ok(expected), "{end}: {text}");
        }
    }

    #[test]
    fn what_is_no_connector_is_told() {
        for (end, text, problem) in [
            ("json", " \n", "it is empty"),
            (
                "json",
                r#"{"name":"a","x":[1]}"#,
                "x=[1]: must be a string, a number or a boolean",
            ),
            ("json", r#"{"name":"a","config":3}"#, "`config` must be an object"),
            ("json", r#"{"name":"a","config":{}}"#, "there is no configuration in it"),
            ("json", "[3]", "it must be an object, or a list of objects"),
        ] {
            assert_eq!(named(end, text).unwrap_err(), problem, "{text}");
        }
        assert!(named("json", "{").unwrap_err().contains("line 1"));
        assert!(named("yaml", "a: [").is_err());
    }
}
