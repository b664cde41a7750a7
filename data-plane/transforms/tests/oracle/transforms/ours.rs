//! Answers a question as the oracle does, with Dray's transforms.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use dray_connect::Error;
use dray_connect::backing::Backing;
use dray_connect::config::{ClassResolver, ConfigDef, ConfigKey, ConfigMap, ConfigType};
use dray_connect::datum::Field;
use dray_connect::header::{Header, Headers};
use dray_connect::schema::Schema;
use dray_connect::value::{SchemaAndValue, Value};
use dray_transforms::chain::Failure;
use dray_transforms::config::{PREDICATES, TRANSFORMS, class_name, enrich};
use dray_transforms::{Chain, Input, Origin, Output};
use serde_json::{Value as Json, json};

use super::{describe, read};

/// The answer. `decoy` is another question, whose record goes through the same chain in between.
pub(crate) fn answer(question: &Json, decoy: &Json) -> Json {
    catch_unwind(AssertUnwindSafe(|| answered(question, decoy))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        json!({"panic": text.or_else(|| panic.downcast_ref::<&str>().copied())})
    })
}

fn answered(question: &Json, decoy: &Json) -> Json {
    let config = config_map(&question["config"]);
    let mut answer = match Chain::read(&config) {
        Ok(mut chain) => applied(&mut chain, question, decoy),
        Err(error) => failed(&error, "configure"),
    };
    answer["invalid"] = invalid(&config);
    answer
}

pub(crate) fn config_map(config: &Json) -> ConfigMap {
    let members = config.as_object().unwrap().iter();
    members
        .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

/// The classes that a runtime with nothing but transforms finds.
#[derive(Debug)]
struct Classes;

impl ClassResolver for Classes {
    fn resolve(&self, name_or_alias: &str) -> Option<String> {
        class_name(name_or_alias)
    }
}

fn invalid(config: &ConfigMap) -> Json {
    let aliases = |name| ConfigKey::new(name, ConfigType::List).default_value("");
    let base = ConfigDef::new()
        .with_classes(Arc::new(Classes))
        .define(aliases(TRANSFORMS))
        .define(aliases(PREDICATES));
    let given = config
        .iter()
        .map(|(key, value)| (key.clone(), Some(value.clone())))
        .collect();
    let mut values = enrich(base, config).validate_all(&given);
    values.retain(|value| value.name.contains('.') && !value.errors.is_empty());
    values.sort_by(|a, b| a.name.cmp(&b.name));
    values.iter().map(|value| json!([value.name, value.errors])).collect()
}

/// What the chain makes of the record: once, then again after the decoy, so that neither its caches nor what is left of
/// other records can show.
fn applied(chain: &mut Chain, question: &Json, decoy: &Json) -> Json {
    let mut backing = Backing::default();
    let headers = [question, decoy].map(|question| read::headers(&question["record"]["headers"]));
    let record = input(question, &headers[0], &mut backing);
    let decoy = input(decoy, &headers[1], &mut backing);
    let before = [record.key, record.value].map(|field| field.datum.view(&backing).to_value());
    let first = chain.apply(record, &mut backing);
    let first = outcome(first, record, &backing);
    // Whatever happens to the decoy, it must leave no trace.
    drop(chain.apply(decoy, &mut backing));
    let second = chain.apply(record, &mut backing);
    let second = outcome(second, record, &backing);
    assert_eq!(first, second, "another record in between changes the result");
    let after = [record.key, record.value].map(|field| field.datum.view(&backing).to_value());
    assert_eq!(after, before, "the record that was given has changed");
    second
}

fn input<'h>(question: &Json, headers: &'h Headers, backing: &mut Backing) -> Input<'h> {
    let record = &question["record"];
    let mut field = |side: &str| {
        let SchemaAndValue { schema, value } = read::schema_and_value(&record[side]);
        Field {
            schema: schema.map(|schema| backing.schema(&schema)),
            datum: backing.value(&value),
        }
    };
    let (key, value) = (field("key"), field("value"));
    Input {
        topic: backing.topic(&record["topic"].as_str().unwrap().into()),
        kafka_partition: record["partition"].as_i64().map(|n| i32::try_from(n).unwrap()),
        timestamp: record["timestamp"].as_i64(),
        key,
        value,
        headers: (!headers.is_empty()).then_some(headers),
        origin: match record["offset"].as_i64() {
            Some(offset) => Origin::Sink { offset },
            None => Origin::Source,
        },
    }
}

fn outcome(result: Result<Option<Output>, Failure>, given: Input<'_>, backing: &Backing) -> Json {
    let output = match result {
        Ok(Some(output)) => output,
        Ok(None) => return json!({"dropped": true}),
        Err(failure) => {
            let mut answer = failed(&failure.error, "apply");
            answer["stage"] = json!(failure.stage.alias);
            return answer;
        }
    };
    let headers = output.headers.as_deref().or(given.headers).into_iter().flatten();
    let described_header =
        |header: &Header| described_value(header.schema().map(|schema| &**schema), &header.value.value);
    json!({"record": {
        "topic": &**backing.topic_name(output.topic),
        "partition": output.kafka_partition,
        "timestamp": output.timestamp,
        "key": described(output.key, backing),
        "value": described(output.value, backing),
        "headers": headers.map(|h| json!([&*h.key, described_header(h)])).collect::<Vec<_>>(),
    }})
}

fn described(field: Field, backing: &Backing) -> Json {
    let (schema, value) = field.view(backing);
    described_value(schema.map(|schema| &**schema), &value.to_value())
}

fn described_value(schema: Option<&Schema>, value: &Value) -> Json {
    let mut node = json!({"schema": describe::schema(schema), "value": describe::value(value)});
    if let Some(record) = value.as_struct() {
        let (mut own, mut declared) = (describe::schema(Some(record.schema())), node["schema"].clone());
        own["default"].take();
        if declared.is_object() {
            declared["default"].take();
        }
        if own != declared {
            own.as_object_mut().unwrap().shift_remove("default");
            node["own_schema"] = own;
        }
    }
    node
}

fn failed(error: &Error, at: &str) -> Json {
    let class = error.java_class().rsplit('.').next().unwrap_or_default();
    json!({"error": class, "message": error.to_string(), "at": at})
}
