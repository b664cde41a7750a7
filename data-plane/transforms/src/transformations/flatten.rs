//! `Flatten$Key` and `Flatten$Value`: the fields within fields come to the top, under joined names.

use dray_connect::backing::Backing;
use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance};
use dray_connect::datum::{Datum, Utf8Span, ValueRef};
use dray_connect::schema::{SchemaBuilder, SchemaRef, Type, validate_field};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use dray_connect::{Error, Result};

use crate::plans::{Plans, copy_schema_basics};
use crate::record::not_a_name;
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "Flatten",
    sided: true,
    definition: || {
        ConfigDef::new().define(
            ConfigKey::new("delimiter", ConfigType::String)
                .default_value(".")
                .importance(Importance::Medium)
                .doc("What stands between the names that are joined."),
        )
    },
    make: |side, config| {
        Ok(Box::new(Flatten {
            side,
            delimiter: config.string("delimiter").unwrap_or_default().to_owned(),
            plans: Plans::default(),
            row: Vec::new(),
            name: Vec::new(),
        }))
    },
};

const PURPOSE: &str = "flattening";

struct Flatten {
    side: Side,
    delimiter: String,
    plans: Plans<Plan>,
    /// What comes out. Kept from record to record for its allocation, as is the name.
    row: Vec<Datum>,
    name: Vec<u8>,
}

impl Transformation for Flatten {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        if record.is_null(self.side) {
            return Ok(Applied::Kept);
        }
        if record.schema(self.side).is_none() {
            self.schemaless(record)?;
        } else {
            self.with_schema(record)?;
        }
        Ok(Applied::Kept)
    }
}

impl Flatten {
    fn schemaless(&mut self, record: &mut ConnectRecord<'_>) -> Result<()> {
        let (entries, _) = record.entries(self.side, PURPOSE)?.as_chunks::<2>();
        if entries.iter().all(|[key, value]| is_flat(*key, *value)) {
            return Ok(());
        }
        let mut map = record.map(self.side, PURPOSE)?;
        self.row.clear();
        self.name.clear();
        let mut entries = Entries {
            delimiter: self.delimiter.as_bytes(),
            row: &mut self.row,
            name: &mut self.name,
            nested: false,
            may_repeat: self.delimiter.len() != 1,
        };
        for index in 0..map.len() {
            let (key, value) = (map.parts()[2 * index], map.parts()[2 * index + 1]);
            entries.add(key, value, map.backing_mut())?;
        }
        let Entries { nested, may_repeat, .. } = entries;
        if nested {
            map.replace(&self.row);
            if may_repeat {
                map.keep_last_of_each_name();
            }
        }
        Ok(())
    }

    fn with_schema(&mut self, record: &mut ConnectRecord<'_>) -> Result<()> {
        let mut fields = record.record(self.side, PURPOSE)?;
        let delimiter = &self.delimiter;
        let plan = self.plans.get(fields.schema(), |schema| plan(schema, delimiter))?;
        let row = &mut self.row;
        row.clear();
        fields.change(|values, backing| {
            let mut parts = plan.parts.iter().zip(values);
            parts.try_for_each(|(part, value)| part.append(*value, &plan.schema, row, backing))
        })?;
        fields.reshape(&plan.schema, |values, _| std::mem::swap(values, row));
        Ok(())
    }
}

/// Whether an entry comes out as it is.
fn is_flat(key: Datum, value: Datum) -> bool {
    let nested_or_refused = matches!(
        value,
        Datum::Map(_) | Datum::Struct(_) | Datum::Decimal(_) | Datum::Date(_)
    );
    matches!(key, Datum::Str(_)) && !nested_or_refused
}

/// The entries of a map without a schema, while they are being flattened.
struct Entries<'f> {
    delimiter: &'f [u8],
    row: &'f mut Vec<Datum>,
    /// The joined names of the maps around an entry.
    name: &'f mut Vec<u8>,
    /// Whether there was a map in the map.
    nested: bool,
    /// Whether two joined names could be equal. They cannot where the delimiter is one character that no name has.
    may_repeat: bool,
}

impl Entries<'_> {
    fn add(&mut self, key: Datum, value: Datum, backing: &mut Backing) -> Result<()> {
        let Datum::Str(text) = key else {
            return Err(not_a_name(key.view(backing).java_class()));
        };
        match value {
            Datum::Null
            | Datum::Boolean(_)
            | Datum::Int8(_)
            | Datum::Int16(_)
            | Datum::Int32(_)
            | Datum::Int64(_)
            | Datum::Float32(_)
            | Datum::Float64(_)
            | Datum::Str(_)
            | Datum::Bytes(_)
            | Datum::Array(_) => {
                let key = if self.name.is_empty() {
                    self.note(backing.bytes(text.span()));
                    key
                } else {
                    let outer = self.enter(text, backing);
                    let joined = backing.copy(self.name);
                    self.name.truncate(outer);
                    Datum::Str(Utf8Span::checked_by_caller(backing, joined))
                };
                self.row.extend([key, value]);
                Ok(())
            }
            Datum::Map(_) => {
                let outer = self.enter(text, backing);
                self.nested = true;
                self.may_repeat |= self.name.is_empty();
                for index in 0..value.parts(backing).len() / 2 {
                    let parts = value.parts(backing);
                    let (key, value) = (parts[2 * index], parts[2 * index + 1]);
                    self.add(key, value, backing)?;
                }
                self.name.truncate(outer);
                Ok(())
            }
            Datum::Decimal(_) | Datum::Date(_) => Err(Error::data(format!(
                "Flatten transformation was passed a value of type class {} which is not supported by Connect's data API",
                value.view(backing).java_class()
            ))),
            Datum::Struct(_) => {
                self.enter(text, backing);
                Err(Error::data(format!(
                    "Flatten transformation does not support class {} for record without schemas (for field {}).",
                    value.view(backing).java_class(),
                    String::from_utf8_lossy(self.name)
                )))
            }
        }
    }

    /// Joins a name to those around it; returns what to cut the joined name back to.
    fn enter(&mut self, name: Utf8Span, backing: &Backing) -> usize {
        let outer = self.name.len();
        let name = backing.bytes(name.span());
        self.note(name);
        if outer > 0 {
            self.name.extend_from_slice(self.delimiter);
        }
        self.name.extend_from_slice(name);
        outer
    }

    fn note(&mut self, name: &[u8]) {
        self.may_repeat |= self.delimiter.first().is_some_and(|delimiter| name.contains(delimiter));
    }
}

/// The schema that comes out, and what its fields come from.
struct Plan {
    schema: SchemaRef,
    parts: Vec<Part>,
}

enum Part {
    /// A field that comes out. Null is replaced by the default and refused where the new field is required.
    Leaf { default: Option<Value>, required: bool },
    /// A struct, and the number of leaves that it has in all.
    Struct { parts: Vec<Part>, leaves: usize },
}

impl Part {
    fn leaves(&self) -> usize {
        match self {
            Self::Leaf { .. } => 1,
            Self::Struct { leaves, .. } => *leaves,
        }
    }

    /// Appends what comes out of a field with that value.
    fn append(&self, value: Datum, schema: &SchemaRef, row: &mut Vec<Datum>, backing: &mut Backing) -> Result<()> {
        match self {
            Self::Leaf { default, required } => {
                let value = match (value, default) {
                    (Datum::Null, Some(default)) => backing.value(default),
                    (Datum::Null, None) if *required => {
                        let field = &schema.fields()?[row.len()];
                        return validate_field(&field.name, &field.schema, ValueRef::Null);
                    }
                    (value, _) => value,
                };
                row.push(value);
            }
            // Whatever the default of the struct is: its leaves stay null, and nobody asks whether they may.
            Self::Struct { leaves, .. } if value == Datum::Null => row.resize(row.len() + leaves, Datum::Null),
            Self::Struct { parts, .. } => {
                for (index, part) in parts.iter().enumerate() {
                    let value = value.parts(backing).get(index).copied().unwrap_or_default();
                    part.append(value, schema, row, backing)?;
                }
            }
        }
        Ok(())
    }
}

fn plan(schema: &SchemaRef, delimiter: &str) -> Result<Plan> {
    let mut planner = Planner {
        delimiter,
        builder: copy_schema_basics(schema, SchemaBuilder::struct_()),
    };
    let default = schema.default().and_then(Value::as_struct);
    let parts = planner.add(schema, "", schema.optional(), default)?;
    Ok(Plan {
        schema: planner.builder.build()?,
        parts,
    })
}

struct Planner<'p> {
    delimiter: &'p str,
    builder: SchemaBuilder,
}

impl Planner<'_> {
    /// Adds the leaves of a struct schema. `optional` when it or one around it is; `default` is what stands for the struct.
    fn add(&mut self, schema: &SchemaRef, prefix: &str, optional: bool, default: Option<&Struct>) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        for field in schema.fields()? {
            let name = if prefix.is_empty() {
                field.name.to_string()
            } else {
                format!("{prefix}{}{}", self.delimiter, field.name)
            };
            let optional = optional || field.schema.optional();
            let own = field.schema.default();
            let outer = || default.map(|default| default.value_or_default(field));
            let default = own.or_else(outer).filter(|default| !default.is_null());
            match field.schema.type_() {
                Type::Struct if field.schema.is_reference() => {
                    return Err(Error::data(format!(
                        "Flatten transformation does not support structs that contain themselves (field {name}, of {}): \
                         there is no end to their fields. ReplaceField with exclude leaves it out.",
                        field.schema.name().unwrap_or("a struct without a name")
                    )));
                }
                Type::Struct => {
                    let parts_of_field =
                        self.add(&field.schema, &name, optional, default.and_then(Value::as_struct))?;
                    parts.push(Part::Struct {
                        leaves: parts_of_field.iter().map(Part::leaves).sum(),
                        parts: parts_of_field,
                    });
                }
                Type::Map => {
                    return Err(Error::data(format!(
                        "Flatten transformation does not support {} for record with schemas (for field {name}).",
                        field.schema.type_()
                    )));
                }
                Type::Int8
                | Type::Int16
                | Type::Int32
                | Type::Int64
                | Type::Float32
                | Type::Float64
                | Type::Boolean
                | Type::String
                | Type::Bytes
                | Type::Array => {
                    let leaf = leaf(&field.schema, optional, default)?;
                    parts.push(Part::Leaf {
                        default: own.cloned(),
                        required: !optional,
                    });
                    let builder = std::mem::replace(&mut self.builder, SchemaBuilder::struct_());
                    self.builder = builder.field(name, leaf);
                }
            }
        }
        Ok(parts)
    }
}

fn leaf(schema: &SchemaRef, optional: bool, default: Option<&Value>) -> Result<SchemaRef> {
    let bare = if schema.type_() == Type::Array {
        SchemaBuilder::array(SchemaRef::clone(schema.value_schema()?))
    } else {
        SchemaBuilder::of(schema.type_())
    };
    let mut builder = copy_schema_basics(schema, bare);
    if optional {
        builder = builder.optional();
    }
    if let Some(default) = default {
        builder = builder.default_value(default.clone());
    }
    builder.build()
}

#[cfg(test)]
mod tests;
