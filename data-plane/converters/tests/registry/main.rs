//! Converters with a real schema registry, with a stub for what a real one does not do on demand, and with Confluent's Python client.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, wherever the call stands")]

mod apicurio;
#[allow(dead_code, reason = "the tests of other formats use the rest")]
#[path = "../../src/arbitrary.rs"]
mod arbitrary;
mod client;
mod faults;
mod header;
mod json_schema;
mod latest;
mod metadata;
mod protobuf;
mod python;
mod real;
mod recursive;
mod stub;
mod tls;
mod validate;
mod within_itself;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use dray_connect::backing::Backing;
use dray_connect::datum::ValueRef;
use dray_connect::schema::{SchemaBuilder, SchemaRef};
use dray_connect::structs::Struct;
use dray_connect::value::{SchemaAndValue, Value};
use dray_connect::{ConfigMap, Result};
use dray_converters::{Converter, Input, ReadHeaders, WrittenHeaders, converter};

/// The URL of the registry that all tests share.
fn registry() -> String {
    std::env::var("DRAY_TEST_REGISTRY").expect("run by `deploy/rig/with-registry.sh cargo test -p dray-converters`")
}

/// A topic of one's own: others have their subjects in the same registry.
fn topic() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("t{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn config(url: &str, more: &[(&str, &str)]) -> ConfigMap {
    let mut config = BTreeMap::from([("schema.registry.url".to_owned(), url.to_owned())]);
    config.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    config
}

/// A converter of values.
fn avro(url: &str, more: &[(&str, &str)]) -> Box<dyn Converter> {
    converter("io.confluent.connect.avro.AvroConverter", &config(url, more), false).unwrap()
}

/// A message, and the header with the id of its schema where that is not before the value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Message {
    bytes: Vec<u8>,
    header: Option<(String, Vec<u8>)>,
}

/// Written as a task does it: what the converter lacks is waited for.
async fn write_message(
    converter: &mut dyn Converter,
    topic: &str,
    schema: Option<&SchemaRef>,
    value: &Value,
) -> Result<Option<Message>> {
    loop {
        let (mut out, mut headers) = (Vec::new(), WrittenHeaders::default());
        let value = ValueRef::from(value);
        match converter.from_connect_with_headers(topic, &mut headers, schema, value, &mut out) {
            Ok(written) => {
                let header = headers.all().first().map(|(name, value)| {
                    let value = value.bytes(&out).unwrap();
                    ((*name).to_owned(), value.to_vec())
                });
                let bytes = written.bytes(&out).map(<[u8]>::to_vec);
                return Ok(bytes.map(|bytes| Message { bytes, header }));
            }
            Err(error) => {
                assert!(
                    out.is_empty() && headers.all().is_empty(),
                    "an error leaves bytes behind"
                );
                match converter.lookup() {
                    Some(lookup) => lookup.await,
                    None => return Err(error),
                }
            }
        }
    }
}

/// The same where ids stand before values.
async fn write(
    converter: &mut dyn Converter,
    topic: &str,
    schema: Option<&SchemaRef>,
    value: &Value,
) -> Result<Option<Vec<u8>>> {
    let written = write_message(converter, topic, schema, value).await?;
    Ok(written.map(|message| {
        assert_eq!(message.header, None);
        message.bytes
    }))
}

/// Read the same way.
async fn read_message(converter: &mut dyn Converter, topic: &str, message: &Message) -> Result<SchemaAndValue> {
    let (name, value) = message.header.clone().unwrap_or_default();
    let end = |bytes: usize| u32::try_from(bytes).unwrap();
    let places = [(
        0..end(name.len()),
        message
            .header
            .is_some()
            .then(|| end(name.len())..end(name.len() + value.len())),
    )];
    let stored = [name.as_bytes(), &value].concat();
    let headers = ReadHeaders::new(&stored, &places);
    loop {
        let mut batch = Backing::default();
        let input = Input {
            bytes: &message.bytes,
            span: batch.copy(&message.bytes),
        };
        match converter.to_connect_with_headers(topic, headers, Some(input), &mut batch) {
            Ok(field) => {
                let (schema, value) = field.view(&batch);
                return Ok(SchemaAndValue {
                    schema: schema.cloned(),
                    value: value.to_value(),
                });
            }
            Err(error) => match converter.lookup() {
                Some(lookup) => lookup.await,
                None => return Err(error),
            },
        }
    }
}

async fn read(converter: &mut dyn Converter, topic: &str, bytes: &[u8]) -> Result<SchemaAndValue> {
    let message = Message {
        bytes: bytes.to_vec(),
        header: None,
    };
    read_message(converter, topic, &message).await
}

fn order(fields: &[(&str, SchemaRef)]) -> SchemaRef {
    let builder = SchemaBuilder::struct_().name("shop.Order");
    let builder = fields.iter().fold(builder, |builder, (name, schema)| {
        builder.field(*name, SchemaRef::clone(schema))
    });
    builder.build().unwrap()
}

/// A record of that schema.
fn of(schema: &SchemaRef, fields: &[(&str, Value)]) -> Value {
    let mut record = Struct::new(SchemaRef::clone(schema)).unwrap();
    for (name, value) in fields {
        record.put(name, value.clone()).unwrap();
    }
    Value::from(record)
}

/// The id before a message.
fn id_of(bytes: &[u8]) -> i32 {
    assert_eq!(bytes[0], 0);
    i32::from_be_bytes(bytes[1..5].try_into().unwrap())
}
