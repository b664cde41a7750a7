//! AWS Systems Manager Parameter Store: `${provider:/PATH:NAME}` is the parameter `/PATH/NAME`, and so is `${provider::/PATH/NAME}`.

use crate::aws::arn::{Arn, decoded, whole};
use crate::aws::names::AllowedNames;
use crate::aws::reader::{Found, Kind, Reader, Wanted};
use crate::aws::settings::Settings;
use crate::{ConfigProvider, Look, Whose};
use async_trait::async_trait;
use dray_connect::{ConfigMap, Error, Result};
use dray_process::hidden::Hidden;
use std::collections::{BTreeMap, BTreeSet};

pub(crate) struct ParameterStore {
    settings: Settings,
    allowed: AllowedNames,
    reader: Reader,
}

impl ParameterStore {
    pub(crate) fn read(prefix: &str, params: &ConfigMap, hidden: &Hidden) -> Result<Box<dyn ConfigProvider>> {
        let settings = Settings::read(prefix, params, &[], hidden)?;
        Ok(Box::new(Self {
            allowed: AllowedNames::read(prefix, params)?,
            reader: Reader::new(settings.clone()),
            settings,
        }))
    }
}

/// The name that AWS is asked for.
fn name(path: &str, key: &str) -> Result<String> {
    let key = without_ttl(key);
    let name = match whole(path, key) {
        // Amazon's provider takes the whole name for a key, and looks at no path.
        (_, Some(key)) if key.starts_with('/') => decoded(key)?,
        (path, Some(key)) => format!("{}/{}", decoded(&path)?.trim_end_matches('/'), decoded(key)?),
        (name, None) => decoded(&name)?,
    };
    if let Some(arn) = Arn::read(&name)?
        && (arn.service != "ssm" || !arn.resource.starts_with("parameter/"))
    {
        return Err(Error::config(format!(
            "{name} is no parameter: arn:aws:ssm:REGION:ACCOUNT:parameter/NAME is wanted"
        )));
    }
    Ok(name)
}

/// Amazon's provider takes a time to live behind a key; here the provider has one. No name has a question mark.
fn without_ttl(key: &str) -> &str {
    key.split_once('?').map_or(key, |(key, _)| key)
}

/// Without the version or label that may stand behind it.
fn of_all_versions(name: &str) -> &str {
    let begin = name.rfind('/').unwrap_or(0);
    name[begin..].find(':').map_or(name, |at| &name[..begin + at])
}

#[async_trait]
impl ConfigProvider for ParameterStore {
    fn check(&self, whose: Whose, path: &str, keys: &BTreeSet<&str>) -> Result<()> {
        for key in keys {
            self.allowed
                .check(whose, "Parameter", of_all_versions(&name(path, key)?))?;
        }
        Ok(())
    }

    async fn get(&self, path: &str, keys: &BTreeSet<&str>, look: Look) -> Result<BTreeMap<String, String>> {
        let mut values = BTreeMap::new();
        for key in keys {
            let wanted = Wanted::Parameter { name: name(path, key)? };
            let value = match self.reader.read(wanted, look).await {
                Ok(Found::Text(text)) => text.to_string(),
                Ok(Found::Binary(_)) => return Err(Error::connect("a parameter is no binary value")),
                Err(failure) if failure.kind == Kind::Missing && self.settings.ignore_missing => String::new(),
                Err(failure) => return Err(failure.into_error()),
            };
            values.insert((*key).to_owned(), value);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_has_a_path_or_a_whole_name() {
        let arn = "arn:aws:ssm:eu-west-1:123456789012:parameter/prod/db";
        let encoded = arn.replace(':', "%3A");
        for (path, key, expected, all) in [
            ("/prod", "db", "/prod/db", "/prod/db"),
            ("/prod/", "db", "/prod/db", "/prod/db"),
            ("/prod", "db:3", "/prod/db:3", "/prod/db"),
            ("", "/prod/db", "/prod/db", "/prod/db"),
            ("", "/prod/db:label", "/prod/db:label", "/prod/db"),
            ("", "plain:3", "plain:3", "plain"),
            ("", "/prod/db?ttl=300", "/prod/db", "/prod/db"),
            ("any", "/prod/db", "/prod/db", "/prod/db"),
            ("arn", &arn[4..], arn, arn),
            ("arn", &format!("{}:3", &arn[4..]), &format!("{arn}:3"), arn),
            ("", &encoded, arn, arn),
        ] {
            let name = name(path, key).unwrap();
            assert_eq!((name.as_str(), of_all_versions(&name)), (expected, all), "{path}:{key}");
        }
        for (path, key) in [
            ("arn", "aws:ssm:eu-west-1:1:document/x"),
            ("arn", "aws:secretsmanager:eu:1:secret:x"),
        ] {
            let shown = name(path, key).unwrap_err().to_string();
            assert!(shown.contains("is no parameter"), "{shown}");
        }
    }
}
