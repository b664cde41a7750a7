//! What a real registry does not do on demand.

use dray_connect::Error;
use dray_connect::schema::Schema;
use dray_connect::value::Value;

use super::stub::{Answer, Stub};
use super::{avro, read, topic, write};

const MESSAGE: &[u8] = &[0, 0, 0, 0, 5, 2, b'x'];
const FOUND: Answer = Some((200, r#"{"schema":"\"string\""}"#));
const VERSIONS: Answer = Some((200, r#"[{"subject":"t-value","version":1}]"#));

/// What becomes of a message, with so many tries.
async fn outcome(answers: Vec<Answer>, retries: &str) -> (Result<Value, Error>, Vec<String>) {
    let stub = Stub::start(answers);
    let mut converter = avro(&stub.url(), &[("max.retries", retries), ("retries.wait.ms", "1")]);
    let value = read(&mut *converter, "t", MESSAGE).await.map(|found| found.value);
    (value, stub.asked())
}

#[tokio::test]
async fn statuses_are_told_apart() {
    for (answer, class) in [
        (Some((500, r#"{"error_code":50001,"message":"store"}"#)), "Retriable"),
        (Some((503, "busy")), "Retriable"),
        (Some((429, "")), "Retriable"),
        (None, "Retriable"),
        (Some((200, "<html>")), "Retriable"),
        (
            Some((404, r#"{"error_code":40403,"message":"Schema not found"}"#)),
            "Data",
        ),
        (Some((422, r#"{"error_code":42201,"message":"bad"}"#)), "Data"),
        (Some((401, "no")), "Connect"),
        (Some((403, "no")), "Connect"),
        (Some((302, "")), "Connect"),
    ] {
        let (value, _) = outcome(vec![answer], "0").await;
        let error = value.unwrap_err();
        let found = format!("{error:?}");
        assert!(found.starts_with(class), "{answer:?}: {found}");
        if let Some((status, _)) = answer.filter(|(status, _)| *status != 200) {
            assert!(error.to_string().contains(&status.to_string()), "{error}");
        }
    }
    let (value, _) = outcome(
        vec![Some((404, r#"{"error_code":40403,"message":"Schema not found"}"#))],
        "0",
    )
    .await;
    assert!(
        value
            .unwrap_err()
            .to_string()
            .contains("error code 40403: Schema not found")
    );
    let protobuf = Some((200, r#"{"schema":"syntax = \"proto3\";","schemaType":"PROTOBUF"}"#));
    let (value, _) = outcome(vec![protobuf, VERSIONS], "0").await;
    assert!(
        value
            .unwrap_err()
            .to_string()
            .contains("of type PROTOBUF, and not AVRO")
    );
}

#[tokio::test]
async fn a_server_that_comes_back_is_waited_for() {
    let (value, asked) = outcome(vec![Some((500, "")), None, FOUND, VERSIONS], "2").await;
    assert_eq!(value.unwrap(), Value::from("x"));
    assert_eq!(asked.len(), 4);
    let (value, asked) = outcome(vec![Some((500, ""))], "2").await;
    assert!(value.unwrap_err().is_retriable());
    assert_eq!(asked.len(), 3);
}

#[tokio::test]
async fn a_refusal_counts_for_a_while() {
    let missing = Some((404, r#"{"error_code":40403,"message":"Schema not found"}"#));
    let schema = Schema::int32();
    for (key, value, expected) in [
        ("missing.id.cache.ttl.sec", None, [1, 2]),
        ("missing.id.cache.ttl.sec", Some("5"), [1, 1]),
        ("missing.id.cache.ttl.sec", Some("0"), [20, 40]),
        ("missing.schema.cache.ttl.sec", None, [1, 2]),
        ("missing.schema.cache.ttl.sec", Some("0"), [20, 40]),
    ] {
        let stub = Stub::start(vec![missing]);
        let more: Vec<_> = value.map(|value| (key, value)).into_iter().collect();
        // Who comes later hears of it as well.
        let mut converters = [avro(&stub.url(), &more), avro(&stub.url(), &more)];
        for expected in expected {
            for _ in 0..10 {
                for converter in &mut converters {
                    let error = if key == "missing.id.cache.ttl.sec" {
                        read(&mut **converter, "t", MESSAGE).await.unwrap_err()
                    } else {
                        let value = Value::Int32(1);
                        write(&mut **converter, "t", Some(&schema), &value).await.unwrap_err()
                    };
                    assert!(matches!(error, Error::Data(_)), "{error}");
                    assert!(error.to_string().contains("40403"), "{error}");
                }
            }
            assert_eq!(stub.asked().len(), expected, "{key} {value:?}");
            tokio::time::pause();
            tokio::time::advance(std::time::Duration::from_millis(1_500)).await;
            tokio::time::resume();
        }
    }
}

#[tokio::test]
async fn who_may_not_ask_is_refused_for_a_while_and_who_is_not_answered_asks_again() {
    for (answer, expected) in [((403, "no"), 1), ((503, "busy"), 10)] {
        let stub = Stub::start(vec![Some(answer)]);
        let mut converter = avro(&stub.url(), &[("max.retries", "0")]);
        for _ in 0..10 {
            read(&mut *converter, "t", MESSAGE).await.unwrap_err();
        }
        assert_eq!(stub.asked().len(), expected, "{answer:?}");
    }
}

#[tokio::test]
async fn many_tasks_ask_once() {
    let stub = Stub::start(vec![FOUND, VERSIONS, Some((500, ""))]);
    let tasks = (0..20).map(|_| {
        let url = stub.url();
        async move { read(&mut *avro(&url, &[]), "t", MESSAGE).await.unwrap().value }
    });
    let mut set = tokio::task::JoinSet::new();
    // One that holds the registry for all of them.
    let keeper = avro(&stub.url(), &[]);
    tasks.for_each(|task| drop(set.spawn(task)));
    assert_eq!(set.join_all().await, vec![Value::from("x"); 20]);
    assert_eq!(stub.asked().len(), 2, "{:?}", stub.asked());
    drop(keeper);
}

#[tokio::test]
async fn one_that_stops_waiting_does_not_stop_the_others() {
    let stub = Stub::start(vec![FOUND]);
    let (mut first, mut second) = (avro(&stub.url(), &[]), avro(&stub.url(), &[]));
    let topic = topic();
    // What was asked is asked to its end, though nobody waits for it.
    let mut batch = dray_connect::backing::Backing::default();
    dray_converters::to_connect_owned(&mut *first, &topic, Some(MESSAGE), &mut batch).unwrap_err();
    // Polled once, so that it has begun, and then forgotten.
    let mut lookup = first.lookup().unwrap();
    assert!(futures_poll_once(&mut lookup));
    drop(lookup);
    assert_eq!(
        read(&mut *second, &topic, MESSAGE).await.unwrap().value,
        Value::from("x")
    );
    assert_eq!(
        read(&mut *first, &topic, MESSAGE).await.unwrap().value,
        Value::from("x")
    );
}

/// Whether a future is still pending once it was polled.
fn futures_poll_once(future: &mut dray_converters::Lookup) -> bool {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    future.as_mut().poll(&mut context).is_pending()
}

#[tokio::test]
async fn who_asks_says_who_it_is() {
    for (more, expected) in [
        (
            vec![
                ("basic.auth.credentials.source", "USER_INFO"),
                ("basic.auth.user.info", "u:p"),
            ],
            "authorization: Basic dTpw",
        ),
        (
            vec![
                ("bearer.auth.credentials.source", "STATIC_TOKEN"),
                ("bearer.auth.token", "t"),
            ],
            "authorization: Bearer t",
        ),
        (vec![("request.header.X-Own", "y")], "x-own: y"),
    ] {
        let stub = Stub::start(vec![Some((200, r#"{"id":9}"#))]);
        let mut converter = avro(&stub.url(), &more);
        write(&mut *converter, "a b", Some(&Schema::int32()), &Value::Int32(1))
            .await
            .unwrap();
        let asked = stub.asked().join("\n");
        assert!(asked.contains(expected), "{asked}");
        assert!(
            asked.starts_with("POST /subjects/a%20b-value/versions?normalize=false "),
            "{asked}"
        );
    }
}

#[tokio::test]
async fn a_newest_schema_is_asked_for_again_in_its_time() {
    let latest = |id: i32| -> Answer {
        Some((
            200,
            if id == 1 {
                r#"{"id":1,"version":1,"schema":"\"int\""}"#
            } else {
                r#"{"id":2,"version":2,"schema":"\"long\""}"#
            },
        ))
    };
    let more = [("auto.register.schemas", "false"), ("use.latest.version", "true")];
    for (ttl, expected) in [("0", 2), ("-1", 1)] {
        let stub = Stub::start(vec![latest(1), latest(2)]);
        let mut converter = avro(&stub.url(), &[more[0], more[1], ("latest.cache.ttl.sec", ttl)]);
        let mut ids = Vec::new();
        for _ in 0..2 {
            let bytes = write(&mut *converter, "t", Some(&Schema::int32()), &Value::Int32(1))
                .await
                .unwrap()
                .unwrap();
            ids.push(super::id_of(&bytes));
        }
        assert_eq!(ids, [1, expected]);
    }
}

#[tokio::test]
async fn messages_without_an_id_are_errors_of_the_record() {
    let stub = Stub::start(vec![Some((500, ""))]);
    let mut converter = avro(&stub.url(), &[]);
    for bytes in [&b""[..], b"\0\0\0", b"{\"a\":1}", b"\x01\0\0\0\x01"] {
        let error = read(&mut *converter, "t", bytes).await.unwrap_err();
        assert!(matches!(error, Error::Data(_)), "{error}");
    }
    assert!(stub.asked().is_empty());
}
