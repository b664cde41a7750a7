//! From a schema to a JSON schema object.

use dray_connect::datum::ValueRef;
use dray_connect::schema::{Schema, Type};
use dray_connect::{Error, Result};

use super::escape;
use super::write::Writer;

impl Writer {
    /// Appends the object of a schema; `field` is the name of the struct's field that has it.
    pub(super) fn schema(self, schema: Option<&Schema>, field: Option<&str>, out: &mut Vec<u8>) -> Result<()> {
        let Some(schema) = schema else {
            out.extend_from_slice(b"null");
            return Ok(());
        };
        out.extend_from_slice(b"{\"type\":");
        escape::string(type_name(schema.type_()).as_bytes(), out);
        match schema.type_() {
            Type::Array => {
                out.extend_from_slice(b",\"items\":");
                self.schema(schema.value_schema_opt().map(|schema| &**schema), None, out)?;
            }
            Type::Map => {
                out.extend_from_slice(b",\"keys\":");
                self.schema(schema.key_schema_opt().map(|schema| &**schema), None, out)?;
                out.extend_from_slice(b",\"values\":");
                self.schema(schema.value_schema_opt().map(|schema| &**schema), None, out)?;
            }
            Type::Struct if schema.is_reference() => {
                // Java's converter overflows its stack.
                let name = schema.name().unwrap_or("a struct without a name");
                return Err(Error::data(format!(
                    "the schema {name} contains itself, which JsonConverter has no words for: set schemas.enable=false, or \
                     write it with another converter"
                )));
            }
            Type::Struct => {
                out.extend_from_slice(b",\"fields\":[");
                for (i, field) in schema.fields()?.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    self.schema(Some(&field.schema), Some(&field.name), out)?;
                }
                out.push(b']');
            }
            Type::Int8
            | Type::Int16
            | Type::Int32
            | Type::Int64
            | Type::Float32
            | Type::Float64
            | Type::Boolean
            | Type::String
            | Type::Bytes => {}
        }
        out.extend_from_slice(if schema.optional() {
            b",\"optional\":true"
        } else {
            b",\"optional\":false"
        });
        text_member("name", schema.name(), out);
        if let Some(version) = schema.version() {
            out.extend_from_slice(b",\"version\":");
            out.extend_from_slice(itoa::Buffer::new().format(version).as_bytes());
        }
        text_member("doc", schema.doc(), out);
        if let Some(parameters) = schema.parameters() {
            out.extend_from_slice(b",\"parameters\":{");
            for (i, (name, value)) in parameters.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                escape::string(name.as_bytes(), out);
                out.push(b':');
                escape::string(value.as_bytes(), out);
            }
            out.push(b'}');
        }
        if let Some(default) = schema.default() {
            out.extend_from_slice(b",\"default\":");
            // A default nested 1000 deep needs a schema that is, which cannot be read back either.
            self.value(Some(schema), ValueRef::from(default), 0, out)?;
        }
        text_member("field", field, out);
        out.push(b'}');
        Ok(())
    }
}

fn text_member(name: &str, text: Option<&str>, out: &mut Vec<u8>) {
    let Some(text) = text else { return };
    out.push(b',');
    escape::string(name.as_bytes(), out);
    out.push(b':');
    escape::string(text.as_bytes(), out);
}

/// The name in a JSON schema, which for the floats is not the type's own.
fn type_name(kind: Type) -> &'static str {
    match kind {
        Type::Float32 => "float",
        Type::Float64 => "double",
        Type::Int8
        | Type::Int16
        | Type::Int32
        | Type::Int64
        | Type::Boolean
        | Type::String
        | Type::Bytes
        | Type::Array
        | Type::Map
        | Type::Struct => kind.name(),
    }
}
