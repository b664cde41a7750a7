//! What only the dev broker can do: go wrong on demand, be full, be told not to create topics.

use std::time::Duration;

use dray_devbroker::{ApiKey, Config, DevBroker, Fault, ResponseError};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::FutureRecord;

use crate::client::*;

async fn start(config: Config) -> (DevBroker, String) {
    let broker = DevBroker::start(config).await.unwrap();
    let servers = broker.bootstrap_servers();
    (broker, servers)
}

async fn all_arrive_once(fault: Fault) {
    let (broker, servers) = start(Config::default()).await;
    create_topic(&servers, "t", 1, &[]).await;
    let producer = producer(&servers, &[("enable.idempotence", "true"), ("retry.backoff.ms", "10")]);
    broker.faults().inject(ApiKey::Produce, 2, fault);
    produce(&producer, "t", 0..10).await;
    produce(&producer, "t", 10..100).await;
    assert_eq!(broker.faults().pending(ApiKey::Produce), 0);
    let consumer = consumer(&servers, "g", "t", &[]);
    assert_eq!(read(&consumer, 100).await, (0..100).collect::<Vec<_>>());
    assert_eq!(watermarks(&servers, "t", 0), (0, 100));
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_leader_on_produce_is_retried_and_nothing_is_lost() {
    all_arrive_once(Fault::Error(ResponseError::NotLeaderOrFollower)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_before_or_after_storing_neither_loses_nor_doubles() {
    all_arrive_once(Fault::CutBefore).await;
    all_arrive_once(Fault::CutAfter).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delay_holds_the_answer_back() {
    let (broker, servers) = start(Config::default()).await;
    create_topic(&servers, "t", 1, &[]).await;
    let producer = producer(&servers, &[]);
    broker
        .faults()
        .inject(ApiKey::Produce, 1, Fault::Delay(Duration::from_millis(300)));
    let started = tokio::time::Instant::now();
    produce(&producer, "t", 0..1).await;
    assert!(started.elapsed() >= Duration::from_millis(300));
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_broker_refuses_and_keeps_what_it_has() {
    let (broker, servers) = start(Config {
        max_bytes: 10_000,
        ..Config::default()
    })
    .await;
    create_topic(&servers, "t", 1, &[]).await;
    let producer = producer(&servers, &[("retries", "0")]);
    let payload = vec![1_u8; 4_000];
    let send = || async {
        let record: FutureRecord<'_, (), Vec<u8>> = FutureRecord::to("t").payload(&payload);
        producer
            .send(record, DEADLINE)
            .await
            .map(drop)
            .map_err(|(error, _)| error)
    };
    assert_eq!(send().await, Ok(()));
    assert_eq!(send().await, Ok(()));
    assert_eq!(
        send().await,
        Err(KafkaError::MessageProduction(RDKafkaErrorCode::KafkaStorageError))
    );
    assert_eq!(watermarks(&servers, "t", 0), (0, 2));
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_created_on_demand_only_if_configured() {
    let (broker, servers) = start(Config {
        default_partitions: 3,
        ..Config::default()
    })
    .await;
    produce(&producer(&servers, &[]), "new", 0..10).await;
    let client: BaseConsumer = config(&servers).create().unwrap();
    let metadata = client.fetch_metadata(Some("new"), DEADLINE).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 3);
    broker.shutdown().await;

    let (broker, servers) = start(Config {
        auto_create_topics: false,
        ..Config::default()
    })
    .await;
    let client: BaseConsumer = config(&servers).create().unwrap();
    let metadata = client.fetch_metadata(Some("new"), DEADLINE).unwrap();
    assert!(metadata.topics()[0].error().is_some());
    broker.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_ends_waiting_requests_and_frees_the_port() {
    let (broker, servers) = start(Config::default()).await;
    create_topic(&servers, "t", 1, &[]).await;
    let waiting = consumer(&servers, "g", "t", &[("fetch.wait.max.ms", "50000")]);
    let fetching = async {
        while broker.faults().seen(ApiKey::Fetch) == 0 {
            tokio::time::timeout(Duration::from_millis(20), waiting.recv())
                .await
                .ok();
        }
    };
    tokio::time::timeout(DEADLINE, fetching).await.unwrap();
    let port = servers.rsplit(':').next().unwrap().parse().unwrap();
    // Much sooner than the fetch would end by itself.
    tokio::time::timeout(Duration::from_secs(20), broker.shutdown())
        .await
        .unwrap();
    // For a moment somebody else's connection may have it.
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let again = loop {
        let config = Config {
            port,
            ..Config::default()
        };
        match DevBroker::start(config).await {
            Ok(again) => break again,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    again.shutdown().await;
}
