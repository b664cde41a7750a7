//! A cluster: replicas of the control plane and agents, over some etcd and some broker.

use crate::admin::Admin;
use crate::audit::{Audit, TaskOf};
use crate::kafka::{check_offsets, create_topics};
use crate::process::{PATIENCE, Process, wait_until};
use crate::servers::free_ports;
use crate::traffic::{Flow, Traffic};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const SOURCE: &str = "org.apache.kafka.connect.file.FileStreamSourceConnector";
const SINK: &str = "org.apache.kafka.connect.file.FileStreamSinkConnector";

/// Its processes, and those who look on.
pub(crate) struct Cluster {
    /// Its id, which no other test has; names of connectors and topics end with it.
    pub(crate) id: String,
    pub(crate) bootstrap: String,
    etcd: String,
    control_settings: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) controls: Vec<Process>,
    pub(crate) agents: Vec<Process>,
    pub(crate) admin: Admin,
    pub(crate) audit: Audit,
    pub(crate) born: Instant,
    // Last: the processes are dead when it is removed.
    folder: tempfile::TempDir,
}

/// Settings besides those that every cluster here has.
#[derive(Default)]
pub(crate) struct More {
    /// Of replicas, in YAML: who they are for etcd.
    pub(crate) control: String,
    /// Of workers, as properties.
    pub(crate) worker: String,
}

impl Cluster {
    /// Starts so many of each. Returns once all agents are connected.
    pub(crate) async fn start(etcd: &str, bootstrap: &str, controls: usize, agents: usize) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), etcd, bootstrap, controls, agents).await
    }

    /// In a folder that has an etcd or a broker already.
    pub(crate) async fn start_in(
        folder: tempfile::TempDir,
        etcd: &str,
        bootstrap: &str,
        controls: usize,
        agents: usize,
    ) -> Self {
        Self::start_with(folder, etcd, &More::default(), bootstrap, controls, agents).await
    }

    /// With settings besides.
    pub(crate) async fn start_with(
        folder: tempfile::TempDir,
        etcd: &str,
        more: &More,
        bootstrap: &str,
        controls: usize,
        agents: usize,
    ) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let id = format!("e2e-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let worker = format!(
            "bootstrap.servers={bootstrap}\n\
             group.id={id}\n\
             key.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             offset.storage.topic={id}-offsets\n\
             offset.storage.partitions=3\n\
             offset.storage.replication.factor=1\n\
             config.storage.topic={id}-configs\n\
             status.storage.topic={id}-status\n\
             status.storage.replication.factor=1\n\
             status.storage.partitions=1\n\
             offset.flush.interval.ms=1000\n{}",
            more.worker
        );
        fs::write(folder.path().join("worker.properties"), worker).unwrap();
        let addresses: Vec<_> = free_ports(controls)
            .iter()
            .map(|port| format!("127.0.0.1:{port}"))
            .collect();
        let mut cluster = Self {
            id,
            bootstrap: bootstrap.to_owned(),
            etcd: etcd.to_owned(),
            control_settings: more.control.clone(),
            admin: Admin::new(&addresses),
            audit: Audit::start(&addresses),
            addresses,
            controls: Vec::new(),
            agents: Vec::new(),
            born: Instant::now(),
            folder,
        };
        for number in 1..=controls {
            cluster.add_control(number);
        }
        for number in 1..=agents {
            cluster.add_agent(&format!("agent-{number}"), "");
        }
        cluster.wait("all agents are connected", PATIENCE, |audit| {
            audit.agents().values().filter(|agent| agent.session != 0).count() >= agents
        });
        cluster
    }

    fn add_control(&mut self, number: usize) {
        let name = format!("control-{number}");
        let settings = format!(
            "cluster: {}\nreplica: {name}\nlisten: [\"{}\"]\netcd: [{}]\nworker-config: {}\ndata-dir: {}\n{}",
            self.id,
            self.addresses[number - 1],
            quoted(self.etcd.split(',')),
            self.path("worker.properties").display(),
            self.path(&name).join("data").display(),
            self.control_settings,
        );
        let control = Process::start("dray-control", &name, &self.path(&name), &settings);
        self.controls.push(control);
    }

    /// One agent more, with these settings besides. Does not wait for it.
    pub(crate) fn add_agent(&mut self, name: &str, more: &str) {
        let agent = self.agent(name, name, &self.id, more);
        self.agents.push(agent);
    }

    /// An agent that may be wrong: its process, its id, its cluster.
    pub(crate) fn agent(&self, process: &str, id: &str, cluster: &str, more: &str) -> Process {
        let settings = format!(
            "cluster: {cluster}\nagent-id: {id}\ncontrol: [{}]\ndata-dir: {}\n{more}",
            quoted(self.addresses.iter().map(String::as_str)),
            self.path(process).join("data").display(),
        );
        Process::start("dray-agent", process, &self.path(process), &settings)
    }

    /// The place of an agent by its name.
    pub(crate) fn agent_named(&mut self, name: &str) -> &mut Process {
        self.agents.iter_mut().find(|agent| agent.name == name).unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The topic of source offsets.
    pub(crate) fn offsets_topic(&self) -> String {
        format!("{}-offsets", self.id)
    }

    /// So many file sources and file sinks, each with a topic of its own and one task; returns them by the names of their connectors.
    pub(crate) async fn create_flows(&self, sources: usize, sinks: usize) -> BTreeMap<String, Flow> {
        let mut flows = BTreeMap::new();
        for number in 0..sources {
            let name = format!("source-{number}-{}", self.id);
            let (file, topic) = (self.path(&format!("{name}.txt")), name.clone());
            fs::write(&file, "").unwrap();
            flows.insert(name, Flow::Source { file, topic });
        }
        for number in 0..sinks {
            let name = format!("sink-{number}-{}", self.id);
            let (file, topic) = (self.path(&format!("{name}.txt")), name.clone());
            flows.insert(name, Flow::Sink { topic, file });
        }
        let topics: Vec<String> = flows.keys().cloned().collect();
        create_topics(&self.bootstrap, &topics).await;
        for (name, flow) in &flows {
            match flow {
                Flow::Source { file, topic } => self.admin.create(name, &source(file, topic)).await,
                Flow::Sink { topic, file } => self.admin.create(name, &sink(topic, file)).await,
            }
        }
        flows
    }

    /// Creates flows, has lines go through all of them, and waits until they do.
    pub(crate) async fn under_load(&self, sources: usize, sinks: usize, pace: Duration) -> Traffic {
        let flows = self.create_flows(sources, sinks).await;
        let traffic = Traffic::start(&self.bootstrap, &flows, pace);
        self.wait_for_running(flows.len(), PATIENCE);
        self.let_flow(&traffic);
        traffic
    }

    /// Waits until every flow has brought something that is newer than now.
    pub(crate) fn wait_for_flow(&self, traffic: &Traffic, limit: Duration) {
        let now = Instant::now();
        let stuck = || format!("these bring nothing: {:?}\n{}", traffic.stuck_since(now), self.report());
        wait_until(limit, || traffic.flows_since(now), stuck);
    }

    /// Lets lines flow for some seconds: long enough for offsets to be committed, and for groups to be at rest.
    pub(crate) fn let_flow(&self, traffic: &Traffic) {
        let end = Instant::now() + Duration::from_secs(3);
        wait_until(PATIENCE, || Instant::now() > end, String::new);
        self.wait_for_flow(traffic, PATIENCE);
    }

    /// Who owns what, and in which generation.
    pub(crate) fn owners(&self) -> BTreeMap<TaskOf, (String, u64)> {
        self.wait("a whole snapshot", PATIENCE, Audit::synced);
        let tasks = self.audit.tasks().into_iter();
        tasks
            .map(|(task, seen)| (task, (seen.agent, seen.generation)))
            .collect()
    }

    /// How many tasks and instances an agent owns.
    pub(crate) fn owned_by(&self, agent: &str) -> usize {
        self.owners().values().filter(|(owner, _)| owner == agent).count()
    }

    /// Ends the traffic and looks at all that was seen: nothing lost, no generation with two owners, no offset that went back.
    pub(crate) fn check(&self, mut traffic: Traffic) -> String {
        let (lines, repeated) = traffic.finish(PATIENCE);
        self.audit.check();
        let (sources, groups) = check_offsets(&self.bootstrap, &self.offsets_topic(), &self.id);
        format!(
            "{} flows of {lines} lines: none lost, {repeated} repeated; {} ownerships, each with one owner; {sources} source offsets and \
             {groups} group offsets committed, none went back",
            traffic.flows(),
            self.audit.generations(),
        )
    }

    /// Waits until so many tasks, and as many instances, run.
    pub(crate) fn wait_for_running(&self, connectors: usize, limit: Duration) {
        self.wait(
            &format!("{connectors} connectors with a task each are RUNNING"),
            limit,
            |audit| audit.running() == 2 * connectors,
        );
    }

    /// Waits until what the control plane says is so.
    pub(crate) fn wait(&self, what: &str, limit: Duration, so: impl Fn(&Audit) -> bool) {
        wait_until(limit, || so(&self.audit), || format!("{what}\n{}", self.report()));
    }

    /// What is known, for a failed test.
    pub(crate) fn report(&self) -> String {
        let history = self.audit.history(self.born, 40);
        let tails: Vec<_> = self.controls.iter().chain(&self.agents).map(Process::tail).collect();
        format!("{history}\n{}\n{:#?}", tails.join("\n"), self.audit.agents())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Logs of a failed test are kept where they can be looked at; DRAY_TEST_KEEP=1 keeps all.
        if std::thread::panicking() || std::env::var_os("DRAY_TEST_KEEP").is_some() {
            let kept = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../target/e2e-failed")
                .join(&self.id);
            for process in self.controls.iter().chain(&self.agents) {
                drop(fs::create_dir_all(&kept));
                drop(fs::copy(&process.log, kept.join(format!("{}.log", process.name))));
            }
            drop(fs::write(
                kept.join("statuses"),
                self.audit.history(self.born, usize::MAX),
            ));
            eprintln!("the logs of {} are kept in {}", self.id, kept.display());
        }
    }
}

fn quoted<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    texts.map(|text| format!("\"{text}\"")).collect::<Vec<_>>().join(", ")
}

/// A file source.
pub(crate) fn source(file: &Path, topic: &str) -> Vec<(&'static str, String)> {
    vec![
        ("connector.class", SOURCE.into()),
        ("tasks.max", "1".into()),
        ("file", file.display().to_string()),
        ("topic", topic.into()),
    ]
}

/// A file sink.
pub(crate) fn sink(topic: &str, file: &Path) -> Vec<(&'static str, String)> {
    vec![
        ("connector.class", SINK.into()),
        ("tasks.max", "1".into()),
        ("file", file.display().to_string()),
        ("topics", topic.into()),
    ]
}
