//! Random JSON schemas, and payloads that mostly fit them.

use serde_json::{Value as Json, json};

use crate::corpus::value;
use crate::random::Random;

const SCALARS: &[&str] = &[
    "boolean", "int8", "int16", "int32", "int64", "float", "double", "bytes", "string",
];
const LOGICAL: &[(&str, &str)] = &[
    ("Decimal", "bytes"),
    ("Date", "int32"),
    ("Time", "int32"),
    ("Timestamp", "int64"),
];

/// A schema; `depth` levels may nest.
pub(crate) fn schema(random: &mut Random, depth: usize) -> Json {
    let mut node = match random.below(if depth == 0 { 6 } else { 10 }) {
        0..=3 => json!({"type": random.pick(SCALARS)}),
        4 | 5 => {
            let (name, kind) = LOGICAL[random.below(LOGICAL.len())];
            let mut node = json!({"type": kind, "name": format!("org.apache.kafka.connect.data.{name}"), "version": 1});
            if name == "Decimal" {
                node["parameters"] = json!({"scale": random.pick(&["0", "2", "-2", "10"])});
            }
            node
        }
        6 => json!({"type": "array", "items": schema(random, depth - 1)}),
        7 => {
            let keys = if random.chance(60) {
                json!({"type": "string"})
            } else {
                schema(random, 0)
            };
            json!({"type": "map", "keys": keys, "values": schema(random, depth - 1)})
        }
        _ => {
            let names = [
                "id", "name", "Zoë", "a\"b", "line\n", "x.y", "f6", "f7", "f8", "f9", "f10", "f11",
            ];
            let count = random.below(names.len());
            let fields = names.iter().take(count).map(|name| {
                let mut field = schema(random, depth - 1);
                field["field"] = json!(name);
                field
            });
            json!({"type": "struct", "fields": fields.collect::<Vec<_>>()})
        }
    };
    if random.chance(50) {
        node["optional"] = json!(random.chance(70));
    }
    if random.chance(10) && node.get("name").is_none() {
        node["name"] = json!("com.example.Name");
        node["version"] = json!(random.below(5));
        node["doc"] = json!("what it \"is\"");
    }
    if random.chance(10) {
        node["parameters"] = json!({"scale": "2", "k": "v"});
    }
    if random.chance(10) {
        node["default"] = payload(random, &node, 0);
    }
    node
}

/// A payload; `percent` of its nodes are anything instead of what fits.
pub(crate) fn payload(random: &mut Random, schema: &Json, percent: usize) -> Json {
    if random.chance(percent) {
        return value(random, 2);
    }
    if schema["optional"] == json!(true) && random.chance(20) {
        return Json::Null;
    }
    let number = |text: &str| serde_json::from_str::<Json>(text).unwrap();
    let name = schema["name"]
        .as_str()
        .and_then(|name| name.strip_prefix("org.apache.kafka.connect.data."));
    match name {
        Some("Decimal") => return json!(random.pick(&["AQ==", "gA==", "AIA=", "MDkw", "////"])),
        Some("Date") => return json!(random.next() as i16),
        Some("Time") => return json!(random.below(86_400_001)),
        Some("Timestamp") => return json!(random.next() as i64 >> 20),
        _ => {}
    }
    match schema["type"].as_str().unwrap() {
        "boolean" => json!(random.chance(50)),
        "int8" => json!(random.next() as i8),
        "int16" => json!(random.next() as i16),
        "int32" => json!(random.next() as i32),
        "int64" => json!(random.next() as i64 >> random.below(60)),
        "float" | "double" if random.chance(60) => {
            number(random.pick(&["0.5", "-1.25", "1e10", "3", "0.1", "1e-7", "123456.75"]))
        }
        "float" => json!(f64::from(f32::from_bits((random.next() as u32) & 0x7f7f_ffff))),
        "double" => json!(f64::from_bits(random.next() & 0x7fef_ffff_ffff_ffff)),
        "bytes" => json!(random.pick(&["", "AA==", "AQI=", "AQID", "/+8="])),
        "string" => json!(random.pick(&["", "a", "Zoë €", "😀", "\u{1}\t\n\r\u{8}\u{c}\u{7f}\"\\/", "1"])),
        "array" => Json::Array(
            (0..random.below(4))
                .map(|_| payload(random, &schema["items"], percent))
                .collect(),
        ),
        "map" if schema["keys"]["type"] == "string" => {
            let names = ["k1", "k2", "Zoë", ""];
            let count = random.below(4);
            Json::Object(
                (0..count)
                    .map(|i| (names[i].to_owned(), payload(random, &schema["values"], percent)))
                    .collect(),
            )
        }
        "map" => {
            let count = random.below(4);
            let pairs = (0..count).map(|_| {
                json!([
                    payload(random, &schema["keys"], percent),
                    payload(random, &schema["values"], percent)
                ])
            });
            Json::Array(pairs.collect())
        }
        _ => {
            let mut members: Vec<(String, Json)> = Vec::new();
            for field in schema["fields"].as_array().unwrap() {
                if !random.chance(percent) {
                    members.push((
                        field["field"].as_str().unwrap().to_owned(),
                        payload(random, field, percent),
                    ));
                }
            }
            if random.chance(20) {
                members.reverse();
            }
            Json::Object(members.into_iter().collect())
        }
    }
}
