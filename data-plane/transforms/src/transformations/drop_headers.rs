//! `DropHeaders`: removes headers by their keys.

use dray_connect::Result;
use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, ValidList};

use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "DropHeaders",
    sided: false,
    definition,
    make: |_, config| {
        let keys = config.list("headers").unwrap_or_default().to_vec();
        Ok(Box::new(DropHeaders { keys }))
    },
};

fn definition() -> ConfigDef {
    ConfigDef::new().define(
        ConfigKey::new("headers", ConfigType::List)
            .validator(ValidList::any())
            .importance(Importance::High)
            .doc("The keys of the headers to remove."),
    )
}

struct DropHeaders {
    keys: Vec<String>,
}

impl Transformation for DropHeaders {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        for key in &self.keys {
            // Headers are copied when they are first changed: most records have none of these.
            let mut headers = record.headers().into_iter().flatten();
            if headers.any(|header| *header.key == **key) {
                record.headers_mut().remove(key);
            }
        }
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::value::SchemaAndValue;

    use crate::testing::{apply, record, refused};

    #[test]
    fn all_headers_of_these_keys_go_and_the_others_keep_their_order() {
        let mut given = record(SchemaAndValue::NULL);
        for (key, value) in [("a", "1"), ("b", "2"), ("a", "3"), ("A", "4"), ("c", "5")] {
            given.headers.add_string(key, Some(value));
        }
        let left = |headers| {
            let result = apply("DropHeaders", &[("headers", headers)], &given).unwrap();
            let keys: Vec<String> = result.headers.iter().map(|header| header.key.to_string()).collect();
            keys.join(" ")
        };
        assert_eq!(left("a, c"), "b A");
        assert_eq!(left("x"), "a b a A c");
        assert_eq!(left("a,a"), "b A c");
    }

    #[test]
    fn at_least_one_key_is_needed() {
        assert_eq!(
            refused("DropHeaders", &[("headers", "")]),
            "Configuration 'headers' must not be empty. Valid values include: any non-empty value"
        );
        assert_eq!(
            refused("DropHeaders", &[]),
            "Missing required configuration \"headers\" which has no default value."
        );
    }
}
