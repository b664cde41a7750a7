//! A mirror whose dead letter queue is among the topics that it reads is refused where it would come back: on the same cluster.

use crate::mirror::Offsets;
use dray_connect::ConfigMap;
use dray_kafka::fake::FakeKafka;
use dray_runtime::config::WorkerConfig;
use dray_runtime::status::StatusBoard;
use dray_runtime::worker::Worker;
use std::collections::BTreeMap;
use std::sync::Arc;

const KEY: &str = "dray.errors.deadletterqueue.topic.name";

fn worker() -> Worker {
    let bytes = "org.apache.kafka.connect.converters.ByteArrayConverter";
    let config = ConfigMap::from([
        ("bootstrap.servers".to_owned(), "here:9092".to_owned()),
        ("key.converter".to_owned(), bytes.to_owned()),
        ("value.converter".to_owned(), bytes.to_owned()),
    ]);
    Worker::new(
        WorkerConfig::parse(&config).unwrap(),
        Arc::new(FakeKafka::new()),
        Arc::new(Offsets::default()),
        dray_agent::plugins::all(),
        StatusBoard::default(),
    )
}

/// Whether validation refuses the dead letter queue `letters` of a mirror, and nothing else.
fn refuses_letters(worker: &Worker, more: &[(&str, &str)]) -> bool {
    let config = [
        ("name", "m"),
        ("connector.class", "io.dray.connect.mirror.MirrorSourceConnector"),
        ("source.cluster.alias", "A"),
        ("topics.exclude", ""),
        (KEY, "letters"),
    ];
    let pairs = config.iter().chain(more);
    let pairs: BTreeMap<String, Option<String>> = pairs
        .map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned())))
        .collect();
    let infos = worker.validate(&pairs.into_iter().collect::<Vec<_>>()).unwrap();
    let values = infos.configs.iter().filter_map(|info| info.value.as_ref());
    let errors: Vec<_> = values
        .filter(|value| !value.errors.is_empty())
        .map(|value| (value.name.as_str(), &value.errors))
        .collect();
    match &errors[..] {
        [] => false,
        [(KEY, problems)] => {
            let text = problems.join("\n");
            assert!(
                text.contains("'letters'") && text.contains("name another topic"),
                "{text}"
            );
            true
        }
        _ => panic!("{errors:?}"),
    }
}

#[test]
fn a_queue_that_the_mirror_would_read_is_refused() {
    let worker = worker();
    let other = ("source.cluster.bootstrap.servers", "elsewhere:9092");
    let here = ("source.cluster.bootstrap.servers", "here:9092");
    let both = format!("elsewhere:9092,{}", here.1);
    for (refused, more) in [
        (true, &[here, ("topics", "letters")][..]),
        (true, &[here, ("topics", "t,lett.*")]),
        (true, &[here]), // all topics
        (true, &[("source.cluster.bootstrap.servers", &both)]),
        // The client's own key wins, in both clusters.
        (true, &[other, ("source.consumer.bootstrap.servers", here.1)]),
        (
            true,
            &[other, ("producer.override.bootstrap.servers", "elsewhere:9092")],
        ),
        (
            false,
            &[here, ("producer.override.bootstrap.servers", "elsewhere:9092")],
        ),
        (false, &[here, ("topics", "t,letters-of-others")]),
        (false, &[here, ("topics.exclude", "let.*")]),
        (false, &[here, ("enabled", "false")]),
        (false, &[here, (KEY, "")]),
        (false, &[here, (KEY, "mirror.internal")]),
        (false, &[other]),
    ] {
        assert_eq!(refuses_letters(&worker, more), refused, "{more:?}");
    }
}
