//! From values to JSON: a plan that is made once for a schema, and written along for each record.

use dray_connect::datum::{MapRef, StructRef, ValueRef};
use dray_connect::logical::{self, Logical};
use dray_connect::schema::{SchemaRef, Type};
use dray_connect::value::{Value, decimal_to_string};
use dray_connect::{Error, Result};

use super::read::{is_name, is_union};
use super::settings::Settings;
use crate::again::{Again, Cells, within};
use crate::java_class;
use crate::json::escape;
use crate::json::write::{DecimalFormat, bytes_string, comma, deeper, double, float, integer};
use crate::size;

/// How messages are written.
#[derive(Debug)]
pub(super) struct Plan {
    root: Write,
    /// What is referred to.
    _cells: Cells<(), Write>,
}

/// Makes plans.
struct Planner<'a> {
    settings: &'a Settings,
    /// Structs within themselves, and how many of them are planned.
    cells: Cells<(), Write>,
    planned: usize,
}

/// How the values of a schema are written.
#[derive(Debug)]
struct Write {
    kind: Kind,
    null: Null,
}

#[derive(Debug)]
enum Kind {
    Boolean,
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Text,
    Bytes,
    Decimal(SchemaRef, DecimalFormat),
    Date(SchemaRef),
    Time(SchemaRef),
    Timestamp,
    Array(Box<Write>),
    Map(Box<Write>),
    /// An array of objects with `key` and `value`.
    Entries(Box<(Write, Write)>),
    Struct(SchemaRef, Box<[Member]>),
    /// The value of the field that has one.
    Union(SchemaRef, Box<[Write]>),
    /// A struct within itself.
    Again(Box<Again<Write>>),
    /// A value without a schema.
    Anything,
}

/// What is written of null.
#[derive(Debug)]
enum Null {
    Default(Box<[u8]>),
    Itself,
    /// Nothing: a member is left out, and a message is a tombstone.
    Absent,
}

#[derive(Debug)]
struct Member {
    /// A comma, the name as JSON has it, and a colon.
    name: Box<[u8]>,
    of: Write,
}

impl Plan {
    pub(super) fn of(schema: Option<&SchemaRef>, settings: &Settings) -> Result<Self> {
        schema.map_or(Ok(()), size::check)?;
        let mut planner = Planner {
            settings,
            cells: Cells::default(),
            planned: 0,
        };
        let root = planner.of(schema)?;
        planner.again()?;
        Ok(Self {
            root,
            _cells: planner.cells,
        })
    }

    /// Appends a value, and says whether there was anything to write. After an error what was appended of it is still there.
    pub(super) fn write(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<bool> {
        self.root.write(value, out)
    }

    /// Appends a default. A struct's is of the schema as it was before it had the default, so that it is not compared.
    pub(super) fn write_default(&self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        self.root.write_default(value, out)
    }
}

impl Planner<'_> {
    /// Makes the plans for all that is referred to.
    fn again(&mut self) -> Result<()> {
        while let Some(((), connect)) = self.cells.wanted(self.planned) {
            let number = self.planned;
            self.planned += 1;
            size::check(&connect)?;
            let plan = self.of(Some(&connect))?;
            self.cells.planned(number, plan);
        }
        Ok(())
    }

    fn of(&mut self, schema: Option<&SchemaRef>) -> Result<Write> {
        let Some(schema) = schema else {
            return Ok(Write {
                kind: Kind::Anything,
                null: Null::Absent,
            });
        };
        let mut made = Write {
            kind: self.kind(schema)?,
            null: if schema.optional() { Null::Itself } else { Null::Absent },
        };
        if let Some(value) = schema.default().filter(|_| !self.settings.ignore_defaults) {
            let mut bytes = Vec::new();
            // It may have structs in it that are within themselves.
            self.again()?;
            made.write_default(value, &mut bytes)?;
            made.null = Null::Default(bytes.into());
        }
        Ok(made)
    }

    fn kind(&mut self, schema: &SchemaRef) -> Result<Kind> {
        let shared = || SchemaRef::clone(schema);
        Ok(match (Logical::of(schema), schema.type_()) {
            (Some(Logical::Decimal), _) => Kind::Decimal(shared(), self.settings.decimal_format),
            (Some(Logical::Date), _) => Kind::Date(shared()),
            (Some(Logical::Time), _) => Kind::Time(shared()),
            (Some(Logical::Timestamp), _) => Kind::Timestamp,
            (None, Type::Boolean) => Kind::Boolean,
            (None, Type::Int8) => Kind::Int8,
            (None, Type::Int16) => Kind::Int16,
            (None, Type::Int32) => Kind::Int32,
            (None, Type::Int64) => Kind::Int64,
            (None, Type::Float32) => Kind::Float32,
            (None, Type::Float64) => Kind::Float64,
            (None, Type::String) => Kind::Text,
            (None, Type::Bytes) => Kind::Bytes,
            (None, Type::Array) => Kind::Array(Box::new(self.of(schema.value_schema_opt())?)),
            (None, Type::Map) if is_name(schema.key_schema()?) => {
                Kind::Map(Box::new(self.of(schema.value_schema_opt())?))
            }
            (None, Type::Map) => {
                let key = self.of(Some(schema.key_schema()?))?;
                Kind::Entries(Box::new((key, self.of(schema.value_schema_opt())?)))
            }
            (None, Type::Struct) if schema.is_reference() => Kind::Again(Box::new(self.cells.again((), schema))),
            (None, Type::Struct) if is_union(schema) => {
                let branches = schema.fields()?.iter().map(|field| self.of(Some(&field.schema)));
                Kind::Union(shared(), branches.collect::<Result<_>>()?)
            }
            (None, Type::Struct) => {
                let members = schema.fields()?.iter().map(|field| {
                    let mut name = vec![b','];
                    escape::string(field.name.as_bytes(), &mut name);
                    name.push(b':');
                    let of = self
                        .of(Some(&field.schema))
                        .map_err(|error| within(&field.name, &error))?;
                    Ok(Member { name: name.into(), of })
                });
                Kind::Struct(shared(), members.collect::<Result<_>>()?)
            }
        })
    }
}

impl Write {
    fn write(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<bool> {
        if value.is_null() {
            return Ok(self.write_null(out));
        }
        match (&self.kind, value) {
            (Kind::Text, ValueRef::Str(text)) => escape::string(text, out),
            (Kind::Int32, ValueRef::Int32(value)) => integer(value, out),
            (Kind::Int64, ValueRef::Int64(value)) => integer(value, out),
            (Kind::Boolean, ValueRef::Boolean(value)) => {
                out.extend_from_slice(if value { b"true" } else { b"false" });
            }
            (Kind::Float64, ValueRef::Float64(value)) => double(value, out),
            (Kind::Struct(schema, members), ValueRef::Struct(record)) => {
                check_schema(schema, record)?;
                write_members(members, record, out)?;
            }
            (Kind::Array(of), ValueRef::Array(elements)) => {
                out.push(b'[');
                for (index, element) in elements.iter().enumerate() {
                    comma(index, out);
                    of.part(element, out)?;
                }
                out.push(b']');
            }
            (Kind::Map(of), ValueRef::Map(entries)) => of.object(entries, out)?,
            (_, value) => return self.rare(value, out),
        }
        Ok(true)
    }

    #[inline(never)]
    fn rare(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<bool> {
        match (&self.kind, value) {
            (Kind::Int8, ValueRef::Int8(value)) => integer(value, out),
            (Kind::Int16, ValueRef::Int16(value)) => integer(value, out),
            (Kind::Float32, ValueRef::Float32(value)) => float(value, out),
            (Kind::Bytes, ValueRef::Bytes(bytes)) => bytes_string(bytes, out),
            (Kind::Decimal(schema, DecimalFormat::Base64), ValueRef::Decimal(value)) => {
                bytes_string(&logical::decimal_to_bytes(schema, &value.to_decimal())?, out);
            }
            (Kind::Decimal(_, DecimalFormat::Numeric), ValueRef::Decimal(value)) => {
                out.extend_from_slice(decimal_to_string(&value.to_decimal()).as_bytes());
            }
            (Kind::Date(schema), ValueRef::Date(value)) => integer(logical::date_to_days(schema, value)?, out),
            (Kind::Time(schema), ValueRef::Date(value)) => integer(logical::time_to_millis(schema, value)?, out),
            (Kind::Timestamp, ValueRef::Date(value)) => integer(value, out),
            (Kind::Entries(of), ValueRef::Map(entries)) => {
                let (key, value) = &**of;
                out.push(b'[');
                for (index, (of_key, of_value)) in entries.iter().enumerate() {
                    comma(index, out);
                    out.extend_from_slice(b"{\"key\":");
                    key.part(of_key, out)?;
                    out.extend_from_slice(b",\"value\":");
                    value.part(of_value, out)?;
                    out.push(b'}');
                }
                out.push(b']');
            }
            (Kind::Union(schema, branches), ValueRef::Struct(record)) => {
                check_schema(schema, record)?;
                return self.union(branches, record, out);
            }
            (Kind::Again(of), ValueRef::Struct(record)) => {
                check_schema(&of.schema, record)?;
                let cell = of.plan()?;
                if let Kind::Union(_, branches) = &cell.get().kind {
                    return self.union(branches, record, out);
                }
                let Kind::Struct(_, members) = &cell.get().kind else {
                    return Err(cell.get().kind.wrong(value));
                };
                write_members(members, record, out)?;
            }
            (Kind::Anything, value) => anything(value, 0, out)?,
            (kind, value) => return Err(kind.wrong(value)),
        }
        Ok(true)
    }

    /// The value of the branch that has one.
    fn union(&self, branches: &[Write], record: StructRef<'_>, out: &mut Vec<u8>) -> Result<bool> {
        let values = record.values();
        for (index, branch) in branches.iter().enumerate() {
            let value = values.at(index).unwrap_or(ValueRef::Null);
            // A default stands for null here as well.
            if !value.is_null() || matches!(branch.null, Null::Default(_)) {
                return branch.write(value, out);
            }
        }
        Ok(self.write_null(out))
    }

    fn write_null(&self, out: &mut Vec<u8>) -> bool {
        match &self.null {
            Null::Default(bytes) => out.extend_from_slice(bytes),
            Null::Itself => out.extend_from_slice(b"null"),
            Null::Absent => return false,
        }
        true
    }

    /// A value that has its place, also where there is nothing to write.
    #[inline]
    fn part(&self, value: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        if !self.write(value, out)? {
            out.extend_from_slice(b"null");
        }
        Ok(())
    }

    fn object(&self, entries: MapRef<'_>, out: &mut Vec<u8>) -> Result<()> {
        out.push(b'{');
        for (index, (key, value)) in entries.iter().enumerate() {
            comma(index, out);
            name(key, out)?;
            self.part(value, out)?;
        }
        out.push(b'}');
        Ok(())
    }

    fn write_default(&self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        match (&self.kind, value) {
            (Kind::Struct(_, members), Value::Struct(record)) => {
                write_members(members, StructRef::from(&**record), out)
            }
            (_, value) => self.part(value.into(), out),
        }
    }
}

impl Kind {
    #[cold]
    fn wrong(&self, value: ValueRef<'_>) -> Error {
        let class = java_class(value);
        let logical = |name: &str, wanted: &str| {
            Error::data(format!("Invalid type for {name}, expected {wanted} but was {class}"))
        };
        let kind = match self {
            Self::Decimal(..) => return logical("Decimal", "BigDecimal"),
            Self::Date(_) => return logical("Date", "Date"),
            Self::Time(_) => return logical("Time", "Date"),
            Self::Timestamp => return logical("Timestamp", "Date"),
            Self::Bytes => return Error::data(format!("Invalid type for bytes type: {class}")),
            Self::Boolean => Type::Boolean,
            Self::Int8 => Type::Int8,
            Self::Int16 => Type::Int16,
            Self::Int32 => Type::Int32,
            Self::Int64 => Type::Int64,
            Self::Float32 => Type::Float32,
            Self::Float64 => Type::Float64,
            Self::Text => Type::String,
            Self::Array(_) => Type::Array,
            Self::Map(_) | Self::Entries(_) => Type::Map,
            Self::Struct(..) | Self::Union(..) | Self::Again(_) | Self::Anything => Type::Struct,
        };
        Error::data(format!("Invalid type for {kind}: {class}"))
    }
}

fn check_schema(schema: &SchemaRef, record: StructRef<'_>) -> Result<()> {
    if SchemaRef::ptr_eq(record.schema(), schema) || **record.schema() == **schema {
        Ok(())
    } else {
        Err(Error::data("Mismatching schema."))
    }
}

#[inline]
fn write_members(members: &[Member], record: StructRef<'_>, out: &mut Vec<u8>) -> Result<()> {
    let values = record.values();
    out.push(b'{');
    let first = out.len();
    for (index, member) in members.iter().enumerate() {
        let before = out.len();
        // The first has no comma.
        out.extend_from_slice(&member.name[usize::from(before == first)..]);
        match member.of.write(values.at(index).unwrap_or(ValueRef::Null), out) {
            Ok(true) => {}
            Ok(false) => out.truncate(before),
            Err(error) => {
                let fields = record.schema().fields().unwrap_or_default();
                let name = fields.get(index).map(|field| &*field.name);
                return Err(within(name.unwrap_or_default(), &error));
            }
        }
    }
    out.push(b'}');
    Ok(())
}

/// A key as a member's name, with its colon.
fn name(key: ValueRef<'_>, out: &mut Vec<u8>) -> Result<()> {
    let ValueRef::Str(text) = key else {
        return Err(Error::data(format!("a map's key is no text, but {}", java_class(key))));
    };
    escape::string(text, out);
    out.push(b':');
    Ok(())
}

/// A value without a schema, below so many others.
fn anything(value: ValueRef<'_>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    match value {
        ValueRef::Null => out.extend_from_slice(b"null"),
        ValueRef::Boolean(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        ValueRef::Int8(value) => integer(value, out),
        ValueRef::Int16(value) => integer(value, out),
        ValueRef::Int32(value) => integer(value, out),
        ValueRef::Int64(value) => integer(value, out),
        ValueRef::Float32(value) => float(value, out),
        ValueRef::Float64(value) => double(value, out),
        ValueRef::Str(text) => escape::string(text, out),
        ValueRef::Bytes(bytes) => bytes_string(bytes, out),
        ValueRef::Array(elements) => {
            let depth = deeper(depth)?;
            out.push(b'[');
            for (index, element) in elements.iter().enumerate() {
                comma(index, out);
                anything(element, depth, out)?;
            }
            out.push(b']');
        }
        ValueRef::Map(entries) => any_map(entries, depth, out)?,
        ValueRef::Struct(_) => return Err(Error::data("Mismatching schema.")),
        ValueRef::Decimal(_) | ValueRef::Date(_) => {
            return Err(Error::data(format!(
                "Java {} does not have corresponding schema type.",
                java_class(value)
            )));
        }
    }
    Ok(())
}

fn any_map(entries: MapRef<'_>, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    let depth = deeper(depth)?;
    if entries.iter().all(|(key, _)| matches!(key, ValueRef::Str(_))) {
        out.push(b'{');
        for (index, (key, value)) in entries.iter().enumerate() {
            comma(index, out);
            name(key, out)?;
            anything(value, depth, out)?;
        }
        out.push(b'}');
        return Ok(());
    }
    let depth = deeper(depth)?;
    out.push(b'[');
    for (index, (key, value)) in entries.iter().enumerate() {
        comma(index, out);
        out.extend_from_slice(b"{\"key\":");
        anything(key, depth, out)?;
        out.extend_from_slice(b",\"value\":");
        anything(value, depth, out)?;
        out.push(b'}');
    }
    out.push(b']');
    Ok(())
}
