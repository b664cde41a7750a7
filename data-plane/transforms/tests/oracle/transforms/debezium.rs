//! Questions about Debezium's transformations: change events of many shapes, and configurations for them.

use serde_json::{Map, Value as Json, json};

use super::corpus::{Case, case, placed};
use super::data::{
    self, defaulted, drawn, list_value, map_value, null, optional, schemaless, struct_schema, struct_value, tagged,
    text, with,
};
use super::random::Random;

/// A transformation, its class below `io.debezium.transforms.`, tables of configurations and one drawn at random.
struct Subject {
    name: &'static str,
    class: &'static str,
    edges: &'static [&'static [(&'static str, &'static str)]],
    draw: fn(&mut Random) -> Vec<(&'static str, String)>,
    event: fn(&mut Random) -> Event,
}

/// The names that cases are about.
pub(crate) const NAMES: &[&str] = &[
    "ExtractNewRecordState",
    "ByLogicalTableRouter",
    "ToLogicalTopicRouter",
    "TimezoneConverter",
    "EventRouter",
];

/// Records for each edge of a configuration, and random cases for each transformation.
const EDGE: usize = 25;
const RANDOM: usize = 1200;

/// A record's key, value and headers.
struct Event {
    key: Json,
    value: Json,
    headers: Json,
}

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "ExtractNewRecordState",
        class: "ExtractNewRecordState",
        edges: &[
            &[],
            &[("delete.tombstone.handling.mode", "drop")],
            &[("delete.tombstone.handling.mode", "tombstone")],
            &[("delete.tombstone.handling.mode", "rewrite")],
            &[("delete.tombstone.handling.mode", " Rewrite-With-Tombstone ")],
            &[("delete.tombstone.handling.mode", "delete-to-tombstone")],
            &[("delete.tombstone.handling.mode", "none")],
            &[("delete.tombstone.handling.mode", "")],
            &[
                ("delete.tombstone.handling.mode", "rewrite"),
                ("replace.null.with.default", "false"),
            ],
            &[("route.by.field", "name")],
            &[("route.by.field", "id")],
            &[("route.by.field", "nope")],
            &[
                ("route.by.field", "name"),
                ("delete.tombstone.handling.mode", "rewrite"),
            ],
            &[(
                "add.fields",
                "op,table,lsn,source.ts_ms,ts_ms,transaction.id,total_order",
            )],
            &[("add.fields", " op , table:tab , source.db:database ")],
            &[("add.fields", "op,op")],
            &[("add.fields", "id")],
            &[("add.fields", "nope,source.nope,transaction.nope")],
            &[("add.fields", "other.field")],
            &[("add.fields", "a:b:c")],
            &[("add.fields", ":")],
            &[("add.fields", ".")],
            &[("add.fields", ",")],
            &[("add.fields", "")],
            &[("add.fields", "op,,table")],
            &[("add.fields", "before,source")],
            &[("add.fields", "op.x.y,source.db.z")],
            &[("add.fields", "op"), ("add.fields.prefix", "")],
            &[("add.fields", "name"), ("add.fields.prefix", "")],
            &[("add.fields", "op"), ("add.fields.prefix", " p ")],
            &[("add.fields", "updateDescription")],
            &[("add.headers", "op,table,lsn,source.ts_ms,ts_ms,transaction.id")],
            &[
                ("add.headers", "op:operation,nope,source"),
                ("add.headers.prefix", "h."),
            ],
            &[
                ("add.headers", "op"),
                ("delete.tombstone.handling.mode", "rewrite-with-tombstone"),
            ],
            &[("add.headers", "other.field")],
            &[("drop.fields.header.name", "drop")],
            &[("drop.fields.header.name", "drop"), ("drop.fields.from.key", "true")],
            &[
                ("drop.fields.header.name", "drop"),
                ("drop.fields.keep.schema.compatible", "false"),
                ("drop.fields.from.key", "true"),
            ],
            &[
                ("drop.fields.header.name", "drop"),
                ("delete.tombstone.handling.mode", "rewrite"),
            ],
            &[("drop.fields.header.name", " ")],
            &[("drop.fields.from.key", "maybe")],
        ],
        draw: |random| {
            let mut config = Vec::new();
            let modes = &[
                "drop",
                "tombstone",
                "rewrite",
                "rewrite-with-tombstone",
                "delete-to-tombstone",
                "REWRITE",
            ];
            maybe(random, &mut config, 70, "delete.tombstone.handling.mode", modes);
            maybe(
                random,
                &mut config,
                20,
                "route.by.field",
                &["name", "name", "id", "note"],
            );
            const ADDED: &[&str] = &[
                "op",
                "table",
                "ts_ms",
                "ts_us",
                "source.ts_ms",
                "lsn",
                "db",
                "transaction.id",
                "id",
                "total_order",
                "nope",
                "op:what",
                "source.table:t",
                "version",
                "source.snapshot",
                "note",
            ];
            for key in ["add.fields", "add.headers"] {
                if random.chance(60) {
                    let mut names: Vec<&str> = Vec::new();
                    for _ in 0..1 + random.below(4) {
                        let name = random.pick(ADDED);
                        if !names.contains(&name) {
                            names.push(name);
                        }
                    }
                    config.push((key, names.join(",")));
                }
            }
            maybe(random, &mut config, 20, "add.fields.prefix", &["", "_", "x."]);
            maybe(random, &mut config, 20, "add.headers.prefix", &["", "h_"]);
            if random.chance(35) {
                config.push(("drop.fields.header.name", "drop".to_owned()));
                maybe(random, &mut config, 50, "drop.fields.from.key", &["true", "false"]);
                maybe(
                    random,
                    &mut config,
                    50,
                    "drop.fields.keep.schema.compatible",
                    &["true", "false"],
                );
            }
            maybe(random, &mut config, 20, "replace.null.with.default", &["true", "false"]);
            config
        },
        event: |random| change(random, &orders),
    },
    Subject {
        name: "ByLogicalTableRouter",
        class: "ByLogicalTableRouter",
        edges: ROUTES,
        draw: route,
        event: |random| change(random, &orders),
    },
    Subject {
        name: "ToLogicalTopicRouter",
        class: "ToLogicalTopicRouter",
        edges: ROUTES,
        draw: route,
        event: |random| change(random, &orders),
    },
    Subject {
        name: "TimezoneConverter",
        class: "TimezoneConverter",
        edges: &[
            &[],
            &[("converted.timezone", "")],
            &[("converted.timezone", "Nowhere/Atlantis")],
            &[("converted.timezone", "europe/berlin")],
            &[("converted.timezone", "+8:00")],
            &[("converted.timezone", "Europe/Berlin")],
            &[("converted.timezone", "America/New_York")],
            &[("converted.timezone", "Asia/Kolkata")],
            &[("converted.timezone", "Pacific/Apia")],
            &[("converted.timezone", "Australia/Lord_Howe")],
            &[("converted.timezone", "UTC")],
            &[("converted.timezone", "Z")],
            &[("converted.timezone", "+08:00")],
            &[("converted.timezone", "-03:30")],
            &[("converted.timezone", "+01:02:03")],
            &[
                ("converted.timezone", "Europe/Berlin"),
                ("include.list", "source:orders"),
            ],
            &[
                ("converted.timezone", "Europe/Berlin"),
                ("include.list", "source:orders:at"),
            ],
            &[
                ("converted.timezone", "Europe/Berlin"),
                ("include.list", "source:orders:after.at"),
            ],
            &[
                ("converted.timezone", "Europe/Berlin"),
                ("include.list", "source:orders:source.ts_ms"),
            ],
            &[
                ("converted.timezone", "Asia/Tokyo"),
                ("include.list", "source:orders:source.ts_us,orders:source.ts_ns"),
            ],
            &[("converted.timezone", "Europe/Berlin"), ("include.list", "topic:x")],
            &[
                ("converted.timezone", "Europe/Berlin"),
                ("include.list", "topic:x:at, orders:micros"),
            ],
            &[
                ("converted.timezone", "Europe/Berlin"),
                ("include.list", "orders:at,orders:zoned"),
            ],
            &[
                ("converted.timezone", "Europe/Berlin"),
                ("include.list", "SOURCE:orders:at"),
            ],
            &[("converted.timezone", "Europe/Berlin"), ("include.list", "other:at")],
            &[("converted.timezone", "Europe/Berlin"), ("include.list", "")],
            &[("converted.timezone", "Europe/Berlin"), ("include.list", "orders")],
            &[("converted.timezone", "Europe/Berlin"), ("include.list", "a:b:c:d")],
            &[
                ("converted.timezone", "Europe/Berlin"),
                ("exclude.list", "source:orders"),
            ],
            &[
                ("converted.timezone", "Europe/Berlin"),
                ("exclude.list", "source:orders:at"),
            ],
            &[
                ("converted.timezone", "Europe/Berlin"),
                ("exclude.list", "source:orders:source.ts_ms"),
            ],
            &[
                ("converted.timezone", "Europe/Berlin"),
                ("exclude.list", "topic:x,topic:orders"),
            ],
            &[("converted.timezone", "Europe/Berlin"), ("exclude.list", "a/b")],
            &[
                ("converted.timezone", "Europe/Berlin"),
                ("exclude.list", "orders:at"),
                ("include.list", "orders:at"),
            ],
        ],
        draw: |random| {
            const ZONES: &[&str] = &[
                "Europe/Berlin",
                "America/Los_Angeles",
                "Asia/Kolkata",
                "Australia/Sydney",
                "America/Sao_Paulo",
                "Africa/Cairo",
                "Pacific/Auckland",
                "Europe/Dublin",
                "Africa/Casablanca",
                "+05:45",
                "-11:00",
                "Etc/GMT+5",
                "Asia/Tehran",
            ];
            const RULES: &[&str] = &[
                "source:orders",
                "source:orders:at",
                "source:orders:micros",
                "topic:x",
                "topic:orders:nanos",
                "orders:date",
                "source:orders:before.at",
                "source:orders:source.ts_ms",
                "source:customers",
                "x:at",
            ];
            let mut config = vec![("converted.timezone", random.pick(ZONES).to_owned())];
            maybe(random, &mut config, 25, "include.list", RULES);
            if config.len() == 1 {
                maybe(random, &mut config, 25, "exclude.list", RULES);
            }
            config
        },
        event: |random| change(random, &times),
    },
    Subject {
        name: "EventRouter",
        class: "outbox.EventRouter",
        edges: &[
            &[],
            &[("table.field.event.id", "nope")],
            &[("table.field.event.key", "nope")],
            &[("table.field.event.payload", "nope")],
            &[("table.field.event.key", "tenant")],
            &[("table.field.event.timestamp", "at")],
            &[("table.field.event.timestamp", "nope")],
            &[("table.field.event.timestamp", "tenant")],
            &[("table.field.event.timestamp", "version")],
            &[("table.fields.additional.placement", "type:header")],
            &[(
                "table.fields.additional.placement",
                "type:header:eventType,tenant:envelope,part:partition",
            )],
            &[(
                "table.fields.additional.placement",
                "type:envelope:eventType, tenant : Header : t ",
            )],
            &[("table.fields.additional.placement", "type")],
            &[("table.fields.additional.placement", "type:header:a:b")],
            &[("table.fields.additional.placement", "type:nowhere")],
            &[("table.fields.additional.placement", "nope:header")],
            &[("table.fields.additional.placement", "nope:envelope")],
            &[("table.fields.additional.placement", "tenant:partition")],
            &[("table.fields.additional.placement", "payload:envelope:payload")],
            &[
                (
                    "table.fields.additional.placement",
                    "nope:header,nope:envelope,nope:partition",
                ),
                ("table.field.additional.missing", "ignore"),
            ],
            &[("table.field.additional.missing", "maybe")],
            &[
                ("table.field.event.schema.version", "version"),
                ("table.fields.additional.placement", "type:envelope"),
            ],
            &[
                ("table.field.event.schema.version", "tenant"),
                ("table.fields.additional.placement", "type:envelope"),
            ],
            &[("table.field.event.schema.version", "version")],
            &[("route.by.field", "tenant")],
            &[("route.by.field", "nope")],
            &[("route.by.field", "version")],
            &[("route.topic.regex", "(.)(.*)"), ("route.topic.replacement", "$1-$2")],
            &[("route.topic.regex", "(")],
            &[("route.topic.regex", "nothing")],
            &[("route.topic.replacement", "${nope}")],
            &[("route.topic.replacement", " out.${routedByValue} ")],
            &[("route.tombstone.on.empty.payload", "true")],
            &[
                ("route.tombstone.on.empty.payload", "true"),
                ("table.fields.additional.placement", "type:envelope"),
            ],
            &[("route.tombstone.on.empty.payload", "perhaps")],
            &[("table.op.invalid.behavior", "warn")],
            &[("table.op.invalid.behavior", "ERROR")],
            &[("table.op.invalid.behavior", "fatal")],
            &[("table.op.invalid.behavior", "nothing")],
            &[("table.expand.json.payload", "true")],
            &[
                ("table.expand.json.payload", "true"),
                ("table.fields.additional.placement", "type:envelope"),
            ],
            &[
                ("table.expand.json.payload", "true"),
                ("table.json.payload.null.behavior", "optional_bytes"),
            ],
            &[
                ("table.expand.json.payload", "true"),
                ("table.json.payload.empty.array.behavior", "optional_string"),
            ],
            &[
                ("table.expand.json.payload", "true"),
                ("table.json.payload.null.behavior", "optional_bytes"),
                ("table.json.payload.empty.array.behavior", "optional_string"),
                ("route.tombstone.on.empty.payload", "true"),
            ],
            &[("table.json.payload.null.behavior", "no")],
        ],
        draw: |random| {
            let mut config = Vec::new();
            maybe(
                random,
                &mut config,
                15,
                "table.field.event.key",
                &["tenant", "id", "version"],
            );
            maybe(
                random,
                &mut config,
                25,
                "table.field.event.timestamp",
                &["at", "micros", "nanos"],
            );
            const PLACED: &[&str] = &[
                "type:header",
                "type:envelope:eventType",
                "tenant:header:t",
                "tenant:envelope",
                "part:partition",
                "version:envelope:v",
                "nope:header",
            ];
            if random.chance(60) {
                let mut placed: Vec<&str> = Vec::new();
                for _ in 0..1 + random.below(3) {
                    let place = random.pick(PLACED);
                    if !placed.contains(&place) {
                        placed.push(place);
                    }
                }
                config.push(("table.fields.additional.placement", placed.join(",")));
            }
            maybe(
                random,
                &mut config,
                40,
                "table.field.additional.missing",
                &["ignore", "error"],
            );
            maybe(
                random,
                &mut config,
                15,
                "table.field.event.schema.version",
                &["version"],
            );
            maybe(random, &mut config, 15, "route.by.field", &["tenant", "type"]);
            maybe(
                random,
                &mut config,
                15,
                "route.topic.replacement",
                &["${routedByValue}.events", "all"],
            );
            maybe(
                random,
                &mut config,
                40,
                "route.tombstone.on.empty.payload",
                &["true", "false"],
            );
            maybe(
                random,
                &mut config,
                60,
                "table.expand.json.payload",
                &["true", "true", "false"],
            );
            maybe(
                random,
                &mut config,
                50,
                "table.json.payload.null.behavior",
                &["optional_bytes", "ignore"],
            );
            maybe(
                random,
                &mut config,
                50,
                "table.json.payload.empty.array.behavior",
                &["optional_string", "ignore"],
            );
            config
        },
        event: |random| change(random, &outbox),
    },
];

const ROUTES: &[&[(&str, &str)]] = &[
    &[],
    &[("topic.regex", "(.*)")],
    &[("topic.replacement", "all")],
    &[("topic.regex", "("), ("topic.replacement", "all")],
    &[("topic.regex", ""), ("topic.replacement", "all")],
    &[("topic.regex", "(.*)"), ("topic.replacement", " ")],
    &[("topic.regex", "(.*)"), ("topic.replacement", "all")],
    &[("topic.regex", "(.*)"), ("topic.replacement", "$1")],
    &[("topic.regex", "(.*)"), ("topic.replacement", "$2")],
    &[("topic.regex", "(.*)"), ("topic.replacement", "1-ü $1")],
    &[
        ("topic.regex", "(.*)"),
        ("topic.replacement", "1-ü_$1"),
        ("schema.name.adjustment.mode", "avro"),
    ],
    &[
        ("topic.regex", "(.*)"),
        ("topic.replacement", "1-ü_$1"),
        ("schema.name.adjustment.mode", "avro_unicode"),
    ],
    &[
        ("topic.regex", "(.*)"),
        ("topic.replacement", "all"),
        ("schema.name.adjustment.mode", "nope"),
    ],
    &[
        ("topic.regex", "(.*)"),
        ("topic.replacement", "all"),
        ("key.enforce.uniqueness", "false"),
    ],
    &[
        ("topic.regex", "(.*)"),
        ("topic.replacement", "all"),
        ("key.enforce.uniqueness", "nope"),
    ],
    &[
        ("topic.regex", "(.*)"),
        ("topic.replacement", "all"),
        ("key.field.name", "id"),
    ],
    &[
        ("topic.regex", "(.*)"),
        ("topic.replacement", "all"),
        ("key.field.name", "tab"),
    ],
    &[
        ("topic.regex", "(.*)"),
        ("topic.replacement", "all"),
        ("key.field.regex", "(.).*"),
        ("key.field.replacement", "$1"),
    ],
    &[
        ("topic.regex", "(.*)"),
        ("topic.replacement", "all"),
        ("key.field.regex", "x(.)"),
        ("key.field.replacement", "$1"),
    ],
    &[
        ("topic.regex", "(.*)"),
        ("topic.replacement", "all"),
        ("key.field.regex", "(.).*"),
    ],
    &[
        ("topic.regex", "(.*)"),
        ("topic.replacement", "all"),
        ("key.field.regex", " "),
        ("key.field.replacement", "$1"),
    ],
    &[
        ("topic.regex", "(.*)"),
        ("topic.replacement", "all"),
        ("key.field.regex", "("),
        ("key.field.replacement", "$1"),
    ],
    &[
        ("topic.regex", "(.*)"),
        ("topic.replacement", "all"),
        ("logical.table.cache.size", "3"),
    ],
    &[
        ("topic.regex", "(.*)"),
        ("topic.replacement", "all"),
        ("logical.destination.cache.size", "x"),
    ],
    &[("topic.regex", "nothing"), ("topic.replacement", "all")],
];

fn route(random: &mut Random) -> Vec<(&'static str, String)> {
    let mut config = vec![
        (
            "topic.regex",
            random
                .pick(&["(.*)", "orders.*", "(.*)[.](.*)", "[a-zA-Z]+"])
                .to_owned(),
        ),
        (
            "topic.replacement",
            random.pick(&["all", "all-$0", "x.$0", "$0.9"]).to_owned(),
        ),
    ];
    maybe(random, &mut config, 30, "key.enforce.uniqueness", &["true", "false"]);
    maybe(random, &mut config, 20, "key.field.name", &["tab", "__t", "key"]);
    maybe(
        random,
        &mut config,
        30,
        "schema.name.adjustment.mode",
        &["avro", "avro_unicode", "none", " AVRO "],
    );
    if random.chance(30) {
        config.push(("key.field.regex", random.pick(&["(..).*", "(.*)-(.*)"]).to_owned()));
        config.push(("key.field.replacement", "t_$1".to_owned()));
    }
    config
}

fn maybe(
    random: &mut Random,
    config: &mut Vec<(&'static str, String)>,
    chance: usize,
    key: &'static str,
    values: &[&str],
) {
    if random.chance(chance) {
        config.push((key, random.pick(values).to_owned()));
    }
}

/// All cases, from one seed.
pub(crate) fn cases() -> Vec<Case> {
    let mut random = Random::new(370);
    let mut cases = Vec::new();
    for subject in SUBJECTS {
        let mut ask = |random: &mut Random, own: &[(&str, String)]| {
            let Event { key, value, headers } = (subject.event)(random);
            let mut record = placed(random, key, value);
            record["headers"] = headers;
            let mut config = Map::new();
            config.insert("transforms".to_owned(), json!("one"));
            let class = format!("io.debezium.transforms.{}", subject.class);
            config.insert("transforms.one.type".to_owned(), json!(class));
            for (key, value) in own {
                config.insert(format!("transforms.one.{key}"), json!(value));
            }
            cases.push(case(subject.name, config, record));
        };
        for edge in subject.edges {
            let own: Vec<(&str, String)> = edge.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
            for _ in 0..EDGE {
                ask(&mut random, &own);
            }
        }
        for _ in 0..RANDOM {
            let own = (subject.draw)(&mut random);
            ask(&mut random, &own);
        }
    }
    cases
}

fn named(mut schema: Json, name: &str) -> Json {
    schema["name"] = json!(name);
    schema
}

fn simple(kind: &str) -> Json {
    json!({"type": kind})
}

/// A row's fields: name, schema, value. Each event has some of them.
type Columns = Vec<(&'static str, Json, Json)>;

fn orders(random: &mut Random) -> Columns {
    let mut columns = vec![("id", simple("INT32"), tagged("INT32", "7"))];
    let note = defaulted(optional(simple("STRING")), text("none"));
    let name = random.pick(&["routed", "", " ", "Zoë", "a.b"]);
    for column in [
        (
            "name",
            optional(simple("STRING")),
            if random.chance(80) { text(name) } else { null() },
        ),
        ("note", note, if random.chance(50) { text("n") } else { null() }),
        ("price", optional(simple("FLOAT64")), tagged("FLOAT64", "12.5")),
        ("required", simple("STRING"), text("r")),
        ("__op", optional(simple("STRING")), text("clash")),
        ("__deleted", optional(simple("STRING")), text("clash")),
    ] {
        let often = if column.0.starts_with("__") { 5 } else { 60 };
        if random.chance(often) {
            columns.push(column);
        }
    }
    columns
}

fn times(random: &mut Random) -> Columns {
    const MILLIS: &[&str] = &[
        "0",
        "-1",
        "1709210096789",
        "1711846800000",
        "1711850400000",
        "1729998000000",
        "1730001600000",
        "-2208988800000",
        "253402300799999",
        "4102444800000",
        "1325203200000",
        "9223372036854775",
        "-9223372036854775",
    ];
    const ZONED: &[&str] = &[
        "2024-02-29T12:34:56.789Z",
        "2024-03-31T02:30:00+01:00",
        "2024-10-27T02:30:00Z",
        "1970-01-01T00:00:00-11:30",
        "0001-01-01T00:00:00Z",
        "2024-02-29T12:34Z",
        "2024-02-29T12:34:56.123456789+05:30",
        "2024-02-29t12:34:56z",
        "nonsense",
        "2024-02-30T12:00:00Z",
        "-0044-03-15T12:00:00Z",
    ];
    const TIMES: &[&str] = &["12:34:56Z", "23:59:59.5+02:00", "00:00:00-11:00", "12:34Z", "noon"];
    let millis = random.pick(MILLIS);
    let micros = format!("{}", millis.parse::<i64>().unwrap().saturating_mul(1000));
    let nanos = format!("{}", millis.parse::<i64>().unwrap().saturating_mul(1_000_000));
    let long = |name: &str| named(optional(simple("INT64")), name);
    let mut columns = vec![("id", simple("INT32"), tagged("INT32", "7"))];
    let date =
        json!({"type": "INT64", "name": "org.apache.kafka.connect.data.Timestamp", "version": 1, "optional": true});
    let bounded = if millis.len() > 15 { "0" } else { millis };
    for column in [
        ("at", long("io.debezium.time.Timestamp"), tagged("INT64", millis)),
        (
            "micros",
            long("io.debezium.time.MicroTimestamp"),
            tagged("INT64", &micros),
        ),
        ("nanos", long("io.debezium.time.NanoTimestamp"), tagged("INT64", &nanos)),
        ("date", date, tagged("DATE", bounded)),
        (
            "zoned",
            named(optional(simple("STRING")), "io.debezium.time.ZonedTimestamp"),
            text(random.pick(ZONED)),
        ),
        (
            "time",
            named(optional(simple("STRING")), "io.debezium.time.ZonedTime"),
            text(random.pick(TIMES)),
        ),
        (
            "day",
            named(optional(simple("INT32")), "io.debezium.time.Date"),
            tagged("INT32", "19000"),
        ),
        ("plain", optional(simple("INT64")), tagged("INT64", millis)),
        (
            "default",
            defaulted(long("io.debezium.time.Timestamp"), tagged("INT64", "1000")),
            null(),
        ),
    ] {
        if random.chance(45) {
            let value = if random.chance(10) { null() } else { column.2 };
            columns.push((column.0, column.1, value));
        }
    }
    columns
}

fn outbox(random: &mut Random) -> Columns {
    const PAYLOADS: &[&str] = &[
        "plain",
        "",
        "  ",
        "{}",
        "[]",
        r#"{"a":1,"b":"x","c":true,"d":1.5,"e":null}"#,
        r#"{"a":{"b":{"c":[1,2]}},"n":[]}"#,
        r#"{"list":[{"a":1,"b":"x"},{"a":2}],"texts":["a","b"]}"#,
        r#"{"mixed":[1,"a"]}"#,
        r#"{"mixed":[1,5000000000]}"#,
        r#"{"big":5000000000,"huge":99999999999999999999,"f":1e3}"#,
        r#"{"big":5000000000,"f":-0.0,"g":12e-2}"#,
        r#"[{"a":1}]"#,
        r#"{"a":[null,1],"b":[null]}"#,
        r#"{"a":[[1,2],[3]]}"#,
        r#"{"a":1} x"#,
        r#"{"a":"#,
        r#"{"":1}"#,
        r#"{"a":1,"a":"x"}"#,
        r#"{"ä":"ü\n\u00e9"}"#,
        r#"{"a":[{"b":null},{"b":1}]}"#,
        r#"{"a":[{}]}"#,
        r#"{"a":[{"x":1},null]}"#,
        "42",
        "\"text\"",
    ];
    let optional_text = optional(simple("STRING"));
    let payload = match random.below(10) {
        0 => (optional(simple("BYTES")), tagged("BYTES", "AQID")),
        1 => (optional_text.clone(), null()),
        2 => {
            let schema = struct_schema([("a", optional(simple("INT32")))]);
            (optional(schema), struct_value([("a", tagged("INT32", "1"))]))
        }
        3 => (optional(simple("BYTES")), null()),
        _ => (optional_text.clone(), text(random.pick(PAYLOADS))),
    };
    let id = if random.chance(90) {
        (simple("STRING"), text("4d47e190"))
    } else {
        (optional_text.clone(), null())
    };
    let kind = if random.chance(95) {
        text(random.pick(&["Order", "customer-x", ""]))
    } else {
        null()
    };
    let key = if random.chance(90) { text("10") } else { null() };
    let mut columns = vec![
        ("id", id.0, id.1),
        ("aggregatetype", optional_text.clone(), kind),
        ("aggregateid", optional_text.clone(), key),
        ("type", optional_text.clone(), text("OrderCreated")),
        ("payload", payload.0, payload.1),
    ];
    for column in [
        (
            "tenant",
            defaulted(optional_text, text("t0")),
            if random.chance(50) { text("t1") } else { null() },
        ),
        ("version", optional(simple("INT32")), tagged("INT32", "3")),
        (
            "part",
            optional(simple("INT32")),
            if random.chance(80) {
                tagged("INT32", "2")
            } else {
                null()
            },
        ),
        (
            "at",
            named(optional(simple("INT64")), "io.debezium.time.Timestamp"),
            tagged("INT64", "1709210096789"),
        ),
        (
            "micros",
            named(optional(simple("INT64")), "io.debezium.time.MicroTimestamp"),
            tagged("INT64", "-1709210096789001"),
        ),
        (
            "nanos",
            named(optional(simple("INT64")), "io.debezium.time.NanoTimestamp"),
            null(),
        ),
    ] {
        if random.chance(75) {
            columns.push(column);
        }
    }
    columns
}

fn source(random: &mut Random) -> (Json, Json) {
    let mut fields = Vec::new();
    let mut values = Vec::new();
    for (name, schema, value) in [
        ("version", simple("STRING"), text("3.7.0.Final")),
        ("connector", simple("STRING"), text("postgresql")),
        ("ts_ms", simple("INT64"), tagged("INT64", "1709210096789")),
        ("snapshot", defaulted(optional(simple("STRING")), text("false")), null()),
        ("db", simple("STRING"), text("inventory")),
        (
            "table",
            simple("STRING"),
            text(random.pick(&["orders", "orders", "customers"])),
        ),
        (
            "lsn",
            optional(simple("INT64")),
            if random.chance(70) {
                tagged("INT64", "24")
            } else {
                null()
            },
        ),
        ("ts_us", optional(simple("INT64")), tagged("INT64", "1709210096789012")),
        (
            "ts_ns",
            optional(simple("INT64")),
            tagged("INT64", "1709210096789012345"),
        ),
    ] {
        if random.chance(92) {
            fields.push((name, schema));
            values.push((name, value));
        }
    }
    let schema = named(struct_schema(fields), "io.debezium.connector.postgresql.Source");
    (schema, struct_value(values))
}

/// An event of a table whose rows have these columns, or what else comes on the way.
fn change(random: &mut Random, columns: &dyn Fn(&mut Random) -> Columns) -> Event {
    let headers = headers(random);
    if random.chance(6) {
        let (key, value) = (
            drawn(random),
            if random.chance(50) {
                schemaless(null())
            } else {
                drawn(random)
            },
        );
        return Event { key, value, headers };
    }
    let columns = columns(random);
    let fields = columns.iter().map(|(name, schema, _)| (*name, schema.clone()));
    let mut row = optional(named(
        struct_schema(fields),
        random.pick(&["srv.inventory.orders.Value", "plain"]),
    ));
    if random.chance(10) {
        row["version"] = json!(2);
        row["parameters"] = json!({"k": "v"});
    }
    if random.chance(3) {
        row.as_object_mut().unwrap().shift_remove("name");
    }
    let value = struct_value(columns.iter().map(|(name, _, value)| (*name, value.clone())));
    let op = random.pick(&["c", "c", "r", "u", "u", "d", "d", "t"]);
    let (before, after) = match op {
        "c" | "r" => (null(), value),
        "u" => (if random.chance(50) { value.clone() } else { null() }, value),
        "d" => (value, null()),
        _ => (null(), null()),
    };
    let (source_schema, source_value) = source(random);
    let transaction = struct_schema([("id", simple("STRING")), ("total_order", simple("INT64"))]);
    let transaction_value = struct_value([("id", text("571")), ("total_order", tagged("INT64", "1"))]);
    let mut fields = Vec::new();
    let mut values = Vec::new();
    for (name, schema, value) in [
        ("before", row.clone(), before),
        ("after", row, after),
        ("source", source_schema, source_value),
        (
            "transaction",
            optional(named(transaction, "event.block")),
            if random.chance(50) { transaction_value } else { null() },
        ),
        ("op", simple("STRING"), text(op)),
        (
            "ts_ms",
            optional(simple("INT64")),
            if random.chance(90) {
                tagged("INT64", "1709210097000")
            } else {
                null()
            },
        ),
        ("ts_us", optional(simple("INT64")), tagged("INT64", "1709210097000123")),
    ] {
        if random.chance(98) {
            fields.push((name, schema));
            values.push((name, value));
        }
    }
    let name = if random.chance(97) {
        "srv.inventory.orders.Envelope"
    } else {
        "srv.heartbeat"
    };
    let mut schema = named(struct_schema(fields), name);
    if random.chance(20) {
        schema["version"] = json!(1);
    }
    let value = with(schema, struct_value(values));
    Event {
        key: key(random),
        value,
        headers,
    }
}

fn key(random: &mut Random) -> Json {
    let schema = named(
        struct_schema([("id", simple("INT32")), ("note", optional(simple("STRING")))]),
        "srv.inventory.orders.Key",
    );
    match random.below(10) {
        0 => schemaless(null()),
        1 => with(optional(schema), null()),
        2 => schemaless(map_value([("id", tagged("INT32", "7"))])),
        3 => with(simple("STRING"), text("k")),
        _ => with(
            schema,
            struct_value([("id", tagged("INT32", "7")), ("note", text("n"))]),
        ),
    }
}

/// Headers, often with one that lists fields to drop.
fn headers(random: &mut Random) -> Json {
    let mut headers = data::headers(random);
    if random.chance(60) {
        let names = ["id", "note", "price", "nope", "name"].map(text);
        let count = random.below(4);
        let start = random.below(3);
        let list = list_value(names[start..(start + count).min(5)].to_vec());
        let schema = json!({"type": "ARRAY", "value": {"type": "STRING"}, "optional": true});
        let data = match random.below(10) {
            0 => with(schema, null()),
            1 => with(simple("STRING"), text("id")),
            _ => with(schema, list),
        };
        headers.as_array_mut().unwrap().push(json!(["drop", data]));
    }
    headers
}
