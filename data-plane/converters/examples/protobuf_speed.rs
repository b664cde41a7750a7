//! What a record of ten fields costs `ProtobufConverter`, in nanoseconds, once its schema is known: `cargo run --release -p dray-converters
//! --example protobuf_speed`. The registry is a stub, asked once.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example for developers")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::time::Instant;

use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, Field};
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_converters::{Converter, Input, Written, converter};

const BATCH: usize = 500;
const ROUNDS: usize = 2_000;

fn schema() -> SchemaRef {
    let fields = [
        ("id", Schema::int64()),
        ("name", Schema::string()),
        ("email", Schema::string()),
        ("ssn", Schema::string()),
        ("qty", Schema::int32()),
        ("price", Schema::float64()),
        ("active", Schema::boolean()),
        ("created", Schema::int64()),
        ("note", Schema::optional_string()),
        ("country", Schema::string()),
    ];
    let builder = SchemaBuilder::struct_().name("shop.Order");
    let builder = fields
        .into_iter()
        .fold(builder, |builder, (name, schema)| builder.field(name, schema));
    builder.build().unwrap()
}

const PROTO: &str = r#"syntax = \"proto3\"; package shop; message Order { int64 id = 1; string name = 2; string email = 3; string ssn = 4; int32 qty = 5; double price = 6; bool active = 7; int64 created = 8; string note = 9; string country = 10; }"#;

/// Answers whatever it is asked for with the id, the schema and no versions.
fn stub() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // Ends with the process.
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).unwrap() > 2 {
                let lower = line.to_ascii_lowercase();
                length = lower
                    .strip_prefix("content-length:")
                    .map_or(length, |n| n.trim().parse().unwrap());
                line.clear();
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            let body = format!(r#"{{"id":1,"schemaType":"PROTOBUF","schema":"{PROTO}"}}"#);
            let head = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    url
}

fn record(batch: &mut Backing, schema: &SchemaRef, number: usize) -> Field {
    let random = number * 7919 % 100_000;
    let fields = [
        Datum::Int64(1_000_000 + number as i64),
        batch.text(&format!("customer {random:06}")),
        batch.text(&format!("user{random}@example.com")),
        batch.text(&format!("{:03}-12-3456", random % 900 + 100)),
        Datum::Int32(random as i32 % 97),
        Datum::Float64(random as f64 + 0.99),
        Datum::Boolean(random.is_multiple_of(2)),
        Datum::Int64(1_700_000_000_000 + random as i64),
        batch.text(&format!("an order of the shop in the high street {random}")),
        batch.text("DE"),
    ];
    let id = batch.schema(schema);
    Field {
        schema: Some(id),
        datum: batch.record(id, &fields).unwrap(),
    }
}

fn encode(
    converter: &mut dyn Converter,
    field: Field,
    batch: &Backing,
    out: &mut Vec<u8>,
) -> Option<std::ops::Range<usize>> {
    let (schema, value) = field.view(batch);
    match converter.from_connect("orders", schema, value, out) {
        Ok(Written::Scratch(range)) => Some(range),
        Ok(_) => None,
        Err(error) => {
            assert!(error.is_retriable(), "{error}");
            None
        }
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let config = BTreeMap::from([("schema.registry.url".to_owned(), stub())]);
    let mut converter = converter("Protobuf", &config, false).unwrap();
    let mut source = Backing::default();
    let schema = schema();
    let records: Vec<Field> = (0..BATCH).map(|number| record(&mut source, &schema, number)).collect();
    let mut out = Vec::new();
    assert!(encode(&mut *converter, records[0], &source, &mut out).is_none());
    runtime.block_on(converter.lookup().unwrap());

    let mut ranges = Vec::new();
    let mut least = f64::MAX;
    for _ in 0..ROUNDS {
        out.clear();
        ranges.clear();
        let began = Instant::now();
        for field in &records {
            ranges.push(encode(&mut *converter, *field, &source, &mut out).unwrap());
        }
        least = least.min(began.elapsed().as_nanos() as f64 / BATCH as f64);
    }
    println!("{} bytes a record", out.len() / BATCH);
    println!("encode: {least:.0} ns a record");

    let block = bytes::Bytes::from(out);
    let mut batch = Backing::default();
    let mut least = f64::MAX;
    for round in 0..ROUNDS {
        batch.clear();
        let whole = batch.adopt(block.clone());
        let began = Instant::now();
        for range in &ranges {
            let input = Input {
                bytes: &block[range.clone()],
                span: whole.slice(range.start, range.end),
            };
            match converter.to_connect("orders", Some(input), &mut batch) {
                Ok(field) => drop(std::hint::black_box(field)),
                Err(_) => {
                    runtime.block_on(converter.lookup().unwrap());
                    break;
                }
            }
        }
        if round > 0 {
            least = least.min(began.elapsed().as_nanos() as f64 / BATCH as f64);
        }
    }
    println!("decode: {least:.0} ns a record");
}
