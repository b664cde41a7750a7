//! `/connector-plugins`, and what a class is: a source or a sink, and of which version.

use crate::answer::{Answer, ok};
use crate::error::Error;
use crate::gateway::Rest;
use crate::query;
use crate::shape::{KeyInfo, PluginInfo};
use crate::validation::key;
use dray_wire::admin::v1;
use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tonic::{Code, Request};

/// How long what is known of plugins is taken for true.
const FRESH: Duration = Duration::from_secs(10);
/// How long a read waits to learn what its class is.
const WITHIN: Duration = Duration::from_millis(500);

/// What a connector's class is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    /// `source`, `sink` or `unknown`.
    pub(crate) word: &'static str,
    pub(crate) version: Option<String>,
}

/// The connectors that agents have, by class. What was once known stays so when the last agent with it is gone.
#[derive(Default)]
pub(crate) struct Kinds {
    /// Never held while somebody waits.
    known: std::sync::Mutex<Known>,
    /// Who holds it asks.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Known {
    asked: Option<Instant>,
    classes: BTreeMap<String, Kind>,
}

impl Kinds {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, class: &str) -> Option<Kind> {
        let known = self.known();
        let found = known.classes.iter().find(|(full, _)| names(class, full));
        found.map(|(_, kind)| kind.clone())
    }

    /// Whether it is time to ask.
    fn is_old(&self) -> bool {
        self.known().asked.is_none_or(|asked| asked.elapsed() > FRESH)
    }
}

impl Rest {
    pub(crate) async fn list_plugins(&self, query: Option<&str>) -> Answer {
        // One without a value is as none.
        let given = query::values(query, "connectorsOnly").find(|value| !value.is_empty());
        let all = given.is_some_and(|only| !only.eq_ignore_ascii_case("true"));
        let request = Request::new(v1::ListPluginsRequest {});
        let found = self.services.plugins.list_plugins(request).await?.into_inner();
        let shown = found.plugins.into_iter().filter_map(|plugin| {
            let kind = word(plugin.r#type())?;
            (all || matches!(kind, "source" | "sink")).then(|| PluginInfo {
                class: plugin.class,
                kind,
                version: known(plugin.version),
            })
        });
        ok(&shown.collect::<Vec<_>>())
    }

    pub(crate) async fn plugin_config(&self, plugin: &str) -> Answer {
        let request = v1::GetPluginConfigRequest { plugin: plugin.into() };
        let asked = self.services.plugins.get_plugin_config(Request::new(request)).await;
        let found = asked.map_err(|status| match status.code() == Code::NotFound {
            true => Error::not_found(format!("Unknown plugin {plugin}.")),
            false => status.into(),
        })?;
        ok(&found.into_inner().keys.into_iter().map(key).collect::<Vec<KeyInfo>>())
    }

    /// What the class of a connector is. Agents are asked when it is not known, and now and then: by one, and nobody waits for that one
    /// who has an answer.
    pub(crate) async fn kind(&self, connector: &v1::Connector) -> Kind {
        let class = connector.config.get("connector.class").map_or("", |class| class.trim());
        if self.kinds.is_old() {
            match self.kinds.asking.try_lock() {
                Ok(_asking) => self.learn_kinds().await,
                Err(_) if self.kinds.find(class).is_some() => {}
                Err(_) => {
                    let _asking = self.kinds.asking.lock().await;
                    if self.kinds.is_old() {
                        self.learn_kinds().await;
                    }
                }
            }
        }
        self.kinds.find(class).unwrap_or(Kind {
            word: "unknown",
            version: None,
        })
    }

    async fn learn_kinds(&self) {
        let request = Request::new(v1::ListPluginsRequest {});
        let found = timeout(WITHIN, self.services.plugins.list_plugins(request)).await;
        let mut known = self.kinds.known();
        // Whatever came of it: who waits does not ask again.
        known.asked = Some(Instant::now());
        if let Ok(Ok(found)) = found {
            let plugins = found.into_inner().plugins.into_iter();
            known.classes.extend(plugins.filter_map(|plugin| {
                let word = word(plugin.r#type()).filter(|word| matches!(*word, "source" | "sink"))?;
                let version = self::known(plugin.version);
                Some((plugin.class, Kind { word, version }))
            }));
        }
    }
}

/// Whether a configuration may call a class so: in full, by its simple name, or by that without `Connector`.
fn names(short: &str, full: &str) -> bool {
    let simple = full.rsplit('.').next().unwrap_or(full);
    short == full || short == simple || simple.strip_suffix("Connector") == Some(short)
}

/// Connect leaves out a version that is none.
fn known(version: String) -> Option<String> {
    Some(version).filter(|version| !version.is_empty() && version != "undefined")
}

fn word(kind: v1::PluginType) -> Option<&'static str> {
    match kind {
        v1::PluginType::Sink => Some("sink"),
        v1::PluginType::Source => Some("source"),
        v1::PluginType::Transformation => Some("transformation"),
        v1::PluginType::Predicate => Some("predicate"),
        v1::PluginType::Converter => Some("converter"),
        v1::PluginType::HeaderConverter => Some("header_converter"),
        // Connect does not list them.
        v1::PluginType::ConfigProvider | v1::PluginType::Unspecified => None,
    }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn classes_have_three_names() {
        let full = "org.example.FileStreamSourceConnector";
        for short in [full, "FileStreamSourceConnector", "FileStreamSource"] {
            assert!(names(short, full), "{short}");
        }
        for other in [
            "",
            "FileStream",
            "example.FileStreamSourceConnector",
            "filestreamsource",
        ] {
            assert!(!names(other, full), "{other}");
        }
    }
}
