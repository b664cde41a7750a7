use std::sync::Arc;

use dray_connect::logical::{decimal_schema, timestamp_schema};
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_connect::structs::Struct;
use dray_connect::value::{SchemaAndValue, Value};
use dray_connect::values::parse_decimal;

use crate::testing::{map, refused, structure, value};

const MASK: &str = "MaskField$Value";

fn decimal(text: &str) -> Value {
    Value::Decimal(parse_decimal(text).unwrap())
}

/// One value of each class, schemaless.
fn all() -> SchemaAndValue {
    map([
        ("boolean", true.into()),
        ("int8", 1_i8.into()),
        ("int16", 2_i16.into()),
        ("int32", 3_i32.into()),
        ("int64", 4_i64.into()),
        ("float32", 5.5_f32.into()),
        ("float64", 6.5_f64.into()),
        ("string", "secret".into()),
        ("decimal", decimal("7.50")),
        ("date", Value::Date(8)),
        ("array", vec![Value::from(9)].into()),
        ("map", map([("k", "v".into())]).value),
        ("null", Value::Null),
        ("bytes", vec![1_u8].into()),
        ("other", "kept".into()),
    ])
}

fn masked(fields: &str, replacement: Option<&str>) -> Result<String, String> {
    let mut keys = vec![("fields", fields)];
    keys.extend(replacement.map(|text| ("replacement", text)));
    let result = value(MASK, &keys, all())?;
    let fields = fields.split(',');
    let shown = fields.map(|name| {
        result
            .value
            .entry(name)
            .map(|value| format!("{}:{value}", value.java_class()))
    });
    Ok(shown.map(Option::unwrap_or_default).collect::<Vec<_>>().join(" "))
}

#[test]
fn without_a_replacement_each_class_has_its_nothing() {
    let fields = "boolean,int8,int16,int32,int64,float32,float64,string,decimal,date,array,map,null,missing";
    assert_eq!(
        masked(fields, None).unwrap(),
        "java.lang.Boolean:false java.lang.Byte:0 java.lang.Short:0 java.lang.Integer:0 java.lang.Long:0 \
         java.lang.Float:0.0 java.lang.Double:0.0 java.lang.String: java.math.BigDecimal:0 \
         java.util.Date:Thu Jan 01 00:00:00 UTC 1970 java.util.ArrayList:[] java.util.HashMap:{} null:null null:null"
    );
    let result = value(MASK, &[("fields", "int8")], all()).unwrap();
    assert_eq!(result.value.entry("other"), Some(&"kept".into()));
    assert_eq!(
        masked("bytes", None),
        Err("Cannot mask value of type: class [B".to_owned())
    );
}

#[test]
fn a_replacement_is_read_as_the_class_that_it_replaces() {
    assert_eq!(
        masked(
            "int8,int16,int32,int64,float32,float64,string,decimal,null",
            Some("300.75")
        )
        .unwrap(),
        "java.lang.Byte:44 java.lang.Short:300 java.lang.Integer:300 java.lang.Long:300 java.lang.Float:300.75 \
         java.lang.Double:300.75 java.lang.String:300.75 java.math.BigDecimal:300.75 null:null"
    );
    for (field, class) in [
        ("boolean", "java.lang.Boolean"),
        ("bytes", "[B"),
        ("date", "java.util.Date"),
        ("array", "java.util.ArrayList"),
        ("map", "java.util.HashMap"),
    ] {
        assert_eq!(
            masked(field, Some("1")),
            Err(format!(
                "Cannot mask value of type class {class} with custom replacement."
            ))
        );
    }
    // Java goes through a hash set of the fields, which has "bytes" before "map".
    assert_eq!(masked("map,bytes", Some("1")), masked("bytes", Some("1")));
    assert_eq!(masked("string", Some("xxx")).unwrap(), "java.lang.String:xxx");
    for (field, ending) in [("int32", "a number"), ("float32", "a number"), ("decimal", "number")] {
        assert_eq!(
            masked(field, Some("xxx")),
            Err(format!("Unable to convert xxx (class java.lang.String) to {ending}"))
        );
    }
}

fn schema() -> SchemaRef {
    let with_default = SchemaBuilder::string().optional().default_value("d".into());
    SchemaBuilder::struct_()
        .name("n")
        .optional()
        .field("text", with_default.build().unwrap())
        .field("number", Schema::int32())
        .field("decimal", decimal_schema(2))
        .field("at", timestamp_schema())
        .build()
        .unwrap()
}

#[test]
fn with_a_schema_the_schema_stays_as_it_is() {
    let schema = schema();
    let given = structure(&schema, [Value::Null, 5.into(), decimal("1.50"), Value::Date(7)]);
    let result = value(MASK, &[("fields", "number,at,missing")], given.clone()).unwrap();
    assert!(Arc::ptr_eq(result.schema.as_ref().unwrap(), &schema));
    assert_eq!(
        result.value.java_to_string(),
        "Struct{text=d,number=0,decimal=1.50,at=Thu Jan 01 00:00:00 UTC 1970}"
    );
    // The default is read first, and then masked.
    let text = |keys: &[_]| {
        let result = value(
            MASK,
            &[&[("fields", "text"), ("replacement", "m")], keys].concat(),
            given.clone(),
        );
        result.unwrap().value.as_struct().unwrap().values()[0].clone()
    };
    assert_eq!(text(&[]), "m".into());
    assert_eq!(text(&[("replace.null.with.default", "false")]), Value::Null);
}

#[test]
fn what_cannot_be_copied_is_refused() {
    let schema = schema();
    let given = structure(&schema, [Value::Null, Value::Null, decimal("1.50"), Value::Date(7)]);
    assert_eq!(
        value(MASK, &[("fields", "at")], given),
        Err("Invalid value: null used for required field: \"number\", schema type: INT32".to_owned())
    );
    let given = structure(&schema, [Value::Null, Value::Null, decimal("1.50"), Value::Date(7)]);
    assert_eq!(
        value(MASK, &[("fields", "at"), ("replacement", "1")], given),
        Err("Invalid value: null used for required field: \"number\", schema type: INT32".to_owned()),
        "fields are copied in their order"
    );
    let inner = SchemaBuilder::struct_().build().unwrap();
    let outer = SchemaBuilder::struct_().field("s", Arc::clone(&inner)).build().unwrap();
    let given = structure(&outer, [Struct::new(inner).unwrap().into()]);
    assert_eq!(
        value(MASK, &[("fields", "s")], given),
        Err("Cannot mask value of type: class org.apache.kafka.connect.data.Struct".to_owned())
    );
}

#[test]
fn tombstones_and_other_values_are_refused() {
    let mask = |given| value(MASK, &[("fields", "f")], given).unwrap_err();
    assert_eq!(
        mask(SchemaAndValue::NULL),
        "Only Map objects supported in absence of schema for [mask fields], found: null"
    );
    assert_eq!(
        mask(SchemaAndValue::schemaless("text")),
        "Only Map objects supported in absence of schema for [mask fields], found: java.lang.String"
    );
    assert_eq!(
        mask(SchemaAndValue::new(schema(), Value::Null)),
        "Only Struct objects supported for [mask fields], found: null"
    );
    assert_eq!(
        refused(MASK, &[("fields", "a"), ("replacement", "")]),
        "Invalid value  for configuration replacement: String must be non-empty"
    );
}
