//! What a record of ten fields costs in `JsonSchemaConverter`, in nanoseconds, once its schema is known: `cargo run --release -p dray-converters
//! --example json_schema_speed`. The registry is a stub, asked once.

mod speed;

const JSON: &str = r#"{\"type\":\"object\",\"title\":\"shop.Order\",\"properties\":{\"id\":{\"type\":\"integer\",\"connect.index\":0},\"name\":{\"type\":\"string\",\"connect.index\":1},\"email\":{\"type\":\"string\",\"connect.index\":2},\"ssn\":{\"type\":\"string\",\"connect.index\":3},\"qty\":{\"type\":\"integer\",\"connect.index\":4,\"connect.type\":\"int32\"},\"price\":{\"type\":\"number\",\"connect.index\":5},\"active\":{\"type\":\"boolean\",\"connect.index\":6},\"created\":{\"type\":\"integer\",\"connect.index\":7},\"note\":{\"oneOf\":[{\"type\":\"null\"},{\"type\":\"string\"}],\"connect.index\":8},\"country\":{\"type\":\"string\",\"connect.index\":9}}}"#;

fn main() {
    let mut speed = speed::Speed::new("JsonSchemaConverter", "JSON", JSON);
    speed.encode();
    speed.decode("decode");
    // As other writers have it: with blanks, and in another order.
    speed.change(|text| text.replace("\":", "\": ").replace(",\"", ", \""));
    speed.decode("decode with blanks");
    speed.change(|text| {
        let (members, last) = text.trim_end_matches('}').rsplit_once(", ").unwrap_or_default();
        format!("{}{last}, {}}}", &members[..1], &members[1..])
    });
    speed.decode("decode with the last field first");
}
