//! Tests of `structs`.

use super::Struct;
use crate::logical;
use crate::schema::{Schema, SchemaBuilder, SchemaRef};
use crate::value::Value;

fn schema() -> SchemaRef {
    SchemaBuilder::struct_()
        .field("id", Schema::int32())
        .field(
            "name",
            SchemaBuilder::string().default_value("none".into()).build().unwrap(),
        )
        .field("note", Schema::optional_string())
        .field("day", logical::date_builder().optional().build().unwrap())
        .build()
        .unwrap()
}

#[test]
fn only_a_struct_schema_makes_a_struct() {
    let error = Struct::new(Schema::int32()).unwrap_err();
    assert_eq!(error.to_string(), "Not a struct schema: Schema{INT32}");
}

#[test]
fn defaults_are_given_but_not_stored() {
    let record = Struct::new(schema()).unwrap();
    assert_eq!(record.get("name").unwrap(), &"none".into());
    assert_eq!(record.get_without_default("name").unwrap(), &Value::Null);
    assert_eq!(record.get_string("name").unwrap(), None);
}

#[test]
fn put_checks_the_value() {
    let mut record = Struct::new(schema()).unwrap();
    let check = |result: crate::Result<&mut Struct>, expected: &str| {
        assert_eq!(result.map(|_| ()).unwrap_err().to_string(), expected);
    };
    check(record.put("nope", 1), "nope is not a valid field name");
    check(
        record.put("name", Value::Null),
        "Invalid value: null used for required field: \"name\", schema type: STRING",
    );
    check(
        record.put("id", "x"),
        "Invalid Java object for schema with type INT32: class java.lang.String for field: \"id\"",
    );
}

#[test]
fn put_by_position_is_the_same() {
    let mut record = Struct::new(schema()).unwrap();
    record.put_at(0, 7).unwrap();
    assert_eq!(record.get_int32("id").unwrap(), Some(7));
    assert!(record.put_at(0, "x").is_err());
    assert_eq!(
        record.put_at(4, 1).unwrap_err().to_string(),
        "4 is not the position of a field"
    );
    assert_eq!(record.into_values()[0], 7.into());
}

#[test]
fn validation_accepts_defaults_for_null() {
    let mut record = Struct::new(schema()).unwrap();
    assert!(record.validate().is_err());
    record.put("id", 1).unwrap();
    record.validate().unwrap();
}

#[test]
fn typed_getters_check_the_type() {
    let mut record = Struct::new(schema()).unwrap();
    record.put("id", 7).unwrap().put("day", Value::Date(0)).unwrap();
    assert_eq!(record.get_int32("id").unwrap(), Some(7));
    assert_eq!(
        record.get_int64("id").unwrap_err().to_string(),
        "Field 'id' is not of type INT64"
    );
    assert_eq!(
        record.get_int8("x").unwrap_err().to_string(),
        "x is not a valid field name"
    );
    assert!(record.get_int32("day").is_err());
}

#[test]
fn it_prints_without_nulls() {
    let mut record = Struct::new(schema()).unwrap();
    record.put("id", 1).unwrap();
    assert_eq!(record.to_string(), "Struct{id=1}");
    record.put("note", "x").unwrap();
    assert_eq!(record.to_string(), "Struct{id=1,note=x}");
}

#[test]
fn equality_needs_schema_and_values() {
    let mut one = Struct::new(schema()).unwrap();
    let two = Struct::new(schema()).unwrap();
    assert_eq!(one, two);
    one.put("id", 1).unwrap();
    assert_ne!(one, two);
}
