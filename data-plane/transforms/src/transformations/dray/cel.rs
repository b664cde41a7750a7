//! `Cel`: filters, routes and computes with expressions of the Common Expression Language (crate `cel`).
//!
//! The language has no loops but those over lists and maps that are there (`all`, `exists`, `map`, `filter`), and `cel` counts no
//! steps: what an evaluation may cost is bounded by what an expression may be (`check`) and by how much of a record it may see
//! (`values`). It is a bound, no clock: within it a slow expression stays slow.

mod check;
#[cfg(test)]
mod tests;
mod values;

use std::sync::Arc;

use cel::{Context, Env, Program};
use dray_connect::backing::Backing;
use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, ParsedConfig};
use dray_connect::datum::Datum;
use dray_connect::schema::{SchemaBuilder, SchemaRef};
use dray_connect::value::SchemaAndValue;
use dray_connect::{Error, Result};

use self::values::Measure;
use crate::plans::copy_schema_basics;
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "Cel",
    sided: false,
    definition,
    make: |_, config| Ok(Box::new(Cel::new(config)?)),
};

/// What an expression can name.
const VARIABLES: &[&str] = &["topic", "partition", "timestamp", "key", "value", "headers"];
/// The longest name of a topic that a broker takes.
const LONGEST_TOPIC: usize = 249;
/// Schemas that are made for computed fields and remembered; at the limit it starts anew.
const SCHEMAS: usize = 64;

fn definition() -> ConfigDef {
    let expression = |name: &str, doc: &str| {
        let key = ConfigKey::new(name, ConfigType::String).default_null();
        key.importance(Importance::High).doc(doc)
    };
    ConfigDef::new()
        .define(expression(
            "filter",
            "An expression of the Common Expression Language over topic, partition, timestamp, key, value and headers; a record goes \
             on when it is true. Further keys, field.NAME and header.NAME, give fields of the value and headers the values of \
             their expressions. All of them see the record as it came.",
        ))
        .define(expression("topic", "An expression whose text is the record's topic."))
}

struct Cel {
    env: Arc<Env>,
    filter: Option<Expression>,
    topic: Option<Expression>,
    fields: Vec<Expression>,
    headers: Vec<Expression>,
    schemas: Vec<Made>,
}

/// A schema with computed fields, and what it was made of.
struct Made {
    from: SchemaRef,
    added: Vec<(Arc<str>, SchemaRef)>,
    schema: SchemaRef,
}

struct Expression {
    /// The key that it stands under.
    key: String,
    /// The field or header that it is for.
    name: Arc<str>,
    program: Program,
    /// Which variables it names.
    names: Vec<&'static str>,
    /// How many elements a list or map may have that it sees.
    most: usize,
}

impl Expression {
    fn new(env: &Arc<Env>, key: &str, text: &str) -> Result<Self> {
        let checked = check::check(env, key, text)?;
        let references = checked.program.references();
        let names = VARIABLES
            .iter()
            .copied()
            .filter(|name| references.has_variable(name))
            .collect();
        drop(references);
        Ok(Self {
            key: key.to_owned(),
            name: key.split_once('.').map_or(key, |(_, name)| name).into(),
            names,
            most: checked.most,
            program: checked.program,
        })
    }

    fn value(&self, env: &Arc<Env>, record: &mut ConnectRecord<'_>) -> Result<cel::Value> {
        let mut context = Context::with_env(Arc::clone(env));
        let mut measure = Measure::new(self.most);
        for name in &self.names {
            let value = variable(name, record, &mut measure);
            let value = value.map_err(|problem| Error::data(format!("{} cannot be evaluated: {problem}", self.key)))?;
            context.add_variable_from_value(*name, value);
        }
        // Messages of `cel` show values, which logs must not.
        self.program
            .execute(&context)
            .map_err(|error| self.failed(values::reason(&error)))
    }

    #[cold]
    fn failed(&self, problem: impl std::fmt::Display) -> Error {
        Error::data(format!("{} cannot be evaluated for this record: {problem}", self.key))
    }
}

fn variable(name: &str, record: &mut ConnectRecord<'_>, measure: &mut Measure) -> Result<cel::Value, String> {
    let side = match name {
        "topic" => return Ok(cel::Value::from(&**record.topic())),
        "partition" => {
            return Ok(record
                .kafka_partition
                .map_or(cel::Value::Null, |number| cel::Value::Int(number.into())));
        }
        "timestamp" => return Ok(record.timestamp.map_or(cel::Value::Null, cel::Value::Int)),
        "key" => Side::Key,
        "value" => Side::Value,
        _ => return measure.headers(record.headers()),
    };
    let field = record.field(side);
    measure.value(field.datum.view(record.backing()))
}

impl Cel {
    fn new(config: &ParsedConfig) -> Result<Self> {
        let env = Arc::new(Env::stdlib());
        let one = |key: &str| {
            config
                .string(key)
                .map(|text| Expression::new(&env, key, text))
                .transpose()
        };
        let all = |prefix: &str| {
            let keys = config
                .originals()
                .iter()
                .filter(|(key, _)| key.len() > prefix.len() && key.starts_with(prefix));
            keys.map(|(key, text)| Expression::new(&env, key, text))
                .collect::<Result<Vec<_>>>()
        };
        let cel = Self {
            filter: one("filter")?,
            topic: one("topic")?,
            fields: all("field.")?,
            headers: all("header.")?,
            env: Arc::clone(&env),
            schemas: Vec::new(),
        };
        if cel.filter.is_none() && cel.topic.is_none() && cel.fields.is_empty() && cel.headers.is_empty() {
            return Err(Error::config(
                "Cel has nothing to do: set filter, topic, field.NAME or header.NAME to an expression",
            ));
        }
        Ok(cel)
    }
}

impl Transformation for Cel {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        if let Some(filter) = &self.filter {
            let kept = filter.value(&self.env, record)?;
            let cel::Value::Bool(kept) = kept else {
                return Err(filter.failed(format_args!("it is {}, and must be true or false", kept.type_of())));
            };
            if !kept {
                return Ok(Applied::Dropped);
            }
        }
        // All see the record as it came: nothing is changed before the last one is known.
        let topic = match &self.topic {
            None => None,
            Some(topic) => Some(text_of_topic(topic, topic.value(&self.env, record)?)?),
        };
        if let Some(field) = self.fields.first()
            && record.is_null(Side::Value)
        {
            return Err(Error::data(format!(
                "{} cannot be set: the record has no value. Keep tombstones from it with a predicate.",
                field.key
            )));
        }
        let mut computed = [Vec::new(), Vec::new()];
        for (expressions, computed) in [&self.fields, &self.headers].into_iter().zip(&mut computed) {
            for expression in expressions {
                let value = expression.value(&self.env, record)?;
                let value = values::to_connect(&value).map_err(|problem| expression.failed(problem))?;
                computed.push((expression, value));
            }
        }
        let [fields, headers] = computed;
        if !fields.is_empty() {
            put_fields(record, fields, &mut self.schemas)?;
        }
        for (header, value) in headers {
            record.headers_mut().remove(&header.name);
            record.headers_mut().add(Arc::clone(&header.name), value)?;
        }
        if let Some(topic) = topic {
            record.set_topic(&topic);
        }
        Ok(Applied::Kept)
    }
}

fn text_of_topic(expression: &Expression, value: cel::Value) -> Result<Arc<str>> {
    let cel::Value::String(text) = value else {
        return Err(expression.failed(format_args!("it is {}, and must be a string", value.type_of())));
    };
    if text.is_empty() || text.len() > LONGEST_TOPIC {
        return Err(expression.failed(format_args!(
            "the topic has {} characters, and must have 1 to {LONGEST_TOPIC}",
            text.len()
        )));
    }
    Ok(text.as_str().into())
}

/// Sets fields at the top of the value: a map, or a struct, whose schema gets those that it does not have.
fn put_fields(
    record: &mut ConnectRecord<'_>,
    computed: Vec<(&Expression, SchemaAndValue)>,
    schemas: &mut Vec<Made>,
) -> Result<()> {
    const PURPOSE: &str = "computing fields";
    if record.schema(Side::Value).is_none() {
        let mut map = record.map(Side::Value, PURPOSE)?;
        for (expression, SchemaAndValue { value, .. }) in computed {
            let datum = map.backing_mut().value(&value);
            map.put(&expression.name, datum);
        }
        return Ok(());
    }
    let mut fields = record.record(Side::Value, PURPOSE)?;
    let before = Arc::clone(fields.schema());
    let (mut set, mut added, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for (expression, SchemaAndValue { schema, value }) in computed {
        match before.field(&expression.name) {
            Some(field) => {
                let value = values::fitting(&field.schema, value).map_err(|problem| expression.failed(problem))?;
                set.push((field.index, value));
            }
            // Nobody knows of what type a null would be.
            None if value.is_null() => {}
            None => match schema {
                Some(schema) => {
                    added.push((Arc::clone(&expression.name), schema));
                    values.push(value);
                }
                None => return Err(expression.failed("a struct takes no lists and maps from an expression")),
            },
        }
    }
    let known = schemas
        .iter()
        .find(|made| Arc::ptr_eq(&made.from, &before) && made.added == added);
    let schema = match known {
        _ if added.is_empty() => before,
        Some(made) => Arc::clone(&made.schema),
        None => {
            let mut builder = copy_schema_basics(&before, SchemaBuilder::struct_());
            if before.optional() {
                builder = builder.optional();
            }
            for field in before.fields()? {
                builder = builder.field(Arc::clone(&field.name), Arc::clone(&field.schema));
            }
            for (name, schema) in &added {
                builder = builder.field(Arc::clone(name), Arc::clone(schema));
            }
            let schema = builder.build()?;
            if schemas.len() == SCHEMAS {
                schemas.clear();
            }
            schemas.push(Made {
                from: before,
                added,
                schema: Arc::clone(&schema),
            });
            schema
        }
    };
    fields.reshape(&schema, |row, backing: &mut Backing| {
        for (index, value) in set {
            row[index] = backing.value(&value);
        }
        let values: Vec<Datum> = values.iter().map(|value| backing.value(value)).collect();
        row.extend(values);
    });
    Ok(())
}
