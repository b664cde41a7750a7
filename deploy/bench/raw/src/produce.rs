//! Produces the lines of a file the cheapest way librdkafka has: `rd_kafka_produce_batch`, payloads left in the mapped file.

use crate::{Result, topic};
use memmap2::Mmap;
use rdkafka::bindings as rd;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext};
use std::ffi::CString;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Lines of one call.
const BATCH: usize = 10_000;
/// How long everything may take once it has been handed over.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone, Default)]
struct Acks {
    acknowledged: Arc<AtomicU64>,
}

impl ClientContext for Acks {}

impl ProducerContext for Acks {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_ok() {
            self.acknowledged.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Fails unless every line is acknowledged.
pub(crate) fn run(config: &ClientConfig, name: &str, file: &str) -> Result<()> {
    let acks = Acks::default();
    let producer: BaseProducer<Acks> = config.create_with_context(acks.clone())?;
    let partitions = topic::partitions(producer.client(), name)?;
    let cname = CString::new(name)?;
    // Safety: the file is not written while the benchmarks read it, and it outlives every record: all are flushed before it is unmapped. The
    // topic handle is used only while the producer lives.
    let map = unsafe { Mmap::map(&File::open(file)?)? };
    let handle =
        unsafe { rd::rd_kafka_topic_new(producer.client().native_ptr(), cname.as_ptr(), std::ptr::null_mut()) };
    let (mut start, mut sent, mut partition) = (0, 0_u64, 0);
    let mut batch: Vec<rd::rd_kafka_message_t> = Vec::with_capacity(BATCH);
    let mut ends = memchr::memchr_iter(b'\n', &map);
    loop {
        let end = ends.next();
        if let Some(end) = end {
            // Safety: all zeroes are what the C interface asks for.
            let mut message: rd::rd_kafka_message_t = unsafe { std::mem::zeroed() };
            message.payload = map[start..end].as_ptr().cast_mut().cast();
            message.len = end - start;
            batch.push(message);
            start = end + 1;
        }
        if batch.len() == BATCH || end.is_none() {
            sent += batch.len() as u64;
            let mut taken = 0;
            while taken < batch.len() {
                let rest = &mut batch[taken..];
                // Safety: as above. With one partition the messages taken are the first ones; the others wait for room.
                taken +=
                    unsafe { rd::rd_kafka_produce_batch(handle, partition, 0, rest.as_mut_ptr(), rest.len() as i32) }
                        as usize;
                let wait = if taken < batch.len() {
                    Duration::from_millis(5)
                } else {
                    Duration::ZERO
                };
                producer.poll(wait);
            }
            batch.clear();
            partition = (partition + 1) % partitions;
        }
        if end.is_none() {
            break;
        }
    }
    producer.flush(PATIENCE)?;
    // Safety: made above, used no more.
    unsafe { rd::rd_kafka_topic_destroy(handle) };
    let acknowledged = acks.acknowledged.load(Ordering::Relaxed);
    if acknowledged != sent {
        return Err(format!("{sent} records sent, {acknowledged} acknowledged").into());
    }
    println!(r#"{{"records":{sent},"peak_rss_kb":{}}}"#, peak_rss_kb()?);
    Ok(())
}

/// The kernel's high-water mark of this process.
pub(crate) fn peak_rss_kb() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(line.ok_or("no VmHWM")?.trim().trim_end_matches(" kB").parse()?)
}
