//! Record batches (v2) in bytes. Pure.

pub(crate) mod compression;
pub(crate) mod decode;
