//! What says which schema a message has, and where: before the value or in a header of the record, as Confluent's converters write it from
//! version 8.0 on.

use std::fmt;

use dray_connect::{ConfigMap, Error, Result};

const PACKAGE: &str = "io.confluent.kafka.serializers.schema.id.";

/// The id of a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SchemaId {
    /// That one registry has given it.
    Number(i32),
    /// The same in each registry.
    Guid(Guid),
}

/// Made of all that a schema is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Guid(u128);

impl SchemaId {
    /// The id that bytes begin with, and how long it is there: a zero and four bytes of a number, or a one and the 16 of a GUID.
    /// `what` is what errors call the bytes.
    pub(super) fn read(bytes: &[u8], what: &str) -> Result<(Self, usize)> {
        if let [0, number @ ..] = bytes
            && let Some(number) = number.first_chunk()
        {
            return Ok((Self::Number(i32::from_be_bytes(*number)), 5));
        }
        if let [1, guid @ ..] = bytes
            && let Some(guid) = guid.first_chunk()
        {
            return Ok((Self::Guid(Guid(u128::from_be_bytes(*guid))), 17));
        }
        let length = bytes.len();
        Err(Error::data(match bytes {
            [] => format!("Unknown magic byte! {what} is empty, and should begin with the id of its schema"),
            [0, ..] => {
                format!("{what} has {length} bytes, and should have at least 5: a zero, and the id of its schema")
            }
            [1, ..] => {
                format!("{what} has {length} bytes, and should have at least 17: a one, and the GUID of its schema")
            }
            [first, ..] => format!(
                "Unknown magic byte! {what} begins with {first:#04x}, and should with 0x00 and the id of its schema, or 0x01 and its \
                 GUID: it was not written with a schema registry, or key.schema.id.deserializer or value.schema.id.deserializer \
                 looks for the id in the wrong place"
            ),
        }))
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => {
                out.push(0);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Guid(Guid(guid)) => {
                out.push(1);
                out.extend_from_slice(&guid.to_be_bytes());
            }
        }
    }
}

impl fmt::Display for SchemaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Guid(guid) => guid.fmt(f),
        }
    }
}

impl Guid {
    /// A GUID as text, such as `6da336d8-f1d3-0f98-4c47-7d03ee8a14a1`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits: String = text.split('-').collect();
        let is_guid = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        u128::from_str_radix(&digits, 16).ok().filter(|_| is_guid).map(Self)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:032x}", self.0);
        let (parts, of) = (&digits, [0..8, 8..12, 12..16, 16..20, 20..32]);
        f.write_str(&of.map(|part| &parts[part]).join("-"))
    }
}

/// `key.schema.id.deserializer`, `value.schema.id.deserializer`: where the id of a message's schema is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IdReading {
    /// In the header if there is one, and before the value otherwise.
    Dual,
    /// Before the value.
    Prefix,
    /// Nowhere: all messages are of one schema, and of the message of it that these indexes say.
    Configured(SchemaId, Vec<usize>),
}

/// `key.schema.id.serializer`, `value.schema.id.serializer`: where it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdWriting {
    /// Before the value, as a number.
    Prefix,
    /// In the header, as a GUID.
    Header,
}

impl IdReading {
    /// `schema` is the schema that is configured.
    pub(super) fn of_class(
        key: &str,
        class: Option<&str>,
        config: &ConfigMap,
        schema: Option<SchemaId>,
    ) -> Result<Self> {
        match simple(class) {
            None | Some("DualSchemaIdDeserializer") => Ok(Self::Dual),
            Some("PrefixSchemaIdDeserializer") => Ok(Self::Prefix),
            Some("ConfigSchemaIdDeserializer") => match schema {
                Some(schema) => Ok(Self::Configured(schema, indexes(config)?)),
                None => Err(Error::invalid_config(
                    key,
                    class,
                    Some("It needs use.schema.id or use.schema.guid"),
                )),
            },
            Some(_) => Err(Error::invalid_config(
                key,
                class,
                Some("There are DualSchemaIdDeserializer, PrefixSchemaIdDeserializer and ConfigSchemaIdDeserializer"),
            )),
        }
    }
}

impl IdWriting {
    pub(super) fn of_class(key: &str, class: Option<&str>) -> Result<Self> {
        match simple(class) {
            None | Some("PrefixSchemaIdSerializer") => Ok(Self::Prefix),
            Some("HeaderSchemaIdSerializer") => Ok(Self::Header),
            Some(_) => Err(Error::invalid_config(
                key,
                class,
                Some("There are PrefixSchemaIdSerializer and HeaderSchemaIdSerializer"),
            )),
        }
    }
}

fn simple(class: Option<&str>) -> Option<&str> {
    let class = class?.trim();
    Some(class.strip_prefix(PACKAGE).unwrap_or(class))
}

/// `use.message.indexes`, which only Protobuf looks at: the first message by default.
fn indexes(config: &ConfigMap) -> Result<Vec<usize>> {
    const KEY: &str = "use.message.indexes";
    let Some(text) = config.get(KEY) else {
        return Ok(vec![0]);
    };
    let indexes: Option<_> = text.split(',').map(|index| index.trim().parse().ok()).collect();
    let problem = "Message indexes are numbers with commas between them, such as 1,0";
    indexes.ok_or_else(|| Error::invalid_config(KEY, Some(text), Some(problem)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "6da336d8-f1d3-0f98-4c47-7d03ee8a14a1";

    #[test]
    fn bytes_of_ids() {
        let guid = Guid::parse(TEXT).unwrap();
        assert_eq!(guid.to_string(), TEXT);
        let bytes = [
            1, 0x6d, 0xa3, 0x36, 0xd8, 0xf1, 0xd3, 0x0f, 0x98, 0x4c, 0x47, 0x7d, 0x03, 0xee, 0x8a, 0x14, 0xa1,
        ];
        for (id, bytes) in [
            (SchemaId::Number(0x0102_0304), &[0, 1, 2, 3, 4][..]),
            (SchemaId::Guid(guid), &bytes),
        ] {
            let mut out = Vec::new();
            id.write(&mut out);
            assert_eq!(out, bytes);
            out.push(7);
            assert_eq!(SchemaId::read(&out, "it").unwrap(), (id, bytes.len()));
            assert!(SchemaId::read(&bytes[..bytes.len() - 1], "it").is_err());
        }
        for bad in [
            "",
            "6da336d8",
            "+da336d8-f1d3-0f98-4c47-7d03ee8a14a1",
            "xda336d8f1d30f984c477d03ee8a14a1",
        ] {
            assert_eq!(Guid::parse(bad), None);
        }
    }

    #[test]
    fn classes() {
        let reading = |class: &str, config: &ConfigMap, schema| IdReading::of_class("k", Some(class), config, schema);
        let (none, one) = (ConfigMap::new(), Some(SchemaId::Number(1)));
        let full = "io.confluent.kafka.serializers.schema.id.PrefixSchemaIdDeserializer";
        assert_eq!(reading(full, &none, None).unwrap(), IdReading::Prefix);
        assert_eq!(
            reading("DualSchemaIdDeserializer", &none, None).unwrap(),
            IdReading::Dual
        );
        assert_eq!(IdReading::of_class("k", None, &none, None).unwrap(), IdReading::Dual);
        let configured = reading("ConfigSchemaIdDeserializer", &none, one).unwrap();
        assert_eq!(configured, IdReading::Configured(SchemaId::Number(1), vec![0]));
        assert!(reading("ConfigSchemaIdDeserializer", &none, None).is_err());
        let config = |text: &str| ConfigMap::from([("use.message.indexes".to_owned(), text.to_owned())]);
        let configured = reading("ConfigSchemaIdDeserializer", &config("1, 0"), one).unwrap();
        assert_eq!(configured, IdReading::Configured(SchemaId::Number(1), vec![1, 0]));
        assert!(reading("ConfigSchemaIdDeserializer", &config("-1"), one).is_err());
        assert!(reading("com.example.Own", &none, one).is_err());
        let header = IdWriting::of_class("k", Some("HeaderSchemaIdSerializer"));
        assert_eq!(header.unwrap(), IdWriting::Header);
        assert!(IdWriting::of_class("k", Some("DualSchemaIdDeserializer")).is_err());
    }
}
