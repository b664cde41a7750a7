//! A sink that was thrown out of its group asks before it joins again.

use crate::harness::{SHELVES, Stage, until};
use crate::source::SOURCE;
use dray_kafka::Class;
use dray_runtime::rejoin::MayRejoin;
use dray_runtime::worker::Running;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// A sink whose questions are counted, and answered when the test says so.
struct Asked {
    stage: Stage,
    running: Running,
    questions: Arc<Mutex<Vec<String>>>,
    answer: watch::Sender<Option<bool>>,
}

fn start(shelf: &str, more: &[(&str, &str)]) -> Asked {
    let config = [("connector.class", "Keeper"), ("topics", "t"), ("shelf", shelf)];
    run("sink", &[&config, more].concat())
}

fn run(name: &str, config: &[(&str, &str)]) -> Asked {
    let mut stage = Stage::new();
    stage.kafka.create_topic("t", 1);
    let questions = Arc::new(Mutex::new(Vec::new()));
    let answer = watch::Sender::new(None);
    let (asked, given) = (questions.clone(), answer.clone());
    stage.worker = stage.worker.with_rejoin_check(MayRejoin::new(move |task, generation| {
        asked.lock().unwrap().push(format!("{task} {}", generation.get()));
        let mut given = given.subscribe();
        Box::pin(async move {
            let answered = given.wait_for(Option::is_some).await.unwrap();
            answered.unwrap()
        })
    }));
    let running = stage.task(name, config);
    Asked {
        stage,
        running,
        questions,
        answer,
    }
}

impl Asked {
    async fn puts(&self, shelf: &str, value: &str) {
        self.stage.kafka.append("t", 0, None, Some(value.as_bytes()));
        until(|| {
            SHELVES
                .lock()
                .unwrap()
                .get(shelf)
                .is_some_and(|all| all.iter().any(|it| it == value))
        })
        .await;
    }

    /// The group would take the member back: it must not come. On paused time this takes no time.
    async fn stays_out(&self) {
        self.stage.kafka.assign("connect-sink");
        tokio::time::sleep(Duration::from_secs(60)).await;
    }

    fn questions(&self) -> Vec<String> {
        self.questions.lock().unwrap().clone()
    }

    async fn stop(self) {
        assert!(self.running.stop(Instant::now() + Duration::from_secs(10)).await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_lost_its_partitions_asks_and_goes_on_with_a_yes() {
    let sink = start("asks", &[]);
    sink.puts("asks", "a").await;
    assert!(sink.questions().is_empty(), "nothing is asked before the first time");
    sink.stage.kafka.lose("connect-sink");
    sink.stage.kafka.append("t", 0, None, Some(b"b"));
    sink.stays_out().await;
    assert_eq!(sink.questions(), ["sink-0 1"]);
    assert_eq!(SHELVES.lock().unwrap()["asks"], ["a"], "it is out until it is answered");
    sink.answer.send_replace(Some(true));
    sink.puts("asks", "c").await;
    assert!(SHELVES.lock().unwrap()["asks"].contains(&"b".to_owned()));
    sink.stop().await;
}

#[tokio::test(start_paused = true)]
async fn with_a_no_it_stays_out_until_it_is_stopped() {
    let sink = start("told-no", &[]);
    sink.puts("told-no", "a").await;
    sink.answer.send_replace(Some(false));
    sink.stage.kafka.lose("connect-sink");
    sink.stage.kafka.append("t", 0, None, Some(b"b"));
    sink.stays_out().await;
    assert_eq!(sink.questions().len(), 1);
    assert_eq!(SHELVES.lock().unwrap()["told-no"], ["a"]);
    sink.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_is_started_again_asks_before_it_joins() {
    let sink = start("restarted", &[("dray.restart.policy", "always")]);
    sink.puts("restarted", "a").await;
    sink.stage.kafka.consumer_error("connect-sink", Class::Fatal);
    until(|| !sink.questions().is_empty()).await;
    sink.stage.kafka.append("t", 0, None, Some(b"b"));
    sink.stays_out().await;
    assert_eq!(SHELVES.lock().unwrap()["restarted"], ["a"]);
    sink.answer.send_replace(Some(true));
    sink.puts("restarted", "c").await;
    sink.stop().await;
}

/// Its transactional id was taken, by whoever had the task before and woke up late, or by a new owner: only the agent's session knows.
/// No record is given up for that, whatever is tolerated.
#[tokio::test(start_paused = true)]
async fn a_source_that_was_shut_out_asks_whether_the_task_is_still_its() {
    let config = [
        SOURCE.as_slice(),
        &[("errors.tolerance", "all"), ("dray.restart.policy", "transient")],
    ]
    .concat();
    for answer in [true, false] {
        let asked = run("c", &config);
        asked.stage.kafka.fail_next(Class::Fenced, 1);
        until(|| asked.questions() == ["c-0 1"]).await;
        assert_eq!(
            asked.stage.offsets.position("c"),
            None,
            "the first record is not stored"
        );
        asked.answer.send_replace(Some(answer));
        if answer {
            until(|| asked.stage.offsets.position("c") == Some(25)).await;
            let numbers: std::collections::BTreeSet<String> = asked.stage.values("t").into_iter().collect();
            assert_eq!(numbers.len(), 25);
        } else {
            // It waits to be stopped. On paused time this takes no time.
            tokio::time::sleep(Duration::from_secs(60)).await;
            assert_eq!(asked.stage.offsets.position("c"), None);
        }
        asked.stop().await;
    }
}
