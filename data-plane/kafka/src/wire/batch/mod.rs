//! Record batches (v2) in bytes. Pure.

mod checksum;
mod compress;
pub(crate) mod compression;
pub(crate) mod decode;
pub(crate) mod encode;
mod split;
