use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::time::sleep;

const TTL: Duration = Duration::from_secs(300);
const REQUEST: Duration = Duration::from_millis(50);

/// A desk whose requests take some time and count themselves, and fail at times.
struct Rig {
    questions: mpsc::Sender<Question>,
    requests: Arc<AtomicUsize>,
    at_once: Arc<AtomicUsize>,
    _desk: JoinSet<()>,
}

impl Rig {
    fn new() -> Self {
        Self::failing(0..0)
    }

    /// Requests fail from one second to another.
    fn failing(seconds: std::ops::Range<u64>) -> Self {
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let (requests, at_once, running) = (Arc::default(), Arc::default(), Arc::new(AtomicUsize::new(0)));
        let (counted, most) = (
            Arc::<AtomicUsize>::clone(&requests),
            Arc::<AtomicUsize>::clone(&at_once),
        );
        let begin = Instant::now();
        let read = move |_: Wanted| {
            let number = counted.fetch_add(1, Ordering::Relaxed) + 1;
            most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            let (running, fails) = (running.clone(), seconds.contains(&begin.elapsed().as_secs()));
            async move {
                sleep(REQUEST).await;
                running.fetch_sub(1, Ordering::Relaxed);
                if fails {
                    let text = format!("no. {number}");
                    return Err(Failure {
                        kind: Kind::Passing,
                        text,
                    });
                }
                Ok(Found::Text(number.to_string().into()))
            }
            .boxed()
        };
        let mut desk = JoinSet::new();
        desk.spawn(Desk::new(TTL, read).run(asked));
        Self {
            questions,
            requests,
            at_once,
            _desk: desk,
        }
    }

    async fn ask(&self, name: &str, look: Look) -> oneshot::Receiver<Outcome> {
        let (answer, answered) = oneshot::channel();
        let wanted = Wanted::Parameter { name: name.into() };
        self.questions.send(Question { wanted, look, answer }).await.unwrap();
        answered
    }

    async fn read(&self, name: &str, look: Look) -> String {
        match self.ask(name, look).await.await.unwrap() {
            Ok(Found::Text(text)) => text.to_string(),
            Ok(Found::Binary(_)) => unreachable!("it is a text"),
            Err(failure) => failure.text,
        }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_tasks_ask_once() {
    let rig = Rig::new();
    let mut answers = Vec::new();
    for _ in 0..1000 {
        answers.push(rig.ask("a", Look::Start).await);
    }
    for answer in answers {
        assert_eq!(answer.await.unwrap(), Ok(Found::Text("1".into())));
    }
    assert_eq!(rig.requests(), 1);
}

#[tokio::test(start_paused = true)]
async fn watching_reads_again_once_in_a_while_and_starting_at_once() {
    let rig = Rig::new();
    assert_eq!(rig.read("a", Look::Start).await, "1");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(rig.read("a", Look::Watch).await, "1");
    assert_eq!(rig.read("a", Look::Start).await, "2");
    assert_eq!(
        rig.read("a", Look::Watch).await,
        "2",
        "what starting has read is what watching sees"
    );
    sleep(TTL).await;
    assert_eq!(rig.read("a", Look::Watch).await, "3");
    assert_eq!(rig.read("b", Look::Watch).await, "4", "each has its own");
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_not_made_worse() {
    let rig = Rig::failing(0..30);
    assert_eq!(rig.read("a", Look::Start).await, "no. 1");
    assert_eq!(rig.read("a", Look::Start).await, "no. 1");
    sleep(FAILURE_IS_NEWS).await;
    assert_eq!(rig.read("a", Look::Watch).await, "no. 1");
    assert_eq!(
        rig.read("a", Look::Start).await,
        "no. 2",
        "whoever has mended it need not wait"
    );
    sleep(FAILURE_HOLDS).await;
    assert_eq!(rig.read("a", Look::Watch).await, "no. 3");
    sleep(Duration::from_secs(30)).await;
    assert_eq!(rig.read("a", Look::Watch).await, "4", "it has passed");
}

#[tokio::test(start_paused = true)]
async fn so_many_at_once_and_all_in_the_end() {
    let rig = Rig::new();
    let mut answers = Vec::new();
    for number in 0..100 {
        answers.push(rig.ask(&number.to_string(), Look::Start).await);
    }
    for answer in answers {
        assert!(answer.await.unwrap().is_ok());
    }
    assert_eq!((rig.requests(), rig.at_once.load(Ordering::Relaxed)), (100, REQUESTS));
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_longest_ago_is_forgotten() {
    let rig = Rig::new();
    for number in 0..=REMEMBERED {
        rig.read(&number.to_string(), Look::Watch).await;
        sleep(Duration::from_micros(1)).await;
        if number == 1 {
            rig.read("0", Look::Watch).await;
        }
    }
    let before = rig.requests();
    rig.read("0", Look::Watch).await;
    assert_eq!(rig.requests(), before, "asked for again since");
    rig.read("1", Look::Watch).await;
    assert_eq!(rig.requests(), before + 1);
}

#[tokio::test(start_paused = true)]
async fn one_who_gives_up_does_not_end_it_for_others() {
    let rig = Rig::new();
    let gone = rig.ask("a", Look::Start).await;
    let stays = rig.ask("a", Look::Start).await;
    drop(gone);
    assert!(stays.await.unwrap().is_ok());
    assert_eq!(rig.requests(), 1);
}
