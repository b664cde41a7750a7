//! Producing: lanes encode records into open batches, one sender per set of settings gathers what is ready of all its lanes into requests.

mod answer;
mod identity;
mod inbox;
mod lane;
mod lane_state;
mod outbox;
mod places;
mod producers;
mod request;
mod sender;
mod settings;
mod topics;
mod track;

pub(crate) use producers::Producers;

/// Reads bytes as an answer of each version, for the fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_any(bytes: &bytes::Bytes) {
    for version in request::VERSIONS {
        answer::decode(bytes, version).ok();
    }
}
