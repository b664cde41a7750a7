//! Typed calls: an agent answers on its stream of calls, the leader asks it, and the other replicas ask the leader.

use crate::agent::{CLASS, channel};
use crate::rig::{leads, start, until};
use dray_control::Control;
use dray_model::message::{CallsHello, Plugin, PluginKind};
use dray_store::MetadataStore;
use dray_store::mem::MemStore;
use dray_wire::admin::v1;
use dray_wire::admin::v1::offset_service_client::OffsetServiceClient;
use dray_wire::admin::v1::plugin_service_client::PluginServiceClient;
use dray_wire::agent::v1::agent_call_service_client::AgentCallServiceClient;
use dray_wire::agent::v1::call_answer::Result as Answer;
use dray_wire::agent::v1::calls_request::Body;
use dray_wire::agent::v1::calls_response::Call;
use dray_wire::agent::v1::{CallAnswer, CallError, CallErrorKind, CallsRequest, PluginConfigResult};
use dray_wire::plugin::v1::{ConfigEntry, ConfigInfos, ConfigKey};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::Code;

/// An agent that knows one plugin, and refuses one configuration.
async fn answers(control: &Control, described: Arc<AtomicUsize>) -> JoinSet<()> {
    let (requests, mut queue) = mpsc::channel::<CallsRequest>(16);
    let hello = CallsHello {
        agent: "a1".try_into().unwrap(),
        plugins: vec![Plugin {
            class: CLASS.try_into().unwrap(),
            version: "1.0".into(),
            kind: PluginKind::Source,
        }],
    };
    let body = Some(Body::Hello(hello.into()));
    requests.send(CallsRequest { body }).await.unwrap();
    let mut client = AgentCallServiceClient::new(channel(control.addresses[0]));
    let stream = futures::stream::poll_fn(move |context| queue.poll_recv(context));
    let mut calls = client.calls(stream).await.unwrap().into_inner();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok(Some(call)) = calls.message().await {
            let result = match call.call.unwrap() {
                Call::PluginConfig(asked) => {
                    described.fetch_add(1, Ordering::SeqCst);
                    let key = ConfigKey {
                        name: asked.plugin,
                        ..ConfigKey::default()
                    };
                    Answer::PluginConfig(PluginConfigResult { keys: vec![key] })
                }
                Call::Validate(asked) if asked.config[0].value.is_none() => Answer::Error(CallError {
                    kind: CallErrorKind::BadRequest.into(),
                    message: "no class".into(),
                    exception: "x.BadRequestException".into(),
                }),
                Call::Validate(_) => Answer::Validated(ConfigInfos {
                    error_count: 3,
                    ..ConfigInfos::default()
                }),
                Call::ReadOffsets(_) | Call::AlterOffsets(_) | Call::SetLevels(_) => {
                    unreachable!("there is no connector, and no level")
                }
            };
            let body = Some(Body::Answer(CallAnswer {
                id: call.id,
                result: Some(result),
            }));
            if requests.send(CallsRequest { body }).await.is_err() {
                return;
            }
        }
    });
    tasks
}

#[tokio::test(flavor = "multi_thread")]
async fn any_replica_answers_through_the_leader() {
    let store: Arc<dyn MetadataStore> = Arc::new(MemStore::default());
    let one = start(&store, "test", "one").await;
    until("one leads", || leads(&one, "one")).await;
    let two = start(&store, "test", "two").await;
    let described = Arc::new(AtomicUsize::new(0));
    let agent = answers(&one, described.clone()).await;
    for control in [&one, &two] {
        let mut plugins = PluginServiceClient::new(channel(control.addresses[0]));
        let all = plugins
            .list_plugins(v1::ListPluginsRequest {})
            .await
            .unwrap()
            .into_inner();
        let classes: Vec<&str> = all.plugins.iter().map(|plugin| plugin.class.as_str()).collect();
        assert_eq!(classes, [CLASS]);
        let plugin = v1::GetPluginConfigRequest {
            plugin: "IdleSource".into(),
        };
        let keys = plugins.get_plugin_config(plugin).await.unwrap().into_inner().keys;
        assert_eq!(keys[0].name, "IdleSource");
        let entry = |value: Option<&str>| v1::ValidateConfigRequest {
            config: vec![ConfigEntry {
                name: "connector.class".into(),
                value: value.map(Into::into),
            }],
        };
        let found = plugins.validate_config(entry(Some(CLASS))).await.unwrap().into_inner();
        assert_eq!(found.infos.unwrap().error_count, 3);
        let refused = plugins.validate_config(entry(None)).await.unwrap_err();
        assert_eq!((refused.code(), refused.message()), (Code::InvalidArgument, "no class"));
    }
    assert_eq!(
        described.load(Ordering::SeqCst),
        1,
        "what a plugin says of itself is remembered"
    );

    let mut offsets = OffsetServiceClient::new(channel(two.addresses[0]));
    let nobody = v1::GetOffsetsRequest { connector: "c".into() };
    assert_eq!(offsets.get_offsets(nobody).await.unwrap_err().code(), Code::NotFound);
    let nothing = v1::AlterOffsetsRequest {
        connector: "c".into(),
        offsets: vec![],
    };
    assert_eq!(
        offsets.alter_offsets(nothing).await.unwrap_err().code(),
        Code::InvalidArgument
    );

    // Without an agent nobody can say it, and the caller is told so instead of waiting for ever.
    drop(agent);
    let mut plugins = PluginServiceClient::new(channel(two.addresses[0]));
    let refused = loop {
        let plugin = v1::GetPluginConfigRequest { plugin: "Other".into() };
        match plugins.get_plugin_config(plugin).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(refused) => break refused,
        }
    };
    // The call in which it went is of unknown outcome; the next finds nobody.
    assert!(
        matches!(refused.code(), Code::Unavailable | Code::DeadlineExceeded),
        "{refused}"
    );
    one.stop().await;
    two.stop().await;
}
