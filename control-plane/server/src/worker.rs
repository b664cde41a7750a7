//! The worker configuration: Connect's `connect-distributed.properties`, from which a cluster gets its worker keys and its id.

use dray_model::ConfigMap;
use std::path::{Path, PathBuf};

/// Keys of one process, which stay in the files of agents: ports, paths, and what says where an agent stands.
const OF_ONE_PROCESS: [&str; 12] = [
    "access.control.allow.methods",
    "access.control.allow.origin",
    "admin.listeners",
    "client.id",
    "listeners",
    "offset.storage.file.filename",
    "plugin.discovery",
    "plugin.path",
    "response.http.headers.config",
    "rest.extension.classes",
    "rest.host.name",
    "rest.port",
];
/// The same, by how they begin.
const OF_ONE_PROCESS_BEGIN: [&str; 4] = ["rest.advertised.", "listeners.", "admin.listeners.", "dray.agent."];

/// Why a worker configuration is not taken.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The file cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no properties file.
    #[error("{} is not a properties file: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A key is missing.
    #[error("{} does not set `{key}`", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
        /// The key.
        key: &'static str,
    },
}

/// A worker configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerFile {
    /// `group.id`, if there is one.
    pub group_id: Option<String>,
    /// What is kept for all agents.
    pub config: ConfigMap,
    /// All that is written there, for the process that reads it.
    pub whole: ConfigMap,
}

impl WorkerFile {
    /// Reads a properties file.
    pub fn read(path: &Path) -> Result<Self, WorkerError> {
        let bytes = std::fs::read(path).map_err(|source| WorkerError::Read {
            path: path.into(),
            source,
        })?;
        let mut config = dray_process::properties::read(&bytes).map_err(|problem| WorkerError::Syntax {
            path: path.into(),
            problem,
        })?;
        if !config.contains_key("bootstrap.servers") {
            return Err(WorkerError::Missing {
                path: path.into(),
                key: "bootstrap.servers",
            });
        }
        let whole = config.clone();
        config.retain(|key, _| {
            !OF_ONE_PROCESS.contains(&key.as_str()) && !OF_ONE_PROCESS_BEGIN.iter().any(|begin| key.starts_with(begin))
        });
        for unused in ["config.storage.topic", "config.storage.replication.factor"] {
            if config.contains_key(unused) {
                tracing::info!(key = unused, "not used: configurations are in the metadata store");
            }
        }
        Ok(Self {
            group_id: config.get("group.id").cloned(),
            config,
            whole,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<WorkerFile, WorkerError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        WorkerFile::read(file.path())
    }

    #[test]
    fn what_belongs_to_one_process_stays_there() {
        let worker = read(
            "# Connect's\nbootstrap.servers=a:1,\\\n  b:2\ngroup.id=grün \u{1F980}\nkey.converter=x\nlisteners=http://:8083\nrest.port=1\n\
             rest.advertised.host.name=h\nplugin.path=/opt\noffset.storage.topic=o\n",
        )
        .unwrap();
        assert_eq!(worker.group_id.as_deref(), Some("grün \u{1F980}"));
        let keys: Vec<_> = worker.config.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            ["bootstrap.servers", "group.id", "key.converter", "offset.storage.topic"]
        );
        assert_eq!(worker.config["bootstrap.servers"], "a:1,b:2");
    }

    #[test]
    fn wrong_files_are_named() {
        let missing = read("group.id=c\n").unwrap_err().to_string();
        assert!(missing.ends_with("does not set `bootstrap.servers`"), "{missing}");
        assert!(matches!(read("a=\\u12"), Err(WorkerError::Syntax { .. })));
        assert!(matches!(
            WorkerFile::read(Path::new("/no/such")),
            Err(WorkerError::Read { .. })
        ));
    }
}
