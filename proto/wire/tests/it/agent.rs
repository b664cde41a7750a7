//! The protocol of agents.

use crate::given;
use dray_model::message::{FencedWhy, FromAgent, Order, ToAgent, WriterOpened};
use dray_wire::agent::v1;
use dray_wire::agent::v1::session_request::Body;
use proptest::prelude::*;
use prost::Message;

proptest! {
    #[test]
    fn what_an_agent_says_arrives(message in given::from_agent()) {
        let bytes = v1::SessionRequest::from(message.clone()).encode_to_vec();
        let wire = v1::SessionRequest::decode(bytes.as_slice()).unwrap();
        prop_assert_eq!(FromAgent::try_from(wire), Ok(message));
    }

    #[test]
    fn what_a_leader_says_arrives(message in given::to_agent()) {
        let bytes = v1::SessionResponse::from(message.clone()).encode_to_vec();
        let wire = v1::SessionResponse::decode(bytes.as_slice()).unwrap();
        prop_assert_eq!(ToAgent::try_from(wire), Ok(message));
    }

    /// Bytes that are nearly a message reach further than any bytes do.
    #[test]
    fn no_bytes_are_too_much(
        message in given::from_agent(),
        order in given::to_agent(),
        at in any::<prop::sample::Index>(),
        bytes in proptest::collection::vec(any::<u8>(), 0..9),
    ) {
        let messages = [v1::SessionRequest::from(message).encode_to_vec(), v1::SessionResponse::from(order).encode_to_vec()];
        for mut near in messages {
            let at = at.index(near.len() + 1);
            near.splice(at..(at + bytes.len()).min(near.len()), bytes.iter().copied());
            for bytes in [&near, &bytes] {
                drop(v1::SessionRequest::decode(bytes.as_slice()).map(FromAgent::try_from));
                drop(v1::SessionResponse::decode(bytes.as_slice()).map(ToAgent::try_from));
            }
        }
    }
}

/// A Hello that is legal, to spoil.
fn hello() -> v1::Hello {
    v1::Hello {
        cluster: "connect".into(),
        agent: "a-0".into(),
        instance: vec![1; 16],
        protocol_min: 1,
        protocol_max: 1,
        worker_id: "a-0:8083".into(),
        region: "r".into(),
        zone: "z".into(),
        capacity: Some(v1::Capacity { slots: 1, cost: 1 }),
        plugins: vec![plugin(v1::PluginKind::Source as i32)],
        held: vec![v1::Held {
            owned: Some(owned()),
            stopping: false,
            asked_restarts: Some(1),
        }],
        ..Default::default()
    }
}

fn plugin(kind: i32) -> v1::Plugin {
    v1::Plugin {
        class: "io.dray.Datagen".into(),
        version: "1".into(),
        kind,
    }
}

fn owned() -> v1::Owned {
    v1::Owned {
        connector_uid: 1,
        task: 0,
        generation: 1,
    }
}

fn read(body: Body) -> Result<FromAgent, String> {
    FromAgent::try_from(v1::SessionRequest { body: Some(body) }).map_err(|invalid| invalid.to_string())
}

type Spoil = fn(&mut v1::Hello);

#[test]
fn what_is_not_legal_is_named() {
    assert!(read(Body::Hello(hello())).is_ok());
    let spoil: [(Spoil, &str); 16] = [
        (
            |h| h.agent.clear(),
            "hello.agent: the id of an agent may not be empty, longer than 255 bytes or contain control characters, but \"\" was given",
        ),
        (
            |h| h.instance = vec![1; 15],
            "hello.instance: has 15 bytes instead of 16",
        ),
        (
            |h| h.previous_instance = vec![1],
            "hello.previous_instance: has 1 bytes instead of 16",
        ),
        (|h| h.protocol_min = 2, "hello.protocol_max: is below protocol_min"),
        (
            |h| h.protocol_min = 0,
            "hello.protocol_min: protocols are numbered from 1",
        ),
        (|h| h.capacity = None, "hello.capacity: is missing"),
        (
            |h| h.capacity = Some(v1::Capacity { slots: 1, cost: 0 }),
            "hello.capacity.cost: a cost is at least 1 unit",
        ),
        (
            |h| h.worker_id = "x".repeat(256),
            "hello.worker_id: has 256 bytes, and 255 is the most",
        ),
        (
            |h| h.cluster = "x".repeat(256),
            "hello.cluster: has 256 bytes, and 255 is the most",
        ),
        (
            |h| h.labels = (0..257).map(|n: u32| (n.to_string(), String::new())).collect(),
            "hello.labels: has 257 labels, and 256 is the most",
        ),
        (
            |h| h.labels = [("x".repeat(256), String::new())].into(),
            "hello.labels: has 256 bytes in one key or value, and 255 is the most",
        ),
        (
            |h| h.plugins = vec![plugin(1); 4_097],
            "hello.plugins: has 4097 plugins, and 4096 is the most",
        ),
        (|h| h.plugins[0].kind = 0, "hello.plugins[0].kind: is not given"),
        (
            |h| h.held = vec![v1::Held::default(); 65_537],
            "hello.held: has 65537 tasks, and 65536 is the most",
        ),
        (|h| h.held[0].owned = None, "hello.held[0].owned: is missing"),
        (
            |h| {
                h.held[0].owned = Some(v1::Owned {
                    task: 16_384,
                    ..owned()
                });
            },
            "hello.held[0].owned.task: 16384 is neither below 16384 nor the instance",
        ),
    ];
    for (spoil, problem) in spoil {
        let mut hello = hello();
        spoil(&mut hello);
        assert_eq!(read(Body::Hello(hello)).unwrap_err(), problem);
    }
}

#[test]
fn reports_and_task_configs_have_limits() {
    let report = |trace: usize, state| {
        read(Body::TaskEvents(v1::TaskEvents {
            events: vec![v1::TaskReport {
                owned: Some(owned()),
                state,
                trace: Some("x".repeat(trace)),
                ..Default::default()
            }],
        }))
    };
    assert!(report(8_192, 1).is_ok());
    assert_eq!(
        report(8_193, 1).unwrap_err(),
        "task_events.events[0].trace: has 8193 bytes, and 8192 is the most"
    );
    assert_eq!(
        report(1, 99).unwrap_err(),
        "task_events.events[0].state: 99 is not a value that this version knows"
    );
    let configs = |tasks| {
        read(Body::TaskConfigs(v1::TaskConfigs {
            instance: Some(owned()),
            config_version: 1,
            tasks: vec![v1::ConfigDiff::default(); tasks],
        }))
    };
    assert!(configs(16_384).is_ok());
    assert_eq!(
        configs(16_385).unwrap_err(),
        "task_configs.tasks: has 16385 tasks, and 16384 is the most"
    );
}

#[test]
fn a_newer_peer_is_read_where_that_is_safe() {
    let mut newer = hello();
    newer.plugins.insert(0, plugin(99));
    let FromAgent::Hello(read) = read(Body::Hello(newer)).unwrap() else {
        panic!("not a hello");
    };
    assert_eq!(read.plugins.len(), 1, "only the plugin whose kind is known");

    // Field 99 of a request, which an older leader takes for a request without a body.
    let unknown = v1::SessionRequest::decode([0x9A, 0x06, 0x00].as_slice()).unwrap();
    let problem = FromAgent::try_from(unknown).unwrap_err().to_string();
    assert_eq!(problem, "body: is nothing that this version knows");

    let fenced = ToAgent::try_from(v1::SessionResponse {
        term: 1,
        body: Some(v1::session_response::Body::Fenced(v1::Fenced {
            why: 99,
            detail: "newer".into(),
            retry_after: Some(prost_types::Duration::default()),
        })),
    });
    let Order::Fenced(fenced) = fenced.unwrap().body else {
        panic!("not fenced");
    };
    assert_eq!(fenced.why, FencedWhy::DeclaredDead);
}

#[test]
fn durations_are_whole_milliseconds() {
    let lease = |seconds, nanos| {
        let intent = v1::LeaveIntent {
            expect_back: Some(prost_types::Duration { seconds, nanos }),
        };
        match read(Body::LeaveIntent(intent)) {
            Ok(FromAgent::LeaveIntent(intent)) => intent.expect_back_ms,
            Ok(_) => panic!("not an intent"),
            Err(problem) => {
                assert!(problem.starts_with("leave_intent.expect_back: "), "{problem}");
                None
            }
        }
    };
    assert_eq!(lease(1, 500_000_000), Some(1_500));
    assert_eq!(lease(4_294_967, 295_000_000), Some(u32::MAX));
    for (seconds, nanos) in [
        (4_294_967, 296_000_000),
        (i64::MAX, 0),
        (-1, 0),
        (0, -1_000_000),
        (0, 1),
        (1, 1_000_000_000),
    ] {
        assert_eq!(lease(seconds, nanos), None, "{seconds} s {nanos} ns");
    }
}

#[test]
fn texts_for_people_are_cut_when_they_are_sent() {
    let opened = FromAgent::WriterOpened(WriterOpened {
        cluster: "kafka".try_into().unwrap(),
        refused: Some(format!("x{}", "é".repeat(9_000))),
    });
    let Ok(FromAgent::WriterOpened(read)) = FromAgent::try_from(v1::SessionRequest::from(opened)) else {
        panic!("it was cut to what is legal");
    };
    assert_eq!(read.refused.unwrap().len(), 8_191, "between characters");
}
