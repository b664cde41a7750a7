//! Any schema of Connect that Protobuf has room for, with a value of it.

use dray_connect::logical;
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef, Type};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use proptest::prelude::*;

use crate::arbitrary::{Sample, array, decimal, map, of, record, renamed, scalars, symbols, three, with_leaves};
use crate::protobuf::settings::{ENUM, TYPE, UNION};

pub(super) fn schema_and_value() -> impl Strategy<Value = (SchemaRef, Value)> {
    (message(sample()), 0..3_usize).prop_map(|((schema, values), at)| {
        let schema = numbered(&schema);
        let value = of_schema(&schema, values[at].clone());
        (schema, value)
    })
}

fn scalar() -> impl Strategy<Value = Sample> {
    let typed = |builder: SchemaBuilder, kind: &str| builder.parameter(TYPE, kind).build().unwrap();
    let long = |kind: &str| of(typed(SchemaBuilder::int64(), kind), three(any::<i64>(), Value::Int64));
    let unsigned = |kind: &str| {
        let values = three(any::<u32>(), |value| Value::Int64(i64::from(value)));
        of(typed(SchemaBuilder::int64(), kind), values)
    };
    let int = |kind: &str| of(typed(SchemaBuilder::int32(), kind), three(any::<i32>(), Value::Int32));
    let color = SchemaBuilder::string()
        .name("Color")
        .parameter(ENUM, "Color")
        .parameter(format!("{ENUM}.A"), "0")
        .parameter(format!("{ENUM}.B"), "-5");
    let logical = prop_oneof![
        of(
            logical::date_schema(),
            three(-700_000..2_900_000_i64, |days| Value::Date(days * 86_400_000))
        ),
        of(logical::time_schema(), three(0..86_400_000_i64, Value::Date)),
        of(
            logical::timestamp_schema(),
            three(-62_135_596_800_000..=253_402_300_799_999_i64, Value::Date)
        ),
        decimal(),
    ];
    let simple = prop_oneof![
        7 => scalars(),
        1 => of(Schema::float32(), three(any::<f32>(), Value::Float32)),
        1 => of(Schema::float64(), three(any::<f64>(), Value::Float64)),
        1 => symbols(color),
    ];
    let forms = prop_oneof![
        int("sint32"),
        int("sfixed32"),
        unsigned("uint32"),
        unsigned("fixed32"),
        long("uint64"),
        long("sint64"),
        long("fixed64"),
        long("sfixed64"),
    ];
    prop_oneof![2 => simple, 1 => forms, 1 => logical]
}

/// What may be null, where a field is: not within lists.
fn maybe(sample: impl Strategy<Value = Sample>) -> impl Strategy<Value = Sample> {
    (sample, any::<bool>(), 0..4_usize).prop_map(|((schema, mut values), optional, null)| {
        let is_list = matches!(schema.type_(), Type::Array | Type::Map);
        if !optional || is_list {
            return (schema, values);
        }
        if null < 3 {
            values[null] = Value::Null;
        }
        let schema = schema.to_builder().optional().build().unwrap();
        let values = values.map(|value| of_schema(&schema, value));
        (schema, values)
    })
}

fn sample() -> BoxedStrategy<Sample> {
    let nested = scalar().prop_recursive(3, 24, 4, |inner| {
        let inner = inner.boxed();
        let flat = || {
            let is_flat = |(schema, _): &Sample| !matches!(schema.type_(), Type::Array | Type::Map);
            inner.clone().prop_filter("no list within a list", is_flat)
        };
        let named = map(Schema::string(), ["k", "", "z"].map(Value::from), flat());
        let entries = map(Schema::int32(), [1, 0, -9].map(Value::Int32), flat());
        let array = array(flat());
        prop_oneof![2 => array, 1 => named, 1 => entries, 2 => message(inner)]
    });
    nested.boxed()
}

/// A struct with unions before its other fields.
fn message(inner: BoxedStrategy<Sample>) -> impl Strategy<Value = Sample> {
    let is_flat = |(schema, _): &Sample| !matches!(schema.type_(), Type::Array | Type::Map);
    let members = prop::collection::vec(inner.clone().prop_filter("no list in a union", is_flat), 1..4);
    let unions = prop::collection::vec(members, 0..3);
    (unions, prop::collection::vec(maybe(inner), 0..5)).prop_map(|(unions, fields)| {
        let unions = unions.iter().enumerate();
        let unions = unions.map(|(index, members)| (format!("u{index}_{index}"), union(index, members)));
        let fields = fields.into_iter().enumerate();
        let fields = fields.map(|(index, sample)| (format!("f{index}"), sample));
        let all: Vec<_> = unions.chain(fields).collect();
        record(SchemaBuilder::struct_().name("x"), &all)
    })
}

/// One of the members, or none.
fn union(index: usize, members: &[Sample]) -> Sample {
    let mut builder = SchemaBuilder::struct_().name(format!("{UNION}.u{index}")).optional();
    for (number, (schema, _)) in members.iter().enumerate() {
        let member = schema.to_builder().optional().build().unwrap();
        builder = builder.field(format!("m{index}{number}"), member);
    }
    let schema = builder.build().unwrap();
    let values = [0, 1, 2].map(|at| {
        let Some((_, values)) = members.get(at) else {
            return Value::Null;
        };
        let mut union = Struct::new(SchemaRef::clone(&schema)).unwrap();
        let member = SchemaRef::clone(&schema.fields().unwrap()[at].schema);
        union.put_at(at, of_schema(&member, values[at].clone())).unwrap();
        Value::from(union)
    });
    (schema, values)
}

/// The schema with a name of its own for each message and enum.
fn numbered(schema: &SchemaRef) -> SchemaRef {
    let mut count = 0;
    renamed(schema, &mut |schema, mut builder| {
        match schema.name() {
            Some("x") => {
                count += 1;
                builder = builder.name(format!("space.N{count}"));
            }
            Some(name) => builder = builder.name(name),
            None => {}
        }
        let is_enum = schema.name() == Some("Color");
        for (key, value) in schema.parameters().into_iter().flatten() {
            if is_enum && key == ENUM {
                count += 1;
                builder = builder.parameter(key, format!("Color{count}"));
            } else if is_enum {
                // Symbols are names beside their enum.
                let symbol = key.rsplit('.').next().unwrap();
                builder = builder.parameter(format!("{ENUM}.{symbol}{count}"), value);
            } else {
                builder = builder.parameter(key, value);
            }
        }
        builder
    })
}

/// The value with its structs and enums of that schema.
fn of_schema(schema: &SchemaRef, value: Value) -> Value {
    with_leaves(schema, value, &|schema, value| {
        let (Value::String(text), Some("Color")) = (&value, schema.name()) else {
            return value;
        };
        // Numbered only once its schema is.
        let prefix = format!("{ENUM}.{text}");
        let mut symbols = schema
            .parameters()
            .unwrap()
            .keys()
            .filter(|key| key.starts_with(&prefix));
        Value::from(symbols.next().unwrap().rsplit('.').next().unwrap())
    })
}

/// A value by the names of its fields, without what its schemas say besides.
pub(super) fn plain(value: &Value) -> Value {
    if let Value::Struct(record) = value {
        let fields = record.iter();
        Value::map(fields.map(|(field, value)| (Value::from(&*field.name), plain(value))))
    } else if let Value::Array(elements) = value {
        Value::Array(elements.iter().map(plain).collect())
    } else if let Value::Map(entries) = value {
        Value::Map(entries.iter().map(|(key, value)| (key.clone(), plain(value))).collect())
    } else {
        value.clone()
    }
}

pub(super) fn has_list(value: &Value) -> bool {
    if let Value::Struct(record) = value {
        record.values().iter().any(has_list)
    } else if let Value::Map(entries) = value {
        entries.iter().any(|(_, value)| has_list(value))
    } else {
        matches!(value, Value::Array(elements) if !elements.is_empty())
    }
}
