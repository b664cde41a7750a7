//! The dray binary.
fn main() {}
