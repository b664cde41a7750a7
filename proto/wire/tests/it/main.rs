//! What goes into the wire comes out of it, and nothing else does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, wherever the call stands")]

mod admin;
mod agent;
mod given;
mod store;
mod tasks;
