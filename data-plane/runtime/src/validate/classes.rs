//! Keys that name a class: which there are, for forms to offer, and which one counts while the key is not set.

use super::Infos;
use crate::worker::Worker;
use dray_connect::config::ConfigType;
use dray_transforms::config::{PREDICATES, TRANSFORMS, predicate_names, transformation_names};

impl Worker {
    /// Adds what a definition that is the same for all workers cannot say.
    pub(super) fn offer_classes(&self, infos: &mut Infos) {
        for info in &mut infos.configs {
            let (Some(definition), Some(value)) = (&mut info.definition, &mut info.value) else {
                continue;
            };
            value.recommended_values = match definition.name.as_str() {
                "key.converter" | "value.converter" => converters(&[], &[]),
                "header.converter" => converters(dray_converters::HEADER_CLASSES, dray_converters::WITH_REGISTRY),
                name if definition.kind == ConfigType::Class && is_type(name, TRANSFORMS) => transformation_names(),
                name if definition.kind == ConfigType::Class && is_type(name, PREDICATES) => predicate_names(),
                _ => continue,
            };
            let own = match definition.name.as_str() {
                "key.converter" => &self.config().key_converter,
                "value.converter" => &self.config().value_converter,
                "header.converter" => &self.config().header_converter,
                _ => continue,
            };
            let own = dray_converters::class_name(&own.class).unwrap_or(&own.class);
            definition.default = Some(own.to_owned());
            if value.errors.is_empty() {
                value.value.get_or_insert_with(|| own.to_owned());
            }
        }
    }
}

/// Whether a key may be the class of one of the `transforms` or `predicates`; they may have a key of that name as well, of another type.
fn is_type(name: &str, of: &str) -> bool {
    name.strip_prefix(of)
        .is_some_and(|rest| rest.starts_with('.') && rest.ends_with(".type"))
}

fn converters(more: &[&str], less: &[&str]) -> Vec<String> {
    let classes = dray_converters::CLASSES.iter().chain(more);
    let classes = classes.filter(|class| !less.contains(class));
    let mut classes: Vec<String> = classes.map(|class| (*class).to_owned()).collect();
    classes.sort();
    classes
}
