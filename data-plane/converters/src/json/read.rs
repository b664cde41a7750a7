//! From JSON to values, as lenient as Connect: most nodes of the wrong kind become zero or null, not an error.

use std::borrow::Cow;
use std::sync::Arc;

use dray_connect::logical::{self, Logical};
use dray_connect::schema::{Schema, SchemaRef, Type};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use dray_connect::{Error, Result};

use super::base64;
use super::node::Node;

/// Makes values of nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    /// Whether a schema's default stands for null.
    pub(super) replace_null_with_default: bool,
}

impl Reader {
    /// The value of a node; an absent member is the same as null.
    pub(super) fn value(self, schema: Option<&SchemaRef>, node: Option<Node<'_>>) -> Result<Value> {
        let Some(schema) = schema else {
            return Ok(schemaless(node.unwrap_or(Node::Null)));
        };
        let node = match node {
            None | Some(Node::Null) => return self.null(schema),
            Some(node) => node,
        };
        match Logical::of(schema) {
            Some(logical) => self::logical(logical, schema, &node),
            None => self.typed(schema, node),
        }
    }

    fn null(self, schema: &Schema) -> Result<Value> {
        match schema.default() {
            Some(default) if self.replace_null_with_default => Ok(default.clone()),
            _ if schema.optional() => Ok(Value::Null),
            _ => Err(Error::data(format!(
                "Invalid null value for required {} field",
                schema.type_()
            ))),
        }
    }

    fn typed(self, schema: &SchemaRef, node: Node<'_>) -> Result<Value> {
        let number = node.number();
        Ok(match schema.type_() {
            Type::Boolean => Value::Boolean(node.is_true()),
            // Java narrows with casts as well.
            Type::Int8 => Value::Int8(node.long() as i8),
            Type::Int16 => Value::Int16(node.long() as i16),
            Type::Int32 => Value::Int32(node.long() as i32),
            Type::Int64 => Value::Int64(node.long()),
            Type::Float32 => Value::Float32(number.map_or(0.0, |number| number.float())),
            Type::Float64 => Value::Float64(number.map_or(0.0, |number| number.double())),
            Type::String => {
                if let Node::String(text) = node {
                    Value::string(text)
                } else {
                    Value::Null
                }
            }
            Type::Bytes => match node.text() {
                Some(text) => Value::bytes(base64::decode(text).ok_or_else(|| Error::data("Invalid bytes field"))?),
                None => Value::Null,
            },
            Type::Array => self.array(schema, node)?,
            Type::Map => self.map(schema, node)?,
            Type::Struct => self.record(schema, node)?,
        })
    }

    fn array(self, schema: &Schema, node: Node<'_>) -> Result<Value> {
        let element = Some(schema.value_schema()?);
        let nodes: Vec<Node<'_>> = match node {
            Node::Array(nodes) => nodes,
            Node::Object(members) => members.into_iter().map(|(_, node)| node).collect(),
            Node::Missing | Node::Null | Node::Boolean(_) | Node::Number(_) | Node::String(_) | Node::KnownSchema => {
                Vec::new()
            }
        };
        let mut elements = Vec::with_capacity(nodes.len());
        for node in nodes {
            elements.push(self.value(element, Some(node))?);
        }
        Ok(Value::Array(elements))
    }

    fn map(self, schema: &Schema, node: Node<'_>) -> Result<Value> {
        let (key, value) = (schema.key_schema()?, schema.value_schema()?);
        if key.type_() == Type::String {
            let Node::Object(members) = node else {
                let kind = node.kind();
                let text = format!("Maps with string fields should be encoded as JSON objects, but found {kind}");
                return Err(Error::data(text));
            };
            let entry = |(name, node)| Ok((Value::string(name), self.value(Some(value), Some(node))?));
            return Ok(Value::Map(members.into_iter().map(entry).collect::<Result<_>>()?));
        }
        let Node::Array(nodes) = node else {
            let kind = node.kind();
            let text =
                format!("Maps with non-string fields should be encoded as JSON array of tuples, but found {kind}");
            return Err(Error::data(text));
        };
        let mut entries = Vec::with_capacity(nodes.len());
        for node in nodes {
            let Node::Array(pair) = node else {
                return Err(Error::data(format!(
                    "Found invalid map entry instead of array tuple: {}",
                    node.kind()
                )));
            };
            let length = pair.len();
            let Ok([first, second]) = <[Node<'_>; 2]>::try_from(pair) else {
                return Err(Error::data(format!(
                    "Found invalid map entry, expected length 2 but found :{length}"
                )));
            };
            entries.push((
                self.value(Some(key), Some(first))?,
                self.value(Some(value), Some(second))?,
            ));
        }
        Ok(Value::map(entries))
    }

    fn record(self, schema: &SchemaRef, node: Node<'_>) -> Result<Value> {
        let Node::Object(mut members) = node else {
            let text = format!("Structs should be encoded as JSON objects, but found {}", node.kind());
            return Err(Error::data(text));
        };
        let mut record = Struct::new(Arc::clone(schema))?;
        let mut next = 0;
        for field in schema.fields()? {
            let node = take(&mut members, &field.name, &mut next);
            record.put(&field.name, self.value(Some(&field.schema), node)?)?;
        }
        Ok(Value::Struct(Box::new(record)))
    }
}

/// Takes the member of that name. Members mostly come in the order of the fields, so the search starts at `next`, which is
/// then set behind the one found.
fn take<'a>(members: &mut [(Cow<'a, str>, Node<'a>)], name: &str, next: &mut usize) -> Option<Node<'a>> {
    let is_it = |member: &(Cow<'_, str>, Node<'_>)| member.0 == name;
    let behind = members.iter().skip(*next).position(is_it).map(|i| i + *next);
    let place = behind.or_else(|| members.iter().take(*next).position(is_it))?;
    *next = place + 1;
    members
        .get_mut(place)
        .map(|(_, node)| std::mem::replace(node, Node::Null))
}

fn schemaless(node: Node<'_>) -> Value {
    match node {
        Node::Missing | Node::Null | Node::KnownSchema => Value::Null,
        Node::Boolean(value) => Value::Boolean(value),
        Node::Number(number) if number.integral => Value::Int64(number.long()),
        Node::Number(number) => Value::Float64(number.double()),
        Node::String(text) => Value::string(text),
        // Plain loops: this recursion may go 1000 levels deep, and iterators take more of the stack.
        Node::Array(nodes) => {
            let mut elements = Vec::with_capacity(nodes.len());
            for node in nodes {
                elements.push(schemaless(node));
            }
            Value::Array(elements)
        }
        Node::Object(members) => {
            let mut entries = Vec::with_capacity(members.len());
            for (name, node) in members {
                entries.push((Value::string(name), schemaless(node)));
            }
            Value::Map(entries)
        }
    }
}

fn logical(logical: Logical, schema: &Schema, node: &Node<'_>) -> Result<Value> {
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
        Logical::Decimal => match node {
            // As it was written, whatever scale the schema states.
            Node::Number(number) => Value::Decimal(number.decimal()),
            Node::String(text) => {
                let invalid = || Error::data("Invalid bytes for Decimal field");
                let bytes = base64::decode(text).ok_or_else(invalid)?;
                let decimal = logical::decimal_from_bytes(schema, &bytes);
                Value::Decimal(decimal.map_err(|cause| invalid().with_source(cause))?)
            }
            Node::Missing | Node::Null | Node::Boolean(_) | Node::Array(_) | Node::Object(_) | Node::KnownSchema => {
                return Err(wrong("Decimal", "numeric or bytes"));
            }
        },
        Logical::Date => {
            let days = int.ok_or_else(|| wrong("Date", "integer"))?;
            Value::Date(logical::date_from_days(schema, days)?)
        }
        Logical::Time => {
            let millis = int.ok_or_else(|| wrong("Time", "integer"))?;
            Value::Date(logical::time_from_millis(schema, millis)?)
        }
        Logical::Timestamp => {
            let number = node.number().filter(|number| number.integral);
            let number = number.ok_or_else(|| wrong("Timestamp", "integral"))?;
            Value::Date(logical::timestamp_from_millis(schema, number.long())?)
        }
    })
}
