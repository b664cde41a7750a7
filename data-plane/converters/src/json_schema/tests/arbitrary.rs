//! Any schema of Connect that JSON Schema has room for, with a value of it.

use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use proptest::prelude::*;

use crate::arbitrary::{Sample, array, attached, calendar, decimal, map, of, record, scalars, symbols, three};

pub(super) fn schema_and_value() -> impl Strategy<Value = (SchemaRef, Value)> {
    (sample(), 0..3_usize)
        .prop_map(|((schema, values), at)| (schema, values[at].clone()))
        // What is null where there may be none has no JSON.
        .prop_filter("a message", |(schema, value)| !value.is_null() || schema.optional())
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
    let color = ["", ".A", ".B", ".<NULL>"];
    let color = color.into_iter().fold(SchemaBuilder::string(), |builder, symbol| {
        let name = "io.confluent.connect.json.Enum";
        builder.parameter(format!("{name}{symbol}"), symbol.trim_start_matches('.'))
    });
    prop_oneof![
        7 => scalars(),
        3 => calendar(),
        1 => decimal(),
        1 => of(Schema::float32(), three(float(), Value::Float32)),
        1 => of(Schema::float64(), three(double(), Value::Float64)),
        1 => symbols(color),
    ]
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
    prop_oneof![9 => attached(true, scalar()).boxed(), 1 => union().boxed()].prop_recursive(3, 24, 4, |inner| {
        let inner = inner.boxed();
        let named = map(Schema::string(), ["k\"", "", "ü"].map(Value::from), inner.clone());
        let entries = map(Schema::int32(), [1, -9, 0].map(Value::Int32), inner.clone());
        let nullable = map(
            Schema::optional_string(),
            [Value::Null, Value::from("a"), Value::from("b")],
            inner.clone(),
        );
        let structs = prop::collection::vec(inner.clone(), 0..5).prop_map(|samples| {
            let names = ["id", "name", "größe", "a \"b\\", "e"].map(str::to_owned);
            let fields: Vec<_> = names.into_iter().zip(samples).collect();
            record(SchemaBuilder::struct_(), &fields)
        });
        attached(true, prop_oneof![array(inner), named, entries, nullable, structs])
    })
}
