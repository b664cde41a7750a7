//! `allowed.names`: the secrets or parameters that connectors may refer to.

use crate::Whose;
use dray_connect::{ConfigMap, Error, Result};

const KEY: &str = "allowed.names";

/// Which names may be read; none: nobody has said so.
pub(crate) struct AllowedNames {
    /// What the worker's configuration calls it.
    key: String,
    names: Option<Vec<Name>>,
}

enum Name {
    Whole(String),
    Begins(String),
}

impl AllowedNames {
    /// Reads a provider's parameters: names and ARNs with commas between them, where the last character of one may be `*`.
    ///
    /// # Errors
    /// For a `*` elsewhere.
    pub(crate) fn read(prefix: &str, params: &ConfigMap) -> Result<Self> {
        let key = format!("{prefix}{KEY}");
        let Some(list) = params.get(KEY).filter(|list| !list.trim().is_empty()) else {
            return Ok(Self { key, names: None });
        };
        let mut names = Vec::new();
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let begin = name.strip_suffix('*');
            if begin.unwrap_or(name).contains('*') {
                let problem =
                    "* stands at the end of a name and nowhere else: all names that begin with what is before it";
                return Err(Error::invalid_config(&key, Some(list), Some(problem)));
            }
            names.push(match begin {
                Some(begin) => Name::Begins(begin.to_owned()),
                None => Name::Whole(name.to_owned()),
            });
        }
        Ok(Self {
            key,
            names: Some(names),
        })
    }

    /// Whether connectors may read something without being told which.
    pub(crate) fn is_set(&self) -> bool {
        self.names.is_some()
    }

    /// Whether something may be read: `what` it is, and the name that AWS is asked for.
    pub(crate) fn check(&self, whose: Whose, what: &str, name: &str) -> Result<()> {
        let key = &self.key;
        match (&self.names, whose) {
            (None, Whose::Worker) => Ok(()),
            (None, Whose::Connector) => Err(Error::config(format!(
                "{what} {name} may not be read: {key} is not set in the worker's configuration. Set it to the names that connectors may \
                 read, with * at the end of one for all that begin like it"
            ))),
            (Some(allowed), Whose::Worker | Whose::Connector) => {
                let may = allowed.iter().any(|allowed| match allowed {
                    Name::Whole(allowed) => name == allowed,
                    Name::Begins(begin) => name.starts_with(begin),
                });
                if may {
                    return Ok(());
                }
                Err(Error::config(format!(
                    "{what} {name} may not be read: it is none of {key}"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(list: &str) -> Result<AllowedNames> {
        AllowedNames::read(
            "config.providers.s.param.",
            &ConfigMap::from([(KEY.into(), list.into())]),
        )
    }

    #[test]
    fn whole_names_and_what_begins_like_one() {
        let names = allowed("db, prod/connect/*,arn:aws:secretsmanager:eu-west-1:1:secret:x-*").unwrap();
        for (name, may) in [
            ("db", true),
            ("db2", false),
            ("prod/connect/a", true),
            ("prod/connect/", true),
            ("prod/connect", false),
            ("prod/connectors", false),
            ("arn:aws:secretsmanager:eu-west-1:1:secret:x-AbCdEf", true),
            ("arn:aws:secretsmanager:eu-west-1:1:secret:db", false),
            ("", false),
        ] {
            for whose in [Whose::Worker, Whose::Connector] {
                assert_eq!(names.check(whose, "Secret", name).is_ok(), may, "{name}");
            }
        }
        assert!(allowed("*").unwrap().check(Whose::Connector, "Secret", "any").is_ok());
    }

    #[test]
    fn connectors_read_nothing_before_somebody_allows_it() {
        for list in ["", " "] {
            let names = allowed(list).unwrap();
            assert!(names.check(Whose::Worker, "Secret", "db").is_ok());
            let refused = names.check(Whose::Connector, "Secret", "db").unwrap_err().to_string();
            let begins = "Secret db may not be read: config.providers.s.param.allowed.names is not set";
            assert!(refused.starts_with(begins), "{refused}");
        }
    }

    #[test]
    fn a_star_stands_at_the_end() {
        for list in ["a*b", "**", "x,*a"] {
            let shown = allowed(list)
                .err()
                .unwrap_or_else(|| panic!("{list} is taken"))
                .to_string();
            assert!(shown.contains("config.providers.s.param.allowed.names"), "{shown}");
        }
    }
}
