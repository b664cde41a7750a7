//! Any schema of Connect that Protobuf has room for, with a value of it.

use bigdecimal::BigDecimal;
use dray_connect::logical;
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef, Type};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use num_bigint::BigInt;
use proptest::prelude::*;

use crate::protobuf::settings::{ENUM, TYPE, UNION};

/// A schema, and three values of it: what is in an array is of one schema.
type Sample = (SchemaRef, [Value; 3]);

pub(super) fn schema_and_value() -> impl Strategy<Value = (SchemaRef, Value)> {
    (record(sample()), 0..3_usize).prop_map(|((schema, values), at)| {
        let schema = numbered(&schema, &mut 0);
        let value = of_schema(&schema, values[at].clone());
        (schema, value)
    })
}

fn three<T: std::fmt::Debug + Clone + 'static>(
    values: impl Strategy<Value = T> + Clone + 'static,
    make: impl Fn(T) -> Value + Clone + 'static,
) -> BoxedStrategy<[Value; 3]> {
    let value = values.prop_map(make);
    [value.clone(), value.clone(), value].boxed()
}

fn scalar() -> impl Strategy<Value = Sample> {
    let of = |schema: SchemaRef, values: BoxedStrategy<[Value; 3]>| {
        values.prop_map(move |values| (schema.clone(), values)).boxed()
    };
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
        (
            0..20_i32,
            three(any::<i128>(), |n| Value::Decimal(BigDecimal::new(BigInt::from(n), 0)))
        )
            .prop_map(|(scale, values)| {
                let values = values.map(|value| {
                    let Value::Decimal(n) = value else { return value };
                    Value::Decimal(BigDecimal::new(n.as_bigint_and_exponent().0, i64::from(scale)))
                });
                (logical::decimal_schema(scale), values)
            }),
    ];
    let plain = prop_oneof![
        of(Schema::int8(), three(any::<i8>(), Value::Int8)),
        of(Schema::int16(), three(any::<i16>(), Value::Int16)),
        of(Schema::int32(), three(any::<i32>(), Value::Int32)),
        of(Schema::int64(), three(any::<i64>(), Value::Int64)),
        of(Schema::float32(), three(any::<f32>(), Value::Float32)),
        of(Schema::float64(), three(any::<f64>(), Value::Float64)),
        of(Schema::boolean(), three(any::<bool>(), Value::Boolean)),
        of(Schema::string(), three(".{0,9}", Value::string)),
        of(Schema::bytes(), three(any::<Vec<u8>>(), Value::bytes)),
        of(
            color.build().unwrap(),
            three(prop::sample::select(vec!["A", "B"]), Value::from)
        ),
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
    prop_oneof![2 => plain, 1 => forms, 1 => logical]
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
        let array = (flat(), 0..3_usize).prop_map(|((schema, values), turn)| {
            let [a, b, c] = values;
            let mut all = [vec![a.clone(), b.clone()], vec![c, a, b], vec![]].map(Value::Array);
            all.rotate_left(turn);
            (SchemaBuilder::array(schema).build().unwrap(), all)
        });
        let map = (flat(), any::<bool>()).prop_map(|((schema, [a, b, c]), is_text)| {
            let key = |text: &str, number: i32| {
                if is_text {
                    Value::from(text)
                } else {
                    Value::Int32(number)
                }
            };
            let all = [
                Value::Map(vec![(key("k", 1), a), (key("", 0), b)]),
                Value::Map(vec![]),
                Value::Map(vec![(key("z", -9), c)]),
            ];
            let keys = if is_text { Schema::string() } else { Schema::int32() };
            (SchemaBuilder::map(keys, schema).build().unwrap(), all)
        });
        prop_oneof![array, map, record(inner)]
    });
    nested.boxed()
}

fn record(inner: BoxedStrategy<Sample>) -> impl Strategy<Value = Sample> {
    let is_flat = |(schema, _): &Sample| !matches!(schema.type_(), Type::Array | Type::Map);
    let members = prop::collection::vec(inner.clone().prop_filter("no list in a union", is_flat), 1..4);
    let unions = prop::collection::vec(members, 0..3);
    (unions, prop::collection::vec(maybe(inner), 0..5)).prop_map(|(unions, fields)| {
        let mut builder = SchemaBuilder::struct_().name("x");
        for (index, members) in unions.iter().enumerate() {
            builder = builder.field(format!("u{index}_{index}"), union(index, members));
        }
        for (index, (schema, _)) in fields.iter().enumerate() {
            builder = builder.field(format!("f{index}"), SchemaRef::clone(schema));
        }
        let schema = builder.build().unwrap();
        let value = |at: usize| {
            let mut record = Struct::new(SchemaRef::clone(&schema)).unwrap();
            for (index, members) in unions.iter().enumerate() {
                let of = SchemaRef::clone(&schema.fields().unwrap()[index].schema);
                // One of its members, or none.
                if at < members.len() {
                    let mut union = Struct::new(of).unwrap();
                    let member = SchemaRef::clone(&union.schema().fields().unwrap()[at].schema);
                    union.put_at(at, of_schema(&member, members[at].1[at].clone())).unwrap();
                    record.put_at(index, Value::from(union)).unwrap();
                }
            }
            for (index, (_, values)) in fields.iter().enumerate() {
                record.put_at(unions.len() + index, values[at].clone()).unwrap();
            }
            Value::from(record)
        };
        let values = [value(0), value(1), value(2)];
        (schema, values)
    })
}

fn union(index: usize, members: &[Sample]) -> SchemaRef {
    let mut builder = SchemaBuilder::struct_().name(format!("{UNION}.u{index}")).optional();
    for (number, (schema, _)) in members.iter().enumerate() {
        let member = schema.to_builder().optional().build().unwrap();
        builder = builder.field(format!("m{index}{number}"), member);
    }
    builder.build().unwrap()
}

/// The schema with a name of its own for each message and enum.
fn numbered(schema: &SchemaRef, count: &mut usize) -> SchemaRef {
    let mut builder = match schema.type_() {
        Type::Struct => {
            let mut builder = SchemaBuilder::struct_();
            for field in schema.fields().unwrap() {
                builder = builder.field(&*field.name, numbered(&field.schema, count));
            }
            builder
        }
        Type::Array => SchemaBuilder::array(numbered(schema.value_schema().unwrap(), count)),
        Type::Map => SchemaBuilder::map(
            SchemaRef::clone(schema.key_schema().unwrap()),
            numbered(schema.value_schema().unwrap(), count),
        ),
        kind @ (Type::Int8
        | Type::Int16
        | Type::Int32
        | Type::Int64
        | Type::Float32
        | Type::Float64
        | Type::Boolean
        | Type::String
        | Type::Bytes) => SchemaBuilder::of(kind),
    };
    match schema.name() {
        Some("x") => {
            *count += 1;
            builder = builder.name(format!("space.N{count}"));
        }
        Some(name) => builder = builder.name(name),
        None => {}
    }
    let is_enum = schema.name() == Some("Color");
    for (key, value) in schema.parameters().into_iter().flatten() {
        if is_enum && key == ENUM {
            *count += 1;
            builder = builder.parameter(key, format!("Color{count}"));
        } else if is_enum {
            // Symbols are names beside their enum.
            let symbol = key.rsplit('.').next().unwrap();
            builder = builder.parameter(format!("{ENUM}.{symbol}{count}"), value);
        } else {
            builder = builder.parameter(key, value);
        }
    }
    if let Some(version) = schema.version() {
        builder = builder.version(version);
    }
    if schema.optional() {
        builder = builder.optional();
    }
    builder.build().unwrap()
}

/// The value with its structs and enums of that schema.
fn of_schema(schema: &SchemaRef, value: Value) -> Value {
    let of = schema.value_schema().ok();
    if let Value::Struct(record) = value {
        let mut out = Struct::new(SchemaRef::clone(schema)).unwrap();
        for (index, value) in record.into_values().into_iter().enumerate() {
            let field = SchemaRef::clone(&schema.fields().unwrap()[index].schema);
            out.put_at(index, of_schema(&field, value)).unwrap();
        }
        Value::from(out)
    } else if let Value::Array(elements) = value {
        let element = |value| of_schema(of.unwrap(), value);
        Value::Array(elements.into_iter().map(element).collect())
    } else if let Value::Map(entries) = value {
        let entry = |(key, value)| (key, of_schema(of.unwrap(), value));
        Value::Map(entries.into_iter().map(entry).collect())
    } else if let (Value::String(text), Some("Color")) = (&value, schema.name()) {
        // Numbered only once its schema is.
        let prefix = format!("{ENUM}.{text}");
        let mut symbols = schema
            .parameters()
            .unwrap()
            .keys()
            .filter(|key| key.starts_with(&prefix));
        Value::from(symbols.next().unwrap().rsplit('.').next().unwrap())
    } else {
        value
    }
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
