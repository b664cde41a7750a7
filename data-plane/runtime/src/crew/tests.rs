//! Jobs run, end, are aborted, and do not wait for blocked ones.

use super::*;
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(20);

async fn ends(mut job: Job) {
    tokio::time::timeout(PATIENCE, job.ended()).await.expect("the job ends");
}

#[tokio::test]
async fn every_wake_is_served() {
    let crew = Crew::start(2).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let jobs: Vec<Job> = (0..20)
        .map(|_| {
            let count = count.clone();
            crew.spawn("counting", async move {
                for _ in 0..500 {
                    tokio::task::yield_now().await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                // Woken from threads that are not the crew's: a timer, and another task's message.
                tokio::time::sleep(Duration::from_millis(1)).await;
                let (sender, receiver) = oneshot::channel();
                let sent = tokio::task::JoinSet::from_iter([async move { sender.send(()) }]);
                receiver.await.unwrap();
                sent.join_all().await;
            })
        })
        .collect();
    for job in jobs {
        ends(job).await;
    }
    assert_eq!(count.load(Ordering::Relaxed), 10_000);
}

#[tokio::test]
async fn an_aborted_job_is_dropped_at_its_await() {
    let crew = Crew::start(1).unwrap();
    let held = Arc::new(());
    let inside = held.clone();
    let job = crew.spawn("waiting", async move {
        std::future::pending::<()>().await;
        drop(inside);
    });
    job.abort();
    ends(job).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test]
async fn a_panic_ends_only_its_job() {
    let crew = Crew::start(1).unwrap();
    ends(crew.spawn("bad", async { panic!("asked to") })).await;
    ends(crew.spawn("good", async {})).await;
}

#[tokio::test]
async fn blocked_jobs_hold_up_no_other_and_their_threads_go_when_they_are_free() {
    let crew = Crew::start(2).unwrap();
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(Mutex::new(gate));
    let blocked: Vec<Job> = (0..8)
        .map(|_| {
            let gate = gate.clone();
            crew.spawn("blocked", async move {
                let _released = gate.lock().unwrap().recv(); // no await: this takes its thread
            })
        })
        .collect();
    ends(crew.spawn("good", tokio::time::sleep(Duration::from_millis(1)))).await;
    let threads = || crew.0.lock().count(|seat| !matches!(seat, Seat::Free));
    let deadline = Instant::now() + PATIENCE;
    while threads() != 10 {
        assert!(
            Instant::now() < deadline,
            "eight are blocked and two serve, but there are {}",
            threads()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop(release);
    for job in blocked {
        ends(job).await;
    }
    let deadline = Instant::now() + PATIENCE;
    while threads() > 2 {
        assert!(Instant::now() < deadline, "{} threads stay", threads());
        tokio::time::sleep(Duration::from_millis(5)).await;
        ends(crew.spawn("nothing", async {})).await;
    }
}
