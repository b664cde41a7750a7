//! Any bytes as an answer to a produce request, or to one that commits or asks for offsets: read to the end or refused, and nothing else.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| dray_kafka::fuzzing::answered(bytes));
