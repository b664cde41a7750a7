//! Confluent's transformations, under Confluent's names and with its keys.
//!
//! Their jars are not to be had without Confluent's hub, so nothing here is compared with the real classes: the contract is what
//! Confluent documents, and each documented example is a test. Where the documents are silent, the nearest transformation of
//! Apache's decides.

mod drop;
mod extract_topic;
mod gzip_decompress;
mod message_timestamp_router;
mod tombstone_handler;

use crate::registry::TransformationKind;

/// All of them.
pub(super) const KINDS: &[TransformationKind] = &[
    drop::KIND,
    extract_topic::KIND,
    extract_topic::HEADER,
    gzip_decompress::KIND,
    message_timestamp_router::KIND,
    tombstone_handler::KIND,
];
