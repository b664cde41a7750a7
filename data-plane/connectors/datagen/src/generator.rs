//! Record number `n` as a function of the seed and of `n` alone, so that a restart goes on with the same records.

use crate::config::{Key, Plan, Shape};
use bytes::Bytes;
use dray_connect::Result;
use dray_connect::backing::Span;
use dray_connect::datum::{Datum, Utf8Span};
use dray_connect::offset::{OffsetMap, Primitive, SourceOffset, SourcePartition};
use dray_connect::schema::{Schema, SchemaBuilder, SchemaRef};
use dray_connect::source_batch::{Body, Field, SchemaId, SourceBatch, SourceRecord};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

/// The field of the source offset: the number of the next record.
pub(crate) const SEQUENCE: &str = "sequence";

/// Random text from which each value takes a piece: choosing a piece is much cheaper than making one.
const POOL: usize = 64 << 10;

/// Makes records.
#[derive(Debug)]
pub(crate) struct Generator {
    plan: Plan,
    partition: SourcePartition,
    text_schema: SchemaRef,
    struct_schema: SchemaRef,
    pool: Pool,
}

/// `POOL` bytes and as many as a value has; ASCII. The same for all tasks of a connector.
type Pool = Arc<[u8]>;

/// The source partition: one stream a topic and task.
pub(crate) fn partition(plan: &Plan) -> SourcePartition {
    let partition = OffsetMap::new().with("topic", Primitive::String(plan.topic.as_ref().into()));
    Arc::new(match plan.task {
        0 => partition,
        task => partition.with("task", Primitive::Long(task.into())),
    })
}

/// The pool of a seed, shared with whoever has it already: a process may run 10,000 tasks of one connector, and 64 KiB each would be 600 MB.
fn pool(seed: u64, value_bytes: usize) -> Pool {
    type Pools = BTreeMap<(u64, usize), Weak<[u8]>>;
    static POOLS: Mutex<Pools> = Mutex::new(BTreeMap::new());
    let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(pool) = pools.get(&(seed, value_bytes)).and_then(Weak::upgrade) {
        return pool;
    }
    let mut state = seed;
    let letters = b"abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789";
    let mut pool = Vec::with_capacity(POOL + value_bytes + 8);
    while pool.len() < POOL + value_bytes {
        state = state.wrapping_add(1);
        pool.extend(
            mix(state)
                .to_le_bytes()
                .map(|byte| letters[usize::from(byte) % letters.len()]),
        );
    }
    let pool = Pool::from(pool);
    pools.retain(|_, pool| pool.strong_count() > 0);
    pools.insert((seed, value_bytes), Arc::downgrade(&pool));
    pool
}

impl Generator {
    pub(crate) fn new(plan: Plan) -> Result<Self> {
        let struct_schema = SchemaBuilder::struct_()
            .name("io.dray.connect.datagen.Record")
            .field("id", Schema::int64())
            .field("name", Schema::string())
            .field("amount", Schema::float64())
            .field("active", Schema::boolean())
            .field("text", Schema::string())
            .build()?;
        Ok(Self {
            partition: partition(&plan),
            pool: pool(plan.seed, plan.value_bytes),
            plan,
            text_schema: Schema::string(),
            struct_schema,
        })
    }

    /// Appends the records `from..to`.
    pub(crate) fn fill(&self, batch: &mut SourceBatch, from: u64, to: u64) -> Result<()> {
        let topic = batch.topic(&self.plan.topic);
        let source_partition = batch.source_partition(&self.partition);
        let text_schema = batch.schema(&self.text_schema);
        let value_schema = match self.plan.shape {
            Shape::Text => text_schema,
            Shape::Struct => batch.schema(&self.struct_schema),
        };
        let timestamp = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_millis() as i64);
        let texts = (self.plan.shape == Shape::Text).then(|| batch.backing_mut().adopt(self.texts(from, to)));
        let mut digits = itoa::Buffer::new();
        for number in from..to {
            let datum = match texts {
                Some(texts) => {
                    let start = (number - from) as usize * self.plan.value_bytes;
                    text(batch, texts.slice(start, start + self.plan.value_bytes))
                }
                None => self.record(batch, value_schema, number)?,
            };
            let key = match self.plan.key {
                Key::None => Field::default(),
                Key::Sequence => {
                    let span = batch.backing_mut().copy(digits.format(number).as_bytes());
                    Field {
                        schema: Some(text_schema),
                        datum: text(batch, span),
                    }
                }
            };
            batch.push(SourceRecord {
                topic,
                kafka_partition: None,
                timestamp: Some(timestamp),
                source_partition,
                // 2^63 records take longer than anybody waits.
                source_offset: SourceOffset::Long {
                    field: SEQUENCE,
                    value: (number + 1) as i64,
                },
                body: Body::Data {
                    key,
                    value: Field {
                        schema: Some(value_schema),
                        datum,
                    },
                    headers: None,
                },
            });
        }
        Ok(())
    }

    /// The texts of the records, one behind the other: the number, a space and a piece of the pool, cut to size.
    fn texts(&self, from: u64, to: u64) -> Bytes {
        let size = self.plan.value_bytes;
        let mut texts = Vec::with_capacity((to - from) as usize * size);
        for number in from..to {
            self.push_text(&mut texts, number);
        }
        texts.into()
    }

    fn push_text(&self, texts: &mut Vec<u8>, number: u64) {
        let end = texts.len() + self.plan.value_bytes;
        texts.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        texts.push(b' ');
        let missing = end.saturating_sub(texts.len());
        let place = (self.random(number) % POOL as u64) as usize;
        texts.extend_from_slice(&self.pool[place..place + missing]);
        texts.truncate(end);
    }

    fn record(&self, batch: &mut SourceBatch, schema: SchemaId, number: u64) -> Result<Datum> {
        let random = self.random(number);
        let mut body = Vec::with_capacity(self.plan.value_bytes);
        self.push_text(&mut body, number);
        let batch = batch.backing_mut();
        let fields = [
            Datum::Int64(number as i64),
            batch.text(&format!("name-{}", random % 1000)),
            Datum::Float64((random >> 44) as f64 / 100.0),
            Datum::Boolean(random & 1 == 1),
            batch.text(&String::from_utf8_lossy(&body)),
        ];
        batch.record(schema, &fields)
    }

    fn random(&self, number: u64) -> u64 {
        mix(mix(self.plan.seed.wrapping_add(self.plan.task.into())) ^ number)
    }
}

fn text(batch: &SourceBatch, span: Span) -> Datum {
    Datum::Str(Utf8Span::checked_by_caller(batch.backing(), span))
}

/// The output function of SplitMix64: near numbers give unrelated ones.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
