//! `ExtractNewRecordState`: the row of a change event takes the place of the event.

mod drop_fields;
mod reference;
#[cfg(test)]
mod tests;

use std::cell::OnceCell;
use std::sync::Arc;

use dray_connect::config::{ConfigDef, ConfigType, Importance, ParsedConfig, Width};
use dray_connect::datum::{Datum, Field as Value, ValueRef};
use dray_connect::schema::{Field, Schema, SchemaBuilder, SchemaRef, Type, validate_field};
use dray_connect::{Error, Result};

use self::drop_fields::DropFields;
use self::reference::{Found, Reference, references};
use super::{AFTER, BEFORE, OP, chosen, field, is_blank, is_envelope, key, one_of, raw, typed, wrong_class};
use crate::plans::{Defaults, Plans, copy_schema_basics};
use crate::record::not_a_struct;
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "ExtractNewRecordState",
    sided: false,
    definition,
    make: |_, config| Ok(Box::new(ExtractNewRecordState::new(config)?)),
};

const MODES: &[&str] = &[
    "drop",
    "tombstone",
    "rewrite",
    "rewrite-with-tombstone",
    "delete-to-tombstone",
];
const MODE: &str = "delete.tombstone.handling.mode";
const ROUTE: &str = "route.by.field";
const REPLACE_NULL: &str = "replace.null.with.default";
/// What says in a rewritten record whether its row was deleted.
const DELETED: &str = "__deleted";

fn definition() -> ConfigDef {
    use ConfigType::{Boolean, List, String};
    use Importance::{Low, Medium};
    let added = "Fields of the event or of its source, as field, struct.field or struct.field:name; the prefix and, where a \
                 struct is given, its name stand before the name.";
    ConfigDef::new()
        .define(
            key(
                (MODE, "Handle delete and tombstone records"),
                String,
                (Width::Medium, Medium),
                "What becomes of deletes and tombstones. drop: neither is passed on. tombstone: a delete becomes a tombstone, \
                 and tombstones are dropped. rewrite: a delete becomes the row of before, with __deleted, and tombstones are \
                 dropped. rewrite-with-tombstone: the same, and tombstones pass. delete-to-tombstone: a delete becomes a \
                 tombstone without a schema, and tombstones are dropped.",
            )
            .default_value("tombstone")
            .validator(one_of(MODES)),
        )
        .define(
            key(
                (ROUTE, "Route by field name"),
                String,
                (Width::Long, Low),
                "The field of the row whose value becomes the topic.",
            )
            .default_value(""),
        )
        .define(
            key(
                ("add.fields.prefix", "Field prefix to be added to each field."),
                String,
                (Width::Short, Low),
                "What stands before the names of added fields.",
            )
            .default_value("__"),
        )
        .define(
            key(
                ("add.fields", "Adds the specified field(s) to the message if they exist."),
                List,
                (Width::Long, Low),
                &format!("What is added to the row. {added}"),
            )
            .default_value(""),
        )
        .define(
            key(
                ("add.headers.prefix", "Header prefix to be added to each header."),
                String,
                (Width::Short, Low),
                "What stands before the keys of added headers.",
            )
            .default_value("__"),
        )
        .define(
            key(
                ("add.headers", "Adds the specified fields to the header if they exist."),
                List,
                (Width::Long, Low),
                &format!("What is added as headers. {added}"),
            )
            .default_value(""),
        )
        .define(key(
            (
                "drop.fields.header.name",
                "Specifies a header that contains a list of field names to be removed",
            ),
            String,
            (Width::Short, Low),
            "A header with the names of fields that are taken out of the row.",
        ))
        .define(
            key(
                (
                    "drop.fields.from.key",
                    "Specifies whether the fields to be dropped should also be omitted from the key",
                ),
                Boolean,
                (Width::Short, Low),
                "Whether those fields are taken out of the key as well.",
            )
            .default_value(false),
        )
        .define(
            key(
                (
                    "drop.fields.keep.schema.compatible",
                    "Specifies if fields are dropped, will the event's schemas be compatible",
                ),
                Boolean,
                (Width::Short, Low),
                "Whether only optional fields are taken out.",
            )
            .default_value(true),
        )
}

/// What becomes of deletes and tombstones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Drop,
    Tombstone,
    Rewrite,
    RewriteWithTombstone,
    DeleteToTombstone,
}

struct ExtractNewRecordState {
    mode: Mode,
    /// The row's field that names the topic.
    route: Option<String>,
    headers: Vec<Reference>,
    fields: Vec<Reference>,
    replace_null: bool,
    dropped: Option<DropFields>,
    plans: Plans<Plan>,
    /// The values that are added to the row at hand; kept for its allocation.
    added: Vec<Datum>,
}

/// What is known about events of one schema. Each part is worked out by the first record that needs it, as an error in one
/// is no error of records that do without.
#[derive(Default)]
struct Plan {
    headers: OnceCell<Vec<Found>>,
    fields: OnceCell<Vec<Found>>,
    upsert: OnceCell<Row>,
    delete: OnceCell<Row>,
}

/// The row that comes out.
struct Row {
    schema: SchemaRef,
    /// Those that rewriting puts in place of null.
    defaults: Defaults,
}

impl ExtractNewRecordState {
    fn new(config: &ParsedConfig) -> Result<Self> {
        let mode = match chosen(MODES, config, MODE) {
            "drop" => Mode::Drop,
            "rewrite" => Mode::Rewrite,
            "rewrite-with-tombstone" => Mode::RewriteWithTombstone,
            "delete-to-tombstone" => Mode::DeleteToTombstone,
            _ => Mode::Tombstone,
        };
        let replace_null = config.originals().get(REPLACE_NULL);
        let replace_null = !replace_null.is_some_and(|text| text.trim().eq_ignore_ascii_case("false"));
        let route = raw(config, ROUTE).unwrap_or_default();
        Ok(Self {
            mode,
            route: (!route.is_empty()).then(|| route.to_owned()),
            headers: references(config, "add.headers")?,
            fields: references(config, "add.fields")?,
            replace_null,
            dropped: DropFields::new(config)?,
            plans: Plans::default(),
            added: Vec::new(),
        })
    }

    fn rewrites(&self) -> bool {
        matches!(self.mode, Mode::Rewrite | Mode::RewriteWithTombstone)
    }

    fn tombstone(&self, record: &mut ConnectRecord<'_>) -> Applied {
        // Nothing is known of one but that it stands for a delete.
        for header in self.headers.iter().filter(|header| header.is_operation()) {
            record.headers_mut().add_string(Arc::clone(&header.name), Some("d"));
        }
        match self.mode {
            Mode::RewriteWithTombstone => Applied::Kept,
            Mode::Drop | Mode::Tombstone | Mode::Rewrite | Mode::DeleteToTombstone => Applied::Dropped,
        }
    }

    fn event(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let schema = match record.schema(Side::Value) {
            Some(schema) => Arc::clone(schema),
            None => return Ok(Applied::Kept),
        };
        let rewrites = self.rewrites();
        let plan = self.plans.get(&schema, |_| Ok(Plan::default()))?;
        if !self.headers.is_empty() {
            let headers = known(&plan.headers, || {
                self.headers.iter().map(|header| header.find(&schema)).collect()
            })?;
            add_headers(record, &self.headers, headers)?;
        }
        let (_, values) = record.fields(Side::Value, "field extraction")?;
        let after = extracted(&schema, values, AFTER)?;
        let (from, row, deleted) = match after {
            Some(after) => (AFTER, after, false),
            None => match extracted(&schema, values, BEFORE)? {
                // Neither: the table was truncated.
                None => return Ok(Applied::Dropped),
                Some(before) => (BEFORE, before, true),
            },
        };
        if deleted && self.mode == Mode::Drop {
            return Ok(Applied::Dropped);
        }
        let kept = !deleted || rewrites;
        self.added.clear();
        if kept {
            let fields = known(&plan.fields, || {
                self.fields.iter().map(|field| field.find(&schema)).collect()
            })?;
            let added = fields.iter().filter(|found| found.is_there());
            self.added
                .extend(added.map(|found| found.value(values, record.backing())));
        }
        let topic = match &self.route {
            None => None,
            Some(route) => topic(record, &schema, (from, row), route, rewrites && self.replace_null)?,
        };
        let rewritten = rewrites.then_some(if deleted { "true" } else { "false" });
        if kept {
            let cell = if deleted { &plan.delete } else { &plan.upsert };
            let fields = &plan.fields;
            let shape = known(cell, || {
                shape(
                    &schema,
                    from,
                    rewritten.is_some(),
                    self.replace_null,
                    fields.get(),
                    &self.fields,
                )
            })?;
            put_row(record, &schema, from, row, shape, rewritten, &self.added)?;
        } else {
            put_nothing(record, &schema, self.mode)?;
        }
        if let Some(topic) = topic {
            record.set_topic(&topic);
        }
        if let Some(dropped) = &mut self.dropped {
            dropped.apply(record)?;
        }
        Ok(Applied::Kept)
    }
}

impl Transformation for ExtractNewRecordState {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        if record.is_null(Side::Value) {
            return Ok(self.tombstone(record));
        }
        if !is_envelope(record) {
            return Ok(Applied::Kept);
        }
        self.event(record)
    }
}

/// What the cell holds, worked out if it is empty; an error is not kept.
fn known<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T>) -> Result<&T> {
    if let Some(known) = cell.get() {
        return Ok(known);
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made))
}

fn add_headers(record: &mut ConnectRecord<'_>, references: &[Reference], found: &[Found]) -> Result<()> {
    let (_, values) = record.fields(Side::Value, "source field insertion")?;
    let mut added = Vec::with_capacity(found.len());
    for (reference, found) in references.iter().zip(found) {
        if let Some(schema) = found.schema() {
            let value = found.value(values, record.backing()).view(record.backing()).to_value();
            added.push((Arc::clone(&reference.name), value, Arc::clone(schema)));
        }
    }
    for (name, value, schema) in added {
        record.headers_mut().add_value(name, value, schema)?;
    }
    Ok(())
}

/// The field of an event that holds a row: none where it is null and has no default.
fn extracted(schema: &SchemaRef, values: &[Datum], name: &str) -> Result<Option<Datum>> {
    let Some(field) = schema.lookup_field(name)? else {
        return Err(Error::illegal_argument(format!("Unknown field: {name}")));
    };
    let datum = values.get(field.index).copied().unwrap_or_default();
    // A default is put in when the row is used: it does not lie in the batch.
    Ok((datum != Datum::Null || field.schema.default().is_some()).then_some(datum))
}

/// The row's own topic; none where the field is blank. In a row that is rewritten a default stands for null.
fn topic(
    record: &ConnectRecord<'_>,
    event: &SchemaRef,
    (from, row): (&str, Datum),
    route: &str,
    defaults: bool,
) -> Result<Option<Arc<str>>> {
    let schema = &typed(event, from, Type::Struct)?.schema;
    let backing = record.backing();
    let Datum::Struct(_) = row else {
        return Err(not_a_struct(
            "Read record to set topic routing for CREATE / UPDATE",
            row.view(backing).java_class(),
        ));
    };
    let field = typed(schema, route, Type::String)?;
    let value = row.parts(backing).get(field.index).copied().unwrap_or_default();
    let value = match (value, field.schema.default()) {
        (Datum::Null, Some(default)) if defaults && from == AFTER => default.into(),
        (value, _) => value.view(backing),
    };
    match (value, value.as_str()) {
        (ValueRef::Null, _) => Ok(None),
        (_, Some(topic)) if is_blank(topic) => Ok(None),
        (_, Some(topic)) => Ok(Some(topic.into())),
        (other, None) => Err(wrong_class(route, other, "java.lang.String")),
    }
}

/// The row's schema with what is added to it.
fn shape(
    event: &SchemaRef,
    from: &str,
    rewritten: bool,
    replace_null: bool,
    found: Option<&Vec<Found>>,
    references: &[Reference],
) -> Result<Row> {
    let row = &field(event, from)?.schema;
    typed(event, OP, Type::String)?;
    if row.type_() != Type::Struct {
        return Err(not_a_struct("source field insertion", java_class(row)));
    }
    let mut builder = copy_schema_basics(row, SchemaBuilder::struct_());
    for Field { name, schema, .. } in row.fields()? {
        builder = builder.field(Arc::clone(name), Arc::clone(schema));
    }
    if rewritten {
        builder = builder.field(DELETED, Schema::optional_string());
    }
    for (reference, found) in references.iter().zip(found.into_iter().flatten()) {
        if let Some(schema) = found.schema() {
            builder = builder.field(Arc::clone(&reference.name), Arc::clone(schema));
        }
    }
    Ok(Row {
        schema: builder.build()?,
        defaults: Defaults::of(row, rewritten && replace_null)?,
    })
}

/// The class of values of a schema that is no struct's.
fn java_class(schema: &Schema) -> &'static str {
    match schema.type_() {
        Type::String => "java.lang.String",
        Type::Map => "java.util.HashMap",
        Type::Array => "java.util.ArrayList",
        Type::Bytes => "[B",
        Type::Boolean => "java.lang.Boolean",
        Type::Int8 => "java.lang.Byte",
        Type::Int16 => "java.lang.Short",
        Type::Int32 => "java.lang.Integer",
        Type::Int64 => "java.lang.Long",
        Type::Float32 => "java.lang.Float",
        Type::Float64 => "java.lang.Double",
        Type::Struct => "org.apache.kafka.connect.data.Struct",
    }
}

fn put_row(
    record: &mut ConnectRecord<'_>,
    event: &SchemaRef,
    from: &str,
    row: Datum,
    shape: &Row,
    rewritten: Option<&str>,
    added: &[Datum],
) -> Result<()> {
    put(record, event, from, row)?;
    let mut fields = record.record(Side::Value, "source field insertion")?;
    if rewritten.is_some() {
        fields.change(|values, backing| shape.defaults.fill(values, backing));
    }
    fields.refuse_null()?;
    let all = shape.schema.fields()?;
    for (field, value) in all[all.len() - added.len()..].iter().zip(added) {
        // Its schema has lost its fields.
        if let Datum::Struct(_) = value {
            validate_field(&field.name, &field.schema, value.view(fields.backing()))?;
        }
    }
    fields.reshape(&shape.schema, |values, backing| {
        values.extend(rewritten.map(|deleted| backing.text(deleted)));
        values.extend_from_slice(added);
    });
    Ok(())
}

/// Puts a field of the event in its place; the field's default where the value is null.
fn put(record: &mut ConnectRecord<'_>, event: &SchemaRef, from: &str, value: Datum) -> Result<()> {
    let field = field(event, from)?;
    let backing = record.backing_mut();
    let datum = match (value, field.schema.default()) {
        (Datum::Null, Some(default)) => backing.value(default),
        (value, _) => value,
    };
    let schema = Some(backing.schema(&field.schema));
    record.set(Side::Value, Value { schema, datum });
    Ok(())
}

fn put_nothing(record: &mut ConnectRecord<'_>, event: &SchemaRef, mode: Mode) -> Result<()> {
    if mode == Mode::DeleteToTombstone {
        record.set(Side::Value, Value::schemaless(Datum::Null));
        return Ok(());
    }
    put(record, event, AFTER, Datum::Null)
}
