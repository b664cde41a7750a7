//! Many connectors at once, over admin gRPC, on a real etcd: created through both replicas, run by one agent, all of them.

use crate::agent::{CLASS, FakeAgent, channel};
use crate::etcd::etcd;
use crate::rig::{DEADLINE, all_run, leads, start, until, until_within};
use dray_wire::admin::v1::CreateConnectorRequest;
use dray_wire::admin::v1::connector_service_client::ConnectorServiceClient;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tonic::Code;

const CONNECTORS: usize = 1_000;
/// 2,000 runs take a while on a loaded machine.
const LONG: Duration = DEADLINE.saturating_mul(6);
/// Clients at once, half of them at each replica.
const CLIENTS: usize = 16;

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_connectors() {
    let one = start(&etcd().await, "thousand", "one").await;
    until("one leads", || leads(&one, "one")).await;
    let two = start(&etcd().await, "thousand", "two").await;
    let agent = FakeAgent::start("thousand", "a1", vec![channel(one.addresses[0])], 1);
    until("the agent is there", || agent.seen.lock().unwrap().connected).await;
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let address = if client % 2 == 0 {
            one.addresses[0]
        } else {
            two.addresses[0]
        };
        let mut service = ConnectorServiceClient::new(channel(address));
        clients.spawn(async move {
            let mut took = Vec::new();
            for number in (client..CONNECTORS).step_by(CLIENTS) {
                let sent = Instant::now();
                let config = [
                    ("connector.class".into(), CLASS.into()),
                    ("tasks.max".into(), "1".into()),
                ];
                let request = CreateConnectorRequest {
                    name: format!("c{number}"),
                    config: config.into(),
                    skip_validation: true, // nobody is there who could
                    ..Default::default()
                };
                // A store that stands still for some seconds is asked again, and may have done it.
                loop {
                    match service.create_connector(request.clone()).await {
                        Err(status) if status.code() == Code::Unavailable && begun.elapsed() < LONG => {}
                        Err(status) if status.code() == Code::AlreadyExists => break,
                        answer => break drop(answer.unwrap()),
                    }
                }
                took.push(sent.elapsed());
            }
            took
        });
    }
    let mut took: Vec<Duration> = clients.join_all().await.into_iter().flatten().collect();
    let created = begun.elapsed();
    until_within(LONG, "all run", || all_run(&one, CONNECTORS)).await;
    let running = begun.elapsed();
    until_within(LONG, "the follower shows it", || all_run(&two, CONNECTORS)).await;
    let shown = begun.elapsed();
    took.sort_unstable();
    println!(
        "{CONNECTORS} connectors with {CLIENTS} clients: created {created:?} (p50 {:?}, p99 {:?}), all running {running:?}, shown by the \
         follower {shown:?}",
        took[CONNECTORS / 2],
        took[CONNECTORS * 99 / 100],
    );
    {
        let seen = agent.seen.lock().unwrap();
        assert_eq!((seen.started.len(), seen.stopped.len()), (2 * CONNECTORS, 0));
    }
    one.stop().await;
    two.stop().await;
}
