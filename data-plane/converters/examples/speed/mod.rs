//! A converter with its registry, mostly a stub, and a batch of records that go through it.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example for developers")]
#![allow(dead_code, reason = "each of the examples needs a part of it")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::ops::Range;
use std::time::Instant;

use dray_connect::backing::Backing;
use dray_connect::datum::{Datum, Field};
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_converters::{Converter, Input, Written, converter};
use tokio::runtime::Runtime;

const BATCH: usize = 500;
const ROUNDS: usize = 2_000;
/// Before the value: a zero, and the id of its schema.
const PREFIX: usize = 5;

pub(crate) struct Speed {
    runtime: Runtime,
    converter: Box<dyn Converter>,
    topic: String,
    source: Backing,
    records: Vec<Field>,
    /// Where they are read into.
    batch: Backing,
    /// What was written.
    out: Vec<u8>,
    ranges: Vec<Range<usize>>,
}

impl Speed {
    /// A converter by its class, with one schema of that kind in its registry, as it stands within JSON.
    pub(crate) fn new(class: &str, kind: &str, schema: &str) -> Self {
        let body = format!(r#"{{"id":1,"schemaType":"{kind}","schema":"{schema}"}}"#);
        Self::with(class, &stub(body), "orders")
    }

    /// A converter with the registry behind that URL, and a batch of records that it has written there and back.
    pub(crate) fn with(class: &str, url: &str, topic: &str) -> Self {
        let config = BTreeMap::from([("schema.registry.url".to_owned(), url.to_owned())]);
        let (mut source, schema) = (Backing::default(), order());
        let records = (0..BATCH).map(|number| record(&mut source, &schema, number)).collect();
        let mut speed = Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            converter: converter(class, &config, false).unwrap(),
            topic: topic.to_owned(),
            source,
            records,
            batch: Backing::default(),
            out: Vec::new(),
            ranges: Vec::new(),
        };
        while !speed.write() {
            speed.look_up();
        }
        let block = bytes::Bytes::from(speed.out.clone());
        while !speed.read(&block) {
            speed.look_up();
        }
        speed
    }

    /// Writes the records again and again, and says what the fastest round took.
    pub(crate) fn encode(&mut self) {
        let mut least = f64::MAX;
        for _ in 0..ROUNDS {
            least = least.min(self.encode_mean(BATCH));
        }
        println!("{} bytes a record", self.out.len() / BATCH);
        println!("encode: {least:.0} ns a record");
    }

    /// Reads what was written, and says what the fastest round took.
    pub(crate) fn decode(&mut self, what: &str) {
        let mut least = f64::MAX;
        for _ in 0..ROUNDS {
            least = least.min(self.decode_mean(BATCH));
        }
        println!("{what}: {least:.0} ns a record");
    }

    /// Nanoseconds for each of at least so many records, which are written batch by batch.
    pub(crate) fn encode_mean(&mut self, records: usize) -> f64 {
        let rounds = records.div_ceil(BATCH);
        let began = Instant::now();
        for _ in 0..rounds {
            assert!(self.write());
        }
        began.elapsed().as_nanos() as f64 / (rounds * BATCH) as f64
    }

    /// The same of reading what was written.
    pub(crate) fn decode_mean(&mut self, records: usize) -> f64 {
        let rounds = records.div_ceil(BATCH);
        let block = bytes::Bytes::from(self.out.clone());
        let began = Instant::now();
        for _ in 0..rounds {
            assert!(self.read(&block));
        }
        began.elapsed().as_nanos() as f64 / (rounds * BATCH) as f64
    }

    /// The messages that were written.
    pub(crate) fn messages(&self) -> impl Iterator<Item = &[u8]> {
        self.ranges.iter().map(|range| &self.out[range.clone()])
    }

    /// Whether the converter knew all that it needs.
    fn write(&mut self) -> bool {
        self.out.clear();
        self.ranges.clear();
        for field in &self.records {
            let (schema, value) = field.view(&self.source);
            match self.converter.from_connect(&self.topic, schema, value, &mut self.out) {
                Ok(Written::Scratch(range)) => self.ranges.push(range),
                Ok(Written::Null | Written::Same(_)) => unreachable!("a record is written anew"),
                Err(error) => {
                    assert!(error.is_retriable(), "{error}");
                    return false;
                }
            }
        }
        true
    }

    fn read(&mut self, block: &bytes::Bytes) -> bool {
        self.batch.clear();
        let whole = self.batch.adopt(block.clone());
        for range in &self.ranges {
            let input = Input {
                bytes: &block[range.clone()],
                span: whole.slice(range.start, range.end),
            };
            match self.converter.to_connect(&self.topic, Some(input), &mut self.batch) {
                Ok(field) => drop(std::hint::black_box(field)),
                Err(error) => {
                    assert!(error.is_retriable(), "{error}");
                    return false;
                }
            }
        }
        true
    }

    fn look_up(&mut self) {
        self.runtime.block_on(self.converter.lookup().unwrap());
    }

    /// Has other texts in the place of those that were written.
    pub(crate) fn change(&mut self, change: impl Fn(&str) -> String) {
        let before = std::mem::take(&mut self.out);
        for range in &mut self.ranges {
            let start = self.out.len();
            self.out.extend_from_slice(&before[range.start..range.start + PREFIX]);
            let text = std::str::from_utf8(&before[range.start + PREFIX..range.end]).unwrap();
            self.out.extend_from_slice(change(text).as_bytes());
            *range = start..self.out.len();
        }
    }
}

fn order() -> SchemaRef {
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

/// Answers whatever it is asked for with that.
fn stub(body: String) -> String {
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
            let head = format!(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        }
    });
    url
}
