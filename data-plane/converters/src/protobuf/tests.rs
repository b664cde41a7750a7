//! Schemas and values there and back, without a registry.

use dray_connect::schema::{Schema as Connect, SchemaBuilder, Type};
use dray_connect::structs::Struct;
use dray_connect::value::Value;
use dray_connect::{ConfigMap, logical};
use proptest::prelude::*;

use super::settings::{ENUM, SUM_UNION, TAG, UNION};
use super::*;

mod arbitrary;
mod recursive;
mod schemas;
mod values;

fn settings(pairs: &[(&str, &str)]) -> Settings {
    let config: ConfigMap = pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Settings::read(&config).unwrap()
}

fn decode_message(file: &File, indexes: &[usize], bytes: &[u8], settings: &Settings) -> Result<(SchemaRef, Value)> {
    let message = file.message(indexes)?;
    let schema = to_connect::to_connect(&message, None, settings)?;
    let plan = read_plan::plan(&message, &schema, settings)?;
    let mut batch = Backing::default();
    let span = batch.copy(bytes);
    let mut scratch = Scratch::default();
    let mut out = Out {
        batch: &mut batch,
        span,
        bytes,
        scratch: &mut scratch,
    };
    let datum = plan.root.read_all(0, &mut out)?;
    assert!(scratch.stack.is_empty(), "parts are left behind");
    Ok((schema, datum.view(&batch).to_value()))
}

fn encode(schema: &SchemaRef, value: &Value, settings: &Settings) -> Result<(File, Vec<usize>, Vec<u8>)> {
    let own = from_connect::from_connect(schema, settings)?;
    let file = File::parse(&own.text, &[]).map_err(|error| Error::data(format!("{error}: {}", own.text)))?;
    let (message, indexes) = file.find(&own.name)?;
    let plan = Planner::new(settings, true).plan(schema, &message)?;
    let mut out = Vec::new();
    plan.root.write(value.into(), &mut out)?;
    Ok((file, indexes, out))
}

fn there_and_back(schema: &SchemaRef, value: &Value, settings: &Settings) -> Result<(SchemaRef, Value)> {
    let (file, indexes, bytes) = encode(schema, value, settings)?;
    decode_message(&file, &indexes, &bytes, settings)
}

/// The value of the first message of a file.
fn decode(text: &str, bytes: &[u8], pairs: &[(&str, &str)]) -> Result<String> {
    let file = File::parse(text, &[])?;
    decode_message(&file, &[0], bytes, &settings(pairs)).map(|(_, value)| value.to_string())
}

fn check(text: &str, bytes: &[u8], pairs: &[(&str, &str)], expected: &str) {
    let found = decode(text, bytes, pairs).unwrap_or_else(|error| format!("error: {error}"));
    assert_eq!(found, expected, "{text} {bytes:?}");
}

fn text_of(schema: &SchemaRef, pairs: &[(&str, &str)]) -> String {
    let own = from_connect::from_connect(schema, &settings(pairs)).map(|own| own.text);
    let text = own.unwrap_or_else(|error| format!("error: {error}"));
    if text.starts_with("syntax") {
        // What is registered can be read.
        File::parse(&text, &[]).unwrap();
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_value_comes_back((schema, value) in arbitrary::schema_and_value()) {
        let settings = settings(&[("optional.for.nullables", "true"), ("enhanced.protobuf.schema.support", "true")]);
        let (first, found) = there_and_back(&schema, &value, &settings).unwrap();
        prop_assert_eq!(arbitrary::plain(&found), arbitrary::plain(&value));
        // The schema is Protobuf's now, and stays as it is.
        let (second, again) = there_and_back(&first, &found, &settings).unwrap();
        prop_assert_eq!(second, first);
        prop_assert_eq!(again, found);
    }

    #[test]
    fn what_is_read_is_written_as_it_was(
        (schema, value) in arbitrary::schema_and_value(), flat: bool, sum_types: bool, generate: bool,
    ) {
        let on = |is: bool| if is { "true" } else { "false" };
        let settings = settings(&[
            // What was a union has members that are null.
            ("flatten.unions", on(flat)), ("optional.for.nullables", on(flat)),
            ("generalized.sum.type.support", on(sum_types)), ("generate.struct.for.nulls", on(generate && !flat)),
            ("scrub.invalid.names", "true"),
        ]);
        if let Ok((first, found)) = there_and_back(&schema, &value, &settings) {
            let (second, again) = there_and_back(&first, &found, &settings).unwrap();
            prop_assert_eq!(second, first);
            prop_assert_eq!(again, found);
        } else {
            // A date of defaults is none.
            prop_assert!(generate);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused((schema, _) in arbitrary::schema_and_value(), bytes: Vec<u8>) {
        let own = from_connect::from_connect(&schema, &settings(&[])).unwrap();
        let file = File::parse(&own.text, &[]).unwrap();
        drop(decode_message(&file, &[0], &bytes, &settings(&[])));
        let many = File::parse(schemas::MANY, &[]).unwrap();
        drop(decode_message(&many, &[0], &bytes, &settings(&[("generate.struct.for.nulls", "true")])));
    }

    #[test]
    fn damaged_bytes_are_read_or_refused(
        (schema, value) in arbitrary::schema_and_value(), at: prop::sample::Index, to: u8, cut: prop::sample::Index,
    ) {
        let settings = settings(&[]);
        let (file, indexes, mut bytes) = encode(&schema, &value, &settings).unwrap();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = to;
            drop(decode_message(&file, &indexes, &bytes, &settings));
            drop(decode_message(&file, &indexes, &bytes[..cut.index(bytes.len())], &settings));
        }
    }

    #[test]
    fn a_message_twice_is_the_message((schema, value) in arbitrary::schema_and_value()) {
        // Lists are joined, all else is the last.
        let settings = settings(&[("optional.for.nullables", "true")]);
        let (file, indexes, bytes) = encode(&schema, &value, &settings).unwrap();
        let once = decode_message(&file, &indexes, &bytes, &settings).unwrap();
        let twice = decode_message(&file, &indexes, &bytes.repeat(2), &settings).unwrap();
        if !arbitrary::has_list(&value) {
            prop_assert_eq!(once, twice);
        }
    }

    #[test]
    fn any_text_is_a_schema_or_refused(text in r#"(syntax = "proto3"; )?(message M \{)?[a-zA-Z0-9 =;{}<>\[\]",.()]{0,60}\}?"#) {
        if let Ok(message) = File::parse(&text, &[]).and_then(|file| file.message(&[0])) {
            drop(to_connect::to_connect(&message, None, &settings(&[])));
        }
    }
}
