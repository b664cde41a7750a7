//! Every connector that is linked in keeps the obligations of the traits. One without a case here fails the test. What the mirror does on a
//! real broker is in `mirror`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, wherever the call stands")]

mod mirror;
mod mirror_letters;

use dray_agent::plugins;
use dray_connect::ConfigMap;
use dray_connect::backing::Backing;
use dray_connect::connector::Connector;
use dray_connect::context::Loan;
use dray_connect::datum::{Datum, Field, Utf8Span};
use dray_connect::schema::Schema;
use dray_connect::sink_batch::{SinkBatch, SinkRecordData, TimestampType};
use dray_connect::testkit::{check_sink, check_source_lent};
use dray_kafka::fake::FakeKafka;
use dray_kafka::port::{ClientConfig, Clients};
use std::path::Path;
use std::sync::Arc;

/// Records that each source has to give.
const RECORDS: usize = 3_000;

/// A configuration under which a connector has work, in a folder of its own.
fn config(class: &str, folder: &Path) -> ConfigMap {
    let file = folder.join("file.txt").display().to_string();
    let pairs: Vec<(&str, String)> = match class {
        "org.apache.kafka.connect.file.FileStreamSourceConnector" => {
            let lines: String = (0..RECORDS)
                .map(|n| format!("zeile {n} für {}\n", "ü".repeat(n % 50)))
                .collect();
            std::fs::write(&file, lines).unwrap();
            vec![("file", file), ("topic", "t".into()), ("batch.size", "7".into())]
        }
        "org.apache.kafka.connect.file.FileStreamSinkConnector" => vec![("file", file)],
        "io.dray.connect.datagen.DatagenSourceConnector" => {
            vec![
                ("topic", "t".into()),
                ("rate", "0".into()),
                ("count", RECORDS.to_string()),
            ]
        }
        "io.dray.connect.blackhole.BlackholeSinkConnector" => Vec::new(),
        "io.dray.connect.mirror.MirrorSourceConnector" => vec![
            ("source.cluster.alias", "A".into()),
            ("source.cluster.bootstrap.servers", "lent".into()),
            ("task.assigned.partitions", "t-0".into()),
        ],
        other => panic!("{other} has no case in this test"),
    };
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn batch() -> SinkBatch {
    let mut batch = SinkBatch::new(Backing::default());
    let topic = batch.backing_mut().topic(&"t".into());
    for offset in 0..10 {
        let span = batch.backing_mut().copy(format!("value {offset}").as_bytes());
        let datum = Datum::Str(Utf8Span::new(batch.backing(), span).unwrap());
        let schema = Some(batch.backing_mut().schema(&Schema::string()));
        batch.push(SinkRecordData {
            topic,
            partition: 3,
            offset,
            timestamp: None,
            timestamp_type: TimestampType::None,
            key: Field::default(),
            value: Field { schema, datum },
            headers: None,
            fetched: offset as u32,
        });
    }
    batch
}

/// A Kafka with a topic of as many records.
fn clients() -> Loan {
    let kafka = FakeKafka::new();
    for n in 0..RECORDS {
        kafka.append("t", 0, None, Some(format!("value {n}").as_bytes()));
    }
    Arc::new(Clients {
        port: Arc::new(kafka),
        admin: ClientConfig::new(),
    })
}

#[tokio::test]
async fn every_connector_keeps_its_obligations() {
    for plugin in plugins::all() {
        let folder = tempfile::tempdir().unwrap();
        let config = config(plugin.class, folder.path());
        let result = match plugin.make() {
            Connector::Source(connector) => {
                check_source_lent(|| connector.task(), &config, RECORDS, Some(clients())).await
            }
            Connector::Sink(connector) => check_sink(|| connector.task(), &config, &batch()).await,
        };
        assert_eq!(result, Ok(()), "{}", plugin.class);
    }
}
