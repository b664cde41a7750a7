//! From Connect's schemas to Avro's.

use std::collections::HashMap;

use dray_connect::logical::{self, Logical};
use dray_connect::schema::{Field, Schema as Connect, SchemaRef, Type};
use dray_connect::{Error, Result};
use serde_json::{Map, Value as Json};

use super::anything;
use super::default;
use super::schema::{Enum, Fixed, Kind, Name, Record, RecordField, Schema, TypeId, name_problem};
use super::settings::{
    DEFAULT_NAME, ENUM, ENUM_DEFAULT, ENUM_DOC, FIELD_DEFAULT, FIELD_DOC, FIXED_SIZE, MAP_ENTRY, NAMESPACE, PRECISION,
    PRECISION_DEFAULT, RECORD_DOC, SUM_ENUM, SUM_UNION, Settings, UNION,
};
use crate::again::has_same_fields;

/// Records that lead to each other and back, within each other: who prints or reads the schema recurses.
const MAX_LEVELS: usize = 100;

/// The Avro schema of a Connect schema; without one, that of anything.
pub(super) fn from_connect(schema: Option<&SchemaRef>, settings: &Settings) -> Result<Schema> {
    let Some(connect) = schema else {
        return Ok(anything::schema());
    };
    let mut mapping = Mapping {
        schema: Schema::default(),
        settings,
        named: HashMap::new(),
        unnamed: 0,
        entries: 0,
        maps: Vec::new(),
        within: Vec::new(),
        level: 0,
    };
    let root = mapping.of(connect)?;
    mapping.schema.set_root(root);
    Ok(mapping.schema)
}

struct Mapping<'a> {
    schema: Schema,
    settings: &'a Settings,
    /// What stands for each named type, by its full name.
    named: HashMap<String, (SchemaRef, TypeId)>,
    unnamed: usize,
    /// Names for entries of maps that have none themselves.
    entries: usize,
    /// Those maps, and the records of their entries.
    maps: Vec<(SchemaRef, TypeId)>,
    /// Structs without a name that contain themselves, around what is being made.
    within: Vec<(SchemaRef, TypeId)>,
    /// Records within each other that contain themselves.
    level: usize,
}

impl Mapping<'_> {
    /// The type of a schema, with null where that is allowed.
    fn of(&mut self, connect: &SchemaRef) -> Result<TypeId> {
        if is_union(connect) {
            return self.union(connect);
        }
        let base = self.base(connect)?;
        if !connect.optional() {
            return Ok(base);
        }
        let null = self.schema.add(Kind::Null, Map::new());
        // The default of a union is its first branch's.
        let has_default = connect.default().is_some() && connect.type_() != Type::Struct;
        let branches = if has_default {
            vec![base, null]
        } else {
            vec![null, base]
        };
        Ok(self.schema.add(Kind::Union(branches), Map::new()))
    }

    fn union(&mut self, connect: &SchemaRef) -> Result<TypeId> {
        let mut branches = Vec::new();
        if connect.optional() {
            branches.push(self.schema.add(Kind::Null, Map::new()));
        }
        for field in connect.fields()? {
            if is_union(&field.schema) {
                return Err(Error::data("a union within a union cannot be written as Avro"));
            }
            let branch = self.base(&field.schema)?;
            let name = |id: TypeId| {
                let kind = self.schema.kind(id);
                kind.name().map_or_else(|| kind.word().to_owned(), Name::full)
            };
            if branches.iter().any(|before| name(*before) == name(branch)) {
                let text = format!("a union cannot have two branches of Avro's type {}", name(branch));
                return Err(Error::data(text));
            }
            branches.push(branch);
        }
        Ok(self.schema.add(Kind::Union(branches), Map::new()))
    }

    /// The type of a schema as if null were not allowed.
    fn base(&mut self, connect: &SchemaRef) -> Result<TypeId> {
        let mut attributes = Map::new();
        let kind = match connect.type_() {
            Type::Int8 | Type::Int16 | Type::Int32 => Kind::Int,
            Type::Int64 => Kind::Long,
            Type::Float32 => Kind::Float,
            Type::Float64 => Kind::Double,
            Type::Boolean => Kind::Boolean,
            Type::String => match self.enumeration(connect)? {
                Some(kind) => kind,
                None => Kind::String,
            },
            Type::Bytes => {
                let kind = self.bytes(connect)?;
                if Logical::of(connect) == Some(Logical::Decimal) {
                    attributes.insert("scale".into(), logical::decimal_scale(connect)?.into());
                    attributes.insert("precision".into(), precision(connect).into());
                }
                kind
            }
            Type::Array => Kind::Array(self.of(connect.value_schema()?)?),
            Type::Map => self.map(connect)?,
            Type::Struct => return self.record(connect),
        };
        if let Some(name) = kind.name() {
            let full = name.full();
            if let Some(known) = self.known(&full, connect)? {
                return Ok(known);
            }
            let id = self.finish(kind, attributes, connect);
            self.named.insert(full, (SchemaRef::clone(connect), id));
            return Ok(id);
        }
        Ok(self.finish(kind, attributes, connect))
    }

    fn record(&mut self, connect: &SchemaRef) -> Result<TypeId> {
        if let Some(name) = connect.name() {
            let full = self.settings.scrubbed_full(name);
            if let Some(known) = self.known(&full, connect)? {
                return Ok(known);
            }
        }
        let reference = connect.is_reference().then_some(connect);
        if let Some(reference) = reference
            && let Some((_, known)) = self.within.iter().find(|(around, _)| around.refers_to_same(reference))
        {
            return Ok(*known);
        }
        if reference.is_some() {
            self.level += 1;
            if self.level > MAX_LEVELS {
                return Err(Error::data(format!("Schema nests deeper than {MAX_LEVELS} levels")));
            }
        }
        let connect = &Connect::resolved(connect);
        let name = self.name_or_default(connect.name())?;
        let full = name.full();
        // What is in it may refer to it.
        let record = Record {
            name,
            doc: None,
            fields: Vec::new(),
        };
        let id = self.finish(Kind::Record(record), Map::new(), connect);
        self.named.insert(full.clone(), (SchemaRef::clone(connect), id));
        if let Some(reference) = reference.filter(|reference| reference.name().is_none()) {
            self.within.push((SchemaRef::clone(reference), id));
        }
        let parameter = |key: &str| connect.parameters().and_then(|all| all.get(key)).cloned();
        let discards = self.settings.discard_type_docs;
        let doc = parameter(if discards { "connect.record.doc" } else { RECORD_DOC });
        let mut fields = Vec::new();
        for field in connect.fields()? {
            let doc = if discards {
                field.schema.doc().map(str::to_owned)
            } else {
                parameter(&format!("{FIELD_DOC}{}", field.name))
            };
            let field = self.field(field, doc)?;
            if fields.iter().any(|before: &RecordField| before.name == field.name) {
                let text = format!("two fields of {full} are both {} in Avro", field.name);
                return Err(Error::data(text));
            }
            fields.push(field);
        }
        if let Kind::Record(record) = &mut self.schema.at_mut(id).kind {
            record.doc = doc;
            record.fields = fields;
        }
        self.level -= usize::from(reference.is_some());
        Ok(id)
    }

    fn field(&mut self, field: &Field, doc: Option<String>) -> Result<RecordField> {
        let name = self.settings.scrubbed(&field.name);
        if let Some(problem) = name_problem(&name) {
            return Err(bad_name(&problem));
        }
        let of = self.of(&field.schema)?;
        let default = match field.schema.default() {
            Some(value) => default::write(&field.schema, value, self.settings),
            None => field.schema.optional().then_some(Json::Null),
        };
        Ok(RecordField {
            name: name.as_ref().into(),
            doc,
            // One that Avro would not take is left out, as in Java.
            default: default.filter(|json| default::fits(&self.schema, of, json)),
            of,
            attributes: Map::new(),
        })
    }

    fn map(&mut self, connect: &SchemaRef) -> Result<Kind> {
        let (key, value) = (connect.key_schema()?, connect.value_schema()?);
        if is_plain_map(connect, self.settings) {
            return Ok(Kind::Map(self.of(value)?));
        }
        let mut attributes = Map::new();
        let name = match connect.name() {
            Some(name) => {
                attributes.insert("connect.internal.type".into(), MAP_ENTRY.into());
                let name = self.name(name)?;
                if let Some((before, record)) = self.named.get(&name.full())
                    && has_same_entries(before, connect)
                {
                    return Ok(Kind::Array(*record));
                }
                name
            }
            None => {
                let before = self.maps.iter().find(|(before, _)| has_same_entries(before, connect));
                if let Some((_, record)) = before {
                    return Ok(Kind::Array(*record));
                }
                self.entries += 1;
                // Java's converter gives all of them one name, and fails where there are two that differ.
                let more = if self.entries > 1 {
                    self.entries.to_string()
                } else {
                    String::new()
                };
                if !more.is_empty() {
                    attributes.insert("connect.internal.type".into(), MAP_ENTRY.into());
                }
                Name::of(&format!("{MAP_ENTRY}{more}"), NAMESPACE)
            }
        };
        let full = name.full();
        let part = |name: &str, schema: &SchemaRef| Field {
            name: name.into(),
            index: 0,
            schema: SchemaRef::clone(schema),
        };
        let fields = vec![
            self.field(&part("key", key), None)?,
            self.field(&part("value", value), None)?,
        ];
        if self.named.contains_key(&full) {
            return Err(defined_twice(&full));
        }
        let record = self.schema.add(
            Kind::Record(Record {
                name,
                doc: None,
                fields,
            }),
            attributes,
        );
        if connect.name().is_none() {
            self.maps.push((SchemaRef::clone(connect), record));
        }
        self.named.insert(full, (SchemaRef::clone(connect), record));
        Ok(Kind::Array(record))
    }

    /// The enum that the parameters of a string describe.
    fn enumeration(&self, connect: &Connect) -> Result<Option<Kind>> {
        let Some(parameters) = connect.parameters() else {
            return Ok(None);
        };
        let parameter = self.settings.enum_parameter();
        let is_enum = parameters.contains_key(ENUM) || parameters.contains_key(SUM_ENUM);
        let enabled = self.settings.sum_types || self.settings.enhanced;
        let Some(name) = parameters.get(parameter).filter(|_| is_enum && enabled) else {
            return Ok(None);
        };
        let prefix = format!("{parameter}.");
        let symbols = parameters.keys().filter_map(|key| key.strip_prefix(&prefix));
        let of = self.name(name)?;
        let stated = |prefix: &str| parameters.get(&format!("{prefix}{}", of.simple)).cloned();
        let discards = self.settings.discard_type_docs;
        Ok(Some(Kind::Enum(Enum {
            doc: if discards {
                parameters.get("connect.enum.doc").cloned()
            } else {
                stated(ENUM_DOC)
            },
            default: stated(ENUM_DEFAULT).filter(|_| !discards),
            symbols: symbols.map(Into::into).collect(),
            name: of,
        })))
    }

    fn bytes(&mut self, connect: &Connect) -> Result<Kind> {
        let Some(size) = fixed_size(connect) else {
            return Ok(Kind::Bytes);
        };
        let size = size.parse().map_err(|cause: std::num::ParseIntError| {
            Error::data(format!("Invalid {FIXED_SIZE} parameter: {size}")).with_source(cause)
        })?;
        Ok(Kind::Fixed(Fixed {
            name: self.name_or_default(connect.name())?,
            doc: None,
            size,
        }))
    }

    fn name(&self, name: &str) -> Result<Name> {
        let name = Name::of(&self.settings.scrubbed_full(name), "");
        match name.problem() {
            None => Ok(name),
            Some(problem) => Err(bad_name(&problem)),
        }
    }

    fn name_or_default(&mut self, name: Option<&str>) -> Result<Name> {
        if let Some(name) = name {
            return self.name(name);
        }
        self.unnamed += 1;
        let more = if self.unnamed > 1 {
            self.unnamed.to_string()
        } else {
            String::new()
        };
        Ok(Name::of(&format!("{DEFAULT_NAME}{more}"), NAMESPACE))
    }

    /// The type that has that name already, if it is the same one.
    fn known(&self, full: &str, connect: &Connect) -> Result<Option<TypeId>> {
        match self.named.get(full) {
            None => Ok(None),
            Some((before, id)) if is_same(before, connect) => Ok(Some(*id)),
            Some(_) => Err(defined_twice(full)),
        }
    }

    /// Adds the type, with what Avro has no word for as attributes.
    fn finish(&mut self, kind: Kind, mut attributes: Map<String, Json>, connect: &Connect) -> TypeId {
        let settings = self.settings;
        if settings.meta_data {
            let mut put = |name: &str, value: Json| attributes.insert(name.to_owned(), value);
            if let Some(doc) = connect.doc() {
                put("connect.doc", doc.into());
            }
            if let Some(version) = connect.version() {
                put("connect.version", version.into());
            }
            let keeps = |key: &str| settings.discard_type_docs || key != FIELD_DEFAULT;
            let parameters = connect.parameters().into_iter().flatten();
            let parameters: Map<String, Json> = parameters
                .filter(|(key, _)| keeps(key))
                .map(|(key, value)| (key.clone(), value.as_str().into()))
                .collect();
            if !parameters.is_empty() {
                put("connect.parameters", Json::Object(parameters));
            }
            let of_field = connect.parameters().is_some_and(|all| all.contains_key(FIELD_DEFAULT));
            let default = connect.default().filter(|_| settings.discard_type_docs || !of_field);
            if let Some(json) = default.and_then(|value| default::write(connect, value, settings)) {
                put("connect.default", json);
            }
            if let Some(name) = connect.name() {
                put("connect.name", name.into());
            }
            if connect.type_() == Type::Int8 {
                put("connect.type", "int8".into());
            } else if connect.type_() == Type::Int16 {
                put("connect.type", "int16".into());
            }
        }
        let logical = Logical::of(connect).map(|logical| match logical {
            Logical::Decimal => "decimal",
            Logical::Date => "date",
            Logical::Time => "time-millis",
            Logical::Timestamp => "timestamp-millis",
        });
        if let Some(logical) = logical {
            attributes.insert("logicalType".to_owned(), logical.into());
        }
        for (key, value) in connect.parameters().into_iter().flatten() {
            if key.starts_with("avro") {
                attributes.insert(key.clone(), value.as_str().into());
            }
        }
        self.schema.add(kind, attributes)
    }
}

/// Whether a struct stands for a union: one field for each branch, of which one has a value.
pub(super) fn is_union(connect: &Connect) -> bool {
    let sum_type = || connect.parameters().is_some_and(|all| all.contains_key(SUM_UNION));
    connect.type_() == Type::Struct && (connect.name() == Some(UNION) || sum_type())
}

/// Whether one record stands for the entries of both.
fn has_same_entries(before: &Connect, connect: &Connect) -> bool {
    before.key_schema_opt() == connect.key_schema_opt() && before.value_schema_opt() == connect.value_schema_opt()
}

/// Whether a map is one in Avro too, where keys are texts.
pub(super) fn is_plain_map(connect: &Connect, settings: &Settings) -> bool {
    let is_text = |key: &SchemaRef| key.type_() == Type::String && (!key.optional() || settings.optional_map_keys);
    connect.key_schema_opt().is_some_and(is_text)
}

/// The size of what is written as `fixed`.
pub(super) fn fixed_size(connect: &Connect) -> Option<&str> {
    connect.name()?;
    let size = connect.parameters()?.get(FIXED_SIZE)?;
    (connect.type_() == Type::Bytes).then_some(size)
}

fn precision(connect: &Connect) -> i64 {
    let stated = connect.parameters().and_then(|all| all.get(PRECISION));
    stated.and_then(|text| text.parse().ok()).unwrap_or(PRECISION_DEFAULT)
}

/// Whether one Avro type stands for both: what is attached to a place, such as null, default and doc, may differ.
fn is_same(a: &Connect, b: &Connect) -> bool {
    std::ptr::eq(a, b)
        || a.type_() == b.type_()
            && a.name() == b.name()
            && a.version() == b.version()
            && has_same_fields(a, b)
            && parameters(a).eq(parameters(b))
}

/// The parameters that say something of the type itself.
fn parameters(of: &Connect) -> impl Iterator<Item = (&String, &String)> {
    let all = of.parameters().into_iter().flatten();
    all.filter(|(key, _)| *key != FIELD_DEFAULT)
}

fn defined_twice(full: &str) -> Error {
    Error::data(format!(
        "two different schemas within one are both named {full} in Avro; give them names of their own"
    ))
}

fn bad_name(problem: &str) -> Error {
    Error::data(format!(
        "{problem}: Avro does not allow that name; scrub.invalid.names=true replaces what is not allowed"
    ))
}
