//! Values of config providers: connectors have them, and nobody sees them, wherever one looks.

use crate::cluster::{Cluster, More, sink, source};
use crate::kafka::{create_topics, read_all, reader};
use crate::operator::{dray, ok};
use crate::process::{CANARY, PATIENCE, wait_until};
use crate::servers::{Etcd, change_aws, rest as ask, shared_broker, shared_moto};
use crate::turn;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::Headers as _;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What every value has in it.
const CANARY_WORD: &str = "canary";
/// What an agent says when it restarts something for another value.
const CHANGED: &str = "values of config providers have changed";

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] })
        .collect()
}

fn contains(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

/// What a replica answers over REST: the status line, and all of it.
fn rest(cluster: &Cluster, method: &str, path: &str, body: Option<&Value>) -> String {
    ask(&cluster.addresses[0], method, path, body).unwrap()
}

/// The reasons in the headers of all dead letters of a topic.
fn reasons(bootstrap: &str, topic: &str, wanted: usize) -> Vec<String> {
    let consumer = reader(bootstrap, "read_committed");
    let mut at = TopicPartitionList::new();
    at.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&at).unwrap();
    let (mut texts, mut letters, limit) = (Vec::new(), 0, Instant::now() + PATIENCE);
    while letters < wanted {
        assert!(Instant::now() < limit, "{letters} of {wanted} dead letters in {topic}");
        let Some(Ok(letter)) = consumer.poll(Duration::from_millis(20)) else {
            continue;
        };
        letters += 1;
        for header in letter.headers().expect("a dead letter says why").iter() {
            let value = String::from_utf8_lossy(header.value.unwrap_or_default());
            texts.push(format!("{}={value}", header.key));
        }
    }
    texts
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_config_providers_are_used_and_seen_nowhere() {
    let _turn = turn::shared().await;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (file, mounted) = (at("secrets.properties"), at("mounted"));
    for name in ["canary-one", "canary-two", "mounted"] {
        fs::create_dir(at(name)).unwrap();
    }
    let (first, second) = (at("canary-one/to.txt"), at("canary-two/to.txt"));
    let rotate = |path: &Path, other: &str| {
        let new = file.with_extension("new");
        fs::write(&new, format!("path={}\nother={other}\n", path.display())).unwrap();
        fs::rename(new, &file).unwrap();
    };
    rotate(&first, "a");
    fs::write(mounted.join("format"), "'canary-of-a-folder'yyyy").unwrap();
    for name in ["canary-three", "canary-four"] {
        fs::create_dir(at(name)).unwrap();
    }
    let (third, fourth) = (at("canary-three/to.txt"), at("canary-four/to.txt"));
    let kept = format!("e2e/{}", std::process::id());
    let secret = |path: &Path, other: &str| {
        json!({ "path": path, "other": other, "word": "canary-of-the-secrets-manager" }).to_string()
    };
    let first_secret = json!({ "Name": kept, "SecretString": secret(&third, "a") });
    change_aws("secretsmanager.CreateSecret", &first_secret);
    let parameter =
        json!({ "Name": format!("/{kept}/folder"), "Type": "SecureString", "Value": "/canary-of-the-parameter-store" });
    change_aws("AmazonSSM.PutParameter", &parameter);
    let more = More {
        worker: format!(
            "config.providers=f,d,e,a,p\n\
             config.providers.f.class=FileConfigProvider\n\
             config.providers.f.param.allowed.paths={0}\n\
             config.providers.d.class=DirectoryConfigProvider\n\
             config.providers.d.param.allowed.paths={0}\n\
             config.providers.e.class=EnvVarConfigProvider\n\
             config.providers.e.param.allowlist.pattern=DRAY_TEST_.*\n\
             config.providers.a.class=com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider\n\
             config.providers.a.param.region=eu-west-1\n\
             config.providers.a.param.endpoint={1}\n\
             config.providers.a.param.allowed.names=e2e/*\n\
             config.providers.a.param.ttl.ms=1000\n\
             config.providers.p.class=io.dray.connect.aws.ParameterStoreConfigProvider\n\
             config.providers.p.param.region=eu-west-1\n\
             config.providers.p.param.endpoint={1}\n\
             config.providers.p.param.allowed.names=/e2e/*\n\
             dray.config.providers.poll.interval.ms=100\n",
            folder.path().display(),
            shared_moto(),
        ),
        ..More::default()
    };
    let etcd = Etcd::start(folder.path(), 1);
    let bootstrap = shared_broker();
    let from = at("from.txt");
    let cluster = Cluster::start_with(folder, &etcd.endpoints(), &more, &bootstrap, 1, 1).await;
    // Every line that there is.
    let level = rest(
        &cluster,
        "PUT",
        "/admin/loggers/root?scope=cluster",
        Some(&json!({"level": "TRACE"})),
    );
    assert!(
        level.starts_with("HTTP/1.0 204") || level.starts_with("HTTP/1.1 204"),
        "{level}"
    );

    let (id, topic) = (&cluster.id, format!("{}-lines", cluster.id));
    let (letters, spoilt) = (format!("{id}-letters"), format!("{id}-spoilt"));
    create_topics(&bootstrap, &[topic.clone(), letters.clone(), spoilt.clone()]).await;
    fs::write(&from, "one\ntwo\n").unwrap();
    let names = ["reads", "writes", "fails", "bad", "stores", "lacks", "spoils"];
    let [reads, writes, fails, bad, stores, lacks, spoils] = names.map(|name| format!("{name}-{id}"));
    cluster.admin.create(&reads, &source(&from, &topic)).await;
    let reference = format!("${{f:{}:path}}", file.display());
    cluster
        .admin
        .create(&writes, &sink(&topic, Path::new(&reference)))
        .await;
    let nowhere = format!("${{e:{}}}/no/such/folder/x", CANARY.0);
    cluster.admin.create(&fails, &sink(&topic, Path::new(&nowhere))).await;
    let mut dead = sink(&topic, Path::new("/dev/null"));
    dead.extend([
        ("transforms", "t".to_owned()),
        (
            "transforms.t.type",
            "org.apache.kafka.connect.transforms.TimestampConverter$Value".to_owned(),
        ),
        ("transforms.t.target.type", "unix".to_owned()),
        ("transforms.t.format", format!("${{d:{}:format}}", mounted.display())),
        ("errors.tolerance", "all".to_owned()),
        ("errors.log.enable", "true".to_owned()),
        ("errors.deadletterqueue.topic.name", letters.clone()),
        ("errors.deadletterqueue.topic.replication.factor", "1".to_owned()),
        ("errors.deadletterqueue.context.headers.enable", "true".to_owned()),
    ]);
    cluster.admin.create(&bad, &dead).await;

    let stored = format!("${{a:{kept}:path}}");
    cluster.admin.create(&stores, &sink(&topic, Path::new(&stored))).await;
    let no_folder = format!("${{p:/{kept}:folder}}/no/such/x");
    cluster.admin.create(&lacks, &sink(&topic, Path::new(&no_folder))).await;
    // A source whose records have a value in them when they fail, and its letters too.
    let mut spoilt_source = source(&from, &topic);
    spoilt_source.extend([
        ("transforms", "hoist,insert,fail".to_owned()),
        ("transforms.hoist.type", "HoistField$Value".to_owned()),
        ("transforms.hoist.field", "line".to_owned()),
        ("transforms.insert.type", "InsertField$Value".to_owned()),
        ("transforms.insert.static.field", "word".to_owned()),
        ("transforms.insert.static.value", format!("${{a:{kept}:word}}")),
        ("transforms.fail.type", "Cast$Value".to_owned()),
        ("transforms.fail.spec", "word:int32".to_owned()),
        ("errors.tolerance", "all".to_owned()),
        ("dray.errors.deadletterqueue.topic.name", spoilt.clone()),
        ("dray.errors.deadletterqueue.topic.replication.factor", "1".to_owned()),
    ]);
    cluster.admin.create(&spoils, &spoilt_source).await;

    // They are used.
    let arrived = |file: &Path, lines: &str| fs::read_to_string(file).is_ok_and(|text| text == lines);
    wait_until(PATIENCE, || arrived(&first, "one\ntwo\n"), || cluster.report());
    let failed = (fails.clone(), Some(0));
    cluster.wait("the task without a folder has FAILED", PATIENCE, |audit| {
        audit.tasks().get(&failed).is_some_and(|task| task.state == "FAILED")
    });
    let trace = cluster.audit.tasks()[&failed].trace.clone();
    assert!(
        trace.contains(&nowhere),
        "the reference stands where the value was: {trace}"
    );
    let lacking = (lacks.clone(), Some(0));
    cluster.wait("the task without a folder of AWS's has FAILED", PATIENCE, |audit| {
        audit.tasks().get(&lacking).is_some_and(|task| task.state == "FAILED")
    });
    let trace = cluster.audit.tasks()[&lacking].trace.clone();
    assert!(
        trace.contains(&no_folder),
        "the reference stands where the value was: {trace}"
    );
    wait_until(PATIENCE, || arrived(&third, "one\ntwo\n"), || cluster.report());
    let mut said = reasons(&bootstrap, &letters, 2);
    let pattern = format!("does not match pattern (${{d:{}:format}})", mounted.display());
    assert!(said.iter().any(|text| text.contains(&pattern)), "{said:?}");

    let because = reasons(&bootstrap, &spoilt, 2);
    let inserted = format!("${{a:{kept}:word}}");
    assert!(because.iter().any(|text| text.contains(&inserted)), "{because:?}");
    said.extend(because);

    // Another value restarts what has it, once, and nothing else; first one of a file, then one of AWS's.
    let owners = cluster.owners();
    let restarts = |of: &str| {
        let log = cluster.agents[0].log();
        log.lines()
            .filter(|line| line.contains(CHANGED) && line.contains(of))
            .count()
    };
    let restarted = |name: &str| {
        wait_until(
            PATIENCE,
            || restarts(name) == 2,
            || format!("instance and task: {} restarts\n{}", restarts(name), cluster.report()),
        );
    };
    rotate(&second, "b");
    restarted(&writes);
    // A version with another field that nobody refers to, and then one with another path.
    for secret in [secret(&third, "b"), secret(&fourth, "b")] {
        change_aws(
            "secretsmanager.PutSecretValue",
            &json!({ "SecretId": kept, "SecretString": secret }),
        );
    }
    restarted(&stores);
    fs::write(&from, "one\ntwo\nthree\n").unwrap();
    for file in [&second, &fourth] {
        let moved = || fs::read_to_string(file).is_ok_and(|text| text.ends_with("three\n"));
        wait_until(PATIENCE, moved, || cluster.report());
    }
    assert_eq!(cluster.owners(), owners, "they restart where they are");
    assert_eq!((restarts(&writes), restarts(&stores), restarts("")), (2, 2, 4));

    // What may not be read is refused, with the way out.
    let config =
        json!({"name": "x", "connector.class": "FileStreamSink", "topics": "t", "file": "${f:/etc/passwd:root}"});
    let refused = rest(
        &cluster,
        "PUT",
        "/connector-plugins/FileStreamSink/config/validate",
        Some(&config),
    );
    assert!(refused.contains("Path /etc/passwd may not be read"), "{refused}");
    let config =
        json!({"name": "x", "connector.class": "FileStreamSink", "topics": "t", "file": "${a:prod/db:password}"});
    let refused = rest(
        &cluster,
        "PUT",
        "/connector-plugins/FileStreamSink/config/validate",
        Some(&config),
    );
    assert!(refused.contains("Secret prod/db may not be read"), "{refused}");

    // And nobody sees them.
    let mut looked = 0;
    let mut look = |what: &str, text: &str| {
        looked += 1;
        assert!(!text.is_empty(), "{what} says nothing");
        assert!(!text.contains(CANARY_WORD), "{what}:\n{text}");
    };
    let mut submitted = json!({"name": bad});
    for (key, value) in &dead {
        submitted[key] = value.as_str().into();
    }
    let validate = "/connector-plugins/FileStreamSink/config/validate";
    let validated = rest(&cluster, "PUT", validate, Some(&submitted));
    assert!(
        validated.contains(" 200 ") && validated.contains(":format}"),
        "{validated}"
    );
    look("validation", &validated);
    // A pattern that is none: the message shows what is written.
    fs::write(mounted.join("broken"), "canary-with-letters-that-mean-nothing").unwrap();
    submitted["transforms.t.format"] = format!("${{d:{}:broken}}", mounted.display()).into();
    look(
        "validation of what is wrong",
        &rest(&cluster, "PUT", validate, Some(&submitted)),
    );
    look(
        "GET /connectors",
        &rest(&cluster, "GET", "/connectors?expand=info&expand=status", None),
    );
    look("GET /metrics", &rest(&cluster, "GET", "/metrics", None));
    for name in [&reads, &writes, &fails, &bad, &stores, &lacks, &spoils] {
        for below in ["", "/config", "/status", "/tasks", "/tasks/0/status", "/offsets"] {
            look(
                below,
                &rest(&cluster, "GET", &format!("/connectors/{name}{below}"), None),
            );
        }
        look(
            "describe",
            &ok(&cluster, &["connector", "describe", name, "-o", "yaml"]),
        );
        look(
            "describe task",
            &ok(&cluster, &["task", "describe", &format!("{name}/0"), "-o", "yaml"]),
        );
    }
    for text in said {
        look("a dead letter", &text);
    }
    // Letters hold records that have the value in them, and a preview makes such records.
    let given = cluster.path("given.txt");
    fs::write(&given, "{\"value\":\"one\"}\n").unwrap();
    // A source that has read its file has no records left to show.
    let input = ["--input", given.to_str().unwrap()];
    for output in ["text", "json"] {
        look("dlq list", &ok(&cluster, &["dlq", "list", "-o", output]));
        for (name, more) in [(&bad, &[][..]), (&spoils, &input[..])] {
            look("dlq show", &ok(&cluster, &["dlq", "show", name, "-o", output]));
            let preview = ["connector", "preview", "--name", name, "-o", output];
            let seen = dray(&cluster, &[&preview, more].concat());
            let all = format!(
                "{}{}",
                String::from_utf8_lossy(&seen.stdout),
                String::from_utf8_lossy(&seen.stderr)
            );
            assert!(
                all.contains("${"),
                "{name}: its records fail, and the reference stands where the value was: {all}"
            );
            look("preview", &all);
        }
    }
    let shown = ok(&cluster, &["dlq", "show", &spoils]);
    assert!(
        shown.contains(&inserted),
        "the reference stands where the value was: {shown}"
    );
    for process in cluster.controls.iter().chain(&cluster.agents) {
        look(&process.name, &process.log());
    }
    for topic in [format!("{id}-status"), cluster.offsets_topic()] {
        let mut records = 0;
        read_all(&bootstrap, &topic, |key, value| {
            records += 1;
            for bytes in [key, value.unwrap_or_default()] {
                assert!(
                    !contains(bytes, CANARY_WORD),
                    "{topic}: {}",
                    String::from_utf8_lossy(bytes)
                );
            }
        });
        assert!(records > 0, "{topic} is empty");
    }
    let bytes = all_files(&etcd.data()).into_iter().map(|path| fs::read(path).unwrap());
    let (mut stored, mut seen) = (false, false);
    for bytes in bytes {
        stored |= contains(&bytes, &reference);
        seen |= contains(&bytes, CANARY_WORD);
    }
    assert!(
        stored && !seen,
        "etcd has the reference, and no value: {stored}, {seen}"
    );
    println!("{looked} texts, two topics and all files of etcd: no value of a config provider in them");
}
