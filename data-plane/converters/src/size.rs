//! How many schemas one stands for. A schema that stands in several places is one object, so that a few names may stand for very many: what
//! has a plan, or a text, for each place must not begin with such a one.

use std::collections::HashMap;
use std::sync::Arc;

use dray_connect::schema::{SchemaRef, Type};
use dray_connect::{Error, Result};

/// Far more than people write.
const MOST: usize = 50_000;

/// Refuses a schema that stands for too many.
pub(crate) fn check(schema: &SchemaRef) -> Result<()> {
    if size(schema, &mut HashMap::new())? > MOST {
        return Err(Error::data(format!(
            "the schema stands for more than {MOST} others, as some of them stand in very many places; read the bytes with ByteArrayConverter"
        )));
    }
    Ok(())
}

/// With itself; `known` by the address of a schema.
fn size(schema: &SchemaRef, known: &mut HashMap<usize, usize>) -> Result<usize> {
    let within: Vec<&SchemaRef> = match schema.type_() {
        Type::Struct if !schema.is_reference() => schema.fields()?.iter().map(|field| &field.schema).collect(),
        Type::Array => vec![schema.value_schema()?],
        Type::Map => vec![schema.key_schema()?, schema.value_schema()?],
        Type::Struct
        | Type::Int8
        | Type::Int16
        | Type::Int32
        | Type::Int64
        | Type::Float32
        | Type::Float64
        | Type::Boolean
        | Type::String
        | Type::Bytes => return Ok(1),
    };
    let address = Arc::as_ptr(schema).addr();
    if let Some(known) = known.get(&address) {
        return Ok(*known);
    }
    let mut all = 1_usize;
    for schema in within {
        all = all.saturating_add(size(schema, known)?);
    }
    known.insert(address, all);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dray_connect::schema::{Schema, SchemaBuilder};

    /// A struct with two fields of one with two fields of one …
    fn doubled(times: usize) -> SchemaRef {
        let twice = |of: SchemaRef, _| {
            let both = SchemaBuilder::struct_().field("a", Arc::clone(&of)).field("b", of);
            both.build().unwrap()
        };
        (0..times).fold(Schema::int32(), twice)
    }

    #[test]
    fn a_schema_counts_wherever_it_stands() {
        let of = |times| size(&doubled(times), &mut HashMap::new()).unwrap();
        assert_eq!([0, 1, 2, 10].map(of), [1, 3, 7, 2047]);
        assert_eq!(of(200), usize::MAX);
        let list = SchemaBuilder::map(Schema::string(), SchemaBuilder::array(doubled(2)).build().unwrap());
        assert_eq!(size(&list.build().unwrap(), &mut HashMap::new()).unwrap(), 10);
        assert!(check(&doubled(14)).is_ok());
        let error = check(&doubled(15)).unwrap_err().to_string();
        assert!(error.contains("more than 50000"), "{error}");
    }
}
