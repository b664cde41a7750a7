//! Leads while it may: campaigns, runs the machine on what happens, and lets go when the term is lost or the process stops.
//!
//! Everything of a term lives in one future. When that is dropped nothing of the term is left but transactions that were sent, and those
//! compare with the term.

mod beat;
mod term;

use crate::board::Board;
use crate::cache::Cache;
use crate::desk::Desk;
use crate::state_file::StateFile;
use crate::{clock, codec};
use beat::Beat;
use dray_machine::cluster::Timing;
use dray_model::record::LeaderRecord;
use dray_model::{Millis, Term};
use dray_process::chain;
use dray_store::keys::Name;
use dray_store::{Leadership, MetadataStore, campaign};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;
use term::Running;
use tokio_util::sync::CancellationToken;

/// How long the leader's key outlives its leader: design (c), (3).
const TTL: Duration = Duration::from_secs(5);
/// How long a new leader waits for its own watch to reach its election. The lease is kept meanwhile.
const CATCH_UP: Duration = Duration::from_secs(30);
/// How long a replica that may not lead leaves the key to others.
const ABSTAIN: Duration = Duration::from_secs(5);
/// What may be left to do when a term ends, before it has to be a bug.
const LET_GO: Duration = Duration::from_secs(2);

/// A replica's part in who leads.
pub(crate) struct Candidate {
    pub(crate) store: Arc<dyn MetadataStore>,
    pub(crate) cache: Arc<Cache>,
    pub(crate) desk: Desk,
    pub(crate) board: Arc<Board>,
    pub(crate) state_file: Arc<StateFile>,
    pub(crate) record: LeaderRecord,
    pub(crate) timing: Timing,
}

/// Why a term ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The process stops.
    Stopped,
    /// The key or its lease is gone.
    Lost,
    /// The machine gave up.
    Resigned(&'static str),
    /// This replica may not lead.
    Unfit(String),
}

impl Candidate {
    /// Leads whenever it can, until the process stops.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        let key = self.cache.keys().key(&Name::Leader);
        while !stop.is_cancelled() {
            let value = match codec::encode_leader(&self.record) {
                Ok(value) => value,
                Err(error) => return tracing::error!(error = %chain(&error), "cannot say who leads: not a candidate"),
            };
            let elected = tokio::select! {
                () = stop.cancelled() => return,
                elected = campaign(&self.store, &key, value, TTL) => elected,
            };
            let mut leadership = match elected {
                Ok(leadership) => leadership,
                Err(error) => {
                    tracing::error!(error = %chain(&error), "could not campaign");
                    pause(ABSTAIN, &stop).await;
                    continue;
                }
            };
            tracing::info!(term = %leadership.term(), "elected");
            let ended = self.lead(&mut leadership, &stop).await;
            let term = leadership.term();
            match &ended {
                Ended::Stopped => tracing::info!(%term, "stopped leading: the process ends"),
                Ended::Lost => tracing::warn!(%term, "stopped leading: the term is lost"),
                Ended::Resigned(reason) => tracing::warn!(%term, reason, "stopped leading"),
                Ended::Unfit(reason) => tracing::error!(%term, reason, "cannot lead"),
            }
            if ended != Ended::Lost
                && let Err(error) = leadership.resign().await
            {
                tracing::warn!(%term, error = %chain(&error), "could not give the leader's key back: it ends by itself");
            }
            if matches!(ended, Ended::Unfit(_)) {
                pause(ABSTAIN, &stop).await;
            }
        }
    }

    async fn lead(&self, leadership: &mut Leadership, stop: &CancellationToken) -> Ended {
        let Some(term) = NonZeroU64::new(leadership.term().get()).map(Term::from) else {
            return Ended::Unfit("the leader's key was created at revision 0".into());
        };
        let beat = Beat {
            store: self.store.as_ref(),
            key: self.cache.keys().key(&Name::Leader),
            term: leadership.term(),
            lease: leadership.lease(),
            record: self.record.clone(),
        };
        let (valid, mut validity) = Beat::channel();
        let mut running = None;
        let ended = tokio::select! {
            () = stop.cancelled() => Ended::Stopped,
            () = leadership.lost() => Ended::Lost,
            () = beat.run(valid) => Ended::Lost,
            ended = async {
                let state = match self.cache.at_least(beat.term, CATCH_UP).await {
                    Ok(state) => state,
                    Err(error) => return Ended::Unfit(error.to_string()),
                };
                if let Err(reason) = self.state_file.may_lead(&state) {
                    return Ended::Unfit(reason);
                }
                // An agent that is heard before the first beat could only be sent away again.
                if validity.wait_for(|until| *until > Millis(0)).await.is_err() {
                    return Ended::Lost;
                }
                running.insert(Running::begin(self, term, state)).run(validity).await
            } => ended,
        };
        // Streams learn that nobody leads here, and say so to their agents.
        self.desk.stand_up();
        self.board.unheard(term, clock::now());
        if let Some(running) = running
            && tokio::time::timeout(LET_GO, running.end()).await.is_err()
        {
            // They await only the store, whose calls can be dropped at any point.
            tracing::error!(%term, "writes of the term did not end in time");
            std::process::abort();
        }
        ended
    }
}

async fn pause(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}
