//! The names of connectors, tasks and workers. Holding one is the proof that it is legal.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a connector: not empty and without control characters, as Connect demands. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ConnectorName(Arc<str>);

/// Why a text cannot name a connector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConnectorName {
    /// The text is empty.
    #[error("a connector name may not be empty")]
    Empty,
    /// The text holds a control character.
    #[error("a connector name may not contain control characters, but {name:?} has {character:?}")]
    ControlCharacter {
        /// The text.
        name: String,
        /// The first control character.
        character: char,
    },
}

impl ConnectorName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for ConnectorName {
    type Error = InvalidConnectorName;

    fn try_from(name: &str) -> Result<Self, Self::Error> {
        if name.is_empty() {
            return Err(InvalidConnectorName::Empty);
        }
        match name.chars().find(|character| character.is_control()) {
            Some(character) => Err(InvalidConnectorName::ControlCharacter {
                name: name.into(),
                character,
            }),
            None => Ok(Self(name.into())),
        }
    }
}

impl TryFrom<String> for ConnectorName {
    type Error = InvalidConnectorName;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::try_from(name.as_str())
    }
}

impl FromStr for ConnectorName {
    type Err = InvalidConnectorName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::try_from(name)
    }
}

impl From<ConnectorName> for String {
    fn from(name: ConnectorName) -> Self {
        name.as_str().into()
    }
}

impl fmt::Display for ConnectorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One creation of a connector: the store's revision at which it was created. A name that was deleted and created again is
/// another connector, and nothing that was meant for the old one can match it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConnectorUid(NonZeroU64);

impl ConnectorUid {
    /// The least of all.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The revision.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0.get()
    }
}

impl From<NonZeroU64> for ConnectorUid {
    fn from(revision: NonZeroU64) -> Self {
        Self(revision)
    }
}

impl fmt::Display for ConnectorUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One task of a connector, shown as `name-0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TaskId {
    /// The connector that it belongs to.
    pub connector: ConnectorName,
    /// Its number, counted from 0.
    pub number: u32,
}

/// A text that is not `<connector>-<number>`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a task id such as `name-0`")]
pub struct InvalidTaskId(pub String);

impl TaskId {
    /// The task of a connector with this number.
    #[must_use]
    pub fn new(connector: ConnectorName, number: u32) -> Self {
        Self { connector, number }
    }
}

impl FromStr for TaskId {
    type Err = InvalidTaskId;

    /// Splits at the last `-`: connector names may contain more of them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || InvalidTaskId(text.into());
        let (connector, number) = text.rsplit_once('-').ok_or_else(invalid)?;
        // `u32::from_str` takes a sign; `a-+1` is not what we would have printed.
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let connector = ConnectorName::try_from(connector).map_err(|_| invalid())?;
        Ok(Self {
            connector,
            number: number.parse().map_err(|_| invalid())?,
        })
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.connector, self.number)
    }
}

/// One task of one creation of a connector. Number [`INSTANCE`](Self::INSTANCE) is the connector instance itself, which is placed and
/// owned like a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskKey {
    /// The connector.
    pub connector: ConnectorUid,
    /// The number of the task.
    pub number: u32,
}

impl TaskKey {
    /// The number of the connector instance.
    pub const INSTANCE: u32 = u32::MAX;
    /// The least of all keys.
    pub const FIRST: Self = Self {
        connector: ConnectorUid::FIRST,
        number: 0,
    };

    /// The key of a connector's instance.
    #[must_use]
    pub fn instance(connector: ConnectorUid) -> Self {
        Self {
            connector,
            number: Self::INSTANCE,
        }
    }

    /// Whether this is a connector's instance.
    #[must_use]
    pub fn is_instance(self) -> bool {
        self.number == Self::INSTANCE
    }
}

impl fmt::Display for TaskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_instance() {
            write!(f, "{}/instance", self.connector)
        } else {
            write!(f, "{}/{}", self.connector, self.number)
        }
    }
}

/// The process that runs a connector or task: `worker_id` in Connect's REST shape, such as `10.0.0.1:8083`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct WorkerId(Arc<str>);

impl WorkerId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for WorkerId {
    fn from(id: &str) -> Self {
        Self(id.into())
    }
}

impl From<String> for WorkerId {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

impl From<WorkerId> for String {
    fn from(id: WorkerId) -> Self {
        id.as_str().into()
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert_eq!(ConnectorName::try_from("").unwrap_err(), InvalidConnectorName::Empty);
        for bad in ["a\nb", "\u{0}", "x\u{7f}", "x\u{85}"] {
            assert!(ConnectorName::try_from(bad).is_err(), "{bad:?}");
        }
        for good in ["a", " ", "file source", "été", "a/b"] {
            assert_eq!(ConnectorName::try_from(good).unwrap().to_string(), good);
        }
    }

    #[test]
    fn task_ids_are_read_as_they_are_shown() {
        let id = TaskId::new(ConnectorName::try_from("my-file").unwrap(), 12);
        assert_eq!(id.to_string(), "my-file-12");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "a", "a-", "-0", "a-+1", "a--x", "a-4294967296"] {
            assert_eq!(bad.parse::<TaskId>(), Err(InvalidTaskId(bad.into())));
        }
    }
}
