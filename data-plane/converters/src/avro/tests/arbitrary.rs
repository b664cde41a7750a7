//! Any schema of Connect that Avro has room for, with a value of it.

use bigdecimal::BigDecimal;
use dray_connect::logical;
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef, Type};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use num_bigint::BigInt;
use proptest::prelude::*;

/// A schema, and three values of it: what is in an array is of one schema.
type Sample = (SchemaRef, [Value; 3]);

/// A schema, and three values of it, which are null where it is optional.
pub(super) fn schema_and_values() -> impl Strategy<Value = Sample> {
    sample().prop_map(|(schema, values)| {
        let schema = numbered(&schema, &mut 0);
        let values = values.map(|value| of_schema(&schema, value));
        (schema, values)
    })
}

fn three<T: std::fmt::Debug + Clone>(
    values: impl Strategy<Value = T> + Clone,
    make: impl Fn(T) -> Value + Clone,
) -> impl Strategy<Value = [Value; 3]> {
    let value = values.prop_map(make);
    [value.clone(), value.clone(), value]
}

fn scalar() -> impl Strategy<Value = Sample> {
    let of = |schema: SchemaRef, values: BoxedStrategy<[Value; 3]>| {
        values.prop_map(move |values| (schema.clone(), values)).boxed()
    };
    prop_oneof![
        of(Schema::int8(), three(any::<i8>(), Value::Int8).boxed()),
        of(Schema::int16(), three(any::<i16>(), Value::Int16).boxed()),
        of(Schema::int32(), three(any::<i32>(), Value::Int32).boxed()),
        of(Schema::int64(), three(any::<i64>(), Value::Int64).boxed()),
        of(Schema::float32(), three(any::<f32>(), Value::Float32).boxed()),
        of(Schema::float64(), three(any::<f64>(), Value::Float64).boxed()),
        of(Schema::boolean(), three(any::<bool>(), Value::Boolean).boxed()),
        of(Schema::string(), three(".{0,9}", Value::string).boxed()),
        of(Schema::bytes(), three(any::<Vec<u8>>(), Value::bytes).boxed()),
        of(
            logical::date_schema(),
            three(any::<i32>(), |days| Value::Date(i64::from(days) * 86_400_000)).boxed()
        ),
        of(logical::time_schema(), three(0..86_400_000_i64, Value::Date).boxed()),
        of(logical::timestamp_schema(), three(any::<i64>(), Value::Date).boxed()),
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
            })
            .boxed(),
        // Named types: one of a fixed size and an enum.
        of(
            SchemaBuilder::bytes()
                .name("x")
                .parameter("connect.fixed.size", "3")
                .build()
                .unwrap(),
            three(any::<[u8; 3]>(), |bytes| Value::bytes(bytes.to_vec())).boxed()
        ),
        of(
            SchemaBuilder::string()
                .name("x")
                .parameter("io.confluent.connect.avro.Enum", "x")
                .parameter("io.confluent.connect.avro.Enum.A", "A")
                .parameter("io.confluent.connect.avro.Enum.B", "B")
                .build()
                .unwrap(),
            three(prop::sample::select(vec!["A", "B"]), Value::from).boxed()
        ),
    ]
}

/// What may be attached to any schema.
fn attached(sample: impl Strategy<Value = Sample>) -> impl Strategy<Value = Sample> {
    let maybe = || prop::option::weighted(0.2, "[a-z]{1,5}");
    (
        sample,
        any::<bool>(),
        maybe(),
        maybe(),
        prop::option::weighted(0.2, 1..9_i32),
        any::<bool>(),
        0..4_usize,
    )
        .prop_map(
            |((schema, mut values), optional, doc, parameter, version, default, null)| {
                let mut builder = schema.to_builder();
                if optional {
                    builder = builder.optional();
                    if null < 3 {
                        values[null] = Value::Null;
                    }
                }
                if let Some(doc) = doc {
                    builder = builder.doc(doc);
                }
                if let Some(parameter) = parameter {
                    builder = builder.parameter("p", parameter);
                }
                if let Some(version) = version.filter(|_| schema.version().is_none()) {
                    builder = builder.version(version);
                }
                let is_finite = |value: &Value| {
                    !value.is_null()
                        && !matches!(value, Value::Float32(number) if !number.is_finite())
                        && !matches!(value, Value::Float64(number) if !number.is_finite())
                };
                // Defaults of scalars: that of a struct has a schema of its own, and JSON has no NaN.
                if default && schema.type_().is_primitive() && is_finite(&values[0]) {
                    builder = builder.default_value(values[0].clone());
                    // Null is written as the default then.
                    let first = values[0].clone();
                    values = values.map(|value| if value.is_null() { first.clone() } else { value });
                }
                let schema = builder.build().unwrap();
                let values = values.map(|value| of_schema(&schema, value));
                (schema, values)
            },
        )
}

fn sample() -> impl Strategy<Value = Sample> {
    attached(scalar()).prop_recursive(3, 24, 4, |inner| {
        let inner = inner.boxed();
        let array = (inner.clone(), 0..3_usize).prop_map(|((schema, values), len)| {
            let [a, b, c] = values;
            let all = [vec![a.clone(), b.clone()], vec![c, a, b], vec![]];
            let mut all = all.map(Value::Array);
            all.rotate_left(len);
            (SchemaBuilder::array(schema).build().unwrap(), all)
        });
        let map = inner.clone().prop_map(|(schema, [a, b, c])| {
            let entry = |key: &str, value: Value| (Value::from(key), value);
            let all = [
                Value::Map(vec![entry("k", a), entry("", b)]),
                Value::Map(vec![]),
                Value::Map(vec![entry("z", c)]),
            ];
            (SchemaBuilder::map(Schema::string(), schema).build().unwrap(), all)
        });
        let entries = inner.clone().prop_map(|(schema, [a, b, c])| {
            let entry = |key: i32, value: Value| (Value::Int32(key), value);
            let all = [
                Value::Map(vec![entry(1, a), entry(-9, b)]),
                Value::Map(vec![]),
                Value::Map(vec![entry(0, c)]),
            ];
            (SchemaBuilder::map(Schema::int32(), schema).build().unwrap(), all)
        });
        let record = prop::collection::vec(inner, 0..5).prop_map(|fields| {
            let mut builder = SchemaBuilder::struct_().name("x");
            for (index, (schema, _)) in fields.iter().enumerate() {
                builder = builder.field(format!("f{index}"), SchemaRef::clone(schema));
            }
            let schema = builder.build().unwrap();
            let value = |at: usize| {
                let mut record = Struct::new(SchemaRef::clone(&schema)).unwrap();
                for (index, (_, values)) in fields.iter().enumerate() {
                    record.put_at(index, values[at].clone()).unwrap();
                }
                Value::from(record)
            };
            let values = [value(0), value(1), value(2)];
            (schema, values)
        });
        attached(prop_oneof![array, map, entries, record])
    })
}

/// The schema with a name of its own for each named type.
fn numbered(schema: &SchemaRef, count: &mut usize) -> SchemaRef {
    let name = schema.name().filter(|name| *name == "x").map(|_| {
        *count += 1;
        format!("space.N{count}")
    });
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
    if let Some(name) = name.as_deref().or(schema.name()) {
        builder = builder.name(name);
    }
    for (key, value) in schema.parameters().into_iter().flatten() {
        let is_enum = key == "io.confluent.connect.avro.Enum";
        let value = if is_enum { name.clone().unwrap() } else { value.clone() };
        builder = builder.parameter(key, value);
    }
    if let Some(version) = schema.version() {
        builder = builder.version(version);
    }
    if let Some(doc) = schema.doc() {
        builder = builder.doc(doc);
    }
    if schema.optional() {
        builder = builder.optional();
    }
    if let Some(default) = schema.default() {
        builder = builder.default_value(default.clone());
    }
    builder.build().unwrap()
}

/// The value with its structs of that schema.
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
    } else {
        value
    }
}
