//! The thread that reads from AWS for a provider, and remembers what it has read: all tasks that have a value ask for it once in a while, and
//! AWS counts and bills each request. It is started when somebody asks first.

use crate::Look;
use crate::aws::settings::Settings;
use crate::aws::store::Store;
use dray_connect::Error;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Questions that wait to be looked at. Whoever asks waits beyond that.
const QUESTIONS: usize = 64;
/// Requests at once: Parameter Store takes 40 a second from an account by default.
const REQUESTS: usize = 8;
/// Values that are remembered. Beyond that the one that was asked for longest ago is forgotten, and read again when it is wanted.
const REMEMBERED: usize = 1024;
/// What a thousand tasks that start at once take for a value of now.
const NEW_ENOUGH: Duration = Duration::from_secs(2);
/// How long a failure answers everybody, so that those who wait for it to pass do not make it last.
const FAILURE_HOLDS: Duration = Duration::from_secs(10);
/// And those who are just being started, on somebody's word that it is mended.
const FAILURE_IS_NEWS: Duration = Duration::from_secs(1);

/// What is to be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wanted {
    /// Of Secrets Manager: its name or ARN; the version with this id or this label, the current one without.
    Secret {
        id: String,
        version: Option<String>,
        stage: Option<String>,
    },
    /// Of Parameter Store: its name or ARN, with `:` and a version or label if one is wanted.
    Parameter { name: String },
}

/// What there was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Text(Arc<str>),
    Binary(Arc<[u8]>),
}

/// Why there was nothing. Never holds a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) text: String,
}

impl Failure {
    /// For whoever wanted the value.
    pub(crate) fn into_error(self) -> Error {
        match self.kind {
            Kind::Missing | Kind::Refused => Error::config(self.text),
            Kind::Passing => Error::retriable(self.text),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It is not there.
    Missing,
    /// A later try may succeed.
    Passing,
    /// Somebody has to do something.
    Refused,
}

pub(crate) type Outcome = Result<Found, Failure>;

/// Asks the thread. Dropping it ends the thread.
pub(crate) struct Reader {
    settings: Settings,
    thread: Mutex<Option<Thread>>,
}

struct Thread {
    questions: mpsc::Sender<Question>,
    handle: JoinHandle<()>,
}

struct Question {
    wanted: Wanted,
    look: Look,
    answer: oneshot::Sender<Outcome>,
}

impl Reader {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            thread: Mutex::new(None),
        }
    }

    /// What AWS has, or had not long ago. Cancel-safe: what is being read is remembered all the same.
    pub(crate) async fn read(&self, wanted: Wanted, look: Look) -> Outcome {
        let questions = self.questions().map_err(|cause| Failure {
            kind: Kind::Passing,
            text: format!("the system gives no thread to read from AWS on: {cause}"),
        })?;
        let (answer, answered) = oneshot::channel();
        let gone = || Failure {
            kind: Kind::Passing,
            text: "the thread that reads from AWS has ended".into(),
        };
        let question = Question { wanted, look, answer };
        questions.send(question).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }

    fn questions(&self) -> std::io::Result<mpsc::Sender<Question>> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = &*thread
            && !thread.questions.is_closed()
        {
            return Ok(thread.questions.clone());
        }
        let (questions, asked) = mpsc::channel(QUESTIONS);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let settings = self.settings.clone();
        let work = move || {
            runtime.block_on(async {
                let ttl = settings.ttl;
                let store = Arc::new(Store::new(settings));
                let read = move |wanted: Wanted| {
                    let store = store.clone();
                    async move { store.read(&wanted).await }.boxed()
                };
                Desk::new(ttl, read).run(asked).await;
            });
            // A name that is being looked up keeps nobody waiting.
            runtime.shutdown_background();
        };
        let handle = std::thread::Builder::new().name("config-provider".into()).spawn(work)?;
        let started = Thread {
            questions: questions.clone(),
            handle,
        };
        *thread = Some(started);
        Ok(questions)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let thread = self.thread.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Thread { questions, handle }) = thread {
            drop(questions);
            // It ends when nobody can ask any more, whatever it is waiting for. One that panicked has said so.
            drop(handle.join());
        }
    }
}

/// Who waits for what, and what was read when.
struct Desk<R> {
    ttl: Duration,
    read: R,
    entries: HashMap<Wanted, Entry>,
    /// What nobody reads yet, because others are being read.
    queue: VecDeque<Wanted>,
    reading: JoinSet<(Wanted, Outcome)>,
}

struct Entry {
    last: Option<(Instant, Outcome)>,
    /// Not empty while it is being read, or in the queue.
    waiting: Vec<oneshot::Sender<Outcome>>,
    asked: Instant,
}

impl<R: Fn(Wanted) -> BoxFuture<'static, Outcome>> Desk<R> {
    fn new(ttl: Duration, read: R) -> Self {
        Self {
            ttl,
            read,
            entries: HashMap::new(),
            queue: VecDeque::new(),
            reading: JoinSet::new(),
        }
    }

    /// Until nobody can ask any more; what is being read then is given up.
    async fn run(mut self, mut asked: mpsc::Receiver<Question>) {
        loop {
            tokio::select! {
                question = asked.recv() => match question {
                    Some(question) => self.on_question(question),
                    None => return,
                },
                Some(read) = self.reading.join_next() => match read {
                    Ok((wanted, outcome)) => self.on_read(&wanted, &outcome),
                    Err(error) => tracing::error!(%error, "a request to AWS panicked"),
                },
            }
        }
    }

    fn on_question(&mut self, question: Question) {
        let Question { wanted, look, answer } = question;
        if !self.entries.contains_key(&wanted) {
            self.make_room();
        }
        let now = Instant::now();
        let entry = self.entries.entry(wanted.clone()).or_insert_with(|| Entry {
            last: None,
            waiting: Vec::new(),
            asked: now,
        });
        entry.asked = now;
        if let Some((at, outcome)) = &entry.last
            && now.duration_since(*at) < holds(self.ttl, outcome, look)
        {
            // Who asked may be gone.
            drop(answer.send(outcome.clone()));
            return;
        }
        entry.waiting.push(answer);
        if entry.waiting.len() == 1 {
            self.queue.push_back(wanted);
            self.read_next();
        }
    }

    fn on_read(&mut self, wanted: &Wanted, outcome: &Outcome) {
        if let Some(entry) = self.entries.get_mut(wanted) {
            entry.last = Some((Instant::now(), outcome.clone()));
            for answer in entry.waiting.drain(..) {
                drop(answer.send(outcome.clone()));
            }
        }
        self.read_next();
    }

    fn read_next(&mut self) {
        while self.reading.len() < REQUESTS
            && let Some(wanted) = self.queue.pop_front()
        {
            let read = AssertUnwindSafe((self.read)(wanted.clone())).catch_unwind();
            self.reading.spawn(async move {
                let outcome = read.await.unwrap_or_else(|_| {
                    let text = "the request to AWS panicked".into();
                    let kind = Kind::Passing;
                    Err(Failure { kind, text })
                });
                (wanted, outcome)
            });
        }
    }

    fn make_room(&mut self) {
        if self.entries.len() < REMEMBERED {
            return;
        }
        let idle = self.entries.iter().filter(|(_, entry)| entry.waiting.is_empty());
        let oldest = idle
            .min_by_key(|(_, entry)| entry.asked)
            .map(|(wanted, _)| wanted.clone());
        if let Some(oldest) = oldest {
            self.entries.remove(&oldest);
        }
    }
}

/// How long an outcome answers.
fn holds(ttl: Duration, outcome: &Outcome, look: Look) -> Duration {
    match (outcome, look) {
        (Ok(_), Look::Watch) => ttl,
        (Ok(_), Look::Start) => NEW_ENOUGH.min(ttl),
        (Err(_), Look::Watch) => FAILURE_HOLDS.min(ttl),
        (Err(_), Look::Start) => FAILURE_IS_NEWS,
    }
}

#[cfg(test)]
mod tests;
