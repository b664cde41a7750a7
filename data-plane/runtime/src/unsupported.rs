//! Settings of Kafka Connect that change what a connector does and that Dray does not have yet. They are refused: a
//! pipeline that silently leaves out a transform, or resolves no secret, is worse than one that does not start.

use dray_connect::{ConfigMap, Error, Result};

/// Refuses a worker or connector configuration that asks for what is not there.
///
/// # Errors
/// Names the key, its value and what to do.
pub fn refuse(worker: &ConfigMap, connector: &ConfigMap) -> Result<()> {
    for key in ["transforms", "predicates"] {
        if let Some(value) = written(connector, key) {
            return Err(not_yet(
                value,
                key,
                "transforms and predicates are not supported yet; remove the key",
            ));
        }
    }
    if let Some(value) = written(worker, "config.providers") {
        return Err(not_yet(
            value,
            "config.providers",
            "config providers are not supported yet; remove the key",
        ));
    }
    let policy = "connector.client.config.override.policy";
    if let Some(value) = written(worker, policy)
        .filter(|value| *value != "All" && !value.ends_with(".AllConnectorClientConfigOverridePolicy"))
    {
        return Err(not_yet(value, policy, "only All is supported yet"));
    }
    if let Some(value) =
        written(connector, "exactly.once.support").filter(|value| value.eq_ignore_ascii_case("required"))
    {
        return Err(not_yet(
            value,
            "exactly.once.support",
            "exactly-once delivery is not supported yet; use requested",
        ));
    }
    Ok(())
}

fn written<'a>(config: &'a ConfigMap, key: &str) -> Option<&'a str> {
    config
        .get(key)
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
}

fn not_yet(value: &str, key: &str, problem: &str) -> Error {
    Error::config(format!("Invalid value {value} for configuration {key}: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_left_out_silently_is_refused() {
        let map = |key: &str, value: &str| ConfigMap::from([(key.to_owned(), value.to_owned())]);
        let none = ConfigMap::new();
        for (worker, connector) in [
            (none.clone(), map("transforms", "mask")),
            (none.clone(), map("predicates", "p")),
            (none.clone(), map("exactly.once.support", "REQUIRED")),
            (map("config.providers", "file"), none.clone()),
            (map("connector.client.config.override.policy", "None"), none.clone()),
        ] {
            let error = refuse(&worker, &connector).unwrap_err();
            assert!(error.to_string().contains("supported yet"), "{error}");
        }
        assert!(
            refuse(
                &map("connector.client.config.override.policy", "All"),
                &map("transforms", " ")
            )
            .is_ok()
        );
    }
}
