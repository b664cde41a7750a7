//! The words of `dray.admin.v1`.

use dray_model::{AgentPolicy, ConnectorState, TargetState, TaskState};
use dray_wire::NotGiven;
use dray_wire::admin::v1;

#[test]
fn states_have_one_name() {
    let word = |name: &str, prefix: &str| name.strip_prefix(prefix).map(str::to_owned);
    for number in 1..=7 {
        let wire = v1::ConnectorState::try_from(number).unwrap();
        let state = ConnectorState::try_from(wire).unwrap();
        assert_eq!(word(wire.as_str_name(), "CONNECTOR_STATE_"), Some(state.to_string()));
        assert_eq!(v1::ConnectorState::from(state), wire);
    }
    for number in 1..=6 {
        let wire = v1::TaskState::try_from(number).unwrap();
        let state = TaskState::try_from(wire).unwrap();
        assert_eq!(word(wire.as_str_name(), "TASK_STATE_"), Some(state.to_string()));
        assert_eq!(v1::TaskState::from(state), wire);
    }
    for number in 1..=3 {
        let wire = v1::TargetState::try_from(number).unwrap();
        let state = TargetState::try_from(wire).unwrap();
        assert_eq!(word(wire.as_str_name(), "TARGET_STATE_"), Some(state.to_string()));
        assert_eq!(v1::TargetState::from(state), wire);
    }
    for number in 1..=5 {
        let wire = v1::AgentPolicy::try_from(number).unwrap();
        let policy = AgentPolicy::try_from(wire).unwrap();
        assert_eq!(word(wire.as_str_name(), "AGENT_POLICY_"), Some(policy.to_string()));
        assert_eq!(v1::AgentPolicy::from(policy), wire);
    }
    assert_eq!(TargetState::try_from(v1::TargetState::Unspecified), Err(NotGiven));
}

#[test]
fn reflection_knows_every_service() {
    let set: prost_types::FileDescriptorSet = prost::Message::decode(dray_wire::DESCRIPTORS).unwrap();
    let mut services: Vec<_> = set
        .file
        .iter()
        .flat_map(|file| &file.service)
        .map(|service| service.name())
        .collect();
    services.sort_unstable();
    assert_eq!(
        services,
        [
            "AgentCallService",
            "AgentControlService",
            "AgentService",
            "ClusterService",
            "ConnectorService",
            "LetterService",
            "LoggerService",
            "OffsetService",
            "OperationService",
            "PluginService",
            "PreviewService",
            "StatusService",
        ]
    );
    let imported = set
        .file
        .iter()
        .any(|file| file.name() == "google/protobuf/duration.proto");
    assert!(imported, "what is imported is there");
}
