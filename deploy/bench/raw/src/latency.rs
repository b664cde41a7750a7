//! Latency from a line appended to a file to the record seen by a consumer.

use crate::Result;
use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::Offset;
use std::fs::OpenOptions;
use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const LINE: usize = 200;
/// How long the next record may be away.
const PATIENCE: Duration = Duration::from_secs(30);

fn micros() -> Result<u64> {
    Ok(u64::try_from(
        SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros(),
    )?)
}

/// Hands lines on at their time, each with the microseconds at which it was.
fn lines(rate: u64, seconds: u64, mut take: impl FnMut(&str) -> Result<()>) -> Result<()> {
    let started = Instant::now();
    for number in 0..rate * seconds {
        let due = started + Duration::from_micros(number * 1_000_000 / rate);
        sleep(due.saturating_duration_since(Instant::now()));
        let mut line = format!("{} {number} ", micros()?);
        line.extend(std::iter::repeat_n('x', LINE - line.len()));
        take(&line)?;
    }
    Ok(())
}

/// A line is one write, as a logger does it.
pub(crate) fn append(path: &str, rate: u64, seconds: u64) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    lines(rate, seconds, |line| Ok(file.write_all(format!("{line}\n").as_bytes())?))
}

/// A line is one record, with no file in between: what of a latency is the broker's, the reader's and the machine's.
pub(crate) fn stamp(config: &ClientConfig, name: &str, rate: u64, seconds: u64) -> Result<()> {
    let producer: BaseProducer = config.clone().set("acks", "all").set("linger.ms", "0").create()?;
    lines(rate, seconds, |line| {
        producer.poll(Duration::ZERO);
        let record: BaseRecord<'_, (), str> = BaseRecord::to(name).partition(0).payload(line);
        producer.send(record).map_err(|(error, _)| error.into())
    })?;
    Ok(producer.flush(PATIENCE)?)
}

/// Reads partition 0 from its beginning. The consumer waits at the broker, so its own share is one answer over loopback.
pub(crate) fn measure(config: &ClientConfig, name: &str, records: usize, skip: usize) -> Result<()> {
    let mut config = config.clone();
    config
        .set("group.id", "latency")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "100");
    let consumer: BaseConsumer = config.create()?;
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(name, 0, Offset::Beginning)?;
    consumer.assign(&assignment)?;
    // At the end of the empty topic it waits at the broker; before that, the first records would wait for their reader.
    while !matches!(consumer.poll(PATIENCE), Some(Err(KafkaError::PartitionEOF(_)))) {}
    println!("ready");
    let mut seen = Vec::with_capacity(records);
    while seen.len() < records {
        let message = match consumer.poll(PATIENCE) {
            Some(Err(KafkaError::PartitionEOF(_))) => continue,
            Some(message) => message?,
            None => return Err(format!("only {} of {records} records", seen.len()).into()),
        };
        let stamp = message
            .payload()
            .and_then(|line| std::str::from_utf8(line).ok()?.split(' ').next()?.parse::<u64>().ok());
        seen.push(micros()?.saturating_sub(stamp.ok_or("a record without a stamp")?));
    }
    let mut kept = seen.split_off(skip.min(records - 1));
    kept.sort_unstable();
    let at = |share: f64| kept[((kept.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    println!(
        r#"{{"records":{},"p50_ms":{},"p90_ms":{},"p99_ms":{},"max_ms":{}}}"#,
        kept.len(),
        at(0.5),
        at(0.9),
        at(0.99),
        at(1.0)
    );
    Ok(())
}
