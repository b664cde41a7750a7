//! An etcd of a test's own, through `etcd.sh`; it ends with the test.

use std::path::PathBuf;
use std::process::Command;

/// The endpoints of the etcd that all tests share.
pub(crate) fn shared() -> Vec<String> {
    let endpoints = std::env::var("DRAY_TEST_ETCD").expect("DRAY_TEST_ETCD names an etcd: run `make test`");
    endpoints.split(',').map(Into::into).collect()
}

pub(crate) struct Server {
    script: PathBuf,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) endpoints: Vec<String>,
}

impl Server {
    /// So many members, with environment variables for `etcd.sh`.
    pub(crate) fn start(nodes: usize, environment: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().expect("a folder"), nodes, environment)
    }

    pub(crate) fn start_in(folder: tempfile::TempDir, nodes: usize, environment: &[(&str, &str)]) -> Self {
        let script = std::env::var("DRAY_TEST_ETCD_SH").expect("DRAY_TEST_ETCD_SH starts etcd: run `make test`");
        let mut server = Self {
            script: script.into(),
            folder,
            endpoints: Vec::new(),
        };
        run(server
            .command("start", &[&nodes.to_string()])
            .envs(environment.iter().copied()));
        let endpoints = std::fs::read_to_string(server.folder.path().join("endpoints")).expect("endpoints");
        server.endpoints = endpoints.lines().map(Into::into).collect();
        server
    }

    /// `etcd.sh COMMAND DIR MORE...`
    pub(crate) fn sh(&self, command: &str, more: &[&str]) {
        run(&mut self.command(command, more));
    }

    fn command(&self, command: &str, more: &[&str]) -> Command {
        let mut script = Command::new(&self.script);
        script.arg(command).arg(self.folder.path()).args(more);
        script
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // What is left is ended by with-etcd.sh.
        drop(self.command("kill9", &[]).status());
    }
}

pub(crate) fn run(command: &mut Command) {
    let output = command.output().expect("the command runs");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
