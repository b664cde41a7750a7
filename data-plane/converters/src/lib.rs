//! Converters between Kafka's bytes and Connect's values.
