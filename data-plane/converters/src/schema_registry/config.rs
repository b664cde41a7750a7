//! What Confluent's converters are told of their registry.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::{ConfigMap, Error, Result};

use super::id::{Guid, IdReading, IdWriting, SchemaId};
use super::latest::Latest;
use super::subject::SubjectStrategy;
use super::tls::Tls;
use crate::percent::decoded;
use crate::settings;

pub(super) const URL: &str = "schema.registry.url";
const APICURIO_URL: &str = "apicurio.registry.url";
const REQUEST_HEADER: &str = "request.header.";
pub(super) const SERIALIZER: &str = "schema.id.serializer";
pub(super) const DESERIALIZER: &str = "schema.id.deserializer";
pub(super) const GUID: &str = "use.schema.guid";

/// For how many seconds a no of the registry counts. Java's client has 0 here, and asks for each record of a topic that is full of them; after one
/// second a schema that was registered meanwhile is found as soon as anybody could notice.
const REFUSED: u32 = 1;
/// How many are remembered, as Java's client has it.
const REFUSALS: u32 = 10_000;

/// A registry, and how it is reached. It holds secrets, and is never printed.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Config {
    /// Without a slash at their ends.
    pub(super) urls: Vec<String>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) tls: Tls,
    pub(super) proxy: Option<String>,
    pub(super) connect: Duration,
    pub(super) read: Duration,
    /// How often all servers are asked again.
    pub(super) retries: u32,
    pub(super) backoff: Duration,
    pub(super) backoff_max: Duration,
    /// For how long it counts that there is no schema of an id, and no such schema, or none that is allowed.
    pub(super) missing_id: Duration,
    pub(super) missing_schema: Duration,
    /// So many of both.
    pub(super) refusals: usize,
}

/// Which schema a value is written with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Registering {
    /// `auto.register.schemas`: its own, which is registered.
    Register,
    /// Its own, which must be there.
    Find,
    /// `use.latest.version`, `use.latest.with.metadata`.
    Latest { latest: Latest, strict: bool },
    /// `use.schema.id`, `use.schema.guid`.
    Id { id: SchemaId, strict: bool },
}

/// What a converter does with its registry.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    pub(crate) strategy: SubjectStrategy,
    pub(crate) registering: Registering,
    pub(crate) normalize: bool,
    /// The same for those who read: messages get the newest schema of their subject, however values are written.
    pub(crate) latest: Option<Latest>,
    /// After which the latest version is asked for again.
    pub(crate) latest_ttl: Option<Duration>,
    /// Where ids of schemas are read and written.
    pub(crate) reading: IdReading,
    pub(crate) writing: IdWriting,
}

impl Config {
    /// The registry of a converter.
    pub(crate) fn read(config: &ConfigMap) -> Result<Self> {
        let get = |name: &str| config.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
        let millis = |name: &str, default: u32| number(config, name, default).map(|n| Duration::from_millis(n.into()));
        let seconds = |name: &str| number(config, name, REFUSED).map(|n| Duration::from_secs(n.into()));
        let mut headers = Vec::new();
        for (name, value) in config {
            if let Some(name) = name.strip_prefix(REQUEST_HEADER) {
                headers.push((name.to_owned(), value.clone()));
            }
        }
        let (urls, user) = urls(config)?;
        headers.extend(authorization(config, user)?);
        let proxy = match (get("proxy.host"), get("proxy.port")) {
            (Some(host), Some(port)) => Some(format!("http://{host}:{port}")),
            (_, _) => None,
        };
        Ok(Self {
            urls,
            headers,
            tls: Tls::read(config)?,
            proxy,
            connect: millis("http.connect.timeout.ms", 60_000)?,
            read: millis("http.read.timeout.ms", 60_000)?,
            retries: number(config, "max.retries", 3)?,
            backoff: millis("retries.wait.ms", 1_000)?,
            backoff_max: millis("retries.max.wait.ms", 20_000)?,
            missing_id: seconds("missing.id.cache.ttl.sec")?,
            missing_schema: seconds("missing.schema.cache.ttl.sec")?,
            refusals: number(config, "missing.cache.size", REFUSALS)? as usize,
        })
    }
}

impl Usage {
    pub(crate) fn read(config: &ConfigMap, is_key: bool) -> Result<Self> {
        let side = if is_key { "key" } else { "value" };
        let flag = |key: &str, default: bool| settings::boolean(config, key, default);
        let class = |name: &str| {
            let name = format!("{side}.{name}");
            let class = config.get(&name).map(String::as_str);
            (name, class)
        };
        let id = chosen(config)?;
        let (name, reading) = class(DESERIALIZER);
        let reading = IdReading::of_class(&name, reading, config, id)?;
        let (name, writing) = class(SERIALIZER);
        let writing = IdWriting::of_class(&name, writing)?;
        let key = format!("{side}.subject.name.strategy");
        let latest = Latest::read(config)?;
        let registering = if flag("auto.register.schemas", true)? {
            Registering::Register
        } else if let Some(id) = id {
            let strict = flag("id.compatibility.strict", true)?;
            Registering::Id { id, strict }
        } else if let Some(latest) = latest.clone() {
            // As in Java: a version that is chosen by its metadata is compared with no other.
            let strict = latest == Latest::Version && flag("latest.compatibility.strict", true)?;
            Registering::Latest { latest, strict }
        } else {
            Registering::Find
        };
        let ttl = integer(config, "latest.cache.ttl.sec", -1)?;
        Ok(Self {
            strategy: SubjectStrategy::of_class(&key, config.get(&key).map(String::as_str))?,
            registering,
            normalize: flag("normalize.schemas", false)?,
            latest,
            latest_ttl: u64::try_from(ttl).ok().map(Duration::from_secs),
            reading,
            writing,
        })
    }
}

/// The schema of `use.schema.id` or, if there is none, `use.schema.guid`.
fn chosen(config: &ConfigMap) -> Result<Option<SchemaId>> {
    let number = integer(config, "use.schema.id", -1)?;
    if number >= 0 {
        return Ok(Some(SchemaId::Number(number)));
    }
    let Some(text) = config.get(GUID).map(|text| text.trim()).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let problem = "A GUID has 32 hexadecimal digits";
    let guid = Guid::parse(text).ok_or_else(|| Error::invalid_config(GUID, Some(text), Some(problem)))?;
    Ok(Some(SchemaId::Guid(guid)))
}

/// The servers, and who is named in their URLs.
fn urls(config: &ConfigMap) -> Result<(Vec<String>, Option<String>)> {
    let Some(text) = config.get(URL) else {
        // Its own API has ids of another form.
        let apicurio = config
            .get(APICURIO_URL)
            .map_or("", |_| " Apicurio speaks that API behind /apis/ccompat/v7.");
        let text = format!("Missing required configuration \"{URL}\" which has no default value.{apicurio}");
        return Err(Error::config(text));
    };
    let (mut urls, mut user) = (Vec::new(), None);
    for url in text.split(',').map(str::trim).filter(|url| !url.is_empty()) {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        if !matches!(scheme, "http" | "https") || rest.is_empty() {
            return Err(Error::invalid_config(
                URL,
                Some(text),
                Some("Each must begin with http:// or https://"),
            ));
        }
        // Up to the path, which may have an @ of its own.
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = match host.rsplit_once('@') {
            Some((named, host)) => {
                user.get_or_insert_with(|| decoded(named));
                host
            }
            None => host,
        };
        urls.push(format!("{scheme}://{host}{}", path.trim_end_matches('/')));
    }
    if urls.is_empty() {
        return Err(Error::invalid_config(URL, Some(text), Some("It names no server")));
    }
    Ok((urls, user))
}

/// The header that says who asks.
fn authorization(config: &ConfigMap, user_of_url: Option<String>) -> Result<Option<(String, String)>> {
    const BASIC: &str = "basic.auth.credentials.source";
    const BEARER: &str = "bearer.auth.credentials.source";
    let get = |name: &str| config.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    let header = |value: String| Some(("Authorization".to_owned(), value));
    let basic = |user: &str| header(format!("Basic {}", STANDARD.encode(user)));
    let token = get("bearer.auth.token");
    if get(BASIC).is_some() && get(BEARER).is_some() {
        let text = format!("Only one of '{BASIC}' and '{BEARER}' may be specified");
        return Err(Error::config(text));
    }
    match (get(BEARER), token) {
        (Some("STATIC_TOKEN"), Some(token)) => return Ok(header(format!("Bearer {token}"))),
        (None, Some(token)) if get(BASIC).is_none() => return Ok(header(format!("Bearer {token}"))),
        (Some("STATIC_TOKEN"), None) => {
            return Err(Error::config("bearer.auth.token is missing, which STATIC_TOKEN needs"));
        }
        (Some(other), _) => {
            return Err(Error::invalid_config(
                BEARER,
                Some(other),
                Some("There is STATIC_TOKEN only"),
            ));
        }
        (None, _) => {}
    }
    match get(BASIC) {
        None | Some("URL") => Ok(user_of_url.as_deref().and_then(basic)),
        Some("USER_INFO") => {
            let user = get("basic.auth.user.info").or_else(|| get("schema.registry.basic.auth.user.info"));
            match user {
                Some(user) if user.contains(':') => Ok(basic(user)),
                Some(_) => Err(Error::config(
                    "Invalid configuration basic.auth.user.info: it is no `user:password`",
                )),
                None => Err(Error::config("basic.auth.user.info is missing, which USER_INFO needs")),
            }
        }
        Some(other) => Err(Error::invalid_config(
            BASIC,
            Some(other),
            Some("There are URL and USER_INFO"),
        )),
    }
}

fn integer(config: &ConfigMap, key: &str, default: i32) -> Result<i32> {
    let Some(text) = config.get(key) else {
        return Ok(default);
    };
    let number = text.trim().parse();
    number.map_err(|_| Error::invalid_config(key, Some(text), Some("Not a number of type INT")))
}

fn number(config: &ConfigMap, key: &str, default: u32) -> Result<u32> {
    let value = integer(config, key, default.try_into().unwrap_or(i32::MAX))?;
    let text = config.get(key).map(String::as_str);
    u32::try_from(value).map_err(|_| Error::invalid_config(key, text, Some("Value must be at least 0")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> ConfigMap {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn servers_and_who_asks() {
        let of = |pairs: &[(&str, &str)]| {
            let read = Config::read(&config(pairs)).map(|config| format!("{:?} {:?}", config.urls, config.headers));
            read.unwrap_or_else(|error| error.to_string())
        };
        for (pairs, expected) in [
            (
                &[(URL, "http://a:1/, https://b/x")][..],
                r#"["http://a:1", "https://b/x"] []"#,
            ),
            (
                &[(URL, "http://u:p%40@a")],
                r#"["http://a"] [("Authorization", "Basic dTpwQA==")]"#,
            ),
            (
                &[
                    (URL, "http://a"),
                    ("basic.auth.credentials.source", "USER_INFO"),
                    ("basic.auth.user.info", "u:p"),
                ],
                r#"["http://a"] [("Authorization", "Basic dTpw")]"#,
            ),
            (
                &[(URL, "http://a"), ("bearer.auth.token", "t")],
                r#"["http://a"] [("Authorization", "Bearer t")]"#,
            ),
            (
                &[(URL, "http://a"), ("request.header.X-Y", "z")],
                r#"["http://a"] [("X-Y", "z")]"#,
            ),
        ] {
            assert_eq!(of(pairs), expected);
        }
        for pairs in [
            &[][..],
            &[(URL, "")],
            &[(URL, "a:1")],
            &[(APICURIO_URL, "http://a/apis/registry/v2")],
            &[(URL, "http://a"), ("basic.auth.credentials.source", "SASL_INHERIT")],
            &[
                (URL, "http://a"),
                ("bearer.auth.credentials.source", "OAUTHBEARER"),
                ("bearer.auth.token", "t"),
            ],
            &[(URL, "https://a"), ("schema.registry.ssl.truststore.location", "x.jks")],
            &[
                (URL, "https://a"),
                ("schema.registry.ssl.endpoint.identification.algorithm", ""),
            ],
            &[(URL, "http://a"), ("max.retries", "-1")],
            &[(URL, "http://a"), ("missing.id.cache.ttl.sec", "x")],
        ] {
            assert!(Config::read(&config(pairs)).is_err(), "{pairs:?}");
        }
    }

    #[test]
    fn what_is_written_with() {
        let of = |pairs: &[(&str, &str)]| Usage::read(&config(pairs), false).map(|usage| usage.registering);
        let no = ("auto.register.schemas", "false");
        assert_eq!(of(&[]).unwrap(), Registering::Register);
        // As in Java: who registers does not use another.
        assert_eq!(of(&[("use.latest.version", "true")]).unwrap(), Registering::Register);
        assert_eq!(of(&[no]).unwrap(), Registering::Find);
        assert_eq!(
            of(&[no, ("use.latest.version", "true")]).unwrap(),
            Registering::Latest {
                latest: Latest::Version,
                strict: true
            }
        );
        let with = ("use.latest.with.metadata", "a=1");
        assert_eq!(
            of(&[no, ("use.latest.version", "true"), with]).unwrap(),
            Registering::Latest {
                latest: Latest::with_metadata("", "a=1").unwrap(),
                strict: false
            }
        );
        let id = Registering::Id {
            id: SchemaId::Number(7),
            strict: false,
        };
        assert_eq!(
            of(&[no, ("use.schema.id", "7"), ("id.compatibility.strict", "false")]).unwrap(),
            id
        );
        let guid = "6da336d8-f1d3-0f98-4c47-7d03ee8a14a1";
        let id = Registering::Id {
            id: SchemaId::Guid(Guid::parse(guid).unwrap()),
            strict: true,
        };
        assert_eq!(of(&[no, ("use.schema.guid", guid)]).unwrap(), id);
        assert_eq!(
            of(&[no, with, ("use.schema.guid", guid), ("use.schema.id", "7")]).unwrap(),
            Registering::Id {
                id: SchemaId::Number(7),
                strict: true,
            }
        );
        assert!(of(&[no, ("use.schema.guid", "7")]).is_err());
        assert!(of(&[("value.schema.id.serializer", "Own")]).is_err());
        // Of the other side only what is its own counts.
        assert!(of(&[("key.schema.id.serializer", "Own")]).is_ok());
    }
}
