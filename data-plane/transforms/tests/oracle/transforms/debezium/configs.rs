//! Configurations of Debezium's transformations: some for their edges, and others at random.

use super::super::random::Random;
use super::Subject;
use super::events::{change, orders, outbox, times};

pub(super) const SUBJECTS: &[Subject] = &[
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
