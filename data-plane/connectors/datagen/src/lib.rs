//! The datagen source and the blackhole sink.
