//! A watch of etcd as a watch of ours: whole revisions, and an end that says what to do.

use crate::convert::{entry, range_end, revision, signed, unsigned};
use crate::failure::{Asked, Failure};
use dray_store::{Change, Error, Key, KeyRange, Revision, Watch, WatchEvent};
use etcd_client::{Event, EventType, WatchOptions, WatchResponse, WatchStream};
use futures::stream;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Notify;

const DOING: &str = "watch etcd";
/// etcd gives an answer for no watch in particular this number.
const ANY_WATCH: i64 = -1;

struct Source {
    stream: WatchStream,
    /// Everything up to here was delivered, or waits in `ready`.
    after: Revision,
    /// What one message brought: bounded by the decode limit. etcd sends no more until it is taken, beyond the connection's window.
    ready: VecDeque<WatchEvent>,
    asked: Arc<Notify>,
    progress: bool,
    ended: bool,
}

pub(crate) fn options(range: &KeyRange, after: Revision) -> WatchOptions {
    // From the revision itself, whose events are dropped: a watch from the oldest revision that is kept could miss deletes of it
    // (etcd issue 19179), and one from the future could get what was before. 0 would mean "from now on".
    let start = signed(after).max(1);
    let options = WatchOptions::new().with_start_revision(start).with_progress_notify();
    match range_end(range) {
        Some(end) => options.with_range(end),
        None => options,
    }
}

pub(crate) fn events(stream: WatchStream, after: Revision, progress: bool) -> Watch {
    let asked = Arc::new(Notify::new());
    let source = Source {
        stream,
        after,
        ready: VecDeque::new(),
        asked: asked.clone(),
        progress,
        ended: false,
    };
    Watch::new(
        stream::unfold(source, |mut source| async move { Some((source.next().await?, source)) }),
        asked,
    )
}

impl Source {
    async fn next(&mut self) -> Option<Result<WatchEvent, Error>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            let message = tokio::select! {
                message = self.stream.message() => message,
                () = self.asked.notified(), if self.progress => {
                    // Its queue is as long as 100 requests; when that is full, etcd does not read, and the watch is about to end.
                    if let Err(error) = self.stream.request_progress().await {
                        return Some(Err(self.fail(Failure::of(error))));
                    }
                    continue;
                }
            };
            match message {
                Ok(Some(response)) => {
                    if let Err(error) = self.take(&response) {
                        return Some(Err(error));
                    }
                }
                Ok(None) => {
                    self.ended = true;
                    return Some(Err(Error::Unavailable {
                        doing: DOING,
                        source: "etcd ended the watch".into(),
                    }));
                }
                Err(error) => {
                    let failure = Failure::of(error);
                    // A watcher that is far behind gets up to a thousand revisions in one message. Asking again would bring the same
                    // message again; a list has pages.
                    if matches!(failure, Failure::TooLarge(_)) {
                        self.ended = true;
                        return Some(Ok(WatchEvent::Compacted {
                            oldest: Revision::NEVER,
                        }));
                    }
                    return Some(Err(self.fail(failure)));
                }
            }
        }
    }

    fn fail(&mut self, failure: Failure) -> Error {
        self.ended = true;
        failure.into_error(
            DOING,
            Asked {
                revision: self.after,
                lease: None,
            },
            true,
        )
    }

    fn take(&mut self, response: &WatchResponse) -> Result<(), Error> {
        if response.canceled() {
            self.ended = true;
            // Comes after a `created` that looked like success, and with an empty reason.
            if response.compact_revision() > 0 {
                self.ready.push_back(WatchEvent::Compacted {
                    oldest: unsigned(response.compact_revision()),
                });
                return Ok(());
            }
            let reason = response.cancel_reason();
            let source = format!("etcd cancelled the watch: {reason}").into();
            return Err(
                match reason.contains("permission denied") || reason.contains("auth token") {
                    true => Error::Denied { doing: DOING, source },
                    false => Error::Unavailable { doing: DOING, source },
                },
            );
        }
        if response.created() {
            return Ok(());
        }
        if response.events().is_empty() {
            // One that was asked for is answered for all watches of the stream; ours has only one.
            let reached = revision(response.header());
            if reached > self.after && (response.watch_id() != ANY_WATCH || self.progress) {
                self.after = reached;
                self.ready.push_back(WatchEvent::Progress { revision: reached });
            }
            return Ok(());
        }
        // Several revisions, each whole: the fragment flag, which would cut them, is off.
        let mut changes = Vec::new();
        let mut at = Revision::NEVER;
        let after = self.after;
        let new = response
            .events()
            .iter()
            .filter_map(change)
            .filter(|(modified, _)| *modified > after);
        for (modified, change) in new {
            if modified != at {
                self.flush(at, &mut changes);
                at = modified;
            }
            changes.push(change);
        }
        self.flush(at, &mut changes);
        Ok(())
    }

    fn flush(&mut self, revision: Revision, changes: &mut Vec<Change>) {
        if !changes.is_empty() {
            self.after = revision;
            self.ready.push_back(WatchEvent::Batch {
                revision,
                changes: std::mem::take(changes),
            });
        }
    }
}

fn change(event: &Event) -> Option<(Revision, Change)> {
    let found = event.kv()?;
    let modified = unsigned(found.mod_revision());
    Some(match event.event_type() {
        EventType::Put => (modified, Change::Put(entry(found.clone()))),
        EventType::Delete => (modified, Change::Delete(Key::from_stored(found.key().to_vec()))),
    })
}
