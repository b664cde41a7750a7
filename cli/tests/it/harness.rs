//! Starts `dray standalone` on files of its own, waits for conditions, looks at processes.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The shared broker of this test run.
pub(crate) fn bootstrap() -> String {
    std::env::var("DRAY_TEST_BOOTSTRAP").expect("DRAY_TEST_BOOTSTRAP names a real broker: run `make test`")
}

/// A name that no other test uses, in this run or an earlier one on the same broker.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Waits until `met`; fails the test after `limit` with what `describe` says.
pub(crate) fn wait_until(limit: Duration, mut met: impl FnMut() -> bool, describe: impl FnOnce() -> String) {
    let start = Instant::now();
    while !met() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {}", describe());
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A folder with a worker file, connector files, and the process that runs them.
pub(crate) struct Dray {
    folder: tempfile::TempDir,
    child: Option<Child>,
    connectors: Vec<PathBuf>,
    runs: u32,
}

impl Dray {
    pub(crate) fn new(bootstrap: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let offsets = folder.path().join("connect.offsets");
        let offsets = format!("offset.storage.file.filename={}", offsets.display());
        Self::with_offsets(bootstrap, folder, &offsets)
    }

    /// Keeps its offsets in a topic of the broker.
    pub(crate) fn with_offsets_topic(bootstrap: &str, topic: &str) -> Self {
        let offsets =
            format!("offset.storage.topic={topic}\noffset.storage.partitions=3\noffset.storage.replication.factor=1");
        Self::with_offsets(bootstrap, tempfile::tempdir().unwrap(), &offsets)
    }

    fn with_offsets(bootstrap: &str, folder: tempfile::TempDir, offsets: &str) -> Self {
        let worker = format!(
            "bootstrap.servers={bootstrap}\n\
             key.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             {offsets}\n\
             listeners=http://127.0.0.1:0\n\
             task.shutdown.graceful.timeout.ms=10000\n",
        );
        fs::write(folder.path().join("worker.properties"), worker).unwrap();
        Self {
            folder,
            child: None,
            connectors: Vec::new(),
            runs: 0,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn connector(&mut self, name: &str, settings: &[(&str, &str)]) {
        let path = self.path(&format!("{name}.properties"));
        let lines: Vec<String> = settings.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        fs::write(&path, format!("name={name}\n{}", lines.concat())).unwrap();
        self.connectors.push(path);
    }

    /// A file source into `topic` and a file sink out of it, in this process.
    pub(crate) fn file_to_file(&mut self, topic: &str) -> (PathBuf, PathBuf) {
        let (source, sink) = (self.path("source.txt"), self.path("sink.txt"));
        self.source(topic, &source);
        self.sink(topic, &sink);
        (source, sink)
    }

    pub(crate) fn source(&mut self, topic: &str, file: &Path) {
        let file = file.display().to_string();
        self.connector(
            &format!("{topic}-source"),
            &[
                (
                    "connector.class",
                    "org.apache.kafka.connect.file.FileStreamSourceConnector",
                ),
                ("file", &file),
                ("topic", topic),
                ("topic.creation.default.partitions", "1"),
                ("topic.creation.default.replication.factor", "1"),
            ],
        );
    }

    pub(crate) fn sink(&mut self, topic: &str, file: &Path) {
        let file = file.display().to_string();
        self.connector(
            &format!("{topic}-sink"),
            &[
                (
                    "connector.class",
                    "org.apache.kafka.connect.file.FileStreamSinkConnector",
                ),
                ("file", &file),
                ("topics", topic),
                // A member that was killed is noticed soon, so that its successor need not wait 45 s.
                ("consumer.override.session.timeout.ms", "6000"),
                ("consumer.override.metadata.max.age.ms", "1000"),
            ],
        );
    }

    pub(crate) fn start(&mut self) {
        assert!(self.child.is_none(), "already running");
        self.runs += 1;
        let log = fs::File::create(self.path(&format!("log-{}.json", self.runs))).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_dray"))
            .arg("--log-json")
            .arg("standalone")
            .arg(self.path("worker.properties"))
            .args(&self.connectors)
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// SIGKILL: the process gets no chance to do anything.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("running");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and the exit status.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("running");
        assert!(
            Command::new("kill")
                .arg(child.id().to_string())
                .status()
                .unwrap()
                .success()
        );
        child.wait().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        (1..=self.runs)
            .map(|run| fs::read_to_string(self.path(&format!("log-{run}.json"))).unwrap_or_default())
            .collect()
    }

    /// The log of the present run, or of the last one.
    pub(crate) fn last_log(&self) -> String {
        fs::read_to_string(self.path(&format!("log-{}.json", self.runs))).unwrap_or_default()
    }

    /// The end of the log, for a failed test.
    pub(crate) fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    pub(crate) fn wait_for_size(&self, file: &Path, size: u64, limit: Duration) {
        let seen = || fs::metadata(file).map_or(0, |file| file.len());
        wait_until(
            limit,
            || seen() >= size,
            || format!("{} has {} of {size} bytes\n{}", file.display(), seen(), self.tail()),
        );
    }

    /// Waits until the file ends with the last line of `sent`; its size says little when lines may be repeated.
    pub(crate) fn wait_for_end(&self, file: &Path, sent: &str, limit: Duration) {
        let end = format!("{}\n", sent.lines().last().unwrap());
        let arrived = || fs::read(file).is_ok_and(|bytes| bytes.ends_with(end.as_bytes()));
        wait_until(limit, arrived, || {
            format!("{} does not end with the last line\n{}", file.display(), self.tail())
        });
    }

    pub(crate) fn wait_for_log(&self, text: &str, limit: Duration) {
        wait_until(
            limit,
            || self.log().contains(text),
            || format!("no {text:?} in the log\n{}", self.tail()),
        );
    }
}

impl Drop for Dray {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// A field of `/proc/<pid>/status`, as a number.
pub(crate) fn process_status(pid: u32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What arrived, compared with what was sent: nothing lost, first occurrences in order; returns the repeated lines. A
/// beginning of a sent line counts as repeated: a process killed in the middle of a write leaves one, ended by the next.
pub(crate) fn audit(sent: &str, arrived: &[u8]) -> usize {
    let arrived = String::from_utf8_lossy(arrived);
    let places: HashMap<&str, usize> = sent.lines().enumerate().map(|(place, line)| (line, place)).collect();
    let mut seen = vec![false; places.len()];
    let (mut next, mut repeated) = (0, 0);
    for line in arrived.lines() {
        let Some(&place) = places.get(line) else {
            let begun = line.trim_end_matches(char::REPLACEMENT_CHARACTER);
            assert!(
                sent.lines().any(|whole| whole.starts_with(begun)),
                "{line:?} was never sent"
            );
            repeated += 1;
            continue;
        };
        if std::mem::replace(&mut seen[place], true) {
            repeated += 1;
        } else {
            assert_eq!(place, next, "{line:?} came before its turn");
            next += 1;
        }
    }
    assert_eq!(next, places.len(), "{} lines were lost", places.len() - next);
    repeated
}

/// Distinct lines, numbered.
pub(crate) fn lines(range: std::ops::Range<u64>) -> String {
    range.map(|n| format!("{n:010} grüße aus der datei\n")).collect()
}
