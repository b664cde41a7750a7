//! What all reads share: how new an answer is, and pages.

use super::Services;
use crate::board;
use crate::cache::State;
use crate::{clock, status};
use dray_model::ConnectorName;
use dray_store::Revision;
use dray_wire::admin::v1;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;

/// How long a read waits for the replica to be as new as it was asked to be. Longer than an election of etcd.
const WITHIN: Duration = Duration::from_secs(10);
/// The most entries of a page.
const PAGE: usize = 1_000;
/// The most bytes of a page, as clients take 4 MiB unless told otherwise.
const PAGE_BYTES: usize = 1 << 20;

impl Services {
    /// What this replica knows, as new as asked for.
    pub(super) async fn state(&self, consistency: Option<v1::Consistency>) -> Result<Arc<State>, Status> {
        let asked = consistency.unwrap_or_default();
        let mut state = if asked.linearizable {
            self.cache.linearizable(WITHIN).await?
        } else {
            self.cache.now()
        };
        if state.revision < Revision::new(asked.min_revision) {
            state = self.cache.at_least(Revision::new(asked.min_revision), WITHIN).await?;
        }
        Ok(state)
    }
}

/// How new statuses are that go with a state of the store.
pub(super) fn freshness(state: &State, board: board::Freshness) -> v1::Freshness {
    let (term, stale_ms) = match board {
        board::Freshness::Fresh(term) => (Some(term), None),
        board::Freshness::Stale { term, since } => (term, Some(clock::now().since(since))),
    };
    let age = Duration::from_millis(stale_ms.unwrap_or_default());
    v1::Freshness {
        revision: state.revision.get(),
        term: term.map_or(0, |term| term.get()),
        stale: stale_ms.is_some(),
        age: age.try_into().ok(),
    }
}

pub(super) fn connector_name(field: &str, name: &str) -> Result<ConnectorName, Status> {
    ConnectorName::try_from(name).map_err(|error| status::invalid(field, error))
}

/// A page of a list that is ordered by key: what `entry` makes of the items whose keys come after the token, and the next token, which is
/// the `key` of the last of them.
pub(super) fn page<T, M: Message>(
    page: Option<&v1::Page>,
    items: impl IntoIterator<Item = T>,
    is_after: impl Fn(&T, &str) -> bool,
    key: impl Fn(&T) -> String,
    mut entry: impl FnMut(&T) -> M,
) -> (Vec<M>, String) {
    let (size, token) = page.map_or((0, ""), |page| (page.size as usize, page.token.as_str()));
    let size = if size == 0 { PAGE } else { size.min(PAGE) };
    let mut entries = Vec::new();
    let mut bytes = 0;
    let mut last: Option<T> = None;
    for item in items {
        if !token.is_empty() && !is_after(&item, token) {
            continue;
        }
        if let Some(last) = &last
            && (entries.len() == size || bytes >= PAGE_BYTES)
        {
            return (entries, key(last));
        }
        let entry = entry(&item);
        bytes += entry.encoded_len();
        entries.push(entry);
        last = Some(item);
    }
    (entries, String::new())
}
