//! Members of consumer groups under KIP-848: a few connections to each coordinator serve all of the process.

mod by_id;
mod consumer;
pub(crate) mod fallback;
mod machine;
mod member;
mod requests;
mod settings;

/// Reads bytes as each answer that is read by hand here, for the fuzz targets.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_any(bytes: &[u8]) {
    use crate::wire::reader::Reader;
    by_id::read_commit(Reader::new(bytes)).ok();
    by_id::read_fetch(Reader::new(bytes)).ok();
}
