//! Which transformations and predicates there are, by class name and by Connect's aliases.

use dray_connect::Result;
use dray_connect::config::{ConfigDef, ParsedConfig};

use crate::{Predicate, Side, Transformation, predicates, transformations};

/// Where Apache's predicates are in Java.
const PREDICATES: &str = "org.apache.kafka.connect.transforms.predicates.";

/// A transformation, or a pair of them for keys and values.
pub(crate) struct TransformationKind {
    /// The simple name of the Java class, without `$Key` and `$Value`.
    pub(crate) name: &'static str,
    /// Whether there is one for keys and one for values.
    pub(crate) sided: bool,
    /// Its keys.
    pub(crate) definition: fn() -> ConfigDef,
    /// Makes one. The side means nothing where there is only one.
    pub(crate) make: fn(Side, &ParsedConfig) -> Result<Box<dyn Transformation>>,
}

/// A predicate.
pub(crate) struct PredicateKind {
    /// The simple name of the Java class.
    pub(crate) name: &'static str,
    /// Its keys.
    pub(crate) definition: fn() -> ConfigDef,
    /// Makes one.
    pub(crate) make: fn(&ParsedConfig) -> Result<Box<dyn Predicate>>,
}

/// A class that a configuration names.
pub(crate) struct Named<K: 'static> {
    /// What is made of it.
    pub(crate) kind: &'static K,
    /// For keys or for values, where there are both.
    pub(crate) side: Side,
    /// The full name of the Java class.
    pub(crate) class: String,
}

/// Those of all packages, each with what the names of its package begin with.
fn transformation_kinds() -> impl Iterator<Item = (&'static str, &'static TransformationKind)> {
    let packages = transformations::PACKAGES.iter();
    packages.flat_map(|(package, kinds)| kinds.iter().map(move |kind| (*package, kind)))
}

/// Each class with its full name. A pair has three: `X$Key`, `X$Value` and the abstract `X`, which has no side.
fn transformation_classes() -> impl Iterator<Item = (String, Option<Side>, &'static TransformationKind)> {
    transformation_kinds().flat_map(|(package, kind)| {
        let sides: &[Option<Side>] = if kind.sided {
            &[Some(Side::Key), Some(Side::Value), None]
        } else {
            &[Some(Side::Value)]
        };
        sides.iter().map(move |side| {
            let suffix = match side {
                Some(Side::Key) if kind.sided => "$Key",
                Some(Side::Value) if kind.sided => "$Value",
                Some(_) | None => "",
            };
            (format!("{package}{}{suffix}", kind.name), *side, kind)
        })
    })
}

fn predicate_classes() -> impl Iterator<Item = (String, &'static PredicateKind)> {
    predicates::ALL
        .iter()
        .map(|kind| (format!("{PREDICATES}{}", kind.name), kind))
}

/// Whether `name` is the full name or the simple name of the class.
fn answers_to(class: &str, name: &str) -> bool {
    let simple = class.rsplit('.').next().unwrap_or(class);
    name == class || name == simple
}

/// The transformation of that class name or alias; none when there is none or it is the abstract one of a pair.
pub(crate) fn transformation(name: &str) -> Option<Named<TransformationKind>> {
    transformation_classes().find_map(|(class, side, kind)| {
        let side = side.filter(|_| answers_to(&class, name))?;
        Some(Named { kind, side, class })
    })
}

/// The predicate of that class name or alias.
pub(crate) fn predicate(name: &str) -> Option<Named<PredicateKind>> {
    predicate_classes()
        .find(|(class, _)| answers_to(class, name))
        .map(|(class, kind)| Named {
            kind,
            side: Side::Value,
            class,
        })
}

/// The full name of the transformation or predicate with that name or alias, abstract ones included.
#[must_use]
pub fn class_name(name: &str) -> Option<String> {
    let name = name.trim();
    let transformations = transformation_classes().map(|(class, _, _)| class);
    let predicates = predicate_classes().map(|(class, _)| class);
    transformations.chain(predicates).find(|class| answers_to(class, name))
}

/// The full names of all transformations that can be made, sorted.
#[must_use]
pub fn transformation_names() -> Vec<String> {
    let concrete = transformation_classes().filter(|(_, side, _)| side.is_some());
    let mut names: Vec<String> = concrete.map(|(class, _, _)| class).collect();
    names.sort();
    names
}

/// The full names of all predicates, sorted.
#[must_use]
pub fn predicate_names() -> Vec<String> {
    let mut names: Vec<String> = predicate_classes().map(|(class, _)| class).collect();
    names.sort();
    names
}

/// Those of `names` that are most like `name`, which is none of them: three at most, the best first, none that is quite
/// different.
#[must_use]
pub fn nearest(name: &str, names: &[String]) -> Vec<String> {
    let simple = |class: &str| class.rsplit('.').next().unwrap_or(class).to_ascii_lowercase();
    let wanted = simple(name);
    let mut ranked: Vec<(f64, &String)> = names
        .iter()
        .map(|class| (strsim::jaro_winkler(&wanted, &simple(class)), class))
        .filter(|(likeness, _)| *likeness > 0.75)
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked.into_iter().take(3).map(|(_, class)| class.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_found_by_full_name_and_by_simple_name() {
        for name in [
            "org.apache.kafka.connect.transforms.ReplaceField$Key",
            "ReplaceField$Key",
        ] {
            let found = transformation(name).unwrap();
            assert_eq!(found.class, "org.apache.kafka.connect.transforms.ReplaceField$Key");
            assert_eq!(found.side, Side::Key);
        }
        assert!(transformation("ReplaceField").is_none(), "it is abstract");
        assert!(class_name("ReplaceField").is_some());
        assert!(predicate("RecordIsTombstone").is_some());
        assert!(transformation("RecordIsTombstone").is_none());
        let debezium = transformation("EventRouter").unwrap();
        assert_eq!(debezium.class, "io.debezium.transforms.outbox.EventRouter");
    }

    #[test]
    fn no_two_classes_have_one_simple_name() {
        let simple = |class: String| class.rsplit('.').next().unwrap().to_owned();
        let mut names: Vec<String> = transformation_classes().map(|(class, _, _)| simple(class)).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn all_definitions_are_sound() {
        for (package, kind) in transformation_kinds() {
            assert_eq!(
                (kind.definition)().check().map_err(|error| error.to_string()),
                Ok(()),
                "{package}{}",
                kind.name
            );
        }
    }

    #[test]
    fn a_wrong_name_brings_the_nearest_ones() {
        let near = nearest("io.example.ReplaceFields$Value", &transformation_names());
        assert_eq!(near[0], "org.apache.kafka.connect.transforms.ReplaceField$Value");
        assert!(near.len() <= 3);
        assert!(nearest("xyz", &transformation_names()).is_empty());
    }
}
