//! The plugins an agent has, and the thin driver that runs a standalone worker.
