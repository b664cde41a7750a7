//! What a record of ten fields costs in `AvroConverter`, in nanoseconds, once its schema is known: `cargo run --release -p dray-converters
//! --example avro_speed`. The registry is a stub, asked once.

mod speed;

const AVRO: &str = r#"{\"type\":\"record\",\"name\":\"Order\",\"namespace\":\"shop\",\"fields\":[{\"name\":\"id\",\"type\":\"long\"},{\"name\":\"name\",\"type\":\"string\"},{\"name\":\"email\",\"type\":\"string\"},{\"name\":\"ssn\",\"type\":\"string\"},{\"name\":\"qty\",\"type\":\"int\"},{\"name\":\"price\",\"type\":\"double\"},{\"name\":\"active\",\"type\":\"boolean\"},{\"name\":\"created\",\"type\":\"long\"},{\"name\":\"note\",\"type\":[\"null\",\"string\"],\"default\":null},{\"name\":\"country\",\"type\":\"string\"}]}"#;

fn main() {
    let mut speed = speed::Speed::new("Avro", "AVRO", AVRO);
    speed.encode();
    speed.decode("decode");
}
