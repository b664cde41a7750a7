//! An event, and the row of the outbox in it, as Debezium reads them: by the names of fields.

use std::sync::Arc;

use dray_connect::Result;
use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, Field, ValueRef};
use dray_connect::schema::{SchemaRef, Type};
use dray_connect::value::Value;

use super::super::{AFTER, field, typed, wrong_class};
use crate::record::not_a_struct;
use crate::{ConnectRecord, Side};

/// A struct's schema and its values.
pub(super) struct Row {
    pub(super) schema: SchemaRef,
    values: Vec<Datum>,
}

/// The value of a field, with its schema.
#[derive(Clone)]
pub(super) struct Column {
    pub(super) schema: SchemaRef,
    value: Held,
}

#[derive(Clone)]
enum Held {
    Datum(Datum),
    /// A default, or what was read from JSON.
    Owned(Value),
}

impl Row {
    /// The event of a record.
    pub(super) fn of(record: &ConnectRecord<'_>) -> Result<Self> {
        let (schema, values) = record.fields(Side::Value, "Detect Debezium Operation")?;
        Ok(Self {
            schema: Arc::clone(schema),
            values: values.to_vec(),
        })
    }

    /// The row of an event.
    pub(super) fn row(&self, record: &ConnectRecord<'_>) -> Result<Self> {
        let Some(after) = self.schema.field(AFTER) else {
            let problem = format!("Unknown field: {AFTER}");
            return Err(dray_connect::Error::illegal_argument(problem));
        };
        let (backing, datum) = (record.backing(), self.values[after.index]);
        let Datum::Struct(row) = datum else {
            return Err(not_a_struct("Read Outbox Event", datum.view(backing).java_class()));
        };
        Ok(Self {
            schema: Arc::clone(backing.schema_of(row.schema())),
            values: datum.parts(backing).to_vec(),
        })
    }

    /// `Struct.get`: the default stands for null.
    pub(super) fn get(&self, name: &str) -> Result<Column> {
        let field = field(&self.schema, name)?;
        let value = match (self.values[field.index], field.schema.default()) {
            (Datum::Null, Some(default)) => Held::Owned(default.clone()),
            (datum, _) => Held::Datum(datum),
        };
        Ok(Column {
            schema: Arc::clone(&field.schema),
            value,
        })
    }

    fn typed<'b>(&self, name: &str, kind: Type, backing: &'b Backing) -> Result<ValueRef<'b>> {
        let field = typed(&self.schema, name, kind)?;
        Ok(self.values[field.index].view(backing))
    }

    /// `Struct.getString`.
    pub(super) fn text<'b>(&self, name: &str, backing: &'b Backing) -> Result<Option<&'b str>> {
        let value = self.typed(name, Type::String, backing)?;
        match value.as_str() {
            None if !value.is_null() => Err(wrong_class(name, value, "java.lang.String")),
            text => Ok(text),
        }
    }

    /// `Struct.getInt32`.
    pub(super) fn int(&self, name: &str, backing: &Backing) -> Result<Option<i32>> {
        let value = self.typed(name, Type::Int32, backing)?;
        match (value, value.is_null()) {
            (ValueRef::Int32(number), _) => Ok(Some(number)),
            (_, true) => Ok(None),
            (_, false) => Err(wrong_class(name, value, "java.lang.Integer")),
        }
    }

    /// `Struct.getInt64`.
    pub(super) fn long(&self, name: &str, backing: &Backing) -> Result<Option<i64>> {
        let value = self.typed(name, Type::Int64, backing)?;
        match (value, value.is_null()) {
            (ValueRef::Int64(number), _) => Ok(Some(number)),
            (_, true) => Ok(None),
            (_, false) => Err(wrong_class(name, value, "java.lang.Long")),
        }
    }
}

impl Column {
    pub(super) fn owned(schema: SchemaRef, value: Value) -> Self {
        Self {
            schema,
            value: Held::Owned(value),
        }
    }

    pub(super) fn view<'v>(&'v self, backing: &'v Backing) -> ValueRef<'v> {
        match &self.value {
            Held::Datum(datum) => datum.view(backing),
            Held::Owned(value) => value.into(),
        }
    }

    pub(super) fn to_value(&self, backing: &Backing) -> Value {
        self.view(backing).to_value()
    }

    /// Puts the value into the batch.
    pub(super) fn put(&self, backing: &mut Backing) -> Field {
        let datum = match &self.value {
            Held::Datum(datum) => *datum,
            Held::Owned(value) => backing.value(value),
        };
        Field {
            schema: Some(backing.schema(&self.schema)),
            datum,
        }
    }
}
