//! Any schema of Connect that JSON Schema has room for, with a value of it.

use bigdecimal::BigDecimal;
use dray_connect::logical;
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef, Type};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use num_bigint::BigInt;
use proptest::prelude::*;

/// A schema, and three values of it: what is in an array is of one schema.
type Sample = (SchemaRef, [Value; 3]);

pub(super) fn schema_and_value() -> impl Strategy<Value = (SchemaRef, Value)> {
    (sample(), 0..3_usize)
        .prop_map(|((schema, values), at)| (schema, values[at].clone()))
        // What is null where there may be none has no JSON.
        .prop_filter("a message", |(schema, value)| !value.is_null() || schema.optional())
}

fn three<T: std::fmt::Debug + Clone>(
    values: impl Strategy<Value = T> + Clone,
    make: impl Fn(T) -> Value + Clone,
) -> impl Strategy<Value = [Value; 3]> {
    let value = values.prop_map(make);
    [value.clone(), value.clone(), value]
}

/// Numbers that JSON has: finite ones, and one zero only, as in Java's exact numbers.
fn double() -> impl Strategy<Value = f64> + Clone {
    use prop::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL};
    prop_oneof![
        POSITIVE | NEGATIVE | NORMAL | SUBNORMAL,
        (-1000..1000_i32).prop_map(f64::from)
    ]
}

fn float() -> impl Strategy<Value = f32> + Clone {
    use prop::num::f32::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL};
    POSITIVE | NEGATIVE | NORMAL | SUBNORMAL
}

fn scalar() -> impl Strategy<Value = Sample> {
    let of = |schema: SchemaRef, values: BoxedStrategy<[Value; 3]>| {
        values.prop_map(move |values| (schema.clone(), values)).boxed()
    };
    let symbols = ["", ".A", ".B", ".<NULL>"];
    let color = symbols.into_iter().fold(SchemaBuilder::string(), |builder, symbol| {
        let name = "io.confluent.connect.json.Enum";
        builder.parameter(format!("{name}{symbol}"), symbol.trim_start_matches('.'))
    });
    prop_oneof![
        of(Schema::int8(), three(any::<i8>(), Value::Int8).boxed()),
        of(Schema::int16(), three(any::<i16>(), Value::Int16).boxed()),
        of(Schema::int32(), three(any::<i32>(), Value::Int32).boxed()),
        of(Schema::int64(), three(any::<i64>(), Value::Int64).boxed()),
        of(Schema::float32(), three(float(), Value::Float32).boxed()),
        of(Schema::float64(), three(double(), Value::Float64).boxed()),
        of(Schema::boolean(), three(any::<bool>(), Value::Boolean).boxed()),
        of(Schema::string(), three(".{0,9}", Value::string).boxed()),
        of(Schema::bytes(), three(any::<Vec<u8>>(), Value::bytes).boxed()),
        of(
            color.build().unwrap(),
            three(prop::sample::select(vec!["A", "B"]), Value::from).boxed()
        ),
        of(
            logical::date_schema(),
            three(any::<i32>(), |days| Value::Date(i64::from(days) * 86_400_000)).boxed()
        ),
        of(logical::time_schema(), three(0..86_400_000_i64, Value::Date).boxed()),
        of(logical::timestamp_schema(), three(any::<i64>(), Value::Date).boxed()),
        (
            0..20_i64,
            three(any::<i128>(), |n| Value::Decimal(BigDecimal::new(BigInt::from(n), 0)))
        )
            .prop_map(|(scale, values)| {
                let values = values.map(|value| {
                    let Value::Decimal(n) = value else { return value };
                    Value::Decimal(BigDecimal::new(n.as_bigint_and_exponent().0, scale))
                });
                (logical::decimal_schema(scale as i32), values)
            })
            .boxed(),
    ]
}

/// What may be attached to any schema but a union.
fn attached(sample: impl Strategy<Value = Sample>) -> impl Strategy<Value = Sample> {
    let maybe = || prop::option::weighted(0.2, "[a-zü]{1,5}");
    let parts = (maybe(), maybe(), maybe(), prop::option::weighted(0.2, 1..9_i32));
    (sample, any::<bool>(), parts, any::<bool>(), 0..4_usize).prop_map(
        |((schema, mut values), optional, (name, doc, parameter, version), default, null)| {
            let mut builder = schema.to_builder();
            if optional {
                builder = builder.optional();
                if null < 3 {
                    values[null] = Value::Null;
                }
            }
            if let Some(name) = name.filter(|_| schema.name().is_none()) {
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
            if default && schema.type_().is_primitive() && !values[0].is_null() {
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

/// A struct for a number, a text or a struct: kinds that can be told apart.
fn union() -> impl Strategy<Value = Sample> {
    (any::<i64>(), ".{0,5}", double(), any::<bool>()).prop_map(|(number, text, double, optional)| {
        let part = SchemaBuilder::struct_()
            .name("Part")
            .field("x", Schema::float64())
            .optional();
        let part = part.build().unwrap();
        let fields = [
            Schema::optional_int64(),
            SchemaRef::clone(&part),
            Schema::optional_string(),
        ];
        let name = |index: usize| format!("io.confluent.connect.json.OneOf.field.{index}");
        let builder = SchemaBuilder::struct_().name("io.confluent.connect.json.OneOf");
        let mut builder = fields
            .into_iter()
            .enumerate()
            .fold(builder, |builder, (index, field)| builder.field(name(index), field));
        if optional {
            builder = builder.optional();
        }
        let schema = builder.build().unwrap();
        let mut inner = Struct::new(part).unwrap();
        inner.put("x", Value::Float64(double)).unwrap();
        let mut index = 0;
        let values = [Value::Int64(number), Value::from(inner), Value::string(text)].map(|value| {
            let mut record = Struct::new(SchemaRef::clone(&schema)).unwrap();
            record.put_at(index, value).unwrap();
            index += 1;
            Value::from(record)
        });
        (schema, values)
    })
}

fn sample() -> impl Strategy<Value = Sample> {
    prop_oneof![9 => attached(scalar()).boxed(), 1 => union().boxed()].prop_recursive(3, 24, 4, |inner| {
        let inner = inner.boxed();
        let array = (inner.clone(), 0..3_usize).prop_map(|((schema, [a, b, c]), turn)| {
            let mut all = [vec![a.clone(), b.clone()], vec![c, a, b], vec![]].map(Value::Array);
            all.rotate_left(turn);
            (SchemaBuilder::array(schema).build().unwrap(), all)
        });
        let map = |key: SchemaRef, keys: [Value; 3]| {
            inner.clone().prop_map(move |(schema, [a, b, c])| {
                let [x, y, z] = keys.clone();
                let all = [vec![(x, a), (y, b)], vec![], vec![(z, c)]].map(Value::Map);
                (SchemaBuilder::map(SchemaRef::clone(&key), schema).build().unwrap(), all)
            })
        };
        let named = map(Schema::string(), ["k\"", "", "ü"].map(Value::from));
        let entries = map(Schema::int32(), [1, -9, 0].map(Value::Int32));
        let nullable = map(
            Schema::optional_string(),
            [Value::Null, Value::from("a"), Value::from("b")],
        );
        let names = ["id", "name", "größe", "a \"b\\", "e"];
        let record = prop::collection::vec(inner.clone(), 0..5).prop_map(move |fields| {
            let mut builder = SchemaBuilder::struct_();
            for (name, (schema, _)) in names.into_iter().zip(&fields) {
                builder = builder.field(name, SchemaRef::clone(schema));
            }
            let schema = builder.build().unwrap();
            let values = [0, 1, 2].map(|at| {
                let mut record = Struct::new(SchemaRef::clone(&schema)).unwrap();
                for (index, (_, values)) in fields.iter().enumerate() {
                    record.put_at(index, values[at].clone()).unwrap();
                }
                Value::from(record)
            });
            (schema, values)
        });
        attached(prop_oneof![array, named, entries, nullable, record])
    })
}

/// The value with its structs of that schema.
fn of_schema(schema: &SchemaRef, value: Value) -> Value {
    match (schema.type_(), value) {
        (Type::Struct, Value::Struct(record)) => {
            let mut out = Struct::new(SchemaRef::clone(schema)).unwrap();
            for (index, value) in record.into_values().into_iter().enumerate() {
                out.put_at(index, value).unwrap();
            }
            Value::from(out)
        }
        (_, value) => value,
    }
}
