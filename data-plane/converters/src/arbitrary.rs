//! Schemas of Connect, and values of them, of which each format's tests make any that it has room for.

use bigdecimal::BigDecimal;
use dray_connect::logical;
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef, Type};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use num_bigint::BigInt;
use proptest::prelude::*;

/// A schema, and three values of it: what is in an array is of one schema.
pub(crate) type Sample = (SchemaRef, [Value; 3]);

pub(crate) fn three<T: std::fmt::Debug + Clone + 'static>(
    values: impl Strategy<Value = T> + Clone + 'static,
    make: impl Fn(T) -> Value + Clone + 'static,
) -> BoxedStrategy<[Value; 3]> {
    let value = values.prop_map(make);
    [value.clone(), value.clone(), value].boxed()
}

pub(crate) fn of(schema: SchemaRef, values: BoxedStrategy<[Value; 3]>) -> BoxedStrategy<Sample> {
    values.prop_map(move |values| (schema.clone(), values)).boxed()
}

/// Seven types that are the same everywhere.
pub(crate) fn scalars() -> BoxedStrategy<Sample> {
    prop_oneof![
        of(Schema::int8(), three(any::<i8>(), Value::Int8)),
        of(Schema::int16(), three(any::<i16>(), Value::Int16)),
        of(Schema::int32(), three(any::<i32>(), Value::Int32)),
        of(Schema::int64(), three(any::<i64>(), Value::Int64)),
        of(Schema::boolean(), three(any::<bool>(), Value::Boolean)),
        of(Schema::string(), three(".{0,9}", Value::string)),
        of(Schema::bytes(), three(any::<Vec<u8>>(), Value::bytes)),
    ]
    .boxed()
}

/// Symbols `A` and `B`.
pub(crate) fn symbols(schema: SchemaBuilder) -> BoxedStrategy<Sample> {
    let symbols = prop::sample::select(vec!["A", "B"]);
    of(schema.build().unwrap(), three(symbols, Value::from))
}

/// Three types.
pub(crate) fn calendar() -> BoxedStrategy<Sample> {
    prop_oneof![
        of(
            logical::date_schema(),
            three(any::<i32>(), |days| Value::Date(i64::from(days) * 86_400_000))
        ),
        of(logical::time_schema(), three(0..86_400_000_i64, Value::Date)),
        of(logical::timestamp_schema(), three(any::<i64>(), Value::Date)),
    ]
    .boxed()
}

pub(crate) fn decimal() -> BoxedStrategy<Sample> {
    let values = three(any::<i128>(), |n| Value::Decimal(BigDecimal::new(BigInt::from(n), 0)));
    (0..20_i32, values)
        .prop_map(|(scale, values)| {
            let values = values.map(|value| {
                let Value::Decimal(n) = value else { return value };
                Value::Decimal(BigDecimal::new(n.as_bigint_and_exponent().0, i64::from(scale)))
            });
            (logical::decimal_schema(scale), values)
        })
        .boxed()
}

/// What may be attached to any schema; a name to one that has none where `has_names` says so.
pub(crate) fn attached(has_names: bool, sample: impl Strategy<Value = Sample>) -> impl Strategy<Value = Sample> {
    let maybe = || prop::option::weighted(0.2, "[a-zü]{1,5}");
    let parts = (maybe(), maybe(), maybe(), prop::option::weighted(0.2, 1..9_i32));
    (sample, any::<bool>(), parts, any::<bool>(), 0..4_usize).prop_map(
        move |((schema, mut values), optional, (name, doc, parameter, version), default, null)| {
            let mut builder = schema.to_builder();
            if optional {
                builder = builder.optional();
                if null < 3 {
                    values[null] = Value::Null;
                }
            }
            if let Some(name) = name.filter(|_| has_names && schema.name().is_none()) {
                builder = builder.name(name);
            }
            if let Some(doc) = doc {
                builder = builder.doc(doc);
            }
            if let Some(parameter) = parameter {
                builder = builder.parameter("p", parameter.as_str()).parameter("q", parameter);
            }
            if let Some(version) = version.filter(|_| schema.version().is_none()) {
                builder = builder.version(version);
            }
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

fn is_finite(value: &Value) -> bool {
    !value.is_null()
        && !matches!(value, Value::Float32(number) if !number.is_finite())
        && !matches!(value, Value::Float64(number) if !number.is_finite())
}

pub(crate) fn array(inner: impl Strategy<Value = Sample>) -> impl Strategy<Value = Sample> {
    (inner, 0..3_usize).prop_map(|((schema, [a, b, c]), turn)| {
        let mut all = [vec![a.clone(), b.clone()], vec![c, a, b], vec![]].map(Value::Array);
        all.rotate_left(turn);
        (SchemaBuilder::array(schema).build().unwrap(), all)
    })
}

/// Maps with these keys.
pub(crate) fn map(
    key: SchemaRef,
    keys: [Value; 3],
    inner: impl Strategy<Value = Sample>,
) -> impl Strategy<Value = Sample> {
    inner.prop_map(move |(schema, [a, b, c])| {
        let [x, y, z] = keys.clone();
        let all = [vec![(x, a), (y, b)], vec![], vec![(z, c)]].map(Value::Map);
        (SchemaBuilder::map(SchemaRef::clone(&key), schema).build().unwrap(), all)
    })
}

/// A struct of these fields.
pub(crate) fn record(builder: SchemaBuilder, fields: &[(String, Sample)]) -> Sample {
    let builder = fields.iter().fold(builder, |builder, (name, (schema, _))| {
        builder.field(name.as_str(), SchemaRef::clone(schema))
    });
    let schema = builder.build().unwrap();
    let values = [0, 1, 2].map(|at| {
        let mut record = Struct::new(SchemaRef::clone(&schema)).unwrap();
        for (index, (_, (_, values))) in fields.iter().enumerate() {
            record.put_at(index, values[at].clone()).unwrap();
        }
        Value::from(record)
    });
    (schema, values)
}

/// The schema, with each schema in it as `rename` makes it anew: its name and its parameters.
pub(crate) fn renamed(
    schema: &SchemaRef,
    rename: &mut dyn FnMut(&SchemaRef, SchemaBuilder) -> SchemaBuilder,
) -> SchemaRef {
    let builder = match schema.type_() {
        Type::Struct => {
            let mut builder = SchemaBuilder::struct_();
            for field in schema.fields().unwrap() {
                builder = builder.field(&*field.name, renamed(&field.schema, rename));
            }
            builder
        }
        Type::Array => SchemaBuilder::array(renamed(schema.value_schema().unwrap(), rename)),
        Type::Map => SchemaBuilder::map(
            SchemaRef::clone(schema.key_schema().unwrap()),
            renamed(schema.value_schema().unwrap(), rename),
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
    let mut builder = rename(schema, builder);
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
pub(crate) fn of_schema(schema: &SchemaRef, value: Value) -> Value {
    with_leaves(schema, value, &|_, value| value)
}

/// The same, with all other values as `leaf` makes them.
pub(crate) fn with_leaves(schema: &SchemaRef, value: Value, leaf: &dyn Fn(&SchemaRef, Value) -> Value) -> Value {
    let of = schema.value_schema().ok();
    if let Value::Struct(record) = value {
        let mut out = Struct::new(SchemaRef::clone(schema)).unwrap();
        for (index, value) in record.into_values().into_iter().enumerate() {
            let field = SchemaRef::clone(&schema.fields().unwrap()[index].schema);
            out.put_at(index, with_leaves(&field, value, leaf)).unwrap();
        }
        Value::from(out)
    } else if let Value::Array(elements) = value {
        let element = |value| with_leaves(of.unwrap(), value, leaf);
        Value::Array(elements.into_iter().map(element).collect())
    } else if let Value::Map(entries) = value {
        let entry = |(key, value)| (key, with_leaves(of.unwrap(), value, leaf));
        Value::Map(entries.into_iter().map(entry).collect())
    } else {
        leaf(schema, value)
    }
}
