//! Scenarios: the main path, then one for each rule of the protocol and of fencing.

mod asked;
mod breaker;
mod check;
mod fencing;
mod main_path;
mod random;
mod sessions;
mod starts;
mod tasks;
mod world;
