//! From Connect's schemas to the .proto files that values are written with.

use std::collections::VecDeque;

use dray_connect::logical::Logical;
use dray_connect::schema::{Schema as Connect, SchemaRef, Type};
use dray_connect::{Error, Result};

use super::builtin;
use super::print::{self, Enum, Field, Message};
use super::settings::{
    DECIMAL_PRECISION, DEFAULT_NAME, ENUM, SUM_ENUM, SUM_UNION, Settings, TAG, TYPE, UNION, VARIANT, WRAPPER,
    entry_of_map,
};
use super::well_known::WellKnown;

mod scopes;

use self::scopes::{Scope, is_same};

/// Schemas within each other: all that is done with one recurses.
const MAX_LEVELS: usize = 100;
/// Fields that one schema may have. A schema that is used twice is written down twice.
const MAX_FIELDS: usize = 50_000;
/// What a file imports for wrappers.
const WRAPPERS: &str = "google/protobuf/wrappers.proto";

/// A schema as it is registered.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) text: String,
    /// The full name of the message that values are.
    pub(super) name: String,
}

/// The .proto file of a Connect schema.
pub(super) fn from_connect(connect: &SchemaRef, settings: &Settings) -> Result<Own> {
    if let Some(logical) = Logical::of(connect) {
        return Err(Error::data(format!(
            "a {logical:?} by itself cannot be written as Protobuf, only within a struct: HoistField makes one of it"
        )));
    }
    let wrapper = match connect.type_() {
        Type::Struct => return of_struct(connect, settings),
        Type::Int8 | Type::Int16 | Type::Int32 => "Int32Value",
        Type::Int64 => "Int64Value",
        Type::Float32 => "FloatValue",
        Type::Float64 => "DoubleValue",
        Type::Boolean => "BoolValue",
        Type::String => "StringValue",
        Type::Bytes => "BytesValue",
        kind @ (Type::Array | Type::Map) => {
            return Err(Error::data(format!("Unsupported root schema of type {kind}")));
        }
    };
    Ok(Own {
        text: builtin::WRAPPERS.to_owned(),
        name: format!("google.protobuf.{wrapper}"),
    })
}

fn of_struct(connect: &SchemaRef, settings: &Settings) -> Result<Own> {
    let mut mapping = Mapping {
        settings,
        unnamed: 0,
        fields: 0,
        imports: Vec::new(),
        package: String::new(),
        scopes: Vec::new(),
        made: Vec::new(),
        family: 0,
        entry: 0,
        wanted: VecDeque::new(),
    };
    let full = mapping.name_or_default(connect.name());
    let parts: Vec<_> = full.split('.').map(|part| settings.scrubbed(part)).collect();
    parts.iter().try_for_each(|part| check_name(part))?;
    let (name, package) = parts.split_last().ok_or_else(|| bad_name(""))?;
    let package = package.join(".");
    mapping.package.clone_from(&package);
    if is_union(connect) {
        return Err(Error::data(
            "a union by itself cannot be written as Protobuf, only within a struct",
        ));
    }
    let root = mapping.message(name, connect, 1)?;
    Ok(Own {
        text: print::print(&package, &mapping.imports, &root),
        name: if package.is_empty() {
            name.to_string()
        } else {
            format!("{package}.{name}")
        },
    })
}

struct Mapping<'a> {
    settings: &'a Settings,
    /// How many names were made up.
    unnamed: usize,
    fields: usize,
    imports: Vec<&'static str>,
    package: String,
    /// The messages around what is being made.
    scopes: Vec<Scope>,
    /// Messages that others may be within, each with its name and those around it.
    made: Vec<(SchemaRef, Vec<String>)>,
    /// Where of these the ones begin that the schemas referred to just now may be.
    family: usize,
    /// The one of the scopes that all of them are within.
    entry: usize,
    /// What is to be written down there, with its name.
    wanted: VecDeque<(SchemaRef, String)>,
}

/// A message that is being made.
struct Open {
    message: Message,
    /// The number of the next field that has none of its own.
    next: i32,
}

impl Mapping<'_> {
    fn message(&mut self, name: &str, connect: &SchemaRef, level: usize) -> Result<Message> {
        if level > MAX_LEVELS {
            return Err(Error::data(format!("Schema nests deeper than {MAX_LEVELS} levels")));
        }
        let mut open = Open {
            message: Message {
                name: name.to_owned(),
                ..Message::default()
            },
            next: 1,
        };
        let connects = Connect::resolved(connect);
        self.enter(name, self.names(connects.fields()?));
        let is_entry = !connect.is_reference();
        let outside = (self.family, self.entry);
        let mut wanted = VecDeque::new();
        if is_entry {
            (self.family, self.entry) = (self.made.len(), self.scopes.len() - 1);
            std::mem::swap(&mut self.wanted, &mut wanted);
        }
        let path = self.scopes.iter().map(|scope| scope.name.clone()).collect();
        self.made.push((SchemaRef::clone(connect), path));
        for field in connects.fields()? {
            if is_union(&field.schema) {
                self.union(&field.name, &field.schema, &mut open, level)?;
                continue;
            }
            let number = number(&field.schema, &mut open)?;
            let made = self.field(&field.name, &field.schema, number, false, &mut open, level)?;
            open.message.fields.push(made);
        }
        if is_entry {
            while let Some((connect, name)) = self.wanted.pop_front() {
                let message = self.message(&name, &connect, level + 1)?;
                open.message.messages.push(message);
            }
            // Others know nothing of what is referred to within this one.
            self.made.truncate(self.family);
            (self.family, self.entry) = outside;
            self.wanted = wanted;
        }
        self.scopes.pop();
        Ok(open.message)
    }

    /// Adds a `oneof`.
    fn union(&mut self, field: &str, connect: &SchemaRef, open: &mut Open, level: usize) -> Result<()> {
        let parameter = connect
            .parameters()
            .and_then(|all| all.get(SUM_UNION))
            .map(String::as_str);
        let named = connect
            .name()
            .and_then(|name| name.strip_prefix(UNION)?.strip_prefix('.'));
        let name = match (parameter, named) {
            (Some(name), _) if self.settings.sum_types => name,
            (_, Some(name)) | (Some(name), None) => name.rsplit('.').next().unwrap_or(name),
            (None, None) => field,
        };
        let name = self.settings.scrubbed(name).into_owned();
        check_name(&name)?;
        // In Java the union itself takes a number, and members need to have their own. Those without follow here.
        let mut spare = None;
        if parameter_of(connect, TAG).is_none() {
            spare = Some(open.next);
            open.next += 1;
        }
        let mut members = Vec::new();
        for member in connect.fields()? {
            if is_union(&member.schema) {
                return Err(Error::data(format!(
                    "{field}: a union within a union cannot be written as Protobuf"
                )));
            }
            if matches!(member.schema.type_(), Type::Array | Type::Map) {
                return Err(Error::data(format!(
                    "{field}: a list or a map cannot be a member of a oneof: {}",
                    member.name
                )));
            }
            let is_numbered = parameter_of(&member.schema, TAG).is_some();
            let number = match spare.take_if(|_| !is_numbered) {
                Some(number) => number,
                None => number(&member.schema, open)?,
            };
            members.push(self.field(&member.name, &member.schema, number, true, open, level)?);
        }
        open.message.oneofs.push((name, members));
        Ok(())
    }

    fn field(
        &mut self,
        name: &str,
        connect: &SchemaRef,
        number: i32,
        is_member: bool,
        open: &mut Open,
        level: usize,
    ) -> Result<Field> {
        let within = |error: Error| Error::data(format!("{name}: {error}"));
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(Error::data(format!("the schema has more than {MAX_FIELDS} fields")));
        }
        let scrubbed = self.settings.scrubbed(name).into_owned();
        check_name(&scrubbed)?;
        let label = if matches!(connect.type_(), Type::Array | Type::Map) {
            "repeated "
        } else if self.settings.optionals && connect.optional() && !is_member {
            "optional "
        } else {
            ""
        };
        let of = if connect.type_() == Type::Array {
            connect.value_schema()?
        } else {
            connect
        };
        if connect.type_() == Type::Array {
            let cannot = match of.type_() {
                Type::Array => Some("Array cannot be nested"),
                Type::Map => Some("an array of maps cannot be written as Protobuf"),
                Type::Struct if is_union(of) => Some("an array of unions cannot be written as Protobuf"),
                Type::Int8
                | Type::Int16
                | Type::Int32
                | Type::Int64
                | Type::Float32
                | Type::Float64
                | Type::Boolean
                | Type::String
                | Type::Bytes
                | Type::Struct => None,
            };
            if let Some(cannot) = cannot {
                return Err(within(Error::data(cannot)));
            }
        }
        let mut params = Vec::new();
        let kind = self
            .kind(&scrubbed, of, is_member, &mut params, open, level)
            .map_err(within)?;
        Ok(Field {
            label,
            kind,
            name: scrubbed,
            number,
            params,
        })
    }

    /// The type of a value, whose definition is added where it needs one.
    fn kind(
        &mut self,
        field: &str,
        connect: &SchemaRef,
        is_member: bool,
        params: &mut Vec<(&'static str, String)>,
        open: &mut Open,
        level: usize,
    ) -> Result<String> {
        if let Some(logical) = Logical::of(connect) {
            let (_, name, file) = WellKnown::of_logical(logical);
            if logical == Logical::Decimal {
                for (param, key) in [("precision", DECIMAL_PRECISION), ("scale", "scale")] {
                    params.extend(parameter_of(connect, key).map(|value| (param, value.to_owned())));
                }
            }
            self.import(file);
            return Ok(name.to_owned());
        }
        if connect.name() == Some(VARIANT) {
            self.import("confluent/type/variant.proto");
            return Ok("confluent.type.Variant".to_owned());
        }
        let is_wrapped = self.settings.wrappers
            && connect.optional()
            && (!is_member || parameter_of(connect, WRAPPER) == Some("true"));
        let mut plain = |kind: &str, wrapper: &str| {
            if is_wrapped {
                self.import(WRAPPERS);
                format!("google.protobuf.{wrapper}")
            } else {
                kind.to_owned()
            }
        };
        let stated = parameter_of(connect, TYPE);
        Ok(match connect.type_() {
            Type::Int8 => {
                params.push(("connect.type", "int8".to_owned()));
                plain("int32", "Int32Value")
            }
            Type::Int16 => {
                params.push(("connect.type", "int16".to_owned()));
                plain("int32", "Int32Value")
            }
            Type::Int32 if parameter_of(connect, ENUM).is_some() => self.enumeration(connect, open)?,
            Type::Int32 => match stated {
                None | Some("int32") => plain("int32", "Int32Value"),
                Some(kind @ ("sint32" | "sfixed32")) => plain(kind, "Int32Value"),
                Some(other) => return Err(bad_type(other, "INT32")),
            },
            Type::Int64 => match stated {
                None | Some("int64") => plain("int64", "Int64Value"),
                Some(kind @ ("sint64" | "sfixed64")) => plain(kind, "Int64Value"),
                Some(kind @ ("uint32" | "fixed32")) => plain(kind, "UInt32Value"),
                Some(kind @ ("uint64" | "fixed64")) => plain(kind, "UInt64Value"),
                Some(other) => return Err(bad_type(other, "INT64")),
            },
            Type::Float32 => plain("float", "FloatValue"),
            Type::Float64 => plain("double", "DoubleValue"),
            Type::Boolean => plain("bool", "BoolValue"),
            Type::String
                if parameter_of(connect, ENUM)
                    .or(parameter_of(connect, SUM_ENUM))
                    .is_some() =>
            {
                self.enumeration(connect, open)?
            }
            Type::String => plain("string", "StringValue"),
            Type::Bytes => plain("bytes", "BytesValue"),
            Type::Array => return Err(Error::data("Array cannot be nested")),
            Type::Map => {
                let name = entry_of_map(&self.unqualified(connect.name()));
                check_name(&name)?;
                if self.define(&name, connect)?.is_some() {
                    return Err(defined_twice(&name));
                }
                let entry = self.entry(&name, connect, level + 1)?;
                open.message.messages.push(entry);
                name
            }
            Type::Struct => {
                if is_union(connect) {
                    return Err(Error::data("a union can only be a field of a struct in Protobuf"));
                }
                if connect.is_reference() {
                    if let Some(name) = self.known(field, connect) {
                        return Ok(name);
                    }
                    self.want(connect)?;
                    if let Some(name) = self.known(field, connect) {
                        return Ok(name);
                    }
                }
                let mut name = self.unqualified(connect.name());
                if name == field {
                    // A message cannot be called as a field beside it.
                    name.push_str("Message");
                }
                check_name(&name)?;
                match self.define(&name, connect)? {
                    Some(known) if is_same(&known, connect) => return Ok(name),
                    Some(_) => return Err(defined_twice(&name)),
                    None => {}
                }
                let message = self.message(&name, connect, level + 1)?;
                open.message.messages.push(message);
                name
            }
        })
    }

    /// The message of a map's entries.
    fn entry(&mut self, name: &str, connect: &SchemaRef, level: usize) -> Result<Message> {
        if level > MAX_LEVELS {
            return Err(Error::data(format!("Schema nests deeper than {MAX_LEVELS} levels")));
        }
        let mut open = Open {
            message: Message {
                name: name.to_owned(),
                ..Message::default()
            },
            next: 1,
        };
        self.enter(name, Vec::new());
        for (part, schema, number) in [("key", connect.key_schema()?, 1), ("value", connect.value_schema()?, 2)] {
            let mut field = self.field(part, schema, number, false, &mut open, level)?;
            if field.label == "optional " {
                field.label = "";
            }
            open.message.fields.push(field);
        }
        self.scopes.pop();
        Ok(open.message)
    }

    /// The enum that the parameters of a text or a number describe.
    fn enumeration(&mut self, connect: &Connect, open: &mut Open) -> Result<String> {
        let own = self.settings.enum_parameter();
        let other = if own == ENUM { SUM_ENUM } else { ENUM };
        let parameter = if parameter_of(connect, own).is_some() {
            own
        } else {
            other
        };
        let name = parameter_of(connect, parameter).unwrap_or_default();
        let name = self
            .settings
            .scrubbed(name.rsplit('.').next().unwrap_or(name))
            .into_owned();
        check_name(&name)?;
        let prefix = format!("{parameter}.");
        let mut values = Vec::new();
        for (key, number) in connect.parameters().into_iter().flatten() {
            let Some(symbol) = key.strip_prefix(&prefix) else {
                continue;
            };
            check_name(symbol)?;
            let number: i32 = number
                .parse()
                .map_err(|_| Error::data(format!("the parameter {key} is no number: {number}")))?;
            values.push((symbol.to_owned(), number));
        }
        // The first symbol must have number 0, and is the one of a field that does not come.
        if let Some(zero) = values.iter().position(|(_, number)| *number == 0) {
            values[..=zero].rotate_right(1);
        } else {
            return Err(Error::data(format!(
                "the enum {name} has no symbol with number 0, which proto3 needs"
            )));
        }
        let made = Enum {
            name: name.clone(),
            values,
        };
        match open.message.enums.iter().find(|known| known.name == name) {
            None => open.message.enums.push(made),
            Some(known) if *known == made => {}
            Some(_) => return Err(defined_twice(&name)),
        }
        Ok(name)
    }

    fn import(&mut self, file: &'static str) {
        if !self.imports.contains(&file) {
            self.imports.push(file);
        }
    }

    fn name_or_default(&mut self, name: Option<&str>) -> String {
        match name.filter(|name| !name.is_empty()) {
            Some(name) => name.to_owned(),
            None => {
                self.unnamed += 1;
                format!("{DEFAULT_NAME}{}", self.unnamed)
            }
        }
    }

    fn unqualified(&mut self, name: Option<&str>) -> String {
        let full = self.name_or_default(name);
        let last = full.rsplit('.').next().unwrap_or(&full);
        self.settings.scrubbed(last).into_owned()
    }
}

/// The number that a field says itself, or the next one.
fn number(connect: &Connect, open: &mut Open) -> Result<i32> {
    if let Some(tag) = parameter_of(connect, TAG) {
        return tag
            .parse()
            .map_err(|_| Error::data(format!("the parameter {TAG} is no number: {tag}")));
    }
    open.next += 1;
    Ok(open.next - 1)
}

pub(super) fn parameter_of<'a>(connect: &'a Connect, name: &str) -> Option<&'a str> {
    connect.parameters()?.get(name).map(String::as_str)
}

/// Whether a struct stands for a `oneof`: one field for each member, of which one has a value.
pub(super) fn is_union(connect: &Connect) -> bool {
    let named = || connect.name().is_some_and(|name| name.starts_with(UNION));
    connect.type_() == Type::Struct && (named() || parameter_of(connect, SUM_UNION).is_some())
}

/// Refuses what Protobuf does not allow as a name. Nothing else gets into the text of a schema.
fn check_name(name: &str) -> Result<()> {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    if starts && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        Ok(())
    } else {
        Err(bad_name(name))
    }
}

fn bad_name(name: &str) -> Error {
    Error::data(format!(
        "Protobuf does not allow the name {name:?}; scrub.invalid.names=true replaces what is not allowed"
    ))
}

fn bad_type(kind: &str, of: &str) -> Error {
    Error::data(format!(
        "the parameter {TYPE} says {kind}, which {of} cannot be written as"
    ))
}

fn defined_twice(name: &str) -> Error {
    Error::data(format!(
        "two different schemas beside each other are both named {name} in Protobuf; give them names of their own"
    ))
}
