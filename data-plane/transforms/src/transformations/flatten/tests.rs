use dray_connect::schema::Schema;
use dray_connect::value::SchemaAndValue;

use super::*;
use crate::testing::{map, structure, value};

const CLASS: &str = "Flatten$Value";

fn flat(of: SchemaAndValue) -> Result<SchemaAndValue, String> {
    value(CLASS, &[], of)
}

/// The entries that come out, in their order.
fn printed(result: Result<SchemaAndValue, String>) -> String {
    result.unwrap().value.java_to_string()
}

#[test]
fn maps_in_maps() {
    let inner = || map([("c", 2.into()), ("n", Value::Null), ("l", Value::Array(vec![1.into()]))]).value;
    let nested = || {
        map([
            ("a", 1.into()),
            ("b", map([("x", inner()), ("none", map([]).value)]).value),
            ("z", 3.into()),
        ])
    };
    assert_eq!(printed(flat(nested())), "{a=1, b.x.c=2, b.x.n=null, b.x.l=[1], z=3}");
    assert_eq!(
        printed(value(CLASS, &[("delimiter", "__")], nested())),
        "{a=1, b__x__c=2, b__x__n=null, b__x__l=[1], z=3}"
    );
    // A delimiter is trimmed as every text of a configuration.
    assert_eq!(
        printed(value(CLASS, &[("delimiter", " ")], nested())),
        "{a=1, bxc=2, bxn=null, bxl=[1], z=3}"
    );
    assert_eq!(flat(SchemaAndValue::NULL), Ok(SchemaAndValue::NULL));
}

#[test]
fn the_last_of_equal_names_counts() {
    let one = |key: &str, value: i32| map([(key, value.into())]).value;
    for (of, expected) in [
        (map([("a.b", 1.into()), ("a", one("b", 2))]), "{a.b=2}"),
        (map([("a", one("b", 2)), ("a.b", 1.into())]), "{a.b=1}"),
        (map([("", one("b", 2)), ("b", 1.into())]), "{b=1}"),
        (
            map([("a", map([("b.c", 1.into()), ("b", one("c", 2))]).value)]),
            "{a.b.c=2}",
        ),
    ] {
        assert_eq!(printed(flat(of)), expected);
    }
    // Two characters can be shared out in more than one way.
    let twice = map([("xa", one("y", 1)), ("x", one("ay", 2))]);
    assert_eq!(printed(value(CLASS, &[("delimiter", "aa")], twice)), "{xaaay=2}");
}

#[test]
fn what_a_map_must_not_hold() {
    let empty = structure(&SchemaBuilder::struct_().build().unwrap(), []).value;
    for (of, problem) in [
        (
            SchemaAndValue::schemaless(1),
            "Only Map objects supported in absence of schema for [flattening], found: java.lang.Integer",
        ),
        (
            map([("a", Value::Date(0))]),
            "Flatten transformation was passed a value of type class java.util.Date which is not supported by Connect's \
             data API",
        ),
        (
            map([("a", map([("b", empty)]).value)]),
            "Flatten transformation does not support class org.apache.kafka.connect.data.Struct for record without \
             schemas (for field a.b).",
        ),
        (
            SchemaAndValue::schemaless(Value::map([(1.into(), 2.into())])),
            "a map with a key of class java.lang.Integer is no record: its keys must be strings",
        ),
    ] {
        assert_eq!(flat(of), Err(problem.to_owned()));
    }
}

fn optional_five() -> SchemaRef {
    SchemaBuilder::int32()
        .optional()
        .default_value(5.into())
        .build()
        .unwrap()
}

/// `{x: int32 = 5, t: text, list: [text]}`
fn inner() -> SchemaBuilder {
    let texts = SchemaBuilder::array(Schema::string()).doc("texts").build().unwrap();
    SchemaBuilder::struct_()
        .field("x", optional_five())
        .field("t", Schema::string())
        .field("list", texts)
}

#[test]
fn structs_in_structs() {
    let inner_schema = inner().build().unwrap();
    let schema = SchemaBuilder::struct_()
        .name("outer")
        .version(2)
        .doc("doc")
        .field("a", Schema::int64())
        .field("in", SchemaRef::clone(&inner_schema))
        .field("z", Schema::optional_string())
        .build()
        .unwrap();
    let texts = || Value::Array(vec!["l".into()]);
    let of = structure(
        &schema,
        [
            1_i64.into(),
            structure(&inner_schema, [Value::Null, "t".into(), texts()]).value,
            Value::Null,
        ],
    );
    let expected = SchemaBuilder::struct_()
        .name("outer")
        .version(2)
        .doc("doc")
        .field("a", Schema::int64())
        .field("in.x", optional_five())
        .field("in.t", Schema::string())
        .field(
            "in.list",
            SchemaBuilder::array(Schema::string()).doc("texts").build().unwrap(),
        )
        .field("z", Schema::optional_string())
        .build()
        .unwrap();
    assert_eq!(
        flat(of),
        Ok(structure(
            &expected,
            [1_i64.into(), 5.into(), "t".into(), texts(), Value::Null]
        ))
    );
    // A struct that is missing leaves its leaves null, even those that must not be.
    let missing = structure(&schema, [1_i64.into(), Value::Null, "z".into()]);
    let leaves = [1_i64.into(), Value::Null, Value::Null, Value::Null, "z".into()];
    assert_eq!(flat(missing), Ok(structure(&expected, leaves)));
    // A leaf that is missing itself is refused.
    assert_eq!(
        flat(structure(&schema, [Value::Null, Value::Null, Value::Null])),
        Err("Invalid value: null used for required field: \"a\", schema type: INT64".to_owned())
    );
    let null = SchemaAndValue::new(schema, Value::Null);
    assert_eq!(flat(null.clone()), Ok(null));
}

#[test]
fn leaves_take_optional_and_default_from_the_structs_around_them() {
    let plain = inner().optional().build().unwrap();
    let default = structure(&plain, [1.into(), "d".into(), Value::Array(Vec::new())]).value;
    let with_default = inner().optional().default_value(default).build().unwrap();
    let schema = SchemaBuilder::struct_().field("in", with_default).build().unwrap();
    let flat = flat(structure(&schema, [Value::Null])).unwrap();
    let leaf = |name: &str| SchemaRef::clone(&flat.schema.as_ref().unwrap().field(name).unwrap().schema);
    // Its own default comes first.
    assert_eq!(leaf("in.x").default(), Some(&5.into()));
    assert_eq!(leaf("in.t").default(), Some(&"d".into()));
    assert_eq!(leaf("in.list").default(), Some(&Value::Array(Vec::new())));
    assert!(leaf("in.t").optional() && leaf("in.list").optional());
    let values = flat.value.as_struct().unwrap().values();
    assert!(
        values.iter().all(Value::is_null),
        "the default of a struct is not put in its place"
    );
}

#[test]
fn what_a_struct_must_not_hold() {
    let maps = SchemaBuilder::map(Schema::string(), Schema::string())
        .optional()
        .build()
        .unwrap();
    let one = |name: &str, schema| SchemaBuilder::struct_().field(name, schema).build().unwrap();
    let with_map = one(
        "a",
        SchemaBuilder::struct_().field("m", maps).optional().build().unwrap(),
    );
    assert_eq!(
        flat(structure(&with_map, [Value::Null])),
        Err("Flatten transformation does not support MAP for record with schemas (for field a.m).".to_owned())
    );
    let optional = SchemaBuilder::struct_()
        .field("b", Schema::string())
        .optional()
        .build()
        .unwrap();
    let twice = SchemaBuilder::struct_()
        .field("a", optional)
        .field("a.b", Schema::optional_string())
        .build()
        .unwrap();
    assert_eq!(
        flat(structure(&twice, [Value::Null, Value::Null])),
        Err("Cannot create field because of field name duplication a.b".to_owned())
    );
    assert_eq!(
        flat(SchemaAndValue::new(Schema::string(), "x")),
        Err("Only Struct objects supported for [flattening], found: java.lang.String".to_owned())
    );
}
