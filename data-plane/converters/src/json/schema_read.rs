//! From a JSON schema object to a schema.

use dray_connect::backing::Backing;
use dray_connect::schema::{SchemaBuilder, SchemaRef};
use dray_connect::value::Value;
use dray_connect::{Error, Result};

use super::node::Node;
use super::out::Out;
use super::read::Reader;

/// Schemas within each other. A schema comes with the message and all that is done with it recurses, so that this keeps a
/// message from filling the stack of a thread; Java's limit is that stack.
const MAX_LEVELS: usize = 100;

impl Reader {
    /// The schema that a node describes; none for JSON null.
    pub(super) fn schema(self, node: Node<'_>) -> Result<Option<SchemaRef>> {
        self.schema_at(node, 1)
    }

    /// As [`Reader::schema`], at a level of nesting counted from 1.
    fn schema_at(self, node: Node<'_>, level: usize) -> Result<Option<SchemaRef>> {
        if node.is_null() {
            return Ok(None);
        }
        self.described(node, level).map(Some)
    }

    fn described(self, node: Node<'_>, level: usize) -> Result<SchemaRef> {
        if level > MAX_LEVELS {
            return Err(Error::data(format!("Schema nests deeper than {MAX_LEVELS} levels")));
        }
        let Some(kind) = node.get("type").and_then(Node::text) else {
            return Err(Error::data("Schema must contain 'type' field"));
        };
        let mut builder = match kind {
            "boolean" => SchemaBuilder::boolean(),
            "int8" => SchemaBuilder::int8(),
            "int16" => SchemaBuilder::int16(),
            "int32" => SchemaBuilder::int32(),
            "int64" => SchemaBuilder::int64(),
            "float" => SchemaBuilder::float32(),
            "double" => SchemaBuilder::float64(),
            "bytes" => SchemaBuilder::bytes(),
            "string" => SchemaBuilder::string(),
            "array" => self.array_schema(node, level + 1)?,
            "map" => self.map_schema(node, level + 1)?,
            "struct" => self.struct_schema(node, level + 1)?,
            unknown => return Err(Error::data(format!("Unknown schema type: {unknown}"))),
        };
        if node.get("optional").is_some_and(Node::is_true) {
            builder = builder.optional();
        }
        if let Some(name) = node.get("name").and_then(Node::text) {
            builder = builder.name(name);
        }
        if let Some(version) = node
            .get("version")
            .and_then(Node::number)
            .filter(|number| number.integral)
        {
            // Java narrows with a cast as well.
            builder = builder.version(version.long() as i32);
        }
        if let Some(doc) = node.get("doc").and_then(Node::text) {
            builder = builder.doc(doc);
        }
        if let Some(parameters) = node.get("parameters").and_then(Node::members) {
            for (name, value) in parameters {
                let Some(value) = value.text() else {
                    return Err(Error::data("Schema parameters must have string values."));
                };
                builder = builder.parameter(name.text().unwrap_or_default(), value);
            }
        }
        let schema = builder.build()?;
        match node.get("default") {
            Some(default) => {
                let value = self.owned(&schema, default)?;
                // The struct has the schema as it is before the default, so that Connect finds them unequal; a struct
                // schema with a default could not be used with structs that have it either.
                if let Value::Struct(_) = value {
                    let cause = Error::data("Struct schemas do not match.");
                    return Err(Error::schema_builder("Invalid default value").with_source(cause));
                }
                schema.to_builder().default_value(value).build()
            }
            None => Ok(schema),
        }
    }

    /// The value of a node, which belongs to a schema and to no batch.
    fn owned(self, schema: &SchemaRef, node: Node<'_>) -> Result<Value> {
        let mut batch = Backing::default();
        let mut out = Out {
            batch: &mut batch,
            span: None,
            stack: &mut Vec::new(),
            levels: 0,
        };
        let datum = self.value(Some(schema), Some(node), &mut out)?;
        Ok(datum.view(&batch).to_value())
    }

    fn array_schema(self, node: Node<'_>, level: usize) -> Result<SchemaBuilder> {
        match node
            .get("items")
            .map(|items| self.schema_at(items, level))
            .transpose()?
            .flatten()
        {
            Some(items) => Ok(SchemaBuilder::array(items)),
            None => Err(Error::data("Array schema did not specify the element type")),
        }
    }

    fn map_schema(self, node: Node<'_>, level: usize) -> Result<SchemaBuilder> {
        let missing = |what: &str| Error::data(format!("Map schema did not specify the {what} type"));
        let keys = node.get("keys").ok_or_else(|| missing("key"))?;
        let values = node.get("values").ok_or_else(|| missing("value"))?;
        let (keys, values) = (self.schema_at(keys, level)?, self.schema_at(values, level)?);
        let keys = keys.ok_or_else(|| Error::schema_builder("keySchema cannot be null."))?;
        let values = values.ok_or_else(|| Error::schema_builder("valueSchema cannot be null."))?;
        Ok(SchemaBuilder::map(keys, values))
    }

    fn struct_schema(self, node: Node<'_>, level: usize) -> Result<SchemaBuilder> {
        let Some(fields) = node.get("fields").and_then(Node::elements) else {
            return Err(Error::data("Struct schema's \"fields\" argument is not an array."));
        };
        let mut builder = SchemaBuilder::struct_();
        for field in fields {
            let Some(name) = field.get("field").and_then(Node::text) else {
                return Err(Error::data("Struct schema's field name not specified properly"));
            };
            builder = builder.field(name, self.described(field, level)?);
        }
        Ok(builder)
    }
}
