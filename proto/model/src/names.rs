//! Names of agents, where they stand and what they can load: [`AgentId`], [`Region`], [`Zone`], [`PluginClass`], [`KafkaCluster`].
//! Holding one is the proof that it is legal.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A text that names nothing: it is empty, longer than 255 bytes or holds a control character.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} may not be empty, longer than 255 bytes or contain control characters, but {text:?} was given")]
pub struct InvalidName {
    /// What should have been named.
    pub what: &'static str,
    /// The text.
    pub text: String,
}

/// One type for each kind of name, so that a zone cannot be given where a region is meant.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidName;

            fn try_from(text: &str) -> Result<Self, Self::Error> {
                if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
                    return Err(InvalidName { what: $what, text: text.into() });
                }
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                Self::try_from(text.as_str())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.as_str().into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// A region: agents and Kafka clusters in one of them are near to each other. Cheap to clone.
    Region,
    "a region"
);
name!(
    /// A zone of a region: agents in one of them fail together. Cheap to clone.
    Zone,
    "a zone"
);
name!(
    /// The class of a plugin: a connector, converter, transform or predicate, such as `org.example.JdbcSource`. Cheap to clone.
    PluginClass,
    "the class of a plugin"
);
name!(
    /// The stable name of an agent, such as the ordinal of a StatefulSet. Cheap to clone.
    AgentId,
    "the id of an agent"
);
name!(
    /// A Kafka cluster, by the id that its brokers say. Cheap to clone.
    KafkaCluster,
    "the id of a Kafka cluster"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for bad in ["", "a\nb", "\u{0}", &"x".repeat(256)] {
            assert!(Region::try_from(bad).is_err(), "{bad:?}");
        }
        for good in ["eu-west-1", "été", &"x".repeat(255)] {
            assert_eq!(Zone::try_from(good).unwrap().to_string(), good);
        }
        assert_eq!(
            PluginClass::try_from("").unwrap_err().to_string(),
            "the class of a plugin may not be empty, longer than 255 bytes or contain control characters, but \"\" was given"
        );
    }
}
