//! From JSON to values, as lenient as Connect: most nodes of the wrong kind become zero or null, not an error.

use std::collections::HashMap;

use dray_connect::datum::Datum;
use dray_connect::logical::{self, Logical};
use dray_connect::schema::{Schema, SchemaRef, Type, validate_field};
use dray_connect::value::Value;
use dray_connect::{Error, Result};

use super::base64;
use super::node::Node;
use super::out::{Out, schemaless_number};

/// Makes values of nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    /// Whether a schema's default stands for null.
    pub(super) replace_null_with_default: bool,
}

impl Reader {
    /// The value of a node; an absent member is the same as null.
    pub(super) fn value(self, schema: Option<&SchemaRef>, node: Option<Node<'_>>, out: &mut Out<'_>) -> Result<Datum> {
        let Some(schema) = schema else {
            return Ok(node.map_or(Datum::Null, |node| schemaless(node, out)));
        };
        let Some(node) = node.filter(|node| !node.is_null()) else {
            return self.null(schema, out);
        };
        match Logical::of(schema) {
            Some(logical) => self::logical(logical, schema, node, out),
            None => self.typed(schema, node, out),
        }
    }

    fn null(self, schema: &Schema, out: &mut Out<'_>) -> Result<Datum> {
        match schema.default() {
            Some(default) if self.replace_null_with_default => Ok(out.batch.value(default)),
            _ if schema.optional() => Ok(Datum::Null),
            _ => Err(Error::data(format!(
                "Invalid null value for required {} field",
                schema.type_()
            ))),
        }
    }

    fn typed(self, schema: &SchemaRef, node: Node<'_>, out: &mut Out<'_>) -> Result<Datum> {
        let number = node.number();
        Ok(match schema.type_() {
            Type::Boolean => Datum::Boolean(node.is_true()),
            // Java narrows with casts as well.
            Type::Int8 => Datum::Int8(node.long() as i8),
            Type::Int16 => Datum::Int16(node.long() as i16),
            Type::Int32 => Datum::Int32(node.long() as i32),
            Type::Int64 => Datum::Int64(node.long()),
            Type::Float32 => Datum::Float32(number.map_or(0.0, |number| number.float())),
            Type::Float64 => Datum::Float64(number.map_or(0.0, |number| number.double())),
            Type::String => text(node, out),
            Type::Bytes => match node.text() {
                Some(text) => {
                    let bytes = base64::decode(text).ok_or_else(|| Error::data("Invalid bytes field"))?;
                    Datum::Bytes(out.batch.copy(&bytes))
                }
                None => Datum::Null,
            },
            Type::Array => self.array(schema, node, out)?,
            Type::Map => self.map(schema, node, out)?,
            Type::Struct => self.record(schema, node, out)?,
        })
    }

    fn array(self, schema: &Schema, node: Node<'_>, out: &mut Out<'_>) -> Result<Datum> {
        let element = Some(schema.value_schema()?);
        let start = out.stack.len();
        // An object counts as the array of its members' values, and everything else as empty.
        for node in node.elements().into_iter().flatten() {
            let value = self.value(element, Some(node), out)?;
            out.stack.push(value);
        }
        for (_, node) in node.members().into_iter().flatten() {
            let value = self.value(element, Some(node), out)?;
            out.stack.push(value);
        }
        let array = out.batch.array(out.stack.get(start..).unwrap_or_default());
        out.stack.truncate(start);
        Ok(array)
    }

    fn map(self, schema: &Schema, node: Node<'_>, out: &mut Out<'_>) -> Result<Datum> {
        let (key, value) = (schema.key_schema()?, schema.value_schema()?);
        let start = out.stack.len();
        if key.type_() == Type::String {
            let Some(members) = node.members() else {
                let kind = node.kind();
                let text = format!("Maps with string fields should be encoded as JSON objects, but found {kind}");
                return Err(Error::data(text));
            };
            for (name, node) in members {
                let name = text(name, out);
                let value = self.value(Some(value), Some(node), out)?;
                out.stack.extend([name, value]);
            }
            return Ok(map(start, out));
        }
        let Some(nodes) = node.elements() else {
            let kind = node.kind();
            let text =
                format!("Maps with non-string fields should be encoded as JSON array of tuples, but found {kind}");
            return Err(Error::data(text));
        };
        for node in nodes {
            let Some(mut pair) = node.elements() else {
                return Err(Error::data(format!(
                    "Found invalid map entry instead of array tuple: {}",
                    node.kind()
                )));
            };
            let length = pair.len();
            let (Some(first), Some(second), 2) = (pair.next(), pair.next(), length) else {
                return Err(Error::data(format!(
                    "Found invalid map entry, expected length 2 but found :{length}"
                )));
            };
            let first = self.value(Some(key), Some(first), out)?;
            let second = self.value(Some(value), Some(second), out)?;
            out.stack.extend([first, second]);
        }
        keep_last_of_each_key(start, out);
        Ok(map(start, out))
    }

    fn record(self, schema: &SchemaRef, node: Node<'_>, out: &mut Out<'_>) -> Result<Datum> {
        if node.members().is_none() {
            let text = format!("Structs should be encoded as JSON objects, but found {}", node.kind());
            return Err(Error::data(text));
        }
        let start = out.stack.len();
        let mut next = 0;
        for field in schema.fields()? {
            let value = self.value(Some(&field.schema), member(node, &field.name, &mut next), out)?;
            validate_field(&field.name, &field.schema, value.view(out.batch))?;
            out.stack.push(value);
        }
        let id = out.batch.schema(schema);
        let record = out
            .batch
            .record_checked_by_caller(id, out.stack.get(start..).unwrap_or_default());
        out.stack.truncate(start);
        Ok(record)
    }
}

/// The member of that name. Members mostly come in the order of the fields, so the search starts at `next`, which is then
/// set behind the one found.
pub(crate) fn member<'a>(object: Node<'a>, name: &str, next: &mut usize) -> Option<Node<'a>> {
    let is_it = |(_, (found, _)): &(usize, (Node<'_>, Node<'_>))| found.text() == Some(name);
    let members = || object.members().into_iter().flatten().enumerate();
    let (place, (_, node)) = members()
        .skip(*next)
        .find(is_it)
        .or_else(|| members().take(*next).find(is_it))?;
    *next = place + 1;
    Some(node)
}

/// The map of the keys and values that stand on the stack from `start`.
pub(crate) fn map(start: usize, out: &mut Out<'_>) -> Datum {
    let (entries, _) = out.stack.get(start..).unwrap_or_default().as_chunks::<2>();
    let map = out.batch.map(entries.iter().map(|[key, value]| (*key, *value)));
    out.stack.truncate(start);
    map
}

/// Of entries with equal keys the last value wins and keeps the place of the first.
pub(crate) fn keep_last_of_each_key(start: usize, out: &mut Out<'_>) {
    let mut unique: Vec<[Datum; 2]> = Vec::new();
    let mut places: HashMap<Value, usize> = HashMap::new();
    let (entries, _) = out.stack.get(start..).unwrap_or_default().as_chunks::<2>();
    for entry @ [key, value] in entries {
        let place = *places.entry(key.view(out.batch).to_value()).or_insert(unique.len());
        match unique.get_mut(place) {
            Some([_, slot]) => *slot = *value,
            None => unique.push(*entry),
        }
    }
    out.stack.truncate(start);
    out.stack.extend(unique.into_iter().flatten());
}

/// The text of a string, null for every other node.
pub(crate) fn text(node: Node<'_>, out: &mut Out<'_>) -> Datum {
    node.string().map_or(Datum::Null, |text| out.text(text, node.input()))
}

fn schemaless(node: Node<'_>, out: &mut Out<'_>) -> Datum {
    if let Some(number) = node.number() {
        return schemaless_number(number);
    }
    if let Some(value) = node.boolean() {
        return Datum::Boolean(value);
    }
    let start = out.stack.len();
    // Plain loops: this recursion may go 1000 levels deep, and iterators take more of the stack.
    if let Some(elements) = node.elements() {
        for node in elements {
            let value = schemaless(node, out);
            out.stack.push(value);
        }
        let array = out.batch.array(out.stack.get(start..).unwrap_or_default());
        out.stack.truncate(start);
        return array;
    }
    if let Some(members) = node.members() {
        for (name, node) in members {
            let name = text(name, out);
            let value = schemaless(node, out);
            out.stack.extend([name, value]);
        }
        return map(start, out);
    }
    text(node, out)
}

pub(crate) fn logical(logical: Logical, schema: &Schema, node: Node<'_>, out: &mut Out<'_>) -> Result<Datum> {
    let wrong = |name: &str, wanted: &str| {
        let text = format!(
            "Invalid type for {name}, underlying representation should be {wanted} but was {}",
            node.kind()
        );
        Error::data(text)
    };
    let int = node
        .number()
        .filter(|number| number.is_int())
        .map(|number| number.long() as i32);
    Ok(match logical {
        Logical::Decimal => {
            // As it was written, whatever scale the schema states.
            if let Some(number) = node.number() {
                return Ok(out.batch.decimal(&number.decimal()));
            }
            let text = node.text().ok_or_else(|| wrong("Decimal", "numeric or bytes"))?;
            let invalid = || Error::data("Invalid bytes for Decimal field");
            let bytes = base64::decode(text).ok_or_else(invalid)?;
            let decimal = logical::decimal_from_bytes(schema, &bytes);
            out.batch
                .decimal(&decimal.map_err(|cause| invalid().with_source(cause))?)
        }
        Logical::Date => {
            let days = int.ok_or_else(|| wrong("Date", "integer"))?;
            Datum::Date(logical::date_from_days(schema, days)?)
        }
        Logical::Time => {
            let millis = int.ok_or_else(|| wrong("Time", "integer"))?;
            Datum::Date(logical::time_from_millis(schema, millis)?)
        }
        Logical::Timestamp => {
            let number = node.number().filter(|number| number.integral);
            let number = number.ok_or_else(|| wrong("Timestamp", "integral"))?;
            Datum::Date(logical::timestamp_from_millis(schema, number.long())?)
        }
    })
}
