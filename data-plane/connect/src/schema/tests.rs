//! Tests of `schema`.

use super::{Schema, SchemaBuilder, SchemaRef, Type, validate_value};
use crate::error::Error;
use crate::logical;
use crate::structs::Struct;
use crate::value::Value;

fn check_invalid(schema: &SchemaRef, value: impl Into<Value>, expected: &str) {
    let error = validate_value(schema, &value.into()).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

fn check_builder(builder: SchemaBuilder, expected: &str) {
    let error = builder.build().unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert!(matches!(error.kind(), Error::SchemaBuilder(_)));
}

#[test]
fn predefined_schemas_are_shared() {
    assert!(std::sync::Arc::ptr_eq(&Schema::int32(), &Schema::int32()));
    assert_ne!(Schema::int32(), Schema::optional_int32());
    assert_eq!(Schema::primitive(Type::Bytes, true), Some(Schema::optional_bytes()));
    assert_eq!(Schema::primitive(Type::Map, true), None);
    assert_eq!(SchemaBuilder::int32().build().unwrap(), Schema::int32());
}

#[test]
fn types_have_names() {
    assert_eq!(Type::Float64.name(), "float64");
    assert_eq!(Type::Float64.upper(), "FLOAT64");
    assert!(Type::Bytes.is_primitive());
    assert!(!Type::Struct.is_primitive());
}

#[test]
fn equality_compares_every_attribute() {
    let base = || SchemaBuilder::int32();
    let plain = base().build().unwrap();
    for other in [
        base().optional(),
        base().default_value(1.into()),
        base().name("n"),
        base().version(1),
        base().doc("d"),
        base().parameter("a", "b"),
    ] {
        assert_ne!(other.build().unwrap(), plain);
    }
    assert_eq!(base().parameters(indexmap::IndexMap::new()).build().unwrap(), plain);
}

#[test]
fn a_schema_prints_like_connect() {
    assert_eq!(Schema::int8().to_string(), "Schema{INT8}");
    assert_eq!(
        logical::date_schema().to_string(),
        "Schema{org.apache.kafka.connect.data.Date:INT32}"
    );
}

#[test]
fn accessors_refuse_the_wrong_type() {
    let int = Schema::int32();
    assert_eq!(
        int.fields().unwrap_err().to_string(),
        "Cannot list fields on non-struct type"
    );
    assert_eq!(
        int.lookup_field("f").unwrap_err().to_string(),
        "Cannot look up fields on non-struct type"
    );
    assert_eq!(
        int.key_schema().unwrap_err().to_string(),
        "Cannot look up key schema on non-map type"
    );
    assert_eq!(
        int.value_schema().unwrap_err().to_string(),
        "Cannot look up value schema on non-array and non-map type"
    );
}

#[test]
fn the_builder_sets_once() {
    let text = |what: &str| format!("Invalid SchemaBuilder call: {what} has already been set.");
    check_builder(SchemaBuilder::int8().optional().required(), &text("optional"));
    check_builder(
        SchemaBuilder::int8()
            .default_value(1_i8.into())
            .default_value(2_i8.into()),
        &text("default"),
    );
    check_builder(SchemaBuilder::int8().name("a").name("b"), &text("name"));
    check_builder(SchemaBuilder::int8().version(1).version(2), &text("version"));
    check_builder(SchemaBuilder::int8().doc("a").doc("b"), &text("doc"));
    assert!(
        SchemaBuilder::int8()
            .optional()
            .optional()
            .name("a")
            .name("a")
            .build()
            .is_ok()
    );
}

#[test]
fn the_builder_checks_its_calls() {
    check_builder(
        SchemaBuilder::int8().field("f", Schema::int8()),
        "Cannot create fields on type INT8",
    );
    check_builder(
        SchemaBuilder::struct_().field("", Schema::int8()),
        "fieldName cannot be null.",
    );
    check_builder(
        SchemaBuilder::struct_()
            .field("f", Schema::int8())
            .field("f", Schema::int8()),
        "Cannot create field because of field name duplication f",
    );
    check_builder(
        SchemaBuilder::int8().default_value(Value::Null),
        "Invalid default value",
    );
    check_builder(
        SchemaBuilder::int8().default_value("x".into()).name("a").name("b"),
        "Invalid default value",
    );
    assert_eq!(
        SchemaBuilder::int8()
            .optional()
            .default_value(Value::Null)
            .build()
            .unwrap(),
        Schema::optional_int8()
    );
}

#[test]
fn fields_are_found_in_small_and_large_structs() {
    for count in [1, 8, 9, 10, 40] {
        let mut builder = SchemaBuilder::struct_();
        for i in 0..count {
            builder = builder.field(format!("f{i}"), Schema::int32());
        }
        let schema = builder.build().unwrap();
        for i in 0..count {
            assert_eq!(schema.field(&format!("f{i}")).unwrap().index, i);
        }
        assert!(schema.field("g").is_none());
    }
}

#[test]
fn null_needs_an_optional_schema() {
    check_invalid(
        &Schema::int32(),
        Value::Null,
        "Invalid value: null used for required value, schema type: INT32",
    );
    let defaulted = SchemaBuilder::int32().default_value(1.into()).build().unwrap();
    check_invalid(
        &defaulted,
        Value::Null,
        "Invalid value: null used for required value, schema type: INT32",
    );
    validate_value(&Schema::optional_int32(), &Value::Null).unwrap();
}

#[test]
fn the_class_must_fit_exactly() {
    check_invalid(
        &Schema::int64(),
        1,
        "Invalid Java object for schema with type INT64: class java.lang.Integer for value",
    );
    check_invalid(
        &Schema::string(),
        vec![1_u8],
        "Invalid Java object for schema with type STRING: class [B for value",
    );
    check_invalid(
        &logical::date_schema(),
        1,
        "Invalid Java object for schema \"org.apache.kafka.connect.data.Date\" with type INT32: class java.lang.Integer for value",
    );
    validate_value(&logical::date_schema(), &Value::Date(0)).unwrap();
}

#[test]
fn elements_are_checked_with_their_place() {
    let array = SchemaBuilder::array(Schema::int32()).build().unwrap();
    check_invalid(
        &array,
        vec![Value::Int32(1), Value::Null],
        "Invalid value: null used for required element of array value, schema type: INT32",
    );
    let map = SchemaBuilder::map(Schema::string(), array.clone()).build().unwrap();
    check_invalid(
        &map,
        Value::map([("k".into(), Value::Array(vec!["x".into()]))]),
        "Invalid Java object for schema with type INT32: class java.lang.String for element of array value of map value",
    );
    check_invalid(
        &map,
        Value::map([(1.into(), Value::Array(vec![]))]),
        "Invalid Java object for schema with type STRING: class java.lang.Integer for key of map value",
    );
    let untyped = SchemaBuilder::of(Type::Array).build().unwrap();
    check_invalid(
        &untyped,
        Vec::<Value>::new(),
        "No schema defined for element of array value",
    );
}

#[test]
fn a_struct_must_have_the_very_schema() {
    let schema = |name: &str| {
        SchemaBuilder::struct_()
            .name(name)
            .field("a", Schema::int32())
            .build()
            .unwrap()
    };
    let mut record = Struct::new(schema("x")).unwrap();
    check_invalid(&schema("y"), record.clone(), "Struct schemas do not match.");
    check_invalid(
        &schema("x"),
        record.clone(),
        "Invalid value: null used for required field: \"a\", schema type: INT32",
    );
    record.put("a", 1).unwrap();
    validate_value(&schema("x"), &record.into()).unwrap();
}

#[test]
fn a_copy_can_be_changed() {
    let schema = SchemaBuilder::int32().name("a").doc("d").build().unwrap();
    let changed = schema.to_builder().name("a").optional().build().unwrap();
    assert_eq!(
        (changed.name(), changed.doc(), changed.optional()),
        (Some("a"), Some("d"), true)
    );
}
