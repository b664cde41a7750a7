//! The topics that connectors have used (KIP-558): read from what this replica knows, reset in the store. The leader adds to them
//! (`gathered.rs`).

use super::Services;
use super::read::connector_name;
use crate::cache::State;
use crate::status;
use dray_model::record::ActiveTopics;
use dray_store::keys::Name;
use dray_store::{Error, Read, Revision, Txn, TxnOutcome};
use dray_wire::admin::v1;
use dray_wire::store::{Rest, decode, encode};
use std::time::Duration;
use tonic::Status;

/// Agents may add topics that often while we forget them: each adds once in seconds.
const ATTEMPTS: usize = 10;
/// Between two attempts whose outcome is unknown.
const PAUSE: Duration = Duration::from_millis(100);

impl Services {
    pub(super) async fn active_topics(
        &self,
        request: v1::GetActiveTopicsRequest,
    ) -> Result<v1::GetActiveTopicsResponse, Status> {
        let name = connector_name("name", &request.name)?;
        let state = self.state(request.consistency).await?;
        tracked(&state)?;
        state.spec(&name).ok_or_else(|| status::not_found("connector", &name))?;
        Ok(v1::GetActiveTopicsResponse {
            revision: state.revision.get(),
            topics: state
                .topics(&name)
                .map(|(_, used)| used.topics.iter().cloned().collect())
                .unwrap_or_default(),
        })
    }

    pub(super) async fn forget_topics(&self, name: &str) -> Result<v1::ResetActiveTopicsResponse, Status> {
        let name = connector_name("name", name)?;
        let state = self.state(None).await?;
        tracked(&state)?;
        if !says(&state, "topic.tracking.allow.reset") {
            let text = "Topic tracking reset is disabled.";
            return Err(status::precondition("TOPIC_RESET_DISABLED", text));
        }
        let key = self.cache.keys().key(&Name::Topics(name.clone()));
        let spec = self.cache.keys().key(&Name::Spec(name.clone()));
        let store = self.writer.store();
        let mut unsure = false;
        for _ in 0..ATTEMPTS {
            let found = store.get(&spec, Read::Linearizable).await;
            let found = found.map_err(|error| status::store(&error))?;
            let created = match &found.value {
                Some(entry) => entry.create_revision,
                None => return Err(status::not_found("connector", &name)),
            };
            let found = store.get(&key, Read::Linearizable).await;
            let found = found.map_err(|error| status::store(&error))?;
            let (rest, modified) = match &found.value {
                None => (Rest::default(), Revision::NEVER),
                Some(entry) => {
                    let read = decode::<ActiveTopics>(&entry.value);
                    let (used, rest) = read.map_err(|error| status::unreadable("topics of", &name, &error))?;
                    if used.topics.is_empty() {
                        let revision = found.revision.get();
                        return Ok(v1::ResetActiveTopicsResponse { revision });
                    }
                    (rest, entry.mod_revision)
                }
            };
            if modified == Revision::NEVER {
                let revision = found.revision.get();
                return Ok(v1::ResetActiveTopicsResponse { revision });
            }
            let none = encode(&ActiveTopics::default(), &rest);
            let none = none.map_err(|error| status::unreadable("topics of", &name, &error))?;
            let txn = Txn::new()
                .if_created(&spec, created)
                .if_modified(&key, modified)
                .put(&key, none);
            match store.txn(txn).await {
                Ok(TxnOutcome::Committed(revision)) => {
                    let revision = revision.get();
                    return Ok(v1::ResetActiveTopicsResponse { revision });
                }
                Ok(TxnOutcome::Conflict { .. }) => {}
                // Looking again says whether it was done: forgotten is forgotten.
                Err(Error::Unknown { .. }) => unsure = true,
                Err(error) if unsure && error.is_retryable() => {}
                Err(error) => return Err(status::store(&error)),
            }
            tokio::time::sleep(PAUSE).await;
        }
        Err(status::contended("topics of", &name))
    }
}

fn tracked(state: &State) -> Result<(), Status> {
    match says(state, "topic.tracking.enable") {
        true => Ok(()),
        false => Err(status::precondition(
            "TOPIC_TRACKING_DISABLED",
            "Topic tracking is disabled.",
        )),
    }
}

/// What the worker configuration says of a flag that is on unless it says otherwise.
fn says(state: &State, key: &str) -> bool {
    let meta = state.meta();
    let value = meta.and_then(|meta| meta.record.worker.get(key));
    value.is_none_or(|value| !value.trim().eq_ignore_ascii_case("false"))
}
