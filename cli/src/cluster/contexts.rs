//! Named clusters, in `$XDG_CONFIG_HOME/dray/contexts.yaml` (`~/.config` without it), readable by its owner only: it may hold passwords.

use crate::Failure;
use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Write as _};
use std::path::PathBuf;

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one that is meant when a command says nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) current: Option<String>,
    #[serde(default)]
    pub(crate) contexts: BTreeMap<String, Context>,
}

/// A cluster: replicas of a control plane, or the address of a REST API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) control: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rest: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) password: Option<String>,
    /// Certificates in PEM that are trusted instead of the machine's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) ca: Option<PathBuf>,
}

impl Contexts {
    /// Reads the file; without one there are no contexts.
    pub(crate) fn read() -> Result<Self, Failure> {
        let Ok(path) = path() else { return Ok(Self::default()) };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(Failure::Usage(format!("{}: cannot be read: {error}", path.display()))),
        };
        let wrong = |error| Failure::Usage(format!("{}: {error}", path.display()));
        match text.trim().is_empty() {
            true => Ok(Self::default()),
            false => serde_saphyr::from_str(&text).map_err(wrong),
        }
    }

    /// Puts this in the place of the file, as a whole or not at all.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let path = path()?;
        let folder = path.parent().context("the file of contexts has no folder")?;
        let written = || -> anyhow::Result<()> {
            std::fs::create_dir_all(folder)?;
            // Files of this kind are for their owner only.
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(serde_saphyr::to_string(self)?.as_bytes())?;
            file.persist(&path)?;
            Ok(())
        };
        Ok(written().with_context(|| format!("{}: cannot be written", path.display()))?)
    }

    pub(crate) fn find(&self, name: &str) -> Result<&Context, Failure> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let known = match known.is_empty() {
                true => "there is none yet: `dray context set NAME --control HOST:PORT` makes one".to_owned(),
                false => format!("there are {}", known.join(", ")),
            };
            Failure::Usage(format!("there is no context `{name}`; {known}"))
        })
    }
}

fn path() -> Result<PathBuf, Failure> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")));
    let folder = folder.ok_or_else(|| {
        let text = "contexts have no place: neither XDG_CONFIG_HOME nor HOME is set";
        Failure::Usage(text.into())
    })?;
    Ok(folder.join("dray/contexts.yaml"))
}
