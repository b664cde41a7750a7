//! Definitions and findings in the words of `dray.plugin.v1`.

use dray_connect::config::{ConfigInfoValue, ConfigType, Importance, Width};
use dray_runtime::validate::{Infos, KeyInfo};
use dray_wire::plugin::v1;

pub(super) fn infos(infos: Infos) -> v1::ConfigInfos {
    let configs = infos.configs.into_iter().map(|info| v1::ConfigInfo {
        definition: info.definition.map(key),
        value: info.value.map(value),
    });
    v1::ConfigInfos {
        name: infos.name,
        error_count: u32::try_from(infos.error_count).unwrap_or(u32::MAX),
        groups: infos.groups,
        configs: configs.collect(),
    }
}

pub(super) fn key(key: KeyInfo) -> v1::ConfigKey {
    let kind = match key.kind {
        ConfigType::Boolean => v1::ConfigType::Boolean,
        ConfigType::String => v1::ConfigType::String,
        ConfigType::Int => v1::ConfigType::Int,
        ConfigType::Short => v1::ConfigType::Short,
        ConfigType::Long => v1::ConfigType::Long,
        ConfigType::Double => v1::ConfigType::Double,
        ConfigType::List => v1::ConfigType::List,
        ConfigType::Class => v1::ConfigType::Class,
        ConfigType::Password => v1::ConfigType::Password,
    };
    let importance = match key.importance {
        Importance::High => v1::Importance::High,
        Importance::Medium => v1::Importance::Medium,
        Importance::Low => v1::Importance::Low,
    };
    let width = match key.width {
        Width::None => v1::Width::None,
        Width::Short => v1::Width::Short,
        Width::Medium => v1::Width::Medium,
        Width::Long => v1::Width::Long,
    };
    v1::ConfigKey {
        name: key.name,
        r#type: kind.into(),
        required: key.required,
        default_value: key.default,
        importance: importance.into(),
        documentation: key.doc,
        group: key.group,
        order: key.order,
        width: width.into(),
        display_name: key.display_name,
        dependents: key.dependents,
    }
}

fn value(value: ConfigInfoValue) -> v1::ConfigValue {
    v1::ConfigValue {
        name: value.name,
        value: value.value,
        recommended_values: value.recommended_values,
        errors: value.errors,
        visible: value.visible,
    }
}
