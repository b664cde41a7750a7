//! What a stream is told when something is wrong with it, or with where it went.

use crate::agent::channel;
use crate::rig::{DEADLINE, leads, start, until};
use dray_model::message::{FromAgent, Heartbeat, Order, ToAgent};
use dray_store::MetadataStore;
use dray_store::mem::MemStore;
use dray_wire::agent::v1::agent_control_service_client::AgentControlServiceClient;
use dray_wire::agent::v1::{SessionRequest, SessionResponse, session_request};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::time::timeout;
use tonic::{Code, Status};

/// Says these, and waits for the first answer.
async fn first_answer(address: SocketAddr, says: Vec<SessionRequest>) -> Result<Option<SessionResponse>, Status> {
    let (requests, mut queue) = tokio::sync::mpsc::channel(8);
    for request in says {
        requests.send(request).await.unwrap();
    }
    let stream = futures::stream::poll_fn(move |context| queue.poll_recv(context));
    let mut client = AgentControlServiceClient::new(channel(address));
    let answer = client.session(stream).await?.into_inner().message().await;
    drop(requests);
    answer
}

fn heartbeat() -> SessionRequest {
    let beat = Heartbeat {
        seq: 1,
        changed: vec![],
        cpu_millis: 0,
        memory_bytes: 0,
    };
    FromAgent::Heartbeat(beat).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_out_of_order_or_cannot_be_read_is_refused() {
    let store: Arc<dyn MetadataStore> = Arc::new(MemStore::default());
    let control = start(&store, "test", "one").await;
    until("it leads", || leads(&control, "one")).await;
    let address = control.addresses[0];
    // The key is there a moment before the seat is taken.
    let refused = async {
        loop {
            match first_answer(address, vec![heartbeat()]).await {
                Err(status) => break status,
                Ok(_) => tokio::task::yield_now().await,
            }
        }
    };
    let status = timeout(DEADLINE, refused).await.expect("what is no hello is refused");
    assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
    let status = first_answer(address, vec![SessionRequest { body: None }])
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().starts_with("body"), "{status}");
    let hello = SessionRequest {
        body: Some(session_request::Body::Hello(Default::default())),
    };
    let status = first_answer(address, vec![hello]).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    assert!(status.message().starts_with("hello."), "{status}");
    control.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_lead_says_who_does() {
    let store: Arc<dyn MetadataStore> = Arc::new(MemStore::default());
    let one = start(&store, "test", "one").await;
    until("one leads", || leads(&one, "one")).await;
    let two = start(&store, "test", "two").await;
    until("two knows", || leads(&two, "one")).await;
    let answer = first_answer(two.addresses[0], vec![heartbeat()])
        .await
        .unwrap()
        .unwrap();
    let answer = ToAgent::try_from(answer).unwrap();
    let leader = two.cache().now().leader.clone().unwrap();
    assert_eq!(answer.term, leader.term);
    let Order::NotLeader(other) = answer.body else {
        panic!("{answer:?}")
    };
    assert_eq!(other.endpoints, [format!("http://{}", one.addresses[0])]);
    one.stop().await;
    two.stop().await;
}
