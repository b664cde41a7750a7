//! Messages that others have written: random Avro schemas, with values of them in Avro's bytes.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use super::SETTINGS;
use super::random::Random;
use crate::client::register;
use crate::topic;

/// Random schemas, with as many messages each.
const SCHEMAS: usize = 200;
const MESSAGES: usize = 3;

#[derive(Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    /// Which of the settings it is read with.
    pub(super) settings: usize,
    pub(super) bytes: Vec<u8>,
    /// For a person.
    #[expect(dead_code, reason = "shown where something differs")]
    schema: String,
}

/// The same each time; `PROPTEST_RNG_SEED=n` makes others.
pub(super) fn messages(registry: &str) -> Vec<Message> {
    let seed = std::env::var("PROPTEST_RNG_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let mut random = Random::new(seed.unwrap_or(1));
    let mut messages = Vec::new();
    for number in 0..SCHEMAS {
        let mut types = Types {
            random: &mut random,
            number,
            named: BTreeMap::new(),
        };
        let schema = types.record(3);
        let (topic, settings) = (topic(), number % SETTINGS.len());
        let text = schema.to_string();
        let id = register(registry, &format!("{topic}-value"), &text, &json!([]));
        for _ in 0..MESSAGES {
            let mut bytes = vec![0];
            bytes.extend_from_slice(&id.to_be_bytes());
            types.value(&schema, &mut bytes);
            messages.push(Message {
                topic: topic.clone(),
                settings,
                bytes,
                schema: text.clone(),
            });
        }
    }
    messages
}

pub(super) struct Types<'a> {
    pub(super) random: &'a mut Random,
    /// Part of each name: Java takes schemas that differ in their docs only for the same, and gives one the docs of another.
    pub(super) number: usize,
    /// Named types so far, by their full names.
    pub(super) named: BTreeMap<String, Json>,
}

impl Types<'_> {
    pub(super) fn any(&mut self, levels: usize) -> Json {
        let kinds = if levels == 0 { 11 } else { 16 };
        match self.random.below(kinds) {
            0 => json!("boolean"),
            1 => json!("int"),
            2 => json!("long"),
            3 => json!("float"),
            4 => json!("double"),
            5 => json!("string"),
            6 => json!("bytes"),
            7 => self.logical(),
            8 => self.enumeration(),
            9 => self.fixed(),
            10 => self.named_before(),
            11 => json!({"type": "array", "items": self.any(levels - 1)}),
            12 => json!({"type": "map", "values": self.any(levels - 1)}),
            13 | 14 => self.union(levels - 1),
            _ => self.record(levels - 1),
        }
    }

    /// Types of Connect, and such as it has none for.
    fn logical(&mut self) -> Json {
        match self.random.below(9) {
            0 => json!({"type": "int", "logicalType": "date"}),
            1 => json!({"type": "int", "logicalType": "time-millis"}),
            2 => json!({"type": "long", "logicalType": "timestamp-millis"}),
            3 => json!({"type": "long", "logicalType": "timestamp-micros"}),
            4 => json!({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}),
            5 => json!({"type": "bytes", "logicalType": "decimal", "precision": 64}),
            6 => json!({"type": "int", "connect.type": "int16"}),
            7 => json!({"type": "string", "avro.java.string": "String"}),
            _ => json!({"type": "int", "connect.version": 3, "connect.doc": "d", "connect.parameters": {"a": "b"}}),
        }
    }

    fn name(&mut self, kind: &str) -> (String, Map<String, Json>) {
        let simple = format!("{kind}{}n{}", self.number, self.named.len());
        let mut members = Map::from_iter([("name".to_owned(), json!(simple))]);
        // Each one says its namespace, so that no other one's is taken over.
        let namespace = *self.random.pick(&[&"", &"space", &"other.space"]);
        members.insert("namespace".to_owned(), json!(namespace));
        if self.random.chance(20) {
            members.insert("doc".to_owned(), json!("of a type"));
        }
        let full = if namespace.is_empty() {
            simple
        } else {
            format!("{namespace}.{simple}")
        };
        (full, members)
    }

    fn enumeration(&mut self) -> Json {
        let (full, mut members) = self.name("E");
        members.insert("type".to_owned(), json!("enum"));
        members.insert("symbols".to_owned(), json!(["A", "B", "C"]));
        if self.random.chance(30) {
            members.insert("default".to_owned(), json!("B"));
        }
        self.finish(full, members)
    }

    fn fixed(&mut self) -> Json {
        let (full, mut members) = self.name("F");
        members.insert("type".to_owned(), json!("fixed"));
        members.insert("size".to_owned(), json!(4));
        if self.random.chance(30) {
            members.insert("logicalType".to_owned(), json!("decimal"));
            members.insert("precision".to_owned(), json!(9));
            members.insert("scale".to_owned(), json!(1));
        }
        self.finish(full, members)
    }

    pub(super) fn record(&mut self, levels: usize) -> Json {
        let (full, mut members) = self.name("R");
        // A type of that name is there from now on, though this one is not finished: nothing refers to itself.
        self.named.insert(format!("{full} "), Json::Null);
        members.insert("type".to_owned(), json!("record"));
        let mut fields = Vec::new();
        for number in 0..self.random.below(5) + usize::from(levels == 3) {
            let of = self.any(levels);
            let mut field = json!({"name": format!("f{number}"), "type": of});
            if self.random.chance(30)
                && let Some(default) = self.default(&of)
            {
                field["default"] = default;
            }
            if self.random.chance(20) {
                field["doc"] = json!("of a field");
            }
            if self.random.chance(10) {
                field["aliases"] = json!(["before"]);
            }
            fields.push(field);
        }
        members.insert("fields".to_owned(), Json::Array(fields));
        self.finish(full, members)
    }

    fn finish(&mut self, full: String, members: Map<String, Json>) -> Json {
        let json = Json::Object(members);
        self.named.insert(full, json.clone());
        json
    }

    fn named_before(&mut self) -> Json {
        // Within a namespace there is no way to say that a name has none.
        let is_known = |(name, of): &(&String, &Json)| name.contains('.') && !of.is_null();
        let names: Vec<&String> = self.named.iter().filter(is_known).map(|(name, _)| name).collect();
        if names.is_empty() {
            return json!("string");
        }
        json!(names[self.random.below(names.len())])
    }

    fn union(&mut self, levels: usize) -> Json {
        let mut branches: Vec<Json> = Vec::new();
        if self.random.chance(70) {
            branches.push(json!("null"));
        }
        for _ in 0..self.random.below(3) + 1 {
            let branch = self.any(levels);
            let kind = |of: &Json| of["type"].as_str().or(of.as_str()).unwrap_or_default().to_owned();
            let key = |of: &Json| match of["name"].as_str() {
                Some(name) => name.to_owned(),
                None => kind(of).rsplit('.').next().unwrap_or_default().to_owned(),
            };
            if !branch.is_array() && branches.iter().all(|before| key(before) != key(&branch)) {
                branches.push(branch);
            }
        }
        if branches.iter().all(|branch| branch == "null") {
            branches.push(json!("long"));
        }
        if self.random.chance(20) {
            // Null is not always the first.
            branches.rotate_left(1);
        }
        Json::Array(branches)
    }

    /// A default that Avro takes for a field of that type.
    pub(super) fn default(&mut self, of: &Json) -> Option<Json> {
        let kind = of["type"].as_str().or(of.as_str()).or(of[0].as_str());
        Some(match kind? {
            "null" => Json::Null,
            "boolean" => json!(true),
            "int" => json!(7),
            "long" => json!(-8),
            "float" => json!(1.5),
            "double" => json!(0.1),
            "string" => json!("none"),
            "bytes" => json!("\u{1}\u{ff}"),
            "array" => json!([]),
            "map" => json!({}),
            "enum" if of.is_object() => json!("C"),
            "fixed" if of.is_object() => json!("\u{0}\u{1}\u{2}\u{3}"),
            _ => return None,
        })
    }

    /// Appends a value in Avro's bytes.
    pub(super) fn value(&mut self, of: &Json, out: &mut Vec<u8>) {
        if let Json::Array(branches) = of {
            let branch = self.random.below(branches.len());
            long(branch as i64, out);
            return self.value(&branches[branch], out);
        }
        let kind = of["type"].as_str().or(of.as_str()).unwrap_or_default().to_owned();
        match &*kind {
            "null" => {}
            "boolean" => out.push(self.random.below(2) as u8),
            "int" if of["logicalType"] == "time-millis" => long(self.random.below(86_400_000) as i64, out),
            "int" if of["connect.type"] == "int16" => long(self.random.below(65_536) as i64 - 32_768, out),
            "int" => long(i64::from(self.random.next() as i32), out),
            "long" => long(self.random.next() as i64 >> self.random.below(64), out),
            "float" => out.extend_from_slice(&(self.random.below(100_000) as f32 / 8.0).to_le_bytes()),
            "double" => out.extend_from_slice(&(self.random.below(100_000) as f64 / 8.0).to_le_bytes()),
            "string" => bytes(
                self.random.pick(&["", "x", "grüße", "日本", "a\u{1F600}b"]).as_bytes(),
                out,
            ),
            "bytes" => {
                // The bytes of a decimal are never none.
                let mut value = self.random.bytes(9);
                value.push(1);
                bytes(&value, out);
            }
            "fixed" => (0..4).for_each(|_| out.push(self.random.next() as u8)),
            "enum" => long(self.random.below(3) as i64, out),
            "array" => {
                let count = self.random.below(3);
                if count > 0 {
                    long(count as i64, out);
                    (0..count).for_each(|_| self.value(&of["items"], out));
                }
                out.push(0);
            }
            "map" => {
                // In two blocks, the first one with its size.
                let mut entry = Vec::new();
                bytes(b"k", &mut entry);
                self.value(&of["values"], &mut entry);
                long(-1, out);
                long(entry.len() as i64, out);
                out.extend_from_slice(&entry);
                long(1, out);
                bytes("ü".as_bytes(), out);
                self.value(&of["values"], out);
                out.push(0);
            }
            "record" => {
                let fields = of["fields"].as_array().cloned().unwrap_or_default();
                fields.iter().for_each(|field| self.value(&field["type"], out));
            }
            name => {
                let named = self.named[name].clone();
                self.value(&named, out);
            }
        }
    }
}

/// Avro's form of a number: the last bit is its sign, seven bits a byte.
fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest > 0x7f {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend_from_slice(value);
}
