//! [`Struct`]: the values of a struct schema's fields.

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::datum::StructRef;
use crate::error::{Error, Result};
use crate::schema::{Field, Schema, SchemaRef, Type, validate_field};
use crate::value::Value;

static NULL: Value = Value::Null;

/// One record of a struct schema: a value for each field, null where nothing was put.
#[derive(Clone, Debug)]
pub struct Struct {
    schema: SchemaRef,
    /// As many as the schema has fields, in that order.
    values: Box<[Value]>,
}

impl Struct {
    /// A struct in which every field is null. Of a schema within itself it is one of what that stands for.
    pub fn new(schema: SchemaRef) -> Result<Self> {
        let schema = schema.refers_to().unwrap_or(schema);
        if schema.type_() != Type::Struct {
            return Err(Error::data(format!("Not a struct schema: {schema}")));
        }
        let values = schema.fields()?.iter().map(|_| Value::Null).collect();
        Ok(Self { schema, values })
    }

    /// A struct of values that were checked before, one for each field.
    pub(crate) fn of_checked(schema: SchemaRef, values: Box<[Value]>) -> Self {
        Self { schema, values }
    }

    /// The schema.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The values in schema order, defaults not filled in.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// The fields with their values, defaults not filled in.
    pub fn iter(&self) -> impl Iterator<Item = (&Field, &Value)> {
        self.schema.fields().unwrap_or_default().iter().zip(&self.values)
    }

    /// The value of a field; the schema's default stands for null.
    pub fn get(&self, name: &str) -> Result<&Value> {
        let field = self.lookup(name)?;
        Ok(self.value_or_default(field))
    }

    /// The value of a field as it was put.
    pub fn get_without_default(&self, name: &str) -> Result<&Value> {
        let field = self.lookup(name)?;
        Ok(self.raw(field))
    }

    /// The value of one of this schema's fields; the schema's default stands for null.
    #[must_use]
    pub fn value_or_default<'a>(&'a self, field: &'a Field) -> &'a Value {
        let value = self.raw(field);
        match (value, field.schema.default()) {
            (Value::Null, Some(default)) => default,
            (_, _) => value,
        }
    }

    /// Sets a field. The value is checked: null needs an optional field, even where there is a default.
    pub fn put(&mut self, name: &str, value: impl Into<Value>) -> Result<&mut Self> {
        let value = value.into();
        let field = self.lookup(name)?;
        validate_field(&field.name, &field.schema, (&value).into())?;
        let index = field.index;
        if let Some(slot) = self.values.get_mut(index) {
            *slot = value;
        }
        Ok(self)
    }

    /// As [`Struct::put`], for a caller that knows the position of the field. Past the last field nothing is set and it is
    /// an error.
    pub fn put_at(&mut self, index: usize, value: impl Into<Value>) -> Result<&mut Self> {
        let value = value.into();
        let field = self.schema.fields()?.get(index);
        let (Some(field), Some(slot)) = (field, self.values.get_mut(index)) else {
            return Err(Error::data(format!("{index} is not the position of a field")));
        };
        validate_field(&field.name, &field.schema, (&value).into())?;
        *slot = value;
        Ok(self)
    }

    /// The values in schema order, to be taken apart.
    #[must_use]
    pub fn into_values(self) -> Vec<Value> {
        self.values.into_vec()
    }

    /// Checks every field; null passes where the field is optional or has a default.
    pub fn validate(&self) -> Result<()> {
        StructRef::from(self).validate()
    }

    fn lookup(&self, name: &str) -> Result<&Field> {
        self.schema
            .field(name)
            .ok_or_else(|| Error::data(format!("{name} is not a valid field name")))
    }

    fn raw(&self, field: &Field) -> &Value {
        self.values.get(field.index).unwrap_or(&NULL)
    }

    /// The value as it was put, after a check of the field's type; no default is filled in, as in Connect.
    fn typed(&self, name: &str, kind: Type) -> Result<&Value> {
        let field = self.lookup(name)?;
        if field.schema.type_() != kind {
            return Err(Error::data(format!("Field '{name}' is not of type {kind}")));
        }
        Ok(self.raw(field))
    }
}

/// The getters differ in the type they ask for and the variant they open.
macro_rules! getters {
    ($($name:ident, $kind:ident, $variant:ident, $class:literal, $value:ident => $out:expr, $ty:ty;)*) => {
        impl Struct {
            $(
                #[doc = concat!("The value of a field of type ", stringify!($kind), " as it was put; no default is filled in.")]
                pub fn $name(&self, name: &str) -> Result<Option<$ty>> {
                    let value = self.typed(name, Type::$kind)?;
                    match value {
                        Value::Null => Ok(None),
                        Value::$variant($value) => Ok(Some($out)),
                        // A logical value has the base type of its schema, but is of another class.
                        other => Err(Error::data(format!("class {} cannot be cast to class {}", other.java_class(), $class))),
                    }
                }
            )*
        }
    };
}

getters! {
    get_int8, Int8, Int8, "java.lang.Byte", v => *v, i8;
    get_int16, Int16, Int16, "java.lang.Short", v => *v, i16;
    get_int32, Int32, Int32, "java.lang.Integer", v => *v, i32;
    get_int64, Int64, Int64, "java.lang.Long", v => *v, i64;
    get_float32, Float32, Float32, "java.lang.Float", v => *v, f32;
    get_float64, Float64, Float64, "java.lang.Double", v => *v, f64;
    get_boolean, Boolean, Boolean, "java.lang.Boolean", v => *v, bool;
    get_string, String, String, "java.lang.String", v => v, &str;
    get_bytes, Bytes, Bytes, "[B", v => v, &[u8];
    get_array, Array, Array, "java.util.List", v => v, &[Value];
    get_map, Map, Map, "java.util.Map", v => v, &[(Value, Value)];
    get_struct, Struct, Struct, "org.apache.kafka.connect.data.Struct", v => v, &Struct;
}

impl PartialEq for Struct {
    fn eq(&self, other: &Self) -> bool {
        Schema::same(&self.schema, &other.schema) && self.values == other.values
    }
}

impl Eq for Struct {}

impl Hash for Struct {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.schema.name().hash(state);
        self.values.hash(state);
    }
}

/// `Struct{f1=v1,f2=v2}`, without the fields that are null.
impl fmt::Display for Struct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Struct{")?;
        let mut separator = "";
        for (field, value) in self.iter() {
            if matches!(value, Value::Null) {
                continue;
            }
            write!(f, "{separator}{}={value}", field.name)?;
            separator = ",";
        }
        f.write_str("}")
    }
}

#[cfg(test)]
mod tests;
