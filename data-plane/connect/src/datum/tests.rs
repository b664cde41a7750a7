//! Tests of values in a batch: what is put in comes out again, through every view.

use proptest::prelude::*;

use super::{Datum, Field, ValueRef};
use crate::backing::Backing;
use crate::logical;
use crate::schema::{Schema, SchemaBuilder, SchemaRef, validate_value};
use crate::structs::Struct;
use crate::value::Value;
use crate::values::parse_decimal;

fn person() -> SchemaRef {
    SchemaBuilder::struct_()
        .field("name", Schema::string())
        .field("age", Schema::optional_int32())
        .build()
        .unwrap()
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        any::<i8>().prop_map(Value::Int8),
        any::<i16>().prop_map(Value::Int16),
        any::<i32>().prop_map(Value::Int32),
        any::<i64>().prop_map(Value::Int64),
        any::<i64>().prop_map(Value::Date),
        any::<f32>().prop_map(Value::Float32),
        any::<f64>().prop_map(Value::Float64),
        ".*".prop_map(Value::string),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(Value::bytes),
        (any::<i64>(), -40_i64..40)
            .prop_map(|(unscaled, scale)| Value::Decimal(bigdecimal::BigDecimal::new(unscaled.into(), scale))),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 60, 6, |inner| {
        let pairs = proptest::collection::vec((inner.clone(), inner.clone()), 0..5);
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(Value::Array),
            pairs.prop_map(Value::map),
            ("[a-z]*", any::<Option<i32>>()).prop_map(|(name, age)| {
                let mut record = Struct::new(person()).unwrap();
                record.put("name", name).unwrap().put("age", age).unwrap();
                record.into()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_put_in_comes_out(values in proptest::collection::vec(value(), 1..5)) {
        let mut backing = Backing::default();
        let data: Vec<Datum> = values.iter().map(|value| backing.value(value)).collect();
        for (value, datum) in values.iter().zip(data) {
            let view = datum.view(&backing);
            prop_assert_eq!(&view.to_value(), value);
            prop_assert_eq!(&ValueRef::from(value).to_value(), value);
            prop_assert_eq!(view.java_class(), value.java_class());
            prop_assert_eq!(view.schema_type(), value.schema_type());
            prop_assert_eq!(view, ValueRef::from(value));
        }
    }
}

#[test]
fn parts_are_read_where_they_lie() {
    let mut backing = Backing::default();
    let (key, one) = (backing.text("k"), Datum::Int64(1));
    let array = backing.array(&[one, Datum::Null]);
    let map = backing.map([(key, array), (one, key)]);
    let map = map.view(&backing).as_map().unwrap();
    assert_eq!(map.len(), 2);
    let array = map.get("k").and_then(ValueRef::as_array).unwrap();
    assert_eq!(array.get(0), Some(ValueRef::Int64(1)));
    assert!(array.get(1).unwrap().is_null() && array.get(2).is_none());
    assert_eq!(map.get("absent"), None);
    assert_eq!(map.at(1).unwrap().1.as_str(), Some("k"));
}

#[test]
fn structs_are_checked_when_they_are_made() {
    let mut backing = Backing::default();
    let schema = backing.schema(&person());
    let name = backing.text("Zoë");
    let record = backing.record(schema, &[name, Datum::Null]).unwrap();
    let field = Field {
        schema: Some(schema),
        datum: record,
    };
    let (found, view) = field.view(&backing);
    let record = view.as_struct().unwrap();
    assert_eq!(Some(record.schema()), found);
    assert_eq!(record.get("name").unwrap().as_str(), Some("Zoë"));
    assert!(record.get("age").unwrap().is_null());
    assert_eq!(
        record.get("nick").unwrap_err().to_string(),
        "nick is not a valid field name"
    );
    validate_value(found.unwrap(), &view.to_value()).unwrap();
    for (fields, expected) in [
        (
            vec![Datum::Null, Datum::Null],
            "Invalid value: null used for required field: \"name\", schema type: STRING",
        ),
        (
            vec![name, Datum::Int64(1)],
            "Invalid Java object for schema with type INT32: class java.lang.Long for field: \"age\"",
        ),
        (vec![name], "a struct of 2 fields cannot take 1 values"),
    ] {
        assert_eq!(backing.record(schema, &fields).unwrap_err().to_string(), expected);
    }
}

#[test]
fn defaults_stand_for_null_where_they_are_asked_for() {
    let age = SchemaBuilder::int32()
        .optional()
        .default_value(Value::Int32(7))
        .build()
        .unwrap();
    let schema = SchemaBuilder::struct_().field("age", age).build().unwrap();
    let mut backing = Backing::default();
    let id = backing.schema(&schema);
    let record = backing.record(id, &[Datum::Null]).unwrap();
    let owned = record.view(&backing).to_value();
    for view in [record.view(&backing), ValueRef::from(&owned)] {
        let record = view.as_struct().unwrap();
        assert_eq!(record.get("age").unwrap(), ValueRef::Int32(7));
        assert!(record.get_without_default("age").unwrap().is_null());
        assert!(record.at(0).unwrap().is_null());
    }
}

#[test]
fn decimals_keep_their_scale() {
    let mut backing = Backing::default();
    for text in [
        "0",
        "-0.10",
        "1E+3",
        "123456789012345678901234567890.5",
        "-128",
        "127",
        "128",
    ] {
        let decimal = Value::Decimal(parse_decimal(text).unwrap());
        let view = backing.value(&decimal).view(&backing).to_value();
        assert_eq!(view.java_to_string(), text);
        validate_value(&logical::decimal_schema(2), &view).unwrap();
    }
}
