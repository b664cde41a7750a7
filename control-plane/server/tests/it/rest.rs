//! Kafka Connect's REST API, on the port of gRPC.

use crate::agent::{CLASS, FakeAgent, channel};
use crate::rig::{is_running, leads, start, until};
use dray_control::Control;
use dray_store::MetadataStore;
use dray_store::mem::MemStore;
use dray_wire::admin::v1;
use dray_wire::admin::v1::connector_service_client::ConnectorServiceClient;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// An answer: its status, its headers as they came, its body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

/// Sends one request, by hand: what is on the wire is what is tested.
pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let length = match headers.contains("Content-Length") {
        true => String::new(),
        false => format!("Content-Length: {}\r\n", body.len()),
    };
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{length}{headers}\r\n{body}");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server that refuses a request may close before it has read all of it, which resets the connection behind its answer.
    let end = stream.read_to_end(&mut answer).await;
    assert!(end.is_ok() || !answer.is_empty(), "{end:?}");
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let (first, headers) = head.split_once("\r\n").unwrap();
    Answer {
        status: first.split(' ').nth(1).unwrap().parse().unwrap(),
        headers: headers.to_ascii_lowercase(),
        body: body.into(),
    }
}

pub(crate) const JSON: &str = "Content-Type: application/json\r\n";

pub(crate) async fn replica() -> (Arc<dyn MetadataStore>, Control) {
    let store: Arc<dyn MetadataStore> = Arc::new(MemStore::default());
    let control = start(&store, "test", "one").await;
    until("it leads", || leads(&control, "one")).await;
    (store, control)
}

#[tokio::test]
async fn a_connector_from_its_creation_to_its_end() {
    let (_store, control) = replica().await;
    let address = control.addresses[0];
    let _agent = FakeAgent::start("test", "a", vec![channel(address)], 2);
    let config = format!(r#"{{"connector.class":"{CLASS}","tasks.max":2}}"#);

    let created = ask(
        address,
        "POST",
        "/connectors",
        JSON,
        &format!(r#"{{"name":" c ","config":{config}}}"#),
    )
    .await;
    assert_eq!(created.status, 201, "{}", created.body);
    assert!(
        created
            .headers
            .contains(&format!("location: http://{address}/connectors/c")),
        "{}",
        created.headers
    );
    until("it runs", || is_running(&control, "c", 2)).await;

    // What is written over REST is what gRPC shows, on the same port.
    let mut grpc = ConnectorServiceClient::new(channel(address));
    let request = v1::GetConnectorRequest {
        consistency: None,
        name: "c".into(),
    };
    let seen = grpc
        .get_connector(request)
        .await
        .unwrap()
        .into_inner()
        .connector
        .unwrap();
    assert_eq!(seen.config["tasks.max"], "2");

    let status = ask(address, "GET", "/connectors/c/status", "", "").await.body;
    assert!(
        status.starts_with(r#"{"name":"c","connector":{"state":"RUNNING","worker_id":""#),
        "{status}"
    );
    let again = ask(
        address,
        "POST",
        "/connectors",
        JSON,
        &format!(r#"{{"name":"c","config":{config}}}"#),
    )
    .await;
    assert_eq!(
        (again.status, again.body.as_str()),
        (409, r#"{"error_code":409,"message":"Connector c already exists"}"#)
    );

    assert_eq!(ask(address, "DELETE", "/connectors/c", "", "").await.status, 204);
    // It is gone at once for those who ask, whatever its tasks still do; and its name is free.
    let gone = ask(address, "GET", "/connectors/c", "", "").await;
    assert_eq!(
        (gone.status, gone.body.as_str()),
        (404, r#"{"error_code":404,"message":"Connector c not found"}"#)
    );
    let anew = ask(address, "PUT", "/connectors/c/config", JSON, &config).await;
    assert_eq!(anew.status, 201, "{}", anew.body);
    control.stop().await;
}

#[tokio::test]
async fn no_change_is_lost_and_an_old_one_is_refused() {
    let (_store, control) = replica().await;
    let address = control.addresses[0];
    let config = format!(r#"{{"connector.class":"{CLASS}"}}"#);
    assert_eq!(
        ask(address, "PUT", "/connectors/c/config", JSON, &config).await.status,
        201
    );
    let read = ask(address, "GET", "/connectors/c/config", "", "").await;
    let tag = read
        .headers
        .lines()
        .find_map(|line| line.strip_prefix("etag: "))
        .unwrap()
        .to_owned();

    let patches = (0..8).map(|number| {
        let patch = format!(r#"{{"key.{number}":"x"}}"#);
        async move { ask(address, "PATCH", "/connectors/c/config", JSON, &patch).await.status }
    });
    assert_eq!(futures::future::join_all(patches).await, [200; 8]);
    let all = ask(address, "GET", "/connectors/c/config", "", "").await.body;
    assert_eq!(
        (0..8).filter(|number| all.contains(&format!("key.{number}"))).count(),
        8,
        "{all}"
    );

    let old = ask(
        address,
        "PUT",
        "/connectors/c/config",
        &format!("{JSON}If-Match: {tag}\r\n"),
        &config,
    )
    .await;
    assert_eq!(old.status, 412, "{}", old.body);
    control.stop().await;
}

#[tokio::test]
async fn limits_are_told_in_json() {
    let (_store, control) = replica().await;
    let address = control.addresses[0];
    let long = "x".repeat(9_000);
    for (method, path, headers, status, text) in [
        (
            "GET",
            "/connectors",
            format!("X-Long: {long}\r\n"),
            431,
            "HTTP 431 Request Header Fields Too Large",
        ),
        ("GET", &*format!("/{long}"), String::new(), 414, "HTTP 414 URI Too Long"),
        (
            "POST",
            "/connectors",
            format!("{JSON}Content-Length: 4194305\r\n"),
            413,
            "HTTP 413 Payload Too Large",
        ),
    ] {
        let answer = ask(address, method, path, &headers, "").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.body, format!(r#"{{"error_code":{status},"message":"{text}"}}"#));
        assert!(
            answer.headers.contains("content-type: application/json"),
            "{}",
            answer.headers
        );
    }
    control.stop().await;
}

#[tokio::test]
async fn agents_are_shown_and_told_what_to_take() {
    let (_store, control) = replica().await;
    let address = control.addresses[0];
    let _agent = FakeAgent::start("test", "a", vec![channel(address)], 2);
    let config = format!(r#"{{"name":"c","config":{{"connector.class":"{CLASS}","tasks.max":2}}}}"#);
    let created = ask(address, "POST", "/connectors?wait=60", JSON, &config).await;
    assert_eq!(created.status, 201, "{}", created.body);
    assert!(is_running(&control, "c", 2), "the answer came before it ran");
    let agents = ask(address, "GET", "/dray/v1/agents", "", "").await.body;
    assert!(
        agents.starts_with(r#"[{"id":"a","#) && agents.contains(r#""policy":"ACTIVE""#),
        "{agents}"
    );
    for (verb, policy) in [("cordon", "CORDONED"), ("uncordon", "ACTIVE"), ("drain", "DRAINING")] {
        let told = ask(address, "PUT", &format!("/dray/v1/agents/a/{verb}"), "", "").await;
        assert_eq!(told.status, 202, "{}", told.body);
        assert!(told.body.contains(&format!(r#""policy":"{policy}""#)), "{}", told.body);
    }
    let unknown = ask(address, "PUT", "/dray/v1/agents/b/cordon", "", "").await;
    assert_eq!(
        (unknown.status, unknown.body.as_str()),
        (404, r#"{"error_code":404,"message":"Agent b not found"}"#)
    );
    let wrong = ask(address, "PUT", "/connectors/c/pause?wait=soon", "", "").await;
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    let late = ask(address, "PUT", "/connectors/c/resume?wait=0", "", "").await;
    assert!(late.status == 202 || late.status == 504, "{}", late.body);
    control.stop().await;
}
