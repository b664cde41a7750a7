//! Changes that people ask for: read a record, change it, put it back if nobody was faster. No leader is needed.
//!
//! A put whose outcome is unknown is sent again as it is: it compares the revision that it replaces, so only one attempt can be applied.
//! The conflict of a later one brings the record, which says whether it was ours.

use crate::cache::{Cache, Kept};
use crate::status;
use dray_machine::cluster::{Name, Record};
use dray_model::record::{AgentRecord, ConnectorSpec, LoggerLevels};
use dray_model::{AgentId, ConnectorName, ConnectorUid};
use dray_store::{Entry, Error, Key, MetadataStore, Read, Revision, Txn, TxnOutcome, keys};
use dray_wire::store::{Record as Stored, Rest, decode, encode};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tonic::Status;

/// Others may be faster that often: more than all replicas of a cluster that change one record at once.
const ATTEMPTS: usize = 10;
/// Between two attempts whose outcome is unknown. Such an attempt has waited long already.
const PAUSE: Duration = Duration::from_millis(200);

/// Changes records for one replica.
pub(super) struct Writer {
    store: Arc<dyn MetadataStore>,
    cache: Arc<Cache>,
    replica: String,
    /// Another one for each process, so that a restarted replica does not take its predecessor's write for its own.
    process: u64,
    operations: AtomicU64,
}

impl Writer {
    /// Where it writes.
    pub(super) fn store(&self) -> &dyn MetadataStore {
        self.store.as_ref()
    }
}

/// A record as it was found.
#[derive(Clone)]
struct Found<R> {
    record: R,
    revision: u64,
    rest: Rest,
}

/// What is to become of a record.
pub(super) enum Next<R> {
    /// It is as it should be.
    Keep,
    /// It is to be this.
    Put(R),
}

/// A record after a change.
#[derive(Debug)]
pub(super) struct Changed<R> {
    /// Its revision.
    pub(super) revision: u64,
    /// What it is now.
    pub(super) record: R,
}

/// A record that people may change.
trait Shared: Stored + Clone {
    const WHAT: &'static str;
    /// It belongs to the entry that it came from.
    fn found(&mut self, _entry: &Entry) {}
}

/// One that the leader's machine knows too.
trait Known: Shared {
    /// The record of the cache, if it is of this kind.
    fn kept(record: &Record) -> Option<&Self>;
}

impl Shared for LoggerLevels {
    const WHAT: &'static str = "loggers";
}

impl Shared for ConnectorSpec {
    const WHAT: &'static str = "connector";

    fn found(&mut self, entry: &Entry) {
        self.uid = NonZeroU64::new(entry.create_revision.get()).map(ConnectorUid::from);
    }
}

impl Known for ConnectorSpec {
    fn kept(record: &Record) -> Option<&Self> {
        match record {
            Record::Spec(spec) => Some(spec),
            Record::Meta(_) | Record::Tasks(_) | Record::Own(_) | Record::Agent(_) => None,
        }
    }
}

impl Shared for AgentRecord {
    const WHAT: &'static str = "agent";
}

impl Known for AgentRecord {
    fn kept(record: &Record) -> Option<&Self> {
        match record {
            Record::Agent(agent) => Some(agent),
            Record::Meta(_) | Record::Spec(_) | Record::Tasks(_) | Record::Own(_) => None,
        }
    }
}

impl Writer {
    pub(super) fn new(store: Arc<dyn MetadataStore>, cache: Arc<Cache>, replica: &str) -> Self {
        Self {
            store,
            cache,
            replica: replica.into(),
            process: RandomState::new().build_hasher().finish(),
            operations: AtomicU64::new(0),
        }
    }

    /// A name that no other operation has.
    pub(super) fn operation(&self) -> String {
        let number = self.operations.fetch_add(1, Ordering::Relaxed);
        format!("{:016x}-{number}", self.process)
    }

    /// Changes what is wanted of a connector. `change` is given what is there and its revision, and may be called several times.
    pub(super) async fn spec(
        &self,
        name: &ConnectorName,
        mut change: impl FnMut(Option<(&ConnectorSpec, u64)>) -> Result<Next<ConnectorSpec>, Status>,
    ) -> Result<Changed<ConnectorSpec>, Status> {
        let operation = self.operation();
        let stamped = |found: Option<(&ConnectorSpec, u64)>| {
            Ok(match change(found)? {
                Next::Keep => Next::Keep,
                Next::Put(spec) => Next::Put(ConnectorSpec {
                    writer: self.replica.clone(),
                    operation: operation.clone(),
                    ..spec
                }),
            })
        };
        let ours = |spec: &ConnectorSpec| spec.writer == self.replica && spec.operation == operation;
        let cached = self.cached(&Name::Spec(name.clone()));
        let names = (keys::Name::Spec(name.clone()), name.as_str());
        self.change(cached, names, stamped, ours).await
    }

    /// Changes the record of an agent, of which only the policy is not the leader's.
    pub(super) async fn agent(
        &self,
        id: &AgentId,
        change: impl FnMut(Option<(&AgentRecord, u64)>) -> Result<Next<AgentRecord>, Status>,
    ) -> Result<Changed<AgentRecord>, Status> {
        let cached = self.cached(&Name::Agent(id.clone()));
        let names = (keys::Name::Agent(id.as_str().into()), id.as_str());
        // Nothing in the record is our name; the same policy again changes nothing.
        self.change(cached, names, change, |_| false).await
    }

    /// Changes the levels of loggers that hold in the whole cluster.
    pub(super) async fn loggers(
        &self,
        mut change: impl FnMut(LoggerLevels) -> Result<LoggerLevels, Status>,
    ) -> Result<Changed<LoggerLevels>, Status> {
        let change = |found: Option<(&LoggerLevels, u64)>| {
            let found = found.map(|(levels, _)| levels.clone()).unwrap_or_default();
            change(found).map(Next::Put)
        };
        // The same level again changes nothing.
        self.change(None, (keys::Name::Loggers, "all"), change, |_| false).await
    }

    async fn change<R: Shared>(
        &self,
        mut found: Option<Found<R>>,
        (key, text): (keys::Name, &str),
        mut change: impl FnMut(Option<(&R, u64)>) -> Result<Next<R>, Status>,
        ours: impl Fn(&R) -> bool,
    ) -> Result<Changed<R>, Status> {
        let key = self.cache.keys().key(&key);
        // The cache may be behind: what it says is no reason to refuse.
        let mut newest = false;
        for _ in 0..ATTEMPTS {
            let next = match change(found.as_ref().map(|found| (&found.record, found.revision))) {
                Ok(Next::Put(next)) => next,
                // It may not be so any more, either.
                Ok(Next::Keep) | Err(_) if !newest => {
                    found = self.newest(&key, text).await?;
                    newest = true;
                    continue;
                }
                Ok(Next::Keep) => {
                    let found = found.ok_or_else(|| status::not_found(R::WHAT, text))?;
                    return Ok(Changed {
                        revision: found.revision,
                        record: found.record,
                    });
                }
                Err(status) => return Err(status),
            };
            match self.put(&key, found.as_ref(), &next, text).await? {
                Put::Committed(revision) => {
                    let record = next;
                    return Ok(Changed { revision, record });
                }
                Put::Conflict { current, unsure } => {
                    found = current;
                    newest = true;
                    if unsure
                        && let Some(found) = &found
                        && ours(&found.record)
                    {
                        return Ok(Changed {
                            revision: found.revision,
                            record: found.record.clone(),
                        });
                    }
                }
            }
        }
        Err(status::contended(R::WHAT, text))
    }

    /// Puts a record in the place of another, until it is known whether it was.
    async fn put<R: Shared>(
        &self,
        key: &Key,
        found: Option<&Found<R>>,
        next: &R,
        text: &str,
    ) -> Result<Put<R>, Status> {
        let rest = found.map(|found| found.rest.clone()).unwrap_or_default();
        let value = encode(next, &rest).map_err(|error| status::unreadable(R::WHAT, text, &error))?;
        let seen = Revision::new(found.map_or(0, |found| found.revision));
        let txn = Txn::new().if_modified(key, seen).put(key, value);
        let mut unsure = false;
        for _ in 0..ATTEMPTS {
            match self.store.txn(txn.clone()).await {
                Ok(TxnOutcome::Committed(revision)) => return Ok(Put::Committed(revision.get())),
                Ok(TxnOutcome::Conflict { mut current, .. }) => {
                    let entry = current.pop().flatten();
                    let current = entry.map(|entry| read(&entry, text)).transpose()?;
                    return Ok(Put::Conflict { current, unsure });
                }
                Err(Error::Unknown { .. }) => unsure = true,
                // Now it is known of this attempt, and still not of the one before.
                Err(error) if unsure && error.is_retryable() => {}
                Err(error) => return Err(status::store(&error)),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(status::unknown(R::WHAT, text))
    }

    fn cached<R: Known>(&self, name: &Name) -> Option<Found<R>> {
        let state = self.cache.now();
        let kept: &Kept = state.get(name)?;
        Some(Found {
            record: R::kept(&kept.record)?.clone(),
            revision: kept.revision.0,
            rest: kept.rest.clone(),
        })
    }

    async fn newest<R: Shared>(&self, key: &Key, text: &str) -> Result<Option<Found<R>>, Status> {
        let entry = self.store.get(key, Read::Linearizable).await;
        let entry = entry.map_err(|error| status::store(&error))?.value;
        entry.map(|entry| read(&entry, text)).transpose()
    }
}

enum Put<R> {
    Committed(u64),
    Conflict { current: Option<Found<R>>, unsure: bool },
}

fn read<R: Shared>(entry: &Entry, text: &str) -> Result<Found<R>, Status> {
    let (mut record, rest) = decode::<R>(&entry.value).map_err(|error| status::unreadable(R::WHAT, text, &error))?;
    record.found(entry);
    Ok(Found {
        record,
        revision: entry.mod_revision.get(),
        rest,
    })
}
