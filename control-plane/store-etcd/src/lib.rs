//! The metadata store on etcd, 3.4 or newer. The only crate that names etcd-client; nothing of it shows.
//!
//! Reads are linearizable and are tried again, on whichever member answers, until the call's time is over. A transaction is sent again
//! only if it surely never arrived; otherwise its outcome is unknown, and the caller reads before it goes on.

mod config;
mod convert;
mod failure;
mod watch;

pub use config::{EtcdConfig, Tls, User};

use async_trait::async_trait;
use convert::{entry, range_end, revision};
use dray_store::{
    Check, Entry, Error, Key, KeyRange, Lease, LeaseId, LeaseKind, ListPage, MetadataStore, Op, Page, Read, Revision,
    Txn, TxnOutcome, Versioned, Watch,
};
use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, GetOptions, KvClient, PutOptions, TxnOp, TxnOpResponse, WatchClient,
};
use failure::{Asked, Failure};
use futures::future::{BoxFuture, FutureExt};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What one message may hold: tonic would refuse more than 4 MiB, and the largest single value is 1.5 MiB.
const DECODE_LIMIT: usize = 32 << 20;
/// The pause after the first failed attempt, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(200));

/// A client of an etcd cluster. It spawns nothing; dropping it closes its connections.
pub struct EtcdStore {
    client: Client,
    kv: KvClient,
    watch: WatchClient,
    config: EtcdConfig,
    /// Whether a requested progress notification means what it says, on every member.
    progress: bool,
}

/// Whether a call may be made again when nobody knows whether it was made.
#[derive(Clone, Copy, PartialEq)]
enum Again {
    /// Reading, and whatever is the same twice as once.
    Harmless,
    /// Writing.
    OnlyIfNotDone,
}

impl EtcdStore {
    /// Connects. At least one member has to answer, and all that do must be of a supported version.
    pub async fn connect(config: EtcdConfig) -> Result<Self, Error> {
        const DOING: &str = "connect to etcd";
        let end = Instant::now() + config.timeout;
        let connect = |endpoints: Vec<String>| {
            let options = config.options();
            async move {
                timeout_at(end, Client::connect(endpoints, Some(options)))
                    .await
                    .unwrap_or_else(|_| Err(timed_out()))
            }
        };
        let told = |error| Failure::of(error).into_error(DOING, Asked::default(), true);
        // Each member by itself: which one will serve a watch is not ours to choose.
        let versions = config.endpoints.iter().map(|endpoint| async {
            let mut client = connect(vec![endpoint.clone()]).await?;
            let status = timeout_at(end, client.status())
                .await
                .unwrap_or_else(|_| Err(timed_out()))?;
            Ok::<_, etcd_client::Error>(status.version().to_owned())
        });
        let mut silent = None;
        let mut progress = true;
        let mut answered = 0;
        for (endpoint, version) in config.endpoints.iter().zip(futures::future::join_all(versions).await) {
            match version {
                Ok(version) if convert::supported(&version) => {
                    answered += 1;
                    progress &= convert::progress_can_be_trusted(&version);
                }
                Ok(version) => {
                    let reason = format!("{endpoint} is etcd {version}; at least 3.4 is needed");
                    return Err(Error::Refused {
                        doing: DOING,
                        source: reason.into(),
                    });
                }
                Err(error) => {
                    progress = false;
                    let error = told(error);
                    // Wrong credentials are wrong everywhere; a member that is down may come back.
                    if !error.is_retryable() {
                        return Err(error);
                    }
                    silent = Some(error);
                }
            }
        }
        if let (0, Some(error)) = (answered, silent) {
            return Err(error);
        }
        let client = connect(config.endpoints.clone()).await.map_err(told)?;
        let kv = client.kv_client().max_decoding_message_size(DECODE_LIMIT);
        let watch = client.watch_client().max_decoding_message_size(DECODE_LIMIT);
        Ok(Self {
            client,
            kv,
            watch,
            config,
            progress,
        })
    }

    /// Whether this etcd answers [`Watch::request_progress`]: 3.4.31, 3.5.13 and newer do.
    #[must_use]
    pub fn answers_progress(&self) -> bool {
        self.progress
    }

    /// Attempts until one succeeds, fails for good, or the time is over.
    async fn call<'a, T>(
        &'a self,
        doing: &'static str,
        asked: Asked,
        again: Again,
        attempt: impl Fn() -> BoxFuture<'a, Result<T, etcd_client::Error>> + Send + Sync,
    ) -> Result<T, Error> {
        self.attempts(again, attempt)
            .await
            .map_err(|failure| failure.into_error(doing, asked, again == Again::Harmless))
    }

    async fn attempts<'a, T>(
        &'a self,
        again: Again,
        attempt: impl Fn() -> BoxFuture<'a, Result<T, etcd_client::Error>> + Send + Sync,
    ) -> Result<T, Failure> {
        let end = Instant::now() + self.config.timeout;
        let mut pause = PAUSES.0;
        loop {
            // A write waits: giving up early would only make its outcome unknown.
            let until = match again {
                Again::Harmless => end.min(Instant::now() + self.config.attempt),
                Again::OnlyIfNotDone => end,
            };
            let failure = match timeout_at(until, attempt()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => Failure::of(error),
                Err(_) => Failure::timed_out(),
            };
            if !failure.try_again(again == Again::Harmless) || Instant::now() + pause >= end {
                return Err(failure);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
            if matches!(failure, Failure::OldToken(_))
                && let Ok(Err(error)) = timeout_at(end, self.client.refresh_token()).await
            {
                return Err(Failure::of(error));
            }
        }
    }

    async fn get_with(&self, key: &Key, options: GetOptions) -> Result<Versioned<Option<Entry>>, Error> {
        let mut response = self
            .call("read a key from etcd", Asked::default(), Again::Harmless, || {
                let (mut kv, key, options) = (self.kv.clone(), key.as_bytes().to_vec(), options.clone());
                async move { kv.get(key, Some(options)).await }.boxed()
            })
            .await?;
        Ok(Versioned {
            revision: revision(response.header()),
            value: response.take_kvs().pop().map(entry),
        })
    }
}

fn timed_out() -> etcd_client::Error {
    etcd_client::Error::IoError(std::io::ErrorKind::TimedOut.into())
}

#[async_trait]
impl MetadataStore for EtcdStore {
    async fn get(&self, key: &Key, read: Read) -> Result<Versioned<Option<Entry>>, Error> {
        if let Read::AtLeast(asked) = read {
            let near = self.get_with(key, GetOptions::new().with_serializable()).await?;
            if near.revision >= asked {
                return Ok(near);
            }
        }
        let found = self.get_with(key, GetOptions::new()).await?;
        match read {
            Read::AtLeast(asked) if found.revision < asked => Err(Error::Behind {
                asked,
                current: found.revision,
            }),
            Read::AtLeast(_) | Read::Linearizable => Ok(found),
        }
    }

    async fn list(&self, range: &KeyRange, page: Page) -> Result<ListPage, Error> {
        const DOING: &str = "list keys in etcd";
        let (start, end) = (range.as_bytes(), range_end(range));
        let from = match (&page.after, range) {
            (None, _) => start.to_vec(),
            (Some(after), KeyRange::Below(_)) => [after.as_bytes(), &[0]].concat(),
            // There is only one.
            (Some(_), KeyRange::Only(_)) => {
                return Err(Error::Refused {
                    doing: DOING,
                    source: "a key has no second page".into(),
                });
            }
        };
        let asked = Asked {
            revision: page.at.unwrap_or_default(),
            lease: None,
        };
        let mut limit = page.limit.max(1);
        let mut response = loop {
            let count = i64::try_from(limit).unwrap_or(i64::MAX);
            let options = GetOptions::new()
                .with_limit(count)
                .with_revision(convert::signed(asked.revision));
            let options = end.clone().map_or(options.clone(), |end| options.with_range(end));
            let answer = self.attempts(Again::Harmless, || {
                let (mut kv, from, options) = (self.kv.clone(), from.clone(), options.clone());
                async move { kv.get(from, Some(options)).await }.boxed()
            });
            match answer.await {
                Ok(response) => break response,
                // etcd counts entries and not bytes: what does not fit is asked for in smaller pages.
                Err(Failure::TooLarge(_)) if limit > 1 => limit = (limit / 4).max(1),
                Err(failure) => return Err(failure.into_error(DOING, asked, true)),
            }
        };
        let revision = page.at.unwrap_or(revision(response.header()));
        let more = response.more();
        let entries: Vec<Entry> = response.take_kvs().into_iter().map(entry).collect();
        let after = entries.last().filter(|_| more).map(|entry| entry.key.clone());
        let next = after.map(|after| Page {
            at: Some(revision),
            after: Some(after),
            limit,
        });
        Ok(ListPage {
            revision,
            entries,
            next,
        })
    }

    async fn txn(&self, txn: Txn) -> Result<TxnOutcome, Error> {
        txn.validate()?;
        let asked = Asked {
            lease: txn.leases().next(),
            ..Asked::default()
        };
        let response = self
            .call("write a transaction to etcd", asked, Again::OnlyIfNotDone, || {
                let (mut kv, txn) = (self.kv.clone(), request(&txn));
                async move { kv.txn(txn).await }.boxed()
            })
            .await?;
        let revision = revision(response.header());
        if response.succeeded() {
            return Ok(TxnOutcome::Committed(revision));
        }
        let current = response
            .op_responses()
            .into_iter()
            .filter_map(|response| match response {
                TxnOpResponse::Get(mut get) => Some(get.take_kvs().pop().map(entry)),
                TxnOpResponse::Put(_) | TxnOpResponse::Delete(_) | TxnOpResponse::Txn(_) => None,
            });
        Ok(TxnOutcome::Conflict {
            revision,
            current: current.collect(),
        })
    }

    async fn watch(&self, range: &KeyRange, after: Revision) -> Result<Watch, Error> {
        let stream = self
            .call(
                "watch etcd",
                Asked {
                    revision: after,
                    lease: None,
                },
                Again::Harmless,
                || {
                    let (mut client, key) = (self.watch.clone(), range.as_bytes().to_vec());
                    let options = watch::options(range, after);
                    async move { client.watch(key, Some(options)).await }.boxed()
                },
            )
            .await?;
        Ok(watch::events(stream, after, self.progress))
    }

    async fn grant(&self, ttl: Duration, _kind: LeaseKind) -> Result<Lease, Error> {
        let seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let seconds = i64::try_from(seconds.max(1)).unwrap_or(i64::MAX);
        // Granted twice, the first one ends by itself.
        let response = self
            .call("be granted a lease by etcd", Asked::default(), Again::Harmless, || {
                let mut client = self.client.lease_client();
                async move { client.grant(seconds, None).await }.boxed()
            })
            .await?;
        let ttl = Duration::from_secs(u64::try_from(response.ttl()).unwrap_or_default());
        Ok(Lease {
            id: convert::lease(response.id()),
            ttl,
        })
    }

    async fn keep_alive(&self, lease: LeaseId) -> Result<(), Error> {
        let asked = Asked {
            lease: Some(lease),
            ..Asked::default()
        };
        self.call("keep a lease alive in etcd", asked, Again::Harmless, || {
            let mut client = self.client.lease_client();
            async move { client.keep_alive(convert::lease_number(lease)).await.map(|_| ()) }.boxed()
        })
        .await
    }

    async fn revoke(&self, lease: LeaseId) -> Result<(), Error> {
        let asked = Asked {
            lease: Some(lease),
            ..Asked::default()
        };
        let revoked = self.call("end a lease in etcd", asked, Again::Harmless, || {
            let mut client = self.client.lease_client();
            async move { client.revoke(convert::lease_number(lease)).await.map(|_| ()) }.boxed()
        });
        match revoked.await {
            Err(Error::LeaseNotFound { .. }) => Ok(()),
            other => other,
        }
    }
}

/// The transaction in etcd's words. Where a compare does not hold, the compared keys are read instead.
fn request(txn: &Txn) -> etcd_client::Txn {
    let compares: Vec<Compare> = txn
        .compares
        .iter()
        .map(|compare| {
            let key = compare.key.as_bytes();
            match compare.check {
                Check::Created(revision) => Compare::create_revision(key, CompareOp::Equal, convert::signed(revision)),
                Check::Modified(revision) => Compare::mod_revision(key, CompareOp::Equal, convert::signed(revision)),
            }
        })
        .collect();
    let reads: Vec<TxnOp> = txn
        .compares
        .iter()
        .map(|compare| TxnOp::get(compare.key.as_bytes(), None))
        .collect();
    let ops: Vec<TxnOp> = txn
        .ops
        .iter()
        .map(|op| match op {
            Op::Put { key, value, lease } => {
                let options = lease.map(|lease| PutOptions::new().with_lease(convert::lease_number(lease)));
                TxnOp::put(key.as_bytes(), value.to_vec(), options)
            }
            Op::Delete(range) => {
                let options = range_end(range).map(|end| DeleteOptions::new().with_range(end));
                TxnOp::delete(range.as_bytes(), options)
            }
        })
        .collect();
    etcd_client::Txn::new().when(compares).and_then(ops).or_else(reads)
}
