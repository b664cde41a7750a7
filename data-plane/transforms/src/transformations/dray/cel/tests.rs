//! Expressions on records.

use std::sync::Arc;

use dray_connect::backing::Backing;
use dray_connect::config::ConfigMap;
use dray_connect::datum::Field;
use dray_connect::schema::{Schema, SchemaBuilder};
use dray_connect::value::{SchemaAndValue, Value};

use crate::testing::{Record, apply, apply_or_drop, map, record, refused, structure};
use crate::{Chain, Input, Origin};

const CEL: &str = "io.dray.connect.transforms.Cel";

fn order() -> Record {
    let items = Value::Array((1..=3).map(|n| Value::map([("qty".into(), Value::Int32(n))])).collect());
    let mut record = record(map([
        ("id", 7_i64.into()),
        ("state", "paid".into()),
        ("items", items),
        ("none", Value::Null),
    ]));
    record.headers.add_string("tenant", Some("acme"));
    record.partition = Some(3);
    record
}

fn kept(filter: &str) -> Result<bool, String> {
    apply_or_drop(CEL, &[("filter", filter)], &order()).map(|result| result.is_some())
}

#[test]
fn a_filter_keeps_what_is_true() {
    for (filter, expected) in [
        ("value.state == 'paid'", true),
        ("value.state != 'paid' || value.id < 5", false),
        (
            "value.items.exists(i, i.qty > 2) && headers.tenant.startsWith('ac')",
            true,
        ),
        ("value.items.filter(i, i.qty > 1).size() == 2", true),
        ("has(value.nope)", false),
        ("value.none == null && key == null && timestamp == null", true),
        ("topic == 't' && partition == 3", true),
        ("value.items.map(i, i.qty * 2)[1] == 4", true),
        ("value.state.matches('^p[a-z]+$')", true),
    ] {
        assert_eq!(kept(filter), Ok(expected), "{filter}");
    }
}

#[test]
fn an_evaluation_that_fails_is_an_error_of_the_record() {
    for (filter, expected) in [
        ("value.nope == 1", "there is no nope; has() says whether there is"),
        ("value.id", "it is int, and must be true or false"),
        ("1 / (value.id - 7) == 1", "a number is divided by zero"),
    ] {
        assert_eq!(
            kept(filter),
            Err(format!("filter cannot be evaluated for this record: {expected}")),
            "{filter}"
        );
    }
    let secret = kept("value.state + 1 == 'x'").unwrap_err();
    assert!(!secret.contains("paid"), "{secret}");
}

#[test]
fn topics_headers_and_fields_are_computed_from_the_record_as_it_came() {
    let keys = [
        ("topic", "headers.tenant + '.' + topic"),
        ("header.tenant", "value.state"),
        ("header.big", "value.id > 5"),
        ("field.state", "headers.tenant"),
        ("field.total", "value.items.size() * 2"),
    ];
    let result = apply(CEL, &keys, &order()).unwrap();
    assert_eq!(result.topic, "acme.t");
    let headers: Vec<String> = result
        .headers
        .iter()
        .map(|h| format!("{}={}", h.key, h.value.value))
        .collect();
    assert_eq!(headers, ["big=true", "tenant=paid"]);
    let shown = result.value.value.java_to_string();
    assert!(shown.contains("state=acme") && shown.ends_with("total=6}"), "{shown}");
}

#[test]
fn fields_of_structs_have_schemas() {
    let schema = SchemaBuilder::struct_()
        .name("n")
        .optional()
        .field("a", Schema::int32())
        .field("b", Schema::string());
    let schema = schema.build().unwrap();
    let given = record(structure(&schema, [5.into(), "x".into()]));
    let keys = [
        ("field.a", "value.a + 1"),
        ("field.c", "value.b + value.b"),
        ("field.d", "null"),
    ];
    let result = apply(CEL, &keys, &given).unwrap().value;
    assert_eq!(result.value.java_to_string(), "Struct{a=6,b=x,c=xx}");
    let fields = schema.fields().unwrap();
    let expected = SchemaBuilder::struct_()
        .name("n")
        .optional()
        .field("a", fields[0].schema.clone());
    let expected = expected
        .field("b", fields[1].schema.clone())
        .field("c", Schema::optional_string());
    assert_eq!(result.schema, Some(expected.build().unwrap()));
    let failed = |key, text| apply(CEL, &[(key, text)], &given).unwrap_err();
    assert!(failed("field.a", "5000000000").ends_with("its result does not fit the field, which is int32"));
    assert!(failed("field.a", "null").ends_with("its result does not fit the field, which is int32"));
    assert!(failed("field.l", "[1]").ends_with("a struct takes no lists and maps from an expression"));
    let tombstone = record(SchemaAndValue::new(schema, Value::Null));
    assert!(
        apply(CEL, &keys, &tombstone)
            .unwrap_err()
            .contains("the record has no value")
    );
}

/// Fields that are null in one record and not in the next: as many are added, but not the same.
#[test]
fn a_schema_is_made_once_for_what_is_added() {
    let config = [
        ("transforms", "x"),
        ("transforms.x.type", CEL),
        ("transforms.x.field.c", "value.a > 0 ? value.a : null"),
        ("transforms.x.field.d", "value.a > 0 ? null : value.a"),
    ];
    let config: ConfigMap = config.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let mut chain = Chain::read(&config).unwrap();
    let schema = SchemaBuilder::struct_().field("a", Schema::int32()).build().unwrap();
    let mut backing = Backing::default();
    let mut made = |a: i32| {
        let datum = backing.value(&structure(&schema, [a.into()]).value);
        let input = Input {
            topic: backing.topic(&"t".into()),
            kafka_partition: None,
            timestamp: None,
            key: Field::default(),
            value: Field {
                schema: Some(backing.schema(&schema)),
                datum,
            },
            headers: None,
            origin: Origin::Source,
        };
        let output = chain.apply(input, &mut backing).unwrap().unwrap();
        let (schema, value) = output.value.view(&backing);
        (Arc::clone(schema.unwrap()), value.to_value().java_to_string())
    };
    let records = [1, -1, 2].map(&mut made);
    let shown: Vec<&str> = records.iter().map(|(_, shown)| &**shown).collect();
    assert_eq!(shown, ["Struct{a=1,c=1}", "Struct{a=-1,d=-1}", "Struct{a=2,c=2}"]);
    assert!(Arc::ptr_eq(&records[0].0, &records[2].0));
}

#[test]
fn wrong_expressions_are_refused_with_their_place() {
    let problem = |text| refused(CEL, &[("filter", text)]);
    assert!(
        problem("value.a ==").contains("it is no expression at line 1, column 11"),
        "{}",
        problem("value.a ==")
    );
    assert_eq!(
        problem("value.a == 1 && valeu.b"),
        "Invalid value value.a == 1 && valeu.b for configuration filter: there is no valeu, which stands at column 17: an \
         expression knows topic, partition, timestamp, key, value, headers"
    );
    assert!(problem("value.l.all(x, y > 1)").contains("there is no y"));
    assert!(problem("topic.upper() == 'T'").contains("there is no function upper, which stands at column 7"));
    assert!(problem(&"1 == 1 && ".repeat(300)).contains("2000 are allowed"));
    assert!(refused(CEL, &[]).starts_with("Cel has nothing to do"));
}

#[test]
fn what_could_take_long_is_refused() {
    let problem = |text: &str| refused(CEL, &[("filter", text)]);
    let deep = "value.l.all(a, value.l.all(b, value.l.all(c, a == b || b == c)))";
    assert!(problem(deep).contains("3 loops in each other; 2 are allowed"));
    let doubling = format!("[topic]{}[0] == ''", ".map(x, x + x)".repeat(12));
    assert!(problem(&doubling).contains("12 sums and written elements within loops; 8 are allowed"));
    assert!(problem(&format!("value.l{}", ".map(x, x)".repeat(17))).contains("17 loops"));
    let numbers = |count| record(map([("l", Value::Array((0..count).map(Value::Int64).collect()))]));
    let nested = [("filter", "value.l.all(a, value.l.exists(b, b == a))")];
    assert!(apply_or_drop(CEL, &nested, &numbers(100)).is_ok());
    let failed = apply_or_drop(CEL, &nested, &numbers(1001)).unwrap_err();
    assert!(failed.ends_with("has 1001 elements; 1000 are allowed"), "{failed}");
    let large = record(map([("t", "x".repeat(600_000).into())]));
    assert!(
        apply(CEL, &[("field.u", "value.t + value.t")], &large)
            .unwrap_err()
            .contains("larger than 1048576 bytes")
    );
    assert!(
        apply(CEL, &[("topic", "value.t")], &large)
            .unwrap_err()
            .contains("must have 1 to 249")
    );
}
