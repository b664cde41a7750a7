//! Tokens that we say ourselves and nobody signs (`alg: none`): what Kafka does where no handler is named. For tests and trusted networks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `unsecuredLoginLifetimeSeconds` where it is not set, as in Java.
const LIFETIME_SECONDS: u32 = 3600;

/// What the token says.
pub(super) struct Claims {
    claims: Map<String, Value>,
    lifetime: Duration,
}

impl Claims {
    /// Reads the options of the login module, and the claim that holds the principal's name.
    ///
    /// # Errors
    /// The option that is wrong, and why.
    pub(super) fn read(options: &BTreeMap<&str, &str>) -> Result<(Self, String), (String, String)> {
        let trimmed = |name: &str| {
            options
                .get(name)
                .map(|value| value.trim())
                .filter(|value| !value.is_empty())
        };
        let mut claims = Map::new();
        for (option, value) in options {
            let (name, value) = if let Some(name) = option.strip_prefix("unsecuredLoginStringClaim_") {
                (name, json!(value))
            } else if let Some(name) = option.strip_prefix("unsecuredLoginNumberClaim_") {
                let number = value.trim().parse::<f64>().ok().filter(|number| number.is_finite());
                (name, json!(number.ok_or_else(|| wrong(option, "it is no number"))?))
            } else if let Some(name) = option.strip_prefix("unsecuredLoginListClaim_") {
                (name, list(value))
            } else {
                continue;
            };
            if matches!(name, "iat" | "exp") {
                return Err(wrong(option, "this claim is said by itself"));
            }
            claims.insert(name.to_owned(), value);
        }
        let principal = trimmed("unsecuredLoginPrincipalClaimName").unwrap_or("sub").to_owned();
        if claims.get(&principal).and_then(Value::as_str).is_none_or(str::is_empty) {
            let option = format!("unsecuredLoginStringClaim_{principal}");
            return Err(wrong(
                &option,
                "it is missing, and no `sasl.oauthbearer.token.endpoint.url` is set",
            ));
        }
        let option = "unsecuredLoginLifetimeSeconds";
        let lifetime = trimmed(option).map_or(Ok(LIFETIME_SECONDS), str::parse);
        let lifetime = lifetime.map_err(|_| wrong(option, "it is no number of seconds"))?;
        let lifetime = Duration::from_secs(lifetime.into());
        Ok((Self { claims, lifetime }, principal))
    }

    /// A token that begins now.
    pub(super) fn token(&self) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // Whole milliseconds, cut off: a broker's clock that is as exact must not find it to be of the future.
        let seconds = |at: Duration| at.as_millis() as f64 / 1000.0;
        let mut claims = self.claims.clone();
        claims.insert("iat".to_owned(), json!(seconds(now)));
        claims.insert("exp".to_owned(), json!(seconds(now + self.lifetime)));
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        format!("{}.{}.", part(&json!({"alg": "none"})), part(&Value::Object(claims)))
    }
}

/// The elements of a list, whose first character is what divides them.
fn list(value: &str) -> Value {
    let mut characters = value.chars();
    match characters.next() {
        Some(between) if !characters.as_str().is_empty() => characters.as_str().split(between).collect(),
        _ => json!([]),
    }
}

fn wrong(option: &str, why: &str) -> (String, String) {
    (option.to_owned(), why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_claims_of_javas_example() {
        let options = BTreeMap::from([
            ("unsecuredLoginStringClaim_sub", "thePrincipalName"),
            ("unsecuredLoginListClaim_scope", "|scopeValue1|scopeValue2"),
            ("unsecuredLoginNumberClaim_n", "1.5"),
            ("unsecuredLoginLifetimeSeconds", "60"),
            ("unsecuredLoginExtension_traceId", "123"),
        ]);
        let (claims, principal) = Claims::read(&options).expect("claims");
        assert_eq!(principal, "sub");
        let token = claims.token();
        let parts: Vec<&str> = token.split('.').collect();
        assert_eq!((parts.len(), parts[2]), (3, ""));
        let decoded = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("text");
        assert_eq!(decoded(parts[0]), r#"{"alg":"none"}"#);
        let said: Value = serde_json::from_str(&decoded(parts[1])).expect("JSON");
        assert_eq!(said["sub"], "thePrincipalName");
        assert_eq!(said["scope"], json!(["scopeValue1", "scopeValue2"]));
        assert_eq!(said["n"].as_f64(), Some(1.5));
        let (iat, exp) = (
            said["iat"].as_f64().expect("a time"),
            said["exp"].as_f64().expect("a time"),
        );
        assert!((exp - iat - 60.0).abs() < 0.01, "{iat} {exp}");
        assert!(said.get("traceId").is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (option, value) in [
            ("unsecuredLoginStringClaim_exp", "1"),
            ("unsecuredLoginNumberClaim_n", "many"),
            ("unsecuredLoginLifetimeSeconds", "-1"),
        ] {
            let options = BTreeMap::from([("unsecuredLoginStringClaim_sub", "me"), (option, value)]);
            let found = Claims::read(&options).err().map(|(option, _)| option);
            assert_eq!(found.as_deref(), Some(option));
        }
        let found = Claims::read(&BTreeMap::new()).err().map(|(option, _)| option);
        assert_eq!(found.as_deref(), Some("unsecuredLoginStringClaim_sub"));
    }
}
