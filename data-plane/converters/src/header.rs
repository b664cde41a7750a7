//! Header converters: `SimpleHeaderConverter`, and any converter used for headers.

use std::ops::Range;

use dray_connect::Result;
use dray_connect::backing::Backing;
use dray_connect::datum::ValueRef;
use dray_connect::value::SchemaAndValue;
use dray_connect::values;

use crate::charset::Charset;
use crate::{Converter, HeaderConverter, Written, to_connect_owned};

pub(crate) const SIMPLE_CLASS: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";

/// Writes values as text, and guesses what a text stands for.
#[derive(Debug, Default)]
pub struct SimpleHeaderConverter;

impl HeaderConverter for SimpleHeaderConverter {
    fn from_connect_header(
        &mut self,
        _topic: &str,
        _name: &str,
        value: &SchemaAndValue,
        out: &mut Vec<u8>,
    ) -> Result<Option<Range<usize>>> {
        let Some(text) = values::convert_to_string(&value.value) else {
            return Ok(None);
        };
        let start = out.len();
        out.extend_from_slice(text.as_bytes());
        Ok(Some(start..out.len()))
    }

    fn to_connect_header(&mut self, _topic: &str, _name: &str, bytes: Option<&[u8]>) -> Result<SchemaAndValue> {
        let Some(bytes) = bytes else {
            return Ok(SchemaAndValue::NULL);
        };
        let text = Charset::Utf8.decode(bytes);
        Ok(values::parse_string(&text))
    }

    fn class(&self) -> &'static str {
        SIMPLE_CLASS
    }
}

/// Uses a converter for headers. The header's name plays no part.
pub struct AsHeaderConverter {
    converter: Box<dyn Converter>,
    /// For one header at a time.
    batch: Backing,
}

impl AsHeaderConverter {
    /// A header converter that asks `converter`.
    #[must_use]
    pub fn new(converter: Box<dyn Converter>) -> Self {
        Self {
            converter,
            batch: Backing::default(),
        }
    }
}

impl HeaderConverter for AsHeaderConverter {
    fn from_connect_header(
        &mut self,
        topic: &str,
        _name: &str,
        value: &SchemaAndValue,
        out: &mut Vec<u8>,
    ) -> Result<Option<Range<usize>>> {
        let view = ValueRef::from(&value.value);
        match self.converter.from_connect(topic, value.schema.as_ref(), view, out)? {
            Written::Null => Ok(None),
            Written::Scratch(range) => Ok(Some(range)),
            Written::Same(bytes) => {
                let start = out.len();
                out.extend_from_slice(bytes);
                Ok(Some(start..out.len()))
            }
        }
    }

    fn to_connect_header(&mut self, topic: &str, _name: &str, bytes: Option<&[u8]>) -> Result<SchemaAndValue> {
        to_connect_owned(&mut *self.converter, topic, bytes, &mut self.batch)
    }

    fn class(&self) -> &'static str {
        self.converter.class()
    }
}
