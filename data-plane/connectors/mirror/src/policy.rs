//! How a topic of the source is called on the target, and which topics are copied. Pure.

use dray_connect::pattern::Pattern;
use dray_connect::{Error, Result};

const HEARTBEATS: &str = "heartbeats";

/// How topics are named: MirrorMaker's `DefaultReplicationPolicy`, or its `IdentityReplicationPolicy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Policy {
    /// Names stay as they are.
    pub(crate) identity: bool,
    /// Stands between the alias of a cluster and a topic of it.
    pub(crate) separator: String,
    /// Stands in the names of MirrorMaker's own topics.
    pub(crate) internal_separator: String,
    /// The alias of the cluster that is read.
    pub(crate) source: String,
}

impl Policy {
    fn keeps(&self, topic: &str) -> bool {
        self.identity && !topic.ends_with(HEARTBEATS)
    }

    /// The name on the target of a topic of the source.
    pub(crate) fn remote(&self, topic: &str) -> String {
        if self.keeps(topic) {
            return topic.to_owned();
        }
        format!("{}{}{topic}", self.source, self.separator)
    }

    /// The alias of the cluster that a topic was copied from, as far as its name says.
    fn source_of<'a>(&'a self, topic: &'a str) -> Option<&'a str> {
        if self.keeps(topic) {
            return Some(&self.source);
        }
        let (source, rest) = topic.split_once(&*self.separator)?;
        // Java's `split` leaves out what is empty at the end, so that there is one part only.
        rest.split(&*self.separator)
            .any(|part| !part.is_empty())
            .then_some(source)
    }

    /// The topic's name on the cluster that it was copied from.
    fn upstream<'a>(&'a self, topic: &'a str) -> Option<&'a str> {
        if self.keeps(topic) {
            return Some(topic);
        }
        let source = self.source_of(topic)?;
        topic.get(source.len() + self.separator.len()..)
    }

    /// The topic's name where it was written first.
    fn original<'a>(&'a self, mut topic: &'a str) -> &'a str {
        while let Some(upstream) = self.upstream(topic).filter(|upstream| *upstream != topic) {
            topic = upstream;
        }
        topic
    }

    fn is_internal(&self, topic: &str) -> bool {
        let of_mirrors = || {
            topic
                .strip_suffix("internal")
                .is_some_and(|topic| topic.ends_with(&*self.internal_separator))
        };
        let ends = |end| topic.ends_with(end);
        topic.starts_with("__") || topic.starts_with('.') || ends("-internal") || ends(".internal") || of_mirrors()
    }

    /// Whether copying a topic to `target` would bring it back to where it came from.
    fn is_cycle<'a>(&'a self, mut topic: &'a str, target: &str) -> bool {
        while let Some(source) = self.source_of(topic) {
            if source == target {
                return true;
            }
            match self.upstream(topic) {
                Some(upstream) if upstream != topic => topic = upstream,
                Some(_) | None => return false,
            }
        }
        false
    }
}

/// Which topics are copied.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) include: Names,
    pub(crate) exclude: Names,
    /// Topics of MirrorMaker's heartbeats, whatever else is included.
    pub(crate) heartbeats: bool,
    /// The alias of the cluster that is written to.
    pub(crate) target: String,
}

impl Selection {
    /// Whether a topic is copied.
    ///
    /// # Errors
    /// When a pattern gives no answer.
    pub(crate) fn takes(&self, topic: &str, policy: &Policy) -> Result<bool> {
        if policy.is_internal(topic) || policy.is_cycle(topic, &self.target) {
            return Ok(false);
        }
        let heartbeats = self.heartbeats && policy.original(topic) == HEARTBEATS;
        Ok(heartbeats || self.include.have(topic)? && !self.exclude.have(topic)?)
    }
}

/// A list of names or regular expressions, one of which has to match a name as a whole.
#[derive(Clone, Debug)]
pub(crate) struct Names(Option<Pattern>);

impl Names {
    /// Of the key `key`. An empty list has no name.
    pub(crate) fn of(key: &str, list: &[String]) -> Result<Self> {
        if list.is_empty() {
            return Ok(Self(None));
        }
        let pattern = Pattern::compile(&list.join("|"))
            .map_err(|error| Error::invalid_config(key, Some(&list.join(",")), Some(&error.to_string())))?;
        Ok(Self(Some(pattern)))
    }

    fn have(&self, name: &str) -> Result<bool> {
        let Some(pattern) = &self.0 else {
            return Ok(false);
        };
        pattern.matches(name).map_err(|error| {
            Error::connect(format!(
                "the pattern {} has no answer for topic {name}",
                pattern.as_str()
            ))
            .with_source(error)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(identity: bool) -> Policy {
        Policy {
            identity,
            separator: ".".to_owned(),
            internal_separator: ".".to_owned(),
            source: "A".to_owned(),
        }
    }

    fn names(list: &[&str]) -> Names {
        let list: Vec<String> = list.iter().map(|name| (*name).to_owned()).collect();
        Names::of("topics", &list).unwrap()
    }

    #[test]
    fn names_on_the_target() {
        for (identity, topic, remote) in [
            (false, "t", "A.t"),
            (false, "C.t", "A.C.t"),
            (true, "t", "t"),
            (true, "A.t", "A.t"),
            (true, "heartbeats", "A.heartbeats"),
            (true, "myheartbeats", "A.myheartbeats"),
        ] {
            assert_eq!(policy(identity).remote(topic), remote, "{identity} {topic}");
        }
    }

    #[test]
    fn where_a_topic_comes_from() {
        let policy = policy(false);
        for (topic, source, upstream, original) in [
            ("t", None, None, "t"),
            ("B.t", Some("B"), Some("t"), "t"),
            ("C.B.t", Some("C"), Some("B.t"), "t"),
            ("a.", None, None, "a."),
            ("a..", None, None, "a.."),
            (".x", Some(""), Some("x"), "x"),
        ] {
            assert_eq!(policy.source_of(topic), source, "{topic}");
            assert_eq!(policy.upstream(topic), upstream, "{topic}");
            assert_eq!(policy.original(topic), original, "{topic}");
        }
        assert_eq!(self::policy(true).original("A.t"), "A.t");
    }

    #[test]
    fn what_is_copied() {
        let selection = Selection {
            include: names(&["t", "orders-.*", "B.*", ".*internal", "__.*"]),
            exclude: names(&["orders-secret"]),
            heartbeats: true,
            target: "B".to_owned(),
        };
        for (topic, taken) in [
            ("t", true),
            ("tt", false),
            ("orders-1", true),
            ("orders-secret", false),
            // It came from there, at once or over another cluster.
            ("B.x", false),
            ("C.B.x", false),
            ("Bx", true),
            ("__consumer_offsets", false),
            ("mm2-offset-syncs.B.internal", false),
            ("x-internal", false),
            ("xinternal", true),
            ("heartbeats", true),
            ("C.heartbeats", true),
            ("B.heartbeats", false),
        ] {
            assert_eq!(selection.takes(topic, &policy(false)).unwrap(), taken, "{topic}");
        }
        let none = Selection {
            include: names(&[]),
            heartbeats: false,
            ..selection.clone()
        };
        assert!(!none.takes("heartbeats", &policy(false)).unwrap());
        assert!(selection.takes("B.x", &policy(true)).unwrap(), "names say nothing then");
    }
}
