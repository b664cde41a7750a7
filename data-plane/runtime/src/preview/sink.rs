//! A sink's way: bytes, converters, transforms, and what the sink would be given.

use super::given::Given;
use super::patience::Patience;
use super::stages::{Outcome, Seen, observed};
use super::{From, Parts, Preview, fetch};
use crate::config::SinkConfig;
use crate::conversion::{converters, plugins};
use crate::decode::decode_one;
use crate::encode::Converters;
use crate::transform::sink_record;
use dray_connect::Result;
use dray_connect::backing::Backing;
use dray_connect::sink_batch::{SinkRecordData, TimestampType};
use dray_kafka::port::FetchBatch;
use dray_transforms::Chain;
use std::time::Duration;

/// Real records.
pub(super) async fn real(parts: &Parts, most: usize, from: &From, wait: Duration) -> Result<Preview> {
    let config = SinkConfig::parse(&parts.config)?;
    let mut converters = converters(plugins(&parts.worker, &config.connector))?;
    let mut chain = Chain::read(config.connector.originals())?;
    let (fetched, note) = fetch::fetch(parts, &config.topics, most, from, wait).await?;
    let (mut records, mut patience) = (Vec::new(), Patience::default());
    for fetch in fetched {
        records.push(fetched_record(&fetch, &mut converters, &mut chain, &mut patience).await);
        tokio::task::yield_now().await;
    }
    Ok(Preview { records, note })
}

/// Records as they are behind the converters.
pub(super) fn given(parts: &Parts, given: Vec<Given>) -> Result<Preview> {
    let config = SinkConfig::parse(&parts.config)?;
    let mut chain = Chain::read(config.connector.originals())?;
    let records = (0..).zip(given).map(|(number, mut given)| {
        // A sink's record has both.
        given.partition.get_or_insert(0);
        given.offset.get_or_insert(number);
        given_record(&given, &mut chain)
    });
    Ok(Preview {
        records: records.collect(),
        note: None,
    })
}

async fn fetched_record(
    fetch: &FetchBatch,
    converters: &mut Converters,
    chain: &mut Chain,
    patience: &mut Patience,
) -> Vec<Seen> {
    let mut seen = vec![Seen::raw(fetch)];
    let mut backing = Backing::default();
    let block = backing.adopt(fetch.data.clone());
    let topic = backing.topic(&fetch.topics[0]);
    let record = loop {
        match decode_one(fetch, 0, topic, block, converters, &mut backing) {
            Ok(record) => break record,
            Err(failure) => {
                if let Some(lookup) = converters.lookup(failure.stage)
                    && patience.waits_for(lookup).await
                {
                    continue;
                }
                let failed = seen[0].not_converted("converted", &failure);
                seen.push(failed);
                return seen;
            }
        }
    };
    seen.push(Seen::of_sink("converted", Outcome::Applied, &record, &backing));
    put(record, chain, &mut backing, &mut seen);
    seen
}

fn given_record(given: &Given, chain: &mut Chain) -> Vec<Seen> {
    let mut backing = Backing::default();
    let placed = given.place(&mut backing);
    let record = SinkRecordData {
        topic: placed.topic,
        partition: given.partition.unwrap_or_default(),
        offset: given.offset.unwrap_or_default(),
        timestamp: given.timestamp,
        timestamp_type: TimestampType::CreateTime,
        key: placed.key,
        value: placed.value,
        headers: given.headers(),
        fetched: 0,
    };
    let mut seen = vec![given.seen()];
    put(record, chain, &mut backing, &mut seen);
    seen
}

/// From the converters to the sink.
fn put(record: SinkRecordData, chain: &mut Chain, backing: &mut Backing, seen: &mut Vec<Seen>) {
    let transformed = sink_record(record, backing, |input, backing| observed(chain, input, backing, seen));
    if let Ok(Some(record)) = transformed {
        seen.push(Seen::of_sink("sink", Outcome::Output, &record, backing));
    }
}
