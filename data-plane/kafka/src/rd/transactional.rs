//! The producer of a transactional id. It lives on a thread of its own, which makes one transaction after the other; callbacks
//! only note the first record that failed.

use super::client::{Threads, lock, log, log_error, native, translated};
use super::config::{Role, Translated};
use super::errors::{from_code, from_kafka, local, with_rights};
use super::oauth::Tokens;
use crate::error::{Class, Error, Result};
use crate::port::{ClientConfig, Outcome, SessionRecord, TransactionalProducer};
use crate::wire::oauth::Sources;
use async_trait::async_trait;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// The broker aborts a transaction that is open for longer. Readers of committed records wait for an open one, so this bounds
/// how long a writer that died in the middle keeps them waiting.
const TRANSACTION_TIMEOUT: &str = "10000";
/// How soon the thread notices, between two steps that may wait for the broker, that nobody wants the producer any more.
const TURN: Duration = Duration::from_millis(500);
/// What a producer that nobody wants any more may still take to end its transaction. Its time-out ends it otherwise.
const FAREWELL: Duration = Duration::from_secs(2);

/// Settings of a producer with this transactional id.
pub(super) fn settings(config: &ClientConfig, transactional_id: &str) -> Result<Translated> {
    let mut settings = translated(config, Role::Producer)?;
    for (key, value) in [
        ("transactional.id", transactional_id),
        ("transaction.timeout.ms", TRANSACTION_TIMEOUT),
        // Not longer than the transaction, or librdkafka refuses it.
        ("message.timeout.ms", TRANSACTION_TIMEOUT),
        ("enable.idempotence", "true"),
        ("acks", "all"),
        ("linger.ms", "0"),
    ] {
        settings.settings.insert(key.to_owned(), value.to_owned());
    }
    Ok(settings)
}

#[derive(Debug, Default)]
pub(super) struct Context {
    client: String,
    tokens: Tokens,
    /// Why a record of this transaction could not be stored.
    failed: Mutex<Option<Code>>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(&self.client, level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_error(&self.client, &error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
            lock(&self.failed).get_or_insert(code);
        }
    }
}

struct Transaction {
    records: Vec<SessionRecord>,
    done: oneshot::Sender<Outcome>,
}

/// The handle. Dropping it ends the thread, which may take a moment to end its transaction.
pub(super) struct RdTransactional {
    transactional_id: String,
    transactions: Option<SyncSender<Transaction>>,
    /// The outcome of a call whose future was dropped.
    pending: Option<oneshot::Receiver<Outcome>>,
    thread: Option<JoinHandle<()>>,
    threads: Arc<Threads>,
}

impl RdTransactional {
    pub(super) async fn open(
        config: &ClientConfig,
        transactional_id: &str,
        timeout: Duration,
        (threads, sources): (&Arc<Threads>, &Arc<Sources>),
    ) -> Result<Self> {
        let what = format!("opening the producer `{transactional_id}`");
        let settings = settings(config, transactional_id)?;
        let (ready, opened) = oneshot::channel();
        // One transaction is on its way, and one waits for it to be over.
        let (transactions, receiver) = sync_channel(1);
        let (id, sources) = (transactional_id.to_owned(), Arc::clone(sources));
        let thread = std::thread::Builder::new()
            .name("kafka-session".to_owned())
            .spawn(move || live(&settings, &sources, id, timeout, ready, &receiver))
            .map_err(|error| local(what.as_str(), "THREAD", error.to_string(), Class::Fatal))?;
        let opening = Self {
            transactional_id: transactional_id.to_owned(),
            transactions: Some(transactions),
            pending: None,
            thread: Some(thread),
            threads: Arc::clone(threads),
        };
        match opened.await {
            Ok(result) => result.map(|()| opening),
            Err(_) => Err(local(what, "THREAD", "its thread has ended", Class::Fatal)),
        }
    }

    fn ended(&self) -> Outcome {
        let what = format!("committing as `{}`", self.transactional_id);
        Outcome::Unknown(local(what, "CLOSED", "its thread has ended", Class::Fatal))
    }
}

#[async_trait]
impl TransactionalProducer for RdTransactional {
    async fn commit(&mut self, records: Vec<SessionRecord>) -> Outcome {
        if let Some(pending) = &mut self.pending {
            // Its end is in the next outcome too, where it was one.
            pending.await.ok();
            self.pending = None;
        }
        let (done, outcome) = oneshot::channel();
        let sent = self
            .transactions
            .as_ref()
            .map(|transactions| transactions.try_send(Transaction { records, done }));
        if !matches!(sent, Some(Ok(()))) {
            return self.ended();
        }
        let outcome = self.pending.insert(outcome).await;
        self.pending = None;
        outcome.unwrap_or_else(|_| self.ended())
    }
}

impl Drop for RdTransactional {
    fn drop(&mut self) {
        drop(self.transactions.take());
        if let Some(thread) = self.thread.take() {
            self.threads.retire(thread);
        }
    }
}

/// The thread: `init_transactions`, then one transaction after the other.
fn live(
    settings: &Translated,
    sources: &Sources,
    transactional_id: String,
    timeout: Duration,
    ready: oneshot::Sender<Result<()>>,
    transactions: &Receiver<Transaction>,
) {
    let producer = match init(settings, sources, &transactional_id, timeout, || ready.is_closed()) {
        Ok(producer) => producer,
        // Whoever has stopped waiting need not know.
        Err(error) => return drop(ready.send(Err(error))),
    };
    if ready.send(Ok(())).is_err() {
        return;
    }
    let writer = Writer {
        producer,
        what: format!("committing as `{transactional_id}`"),
    };
    for transaction in transactions {
        let outcome = writer.transact(&transaction.records, &transaction.done);
        transaction.done.send(outcome).ok();
    }
}

/// Makes a producer and fences all earlier ones of its id.
pub(super) fn init(
    settings: &Translated,
    sources: &Sources,
    transactional_id: &str,
    timeout: Duration,
    unwanted: impl Fn() -> bool,
) -> Result<BaseProducer<Context>> {
    let what = format!("initialising the transactional id `{transactional_id}`");
    let context = Context {
        client: settings.settings.get("client.id").cloned().unwrap_or_default(),
        tokens: Tokens::read(settings, sources)?,
        ..Context::default()
    };
    let producer: BaseProducer<Context> = native(settings)
        .create_with_context(context)
        .map_err(|error| from_kafka(what.as_str(), &error))?;
    producer.context().tokens.renew(producer.client())?;
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let error = match producer.init_transactions(TURN.min(left)) {
            Ok(()) => return Ok(producer),
            Err(error) => error,
        };
        // Serves the log.
        producer.poll(Duration::ZERO);
        let again = matches!(&error, KafkaError::Transaction(error) if error.is_retriable() && !error.is_fatal());
        if !again || left.is_zero() || unwanted() {
            let mut error = transaction_error(&what, &error);
            if again {
                error.class = Class::Retriable;
            }
            return Err(error);
        }
    }
}

struct Writer {
    producer: BaseProducer<Context>,
    what: String,
}

/// How far an abort or a commit came.
enum Step {
    Done,
    /// The transaction cannot be committed any more.
    MustAbort(Error),
    Over(Outcome),
}

impl Writer {
    fn transact(&self, records: &[SessionRecord], caller: &oneshot::Sender<Outcome>) -> Outcome {
        *lock(&self.producer.context().failed) = None;
        // Without one the transaction fails, and says so.
        self.producer.context().tokens.renew(self.producer.client()).ok();
        if let Err(error) = self.producer.begin_transaction() {
            return self.end(&error);
        }
        for record in records {
            if let Err(error) = self.send(record) {
                return self.abort(error, caller);
            }
        }
        let commit = || {
            self.deliver();
            self.producer.commit_transaction(TURN)
        };
        match self.repeat(caller, commit) {
            Step::Done => Outcome::Committed,
            Step::MustAbort(error) => {
                let stored = lock(&self.producer.context().failed).take();
                self.abort(stored.map_or(error, |code| from_code(self.what.as_str(), code)), caller)
            }
            Step::Over(outcome) => outcome,
        }
    }

    fn send(&self, record: &SessionRecord) -> Result<()> {
        let mut message: BaseRecord<'_, [u8], [u8], ()> = BaseRecord::to(&record.topic).key(&record.key);
        message.payload = record.value.as_deref();
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) => {
                    message = back;
                    self.producer.poll(TURN);
                }
                Err((error, _)) => return Err(from_kafka(self.what.as_str(), &error)),
            }
        }
    }

    /// Waits until the records are answered, for a while: the wait of `commit_transaction` itself polls for whole tenths of a second.
    fn deliver(&self) {
        let end = Instant::now() + TURN;
        while self.producer.in_flight_count() > 0 && Instant::now() < end {
            self.producer.poll(Duration::from_millis(1));
        }
    }

    fn abort(&self, error: Error, caller: &oneshot::Sender<Outcome>) -> Outcome {
        let abort = || {
            // librdkafka does this too, but the reports of what was not sent wait for a poll.
            self.producer.purge(PurgeConfig::default().queue().inflight());
            self.producer.flush(TURN)?;
            self.producer.abort_transaction(TURN)
        };
        match self.repeat(caller, abort) {
            Step::Done => Outcome::Aborted(error),
            // librdkafka aborts a second time by itself.
            Step::MustAbort(error) => Outcome::Unknown(error),
            Step::Over(outcome) => outcome,
        }
    }

    /// Takes a step until it has an end. What was not answered in time is asked again, as librdkafka wants it: it goes on with
    /// the request that it has sent. The broker ends the transaction itself after its time-out, so this ends once it is back.
    fn repeat(&self, caller: &oneshot::Sender<Outcome>, step: impl Fn() -> Result<(), KafkaError>) -> Step {
        let mut unwanted: Option<Instant> = None;
        loop {
            // Serves reports and the log.
            self.producer.poll(Duration::ZERO);
            let error = match step() {
                Ok(()) => return Step::Done,
                Err(error) => error,
            };
            let again = if let KafkaError::Transaction(error) = &error {
                if error.txn_requires_abort() {
                    let error = KafkaError::Transaction(error.clone());
                    return Step::MustAbort(transaction_error(&self.what, &error));
                }
                error.is_retriable() && !error.is_fatal()
            } else {
                error.rdkafka_error_code() == Some(Code::OperationTimedOut)
            };
            if !again {
                return Step::Over(self.end(&error));
            }
            if caller.is_closed() && unwanted.get_or_insert_with(Instant::now).elapsed() > FAREWELL {
                return Step::Over(Outcome::Unknown(transaction_error(&self.what, &error)));
            }
        }
    }

    /// What an error means that no further step mends.
    fn end(&self, error: &KafkaError) -> Outcome {
        let mut error = transaction_error(&self.what, error);
        if let Some((code, reason)) = self.producer.client().fatal_error() {
            error = from_code(self.what.as_str(), code);
            error.message = with_rights(code, reason);
        }
        if error.class == Class::Fenced {
            Outcome::Fenced(error)
        } else {
            error.class = Class::Fatal;
            Outcome::Unknown(error)
        }
    }
}

/// An error with librdkafka's own words, which say more than the code.
fn transaction_error(what: &str, error: &KafkaError) -> Error {
    if let KafkaError::Transaction(error) = error {
        Error {
            message: with_rights(error.code(), error.string()),
            ..from_code(what, error.code())
        }
    } else {
        from_kafka(what, error)
    }
}
