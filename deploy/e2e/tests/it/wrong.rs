//! What cannot work says why, where operators look, and harms nobody.

use crate::cluster::{Cluster, sink};
use crate::process::{PATIENCE, Process, wait_until};
use crate::servers::{shared_broker, shared_etcd};
use crate::turn;
use dray_wire::agent::v1::agent_control_service_client::AgentControlServiceClient;
use dray_wire::agent::v1::{Capacity, Fenced, FencedWhy, Hello, SessionRequest, session_request, session_response};
use tonic::codegen::tokio_stream::{self, StreamExt as _};
use tonic::transport::Endpoint;

/// Waits for a word in the log of a process, and returns its line.
fn said(process: &Process, word: &str) -> String {
    let line = || {
        process
            .log()
            .lines()
            .find(|line| line.contains(word))
            .map(ToOwned::to_owned)
    };
    wait_until(
        PATIENCE,
        || line().is_some(),
        || format!("{word:?} is not said\n{}", process.tail()),
    );
    line().unwrap()
}

/// What the leader answers to an agent that speaks these protocols and no other: one that is newer than any process here.
async fn answer_to(cluster: &Cluster, protocols: (u32, u32)) -> Fenced {
    let hello = Hello {
        cluster: cluster.id.clone(),
        agent: format!("speaks-{}-to-{}", protocols.0, protocols.1),
        instance: vec![protocols.1 as u8; 16],
        software_version: "0".into(),
        protocol_min: protocols.0,
        protocol_max: protocols.1,
        worker_id: "127.0.0.1:1".into(),
        region: "here".into(),
        zone: "a".into(),
        capacity: Some(Capacity { slots: 1, cost: 1 }),
        ..Hello::default()
    };
    let said = SessionRequest {
        body: Some(session_request::Body::Hello(hello)),
    };
    let leader = Endpoint::from_shared(format!("http://{}", cluster.addresses[0])).unwrap();
    let mut client = AgentControlServiceClient::new(leader.connect_lazy());
    let stays_open = tokio_stream::once(said).chain(tokio_stream::pending());
    let mut answers = client.session(stays_open).await.unwrap().into_inner();
    let answer = tokio::time::timeout(PATIENCE, answers.message())
        .await
        .expect("in time");
    let Some(session_response::Body::Fenced(fenced)) = answer.unwrap().and_then(|answer| answer.body) else {
        panic!("it was not refused")
    };
    fenced
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_run_says_why() {
    let _turn = turn::shared().await;
    let cluster = Cluster::start(&shared_etcd(), &shared_broker(), 1, 1).await;
    let flows = cluster.create_flows(0, 1).await;
    cluster.wait_for_running(1, PATIENCE);
    let before = cluster.owners();
    let topic = flows.keys().next().unwrap();

    let mut unknown = sink(topic, &cluster.path("unknown.txt"));
    unknown[0].1 = "org.example.NobodySinkConnector".into();
    let mut picky = sink(topic, &cluster.path("picky.txt"));
    picky.push(("dray.placement.labels", "disk=ssd".into()));
    for (name, config, reason) in [
        ("unknown", unknown, "org.example.NobodySinkConnector"),
        ("picky", picky, "disk=ssd"),
    ] {
        let name = format!("{name}-{}", cluster.id);
        cluster.admin.create(&name, &config).await;
        cluster.wait(
            &format!("{name} is UNASSIGNED because of {reason}"),
            PATIENCE,
            |audit| {
                let tasks = audit.tasks();
                tasks
                    .get(&(name.clone(), None))
                    .is_some_and(|seen| seen.state == "UNASSIGNED" && seen.trace.contains(reason))
            },
        );
        println!("{}", cluster.audit.tasks()[&(name.clone(), None)].trace);
    }

    // More tasks than a connector may have: none of them is stored.
    let many = format!("many-{}", cluster.id);
    let config = [
        ("connector.class", "DatagenSource"),
        ("tasks.max", "16385"),
        ("tasks", "16385"),
        ("topic", "nothing-comes-here"),
    ];
    let config = config.map(|(key, value)| (key, value.to_owned()));
    cluster.admin.create(&many, &config).await;
    cluster.wait("too many tasks are refused", PATIENCE, |audit| {
        let seen = audit.tasks().remove(&(many.clone(), None));
        seen.is_some_and(|seen| {
            seen.state == "FAILED" && seen.trace.contains("16385 tasks, and a connector may have 16384")
        })
    });
    println!("{}", cluster.audit.tasks()[&(many.clone(), None)].trace);
    assert!(!cluster.audit.tasks().contains_key(&(many, Some(0))));

    // The same id from another folder: there is no proof that the first is dead, and it is not.
    let twin = cluster.agent("twin", "agent-1", &cluster.id, "");
    println!("{}", said(&twin, "agent-1"));
    let problem = || cluster.audit.agent("agent-1").and_then(|agent| agent.problem);
    cluster.wait("the duplicate is shown", PATIENCE, |_| {
        problem().is_some_and(|problem| !problem.is_empty())
    });
    println!("{problem:?}", problem = problem());

    let stranger = cluster.agent("stranger", "stranger", "another-cluster", "");
    println!("{}", said(&stranger, &cluster.id));
    // The control plane has no record of it, and says so in its log.
    println!("{}", said(&cluster.controls[0], "another-cluster"));
    assert!(
        !cluster.audit.agents().contains_key("stranger"),
        "it does not belong here"
    );

    // Those of today are numbered 1, and there is none before it.
    for protocols in [(2, 2), (2, 9)] {
        let fenced = answer_to(&cluster, protocols).await;
        assert_eq!(fenced.why, i32::from(FencedWhy::Protocol), "{fenced:?}");
        let (from, to) = protocols;
        assert!(fenced.detail.contains(&format!("{from} to {to}")), "{fenced:?}");
        println!("{}", said(&cluster.controls[0], &format!("speaks-{from}-to-{to}")));
    }

    let after = cluster.owners();
    assert!(
        before.iter().all(|(task, owner)| after[task] == *owner),
        "who runs goes on\n{}",
        cluster.report()
    );
    cluster.audit.check();
}
