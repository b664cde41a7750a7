//! What a record of ten fields costs `ProtobufConverter`, in nanoseconds, once its schema is known: `cargo run --release -p dray-converters
//! --example protobuf_speed`. The registry is a stub, asked once.

mod speed;

const PROTO: &str = r#"syntax = \"proto3\"; package shop; message Order { int64 id = 1; string name = 2; string email = 3; string ssn = 4; int32 qty = 5; double price = 6; bool active = 7; int64 created = 8; string note = 9; string country = 10; }"#;

fn main() {
    let mut speed = speed::Speed::new("ProtobufConverter", "PROTOBUF", PROTO);
    speed.encode();
    speed.decode("decode");
}
