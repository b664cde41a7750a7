//! Keys, values and headers for the corpus, as descriptions: all types, all logical types, every level null, optional or with a
//! default. First the tables, then what is drawn at random.

use serde_json::{Value as Json, json};

use super::random::Random;

/// Names of fields. Configurations name some of them, so that most find their field and some do not.
pub(crate) const NAMES: &[&str] = &[
    "id", "name", "Zoë", "a.b", "price", "ts", "nested", "list", "map", "flag", "😀 x", "a", "b", "topic", "date",
];

/// A type with its logical name, and values of it.
type Scalar = (
    &'static str,
    Option<&'static str>,
    &'static str,
    &'static [&'static str],
);

/// Every scalar type with values up to its edges; the third member is the tag of the value.
pub(crate) const SCALARS: &[Scalar] = &[
    ("BOOLEAN", None, "BOOLEAN", &["true", "false"]),
    ("INT8", None, "INT8", &["0", "1", "-1", "127", "-128", "42"]),
    ("INT16", None, "INT16", &["0", "1", "-1", "32767", "-32768", "300"]),
    (
        "INT32",
        None,
        "INT32",
        &["0", "1", "-1", "2147483647", "-2147483648", "70000"],
    ),
    (
        "INT64",
        None,
        "INT64",
        &[
            "0",
            "-1",
            "9223372036854775807",
            "-9223372036854775808",
            "1709210096789",
            "4294967297",
            "1709210096",
        ],
    ),
    (
        "FLOAT32",
        None,
        "FLOAT32",
        &[
            "0.0",
            "-0.0",
            "1.5",
            "-2.5",
            "0.9",
            "NaN",
            "Infinity",
            "-Infinity",
            "3.4028235E38",
            "300.7",
            "16777216",
        ],
    ),
    (
        "FLOAT64",
        None,
        "FLOAT64",
        &[
            "0.0",
            "-0.0",
            "1.5",
            "-2.5",
            "0.9",
            "NaN",
            "Infinity",
            "-Infinity",
            "1.7976931348623157E308",
            "1.0E10",
            "-1.0E-5",
            "9.223372036854776E18",
            "123456.789",
            "4294967298.5",
        ],
    ),
    (
        "STRING",
        None,
        "STRING",
        &[
            "",
            "a",
            "42",
            "-7",
            "+5",
            "true",
            "TRUE",
            "false",
            "yes",
            " 12 ",
            "1.5",
            "1e3",
            "NaN",
            "-Infinity",
            "128",
            "40000",
            "9999999999",
            "99999999999999999999",
            "1.5f",
            "0x1p3",
            "Zoë €",
            "😀",
            "١٢",
            "2024-02-29",
            "2024-02-29T12:34:56.789Z",
            "2024-02-29 12:34:56",
            "1709210096789",
            "null",
        ],
    ),
    ("BYTES", None, "BYTES", &["", "AQID", "/+8=", "WsOr"]),
    (
        "BYTES",
        Some("Decimal"),
        "DECIMAL",
        &[
            "12345/2",
            "0/2",
            "-199/2",
            "99999999999999999999999/2",
            "30000/2",
            "128/2",
        ],
    ),
    (
        "INT32",
        Some("Date"),
        "DATE",
        &["0", "86400000", "-86400000", "1709164800000", "253402214400000"],
    ),
    ("INT32", Some("Time"), "DATE", &["0", "45296789", "86399999", "1000"]),
    (
        "INT64",
        Some("Timestamp"),
        "DATE",
        &[
            "0",
            "1709210096789",
            "-1",
            "-86400001",
            "253402300799999",
            "-62135596800001",
            "1709164800000",
        ],
    ),
];

pub(crate) fn null() -> Json {
    json!({"t": "NULL"})
}

pub(crate) fn text(text: &str) -> Json {
    json!({"t": "STRING", "v": text})
}

pub(crate) fn tagged(tag: &str, v: &str) -> Json {
    json!({"t": tag, "v": v})
}

/// What the sides of a record are: a schema and a value.
pub(crate) fn with(schema: Json, value: Json) -> Json {
    json!({"schema": schema, "value": value})
}

pub(crate) fn schemaless(value: Json) -> Json {
    with(Json::Null, value)
}

pub(crate) fn scalar_schema(scalar: &Scalar) -> Json {
    let (kind, logical, ..) = scalar;
    let mut schema = json!({"type": kind});
    if let Some(logical) = logical {
        schema["name"] = json!(format!("org.apache.kafka.connect.data.{logical}"));
        schema["version"] = json!(1);
        if *logical == "Decimal" {
            schema["parameters"] = json!({"scale": "2"});
        }
    }
    schema
}

pub(crate) fn optional(mut schema: Json) -> Json {
    schema["optional"] = json!(true);
    schema
}

pub(crate) fn defaulted(mut schema: Json, value: Json) -> Json {
    schema["default"] = value;
    schema
}

pub(crate) fn struct_schema<'a>(fields: impl IntoIterator<Item = (&'a str, Json)>) -> Json {
    let fields: Vec<Json> = fields
        .into_iter()
        .map(|(name, schema)| json!({"name": name, "schema": schema}))
        .collect();
    json!({"type": "STRUCT", "fields": fields})
}

pub(crate) fn struct_value<'a>(fields: impl IntoIterator<Item = (&'a str, Json)>) -> Json {
    let fields: Vec<Json> = fields.into_iter().map(|(name, value)| json!([name, value])).collect();
    json!({"t": "STRUCT", "v": fields})
}

pub(crate) fn map_value<'a>(entries: impl IntoIterator<Item = (&'a str, Json)>) -> Json {
    let entries: Vec<Json> = entries
        .into_iter()
        .map(|(name, value)| json!([text(name), value]))
        .collect();
    json!({"t": "MAP", "v": entries})
}

pub(crate) fn list_value(elements: impl IntoIterator<Item = Json>) -> Json {
    tagged_list("LIST", elements.into_iter().collect())
}

fn tagged_list(tag: &str, parts: Vec<Json>) -> Json {
    json!({"t": tag, "v": parts})
}

/// Keys and values of every shape but scalars, to be combined with every edge of every configuration.
pub(crate) fn shapes() -> Vec<Json> {
    let (int, string) = (json!({"type": "INT32"}), json!({"type": "STRING"}));
    let one = tagged("INT32", "1");
    let mut shapes = vec![
        schemaless(null()),
        schemaless(list_value([one.clone(), null()])),
        schemaless(map_value([])),
        schemaless(map_value([
            ("id", tagged("INT64", "1709210096789")),
            ("name", text("Zoë")),
            ("price", tagged("FLOAT64", "12.75")),
            ("flag", tagged("BOOLEAN", "true")),
            ("ts", text("2024-02-29 12:34:56")),
            ("date", null()),
        ])),
        schemaless(map_value([
            ("id", tagged("INT8", "5")),
            (
                "a",
                map_value([
                    ("b", one.clone()),
                    ("c", map_value([])),
                    ("d", map_value([("e", null())])),
                ]),
            ),
            ("a.b", text("clash")),
            ("list", list_value([one.clone()])),
            (
                "nested",
                map_value([("id", text("42")), ("a.b", map_value([("c", one.clone())]))]),
            ),
            ("map", null()),
        ])),
        schemaless(odd_keys(tagged("INT32", "1"))),
        schemaless(odd_keys(null())),
        schemaless(struct_of_its_own()),
        schemaless(map_value([("nested", struct_of_its_own()), ("id", one.clone())])),
        with(optional(string.clone()), null()),
        with(string.clone(), null()),
        with(defaulted(optional(string.clone()), text("d")), null()),
        with(json!({"type": "ARRAY", "value": int}), list_value([one.clone()])),
        with(
            json!({"type": "MAP", "key": string, "value": int, "optional": true}),
            map_value([("id", one.clone()), ("name", tagged("INT32", "2"))]),
        ),
        with(struct_schema([]), struct_value([])),
        with(optional(struct_schema([("id", int.clone())])), null()),
        with(struct_schema([("id", int.clone())]), null()),
    ];
    shapes.extend(structs());
    shapes
}

/// Every type of scalar: without a schema, with one, null, and beside a default.
pub(crate) fn scalars() -> Vec<Json> {
    let mut shapes = Vec::new();
    for scalar in SCALARS {
        let value = tagged(scalar.2, scalar.3[scalar.3.len() - 1]);
        shapes.push(schemaless(value.clone()));
        shapes.push(with(scalar_schema(scalar), value.clone()));
        shapes.push(with(optional(scalar_schema(scalar)), null()));
        let default = tagged(scalar.2, scalar.3[0]);
        shapes.push(with(defaulted(scalar_schema(scalar), default), value));
    }
    shapes
}

/// A map with a key that is no text among its keys.
fn odd_keys(key: Json) -> Json {
    let pairs = [(key, text("a")), (text("id"), tagged("INT32", "1"))];
    let entries: Vec<Json> = pairs
        .into_iter()
        .map(|(key, value)| Json::Array(vec![key, value]))
        .collect();
    tagged_list("MAP", entries)
}

fn struct_of_its_own() -> Json {
    let mut value = struct_value([("id", tagged("INT32", "7"))]);
    value["schema"] = struct_schema([("id", json!({"type": "INT32"}))]);
    value
}

/// Structs: each field type, required and null, optional and null, with defaults; nested in each other and in optional ones.
fn structs() -> Vec<Json> {
    let names = NAMES.iter().copied();
    let int = json!({"type": "INT32"});
    let full: Vec<_> = names.clone().zip(SCALARS).collect();
    let schemas = |change: &dyn Fn(Json, &Scalar) -> Json| -> Vec<(&str, Json)> {
        full.iter()
            .map(|(name, scalar)| (*name, change(scalar_schema(scalar), scalar)))
            .collect()
    };
    let values = || full.iter().map(|(name, scalar)| (*name, tagged(scalar.2, scalar.3[0])));
    let first = |scalar: &Scalar| tagged(scalar.2, scalar.3[scalar.3.len() - 1]);
    let mut dressed = optional(struct_schema([
        ("id", int.clone()),
        ("name", json!({"type": "STRING"})),
    ]));
    dressed["name"] = json!("com.example.Zoë");
    dressed["version"] = json!(3);
    dressed["doc"] = json!("what it \"is\"");
    dressed["parameters"] = json!({"k": "v", "a": "ü"});
    let dressed_value = struct_value([("id", tagged("INT32", "1")), ("name", text("n"))]);
    let with_default = defaulted(
        dressed.clone(),
        struct_value([("id", tagged("INT32", "9")), ("name", text("default"))]),
    );
    let inner = struct_schema([
        ("id", optional(int.clone())),
        ("b", defaulted(int.clone(), tagged("INT32", "4"))),
    ]);
    let mut named = optional(json!({"type": "STRING", "doc": "doc of a field", "version": 2}));
    named["name"] = json!("named");
    named["parameters"] = json!({"p": "q"});
    vec![
        with(struct_schema(schemas(&|schema, _| schema)), struct_value(values())),
        with(
            struct_schema(schemas(&|schema, _| optional(schema))),
            struct_value(values()),
        ),
        with(struct_schema(schemas(&|schema, _| optional(schema))), struct_value([])),
        with(struct_schema(schemas(&|schema, _| schema)), struct_value([])),
        with(
            struct_schema(schemas(&|schema, s| defaulted(schema, first(s)))),
            struct_value([]),
        ),
        with(
            struct_schema(schemas(&|schema, s| optional(defaulted(schema, first(s))))),
            struct_value([]),
        ),
        with(dressed.clone(), dressed_value.clone()),
        with(dressed.clone(), null()),
        with(with_default.clone(), dressed_value.clone()),
        with(with_default.clone(), null()),
        with(
            struct_schema([
                ("nested", with_default),
                ("a", optional(inner.clone())),
                ("a.b", int.clone()),
            ]),
            struct_value([("nested", dressed_value)]),
        ),
        with(
            struct_schema([
                ("a", inner.clone()),
                ("nested", optional(struct_schema([("a", inner.clone())]))),
            ]),
            struct_value([
                ("a", struct_value([("id", tagged("INT32", "1"))])),
                (
                    "nested",
                    struct_value([("a", struct_value([("b", tagged("INT32", "2"))]))]),
                ),
            ]),
        ),
        with(
            optional(struct_schema([
                ("list", json!({"type": "ARRAY", "value": inner})),
                ("name", named.clone()),
                ("ts", optional(json!({"type": "STRING"}))),
            ])),
            struct_value([
                ("list", list_value([struct_value([("id", tagged("INT32", "1"))])])),
                ("ts", text("2024-02-29T12:34:56.789Z")),
            ]),
        ),
        with(
            struct_schema([
                ("map", json!({"type": "MAP", "key": {"type": "STRING"}, "value": int})),
                ("name", named),
            ]),
            struct_value([("map", map_value([("id", tagged("INT32", "1"))])), ("name", text("x"))]),
        ),
        with(
            struct_schema([
                ("id", json!({"type": "BYTES"})),
                ("nested", optional(struct_schema([("id", int)]))),
            ]),
            struct_value([("id", json!({"t": "BUFFER", "v": "AQID"}))]),
        ),
    ]
}

/// A key or value at random: most are structs or maps, as records are.
pub(crate) fn drawn(random: &mut Random) -> Json {
    match random.below(100) {
        0..=2 => schemaless(null()),
        3..=7 => schemaless(value(random, 2)),
        8..=44 => schemaless(map(random, 2)),
        45..=54 => {
            let schema = schema(random, 1);
            let value = fitting(random, &schema);
            with(schema, value)
        }
        _ => {
            let schema = struct_(random, 2);
            let value = fitting(random, &schema);
            with(schema, value)
        }
    }
}

/// The names of the fields or entries at the top of a key or value.
pub(crate) fn names_in(data: &Json) -> Vec<String> {
    let mut names = Vec::new();
    for part in data["value"]["v"].as_array().into_iter().flatten() {
        let name = part[0].as_str().or_else(|| part[0]["v"].as_str());
        names.extend(name.map(str::to_owned));
    }
    for field in data["schema"]["fields"].as_array().into_iter().flatten() {
        let name = field["name"].as_str().unwrap();
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    names
}

fn scalar(random: &mut Random) -> Json {
    let scalar = &SCALARS[random.below(SCALARS.len())];
    tagged(scalar.2, random.pick(scalar.3))
}

/// A schemaless value; `depth` levels may nest.
fn value(random: &mut Random, depth: usize) -> Json {
    match random.below(if depth == 0 { 8 } else { 11 }) {
        0 => null(),
        1..=7 => scalar(random),
        8 => list_value(
            (0..random.below(3))
                .map(|_| value(random, depth - 1))
                .collect::<Vec<_>>(),
        ),
        _ => map(random, depth - 1),
    }
}

fn map(random: &mut Random, depth: usize) -> Json {
    let mut names: Vec<&str> = Vec::new();
    for _ in 0..random.below(7) {
        let name = random.pick(NAMES);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let entries: Vec<_> = names.into_iter().map(|name| (name, value(random, depth))).collect();
    map_value(entries)
}

/// A schema; `depth` levels may nest.
pub(crate) fn schema(random: &mut Random, depth: usize) -> Json {
    let node = match random.below(if depth == 0 { 7 } else { 12 }) {
        0..=6 => scalar_schema(&SCALARS[random.below(SCALARS.len())]),
        7 => json!({"type": "ARRAY", "value": schema(random, depth - 1)}),
        8 => json!({"type": "MAP", "key": {"type": "STRING"}, "value": schema(random, depth - 1)}),
        _ => struct_(random, depth - 1),
    };
    dressed(random, node)
}

fn struct_(random: &mut Random, depth: usize) -> Json {
    let mut fields: Vec<(&str, Json)> = Vec::new();
    for _ in 0..random.below(8) {
        let name = random.pick(NAMES);
        if !fields.iter().any(|(known, _)| *known == name) {
            fields.push((name, schema(random, depth)));
        }
    }
    let node = struct_schema(fields);
    dressed(random, node)
}

/// The schema with or without all that Connect attaches to one.
fn dressed(random: &mut Random, mut node: Json) -> Json {
    if random.chance(45) {
        node = optional(node);
    }
    if random.chance(12) && node.get("name").is_none() {
        node["name"] = json!("com.example.Name");
        node["version"] = json!(random.below(5));
    }
    if random.chance(8) {
        node["doc"] = json!("what it is");
    }
    if random.chance(8) && node.get("parameters").is_none() {
        node["parameters"] = json!({"k": "v", "l": "ü"});
    }
    if random.chance(20) {
        let default = fitting(random, &node);
        if default != null() && complete(&node, &default) {
            node["default"] = default;
        }
    }
    node
}

/// Whether no required field is null at any level: a schema refuses another default.
fn complete(schema: &Json, value: &Json) -> bool {
    if *value == null() {
        return schema["optional"] == true;
    }
    let fields = schema["fields"].as_array().into_iter().flatten();
    let all_fit = fields.into_iter().all(|field| {
        let put = value["v"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|put| put[0] == field["name"]);
        let schema = &field["schema"];
        match put.map(|put| &put[1]).filter(|value| **value != null()) {
            Some(value) => complete(schema, value),
            None => schema["optional"] == true || schema.get("default").is_some(),
        }
    });
    let inner = &schema["value"];
    all_fit
        && match value["t"].as_str() {
            Some("LIST") => value["v"].as_array().unwrap().iter().all(|each| complete(inner, each)),
            Some("MAP") => value["v"]
                .as_array()
                .unwrap()
                .iter()
                .all(|entry| complete(inner, &entry[1])),
            _ => true,
        }
}

/// A value of that schema: null in a part of the optional fields, and now and then in a required one.
pub(crate) fn fitting(random: &mut Random, schema: &Json) -> Json {
    if schema["optional"] == true && random.chance(20) {
        return null();
    }
    match schema["type"].as_str().unwrap() {
        "ARRAY" => list_value(
            (0..random.below(3))
                .map(|_| fitting(random, &schema["value"]))
                .collect::<Vec<_>>(),
        ),
        "MAP" => {
            let count = random.below(3);
            let entries: Vec<_> = NAMES[..count]
                .iter()
                .map(|name| (*name, fitting(random, &schema["value"])))
                .collect();
            map_value(entries)
        }
        "STRUCT" => {
            let mut put = Vec::new();
            for field in schema["fields"].as_array().unwrap() {
                let schema = &field["schema"];
                let absent = if schema.get("default").is_some() { 40 } else { 3 };
                if !random.chance(absent) {
                    let value = fitting(random, schema);
                    // A struct refuses one with a hole in it, and a list as well.
                    if complete(schema, &value) {
                        put.push((field["name"].as_str().unwrap(), value));
                    }
                }
            }
            struct_value(put)
        }
        kind => {
            let name = schema["name"]
                .as_str()
                .and_then(|name| name.strip_prefix("org.apache.kafka.connect.data."));
            let scalar = SCALARS.iter().find(|scalar| scalar.0 == kind && scalar.1 == name);
            let scalar = scalar
                .or_else(|| SCALARS.iter().find(|scalar| scalar.0 == kind))
                .unwrap();
            tagged(scalar.2, random.pick(scalar.3))
        }
    }
}

/// Headers at random.
pub(crate) fn headers(random: &mut Random) -> Json {
    const KEYS: &[&str] = &["h1", "h2", "internal", "Zoë", "id", ""];
    let count = random.below(4);
    let mut headers = Vec::new();
    for _ in 0..count {
        let data = match random.below(4) {
            0 => schemaless(value(random, 1)),
            1 => with(json!({"type": "STRING", "optional": true}), null()),
            _ => {
                let schema = schema(random, 1);
                let value = fitting(random, &schema);
                if value == null() && schema["optional"] != true {
                    continue;
                }
                with(schema, value)
            }
        };
        headers.push(json!([random.pick(KEYS), data]));
    }
    Json::Array(headers)
}
