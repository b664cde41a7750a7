//! One node of Kafka in the process, for quickstart and for tests with scripted faults.
