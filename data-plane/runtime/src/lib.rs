//! Runs connectors and tasks: life cycle, ack ledger, offsets, errors.
