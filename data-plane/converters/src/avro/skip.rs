//! Over the bytes of a type that nobody asks for.

use dray_connect::{Error, Result};

use super::read::{no_branch, no_symbol};
use super::schema::{Kind, Schema, TypeId};
use super::wire::Bytes;

/// Values within each other, where a type contains itself and the message says how deep it goes. Each takes some hundred bytes of stack.
const MAX_LEVELS: usize = 1_000;

/// Skips the value that comes next.
pub(super) fn skip(schema: &Schema, of: TypeId, bytes: &mut Bytes<'_>, level: usize) -> Result<()> {
    if level > MAX_LEVELS {
        return Err(Error::data(format!(
            "Malformed data. It nests deeper than {MAX_LEVELS} levels"
        )));
    }
    match schema.kind(of) {
        Kind::Null => {}
        Kind::Boolean => drop(bytes.take(1)?),
        Kind::Int => drop(bytes.int()?),
        Kind::Long => drop(bytes.long()?),
        Kind::Float => drop(bytes.take(4)?),
        Kind::Double => drop(bytes.take(8)?),
        Kind::String | Kind::Bytes => {
            let length = bytes.length()?;
            bytes.take(length)?;
        }
        Kind::Fixed(of) => drop(bytes.take(of.size)?),
        Kind::Enum(of) => {
            let index = bytes.int()?;
            if usize::try_from(index).is_ok_and(|index| index < of.symbols.len()) {
                return Ok(());
            }
            return Err(no_symbol(index, of.symbols.len()));
        }
        Kind::Array(of) => skip_blocks(bytes, |bytes| skip(schema, *of, bytes, level + 1))?,
        Kind::Map(of) => skip_blocks(bytes, |bytes| {
            let length = bytes.length()?;
            bytes.take(length)?;
            skip(schema, *of, bytes, level + 1)
        })?,
        Kind::Record(record) => {
            for field in &record.fields {
                skip(schema, field.of, bytes, level + 1)?;
            }
        }
        Kind::Union(branches) => {
            let branch = bytes.long()?;
            let of = usize::try_from(branch).ok().and_then(|branch| branches.get(branch));
            let of = of.ok_or_else(|| no_branch(branch, branches.len()))?;
            skip(schema, *of, bytes, level + 1)?;
        }
    }
    Ok(())
}

fn skip_blocks(bytes: &mut Bytes<'_>, mut element: impl FnMut(&mut Bytes<'_>) -> Result<()>) -> Result<()> {
    loop {
        let count = bytes.block()?;
        if count == 0 {
            return Ok(());
        }
        for _ in 0..count {
            let began = bytes.at;
            element(bytes)?;
            bytes.element(began)?;
        }
    }
}
