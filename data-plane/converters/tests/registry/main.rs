//! Converters with a real schema registry, with a stub for what a real one does not do on demand, and with Confluent's Python client.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, wherever the call stands")]

mod apicurio;
mod client;
mod faults;
mod json_schema;
mod protobuf;
mod python;
mod real;
mod stub;
mod tls;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use dray_connect::backing::Backing;
use dray_connect::datum::ValueRef;
use dray_connect::schema::SchemaRef;
use dray_connect::value::{SchemaAndValue, Value};
use dray_connect::{ConfigMap, Result};
use dray_converters::{Converter, Written, converter, to_connect_owned};

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

/// Written as a task does it: what the converter lacks is waited for.
async fn write(
    converter: &mut dyn Converter,
    topic: &str,
    schema: Option<&SchemaRef>,
    value: &Value,
) -> Result<Option<Vec<u8>>> {
    loop {
        let mut out = Vec::new();
        match converter.from_connect(topic, schema, ValueRef::from(value), &mut out) {
            Ok(Written::Null) => return Ok(None),
            Ok(Written::Same(bytes)) => return Ok(Some(bytes.to_vec())),
            Ok(Written::Scratch(range)) => return Ok(Some(out[range].to_vec())),
            Err(error) => {
                assert!(out.is_empty(), "an error leaves bytes behind");
                match converter.lookup() {
                    Some(lookup) => lookup.await,
                    None => return Err(error),
                }
            }
        }
    }
}

/// Read the same way.
async fn read(converter: &mut dyn Converter, topic: &str, bytes: &[u8]) -> Result<SchemaAndValue> {
    loop {
        let read = to_connect_owned(converter, topic, Some(bytes), &mut Backing::default());
        match read {
            Ok(value) => return Ok(value),
            Err(error) => match converter.lookup() {
                Some(lookup) => lookup.await,
                None => return Err(error),
            },
        }
    }
}

/// The id before a message.
fn id_of(bytes: &[u8]) -> i32 {
    assert_eq!(bytes[0], 0);
    i32::from_be_bytes(bytes[1..5].try_into().unwrap())
}
