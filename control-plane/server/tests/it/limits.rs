//! What clients may send, and how much they are answered.

use crate::agent::{CLASS, FakeAgent, channel};
use crate::rest::{JSON, ask, replica};
use dray_wire::admin::v1::CreateConnectorRequest;
use dray_wire::admin::v1::connector_service_client::ConnectorServiceClient;
use futures::future::join_all;
use serde_json::{Map, Value};
use tokio::task::JoinSet;

const CONNECTORS: usize = 10_000;
const CLIENTS: usize = 16;

/// Bytes as they stand in a path.
fn encoded(name: &str) -> String {
    name.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// What Connect allows is allowed: everything but control characters.
#[tokio::test]
async fn names_are_taken_as_they_are() {
    let (_store, control) = replica().await;
    let address = control.addresses[0];
    let _agent = FakeAgent::start("test", "a", vec![channel(address)], 1);
    let long = "x".repeat(249);
    // At once: each of them waits some seconds for somebody who could validate it.
    let taken = ["a/b", "100%", "a b", "ünïcode 🦀", "..", "a?b#c;d", &long].map(async |name| {
        let config = serde_json::json!({"name": name, "config": {"connector.class": CLASS}});
        let created = ask(address, "POST", "/connectors", JSON, &config.to_string()).await;
        assert_eq!(created.status, 201, "{name:?}: {}", created.body);
        let path = format!("/connectors/{}", encoded(name));
        let found = ask(address, "GET", &path, "", "").await;
        let found: Value = serde_json::from_str(&found.body).unwrap();
        assert_eq!(found["name"], name);
        assert_eq!(ask(address, "DELETE", &path, "", "").await.status, 204);
    });
    join_all(taken).await;
    let refused = ["a\u{7}b", "a\nb", "\u{0}"].map(async |name| {
        let config = serde_json::json!({"name": name, "config": {"connector.class": CLASS}});
        let refused = ask(address, "POST", "/connectors", JSON, &config.to_string()).await;
        assert_eq!(refused.status, 400, "{name:?}: {}", refused.body);
    });
    join_all(refused).await;
    control.stop().await;
}

#[tokio::test]
async fn a_body_may_not_be_nested_without_end() {
    let (_store, control) = replica().await;
    let address = control.addresses[0];
    for depth in [1_000, 1_000_000] {
        for open in ["[", r#"{"a":"#] {
            let refused = ask(address, "POST", "/connectors", JSON, &open.repeat(depth / open.len())).await;
            assert_eq!(refused.status, 500, "{}", refused.body);
            let error: Value = serde_json::from_str(&refused.body).unwrap();
            assert_eq!(error["error_code"], 500);
        }
    }
    assert_eq!(ask(address, "GET", "/connectors", "", "").await.body, "[]");
    control.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connectors_are_listed() {
    let (_store, control) = replica().await;
    let address = control.addresses[0];
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let mut service = ConnectorServiceClient::new(channel(address));
        clients.spawn(async move {
            for number in (client..CONNECTORS).step_by(CLIENTS) {
                let request = CreateConnectorRequest {
                    name: format!("c{number}"),
                    config: [("connector.class".into(), CLASS.into())].into(),
                    skip_validation: true, // nobody is there who could
                    ..Default::default()
                };
                service.create_connector(request).await.unwrap();
            }
        });
    }
    while let Some(done) = clients.join_next().await {
        done.unwrap();
    }
    let names = ask(address, "GET", "/connectors", "", "").await;
    let names: Vec<String> = serde_json::from_str(&names.body).unwrap();
    assert_eq!(names.len(), CONNECTORS);
    let all = ask(address, "GET", "/connectors?expand=info&expand=status", "", "").await;
    let all: Map<String, Value> = serde_json::from_str(&all.body).unwrap();
    assert_eq!(all.len(), CONNECTORS);
    assert!(names.iter().all(|name| all[name]["info"]["name"] == **name));
    control.stop().await;
}
