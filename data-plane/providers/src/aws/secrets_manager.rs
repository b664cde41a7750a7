//! AWS Secrets Manager: `${provider:NAME:FIELD}` is a field of a secret that is a JSON object, `${provider:NAME}` all of any secret.

use crate::aws::arn::{Arn, decoded, whole};
use crate::aws::names::AllowedNames;
use crate::aws::reader::{Found, Kind, Reader, Wanted};
use crate::aws::settings::Settings;
use crate::{ConfigProvider, Look, Whose};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::{ConfigMap, Error, Result};
use dray_process::hidden::Hidden;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};

/// The class that writes a prefix before names as it is; jcustenborder's, whose words we took, makes a folder of it.
const CONFLUENTS: &str = "io.confluent.csid.config.provider.aws.SecretsManagerConfigProvider";

const PREFIX: &str = "secret.prefix";
const JSON: &str = "use.json";
const ENCODING: &str = "RawSecretEncoding";

pub(crate) struct SecretsManager {
    settings: Settings,
    allowed: AllowedNames,
    /// What all names begin with that are no ARNs.
    begin: String,
    /// Whether fields may be referred to.
    has_fields: bool,
    /// Whether all of a secret is given in base64.
    encodes: bool,
    reader: Reader,
}

/// What a reference means.
#[derive(Debug, PartialEq, Eq)]
struct Reference {
    /// Its name, with what all begin with, or its ARN.
    id: String,
    version: Option<String>,
    stage: Option<String>,
    /// None: all of it.
    field: Option<String>,
}

impl SecretsManager {
    pub(crate) fn read(
        prefix: &str,
        class: &str,
        params: &ConfigMap,
        hidden: &Hidden,
    ) -> Result<Box<dyn ConfigProvider>> {
        Ok(Box::new(Self::new(prefix, class, params, hidden)?))
    }

    fn new(prefix: &str, class: &str, params: &ConfigMap, hidden: &Hidden) -> Result<Self> {
        let settings = Settings::read(prefix, params, &[PREFIX, JSON, ENCODING], hidden)?;
        let one_of = |key: &str, values: [&'static str; 2]| match params.get(key).map(|value| value.trim()) {
            None | Some("") => Ok(values[0]),
            Some(value) => values
                .into_iter()
                .find(|known| known.eq_ignore_ascii_case(value))
                .ok_or_else(|| {
                    let problem = format!("String must be one of: {}", values.join(", "));
                    Error::invalid_config(&format!("{prefix}{key}"), Some(value), Some(&problem))
                }),
        };
        let begin = params.get(PREFIX).map_or("", |begin| begin.trim());
        let begin = match class == CONFLUENTS || begin.is_empty() {
            true => begin.to_owned(),
            false => format!("{}/", begin.trim_end_matches('/')),
        };
        Ok(Self {
            allowed: AllowedNames::read(prefix, params)?,
            begin,
            has_fields: one_of(JSON, ["true", "false"])? == "true",
            encodes: one_of(ENCODING, ["none", "base64"])? == "base64",
            reader: Reader::new(settings.clone()),
            settings,
        })
    }

    fn reference(&self, path: &str, key: &str) -> Result<Reference> {
        let (name, field) = whole(path, key);
        let (name, mut field) = (decoded(&name)?, field.map(without_ttl).map(str::to_owned));
        let (mut id, asked) = name
            .split_once('?')
            .map_or((name.as_str(), ""), |(id, asked)| (id, asked));
        // A field stands behind the ARN, or behind what is asked for.
        let mut asked = asked;
        if field.is_none()
            && let Some((before, behind)) = asked.split_once(':')
        {
            (asked, field) = (before, Some(behind.to_owned()));
        }
        let in_region = Arn::read(id)?;
        if let Some(arn) = &in_region {
            let Some(("secret", resource)) = arn.resource.split_once(':').filter(|_| arn.service == "secretsmanager")
            else {
                return Err(Error::config(format!(
                    "{id} is no secret: arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME is wanted"
                )));
            };
            // A secret's name has no colon.
            if let Some((_, behind)) = resource.split_once(':') {
                if field.is_some() {
                    return Err(Error::config(format!(
                        "{id} has a colon in its name, which no secret has"
                    )));
                }
                field = Some(without_ttl(behind).to_owned());
                id = &id[..id.len() - behind.len() - 1];
            }
        }
        let (mut version, mut stage) = (None, None);
        for part in asked.split('&').filter(|part| !part.is_empty()) {
            match part.split_once('=') {
                Some(("version", id)) => version = Some(id.to_owned()),
                Some(("stage", label)) => stage = Some(label.to_owned()),
                Some(("ttl", _)) => {}
                Some(_) | None => {
                    return Err(Error::config(format!(
                        "{part} behind ? means nothing: version=ID or stage=LABEL may stand there, as in NAME?stage=AWSPREVIOUS"
                    )));
                }
            }
        }
        let id = match in_region {
            Some(_) => id.to_owned(),
            None if self.begin.ends_with('/') => format!("{}{}", self.begin, id.trim_start_matches('/')),
            None => format!("{}{id}", self.begin),
        };
        // Where secrets are plain texts, Confluent's provider wants the name once more for a key.
        if !self.has_fields && field.as_deref() == Some(path) {
            field = None;
        }
        Ok(Reference {
            id,
            version,
            stage,
            field,
        })
    }

    /// A value of what was found; none: there is no such field.
    fn value(&self, reference: &Reference, found: &Found) -> Result<Option<String>> {
        let id = &reference.id;
        let bytes = match found {
            Found::Text(text) => text.as_bytes(),
            Found::Binary(bytes) => bytes,
        };
        let Some(field) = &reference.field else {
            if self.encodes {
                return Ok(Some(STANDARD.encode(bytes)));
            }
            let text = std::str::from_utf8(bytes);
            return text.map(|text| Some(text.to_owned())).map_err(|_| {
                Error::config(format!(
                    "Secret {id} is binary and not UTF-8: set {}{ENCODING}=base64 to have it in base64",
                    self.settings.prefix
                ))
            });
        };
        // What serde would say of it shows parts of it.
        let Ok(Json::Object(fields)) = serde_json::from_slice::<Json>(bytes) else {
            return Err(Error::config(format!(
                "Secret {id} is no JSON object, so it has no field {field}: refer to all of it, as in ${{provider:NAME}}"
            )));
        };
        Ok(match fields.get(field) {
            None | Some(Json::Null) => None,
            Some(Json::String(text)) => Some(text.clone()),
            Some(other) => Some(other.to_string()),
        })
    }
}

/// Amazon's provider takes a time to live behind a key; here the provider has one.
fn without_ttl(key: &str) -> &str {
    match key.rsplit_once("?ttl=") {
        Some((before, number)) if number.bytes().all(|byte| byte.is_ascii_digit()) => before,
        Some(_) | None => key,
    }
}

#[async_trait]
impl ConfigProvider for SecretsManager {
    fn check(&self, whose: Whose, path: &str, keys: &BTreeSet<&str>) -> Result<()> {
        for key in keys {
            let reference = self.reference(path, key)?;
            if reference.field.is_some() && !self.has_fields {
                return Err(Error::config(format!(
                    "Secret {} has no fields, as {}{JSON} is false: refer to all of it, as in ${{provider:NAME}}",
                    reference.id, self.settings.prefix
                )));
            }
            // A prefix is what connectors may read, if nothing else says so: they cannot get out of it but by ARNs.
            let by_prefix = !self.allowed.is_set() && !self.begin.is_empty() && reference.id.starts_with(&self.begin);
            if !by_prefix {
                self.allowed.check(whose, "Secret", &reference.id)?;
            }
        }
        Ok(())
    }

    async fn get(&self, path: &str, keys: &BTreeSet<&str>, look: Look) -> Result<BTreeMap<String, String>> {
        let mut values = BTreeMap::new();
        for key in keys {
            let reference = self.reference(path, key)?;
            let wanted = Wanted::Secret {
                id: reference.id.clone(),
                version: reference.version.clone(),
                stage: reference.stage.clone(),
            };
            let value = match self.reader.read(wanted, look).await {
                Ok(found) => self.value(&reference, &found)?,
                Err(failure) if failure.kind == Kind::Missing && self.settings.ignore_missing => None,
                Err(failure) => return Err(failure.into_error()),
            };
            match (value, &reference.field) {
                (Some(value), _) => drop(values.insert((*key).to_owned(), value)),
                (None, _) if self.settings.ignore_missing => drop(values.insert((*key).to_owned(), String::new())),
                (None, Some(field)) => {
                    return Err(Error::config(format!("Secret {} has no field {field}", reference.id)));
                }
                (None, None) => {}
            }
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(class: &str, pairs: &[(&str, &str)]) -> SecretsManager {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        let params: ConfigMap = pairs.iter().map(own).collect();
        SecretsManager::new("p.", class, &params, &Hidden::default()).unwrap()
    }

    const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-a1B2c3";

    #[test]
    fn references_mean_what_they_mean_to_others() {
        let plain = provider("SecretsManager", &[]);
        let encoded = ARN.replace(':', "%3A").replace('/', "%2F");
        let cases: &[(&str, &str, &str, Option<&str>)] = &[
            ("prod/db", "password", "prod/db", Some("password")),
            ("prod/db", "a:b", "prod/db", Some("a:b")),
            ("prod/db", "password?ttl=30000", "prod/db", Some("password")),
            ("prod/db", "what?", "prod/db", Some("what?")),
            ("", "prod/db", "prod/db", None),
            ("", "prod/db?ttl=30000", "prod/db", None),
            ("arn", &ARN[4..], ARN, None),
            ("arn", &format!("{}:password", &ARN[4..]), ARN, Some("password")),
            ("arn", &format!("{}:a:b", &ARN[4..]), ARN, Some("a:b")),
            ("arn", &format!("{}:password?ttl=1", &ARN[4..]), ARN, Some("password")),
            (&encoded, "password", ARN, Some("password")),
            ("", &encoded, ARN, None),
        ];
        for (path, key, id, field) in cases {
            let read = plain.reference(path, key).unwrap();
            assert_eq!((read.id.as_str(), read.field.as_deref()), (*id, *field), "{path}:{key}");
            assert_eq!((read.version, read.stage), (None, None), "{path}:{key}");
        }
        for (path, key, version, stage) in [
            ("a?version=1-2", "x", Some("1-2"), None),
            ("a?stage=AWSPREVIOUS", "x", None, Some("AWSPREVIOUS")),
            ("", "a?version=1&stage=S", Some("1"), Some("S")),
        ] {
            let read = plain.reference(path, key).unwrap();
            assert_eq!(
                (read.version.as_deref(), read.stage.as_deref()),
                (version, stage),
                "{path}:{key}"
            );
            assert_eq!(read.id, "a");
        }
        let read = plain
            .reference("arn", &format!("{}?stage=S:password", &ARN[4..]))
            .unwrap();
        assert_eq!((read.id.as_str(), read.stage.as_deref()), (ARN, Some("S")));
        assert_eq!(read.field.as_deref(), Some("password"));
    }

    #[test]
    fn what_means_nothing_is_refused() {
        let plain = provider("SecretsManager", &[]);
        for (path, key, problem) in [
            ("arn", "aws:secretsmanager:eu:1", "is no whole ARN"),
            ("arn", "aws:ssm:eu:1:parameter/a", "is no secret"),
            ("arn", "aws:secretsmanager:eu:1:policy:x", "is no secret"),
            ("a?label=x", "y", "label=x behind ? means nothing"),
            ("a%FF", "y", "is not UTF-8"),
        ] {
            let shown = plain.reference(path, key).unwrap_err().to_string();
            assert!(shown.contains(problem), "{path}:{key}: {shown}");
        }
    }

    #[test]
    fn a_prefix_is_a_folder_or_not() {
        let folder = provider(
            "com.github.jcustenborder.kafka.config.aws.SecretsManagerConfigProvider",
            &[(PREFIX, "cdc")],
        );
        let glued = provider(CONFLUENTS, &[(PREFIX, "cdc-")]);
        for (provider, path, id) in [
            (&folder, "db", "cdc/db"),
            (&folder, "/db", "cdc/db"),
            (&glued, "db", "cdc-db"),
        ] {
            assert_eq!(provider.reference(path, "x").unwrap().id, id);
            assert!(provider.check(Whose::Connector, path, &["x"].into()).is_ok());
            let arn = provider.reference("arn", &ARN[4..]).unwrap();
            assert_eq!(arn.id, ARN, "an ARN is whole");
            assert!(provider.check(Whose::Connector, "arn", &[&ARN[4..]].into()).is_err());
        }
        let both = provider("SecretsManager", &[(PREFIX, "cdc"), ("allowed.names", "cdc/a")]);
        assert!(both.check(Whose::Connector, "a", &["x"].into()).is_ok());
        assert!(both.check(Whose::Connector, "b", &["x"].into()).is_err());
    }

    #[test]
    fn fields_and_all_of_it() {
        let plain = provider("SecretsManager", &[]);
        let text = |text: &str| Found::Text(text.into());
        let secret =
            text(r#"{"user":"scott","port":5432,"big":12345678901234567890123,"on":true,"none":null,"in":{"a":[1]}}"#);
        for (field, value) in [
            ("user", Some("scott")),
            ("port", Some("5432")),
            ("big", Some("12345678901234567890123")),
            ("on", Some("true")),
            ("none", None),
            ("absent", None),
            ("in", Some(r#"{"a":[1]}"#)),
        ] {
            let read = plain.reference("db", field).unwrap();
            assert_eq!(plain.value(&read, &secret).unwrap().as_deref(), value, "{field}");
        }
        let (all, field) = (plain.reference("", "db").unwrap(), plain.reference("db", "x").unwrap());
        assert_eq!(
            plain.value(&all, &text("open sesame\n")).unwrap().unwrap(),
            "open sesame\n"
        );
        assert_eq!(
            plain.value(&all, &Found::Binary(b"open"[..].into())).unwrap().unwrap(),
            "open"
        );
        for (reference, found) in [
            (&field, text("open sesame")),
            (&field, text("[\"open sesame\"]")),
            (&field, text("{\"open\": sesame}")),
            (&all, Found::Binary(b"open sesame\xff"[..].into())),
        ] {
            let shown = plain.value(reference, &found).unwrap_err().to_string();
            assert!(shown.contains("Secret db") && !shown.contains("sesame"), "{shown}");
        }
        let encodes = provider("SecretsManager", &[(ENCODING, "base64")]);
        assert_eq!(
            encodes
                .value(&all, &Found::Binary(b"\xff"[..].into()))
                .unwrap()
                .unwrap(),
            "/w=="
        );
        assert_eq!(encodes.value(&field, &text(r#"{"x":"y"}"#)).unwrap().unwrap(), "y");
    }

    #[test]
    fn secrets_that_are_plain_texts() {
        let plain = provider(CONFLUENTS, &[(JSON, "false")]);
        assert_eq!(plain.reference("db", "db").unwrap().field, None);
        assert!(plain.check(Whose::Worker, "db", &["db"].into()).is_ok());
        let refused = plain
            .check(Whose::Worker, "db", &["password"].into())
            .unwrap_err()
            .to_string();
        assert!(refused.contains("p.use.json is false"), "{refused}");
    }
}
