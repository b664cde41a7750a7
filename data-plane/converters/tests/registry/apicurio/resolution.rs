//! Messages of one schema that are read as another one has them: what Avro's own library for Java makes of them is read as it is.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dray_connect::Result;
use dray_connect::value::SchemaAndValue;
use serde_json::{Value as Json, json};

use super::others::Types;
use super::random::Random;
use super::{Own, ask, described, outcome};
use crate::{avro, read, topic};

/// Random schemas, what each has become, and messages of each.
const SCHEMAS: usize = 300;
const MESSAGES: usize = 3;

/// The corpus must not lose what it is for unnoticed.
const AT_LEAST_READ: usize = 500;
const AT_LEAST_REFUSED: usize = 50;

struct Pair {
    topic: String,
    writer: String,
    reader: String,
    /// Their ids.
    ids: (i32, i32),
    messages: Vec<Vec<u8>>,
}

#[tokio::test(flavor = "multi_thread")]
async fn agrees_with_avro_for_java() {
    let own = Own::new();
    let pairs = pairs(&own.url());
    let mut questions = Vec::new();
    for pair in &pairs {
        questions.extend(pair.messages.iter().map(|bytes| {
            json!({"op": "avro_resolve", "writer": pair.writer, "reader": pair.reader, "bytes_b64": STANDARD.encode(bytes)})
        }));
    }
    let answers = tokio::task::spawn_blocking(|| ask(questions)).await.unwrap();
    let mut answers = answers.into_iter();
    let mut latest = avro(&own.url(), &[("use.latest.version", "true")]);
    let mut plain = avro(&own.url(), &[]);
    let (mut all_read, mut refused, mut double_arrays, mut different) = (0, 0, 0, Vec::new());
    for pair in &pairs {
        for bytes in &pair.messages {
            let answer = answers.next().unwrap();
            let ours = read(&mut *latest, &pair.topic, &message(pair.ids.0, bytes)).await;
            let theirs = match answer["bytes_b64"].as_str() {
                None => json!({"error": answer["message"]}),
                Some(resolved) => {
                    let resolved = message(pair.ids.1, &STANDARD.decode(resolved).unwrap());
                    value(read(&mut *plain, &pair.topic, &resolved).await)
                }
            };
            let ours = value(ours);
            match (ours.get("error"), theirs.get("error")) {
                (Some(_), Some(_)) => refused += 1,
                (None, None) if ours == theirs => all_read += 1,
                // Avro 1.12.0 reads them as floats (AVRO-4108).
                (None, None) if pair.reader.contains(r#""items":"double""#) => double_arrays += 1,
                _ => different.push(format!(
                    "ours   {ours}\n  theirs {theirs}\n  writer {}\n  reader {}",
                    pair.writer, pair.reader
                )),
            }
        }
    }
    println!(
        "{all_read} messages read alike, {refused} refused by both, {double_arrays} arrays of doubles, {} differ",
        different.len()
    );
    let shown = different.iter().take(10).cloned().collect::<Vec<_>>().join("\n");
    assert!(different.is_empty(), "{} differ:\n{shown}", different.len());
    assert!(
        all_read >= AT_LEAST_READ && refused >= AT_LEAST_REFUSED,
        "{all_read} {refused}"
    );
}

/// Without the version, which is that of the message's own schema.
fn value(found: Result<SchemaAndValue>) -> Json {
    let mut json = outcome(found.map(described));
    json["schema"]["version"] = Json::Null;
    super::describe::sort(&mut json);
    json
}

fn message(id: i32, bytes: &[u8]) -> Vec<u8> {
    [&[0], &id.to_be_bytes()[..], bytes].concat()
}

/// The same each time; `PROPTEST_RNG_SEED=n` makes others.
fn pairs(registry: &str) -> Vec<Pair> {
    let seed = std::env::var("PROPTEST_RNG_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let mut random = Random::new(seed.unwrap_or(1) ^ 0xa5a5);
    let mut pairs = Vec::new();
    for number in 0..SCHEMAS {
        let mut types = Types {
            random: &mut random,
            number,
            named: BTreeMap::new(),
        };
        // A named type may have been left out of a union after something came to refer to it.
        let mut written = std::iter::repeat_with(|| types.record(3)).take(100);
        let writer = written.find(|writer| is_valid(writer, &mut BTreeSet::new()));
        let writer = writer.expect("most schemas are valid");
        let evolved = std::iter::repeat_with(|| evolved(&mut types, &writer)).take(20);
        let valid = evolved.filter(|reader| is_valid(reader, &mut BTreeSet::new()));
        let reader = valid.last().unwrap_or_else(|| writer.clone());
        let topic = topic();
        let subject = format!("{topic}-value");
        let (written, read) = (writer.to_string(), reader.to_string());
        // The reader's is the newest, also where it is the same.
        let first = register(registry, &subject, &written);
        let Some(ids) = first.and_then(|first| Some((first, register(registry, &subject, &read)?))) else {
            continue;
        };
        let messages = (0..MESSAGES).map(|_| {
            let mut bytes = Vec::new();
            types.value(&writer, &mut bytes);
            bytes
        });
        pairs.push(Pair {
            messages: messages.collect(),
            topic,
            writer: written,
            reader: read,
            ids,
        });
    }
    pairs
}

/// The id of a schema; none where the registry does not take it, which is not what this is about.
fn register(registry: &str, subject: &str, schema: &str) -> Option<i32> {
    let sent = ureq::post(format!("{registry}/subjects/{subject}/versions"))
        .content_type("application/json")
        .send(json!({ "schema": schema }).to_string());
    let text = sent.inspect_err(|error| println!("{error}: {schema}")).ok()?;
    let text = text.into_body().read_to_string().ok()?;
    let answer: Json = serde_json::from_str(&text).ok()?;
    i32::try_from(answer["id"].as_i64()?).ok()
}

/// A schema as somebody might have changed it.
fn evolved(types: &mut Types<'_>, of: &Json) -> Json {
    if let Some(branches) = of.as_array() {
        return union(types, branches);
    }
    let kind = of["type"].as_str().or(of.as_str()).unwrap_or_default().to_owned();
    let changed = match &*kind {
        "record" => record(types, of),
        "array" => json!({"type": "array", "items": evolved(types, &of["items"])}),
        "map" => json!({"type": "map", "values": evolved(types, &of["values"])}),
        "enum" => enumeration(types, of),
        "int" if types.random.chance(30) => json!(*types.random.pick(&[&"long", &"float", &"double"])),
        "long" if types.random.chance(30) => json!(*types.random.pick(&[&"float", &"double"])),
        "float" if types.random.chance(30) => json!("double"),
        "string" if types.random.chance(20) => json!("bytes"),
        // What nobody can read.
        "boolean" | "int" | "string" if types.random.chance(3) => json!({"type": "array", "items": "int"}),
        _ => of.clone(),
    };
    match types.random.below(10) {
        0 => json!(["null", changed]),
        1 => json!([changed, "null"]),
        2 if types.random.chance(30) => json!(["null", "boolean", changed]),
        _ => changed,
    }
}

fn union(types: &mut Types<'_>, branches: &[Json]) -> Json {
    let mut changed = Vec::new();
    for branch in branches {
        if types.random.chance(5) {
            continue;
        }
        // No union within one.
        let new = evolved(types, branch);
        changed.push(if new.is_array() { branch.clone() } else { new });
    }
    if types.random.chance(30) && !changed.is_empty() {
        changed.rotate_left(1);
    }
    let is_null = |of: &Json| of == "null";
    match changed.iter().position(|of| !is_null(of)) {
        Some(index) if types.random.chance(10) => changed.swap_remove(index),
        Some(_) => Json::Array(changed),
        None => Json::Array(branches.to_vec()),
    }
}

fn enumeration(types: &mut Types<'_>, of: &Json) -> Json {
    let mut of = of.clone();
    match types.random.below(6) {
        0 => of["symbols"] = json!(["C", "B", "A"]),
        1 => {
            of["symbols"] = json!(["B", "A"]);
            of["default"] = json!("B");
        }
        2 => of["symbols"] = json!(["NEW", "A", "B", "C"]),
        3 => renamed(types, &mut of),
        _ => {}
    }
    of
}

/// Another name, with the one of before as an alias, or, now and then, without.
fn renamed(types: &mut Types<'_>, of: &mut Json) {
    let before = of["name"].as_str().unwrap_or_default().to_owned();
    of["name"] = json!(format!("{before}x"));
    if types.random.chance(80) {
        of["aliases"] = json!([before]);
    }
}

fn record(types: &mut Types<'_>, of: &Json) -> Json {
    let mut record = of.clone();
    if types.random.chance(20) {
        renamed(types, &mut record);
    }
    let mut fields = Vec::new();
    for field in of["fields"].as_array().into_iter().flatten() {
        if types.random.chance(10) {
            continue;
        }
        let mut field = field.clone();
        let of = evolved(types, &field["type"]);
        if of != field["type"] {
            // It was of another type.
            field.as_object_mut().unwrap().remove("default");
            field["type"] = of;
        }
        if types.random.chance(10) {
            renamed(types, &mut field);
        }
        fields.push(field);
    }
    for number in 0..types.random.below(3) {
        let of = types.any(1);
        let mut field = json!({"name": format!("new{number}"), "type": of});
        if let Some(default) = types.default(&of) {
            field["default"] = default;
        } else if types.random.chance(95) {
            field["type"] = json!(["null", "string"]);
            field["default"] = Json::Null;
        }
        fields.push(field);
    }
    if types.random.chance(30) && !fields.is_empty() {
        fields.rotate_left(1);
    }
    record["fields"] = Json::Array(fields);
    record
}

/// Whether names are defined once, and before they are used, and no branch is twice in a union.
fn is_valid(of: &Json, names: &mut BTreeSet<String>) -> bool {
    if let Some(branches) = of.as_array() {
        let mut seen = BTreeSet::new();
        let key = |of: &Json| {
            let kind = of["type"].as_str().or(of.as_str()).unwrap_or_default();
            let name = of["name"].as_str().unwrap_or(kind);
            name.rsplit('.').next().unwrap_or_default().to_owned()
        };
        return branches
            .iter()
            .all(|branch| seen.insert(key(branch)) && is_valid(branch, names));
    }
    let kind = of["type"].as_str().or(of.as_str()).unwrap_or_default();
    match kind {
        "array" => is_valid(&of["items"], names),
        "map" => is_valid(&of["values"], names),
        "record" | "enum" | "fixed" => {
            let (namespace, name) = (of["namespace"].as_str().unwrap_or_default(), &of["name"]);
            let name = name.as_str().unwrap_or_default();
            let full = if namespace.is_empty() {
                name.to_owned()
            } else {
                format!("{namespace}.{name}")
            };
            let mut fields = of["fields"].as_array().into_iter().flatten();
            names.insert(full) && fields.all(|field| is_valid(&field["type"], names))
        }
        "null" | "boolean" | "int" | "long" | "float" | "double" | "string" | "bytes" => true,
        name => names.contains(name),
    }
}
