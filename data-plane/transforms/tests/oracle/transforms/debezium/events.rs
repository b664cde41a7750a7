//! Change events as Debezium writes them, and what else comes on the way.

use serde_json::{Value as Json, json};

use super::super::data::{
    self, defaulted, drawn, list_value, map_value, null, optional, schemaless, struct_schema, struct_value, tagged,
    text, with,
};
use super::super::random::Random;
use super::Event;

fn named(mut schema: Json, name: &str) -> Json {
    schema["name"] = json!(name);
    schema
}

fn simple(kind: &str) -> Json {
    json!({"type": kind})
}

/// A row's fields: name, schema, value. Each event has some of them.
type Columns = Vec<(&'static str, Json, Json)>;

pub(super) fn orders(random: &mut Random) -> Columns {
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

pub(super) fn times(random: &mut Random) -> Columns {
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

pub(super) fn outbox(random: &mut Random) -> Columns {
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
pub(super) fn change(random: &mut Random, columns: &dyn Fn(&mut Random) -> Columns) -> Event {
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
