//! Any schema of Connect that Avro has room for, with a value of it.

use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_connect::value::Value;
use proptest::prelude::*;

use crate::arbitrary::{
    Sample, array, attached, calendar, decimal, map, of, of_schema, record, renamed, scalars, symbols, three,
};

const ENUM: &str = "io.confluent.connect.avro.Enum";

/// A schema, and three values of it, which are null where it is optional.
pub(super) fn schema_and_values() -> impl Strategy<Value = Sample> {
    sample().prop_map(|(schema, values)| {
        let schema = numbered(&schema);
        let values = values.map(|value| of_schema(&schema, value));
        (schema, values)
    })
}

fn scalar() -> impl Strategy<Value = Sample> {
    // Named types: one of a fixed size and an enum.
    let fixed = SchemaBuilder::bytes().name("x").parameter("connect.fixed.size", "3");
    let color = ["", ".A", ".B"]
        .into_iter()
        .fold(SchemaBuilder::string(), |builder, symbol| {
            builder.parameter(format!("{ENUM}{symbol}"), symbol.trim_start_matches('.'))
        });
    prop_oneof![
        7 => scalars(),
        3 => calendar(),
        1 => decimal(),
        1 => of(Schema::float32(), three(any::<f32>(), Value::Float32)),
        1 => of(Schema::float64(), three(any::<f64>(), Value::Float64)),
        1 => of(fixed.build().unwrap(), three(any::<[u8; 3]>(), |bytes| Value::bytes(bytes.to_vec()))),
        1 => symbols(color.name("x")),
    ]
}

fn sample() -> impl Strategy<Value = Sample> {
    attached(false, scalar()).prop_recursive(3, 24, 4, |inner| {
        let inner = inner.boxed();
        let named = map(Schema::string(), ["k", "", "z"].map(Value::from), inner.clone());
        let entries = map(Schema::int32(), [1, -9, 0].map(Value::Int32), inner.clone());
        let structs = prop::collection::vec(inner.clone(), 0..5).prop_map(|samples| {
            let named = samples.into_iter().enumerate();
            let fields: Vec<_> = named.map(|(index, sample)| (format!("f{index}"), sample)).collect();
            record(SchemaBuilder::struct_().name("x"), &fields)
        });
        attached(false, prop_oneof![array(inner), named, entries, structs])
    })
}

/// The schema with a name of its own for each named type.
fn numbered(schema: &SchemaRef) -> SchemaRef {
    let mut count = 0;
    renamed(schema, &mut |schema, mut builder| {
        let name = schema.name().filter(|name| *name == "x").map(|_| {
            count += 1;
            format!("space.N{count}")
        });
        if let Some(name) = name.as_deref().or(schema.name()) {
            builder = builder.name(name);
        }
        for (key, value) in schema.parameters().into_iter().flatten() {
            let value = if key == ENUM {
                name.clone().unwrap()
            } else {
                value.clone()
            };
            builder = builder.parameter(key, value);
        }
        builder
    })
}
