//! Any bytes as an answer to a fetch, and as record batches: read to the end or refused, and nothing else.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| dray_kafka::fuzzing::fetched(bytes));
