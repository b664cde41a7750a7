//! The connector API: all that the author of a connector reads.
