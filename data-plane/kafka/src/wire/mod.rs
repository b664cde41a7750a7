//! Kafka's wire format in our own hands.

mod batch;
