//! The transforms of a connector in their order, each with its predicate.

use dray_connect::backing::Backing;
use dray_connect::config::ConfigMap;
use dray_connect::{Error, Result};

use crate::config::{PREDICATES, TRANSFORMS, aliases, below};
use crate::record::Workspace;
use crate::{Applied, ConnectRecord, Input, Output, Predicate, Transformation, registry};

/// The transforms of a connector. Owned by one task; it keeps caches and no other state.
#[derive(Default)]
pub struct Chain {
    stages: Vec<Stage>,
    workspace: Workspace,
}

/// How a stage is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageName {
    /// Its alias in the configuration.
    pub alias: String,
    /// The Java class of its transformation, as dead letter headers name it.
    pub class: String,
}

/// One transform of a chain.
struct Stage {
    name: StageName,
    condition: Option<Condition>,
    transformation: Box<dyn Transformation>,
}

/// When a stage applies.
struct Condition {
    predicate: Box<dyn Predicate>,
    negate: bool,
}

/// A record that a stage could not be applied to.
#[derive(Debug)]
pub struct Failure {
    /// The stage.
    pub stage: StageName,
    /// Why.
    pub error: Error,
}

/// What happened to a record at a stage, for [`Chain::apply_observed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its predicate leaves the record out: it goes on as it is.
    Skipped,
    /// The transformation changed it, or could have.
    Kept,
    /// The transformation dropped it.
    Dropped,
}

impl Chain {
    /// Reads the chain of a connector's configuration: `transforms`, `predicates` and the keys below their aliases.
    ///
    /// # Errors
    /// With Connect's text for the first key that is missing or has a value that is not allowed.
    pub fn read(config: &ConfigMap) -> Result<Self> {
        let stages = aliases(config, TRANSFORMS)
            .into_iter()
            .map(|alias| Stage::read(config, alias))
            .collect::<Result<_>>()?;
        Ok(Self {
            stages,
            workspace: Workspace::default(),
        })
    }

    /// Adds a transformation that no configuration names, at the end and without a predicate. `class` is what dead letter
    /// headers call it.
    pub fn push(&mut self, alias: &str, class: &str, transformation: Box<dyn Transformation>) {
        self.stages.push(Stage {
            name: StageName {
                alias: alias.to_owned(),
                class: class.to_owned(),
            },
            condition: None,
            transformation,
        });
    }

    /// Whether there is no transform: records need not go through the chain.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.stages.is_empty()
    }

    /// Runs the chain on a record whose key and value lie in `backing`; none when a stage dropped it. What was given stays
    /// as it was, so after an error the same record may be given again.
    ///
    /// # Errors
    /// The first stage that fails, with its error.
    pub fn apply(&mut self, input: Input<'_>, backing: &mut Backing) -> Result<Option<Output>, Failure> {
        self.apply_observed(input, backing, |_, _, _| {})
    }

    /// As [`Chain::apply`]; after each stage `observe` gets its name, what happened and the record as it is then.
    pub fn apply_observed(
        &mut self,
        input: Input<'_>,
        backing: &mut Backing,
        mut observe: impl FnMut(&StageName, Step, &mut ConnectRecord<'_>),
    ) -> Result<Option<Output>, Failure> {
        let mut record = ConnectRecord::new(input, backing, &mut self.workspace);
        for stage in &mut self.stages {
            let step = stage.apply(&mut record).map_err(|error| Failure {
                stage: stage.name.clone(),
                error,
            })?;
            observe(&stage.name, step, &mut record);
            if step == Step::Dropped {
                return Ok(None);
            }
        }
        Ok(Some(record.finish()))
    }
}

impl Stage {
    fn read(config: &ConfigMap, alias: String) -> Result<Self> {
        let key = format!("{TRANSFORMS}.{alias}");
        let mut own = below(config, &key);
        let class = class_of(&own, &key)?;
        let Some(named) = registry::transformation(class) else {
            return Err(unknown(&key, class));
        };
        let (predicate, negate) = (own.remove("predicate"), own.remove("negate"));
        let parsed = (named.kind.definition)().parse(&own)?;
        let transformation = (named.kind.make)(named.side, &parsed)?;
        // After the transformation, as in Connect: of two mistakes the first one is told.
        let condition = match predicate {
            None => None,
            Some(predicate) => Some(Condition {
                predicate: read_predicate(config, predicate.trim())?,
                // As Java's `Boolean.parseBoolean`: whatever is not "true" is false.
                negate: negate.is_some_and(|text| text.eq_ignore_ascii_case("true")),
            }),
        };
        Ok(Self {
            transformation,
            name: StageName {
                alias,
                class: named.class,
            },
            condition,
        })
    }

    fn apply(&mut self, record: &mut ConnectRecord<'_>) -> Result<Step> {
        if let Some(condition) = &mut self.condition
            && condition.predicate.test(record)? == condition.negate
        {
            return Ok(Step::Skipped);
        }
        Ok(match self.transformation.apply(record)? {
            Applied::Kept => Step::Kept,
            Applied::Dropped => Step::Dropped,
        })
    }
}

fn read_predicate(config: &ConfigMap, alias: &str) -> Result<Box<dyn Predicate>> {
    let key = format!("{PREDICATES}.{alias}");
    if !aliases(config, PREDICATES).iter().any(|known| known == alias) {
        return Err(Error::config(format!(
            "a transform names the predicate {alias}, which is not listed in {PREDICATES}"
        )));
    }
    let own = below(config, &key);
    let class = class_of(&own, &key)?;
    let Some(named) = registry::predicate(class) else {
        return Err(unknown(&key, class));
    };
    (named.kind.make)(&(named.kind.definition)().parse(&own)?)
}

fn class_of<'a>(own: &'a ConfigMap, key: &str) -> Result<&'a str> {
    match own.get("type") {
        Some(class) => Ok(class.trim()),
        None => Err(Error::config(format!(
            "Missing required configuration \"{key}.type\" which has no default value."
        ))),
    }
}

/// Validation names such a class first, with all that is known about it; this is for who comes here without it.
fn unknown(key: &str, class: &str) -> Error {
    let problem = format!("Class {class} could not be found.");
    Error::invalid_config(&format!("{key}.type"), Some(class), Some(&problem))
}

#[cfg(test)]
mod tests;
