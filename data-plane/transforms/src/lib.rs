//! Single message transforms and predicates, to the letter of Kafka Connect's own.

pub mod simple_date_format;
