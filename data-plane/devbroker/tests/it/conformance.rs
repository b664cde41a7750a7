//! Runs every case on the dev broker, and on a real one where `DRAY_TEST_BOOTSTRAP` names it.

use dray_devbroker::{Config, DevBroker};

use crate::cases;

macro_rules! conformance {
    ($($case:ident),* $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let broker = DevBroker::start(Config::default()).await.unwrap();
            cases::$case(&broker.bootstrap_servers()).await;
            broker.shutdown().await;
            if let Ok(servers) = std::env::var("DRAY_TEST_BOOTSTRAP") {
                cases::$case(&servers).await;
            }
        }
    )*};
}

conformance!(
    produce_consume_commit_resume,
    two_members_split_and_one_takes_over,
    topics_and_configs,
    a_large_record_is_refused,
    records_are_deleted,
    offsets_are_found_by_time,
    groups_are_listed_and_deleted,
    idempotent_and_compressed,
    a_waiting_fetch_is_woken,
);
