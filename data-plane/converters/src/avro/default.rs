//! Default values: Connect's values and the JSON that Avro schemas hold.

use bigdecimal::BigDecimal;
use dray_connect::logical::{self, Logical};
use dray_connect::schema::{Schema as Connect, SchemaRef, Type};
use dray_connect::structs::Struct;
use dray_connect::value::{Value, double_to_string, float_to_string};
use num_bigint::BigInt;
use serde_json::{Map, Value as Json};

use super::from_connect::is_union;
use super::schema::{Kind, Schema, TypeId};
use super::settings::Settings;
use super::wire;

/// The value that a default stands for; none when it does not fit the schema.
pub(super) fn read(schema: &SchemaRef, json: &Json, settings: &Settings) -> Option<Value> {
    if json.is_null() {
        return schema.optional().then_some(Value::Null);
    }
    let integer = || {
        json.as_i64().or_else(|| {
            json.as_f64()
                .filter(|number| number.fract() == 0.0)
                .map(|number| number as i64)
        })
    };
    Some(match (schema.type_(), Logical::of(schema)) {
        (_, Some(Logical::Date)) => Value::Date(logical::date_from_days(schema, integer()?.try_into().ok()?).ok()?),
        (_, Some(Logical::Time)) => Value::Date(logical::time_from_millis(schema, integer()?.try_into().ok()?).ok()?),
        (_, Some(Logical::Timestamp)) => Value::Date(integer()?),
        (_, Some(Logical::Decimal)) => {
            let scale = logical::decimal_scale(schema).ok()?;
            let bytes = latin1(json.as_str()?)?;
            Value::Decimal(BigDecimal::new(BigInt::from_signed_bytes_be(&bytes), i64::from(scale)))
        }
        (Type::Int8, None) => Value::Int8(integer()?.try_into().ok()?),
        (Type::Int16, None) => Value::Int16(integer()?.try_into().ok()?),
        (Type::Int32, None) => Value::Int32(integer()?.try_into().ok()?),
        (Type::Int64, None) => Value::Int64(integer()?),
        // By its text: by way of a double it could be rounded twice.
        (Type::Float32, None) => Value::Float32(json.as_number()?.to_string().parse().ok()?),
        (Type::Float64, None) => Value::Float64(json.as_f64()?),
        (Type::Boolean, None) => Value::Boolean(json.as_bool()?),
        (Type::String, None) => Value::string(json.as_str()?),
        (Type::Bytes, None) => Value::bytes(latin1(json.as_str()?)?),
        (Type::Array, None) => {
            let of = schema.value_schema().ok()?;
            let elements = json.as_array()?.iter().map(|json| read(of, json, settings));
            Value::Array(elements.collect::<Option<_>>()?)
        }
        (Type::Map, None) => {
            let of = schema.value_schema().ok()?;
            let entry =
                |(name, json): (&String, &Json)| Some((Value::string(name.as_str()), read(of, json, settings)?));
            Value::map(json.as_object()?.iter().map(entry).collect::<Option<Vec<_>>>()?)
        }
        (Type::Struct, None) if is_union(schema) => {
            // It is the first branch's. Java finds no branch again for what is an enum, a record or a short integer there.
            let of = &schema.fields().ok()?.first()?.schema;
            let is_enum = of.type_() == Type::String && of.parameters().is_some();
            if is_enum || matches!(of.type_(), Type::Struct | Type::Int8 | Type::Int16) {
                return None;
            }
            let mut union = Struct::new(SchemaRef::clone(schema)).ok()?;
            union.put_at(0, read(of, json, settings)?).ok()?;
            Value::from(union)
        }
        (Type::Struct, None) => {
            let mut record = Struct::new(SchemaRef::clone(schema)).ok()?;
            let members = json.as_object()?;
            let schema = SchemaRef::clone(record.schema());
            for (index, field) in schema.fields().ok()?.iter().enumerate() {
                let json = members.get(&*settings.scrubbed(&field.name)).unwrap_or(&Json::Null);
                record.put_at(index, read(&field.schema, json, settings)?).ok()?;
            }
            Value::from(record)
        }
    })
}

/// The JSON of a default; none when JSON has no word for it, or Avro no form.
pub(super) fn write(schema: &Connect, value: &Value, settings: &Settings) -> Option<Json> {
    let logical = Logical::of(schema);
    Some(match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => (*value).into(),
        Value::Int8(value) => (*value).into(),
        Value::Int16(value) => (*value).into(),
        Value::Int32(value) => (*value).into(),
        Value::Int64(value) => (*value).into(),
        // With a point or an exponent, as in Java: its parser takes others for integers, and gives none that is too large for a long.
        Value::Float32(value) => number(&float_to_string(*value))?,
        Value::Float64(value) => number(&double_to_string(*value))?,
        Value::String(text) => (**text).into(),
        Value::Bytes(bytes) => from_latin1(bytes),
        Value::Decimal(value) => from_latin1(&logical::decimal_to_bytes(schema, value).ok()?),
        Value::Date(value) => match logical? {
            Logical::Date => logical::date_to_days(schema, *value).ok()?.into(),
            Logical::Time => logical::time_to_millis(schema, *value).ok()?.into(),
            Logical::Timestamp | Logical::Decimal => (*value).into(),
        },
        Value::Array(elements) => {
            let of = schema.value_schema().ok()?;
            let elements = elements.iter().map(|value| write(of, value, settings));
            Json::Array(elements.collect::<Option<_>>()?)
        }
        Value::Map(entries) => {
            let of = schema.value_schema().ok()?;
            let entry = |(key, value): &(Value, Value)| Some((key.as_str()?.to_owned(), write(of, value, settings)?));
            Json::Object(entries.iter().map(entry).collect::<Option<_>>()?)
        }
        // The first branch's, as in Java, or null where another one has the value.
        Value::Struct(union) if is_union(schema) => {
            let (field, _) = union.iter().next()?;
            write(&field.schema, union.value_or_default(field), settings)?
        }
        Value::Struct(record) => {
            let mut object = Map::new();
            for (field, _) in record.iter() {
                let json = write(&field.schema, record.value_or_default(field), settings)?;
                object.insert(settings.scrubbed(&field.name).into_owned(), json);
            }
            Json::Object(object)
        }
    })
}

/// A number as it stands; none of NaN and Infinity.
fn number(text: &str) -> Option<Json> {
    text.parse().ok().map(Json::Number)
}

/// Whether Avro takes this for the default of a field of that type. Of a union it must be the first branch's.
pub(super) fn fits(schema: &Schema, id: TypeId, json: &Json) -> bool {
    let integer = |least: i64, most: i64| json.as_i64().is_some_and(|number| (least..=most).contains(&number));
    match schema.kind(id) {
        Kind::Null => json.is_null(),
        Kind::Boolean => json.is_boolean(),
        Kind::Int => integer(i32::MIN.into(), i32::MAX.into()),
        Kind::Long => integer(i64::MIN, i64::MAX),
        Kind::Float | Kind::Double => json.is_number(),
        Kind::Bytes | Kind::Fixed(_) | Kind::String | Kind::Enum(_) => json.is_string(),
        Kind::Array(of) => json
            .as_array()
            .is_some_and(|all| all.iter().all(|json| fits(schema, *of, json))),
        Kind::Map(of) => json
            .as_object()
            .is_some_and(|all| all.values().all(|json| fits(schema, *of, json))),
        Kind::Union(branches) => branches.first().is_some_and(|first| fits(schema, *first, json)),
        Kind::Record(record) => json.as_object().is_some_and(|members| {
            let field = |field: &super::schema::RecordField| {
                let json = members.get(&*field.name).or(field.default.as_ref());
                json.is_some_and(|json| fits(schema, field.of, json))
            };
            record.fields.iter().all(field)
        }),
    }
}

/// Types within each other in a default: one that contains itself may be its own default …
const MAX_LEVELS: usize = 100;
/// … and as one of several branches lead to very many.
const MAX_TYPES: usize = 100_000;

/// The bytes of a default of that type; none where it does not fit, or does not end. Of a union the first branch counts that it fits.
pub(super) fn encode(schema: &Schema, of: TypeId, json: &Json) -> Option<Vec<u8>> {
    let mut encoder = Encoder {
        schema,
        left: MAX_TYPES,
        out: Vec::new(),
    };
    encoder.encode(of, json, 1)?;
    Some(encoder.out)
}

struct Encoder<'a> {
    schema: &'a Schema,
    left: usize,
    out: Vec<u8>,
}

impl Encoder<'_> {
    fn encode(&mut self, of: TypeId, json: &Json, level: usize) -> Option<()> {
        if level > MAX_LEVELS {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let (schema, out) = (self.schema, &mut self.out);
        match schema.kind(of) {
            Kind::Null => json.as_null()?,
            Kind::Boolean => out.push(json.as_bool()?.into()),
            Kind::Int => wire::long(i32::try_from(json.as_i64()?).ok()?.into(), out),
            Kind::Long => wire::long(json.as_i64()?, out),
            // By way of a double, as in Java.
            Kind::Float => out.extend_from_slice(&(json.as_f64()? as f32).to_le_bytes()),
            Kind::Double => out.extend_from_slice(&json.as_f64()?.to_le_bytes()),
            Kind::String => wire::bytes(json.as_str()?.as_bytes(), out),
            Kind::Bytes => wire::bytes(&latin1(json.as_str()?)?, out),
            Kind::Fixed(of) => {
                // One that is too short is filled up, as in Java, and a longer one cut.
                let mut bytes = latin1(json.as_str()?)?;
                bytes.resize(of.size, 0);
                out.extend_from_slice(&bytes);
            }
            Kind::Enum(of) => {
                let symbol = json.as_str()?;
                let index = of.symbols.iter().position(|known| &**known == symbol)?;
                wire::long(index as i64, out);
            }
            Kind::Array(of) => {
                let elements = json.as_array()?;
                if !elements.is_empty() {
                    wire::long(elements.len() as i64, out);
                }
                for element in elements {
                    self.encode(*of, element, level + 1)?;
                }
                self.out.push(0);
            }
            Kind::Map(of) => {
                let entries = json.as_object()?;
                if !entries.is_empty() {
                    wire::long(entries.len() as i64, out);
                }
                for (key, value) in entries {
                    wire::bytes(key.as_bytes(), &mut self.out);
                    self.encode(*of, value, level + 1)?;
                }
                self.out.push(0);
            }
            Kind::Record(record) => {
                let members = json.as_object()?;
                for field in &record.fields {
                    let json = members.get(&*field.name).or(field.default.as_ref())?;
                    self.encode(field.of, json, level + 1)?;
                }
            }
            Kind::Union(branches) => {
                let start = self.out.len();
                let fits = |(index, branch): (usize, &TypeId)| {
                    self.out.truncate(start);
                    wire::long(index as i64, &mut self.out);
                    self.encode(*branch, json, level + 1)
                };
                branches.iter().enumerate().find_map(fits)?;
            }
        }
        Some(())
    }
}

/// Bytes as Avro's JSON has them: a character each.
pub(super) fn latin1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect()
}

fn from_latin1(bytes: &[u8]) -> Json {
    bytes.iter().map(|byte| char::from(*byte)).collect::<String>().into()
}
