//! Settings of Kafka Connect that change what a connector does and that Dray does not have yet. They are refused: a
//! pipeline that resolves no secret, or is less exact than was asked for, is worse than one that does not start.

use dray_connect::config::ParsedConfig;
use dray_connect::{ConfigMap, Error, Result};

const VERSION: &str = "choosing a plugin's version is not supported yet; remove the key";

/// Refuses a worker that asks for what is not there.
pub(crate) fn refuse_worker(config: &ParsedConfig) -> Result<()> {
    refuse_versions(config)?;
    let policy = "connector.client.config.override.policy";
    match config.string(policy) {
        Some(value) if value != "All" && !value.ends_with(".AllConnectorClientConfigOverridePolicy") => Err(
            Error::invalid_config(policy, Some(value), Some("only All is supported yet")),
        ),
        Some(_) | None => Ok(()),
    }
}

/// Refuses a connector that asks for what is not there.
pub(crate) fn refuse_connector(config: &ParsedConfig) -> Result<()> {
    match connector_problems(config.originals()).into_iter().next() {
        Some((key, value, problem)) => Err(Error::invalid_config(key, Some(&value), Some(problem))),
        None => Ok(()),
    }
}

/// What a connector asks for that is not there: the key, its value, and the text for people.
pub(crate) fn connector_problems(config: &ConfigMap) -> Vec<(&'static str, String, &'static str)> {
    let mut problems = Vec::new();
    for key in [
        "connector.plugin.version",
        "key.converter.plugin.version",
        "value.converter.plugin.version",
        "header.converter.plugin.version",
    ] {
        if let Some(value) = config.get(key).filter(|value| !value.trim().is_empty()) {
            problems.push((key, value.clone(), VERSION));
        }
    }
    let key = "exactly.once.support";
    if let Some(value) = config
        .get(key)
        .filter(|value| value.trim().eq_ignore_ascii_case("required"))
    {
        problems.push((
            key,
            value.clone(),
            "This worker does not have exactly-once source support enabled.",
        ));
    }
    problems
}

fn refuse_versions(config: &ParsedConfig) -> Result<()> {
    for kind in ["key", "value", "header"] {
        refuse(config, &format!("{kind}.converter.plugin.version"), VERSION)?;
    }
    Ok(())
}

/// Refuses a key that has a value.
fn refuse(config: &ParsedConfig, key: &str, problem: &str) -> Result<()> {
    match config.get(key)?.render() {
        Some(value) if !value.is_empty() => Err(Error::invalid_config(key, Some(&value), Some(problem))),
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{SinkConfig, SourceConfig, WorkerConfig};
    use dray_connect::ConfigMap;

    fn map(pairs: &[(&str, &str)]) -> ConfigMap {
        let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    }

    #[test]
    fn what_would_be_left_out_silently_is_refused() {
        let worker = |key, value| {
            let string = "org.apache.kafka.connect.storage.StringConverter";
            WorkerConfig::parse(&map(&[
                ("key.converter", string),
                ("value.converter", string),
                (key, value),
            ]))
            .map(drop)
        };
        let connector = |key, value| {
            let config = map(&[("name", "c"), ("connector.class", "C"), ("topics", "t"), (key, value)]);
            SinkConfig::parse(&config).and(SourceConfig::parse(&config, true).map(drop))
        };
        for result in [
            connector("exactly.once.support", "REQUIRED"),
            connector("connector.plugin.version", "1.0"),
            connector("header.converter.plugin.version", "1.0"),
            worker("key.converter.plugin.version", "1.0"),
            worker("connector.client.config.override.policy", "None"),
        ] {
            let error = result.unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("supported yet") || text.contains("does not have exactly-once"),
                "{text}"
            );
        }
        worker("connector.client.config.override.policy", "All").unwrap();
    }
}
