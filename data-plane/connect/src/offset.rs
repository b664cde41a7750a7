//! Source partitions and source offsets: small maps of primitives, opaque to the runtime (reference: offset storage).

use crate::error::{Error, Result};
use std::fmt::Write as _;
use std::sync::Arc;

/// A primitive inside a source partition or offset. Connect allows nothing nested there.
#[derive(Clone, Debug, PartialEq)]
pub enum Primitive {
    /// JSON null.
    Null,
    /// A boolean.
    Boolean(bool),
    /// Any integer; what is read back is always 64 bits wide.
    Long(i64),
    /// A floating point number.
    Double(f64),
    /// Text.
    String(Box<str>),
}

/// A map from names to primitives in the order of the connector: its JSON is the identity of a source partition, so
/// the order is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OffsetMap(Vec<(Box<str>, Primitive)>);

/// Names one independent stream inside the source system, such as a file or a table.
pub type SourcePartition = Arc<OffsetMap>;

/// Where a record stands in its source partition: what is committed once the record is durable.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceOffset {
    /// The common case, one 64-bit field, without an allocation a record.
    Long {
        /// The field's name, such as `position`.
        field: &'static str,
        /// Its value.
        value: i64,
    },
    /// Any other: fields that records share, of which the first may be each record's own. One variant for both, because a record is
    /// dropped and copied by the variant that it is.
    Shared {
        /// The fields.
        fields: Arc<SharedFields>,
        /// The value of the first one, where that is the record's own.
        value: i64,
    },
}

/// Fields of offsets that are the same for many records.
#[derive(Clone, Debug, PartialEq)]
pub struct SharedFields {
    map: OffsetMap,
    /// The first field is a 64-bit one of each record.
    open: bool,
}

impl SharedFields {
    /// All of an offset.
    #[must_use]
    pub fn whole(map: OffsetMap) -> Arc<Self> {
        Arc::new(Self { map, open: false })
    }

    /// All but the first field, whose 64-bit value is each record's own.
    #[must_use]
    pub fn behind(first: &str, others: OffsetMap) -> Arc<Self> {
        let mut map = OffsetMap::new().with(first, Primitive::Null);
        map.0.extend(others.0);
        Arc::new(Self { map, open: true })
    }
}

impl OffsetMap {
    /// An empty map.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The map with one more entry.
    #[must_use]
    pub fn with(mut self, name: &str, value: Primitive) -> Self {
        self.0.push((name.into(), value));
        self
    }

    /// The value under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Primitive> {
        self.0.iter().find(|(n, _)| &**n == name).map(|(_, value)| value)
    }

    /// The value under a name if it is an integer.
    #[must_use]
    pub fn long(&self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Primitive::Long(value) => Some(*value),
            Primitive::Null | Primitive::Boolean(_) | Primitive::Double(_) | Primitive::String(_) => None,
        }
    }

    /// Entries in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Primitive)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Compact JSON in the order of insertion: the bytes that Connect's internal JSON converter writes.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::from("{");
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            push_json_string(&mut out, name);
            out.push(':');
            match value {
                Primitive::Null => out.push_str("null"),
                Primitive::Boolean(v) => out.push_str(if *v { "true" } else { "false" }),
                Primitive::Long(v) => write!(out, "{v}").expect("writing to a string cannot fail"),
                Primitive::Double(v) => out.push_str(&crate::value::double_to_string(*v)),
                Primitive::String(v) => push_json_string(&mut out, v),
            }
        }
        out.push('}');
        out
    }

    /// Reads a JSON object of primitives.
    ///
    /// # Errors
    /// When the text is not JSON, not an object, or holds something nested.
    pub fn from_json(json: &serde_json::Value) -> Result<Self> {
        let serde_json::Value::Object(object) = json else {
            return Err(Error::data("Offsets must be specified as a Map"));
        };
        let mut map = Self::new();
        for (name, value) in object {
            let primitive = match value {
                serde_json::Value::Null => Primitive::Null,
                serde_json::Value::Bool(v) => Primitive::Boolean(*v),
                serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                    (Some(v), _) => Primitive::Long(v),
                    (None, Some(v)) => Primitive::Double(v),
                    (None, None) => return Err(Error::data(format!("offset field {name} is out of range: {number}"))),
                },
                serde_json::Value::String(v) => Primitive::String(v.as_str().into()),
                serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
                    return Err(Error::data(format!(
                        "Offsets may only contain primitive types as values, but field {name} contains {}",
                        if value.is_array() { "ARRAY" } else { "MAP" }
                    )));
                }
            };
            map = map.with(name, primitive);
        }
        Ok(map)
    }
}

impl SourceOffset {
    /// Its own value, which sets it apart from others of its partition.
    #[must_use]
    #[inline]
    pub fn value(&self) -> i64 {
        let (Self::Long { value, .. } | Self::Shared { value, .. }) = self;
        *value
    }

    /// The same with another value of its own.
    #[must_use]
    pub fn with_value(&self, own: i64) -> Self {
        let mut other = self.clone();
        let (Self::Long { value, .. } | Self::Shared { value, .. }) = &mut other;
        *value = own;
        other
    }

    /// Whether it is seen at a glance that [`with_value`](Self::with_value) makes the other one of it; false only means that it is not.
    #[must_use]
    #[inline]
    pub fn differs_in_value_only(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Long { field: one, .. }, Self::Long { field: two, .. }) => std::ptr::eq(*one, *two),
            (Self::Shared { fields: one, .. }, Self::Shared { fields: two, .. }) => Arc::ptr_eq(one, two),
            (Self::Long { .. }, Self::Shared { .. }) | (Self::Shared { .. }, Self::Long { .. }) => false,
        }
    }

    /// The offset as a map, as it is stored.
    #[must_use]
    pub fn to_map(&self) -> OffsetMap {
        match self {
            Self::Long { field, value } => OffsetMap::new().with(field, Primitive::Long(*value)),
            Self::Shared { fields, value } => {
                let mut map = fields.map.clone();
                if let Some((_, first)) = map.0.first_mut().filter(|_| fields.open) {
                    *first = Primitive::Long(*value);
                }
                map
            }
        }
    }
}

fn push_json_string(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_connects_own() {
        let partition = OffsetMap::new().with("filename", Primitive::String("a\"b.txt".into()));
        assert_eq!(partition.to_json(), r#"{"filename":"a\"b.txt"}"#);
        let offset = SourceOffset::Long {
            field: "position",
            value: 30,
        }
        .to_map();
        assert_eq!(offset.to_json(), r#"{"position":30}"#);
        let file = OffsetMap::new().with("file", Primitive::Null);
        let value = 31;
        for (fields, json) in [
            (
                SharedFields::behind("position", file.clone()),
                r#"{"position":31,"file":null}"#,
            ),
            (SharedFields::whole(file), r#"{"file":null}"#),
        ] {
            assert_eq!(SourceOffset::Shared { fields, value }.to_map().to_json(), json);
        }
        let read = OffsetMap::from_json(&serde_json::from_str(r#"{"position":30,"x":null}"#).unwrap()).unwrap();
        assert_eq!(read.long("position"), Some(30));
        assert_eq!(read.get("x"), Some(&Primitive::Null));
    }

    #[test]
    fn nested_offsets_are_refused() {
        let error = OffsetMap::from_json(&serde_json::json!({"a": {"b": 1}})).unwrap_err();
        assert_eq!(
            error.to_string(),
            "Offsets may only contain primitive types as values, but field a contains MAP"
        );
    }
}
