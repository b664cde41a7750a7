//! The Kafka port: the only crate that names rdkafka.
