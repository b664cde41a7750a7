//! Typed calls: an agent answers on its stream of calls, the leader asks it, and the other replicas ask the leader.

use crate::agent::{CLASS, channel};
use crate::rig::{leads, start, until};
use dray_control::Control;
use dray_model::message::{CallsHello, Plugin, PluginKind};
use dray_store::MetadataStore;
use dray_store::mem::MemStore;
use dray_wire::admin::v1;
use dray_wire::admin::v1::cluster_service_client::ClusterServiceClient;
use dray_wire::admin::v1::connector_service_client::ConnectorServiceClient;
use dray_wire::admin::v1::letter_service_client::LetterServiceClient;
use dray_wire::admin::v1::offset_service_client::OffsetServiceClient;
use dray_wire::admin::v1::plugin_service_client::PluginServiceClient;
use dray_wire::admin::v1::preview_service_client::PreviewServiceClient;
use dray_wire::agent::v1::agent_call_service_client::AgentCallServiceClient;
use dray_wire::agent::v1::call_answer::Result as Answer;
use dray_wire::agent::v1::calls_request::Body;
use dray_wire::agent::v1::calls_response::Call;
use dray_wire::agent::v1::{
    ActiveTopicsResult, CallAnswer, CallError, CallErrorKind, CallsRequest, CallsResponse, ConnectorTopics,
    KafkaClusterResult, LettersDroppedResult, LettersReplayedResult, LettersResult, PluginConfigResult, PreviewResult,
};
use dray_wire::plugin::v1::{ConfigEntry, ConfigInfo, ConfigInfos, ConfigKey, ConfigValue, LetterBounds, LetterPlace};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Streaming};
use tonic_types::StatusExt as _;

fn wrong(key: &str, errors: &[&str]) -> ConfigInfo {
    ConfigInfo {
        definition: None,
        value: Some(ConfigValue {
            name: key.into(),
            errors: errors.iter().map(ToString::to_string).collect(),
            ..ConfigValue::default()
        }),
    }
}

/// The stream of an agent that is asked, and what it answers on.
pub(crate) async fn calls(control: &Control) -> (mpsc::Sender<CallsRequest>, Streaming<CallsResponse>) {
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
    (requests, client.calls(stream).await.unwrap().into_inner())
}

/// An agent that knows one plugin, and refuses one configuration.
async fn answers(control: &Control, described: Arc<AtomicUsize>) -> JoinSet<()> {
    answers_with(control, described, Arc::default()).await
}

/// What such an agent has to say of topics, once.
type News = Arc<tokio::sync::Mutex<Option<Vec<ConnectorTopics>>>>;

async fn answers_with(control: &Control, described: Arc<AtomicUsize>, news: News) -> JoinSet<()> {
    let (requests, mut calls) = calls(control).await;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut waiting = JoinSet::new();
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
                Call::Validate(asked) if asked.config.iter().any(|entry| entry.name == "right") => {
                    Answer::Validated(ConfigInfos::default())
                }
                Call::Validate(_) => Answer::Validated(ConfigInfos {
                    error_count: 3,
                    configs: vec![wrong("a", &["one", "two"]), wrong("c", &[]), wrong("b", &["three"])],
                    ..ConfigInfos::default()
                }),
                Call::ReadOffsets(_) | Call::AlterOffsets(_) | Call::SetLevels(_) => {
                    unreachable!("there is no connector, and no level")
                }
                Call::Letters(asked) => Answer::Letters(LettersResult {
                    topic: format!("letters-{}-{}", asked.count, asked.config["tasks.max"]),
                    ..LettersResult::default()
                }),
                Call::ReplayLetters(asked) => Answer::Replayed(LettersReplayedResult {
                    next: asked.from.unwrap().offset + i64::from(asked.count),
                    ..LettersReplayedResult::default()
                }),
                Call::DropLetters(asked) => Answer::Dropped(LettersDroppedResult {
                    bounds: vec![LetterBounds {
                        first: asked.before[0].offset,
                        ..LetterBounds::default()
                    }],
                }),
                // As much of the call as fits into a note.
                Call::Preview(asked) => Answer::Preview(PreviewResult {
                    records: asked.lines,
                    note: format!(
                        "{} {} {} {}",
                        asked.connector, asked.config["name"], asked.records, asked.wait_ms
                    ),
                }),
                Call::KafkaCluster(_) => Answer::KafkaCluster(KafkaClusterResult { id: "kafka-1".into() }),
                Call::ActiveTopics(asked) => match news.lock().await.take() {
                    Some(connectors) => Answer::ActiveTopics(ActiveTopicsResult {
                        number: asked.stored + 1,
                        connectors,
                    }),
                    // It waits for news, and nobody for it.
                    None => {
                        let (requests, news, id) = (requests.clone(), news.clone(), call.id);
                        waiting.spawn(async move {
                            let connectors = loop {
                                if let Some(connectors) = news.lock().await.take() {
                                    break connectors;
                                }
                                tokio::time::sleep(Duration::from_millis(20)).await;
                            };
                            let number = asked.stored + 1;
                            let result = Some(Answer::ActiveTopics(ActiveTopicsResult { number, connectors }));
                            let body = Some(Body::Answer(CallAnswer { id, result }));
                            drop(requests.send(CallsRequest { body }).await);
                        });
                        continue;
                    }
                },
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

    // What an agent finds wrong is not stored, unless nobody is to be asked.
    let mut connectors = ConnectorServiceClient::new(channel(two.addresses[0]));
    let mut new = v1::CreateConnectorRequest {
        name: "checked".into(),
        config: [("connector.class".into(), CLASS.into())].into(),
        ..Default::default()
    };
    let refused = connectors.create_connector(new.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(
        refused.message(),
        "Connector configuration is invalid and contains the following 3 error(s):\none\ntwo\nthree"
    );
    let fields = refused.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<&str> = fields.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["config[a]", "config[a]", "config[b]"]);
    new.skip_validation = true;
    connectors.create_connector(new.clone()).await.unwrap();
    let mut change = v1::UpdateConnectorConfigRequest {
        name: new.name,
        config: [
            ("connector.class".into(), CLASS.into()),
            ("tasks.max".into(), "2".into()),
        ]
        .into(),
        ..Default::default()
    };
    let refused = connectors.update_connector_config(change.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    change.skip_validation = true;
    connectors.update_connector_config(change).await.unwrap();

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

    let mut letters = LetterServiceClient::new(channel(two.addresses[0]));
    let mut list = v1::ListLettersRequest {
        connector: "c".into(),
        count: 3,
        from: None,
    };
    let nobody = letters.list_letters(list.clone()).await.unwrap_err();
    assert_eq!(nobody.code(), Code::NotFound);
    list.connector = "checked".into();
    let found = letters.list_letters(list).await.unwrap().into_inner();
    assert_eq!(found.topic, "letters-3-2", "the configuration goes along");
    let place = Some(LetterPlace {
        partition: 0,
        offset: 7,
    });
    let mut replay = v1::ReplayLettersRequest {
        connector: "checked".into(),
        from: place,
        count: 5,
        to: None,
    };
    let done = letters.replay_letters(replay.clone()).await.unwrap().into_inner();
    assert_eq!(done.next, 12);
    replay.from = None;
    let unsaid = letters.replay_letters(replay).await.unwrap_err();
    assert_eq!(unsaid.code(), Code::InvalidArgument);
    let mut drop_them = v1::DropLettersRequest {
        connector: "checked".into(),
        before: place.into_iter().collect(),
    };
    let left = letters.drop_letters(drop_them.clone()).await.unwrap().into_inner();
    assert_eq!(left.bounds[0].first, 7);
    drop_them.before.clear();
    let unsaid = letters.drop_letters(drop_them).await.unwrap_err();
    assert_eq!(unsaid.code(), Code::InvalidArgument);

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

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_is_one_agents_answer_to_a_right_configuration() {
    let store: Arc<dyn MetadataStore> = Arc::new(MemStore::default());
    let one = start(&store, "test", "one").await;
    until("one leads", || leads(&one, "one")).await;
    let two = start(&store, "test", "two").await;
    let ask = |config: &[(&str, &str)]| v1::PreviewConnectorRequest {
        name: "c".into(),
        config: config
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
        lines: vec!["{\"value\":1}".into()],
        ..Default::default()
    };
    let right = [("connector.class", CLASS), ("right", "")];
    let mut previews = [&one, &two].map(|replica| PreviewServiceClient::new(channel(replica.addresses[0])));
    let nobody = previews[1].preview_connector(ask(&right)).await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unavailable, "{nobody}");

    let _agent = answers(&one, Arc::default()).await;
    for client in &mut previews {
        let seen = client.preview_connector(ask(&right)).await.unwrap().into_inner();
        assert_eq!(seen.records, ["{\"value\":1}"]);
        assert_eq!(seen.note, "c c 10 5000", "its name is in its configuration");
        let refused = client.preview_connector(ask(&right[..1])).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument);
        let expected = "Connector configuration is invalid and contains the following 3 error(s):\none\ntwo\nthree";
        assert_eq!(refused.message(), expected);
        let many = v1::PreviewConnectorRequest {
            records: 101,
            ..ask(&right)
        };
        let refused = client.preview_connector(many).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    // Nothing is stored by it.
    let mut connectors = ConnectorServiceClient::new(channel(two.addresses[0]));
    let get = v1::GetConnectorRequest {
        name: "c".into(),
        ..Default::default()
    };
    assert_eq!(connectors.get_connector(get).await.unwrap_err().code(), Code::NotFound);
    two.stop().await;
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_and_the_kafka_cluster_reach_every_replica() {
    let store: Arc<dyn MetadataStore> = Arc::new(MemStore::default());
    let one = start(&store, "test", "one").await;
    until("one leads", || leads(&one, "one")).await;
    let two = start(&store, "test", "two").await;
    let news = News::default();
    let _agent = answers_with(&one, Arc::default(), news.clone()).await;
    let mut clients = [&one, &two].map(|replica| ConnectorServiceClient::new(channel(replica.addresses[0])));
    let created = v1::CreateConnectorRequest {
        name: "c".into(),
        config: [("connector.class".to_owned(), CLASS.to_owned())].into(),
        target: v1::TargetState::Stopped.into(),
        skip_validation: true,
    };
    let created = clients[1].create_connector(created).await.unwrap().into_inner();
    let used = ConnectorTopics {
        connector: "c".into(),
        uid: created.connector.unwrap().uid,
        topics: vec!["b".into(), "a".into()],
    };
    *news.lock().await = Some(vec![used.clone()]);
    let get = || v1::GetActiveTopicsRequest {
        consistency: None,
        name: "c".into(),
    };
    for client in &mut clients {
        until_topics(client, &["a", "b"]).await;
    }
    let mut cluster = ClusterServiceClient::new(channel(two.addresses[0]));
    let found = cluster.get_cluster(v1::GetClusterRequest::default()).await.unwrap();
    assert_eq!(found.into_inner().kafka_cluster_id, "kafka-1");

    // Forgotten everywhere; there again when they are used again; gone with the connector.
    let reset = v1::ResetActiveTopicsRequest { name: "c".into() };
    let revision = clients[1]
        .reset_active_topics(reset)
        .await
        .unwrap()
        .into_inner()
        .revision;
    let mut after = get();
    after.consistency = Some(v1::Consistency {
        min_revision: revision,
        linearizable: false,
    });
    let found = clients[0].get_active_topics(after).await.unwrap().into_inner();
    assert_eq!(found.topics, [""; 0]);
    *news.lock().await = Some(vec![used.clone()]);
    until_topics(&mut clients[0], &["a", "b"]).await;
    let deleted = v1::DeleteConnectorRequest {
        name: "c".into(),
        expected_revision: 0,
    };
    clients[0].delete_connector(deleted).await.unwrap();
    until("it is gone", || {
        one.cache().now().spec(&"c".try_into().unwrap()).is_none()
    })
    .await;
    assert!(one.cache().now().topics(&"c".try_into().unwrap()).is_none());
    let unknown = clients[0].get_active_topics(get()).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound);
    // What was on its way comes too late.
    *news.lock().await = Some(vec![used]);
    until("it was heard", || news.try_lock().is_ok_and(|news| news.is_none())).await;
    assert!(one.cache().now().topics(&"c".try_into().unwrap()).is_none());
    two.stop().await;
    one.stop().await;
}

async fn until_topics(client: &mut ConnectorServiceClient<Channel>, topics: &[&str]) {
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let request = v1::GetActiveTopicsRequest {
            consistency: None,
            name: "c".into(),
        };
        let found = client
            .get_active_topics(request)
            .await
            .map(|found| found.into_inner().topics);
        if found.as_ref().is_ok_and(|found| found == topics) {
            return;
        }
        assert!(tokio::time::Instant::now() < end, "{found:?} is not {topics:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
