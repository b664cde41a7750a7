//! The corpus: what both sides are asked. Tables of known edges first, then random cases from one seed.

use serde_json::{Value as Json, json};

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

/// JSON texts at the edges of what is JSON.
const EDGES: &[&str] = &[
    "",
    " ",
    "\n\t",
    "null",
    "true",
    "false",
    " true ",
    "nul",
    "nullx",
    "true1",
    "true,",
    "true]",
    "null:",
    "True",
    "0",
    "-0",
    "007",
    "-007",
    "00",
    "000.5",
    "-00.0e0",
    "1",
    "-1",
    "+1",
    ".5",
    "5.",
    "-",
    "-.5",
    "1.0",
    "1.10",
    "1e5",
    "1E+5",
    "1e-5",
    "1e",
    "1e+",
    "1e05",
    "0e0",
    "1.5e300",
    "1e400",
    "-1e400",
    "1e-400",
    "-1e-400",
    "-0.0",
    "123abc",
    "123,",
    "1 2",
    "12]",
    "1e99999999999",
    "1e2147483648",
    "1e-2147483647",
    "1e2147483647",
    "0e99999999999",
    "127",
    "128",
    "32768",
    "2147483647",
    "2147483648",
    "-2147483648",
    "-2147483649",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "123456789012345678901234567890",
    "-123456789012345678901234567890",
    "0.1",
    "3.4028235e38",
    "1.17549435E-38",
    "4.9e-324",
    "1.7976931348623157e308",
    "NaN",
    "Infinity",
    "-Infinity",
    "-INF",
    "2.0E-3",
    "100.0",
    "1234567.0",
    "12345678.0",
    "0.001",
    "0.0001",
    "\"\"",
    "\"a\"",
    "\"a",
    "\"",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
    "\"\\u0000\\u001f\\u007f\\u0080\\u20ac\"",
    "\"\\ud83d\\ude00\"",
    "\"\\ud83d\"",
    "\"\\ude00x\"",
    "\"\\ud83d\\u0041\"",
    "\"\\ud83dx\"",
    "\"\\u12\"",
    "\"\\u12G4\"",
    "\"\\x\"",
    "\"\\'\"",
    "'a'",
    "\"tab\there\"",
    "\"line\nfeed\"",
    "\"\u{7f}\u{80}\u{2028}\u{ffff}\"",
    "\"a\"b",
    "\"a\" \"b\"",
    "[]",
    "[ ]",
    "[1]",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1,2",
    "[",
    "]",
    "[[],[[]]]",
    "[null,true,1,\"s\",{}]",
    "[1]x",
    "[1]]",
    "{}",
    "{ }",
    "{\"a\":1}",
    "{\"a\":1,}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\" : 1 , \"b\" : 2 }",
    "{a:1}",
    "{'a':1}",
    "{1:2}",
    "{",
    "}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":1,\"b\":2,\"a\":{\"c\":3}}",
    "{\"\":\"\"}",
    "{\"a\":1}{\"b\":2}",
    "{\"a\":1} trailing",
    "/* c */1",
    "// c\n1",
    "# c\n1",
    "1/**/",
    "[1/**/]",
    "{\"a\":1/**/}",
    "undefined",
    "\u{feff}1",
    "\u{feff}{\"a\":1}",
    "\u{a0}1",
    "{\"schema\":null,\"payload\":null}",
    "{\"schema\":{},\"payload\":1}",
];

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

/// Envelopes and schemas that are wrong in one way each, or rarely used.
const ENVELOPES: &[&str] = &[
    r#"{"schema":{"type":"int32"},"payload":1,"more":2}"#,
    r#"{"schema":{"type":"int32"}}"#,
    r#"{"payload":1}"#,
    r#"{"payload":1,"schema":{"type":"int32","optional":true}}"#,
    r#"{"schema":5,"payload":1}"#,
    r#"{"schema":"int32","payload":1}"#,
    r#"{"schema":[],"payload":1}"#,
    r#"{"schema":{"type":5},"payload":1}"#,
    r#"{"schema":{"type":"INT32"},"payload":1}"#,
    r#"{"schema":{"type":"int32"},"schema":{"type":"string"},"payload":"a"}"#,
    r#"{"schema":{"type":"int32"},"payload":1,"payload":2}"#,
    r#"{"schema":{"type":"int32","optional":"true"},"payload":null}"#,
    r#"{"schema":{"type":"int32","optional":1},"payload":null}"#,
    r#"{"schema":{"type":"int32","optional":true},"payload":null}"#,
    r#"{"schema":{"type":"int32","default":7},"payload":null}"#,
    r#"{"schema":{"type":"int32","default":null},"payload":1}"#,
    r#"{"schema":{"type":"int32","optional":true,"default":null},"payload":null}"#,
    r#"{"schema":{"type":"int32","default":"x"},"payload":null}"#,
    r#"{"schema":{"type":"string","default":5},"payload":null}"#,
    r#"{"schema":{"type":"string","optional":true,"default":5},"payload":null}"#,
    r#"{"schema":{"type":"bytes","default":"AQI="},"payload":null}"#,
    r#"{"schema":{"type":"bytes","default":"AQI"},"payload":null}"#,
    r#"{"schema":{"type":"array","items":{"type":"int8"},"default":[1,2]},"payload":null}"#,
    r#"{"schema":{"type":"map","keys":{"type":"string"},"values":{"type":"int8"},"default":{"a":1}},"payload":null}"#,
    r#"{"schema":{"type":"struct","fields":[],"default":{}},"payload":null}"#,
    r#"{"schema":{"type":"struct","fields":[]},"payload":{}}"#,
    r#"{"schema":{"type":"struct"},"payload":{}}"#,
    r#"{"schema":{"type":"struct","fields":null},"payload":{}}"#,
    r#"{"schema":{"type":"struct","fields":{}},"payload":{}}"#,
    r#"{"schema":{"type":"struct","fields":[5]},"payload":{}}"#,
    r#"{"schema":{"type":"struct","fields":[null]},"payload":{}}"#,
    r#"{"schema":{"type":"struct","fields":[{"field":5,"type":"int8"}]},"payload":{}}"#,
    r#"{"schema":{"type":"struct","fields":[{"field":"","type":"int8"}]},"payload":{}}"#,
    r#"{"schema":{"type":"struct","fields":[{"field":"a"}]},"payload":{}}"#,
    r#"{"schema":{"type":"struct","fields":[{"field":"a","type":"int8"},{"field":"a","type":"int8"}]},"payload":{"a":1}}"#,
    r#"{"schema":{"type":"struct","fields":[{"field":"a","type":"int8"},{"field":"a","type":"x"}]},"payload":{"a":1}}"#,
    r#"{"schema":{"type":"struct","fields":[{"field":"a","type":"int8","default":3}]},"payload":{}}"#,
    r#"{"schema":{"type":"struct","fields":[{"field":"a","type":"int8","default":3,"optional":true}]},"payload":{"a":null}}"#,
    r#"{"schema":{"type":"struct","fields":[{"field":"a","type":"string"}]},"payload":{"a":5}}"#,
    r#"{"schema":{"type":"struct","fields":[{"field":"a","type":"int8"}]},"payload":5}"#,
    r#"{"schema":{"type":"struct","fields":[{"field":"s","type":"struct","fields":[{"field":"a","type":"int8"}],"optional":true}]},"payload":{"s":{"a":1},"x":2}}"#,
    r#"{"schema":{"type":"array"},"payload":[]}"#,
    r#"{"schema":{"type":"array","items":null},"payload":[]}"#,
    r#"{"schema":{"type":"array","items":{"type":"int8"}},"payload":{"a":1,"b":2}}"#,
    r#"{"schema":{"type":"array","items":{"type":"int8"}},"payload":5}"#,
    r#"{"schema":{"type":"array","items":{"type":"int8"}},"payload":[1,null]}"#,
    r#"{"schema":{"type":"array","items":{"type":"int8","default":9}},"payload":[1,null]}"#,
    r#"{"schema":{"type":"array","items":{"type":"string"}},"payload":[5]}"#,
    r#"{"schema":{"type":"map"},"payload":{}}"#,
    r#"{"schema":{"type":"map","keys":{"type":"string"}},"payload":{}}"#,
    r#"{"schema":{"type":"map","keys":null,"values":{"type":"int8"}},"payload":{}}"#,
    r#"{"schema":{"type":"map","keys":{"type":"string"},"values":null},"payload":{}}"#,
    r#"{"schema":{"type":"map","keys":{"type":"string"},"values":{"type":"int8"}},"payload":[]}"#,
    r#"{"schema":{"type":"map","keys":{"type":"int8"},"values":{"type":"int8"}},"payload":{}}"#,
    r#"{"schema":{"type":"map","keys":{"type":"int8"},"values":{"type":"int8"}},"payload":[5]}"#,
    r#"{"schema":{"type":"map","keys":{"type":"int8"},"values":{"type":"int8"}},"payload":[[1]]}"#,
    r#"{"schema":{"type":"map","keys":{"type":"int8"},"values":{"type":"int8"}},"payload":[[1,2,3]]}"#,
    r#"{"schema":{"type":"map","keys":{"type":"int8"},"values":{"type":"int8"}},"payload":[[1,2],[1,3]]}"#,
    r#"{"schema":{"type":"map","keys":{"type":"string","optional":true},"values":{"type":"int8"}},"payload":{"null":2}}"#,
    r#"{"schema":{"type":"map","keys":{"type":"int8","optional":true},"values":{"type":"int8"}},"payload":[[null,2]]}"#,
    r#"{"schema":{"type":"map","keys":{"type":"string","name":"org.apache.kafka.connect.data.Date","version":1},"values":{"type":"int8"}},"payload":{"a":1}}"#,
    r#"{"schema":{"type":"int32","name":5,"doc":5,"version":"1"},"payload":1}"#,
    r#"{"schema":{"type":"int32","name":"n","doc":"d","version":2},"payload":1}"#,
    r#"{"schema":{"type":"int32","version":1.0},"payload":1}"#,
    r#"{"schema":{"type":"int32","version":99999999999},"payload":1}"#,
    r#"{"schema":{"type":"int32","name":""},"payload":1}"#,
    r#"{"schema":{"type":"int32","parameters":{"a":"1","b":"2"}},"payload":1}"#,
    r#"{"schema":{"type":"int32","parameters":{"a":1}},"payload":1}"#,
    r#"{"schema":{"type":"int32","parameters":{}},"payload":1}"#,
    r#"{"schema":{"type":"int32","parameters":[]},"payload":1}"#,
    r#"{"schema":{"type":"int32","field":"x"},"payload":1}"#,
    r#"{"schema":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","version":1},"payload":"AQ=="}"#,
    r#"{"schema":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"x":"2"}},"payload":"AQ=="}"#,
    r#"{"schema":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"x"}},"payload":"AQ=="}"#,
    r#"{"schema":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"},"default":"AQ=="},"payload":null}"#,
    r#"{"schema":{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"},"default":1.23},"payload":null}"#,
    r#"{"schema":{"type":"string","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"0"}},"payload":12}"#,
    r#"{"schema":{"type":"int64","name":"org.apache.kafka.connect.data.Date"},"payload":12}"#,
    r#"{"schema":{"type":"string","name":"org.apache.kafka.connect.data.Timestamp"},"payload":12}"#,
];

const LOGICAL_PAYLOADS: &[&str] = &[
    "0",
    "1",
    "-1",
    "-0",
    "86400000",
    "86400001",
    "86399999",
    "2147483647",
    "2147483648",
    "-2147483648",
    "9223372036854775807",
    "99999999999999999999",
    "1.0",
    "1.50",
    "1e3",
    "1E-3",
    "1.23",
    "\"\"",
    "\"AQ==\"",
    "\"AQ\"",
    "\"AQ=\"",
    "\" AQ==\"",
    "\"AQ== \"",
    "\"AQ==AQ==\"",
    "\"A Q==\"",
    "\"AQI=\\n\"",
    "\"!!!!\"",
    "\"AQ=A\"",
    "\"AR==\"",
    "\"_-8=\"",
    "\"/+8=\"",
    "\"f////w==\"",
    "\"gAAA\"",
    "null",
    "true",
    "[]",
    "{}",
    "\"1\"",
];

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
    const TEXTS: &[&str] = &[
        "",
        " ",
        "null",
        " null ",
        "true",
        "false",
        "True",
        "true}",
        "1",
        "127",
        "128",
        "32768",
        "2147483648",
        "9223372036854775808",
        "+3",
        "-5",
        "1.",
        ".5",
        "1.0",
        "1.5",
        "1e2",
        "1e30",
        "1.5e300",
        "1e400",
        "123456789012345678901234567890",
        "1,2,3",
        "123:abc",
        "2019-08-23",
        "2019-08-23:x",
        "14:34:54.346Z",
        "2019-08-23T14:34:54.346Z",
        "2019-13-45",
        "abc",
        "  abc  ",
        "\"a\"",
        "[]",
        "{}",
        "[1,2,3]",
        "[1, 2.5]",
        "[1,\"a\"]",
        "[1,null]",
        "[null]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1,2",
        "[\"a\",\"b\"]",
        "[[1],[2]]",
        "[a]",
        "{\"a\":1}",
        "{\"a\":1,\"b\":2.5}",
        "{\"a\":null}",
        "{\"a\":1,\"b\":null}",
        "{null:1}",
        "{1:2}",
        "{\"a\":1 \"b\":2}",
        "{\"a\"}",
        "{a:1}",
        "[1]x",
        "{\"a\":[1,2,{\"b\":true}]}",
        "\\",
        "\\\"",
        "[\"a\\\"b\"]",
        "[\"  \"]",
        "[\"a, ,b\"]",
        "[\"2019-08-23\"]",
        "[true,false]",
        "0x10",
        "1_000",
    ];
    for text in TEXTS {
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
