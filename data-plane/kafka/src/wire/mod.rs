//! The port in Kafka's own wire format: connections that all tasks of the process share, and what is done per record without a client
//! library. What it does not speak (Kerberos, PKCS12 key stores, ...) is left to librdkafka.

pub(crate) mod batch;
pub(crate) mod cluster;
pub(crate) mod connection;
pub(crate) mod dial;
pub(crate) mod fetch;
pub(crate) mod frame;
pub(crate) mod group;
mod low_water;
pub(crate) mod metadata;
pub(crate) mod oauth;
pub(crate) mod produce;
pub(crate) mod reader;
pub(crate) mod sasl;
pub(crate) mod security;
pub(crate) mod timing;
