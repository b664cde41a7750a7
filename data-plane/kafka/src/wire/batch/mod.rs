//! Record batches (v2) in bytes. Pure.

mod compress;
pub(crate) mod compression;
pub(crate) mod decode;
pub(crate) mod encode;
