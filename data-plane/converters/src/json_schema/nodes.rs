//! From parsed JSON to values, as lenient as Confluent's converter: most nodes of the wrong kind become zero or null, not an error.

use dray_connect::datum::Datum;
use dray_connect::logical::Logical;
use dray_connect::{Error, Result};

use super::read::{Expected, Kind, Member};
use crate::again::{MAX_LEVELS, within};
use crate::json::base64;
use crate::json::node::Node;
use crate::json::out::Out;
use crate::json::read::{keep_last_of_each_key, logical, map, member, text};

impl Expected {
    /// The value of a node.
    pub(super) fn node(&self, node: Node<'_>, out: &mut Out<'_>) -> Result<Datum> {
        if node.is_null() {
            return self.null(out);
        }
        let logical = |of: Logical, out: &mut Out<'_>| logical(of, &self.schema, node, out);
        Ok(match &self.kind {
            Kind::Boolean => Datum::Boolean(node.is_true()),
            // Java narrows with casts as well.
            Kind::Int8 => Datum::Int8(node.long() as i8),
            Kind::Int16 => Datum::Int16(node.long() as i16),
            Kind::Int32 => Datum::Int32(node.long() as i32),
            Kind::Int64 => Datum::Int64(node.long()),
            Kind::Float32 => Datum::Float32(node.number().map_or(0.0, |number| number.float())),
            Kind::Float64 => Datum::Float64(node.number().map_or(0.0, |number| number.double())),
            Kind::Text => text(node, out),
            Kind::Bytes => {
                let Some(text) = node.text() else {
                    return Err(wrong("Bytes should be encoded as base64 text", node));
                };
                let bytes = base64::decode(text).ok_or_else(|| Error::data("Invalid bytes field"))?;
                Datum::Bytes(out.batch.copy(&bytes))
            }
            Kind::Decimal => logical(Logical::Decimal, out)?,
            Kind::Date => logical(Logical::Date, out)?,
            Kind::Time => logical(Logical::Time, out)?,
            Kind::Timestamp => logical(Logical::Timestamp, out)?,
            Kind::Array(of) => array(of, node, out)?,
            Kind::Map(of) => object(of, node, out)?,
            Kind::Entries(of) => entries(&of.0, &of.1, node, out)?,
            Kind::Struct(members) => self.fields(members, node, out)?,
            Kind::Union(branches) => self.union(branches, node, out)?,
            Kind::Again(of) => {
                let cell = of.plan()?;
                let (levels, of_struct) = cell.get();
                out.levels = of.deeper(out.levels, *levels)?;
                let value = if let Kind::Struct(members) = &of_struct.kind {
                    self.fields(members, node, out)?
                } else if let Kind::Union(branches) = &of_struct.kind {
                    self.union(branches, node, out)?
                } else {
                    return Err(Error::data("what contains itself is no struct"));
                };
                out.levels += levels;
                value
            }
        })
    }

    fn fields(&self, members: &[Member], node: Node<'_>, out: &mut Out<'_>) -> Result<Datum> {
        if node.members().is_none() {
            return Err(wrong("Structs should be encoded as JSON objects", node));
        }
        let start = out.stack.len();
        let mut next = 0;
        for field in members {
            let value = match member(node, &field.name, &mut next) {
                Some(node) => field.of.node(node, out).map_err(|error| within(&field.name, &error))?,
                None => field.of.absent(out),
            };
            out.stack.push(value);
        }
        Ok(self.finish_fields(start, out))
    }

    fn finish_fields(&self, start: usize, out: &mut Out<'_>) -> Datum {
        let id = out.batch.schema(&self.schema);
        let record = out.batch.record_not_validated(id, &out.stack[start..]);
        out.stack.truncate(start);
        record
    }

    /// The struct of a union: the first branch that is of the node's kind, or else the struct that has most of its members.
    fn union(&self, branches: &[Expected], node: Node<'_>, out: &mut Out<'_>) -> Result<Datum> {
        let simple = branches.iter().position(|branch| branch.is_of_kind(node));
        let found = simple.or_else(|| {
            let (mut most, mut best) = (0, None);
            for (place, branch) in branches.iter().enumerate() {
                let shared = branch.shared(node, MAX_LEVELS);
                if shared > most {
                    (most, best) = (shared, Some(place));
                }
            }
            best
        });
        // What Java's converter writes, and cannot read again.
        let found = found.or_else(|| branches.iter().position(|branch| branch.takes(node)));
        let place = found.ok_or_else(|| Error::data("Did not find matching oneof field for data"))?;
        let value = branches[place].node(node, out)?;
        let start = out.stack.len();
        out.stack.resize(start + branches.len(), Datum::Null);
        out.stack[start + place] = value;
        Ok(self.finish_fields(start, out))
    }

    /// Whether the node's kind alone tells that it is meant.
    fn is_of_kind(&self, node: Node<'_>) -> bool {
        match &self.kind {
            Kind::Boolean => node.boolean().is_some(),
            Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::Date | Kind::Time | Kind::Timestamp => {
                node.number().is_some_and(|number| number.integral)
            }
            Kind::Float32 | Kind::Float64 => node.number().is_some(),
            Kind::Text => node.text().is_some(),
            Kind::Decimal => node.number().is_some_and(|number| !number.integral),
            Kind::Array(_) => node.elements().is_some(),
            Kind::Map(_) | Kind::Entries(_) => node.members().is_some() || node.elements().is_some(),
            Kind::Bytes | Kind::Struct(_) | Kind::Union(_) | Kind::Again(_) => false,
        }
    }

    /// How many members of a node a struct has, with those of the structs in it.
    fn shared(&self, node: Node<'_>, levels: usize) -> usize {
        if let (Kind::Again(of), Some(levels)) = (&self.kind, levels.checked_sub(1)) {
            return of.plan().map_or(0, |cell| cell.get().1.shared(node, levels));
        }
        let Kind::Struct(fields) = &self.kind else {
            return 0;
        };
        let mut shared = 0;
        for (name, value) in node.members().into_iter().flatten() {
            let field = name.text().and_then(|name| self.schema.field(name));
            if let Some(field) = field.and_then(|field| fields.get(field.index)) {
                shared += 1 + field.of.shared(value, levels);
            }
        }
        shared
    }

    fn takes(&self, node: Node<'_>) -> bool {
        match &self.kind {
            Kind::Bytes => node.text().is_some_and(|text| base64::decode(text).is_some()),
            Kind::Decimal => node.number().is_some() || node.text().is_some_and(|text| base64::decode(text).is_some()),
            Kind::Struct(_) => node.members().is_some(),
            Kind::Again(of) => {
                let is_struct = of.plan().is_ok_and(|cell| matches!(cell.get().1.kind, Kind::Struct(_)));
                is_struct && node.members().is_some()
            }
            Kind::Union(branches) => branches
                .iter()
                .any(|branch| branch.is_of_kind(node) || branch.shared(node, MAX_LEVELS) > 0 || branch.takes(node)),
            Kind::Boolean
            | Kind::Int8
            | Kind::Int16
            | Kind::Int32
            | Kind::Int64
            | Kind::Float32
            | Kind::Float64
            | Kind::Text
            | Kind::Date
            | Kind::Time
            | Kind::Timestamp
            | Kind::Array(_)
            | Kind::Map(_)
            | Kind::Entries(_) => false,
        }
    }
}

fn array(of: &Expected, node: Node<'_>, out: &mut Out<'_>) -> Result<Datum> {
    let start = out.stack.len();
    // An object counts as the array of its members' values, and everything else as empty.
    for node in node.elements().into_iter().flatten() {
        push_part(of, node, "element of array", out)?;
    }
    for (_, node) in node.members().into_iter().flatten() {
        push_part(of, node, "element of array", out)?;
    }
    let array = out.batch.array(&out.stack[start..]);
    out.stack.truncate(start);
    Ok(array)
}

fn push_part(of: &Expected, node: Node<'_>, what: &str, out: &mut Out<'_>) -> Result<()> {
    let value = of.node(node, out)?;
    of.check_part(value, what)?;
    out.stack.push(value);
    Ok(())
}

fn object(of: &Expected, node: Node<'_>, out: &mut Out<'_>) -> Result<Datum> {
    let Some(members) = node.members() else {
        return Err(wrong("Maps with string fields should be encoded as JSON objects", node));
    };
    let start = out.stack.len();
    for (name, node) in members {
        let name = text(name, out);
        out.stack.push(name);
        push_part(of, node, "value of map", out)?;
    }
    Ok(map(start, out))
}

fn entries(key: &Expected, value: &Expected, node: Node<'_>, out: &mut Out<'_>) -> Result<Datum> {
    let Some(nodes) = node.elements() else {
        return Err(wrong(
            "Maps with non-string fields should be encoded as JSON array of objects",
            node,
        ));
    };
    let start = out.stack.len();
    for node in nodes {
        let Some(members) = node.members() else {
            let kind = node.kind();
            return Err(Error::data(format!(
                "Found invalid map entry instead of object: {kind}"
            )));
        };
        let length = members.len();
        if length != 2 {
            return Err(Error::data(format!(
                "Found invalid map entry, expected length 2 but found :{length}"
            )));
        }
        for (of, name, what) in [(key, "key", "key of map"), (value, "value", "value of map")] {
            match node.get(name) {
                Some(node) => push_part(of, node, what, out)?,
                None => {
                    let absent = of.absent(out);
                    of.check_part(absent, what)?;
                    out.stack.push(absent);
                }
            }
        }
    }
    keep_last_of_each_key(start, out);
    Ok(map(start, out))
}

fn wrong(what: &str, node: Node<'_>) -> Error {
    Error::data(format!("{what}, but found {}", node.kind()))
}
