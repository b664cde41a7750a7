//! What producing costs on the port alone, in CPU time of this process: `produce_cost BOOTSTRAP wire|librdkafka [RECORDS [BYTES]]`, built with
//! `--release`. The topic is new and has one partition; what is printed is one line of JSON.

#![allow(clippy::print_stdout, reason = "it is what this prints")]

use dray_kafka::Kafka;
use dray_kafka::port::{ClientConfig, KafkaPort as _, NewTopic, ProduceRecord};
use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// As many records as a source gives in a batch.
const BATCH: usize = 500;
/// A task's own limit.
const QUOTA: usize = 16 << 20;
/// The kernel counts CPU time of a process in hundredths of a second.
const TICKS: f64 = 100.0;

/// User and system time so far, of all threads.
fn cpu_seconds() -> Result<(f64, f64), Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |place: usize| fields.get(place).and_then(|ticks| ticks.parse::<f64>().ok());
    Ok((
        ticks(11).ok_or("no user time")? / TICKS,
        ticks(12).ok_or("no system time")? / TICKS,
    ))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [servers, client, more @ ..] = &args[..] else {
        return Err("usage: produce_cost BOOTSTRAP wire|librdkafka [RECORDS [BYTES]]".into());
    };
    let number = |place: usize, default: usize| more.get(place).map_or(Ok(default), |text| text.parse());
    let (count, bytes) = (number(0, 1_000_000)?, number(1, 200)?);
    let config = ClientConfig::from([
        ("bootstrap.servers".to_owned(), servers.clone()),
        ("dray.kafka.client".to_owned(), client.clone()),
    ]);
    let port = Kafka::new();
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let topic = NewTopic {
        name: format!("cost-{}", since.as_nanos()),
        partitions: 1,
        replication_factor: 1,
        configs: BTreeMap::new(),
    };
    port.admin(&config)?
        .create_topic(&topic, Duration::from_secs(30))
        .await?;
    let mut lane = port.producer_lane(&config, QUOTA, None)?;
    let value = vec![b'x'; bytes];
    let record = |sequence| ProduceRecord {
        topic: &topic.name,
        partition: None,
        timestamp: None,
        key: None,
        value: Some(&value),
        headers: &[],
        sequence,
    };
    let mut acks = Vec::new();
    let mut acked = 0;
    let mut sent = 0;
    // The connection, and the first look at the topic, count for nothing.
    while lane.produce(&[record(0)]).map_err(|refused| refused.error)? == 0 {
        lane.ready().await;
    }
    lane.acks(&mut acks).await;
    acks.clear();
    let (began, before) = (Instant::now(), cpu_seconds()?);
    let mut batch: Vec<ProduceRecord<'_>> = Vec::with_capacity(BATCH);
    while acked < count {
        batch.clear();
        batch.extend((sent..count.min(sent + BATCH)).map(|sequence| record(sequence as u64)));
        let taken = lane.produce(&batch).map_err(|refused| refused.error)?;
        sent += taken;
        lane.try_acks(&mut acks);
        if taken < batch.len() {
            lane.ready().await;
        } else if sent == count && acks.is_empty() {
            lane.acks(&mut acks).await;
        }
        for ack in acks.drain(..) {
            ack.outcome.map_err(|error| *error)?;
            acked += ack.count;
        }
    }
    let (wall, after) = (began.elapsed().as_secs_f64(), cpu_seconds()?);
    let (user, system) = (after.0 - before.0, after.1 - before.1);
    println!(
        "{{\"client\":\"{client}\",\"records\":{count},\"bytes\":{bytes},\"wall_s\":{wall:.3},\"user_s\":{user:.2},\"system_s\":{system:.2},\
         \"cpu_s_per_million\":{:.3}}}",
        (user + system) / count as f64 * 1e6
    );
    Ok(())
}
