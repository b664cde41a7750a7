//! Worker and connector files, as `connect-standalone` takes them: Java properties, or JSON for connectors (KIP-980).

use dray_connect::ConfigMap;
use dray_model::{ConnectorName, TargetState};
use dray_process::hidden::Hidden;
use dray_runtime::config::{WorkerConfig, worker_config};
use std::path::{Path, PathBuf};

/// What is wrong with a file. One line: which file, which key and value, and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is neither properties nor JSON.
    #[error("{}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why.
        problem: String,
    },
    /// A key is missing or has a value that is not allowed.
    #[error("{}: {problem}", path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The key, its value, what is allowed.
        problem: String,
    },
}

/// Where source offsets are kept: in a file of this machine,
const OFFSETS_FILE: &str = "offset.storage.file.filename";
/// or in a topic.
const OFFSETS_TOPIC: &str = "offset.storage.topic";

/// A connector file.
#[derive(Clone, Debug)]
pub struct ConnectorFile {
    /// Where it came from.
    pub path: PathBuf,
    /// The connector's name.
    pub name: ConnectorName,
    /// Its configuration, `name` included.
    pub config: ConfigMap,
    /// `initial_state`, STARTED unless the file says otherwise.
    pub initial_state: TargetState,
}

/// Reads a worker file.
///
/// # Errors
/// When it cannot be read, lacks a key that a worker needs, or has a value that is not allowed.
pub fn worker(path: &Path, hidden: &Hidden) -> Result<WorkerConfig, Error> {
    let config = properties(path, &read(path)?)?;
    let wrong = |problem: String| {
        let path = path.to_owned();
        Err(Error::Value { path, problem })
    };
    let worker = match WorkerConfig::resolve(&config, hidden) {
        Ok(worker) => worker,
        Err(error) => return wrong(error.to_string()),
    };
    // A worker file of distributed Connect names a topic; its offsets are taken over from there.
    match (&worker.offsets_file, &worker.offsets_topic) {
        (Some(_), None) | (None, Some(_)) => {}
        (None, None) => {
            return wrong(format!(
                "Missing required configuration \"{OFFSETS_FILE}\" which has no default value."
            ));
        }
        (Some(_), Some(_)) => {
            return wrong(format!(
                "{OFFSETS_FILE} and {OFFSETS_TOPIC} are both set: remove one of them"
            ));
        }
    }
    for key in config.keys().filter(|key| !is_worker_key(key)) {
        tracing::warn!(file = %path.display(), key, "unknown worker setting; it is ignored");
    }
    Ok(worker)
}

/// Reads a connector file.
///
/// # Errors
/// When it cannot be read, or has no name.
pub fn connector(path: &Path) -> Result<ConnectorFile, Error> {
    let bytes = read(path)?;
    let (mut config, name, state) = if is_json(&bytes) {
        json(path, &bytes)?
    } else {
        (properties(path, &bytes)?, None, None)
    };
    let value = |problem: String| Error::Value {
        path: path.to_owned(),
        problem,
    };
    let own = config.get("name").cloned();
    let name = match (name, own) {
        (Some(name), Some(own)) if name != own => {
            return Err(value(format!(
                "Connector name configuration in 'config' doesn't match the one specified in 'name' at '{}'",
                path.display()
            )));
        }
        (Some(name), _) | (None, Some(name)) => name,
        (None, None) => {
            return Err(value(format!(
                "Connector configuration at '{}' is missing the mandatory 'name' configuration",
                path.display()
            )));
        }
    };
    config.insert("name".to_owned(), name.clone());
    let initial_state = match state.as_deref().unwrap_or("RUNNING").to_ascii_uppercase().as_str() {
        "RUNNING" => TargetState::Started,
        "PAUSED" => TargetState::Paused,
        "STOPPED" => TargetState::Stopped,
        other => {
            return Err(value(format!(
                "initial_state={other}: must be one of RUNNING, PAUSED, STOPPED"
            )));
        }
    };
    let name = ConnectorName::try_from(name.as_str()).map_err(|error| value(format!("name={name}: {error}")))?;
    Ok(ConnectorFile {
        path: path.to_owned(),
        name,
        config,
        initial_state,
    })
}

/// Reads the settings of a connector file, whatever they are: a part of one will do, without a name.
///
/// # Errors
/// When it cannot be read, or is neither properties nor JSON.
pub fn settings(path: &Path) -> Result<ConfigMap, Error> {
    let bytes = read(path)?;
    if is_json(&bytes) {
        json(path, &bytes).map(|(config, _, _)| config)
    } else {
        properties(path, &bytes)
    }
}

fn is_json(bytes: &[u8]) -> bool {
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

fn properties(path: &Path, bytes: &[u8]) -> Result<ConfigMap, Error> {
    dray_process::properties::read(bytes).map_err(|problem| Error::Syntax {
        path: path.to_owned(),
        problem,
    })
}

type Parsed = (ConfigMap, Option<String>, Option<String>);

fn json(path: &Path, bytes: &[u8]) -> Result<Parsed, Error> {
    let syntax = |problem: String| Error::Syntax {
        path: path.to_owned(),
        problem,
    };
    let json: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| syntax(error.to_string()))?;
    let text = |key: &str| json.get(key).and_then(serde_json::Value::as_str).map(str::to_owned);
    match json.get("config") {
        Some(config @ serde_json::Value::Object(_)) => Ok((flat(path, config)?, text("name"), text("initial_state"))),
        _ => Ok((flat(path, &json)?, None, None)),
    }
}

fn flat(path: &Path, json: &serde_json::Value) -> Result<ConfigMap, Error> {
    let object = json.as_object().into_iter().flatten();
    object
        .map(|(key, value)| match value {
            serde_json::Value::String(text) => Ok((key.clone(), text.clone())),
            serde_json::Value::Number(_) | serde_json::Value::Bool(_) => Ok((key.clone(), value.to_string())),
            serde_json::Value::Null | serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                let problem = format!("{key}={value}: must be a string, a number or a boolean");
                Err(Error::Value {
                    path: path.to_owned(),
                    problem,
                })
            }
        })
        .collect()
}

/// Keys that a worker file may have in Connect; anything else is likely a typing error. Besides the defined keys there are
/// those of clients and plugins below a prefix, and some that only other clients of a worker of Connect's heed.
fn is_worker_key(key: &str) -> bool {
    const CLIENT_KEYS: [&str; 3] = ["client.id", "group.id", "security.protocol"];
    const PREFIXES: [&str; 13] = [
        "offset.storage.",
        "key.converter.",
        "value.converter.",
        "header.converter.",
        "internal.key.converter",
        "internal.value.converter",
        "producer.",
        "consumer.",
        "admin.",
        "config.providers.",
        "metrics.context.",
        "sasl.",
        "listeners.https.",
    ];
    worker_config::definition().key(key).is_some()
        || CLIENT_KEYS.contains(&key)
        || PREFIXES.iter().any(|prefix| key.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.properties");
        std::fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn properties_keep_their_escapes_and_their_umlauts() {
        let (_folder, path) = file("name=a\ntopic=t\\u00fc-\u{fc}\nlong=one,\\\n  two\n");
        let connector = connector(&path).unwrap();
        assert_eq!(connector.config["topic"], "t\u{fc}-\u{fc}");
        assert_eq!(connector.config["long"], "one,two");
    }

    #[test]
    fn json_comes_flat_or_as_a_create_request() {
        let (_folder, path) = file(r#"{"name":"a","tasks.max":2}"#);
        assert_eq!(connector(&path).unwrap().config["tasks.max"], "2");
        let (_folder, path) = file(r#"{"name":"a","config":{"x":"y"},"initial_state":"PAUSED"}"#);
        let read = connector(&path).unwrap();
        assert_eq!((read.name.as_str(), read.initial_state), ("a", TargetState::Paused));
    }

    #[test]
    fn what_is_wrong_is_said_in_one_line() {
        let (_folder, path) = file("topic=t\n");
        let shown = connector(&path).unwrap_err().to_string();
        assert!(
            shown.ends_with("is missing the mandatory 'name' configuration"),
            "{shown}"
        );
        let (_folder, path) = file("key.converter=JsonConverter\n");
        let shown = worker(&path, &Hidden::default()).unwrap_err().to_string();
        assert!(
            shown.contains("Missing required configuration \"value.converter\""),
            "{shown}"
        );
        let (_folder, path) = file(r#"{"name":"a","initial_state":"asleep"}"#);
        assert_eq!(
            connector(&path).unwrap().initial_state,
            TargetState::Started,
            "a flat map has no initial state"
        );
    }
}
