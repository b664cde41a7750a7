//! A process that can be killed, frozen and started again with the same arguments.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A variable of each process whose value nobody is to see.
pub(crate) const CANARY: (&str, &str) = ("DRAY_TEST_CANARY", "canary-of-the-environment");

/// Credentials of each process for AWS, of which nobody is to see the second.
const AWS: [(&str, &str); 2] = [
    ("AWS_ACCESS_KEY_ID", "AKIAOFTHETESTS"),
    ("AWS_SECRET_ACCESS_KEY", "canary-of-the-credentials"),
];

/// Longer than anything takes on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `met`; fails the test after `limit` with what `describe` says.
pub(crate) fn wait_until(limit: Duration, mut met: impl FnMut() -> bool, describe: impl FnOnce() -> String) {
    let start = Instant::now();
    while !met() {
        assert!(start.elapsed() < limit, "not within {limit:?}: {}", describe());
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// The binary of this name, built beside this test: cargo does not build those of other packages for it.
pub(crate) fn binary(name: &str) -> PathBuf {
    let folder = std::env::var_os("DRAY_BINARIES").map_or_else(
        || {
            let test = std::env::current_exe().unwrap();
            test.ancestors().nth(2).unwrap().to_owned()
        },
        PathBuf::from,
    );
    let binary = folder.join(name);
    assert!(
        binary.exists(),
        "{} is missing: run `cargo build --workspace --bins`, or `make test`",
        binary.display()
    );
    binary
}

/// One of our processes. Killed when it is dropped.
pub(crate) struct Process {
    pub(crate) name: String,
    binary: PathBuf,
    arguments: Vec<String>,
    pub(crate) log: PathBuf,
    child: Option<Child>,
}

impl Process {
    /// Starts a binary with its settings in a file of `folder`, where its log is too.
    pub(crate) fn start(binary_name: &str, name: &str, folder: &Path, settings: &str) -> Self {
        fs::create_dir_all(folder).unwrap();
        let config = folder.join("config.yaml");
        fs::write(&config, settings).unwrap();
        let mut process = Self {
            name: name.to_owned(),
            binary: binary(binary_name),
            arguments: vec!["--config".into(), config.display().to_string()],
            log: folder.join("log"),
            child: None,
        };
        process.start_again();
        process
    }

    /// Starts it with the arguments that it had.
    pub(crate) fn start_again(&mut self) {
        assert!(self.child.is_none(), "{} runs", self.name);
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .unwrap();
        let child = Command::new(&self.binary)
            .args(&self.arguments)
            .env("DRAY_LOG", std::env::var("DRAY_LOG").unwrap_or_else(|_| "info".into()))
            .env("NO_COLOR", "1")
            .env(CANARY.0, CANARY.1)
            .envs(AWS)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    pub(crate) fn runs(&mut self) -> bool {
        self.child
            .as_mut()
            .is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        let pid = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// SIGKILL: it gets no chance to do anything.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    pub(crate) fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// SIGTERM, and the exit status once it has ended.
    pub(crate) fn terminate(&mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended(PATIENCE)
    }

    /// The exit status of a process that ends by itself.
    pub(crate) fn ended(&mut self, limit: Duration) -> ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let mut status = None;
        wait_until(
            limit,
            || {
                status = child.try_wait().unwrap();
                status.is_some()
            },
            || format!("{} does not end:\n{}", self.name, self.tail()),
        );
        status.unwrap()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of the log, for a failed test.
    pub(crate) fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        format!(
            "--- {}\n{}",
            self.name,
            lines[lines.len().saturating_sub(15)..].join("\n")
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Whether it ended because it was told to, in good order.
pub(crate) fn in_order(status: ExitStatus) -> bool {
    status.code() == Some(0) && status.signal().is_none()
}
