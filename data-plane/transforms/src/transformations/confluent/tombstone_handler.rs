//! `TombstoneHandler`: records without a value are dropped or refused, whether or not they have a schema.

use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, ValidString};
use dray_connect::{Error, Result};

use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "TombstoneHandler",
    sided: false,
    definition,
    make: |_, config| {
        Ok(Box::new(match config.string(BEHAVIOR) {
            Some("ignore") => TombstoneHandler::Ignore,
            Some("fail") => TombstoneHandler::Fail,
            Some(_) | None => TombstoneHandler::Warn,
        }))
    },
};

const BEHAVIOR: &str = "behavior";

fn definition() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new(BEHAVIOR, ConfigType::String)
            .default_value("warn")
            .validator(ValidString::of(["ignore", "warn", "fail"]))
            .importance(Importance::Medium)
            .doc(
                "ignore: a tombstone is dropped. warn: it is dropped, with a warning in the log. fail: it is an error.",
            ),
    )
}

enum TombstoneHandler {
    Ignore,
    Warn,
    Fail,
}

impl Transformation for TombstoneHandler {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        if !record.is_null(Side::Value) {
            return Ok(Applied::Kept);
        }
        let topic = &**record.topic();
        match self {
            Self::Ignore => tracing::debug!(topic, "a tombstone was dropped"),
            Self::Warn => tracing::warn!(topic, "a tombstone was dropped"),
            Self::Fail => {
                return Err(Error::data(format!(
                    "a tombstone of topic {topic} is refused: {BEHAVIOR} is fail; with ignore or warn it would be dropped"
                )));
            }
        }
        Ok(Applied::Dropped)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::schema::Schema;
    use dray_connect::value::{SchemaAndValue, Value};

    use crate::testing::{apply_or_drop, record, refused};

    const HANDLER: &str = "io.confluent.connect.transforms.TombstoneHandler";

    #[test]
    fn the_documented_behaviors() {
        let tombstones = [
            SchemaAndValue::NULL,
            SchemaAndValue::new(Schema::optional_string(), Value::Null),
        ];
        for tombstone in tombstones.map(record) {
            for keys in [&[][..], &[("behavior", "warn")], &[("behavior", "ignore")]] {
                assert_eq!(apply_or_drop(HANDLER, keys, &tombstone), Ok(None));
            }
            assert_eq!(
                apply_or_drop(HANDLER, &[("behavior", "fail")], &tombstone).unwrap_err(),
                "a tombstone of topic t is refused: behavior is fail; with ignore or warn it would be dropped"
            );
        }
        let other = record(SchemaAndValue::schemaless(""));
        let passed = apply_or_drop(HANDLER, &[("behavior", "fail")], &other).unwrap();
        assert_eq!(passed.map(|result| result.value), Some(other.value));
        assert!(refused(HANDLER, &[("behavior", "drop")]).ends_with("String must be one of: ignore, warn, fail"));
    }
}
