//! Scenarios: the main path, then one for each rule of the protocol.

mod check;
mod main_path;
mod world;
