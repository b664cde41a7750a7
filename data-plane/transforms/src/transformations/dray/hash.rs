//! `Hash$Key` and `Hash$Value`: texts and bytes become their SHA-256 or SHA-512, so that they can be compared and no longer read.
//!
//! What can be guessed, as a telephone number, can be found again by hashing all guesses: such values need `hmac.key`.

use dray_connect::backing::Backing;
use dray_connect::config::{ConfigDef, ConfigKey, ConfigType, Importance, ParsedConfig, Password, ValidString};
use dray_connect::datum::{Datum, Field};
use dray_connect::{Error, Result};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

use super::nested;
use super::redact::paths;
use crate::field_path::FieldPath;
use crate::registry::TransformationKind;
use crate::{Applied, ConnectRecord, Side, Transformation};

pub(super) const KIND: TransformationKind = TransformationKind {
    name: "Hash",
    sided: true,
    definition,
    make: |side, config| Ok(Box::new(Hash::new(side, config)?)),
};

fn definition() -> ConfigDef {
    let secret = |name: &str, doc: &str| {
        let key = ConfigKey::new(name, ConfigType::Password).default_null();
        key.importance(Importance::High).doc(doc)
    };
    ConfigDef::new()
        .define(
            ConfigKey::new("fields", ConfigType::List)
                .default_value("")
                .importance(Importance::High)
                .doc(
                    "Fields to hash, as paths: a.b; a name that has dots itself stands between backticks, and a path through an \
                     array is that of each element. Empty: the key or value as a whole. Null stays null, and fields that a record \
                     does not have are passed over.",
                ),
        )
        .define(
            ConfigKey::new("algorithm", ConfigType::String)
                .default_value("SHA-256")
                .validator(ValidString::of(["SHA-256", "SHA-512"]))
                .importance(Importance::Medium)
                .doc("A text becomes the hash of its UTF-8 in hexadecimal digits, bytes the hash as it is."),
        )
        .define(secret("salt", "What is hashed before each value."))
        .define(secret("hmac.key", "The key of an HMAC, which is taken instead of the plain hash."))
}

struct Hash {
    side: Side,
    fields: Vec<FieldPath>,
    hasher: Hasher,
}

enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
    Hmac256(Box<Hmac<Sha256>>),
    Hmac512(Box<Hmac<Sha512>>),
}

impl Hash {
    fn new(side: Side, config: &ParsedConfig) -> Result<Self> {
        let secret = |key| {
            config
                .password(key)
                .map(Password::reveal)
                .filter(|text| !text.is_empty())
        };
        let (salt, key) = (secret("salt"), secret("hmac.key"));
        if salt.is_some() && key.is_some() {
            return Err(Error::config(
                "salt and hmac.key are both set: an HMAC needs no salt, take it out",
            ));
        }
        let salt = salt.unwrap_or_default();
        let sha512 = config.string("algorithm") == Some("SHA-512");
        let no_key = |_| Error::config("hmac.key cannot be used as a key");
        let hasher = match (key, sha512) {
            (None, false) => Hasher::Sha256(Sha256::new_with_prefix(salt)),
            (None, true) => Hasher::Sha512(Sha512::new_with_prefix(salt)),
            (Some(key), false) => Hasher::Hmac256(Box::new(KeyInit::new_from_slice(key.as_bytes()).map_err(no_key)?)),
            (Some(key), true) => Hasher::Hmac512(Box::new(KeyInit::new_from_slice(key.as_bytes()).map_err(no_key)?)),
        };
        Ok(Self {
            side,
            fields: paths(config, "fields")?,
            hasher,
        })
    }
}

impl Hasher {
    fn hash(&self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256(hasher) => hasher.clone().chain_update(bytes).finalize().to_vec(),
            Self::Sha512(hasher) => hasher.clone().chain_update(bytes).finalize().to_vec(),
            Self::Hmac256(hasher) => Mac::chain_update((**hasher).clone(), bytes)
                .finalize()
                .into_bytes()
                .to_vec(),
            Self::Hmac512(hasher) => Mac::chain_update((**hasher).clone(), bytes)
                .finalize()
                .into_bytes()
                .to_vec(),
        }
    }

    fn hashed(&self, backing: &mut Backing, value: Datum, name: &str) -> Result<Datum> {
        if let Datum::Null = value {
            return Ok(value);
        }
        if let Datum::Str(text) = value {
            let hash = self.hash(backing.bytes(text.span()));
            let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            return Ok(backing.text(&digits));
        }
        if let Datum::Bytes(span) = value {
            let hash = self.hash(backing.bytes(span));
            return Ok(Datum::Bytes(backing.copy(&hash)));
        }
        Err(Error::data(format!(
            "{name} is {}: only texts and bytes can be hashed. Make it a text with Cast first.",
            value.view(backing).java_class()
        )))
    }
}

impl Transformation for Hash {
    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Applied> {
        let Field { schema: id, mut datum } = record.field(self.side);
        let schema = record.schema(self.side).cloned();
        let (hasher, backing) = (&self.hasher, record.backing_mut());
        if self.fields.is_empty() {
            let name = if self.side == Side::Key { "the key" } else { "the value" };
            datum = hasher.hashed(backing, datum, name)?;
        }
        for path in &self.fields {
            datum = nested::at(
                backing,
                schema.as_ref(),
                datum,
                path.steps(),
                &mut |backing, _, value| hasher.hashed(backing, value, &format!("field {}", path.steps().join("."))),
            )?;
        }
        record.set(self.side, Field { schema: id, datum });
        Ok(Applied::Kept)
    }
}

#[cfg(test)]
mod tests {
    use dray_connect::schema::{Schema, SchemaBuilder};
    use dray_connect::value::{SchemaAndValue, Value};

    use crate::testing::{map, refused, structure, value};

    const HASH: &str = "io.dray.connect.transforms.Hash$Value";
    /// Of `abc`, by FIPS 180-2.
    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn text(keys: &[(&str, &str)], text: &str) -> String {
        value(HASH, keys, SchemaAndValue::schemaless(text))
            .unwrap()
            .value
            .java_to_string()
    }

    #[test]
    fn known_hashes() {
        assert_eq!(text(&[], "abc"), ABC);
        assert_eq!(text(&[("salt", "a")], "bc"), ABC);
        assert!(text(&[("algorithm", "SHA-512")], "abc").starts_with("ddaf35a193617abacc417349ae204131"));
        // RFC 4231, test case 2.
        let key = [("hmac.key", "Jefe")];
        assert_eq!(
            text(&key, "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        let longer = [key[0], ("algorithm", "SHA-512")];
        assert!(text(&longer, "what do ya want for nothing?").starts_with("164b7a7bfcf819e2e395fbe73b56e0a3"));
    }

    #[test]
    fn fields_keep_their_types() {
        let inner = SchemaBuilder::struct_()
            .field("t", Schema::optional_string())
            .field("b", Schema::bytes());
        let inner = inner.build().unwrap();
        let outer = SchemaBuilder::struct_().field("i", inner.clone()).build().unwrap();
        let given = structure(
            &outer,
            [structure(&inner, [Value::Null, Value::bytes(&b"abc"[..])]).value],
        );
        let result = value(HASH, &[("fields", "i.t,i.b,nope")], given.clone()).unwrap();
        assert_eq!(result.schema, given.schema);
        let record = result.value.as_struct().unwrap().get_struct("i").unwrap().unwrap();
        assert_eq!(record.get("t").unwrap(), &Value::Null);
        assert_eq!(record.get_bytes("b").unwrap().unwrap().len(), 32);
        let given = map([("l", Value::Array(vec![Value::map([("x".into(), "abc".into())])]))]);
        assert_eq!(
            value(HASH, &[("fields", "l.x")], given).unwrap().value.java_to_string(),
            format!("{{l=[{{x={ABC}}}]}}")
        );
    }

    #[test]
    fn what_is_no_text_is_refused() {
        assert_eq!(
            value(HASH, &[("fields", "a")], map([("a", 1.into())])).unwrap_err(),
            "field a is java.lang.Integer: only texts and bytes can be hashed. Make it a text with Cast first."
        );
        assert_eq!(
            refused(HASH, &[("salt", "s"), ("hmac.key", "k")]),
            "salt and hmac.key are both set: an HMAC needs no salt, take it out"
        );
    }
}
