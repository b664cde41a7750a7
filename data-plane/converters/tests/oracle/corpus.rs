//! The corpus: what both sides are asked. Tables of known edges first, then random cases from one seed.

use serde_json::{Value as Json, json};

use crate::edges::{EDGES, ENVELOPES, HEADERS, LOGICAL_PAYLOADS};
use crate::random::Random;
use crate::schemas::{payload, schema};

/// One question.
#[derive(Clone, Debug)]
pub(crate) enum Case {
    /// Bytes through a converter and back; and for JSON the first half alone as well.
    Roundtrip {
        converter: &'static str,
        config: Vec<(&'static str, String)>,
        bytes: Option<Vec<u8>>,
    },
    /// A header's text through the simple header converter and back.
    Parse { text: String },
}

type Config = Vec<(&'static str, String)>;

pub(crate) fn corpus() -> Vec<Case> {
    let mut random = Random::new(20_26);
    let mut cases = Vec::new();
    binary(&mut random, &mut cases);
    texts(&mut random, &mut cases);
    schemaless(&mut random, &mut cases);
    envelopes(&mut random, &mut cases);
    encodings(&mut cases);
    headers(&mut random, &mut cases);
    cases
}

fn json_case(config: Config, bytes: impl Into<Vec<u8>>) -> Case {
    Case::Roundtrip {
        converter: "json",
        config,
        bytes: Some(bytes.into()),
    }
}

fn bare() -> Config {
    vec![("schemas.enable", "false".to_owned())]
}

fn enveloped() -> Config {
    vec![("schemas.enable", "true".to_owned())]
}

fn binary(random: &mut Random, cases: &mut Vec<Case>) {
    let sizes = [
        ("short", 2),
        ("integer", 4),
        ("long", 8),
        ("float", 4),
        ("double", 8),
        ("boolean", 1),
    ];
    for (converter, size) in sizes {
        let mut push = |bytes| {
            cases.push(Case::Roundtrip {
                converter,
                config: Vec::new(),
                bytes,
            })
        };
        push(None);
        for length in 0..10 {
            push(Some(vec![0x80; length]));
        }
        for fill in [0, 1, 2, 0x7f, 0xff] {
            push(Some(vec![fill; size]));
        }
        for _ in 0..40 {
            push(Some((0..size).map(|_| random.next() as u8).collect()));
        }
    }
    for bytes in [None, Some(Vec::new()), Some(vec![0, 255, 128])] {
        cases.push(Case::Roundtrip {
            converter: "bytearray",
            config: Vec::new(),
            bytes,
        });
    }
}

fn texts(random: &mut Random, cases: &mut Vec<Case>) {
    const CHARSETS: &[&str] = &[
        "UTF-8",
        "ISO-8859-1",
        "US-ASCII",
        "UTF-16",
        "UTF-16BE",
        "UTF-16LE",
        "latin1",
        "utf8",
    ];
    for charset in CHARSETS {
        let config = vec![("converter.encoding", (*charset).to_owned())];
        let mut push = |bytes| {
            cases.push(Case::Roundtrip {
                converter: "string",
                config: config.clone(),
                bytes,
            })
        };
        push(None);
        for text in ["", "a", "Zoë €5 😀", "\u{0}\u{7f}\u{ffff}", "\u{feff}mark"] {
            push(Some(text.as_bytes().to_vec()));
            push(Some(text.encode_utf16().flat_map(u16::to_be_bytes).collect()));
            push(Some(
                [
                    &[0xff, 0xfe][..],
                    &text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(),
                ]
                .concat(),
            ));
        }
        for bytes in [
            &[0xfe, 0xff, 0xff, 0xfe, 0, 97][..],
            &[0, 97, 0xff, 0xfe, 0, 97],
            &[0, 97, 0xd8, 0x3d, 0],
            &[0xd8, 0x3d],
        ] {
            push(Some(bytes.to_vec()));
        }
        for _ in 0..20 {
            push(Some(random.bytes(12)));
        }
    }
    // Malformed UTF-8: bytes of all the kinds that begin or continue a sequence.
    const KINDS: &[u8] = &[
        b'a', 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5,
        0xff,
    ];
    for _ in 0..400 {
        let length = 1 + random.below(7);
        let bytes = (0..length).map(|_| KINDS[random.below(KINDS.len())]).collect();
        cases.push(Case::Roundtrip {
            converter: "string",
            config: Vec::new(),
            bytes: Some(bytes),
        });
    }
}

fn schemaless(random: &mut Random, cases: &mut Vec<Case>) {
    for text in EDGES {
        cases.push(json_case(bare(), *text));
        cases.push(json_case(enveloped(), *text));
        cases.push(json_case(
            enveloped(),
            format!("{{\"schema\":null,\"payload\":{text}}}"),
        ));
        cases.push(json_case(bare(), format!("[{text}]")));
    }
    for depth in [10, 999, 1000, 1001, 2000] {
        let nested = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        cases.push(json_case(bare(), nested.clone()));
        cases.push(json_case(
            enveloped(),
            format!("{{\"schema\":null,\"payload\":{nested}}}"),
        ));
        cases.push(json_case(
            bare(),
            format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth)),
        ));
    }
    for length in [999, 1000, 1001] {
        cases.push(json_case(bare(), "1".repeat(length)));
        cases.push(json_case(bare(), format!("0.{}", "1".repeat(length - 1))));
    }
    for length in [50_000, 50_001] {
        cases.push(json_case(bare(), format!("{{\"{}\":1}}", "n".repeat(length))));
    }
    for schemas in ["true", "false"] {
        let config = vec![("schemas.enable", schemas.to_owned())];
        cases.push(Case::Roundtrip {
            converter: "json",
            config,
            bytes: None,
        });
    }
    for byte in 0..=255 {
        cases.push(json_case(bare(), vec![byte]));
        cases.push(json_case(bare(), vec![b'"', byte, b'"', b' ']));
    }
    for _ in 0..600 {
        let text = value(random, 3).to_string();
        cases.push(json_case(bare(), text.clone()));
        cases.push(json_case(bare(), damaged(random, text.into_bytes())));
    }
}

/// Any JSON value.
pub(crate) fn value(random: &mut Random, depth: usize) -> Json {
    const TEXTS: &[&str] = &[
        "",
        "a",
        "null",
        "Zoë",
        "😀",
        "\u{0}\u{8}\"\\/",
        "AQID",
        "AQ==",
        "1",
        "-5",
        "NaN",
    ];
    const NUMBERS: &[&str] = &[
        "0",
        "-1",
        "1.5",
        "300",
        "70000",
        "3000000000",
        "-1e3",
        "1E400",
        "99999999999999999999",
        "0.10",
    ];
    match random.below(if depth == 0 { 5 } else { 8 }) {
        0 => Json::Null,
        1 => Json::Bool(random.chance(50)),
        2 => serde_json::from_str(random.pick(NUMBERS)).unwrap(),
        3 => json!(random.next() as i64 >> random.below(64)),
        4 => json!(random.pick(TEXTS)),
        5 | 6 => {
            let names = ["a", "b", "c", "Zoë", "", "schema", "payload"];
            let count = random.below(4);
            Json::Object(
                (0..count)
                    .map(|_| (random.pick(&names).to_owned(), value(random, depth - 1)))
                    .collect(),
            )
        }
        _ => Json::Array((0..random.below(4)).map(|_| value(random, depth - 1)).collect()),
    }
}

/// The bytes with one small mistake.
fn damaged(random: &mut Random, mut bytes: Vec<u8>) -> Vec<u8> {
    const SPOILERS: &[u8] = b"{}[]\",:\\ 0-e.tn\x00\x1f\x7f\x80\xc3\xff";
    let at = random.below(bytes.len().max(1));
    let spoiler = SPOILERS[random.below(SPOILERS.len())];
    match random.below(4) {
        0 => bytes.truncate(at),
        1 => bytes.insert(at, spoiler),
        2 if at < bytes.len() => bytes[at] = spoiler,
        _ if at < bytes.len() => drop(bytes.remove(at)),
        _ => {}
    }
    bytes
}

fn envelopes(random: &mut Random, cases: &mut Vec<Case>) {
    for text in ENVELOPES {
        cases.push(json_case(enveloped(), *text));
        let mut config = enveloped();
        config.push(("replace.null.with.default", "false".to_owned()));
        cases.push(json_case(config, *text));
    }
    let names = [
        ("Decimal", "bytes"),
        ("Date", "int32"),
        ("Time", "int32"),
        ("Timestamp", "int64"),
    ];
    for payload in LOGICAL_PAYLOADS {
        for (name, kind) in names {
            let schema = json!({"type": kind, "name": format!("org.apache.kafka.connect.data.{name}"), "version": 1,
                "parameters": {"scale": "2"}});
            let text = format!("{{\"schema\":{schema},\"payload\":{payload}}}");
            cases.push(json_case(enveloped(), text.clone()));
            let mut config = enveloped();
            config.push(("decimal.format", "numeric".to_owned()));
            cases.push(json_case(config, text));
        }
        for kind in [
            "boolean", "int8", "int16", "int32", "int64", "float", "double", "bytes", "string",
        ] {
            let schema = json!({"type": kind, "optional": true});
            cases.push(json_case(
                enveloped(),
                format!("{{\"schema\":{schema},\"payload\":{payload}}}"),
            ));
        }
    }
    for kind in [
        "boolean", "int8", "int16", "int32", "int64", "float", "double", "bytes", "string",
    ] {
        for text in EDGES {
            cases.push(json_case(
                enveloped(),
                format!("{{\"schema\":{{\"type\":\"{kind}\"}},\"payload\":{text}}}"),
            ));
        }
    }
    for i in 0..1500 {
        let schema = schema(random, 3);
        let payload = payload(random, &schema, 6);
        let mut config = enveloped();
        if random.chance(30) {
            config.push(("decimal.format", "NUMERIC".to_owned()));
        }
        if random.chance(20) {
            config.push(("replace.null.with.default", "false".to_owned()));
        }
        let text = json!({"schema": schema, "payload": payload}).to_string();
        if i % 10 == 0 {
            cases.push(json_case(config.clone(), damaged(random, text.clone().into_bytes())));
        }
        if i % 25 == 0 {
            let mut fixed = config.clone();
            fixed.push(("schema.content", schema.to_string()));
            cases.push(json_case(fixed.clone(), payload.to_string()));
            cases.push(json_case(fixed, text.clone()));
        }
        cases.push(json_case(config, text));
    }
    for levels in [99, 101] {
        let open = r#"{"type":"array","items":"#.repeat(levels - 1);
        let (close, payload) = ("}".repeat(levels - 1), "[".repeat(levels - 1) + &"]".repeat(levels - 1));
        cases.push(json_case(
            enveloped(),
            format!(r#"{{"schema":{open}{{"type":"int8"}}{close},"payload":{payload}}}"#),
        ));
    }
    let fixed = vec![
        ("schemas.enable", "true".to_owned()),
        ("schema.content", r#"{"type":"int32"}"#.to_owned()),
    ];
    for text in ["", "1", "null", "\"a\"", "{}", "[1"] {
        cases.push(json_case(fixed.clone(), text));
    }
}

fn encodings(cases: &mut Vec<Case>) {
    for text in ["1", "12", "{}", "\"Zoë😀\"", "{\"a\":[1,2]}", "[true]"] {
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be32: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
        let le32: Vec<u8> = text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect();
        for (mark, bytes) in [
            (&[][..], be.clone()),
            (&[][..], le.clone()),
            (&[][..], be32.clone()),
            (&[][..], le32.clone()),
            (&[0xfe, 0xff][..], be),
            (&[0xff, 0xfe][..], le),
            (&[0, 0, 0xfe, 0xff][..], be32),
            (&[0xff, 0xfe, 0, 0][..], le32),
            (&[0xef, 0xbb, 0xbf][..], text.as_bytes().to_vec()),
        ] {
            cases.push(json_case(bare(), [mark, &bytes].concat()));
        }
    }
    for bytes in [
        &[0xef, 0xbb, 0xbf][..],
        &[0xfe, 0xff],
        &[0xff, 0xfe],
        &[0, 0, 0xff, 0xfe, 1],
        &[0xfe, 0xff, 0, 0],
        &[0, 0, 0, 49, 0],
    ] {
        cases.push(json_case(bare(), bytes));
    }
}

fn headers(random: &mut Random, cases: &mut Vec<Case>) {
    for text in HEADERS {
        cases.push(Case::Parse {
            text: (*text).to_owned(),
        });
    }
    const PARTS: &[&str] = &[
        "[",
        "]",
        "{",
        "}",
        ":",
        ",",
        "\"",
        "\\",
        " ",
        "1",
        "2.5",
        "a",
        "null",
        "true",
        "300",
        "2019-08-23",
        "-7",
        "é",
    ];
    for _ in 0..600 {
        let text: String = (0..1 + random.below(9)).map(|_| random.pick(PARTS)).collect();
        cases.push(Case::Parse { text });
    }
    for _ in 0..200 {
        cases.push(Case::Parse {
            text: value(random, 3).to_string(),
        });
    }
}
