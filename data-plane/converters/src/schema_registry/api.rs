//! What is asked of a registry, and what its answers mean.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use dray_connect::Error;
use serde_json::{Value as Json, json};

use super::http::{Http, Reply};
use super::id::{Guid, SchemaId};
use super::latest::Latest;
use crate::percent::encoded;

/// References that one schema may have, with theirs: they come from outside.
const MAX_REFERENCES: usize = 1000;
/// What is repeated of a server's message.
const SAID: usize = 2000;

/// One thing to ask.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Question {
    /// A schema by its id; `under` a subject, if it did not stand there when that was asked without.
    ById { id: SchemaId, under: Option<Arc<str>> },
    /// The newest schema of a subject.
    Latest { subject: Arc<str>, latest: Latest },
    /// The id of a schema that is there already.
    Find {
        subject: Arc<str>,
        kind: &'static str,
        text: Arc<str>,
        normalize: bool,
    },
    /// The id of a schema, which is registered if it is not there yet.
    Register {
        subject: Arc<str>,
        kind: &'static str,
        text: Arc<str>,
        normalize: bool,
    },
}

/// A schema as the registry has it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// What errors call it: the id that was asked for, or answered.
    pub(crate) id: SchemaId,
    /// Its id in this registry, if that is known.
    pub(crate) number: Option<i32>,
    /// Its id in each registry, if this one knows it.
    pub(crate) guid: Option<Guid>,
    /// Subjects that it stands under, and its version there; of what was asked for by its id or as the newest of a subject.
    pub(crate) versions: Vec<(String, i32)>,
    /// `AVRO`, `JSON`, `PROTOBUF`.
    pub(crate) kind: String,
    pub(crate) text: Arc<str>,
    /// What it refers to, each behind those that it refers to itself.
    pub(crate) references: Vec<Reference>,
    /// Other names of some of those, each with its place among them.
    pub(crate) aliases: Vec<(String, usize)>,
}

impl Found {
    /// Its version under a subject.
    pub(crate) fn version(&self, subject: &str) -> Option<i32> {
        let its = self.versions.iter().find(|(of, _)| of == subject);
        its.map(|(_, version)| *version)
    }

    /// Whether both are one schema of the registry.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self.number, other.number) {
            (Some(own), Some(other)) => own == other,
            (_, _) => self.text == other.text && self.references == other.references,
        }
    }
}

/// A schema that another one refers to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// What the other one calls it: in Protobuf what it imports, in JSON Schema its URI.
    pub(crate) name: String,
    pub(crate) text: Arc<str>,
}

/// Why there is no answer.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// No server could be asked, or none could say just now.
    Away(String),
    /// The answer is no, for this schema.
    Refused(String),
    /// Whoever asks may not.
    Denied(String),
}

impl Failure {
    pub(crate) fn to_error(&self) -> Error {
        match self {
            Self::Away(text) => Error::retriable(text),
            Self::Refused(text) => Error::data(text),
            Self::Denied(text) => Error::connect(text),
        }
    }

    fn context(self, what: &str) -> Self {
        match self {
            Self::Away(text) => Self::Away(format!("{what}: {text}")),
            Self::Refused(text) => Self::Refused(format!("{what}: {text}")),
            Self::Denied(text) => Self::Denied(format!("{what}: {text}")),
        }
    }
}

impl Question {
    /// The subject that it is about.
    pub(super) fn subject(&self) -> Option<&Arc<str>> {
        match self {
            Self::ById { under, .. } => under.as_ref(),
            Self::Latest { subject, .. } | Self::Find { subject, .. } | Self::Register { subject, .. } => Some(subject),
        }
    }

    /// Asks each server once, one after the other, until one can say. Blocks.
    pub(super) fn ask(&self, http: &Http) -> Result<Found, Failure> {
        match self {
            Self::ById { id, .. } => {
                let what = format!("cannot read schema {id} from the schema registry");
                let by_id = |failure: Failure| failure.context(&what);
                match id {
                    SchemaId::Number(number) => of_number(http, *number).map_err(by_id),
                    SchemaId::Guid(guid) => of_guid(http, *guid).map_err(by_id),
                }
            }
            Self::Latest { subject, latest } => {
                let what =
                    format!("cannot read the latest schema of subject {subject}{latest} from the schema registry");
                let missing = match latest {
                    Latest::Version => missing_subject,
                    Latest::WithMetadata(_) => missing_metadata,
                };
                let newest = |failure: Failure| failure.context(&what);
                let json = http
                    .get(&latest.path(subject))
                    .and_then(|reply| reply.expect_good(missing))
                    .map_err(newest)?;
                let number = number(&json, "id").map_err(newest)?;
                let version = self::number(&json, "version").ok();
                let versions = version
                    .map(|version| (subject.to_string(), version))
                    .into_iter()
                    .collect();
                found(http, &json, SchemaId::Number(number), Some(number), versions).map_err(newest)
            }
            Self::Find {
                subject,
                kind,
                text,
                normalize,
            } => {
                let what = format!("cannot find the schema under subject {subject} of the schema registry");
                let path = format!("/subjects/{}?normalize={normalize}", encoded(subject));
                let reply = http.post(&path, &json!({ "schema": &**text, "schemaType": kind }));
                let json = reply.and_then(|reply| reply.expect_good(not_registered));
                let json = json.map_err(|failure| failure.context(&with_schema(&what, text)))?;
                own(&json, kind, text).map_err(|failure| failure.context(&what))
            }
            Self::Register {
                subject,
                kind,
                text,
                normalize,
            } => {
                let what = format!("cannot register the schema under subject {subject} of the schema registry");
                let registering = |failure: Failure| failure.context(&with_schema(&what, text));
                let body = json!({ "schema": &**text, "schemaType": kind });
                let path = format!("/subjects/{}/versions?normalize={normalize}", encoded(subject));
                let reply = http.post(&path, &body).map_err(registering)?;
                if reply.status == 409 {
                    return Err(registering(Failure::Refused(incompatible(
                        http, subject, &body, &reply,
                    ))));
                }
                let json = reply.expect_good(|_| None).map_err(registering)?;
                own(&json, kind, text).map_err(registering)
            }
        }
    }
}

fn of_number(http: &Http, number: i32) -> Result<Found, Failure> {
    let reply = http.get(&format!("/schemas/ids/{number}"))?;
    let json = reply.expect_good(missing_id)?;
    let versions = versions(http, number)?;
    found(http, &json, SchemaId::Number(number), Some(number), versions)
}

fn of_guid(http: &Http, guid: Guid) -> Result<Found, Failure> {
    let json = http.get(&format!("/schemas/guids/{guid}"))?.expect_good(missing_guid)?;
    let number = number_of(http, guid)?;
    let versions = match number {
        Some(number) => versions(http, number)?,
        None => Vec::new(),
    };
    let found = found(http, &json, SchemaId::Guid(guid), number, versions)?;
    Ok(Found {
        guid: Some(guid),
        ..found
    })
}

/// The schema of an answer, with what it refers to.
fn found(
    http: &Http,
    json: &Json,
    id: SchemaId,
    number: Option<i32>,
    versions: Vec<(String, i32)>,
) -> Result<Found, Failure> {
    let mut referred = Referred::default();
    refer(http, json, 1, &mut referred)?;
    Ok(Found {
        id,
        number,
        guid: guid(json),
        versions,
        // An answer about an Avro schema does not say so.
        kind: json
            .get("schemaType")
            .and_then(Json::as_str)
            .unwrap_or("AVRO")
            .to_owned(),
        text: text(json)?,
        references: referred.all,
        aliases: referred.aliases,
    })
}

/// What was found of the schemas that one refers to.
#[derive(Default)]
struct Referred {
    all: Vec<Reference>,
    aliases: Vec<(String, usize)>,
    /// By subject and version, its place; nowhere as long as its own references are being asked for.
    seen: HashMap<(String, i64), Option<usize>>,
}

/// Appends the schemas that a schema refers to.
fn refer(http: &Http, json: &Json, level: usize, out: &mut Referred) -> Result<(), Failure> {
    let references = json.get("references").and_then(Json::as_array);
    for reference in references.into_iter().flatten() {
        let subject = reference.get("subject").and_then(Json::as_str);
        let version = reference.get("version").and_then(Json::as_i64);
        let (Some(subject), Some(version)) = (subject, version) else {
            return Err(Failure::Refused(format!(
                "its reference {reference} names no subject and version"
            )));
        };
        let name = reference.get("name").and_then(Json::as_str).unwrap_or_default();
        let key = (subject.to_owned(), version);
        if let Some(place) = out.seen.get(&key) {
            // Another may call it by another name.
            let alias = place.filter(|place| out.all[*place].name != name && out.aliases.len() < MAX_REFERENCES);
            out.aliases.extend(alias.map(|place| (name.to_owned(), place)));
            continue;
        }
        out.seen.insert(key.clone(), None);
        if out.seen.len() > MAX_REFERENCES || level > 100 {
            return Err(Failure::Refused(format!(
                "it refers to more than {MAX_REFERENCES} others"
            )));
        }
        let path = format!("/subjects/{}/versions/{version}?deleted=true", encoded(subject));
        let json = http.get(&path).and_then(|reply| reply.expect_good(missing_subject));
        let json =
            json.map_err(|failure| failure.context(&format!("its reference to {subject}, version {version}")))?;
        refer(http, &json, level + 1, out)?;
        out.seen.insert(key, Some(out.all.len()));
        out.all.push(Reference {
            name: name.to_owned(),
            text: text(&json)?,
        });
    }
    Ok(())
}

/// Where a schema stands. That of another subject may be read all the same, so that no answer is no failure.
fn versions(http: &Http, id: i32) -> Result<Vec<(String, i32)>, Failure> {
    let reply = http.get(&format!("/schemas/ids/{id}/versions"))?;
    let entry = |entry: &Json| {
        Some((
            entry.get("subject")?.as_str()?.to_owned(),
            number(entry, "version").ok()?,
        ))
    };
    let entries = reply.json.as_array().filter(|_| reply.status == 200);
    Ok(entries.into_iter().flatten().filter_map(entry).collect())
}

/// The id that a schema has in this registry, outside of contexts of one's own. Only its versions need it, so that no answer is no failure.
fn number_of(http: &Http, guid: Guid) -> Result<Option<i32>, Failure> {
    let reply = http.get(&format!("/schemas/guids/{guid}/ids"))?;
    let entries = reply.json.as_array().filter(|_| reply.status == 200);
    let mut entries = entries.into_iter().flatten();
    let entry = entries.find(|entry| entry.get("context").and_then(Json::as_str) == Some("."));
    Ok(entry.and_then(|entry| number(entry, "id").ok()))
}

fn guid(json: &Json) -> Option<Guid> {
    Guid::parse(json.get("guid")?.as_str()?)
}

/// The answer about one's own schema, which has its id.
fn own(json: &Json, kind: &str, text: &Arc<str>) -> Result<Found, Failure> {
    let number = number(json, "id")?;
    Ok(Found {
        id: SchemaId::Number(number),
        number: Some(number),
        guid: guid(json),
        versions: Vec::new(),
        kind: kind.to_owned(),
        text: Arc::clone(text),
        references: Vec::new(),
        aliases: Vec::new(),
    })
}

fn number(json: &Json, name: &str) -> Result<i32, Failure> {
    let number = json
        .get(name)
        .and_then(Json::as_i64)
        .and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| Failure::Away(format!("its answer has no {name}; is this a schema registry?")))
}

fn text(json: &Json) -> Result<Arc<str>, Failure> {
    let text = json.get("schema").and_then(Json::as_str);
    text.map(Into::into)
        .ok_or_else(|| Failure::Away("its answer has no schema; is this a schema registry?".to_owned()))
}

fn missing_id(reply: &Reply) -> Option<&'static str> {
    (reply.status == 404)
        .then_some("it has no such schema: the message was written with another registry, or the schema was deleted")
}

fn missing_guid(reply: &Reply) -> Option<&'static str> {
    (reply.status == 404).then_some(
        "it has no schema of that GUID, or knows no GUIDs, which Confluent's registry does from 8.0: the message was written with \
         another registry, or the schema was deleted",
    )
}

fn missing_subject(reply: &Reply) -> Option<&'static str> {
    (reply.status == 404).then_some("it has no such subject or version: register the schema first")
}

fn missing_metadata(reply: &Reply) -> Option<&'static str> {
    (reply.status == 404).then_some(
        "it has no such subject, no version of it with such metadata, or knows no metadata, which Confluent's does from 7.4: register \
         the schema with its metadata first",
    )
}

fn not_registered(reply: &Reply) -> Option<&'static str> {
    (reply.status == 404).then_some("it is not there: register it first, or set auto.register.schemas=true")
}

/// What the registry says against a schema that it refused, in detail where it has some.
fn incompatible(http: &Http, subject: &str, body: &Json, refused: &Reply) -> String {
    let mut out = format!("it is incompatible with an earlier one: {}", refused.said());
    let path = format!(
        "/compatibility/subjects/{}/versions/latest?verbose=true",
        encoded(subject)
    );
    let messages = http.post(&path, body).ok().filter(|reply| reply.status == 200);
    // Confluent's says it in a list, Apicurio's in one text.
    let json = messages.as_ref().map(|reply| &reply.json);
    let messages = json
        .and_then(|json| json.get("messages")?.as_array())
        .into_iter()
        .flatten();
    let reason = json.and_then(|json| json.get("reason"));
    for message in messages
        .chain(reason)
        .filter_map(Json::as_str)
        .filter(|message| !refused.said().contains(message))
    {
        write!(out, "; {}", clipped(message)).expect("a text takes more text");
    }
    out
}

fn with_schema(what: &str, text: &str) -> String {
    format!("{what} ({})", clipped(text))
}

/// So much of a text as an error may repeat.
pub(crate) fn clipped(text: &str) -> String {
    let mut out: String = text.chars().filter(|c| !c.is_control()).take(SAID).collect();
    if out.len() < text.len() {
        out.push_str("...");
    }
    out
}
