//! Levels of loggers: over gRPC and REST, for one replica and for the cluster; and what a replica measures.

use crate::agent::channel;
use crate::rest::{JSON, ask};
use crate::rig::{create, leads, start, until};
use dray_control::Control;
use dray_model::message::CallsHello;
use dray_store::MetadataStore;
use dray_store::mem::MemStore;
use dray_wire::admin::v1;
use dray_wire::admin::v1::logger_service_client::LoggerServiceClient;
use dray_wire::agent::v1::agent_call_service_client::AgentCallServiceClient;
use dray_wire::agent::v1::calls_request::Body;
use dray_wire::agent::v1::calls_response::Call;
use dray_wire::agent::v1::{CallsRequest, CallsResponse};
use std::sync::Arc;
use tokio::sync::mpsc;
use tonic::{Code, Streaming};

async fn set(
    control: &Control,
    name: &str,
    level: &str,
    scope: v1::LoggerScope,
) -> Result<v1::SetLoggerResponse, Code> {
    let request = v1::SetLoggerRequest {
        name: name.into(),
        level: level.into(),
        scope: scope.into(),
    };
    let mut client = LoggerServiceClient::new(channel(control.addresses[0]));
    let answer = client.set_logger(request).await;
    answer.map(tonic::Response::into_inner).map_err(|status| status.code())
}

/// The level of a logger at a replica.
async fn level(control: &Control, name: &str) -> Option<String> {
    let mut client = LoggerServiceClient::new(channel(control.addresses[0]));
    let answer = client
        .get_logger(v1::GetLoggerRequest { name: name.into() })
        .await
        .ok()?;
    Some(answer.into_inner().logger?.level)
}

async fn is(control: &Control, name: &str, expected: &str) {
    let end = tokio::time::Instant::now() + crate::rig::DEADLINE;
    while level(control, name).await.as_deref() != Some(expected) {
        assert!(tokio::time::Instant::now() < end, "{name} is not {expected} in time");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// The stream of calls of an agent, and what keeps it open.
async fn agent(control: &Control) -> (mpsc::Sender<CallsRequest>, Streaming<CallsResponse>) {
    let (requests, mut queue) = mpsc::channel::<CallsRequest>(4);
    let hello = CallsHello {
        agent: "a1".try_into().unwrap(),
        plugins: vec![],
    };
    let body = Some(Body::Hello(hello.into()));
    requests.send(CallsRequest { body }).await.unwrap();
    let mut client = AgentCallServiceClient::new(channel(control.addresses[0]));
    let stream = futures::stream::poll_fn(move |context| queue.poll_recv(context));
    (requests, client.calls(stream).await.unwrap().into_inner())
}

async fn told(calls: &mut Streaming<CallsResponse>) -> Vec<(String, String)> {
    let end = tokio::time::Instant::now() + crate::rig::DEADLINE;
    loop {
        // It is asked other things too.
        let call = tokio::time::timeout_at(end, calls.message()).await;
        if let Some(Call::SetLevels(call)) = call.expect("it is told in time").unwrap().unwrap().call {
            return call.levels.into_iter().map(|level| (level.name, level.level)).collect();
        }
    }
}

fn pairs(levels: &[(&str, &str)]) -> Vec<(String, String)> {
    levels
        .iter()
        .map(|(name, level)| ((*name).into(), (*level).into()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_reach_every_replica_and_agent() {
    use v1::LoggerScope::{Cluster, Worker};
    let store: Arc<dyn MetadataStore> = Arc::new(MemStore::default());
    let one = start(&store, "test", "one").await;
    until("one leads", || leads(&one, "one")).await;
    let two = start(&store, "test", "two").await;
    let changed = set(&two, "org.apache.kafka.connect.runtime.rest", "debug", Cluster)
        .await
        .unwrap();
    assert!(changed.revision > 0 && changed.names.is_empty());
    for replica in [&one, &two] {
        is(replica, "org.apache.kafka.connect.runtime.rest", "DEBUG").await;
    }
    let (_first, mut calls) = agent(&one).await;
    let first = [("org.apache.kafka.connect.runtime.rest", "DEBUG")];
    assert_eq!(told(&mut calls).await, pairs(&first), "what held before it came");
    set(&one, "dray.connector.c", "TRACE", Cluster).await.unwrap();
    assert_eq!(
        told(&mut calls).await,
        pairs(&[("dray.connector.c", "TRACE")]),
        "what is new"
    );
    // One replica's own level is nobody else's, and the cluster's next word counts again.
    let names = set(&one, "dray_rest", "ERROR", Worker).await.unwrap().names;
    assert_eq!(names, ["dray_rest"]);
    assert_eq!(level(&one, "dray_rest").await.as_deref(), Some("ERROR"));
    assert_eq!(level(&two, "dray_rest").await.as_deref(), Some("INFO"));
    set(&two, "dray_rest", "WARN", Cluster).await.unwrap();
    for replica in [&one, &two] {
        is(replica, "dray_rest", "WARN").await;
    }
    // A later replica and agent are told all of it, in its order.
    let three = start(&store, "test", "three").await;
    is(&three, "dray.connector.c", "TRACE").await;
    let (_second, mut later) = agent(&one).await;
    let all = [first[0], ("dray.connector.c", "TRACE"), ("dray_rest", "WARN")];
    assert_eq!(told(&mut later).await, pairs(&all));
    assert_eq!(set(&one, "x", "loud", Cluster).await, Err(Code::InvalidArgument));
    assert_eq!(set(&one, "", "INFO", Worker).await, Err(Code::InvalidArgument));
    assert_eq!(level(&one, "no.such").await, None);
    for control in [one, two, three] {
        control.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_has_them_as_connect_does() {
    let store: Arc<dyn MetadataStore> = Arc::new(MemStore::default());
    let one = start(&store, "test", "one").await;
    let address = one.addresses[0];
    let put = async |path: &str, body: &str| {
        let answer = ask(address, "PUT", path, JSON, body).await;
        (answer.status, answer.body)
    };
    let get = async |path: &str| {
        let answer = ask(address, "GET", path, "", "").await;
        (answer.status, answer.body)
    };
    let (status, all) = get("/admin/loggers").await;
    assert_eq!(status, 200);
    assert!(all.contains(r#""root":{"level":"INFO","last_modified":null}"#), "{all}");
    assert_eq!(
        get("/admin/loggers/ROOT").await,
        (200, r#"{"level":"INFO","last_modified":null}"#.into())
    );
    let text = r#"{"error_code":404,"message":"Logger no.such not found."}"#;
    assert_eq!(get("/admin/loggers/no.such").await, (404, text.into()));
    let path = "/admin/loggers/org.apache.kafka.connect.runtime.WorkerSink";
    let both = r#"["org.apache.kafka.connect.runtime.WorkerSink","org.apache.kafka.connect.runtime.WorkerSinkTask"]"#;
    assert_eq!(put(path, r#"{"level":"debug"}"#).await, (200, both.into()));
    let (_, all) = get("/admin/loggers").await;
    assert!(
        all.contains(r#""org.apache.kafka.connect.runtime.WorkerSink":{"level":"DEBUG","last_modified":1"#),
        "{all}"
    );
    assert_eq!(
        put("/admin/loggers/x?scope=CLUSTER", r#"{"level":"WARN"}"#).await,
        (204, String::new())
    );
    is(&one, "x", "WARN").await;
    let text = r#"{"error_code":404,"message":"invalid log level 'Loud'."}"#;
    assert_eq!(put(path, r#"{"level":"Loud"}"#).await, (404, text.into()));
    let text = r#"{"error_code":400,"message":"Desired 'level' parameter was not specified in request."}"#;
    assert_eq!(put(path, "{}").await, (400, text.into()));
    assert_eq!(ask(address, "DELETE", path, "", "").await.status, 405);
    one.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wanted_is_measured_also_when_nothing_runs() {
    let store: Arc<dyn MetadataStore> = Arc::new(MemStore::default());
    let one = start(&store, "test", "one").await;
    let address = one.addresses[0];
    until("it leads", || leads(&one, "one")).await;
    let look = async || {
        let answer = ask(
            address,
            "GET",
            "/metrics",
            "Accept: application/openmetrics-text\r\n",
            "",
        )
        .await;
        assert_eq!(answer.status, 200);
        assert!(
            answer
                .headers
                .contains("content-type: application/openmetrics-text; version=1.0.0"),
            "{}",
            answer.headers
        );
        answer.body
    };
    let empty = look().await;
    for line in [
        "dray_control_leads 1.0",
        "dray_connectors_wanted{state=\"started\"} 0.0",
        "dray_tasks_actual{state=\"failed\"} 0.0",
        "dray_agents{state=\"active\"} 0.0",
    ] {
        assert!(empty.lines().any(|other| other == line), "{line} in {empty}");
    }
    assert!(empty.ends_with("# EOF\n"));
    create(store.as_ref(), "test", "a \"b\"").await;
    let expected = "dray_connector_wanted{connector=\"a \\\"b\\\"\",state=\"started\"} 1.0";
    let end = tokio::time::Instant::now() + crate::rig::DEADLINE;
    let with = loop {
        let text = look().await;
        if text.contains(expected) && text.contains("dray_connectors_actual{state=\"unassigned\"} 1.0") {
            break text;
        }
        assert!(tokio::time::Instant::now() < end, "{text}");
    };
    assert!(with.contains("dray_connectors_wanted{state=\"started\"} 1.0"), "{with}");
    assert_eq!(ask(address, "POST", "/metrics", "", "").await.status, 405);
    one.stop().await;
}
