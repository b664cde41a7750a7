//! Times in another zone. What Debezium itself makes of some thousand events is compared in `tests/oracle`.

use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_connect::value::Value;

use super::zone::Zone;
use crate::testing::{Record, apply, record, refused, structure};

const CONVERTER: &str = "io.debezium.transforms.TimezoneConverter";

fn time(kind: &str) -> SchemaRef {
    let builder = SchemaBuilder::int64()
        .name(format!("io.debezium.time.{kind}"))
        .optional();
    builder.build().unwrap()
}

fn event(at: i64) -> Record {
    let row = SchemaBuilder::struct_()
        .optional()
        .field("at", time("Timestamp"))
        .field("plain", Schema::int64());
    let row = row.field("micros", time("MicroTimestamp")).build().unwrap();
    let source = SchemaBuilder::struct_()
        .field("table", Schema::string())
        .field("ts_ms", Schema::int64());
    let source = source.build().unwrap();
    let schema = SchemaBuilder::struct_()
        .name("t.Envelope")
        .field("before", row.clone())
        .field("after", row.clone());
    let schema = schema.field("source", source.clone()).build().unwrap();
    let after = structure(&row, [at.into(), at.into(), (at * 1000).into()]).value;
    let source = structure(&source, ["orders".into(), at.into()]).value;
    record(structure(&schema, [Value::Null, after, source]))
}

fn shown(keys: &[(&str, &str)], at: i64) -> String {
    let keys = [&[("converted.timezone", "Europe/Berlin")], keys].concat();
    apply(CONVERTER, &keys, &event(at))
        .unwrap()
        .value
        .value
        .java_to_string()
}

#[test]
fn clocks_that_showed_utc_show_another_zone() {
    assert_eq!(
        shown(&[], 7_200_000),
        "Struct{after=Struct{at=3600000,plain=7200000,micros=3600000000},source=Struct{table=orders,ts_ms=7200000}}"
    );
}

#[test]
fn lists_say_what_is_converted() {
    let after = |keys: &[(&str, &str)]| shown(keys, 0).split(",source").next().unwrap().to_owned();
    let (at, micros) = ("at=-3600000", "micros=-3600000000");
    for (list, rule, has) in [
        ("include.list", "source:orders:at", [true, false]),
        ("include.list", "source:customers", [false, false]),
        ("include.list", "topic:t", [true, true]),
        ("include.list", "orders:before.at,orders:after.micros", [false, true]),
        ("exclude.list", "source:orders:at", [false, true]),
        ("exclude.list", "t:micros", [true, false]),
        ("exclude.list", "topic:t", [false, false]),
    ] {
        let shown = after(&[(list, rule)]);
        assert_eq!([shown.contains(at), shown.contains(micros)], has, "{rule}: {shown}");
    }
    assert!(shown(&[("include.list", "source:orders:source.ts_ms")], 0).ends_with("ts_ms=3600000}}"));
}

#[test]
fn offsets_around_the_changes_of_clocks() {
    let zone = |name| Zone::read("k", Some(name)).unwrap();
    let berlin = zone("Europe/Berlin");
    // 2024-03-31 02:30 does not exist, 2024-10-27 02:30 is there twice.
    for (local, expected) in [
        (1_711_852_200, 3600),
        (1_711_857_600, 7200),
        (1_729_996_200, 7200),
        (1_730_001_600, 3600),
    ] {
        assert_eq!(berlin.offset_of_local(local), expected, "{local}");
    }
    // Long after the last year that jiff knows, in January and in July.
    let cycles = 146_097 * 86_400 * 1000;
    assert_eq!(berlin.offset_of_local(1_704_067_200 + cycles), 3600);
    assert_eq!(berlin.offset_of_local(1_719_792_000 + cycles), 7200);
    assert_eq!(berlin.offset_of_local(i64::MIN), zone("+00:53:28").offset_of_local(0));
}

#[test]
fn texts_get_the_offset_of_the_zone() {
    let berlin = Zone::read("k", Some("Europe/Berlin")).unwrap();
    for (text, expected) in [
        ("2024-02-29T12:34:56.120Z", "2024-02-29T13:34:56.12+01:00"),
        ("2024-07-01T23:00+00:00", "2024-07-02T01:00:00+02:00"),
        (
            "2024-07-01T00:00:00.000000001-11:00",
            "2024-07-01T13:00:00.000000001+02:00",
        ),
    ] {
        assert_eq!(berlin.date_time(text).unwrap(), expected);
    }
    let fixed = Zone::read("k", Some("-03:30")).unwrap();
    assert_eq!(fixed.time("01:00Z").unwrap(), "21:30:00-03:30");
    for text in [
        "",
        "2024-02-29",
        "2024-02-30T00:00:00Z",
        "2024-02-29T25:00:00Z",
        "2024-02-29T12:00:00",
        "x12:00Z",
    ] {
        assert!(berlin.date_time(text).is_err(), "{text}");
    }
}

#[test]
fn wrong_keys_are_refused() {
    for (zone, list, expected) in [
        ("", "", "A value is required"),
        ("Europe/Atlantis", "", "Invalid timezone format."),
        ("europe/berlin", "", "Invalid timezone format."),
        ("+19:00", "", "Invalid timezone format."),
        ("UTC", "orders", "Invalid include list format."),
    ] {
        let list = [("include.list", list)];
        let list = if list[0].1.is_empty() { &[][..] } else { &list[..] };
        let problem = refused(CONVERTER, &[&[("converted.timezone", zone)], list].concat());
        assert!(problem.contains(expected), "{problem}");
    }
}
