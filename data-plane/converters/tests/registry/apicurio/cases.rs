//! Values that both converters write: random ones of random schemas, and those that a generator of schemas does not come to.

use std::fmt;

use dray_connect::logical;
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef, Type};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use super::{SETTINGS, arbitrary, describe};
use crate::topic;

/// Random schemas, with up to three values each.
const SCHEMAS: usize = 300;

/// A value that both write.
pub(super) struct Case {
    /// Of this schema only, which is version 1 of its subject then.
    pub(super) topic: String,
    /// Which of the settings.
    pub(super) settings: usize,
    /// Whether Apicurio's registers named types by themselves.
    pub(super) references: bool,
    pub(super) schema: Option<SchemaRef>,
    pub(super) value: Value,
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (settings, references) = (SETTINGS[self.settings], self.references);
        let (schema, value) = (describe::schema(self.schema.as_deref()), describe::value(&self.value));
        write!(f, "{settings:?} references {references} {schema} {value}")
    }
}

/// The same each time; `PROPTEST_RNG_SEED=n` makes others.
pub(super) fn cases() -> Vec<Case> {
    let mut config = Config::default();
    if let RngSeed::Random = config.rng_seed {
        config.rng_seed = RngSeed::Fixed(1);
    }
    let mut runner = TestRunner::new(config);
    let samples = arbitrary::schema_and_values();
    let mut cases = Vec::new();
    for number in 0..SCHEMAS {
        let (schema, values) = samples.new_tree(&mut runner).unwrap().current();
        let (schema, values) = within(schema, values);
        let (settings, references) = (number % SETTINGS.len(), number % 4 == 0);
        add(&mut cases, settings, references, Some(schema), values);
    }
    for settings in 0..SETTINGS.len() {
        for (schema, value) in edges() {
            add(&mut cases, settings, false, schema, [value]);
        }
    }
    cases
}

fn add(
    cases: &mut Vec<Case>,
    settings: usize,
    references: bool,
    schema: Option<SchemaRef>,
    values: impl IntoIterator<Item = Value>,
) {
    let topic = topic();
    // A message that is null has no bytes, and no schema.
    for value in values.into_iter().filter(|value| !value.is_null()) {
        cases.push(Case {
            topic: topic.clone(),
            settings,
            references,
            schema: schema.clone(),
            value,
        });
    }
}

/// In a record, unless it is one: of what is none, Apicurio's converter tells no schema.
fn within(schema: SchemaRef, values: [Value; 3]) -> (SchemaRef, [Value; 3]) {
    if schema.type_() == Type::Struct && !schema.optional() {
        return (schema, values);
    }
    let whole = SchemaBuilder::struct_().name("space.Whole").field("of", schema);
    let whole = whole.build().unwrap();
    let values = values.map(|value| {
        let mut record = Struct::new(SchemaRef::clone(&whole)).unwrap();
        record.put("of", value).unwrap();
        Value::from(record)
    });
    (whole, values)
}

fn record(name: &str, fields: &[(&str, SchemaRef, Value)]) -> (SchemaRef, Value) {
    let mut builder = SchemaBuilder::struct_().name(name);
    for (name, schema, _) in fields {
        builder = builder.field(*name, SchemaRef::clone(schema));
    }
    let schema = builder.build().unwrap();
    let mut record = Struct::new(SchemaRef::clone(&schema)).unwrap();
    for (name, _, value) in fields {
        record.put(name, value.clone()).unwrap();
    }
    (schema, Value::from(record))
}

/// What is written once with each of the settings.
fn edges() -> Vec<(Option<SchemaRef>, Value)> {
    let optional = |schema: &SchemaRef| schema.to_builder().optional().build().unwrap();
    let mut edges = Vec::new();
    // Values without a schema.
    for value in [
        Value::Boolean(true),
        Value::Int8(-1),
        Value::Int16(300),
        Value::Int32(i32::MIN),
        Value::Int64(i64::MAX),
        Value::Float32(1.5),
        Value::Float64(f64::NAN),
        Value::from("grüße"),
        Value::Array(vec![]),
        Value::Array(vec![Value::Null, Value::Int32(1), Value::from("x")]),
        Value::map([
            (Value::from("k"), Value::Array(vec![Value::Boolean(false)])),
            (Value::Int32(7), Value::Null),
        ]),
        Value::bytes(vec![1, 2]),
        // Refused.
        Value::Date(1),
        Value::Decimal("1.5".parse().unwrap()),
    ] {
        edges.push((None, value));
    }
    // All of a message.
    let (inner, of_inner) = record("space.Inner", &[("x", Schema::optional_int16(), Value::Int16(5))]);
    edges.push((Some(Schema::bytes()), Value::bytes(vec![1, 2, 3])));
    edges.push((Some(Schema::bytes()), Value::bytes(vec![])));
    edges.push((Some(optional(&Schema::bytes())), Value::bytes(vec![9])));
    // A named type twice, once optional; one that is not the same; two with no name.
    let twice = [
        ("a", SchemaRef::clone(&inner), of_inner.clone()),
        ("b", optional(&inner), Value::Null),
        ("c", SchemaRef::clone(&inner), of_inner.clone()),
    ];
    let (schema, value) = record("space.Twice", &twice);
    edges.push((Some(schema), value));
    let (other, of_other) = record("space.Inner", &[("y", Schema::string(), Value::from("z"))]);
    let (schema, value) = record(
        "space.Clash",
        &[
            ("a", SchemaRef::clone(&inner), of_inner.clone()),
            ("b", other, of_other),
        ],
    );
    edges.push((Some(schema), value));
    let unnamed = |name: &str| {
        let schema = SchemaBuilder::struct_().field(name, Schema::int32()).build().unwrap();
        let mut record = Struct::new(SchemaRef::clone(&schema)).unwrap();
        record.put(name, Value::Int32(1)).unwrap();
        (schema, Value::from(record))
    };
    let ((a, of_a), (b, of_b)) = (unnamed("p"), unnamed("q"));
    edges.push((Some(SchemaRef::clone(&a)), of_a.clone()));
    let (schema, value) = record("space.Unnamed", &[("a", a, of_a), ("b", b, of_b)]);
    edges.push((Some(schema), value));
    // Maps with keys that are no texts, with a name, with optional keys; two of them.
    let numbers = SchemaBuilder::map(Schema::int32(), Schema::string()).build().unwrap();
    let named = SchemaBuilder::map(Schema::int32(), Schema::string())
        .name("space.Entries")
        .build()
        .unwrap();
    let entries = Value::map([(Value::Int32(1), Value::from("a"))]);
    edges.push((Some(named), entries.clone()));
    let keys = SchemaBuilder::map(Schema::optional_string(), Schema::string())
        .build()
        .unwrap();
    edges.push((Some(keys), Value::map([(Value::Null, Value::from("a"))])));
    let other = SchemaBuilder::map(Schema::int64(), Schema::string()).build().unwrap();
    let (schema, value) = record(
        "space.Maps",
        &[
            ("a", SchemaRef::clone(&numbers), entries.clone()),
            ("b", SchemaRef::clone(&numbers), entries.clone()),
        ],
    );
    edges.push((Some(schema), value));
    let others = Value::map([(Value::Int64(1), Value::from("a"))]);
    let (schema, value) = record("space.OtherMaps", &[("a", numbers, entries), ("b", other, others)]);
    edges.push((Some(schema), value));
    edges.extend(unions(&inner));
    edges.extend(decimals());
    edges
}

/// A struct that stands for a union has a field for each branch, of which one has a value.
fn unions(inner: &SchemaRef) -> Vec<(Option<SchemaRef>, Value)> {
    let branch = inner.to_builder().optional().build().unwrap();
    let mut of_branch = Struct::new(SchemaRef::clone(&branch)).unwrap();
    of_branch.put("x", Value::Int16(5)).unwrap();
    let branches = [
        ("int", Schema::optional_int32(), Value::Int32(1)),
        ("string", Schema::optional_string(), Value::from("x")),
        ("Inner", branch, Value::from(of_branch)),
        (
            "array",
            SchemaBuilder::array(Schema::int64()).optional().build().unwrap(),
            Value::Array(vec![Value::Int64(4)]),
        ),
    ];
    let mut found = Vec::new();
    for is_optional in [false, true] {
        let mut builder = SchemaBuilder::struct_().name("io.confluent.connect.avro.Union");
        for (name, schema, _) in &branches {
            builder = builder.field(*name, SchemaRef::clone(schema));
        }
        if is_optional {
            builder = builder.optional();
        }
        let union = builder.build().unwrap();
        for (name, _, value) in &branches {
            let mut record = Struct::new(SchemaRef::clone(&union)).unwrap();
            record.put(name, value.clone()).unwrap();
            let value = Value::from(record);
            found.push((Some(SchemaRef::clone(&union)), value.clone()));
            let fields = [("u", SchemaRef::clone(&union), value)];
            let (schema, value) = self::record("space.WithUnion", &fields);
            found.push((Some(schema), value));
        }
    }
    found
}

fn decimals() -> Vec<(Option<SchemaRef>, Value)> {
    let with = |scale: i32, precision: Option<&str>| {
        let builder = logical::decimal_builder(scale);
        let builder = match precision {
            Some(precision) => builder.parameter("connect.decimal.precision", precision),
            None => builder,
        };
        builder.build().unwrap()
    };
    [
        (with(2, Some("10")), "1.25"),
        (with(0, Some("64")), "12"),
        (with(70, None), "1e-70"),
        (with(-2, None), "12e2"),
        (with(3, Some("2")), "0.001"),
    ]
    .into_iter()
    .map(|(schema, text)| (Some(schema), Value::Decimal(text.parse().unwrap())))
    .collect()
}
