//! Apache's predicates.

use dray_connect::Result;
use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, NonEmptyString};

use crate::registry::PredicateKind;
use crate::{ConnectRecord, Predicate, Side};

/// All of them.
pub(crate) const ALL: &[PredicateKind] = &[
    PredicateKind {
        name: "HasHeaderKey",
        definition: || {
            ConfigDef::new().define(
                ConfigKey::new("name", ConfigType::String)
                    .validator(NonEmptyString)
                    .importance(Importance::Medium)
                    .doc("The key of the header."),
            )
        },
        make: |config| {
            let name = config.string("name").unwrap_or_default().to_owned();
            Ok(Box::new(HasHeaderKey { name }))
        },
    },
    PredicateKind {
        name: "RecordIsTombstone",
        definition: ConfigDef::new,
        make: |_| Ok(Box::new(RecordIsTombstone)),
    },
];

struct HasHeaderKey {
    name: String,
}

impl Predicate for HasHeaderKey {
    fn test(&mut self, record: &ConnectRecord<'_>) -> Result<bool> {
        let mut headers = record.headers().into_iter().flatten();
        Ok(headers.any(|header| *header.key == *self.name))
    }
}

struct RecordIsTombstone;

impl Predicate for RecordIsTombstone {
    fn test(&mut self, record: &ConnectRecord<'_>) -> Result<bool> {
        Ok(record.is_null(Side::Value))
    }
}
