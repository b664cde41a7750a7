//! `allowed.paths`: the files and folders that a provider may read.

use crate::Whose;
use dray_connect::{ConfigMap, Error, Result};
use std::path::{Component, Path, PathBuf};

const KEY: &str = "allowed.paths";

/// Which paths may be read; none: nobody has said so.
pub(crate) struct AllowedPaths {
    /// What the worker's configuration calls it.
    key: String,
    paths: Option<Vec<PathBuf>>,
}

impl AllowedPaths {
    /// Reads a provider's parameters.
    ///
    /// # Errors
    /// With Kafka's words, for a path that is not absolute or not there.
    pub(crate) fn read(prefix: &str, params: &ConfigMap) -> Result<Self> {
        let key = format!("{prefix}{KEY}");
        let Some(list) = params.get(KEY).filter(|list| !list.is_empty()) else {
            return Ok(Self { key, paths: None });
        };
        let mut paths = Vec::new();
        for text in list.split(',') {
            let path = Path::new(text);
            if !path.is_absolute() {
                return Err(Error::config(format!("Path {text} is not absolute ({key})")));
            }
            if !path.exists() {
                return Err(Error::config(format!("Path {text} does not exist ({key})")));
            }
            paths.push(normal(path));
        }
        let paths = Some(paths);
        Ok(Self { key, paths })
    }

    /// Whether a path may be read.
    pub(crate) fn check(&self, whose: Whose, path: &str) -> Result<()> {
        let key = &self.key;
        match (&self.paths, whose) {
            (None, Whose::Worker) => Ok(()),
            (None, Whose::Connector) => Err(Error::config(format!(
                "Path {path} may not be read: {key} is not set in the worker's configuration. Set it to the folders that \
                 connectors may read from, or to / for all"
            ))),
            (Some(allowed), Whose::Worker | Whose::Connector) => {
                let wanted = normal(Path::new(path));
                if allowed.iter().any(|allowed| wanted.starts_with(allowed)) {
                    return Ok(());
                }
                Err(Error::config(format!(
                    "Path {path} may not be read: it is not within {key}"
                )))
            }
        }
    }
}

/// Without `.` and `..`, as `Path.normalize` of Java does it: by the names alone, following no links.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => drop(normal.pop()),
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => normal.push(component),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(list: &str) -> Result<AllowedPaths> {
        AllowedPaths::read(
            "config.providers.f.param.",
            &ConfigMap::from([(KEY.into(), list.into())]),
        )
    }

    #[test]
    fn only_below_what_is_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        std::fs::create_dir(folder.path().join("in")).unwrap();
        std::fs::create_dir(folder.path().join("two")).unwrap();
        let paths = allowed(&format!("{at}/in,{at}/two")).unwrap();
        for (path, may) in [
            (format!("{at}/in"), true),
            (format!("{at}/in/deep/x.properties"), true),
            (format!("{at}/two/x"), true),
            (format!("{at}/in/../two/x"), true),
            (format!("{at}/./in/x"), true),
            (format!("{at}/in/../out/x"), false),
            (format!("{at}/inside/x"), false),
            ("in/x".to_owned(), false),
            (String::new(), false),
        ] {
            for whose in [Whose::Worker, Whose::Connector] {
                assert_eq!(paths.check(whose, &path).is_ok(), may, "{path}");
            }
        }
    }

    #[test]
    fn connectors_read_nothing_before_somebody_allows_it() {
        let paths = allowed("").unwrap();
        assert!(paths.check(Whose::Worker, "/etc/passwd").is_ok());
        let refused = paths.check(Whose::Connector, "/etc/passwd").unwrap_err().to_string();
        assert!(
            refused.contains("config.providers.f.param.allowed.paths is not set"),
            "{refused}"
        );
    }

    #[test]
    fn what_is_allowed_has_to_be_there() {
        for (list, problem) in [
            ("etc", "Path etc is not absolute"),
            ("/no/such", "Path /no/such does not exist"),
            ("/, /etc", "Path  /etc is not absolute"),
        ] {
            let shown = allowed(list)
                .err()
                .unwrap_or_else(|| panic!("{list} is taken"))
                .to_string();
            assert!(shown.starts_with(problem), "{shown}");
        }
    }
}
