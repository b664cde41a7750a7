//! Consumes a whole topic the cheapest way librdkafka has: `rd_kafka_consume_batch_queue` over one queue of all partitions.

use crate::{Result, produce, topic};
use rdkafka::TopicPartitionList;
use rdkafka::bindings as rd;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::Offset;
use std::fs::File;
use std::io::Write;

/// Records of one call, and bytes kept until the file is written.
const BATCH: usize = 10_000;
const BUFFER: usize = 1 << 20;

/// Into `out`, made durable, or nowhere for `-`; then the end offsets are committed.
pub(crate) fn run(config: &ClientConfig, name: &str, out: &str) -> Result<()> {
    let consumer: BaseConsumer = config
        .clone()
        .set("enable.auto.commit", "false")
        .set("group.id", format!("raw-{name}"))
        .create()?;
    let (mut assignment, mut done) = (TopicPartitionList::new(), TopicPartitionList::new());
    let mut total = 0;
    for (partition, end) in topic::ends(&consumer, name)? {
        assignment.add_partition_offset(name, partition, Offset::Beginning)?;
        done.add_partition_offset(name, partition, Offset::Offset(end))?;
        total += u64::try_from(end)?;
    }
    let mut file = if out == "-" { None } else { Some(File::create(out)?) };
    consumer.assign(&assignment)?;
    // Safety: the consumer outlives its queue; each message is read before it is destroyed, once.
    let queue = unsafe { rd::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
    let mut messages = vec![std::ptr::null_mut(); BATCH];
    let mut buffer: Vec<u8> = Vec::with_capacity(2 * BUFFER);
    let (mut records, mut bytes) = (0_u64, 0_u64);
    while records < total {
        let count = unsafe { rd::rd_kafka_consume_batch_queue(queue, 500, messages.as_mut_ptr(), BATCH) };
        for &message in &messages[..usize::try_from(count)?] {
            let record = unsafe { &*message };
            if record.err == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && !record.payload.is_null() {
                let value = unsafe { std::slice::from_raw_parts(record.payload as *const u8, record.len) };
                records += 1;
                bytes += value.len() as u64;
                if file.is_some() {
                    buffer.extend_from_slice(value);
                    buffer.push(b'\n');
                }
            }
            unsafe { rd::rd_kafka_message_destroy(message) };
        }
        if let Some(file) = file.as_mut().filter(|_| buffer.len() >= BUFFER || records >= total) {
            file.write_all(&buffer)?;
            buffer.clear();
        }
    }
    if let Some(file) = file {
        file.sync_data()?;
    }
    consumer.commit(&done, CommitMode::Sync)?;
    // Safety: got above, used no more.
    unsafe { rd::rd_kafka_queue_destroy(queue) };
    println!(
        r#"{{"records":{records},"bytes":{bytes},"peak_rss_kb":{}}}"#,
        produce::peak_rss_kb()?
    );
    Ok(())
}
