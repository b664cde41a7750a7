//! A cluster within this process, for `dray standalone` and `dray quickstart`: the same control plane and the same agent as in a cluster,
//! a store in a file, and a stream that never leaves memory. Nobody else can take a task over – the folder's lock is the proof – so
//! nothing is fenced.

use crate::Failure;
use anyhow::Context as _;
use dray_agent::agent::{Agent, Error as AgentError};
use dray_agent::files::ConnectorFile;
use dray_agent::folder::DataFolder;
use dray_agent::inventory::inventory;
use dray_agent::link::Dial;
use dray_agent::{plugins, settings};
use dray_control::listeners::Listeners;
use dray_control::{Config, Control};
use dray_kafka::Kafka;
use dray_machine::cluster::Timing;
use dray_model::record::ConnectorSpec;
use dray_model::{AgentId, Capacity, ConnectorName, Region, TargetState, WorkerId, Zone};
use dray_process::Telemetry;
use dray_runtime::config::WorkerConfig;
use dray_runtime::offsets::OffsetStore;
use dray_runtime::offsets::file::FileOffsets;
use dray_runtime::offsets::topic::TopicOffsets;
use dray_runtime::status::StatusBoard;
use dray_runtime::worker::Worker;
use dray_session::Identity;
use dray_store::file::FileStore;
use dray_store::keys::{Keys, Name};
use dray_store::{History, MetadataStore, Txn, list_all};
use dray_wire::store::{Rest, decode, encode};
use hyper_util::rt::TokioIo;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

/// The replica, and the agent.
const NAME: &str = "standalone";
/// Who has written a connector that came from a file. One that such a file names no longer is gone; others stay.
const FROM_FILE: &str = "file";

/// A cluster that runs. It is ended with [`stop`](Self::stop).
pub(crate) struct Local {
    control: Arc<Control>,
    agent: JoinSet<Result<(), AgentError>>,
    leave: oneshot::Sender<()>,
}

/// Starts it, with the connectors of these files and those that `data` holds besides. Called inside the tokio runtime.
pub(crate) async fn start(
    worker: WorkerConfig,
    connectors: &[ConnectorFile],
    data: &Path,
    board: StatusBoard,
    listeners: &Listeners,
    telemetry: Telemetry,
) -> Result<Local, Failure> {
    // Where tokens may be fetched from, in the words of whoever moves over from Kafka Connect.
    let java_options = std::env::var("KAFKA_OPTS").unwrap_or_default();
    let port = Arc::new(Kafka::new().with_java_options(&java_options));
    let what = "offsets of source connectors";
    let offsets: Arc<dyn OffsetStore> = match &worker.offsets_topic {
        Some(topic) => Arc::new(TopicOffsets::open(topic.clone(), &worker, port.as_ref()).context(what)?),
        None => {
            let file = worker.offsets_file.clone().unwrap_or_default();
            Arc::new(FileOffsets::open(&file).context(what)?)
        }
    };
    let trial = Worker::new(
        worker.clone(),
        port.clone(),
        offsets.clone(),
        plugins::all(),
        board.clone(),
    );
    for file in connectors {
        let checked = match trial.resolve(&file.config).await {
            Ok(resolved) => trial.check_connector(resolved.config()),
            Err(error) => Err(error),
        };
        checked.map_err(|error| {
            let said = format!("{} (connector {}): {error}", file.path.display(), file.name);
            Failure::Usage(telemetry.hidden.hide(&said).into_owned())
        })?;
    }

    let cluster = worker
        .originals()
        .get("group.id")
        .map_or(NAME, String::as_str)
        .to_owned();
    let store =
        FileStore::open(&data.join("store"), History::default()).context("the metadata store of dray.data.dir")?;
    let store: Arc<dyn MetadataStore> = Arc::new(store);
    let folder = DataFolder::open(&data.join("agent"), settings::new_instance()).context("dray.data.dir")?;
    declare(store.as_ref(), &Keys::new(&cluster), connectors).await?;
    let config = Config {
        cluster: cluster.clone(),
        replica: Some(NAME.to_owned()),
        listen: Vec::new(),
        listeners: listeners.clone(),
        advertise: Vec::new(),
        worker: Some(worker.written().clone()),
        data_dir: None,
        timing: Timing {
            graceful_ms: u32::try_from(worker.graceful_timeout.as_millis()).unwrap_or(u32::MAX),
            ..Timing::default()
        },
        telemetry: telemetry.clone(),
    };
    let control = Control::start(store, config).await.context("the control plane")?;
    let control = Arc::new(control);
    let worker_id = listeners.worker_id(&control.addresses, &settings::host());
    let agent = Agent {
        identity: identity(cluster, worker_id, &folder)?,
        endpoints: vec!["within this process".to_owned()],
        dial: dial_in(&control),
        port,
        plugins: plugins::all(),
        offsets: Some(offsets),
        board,
        telemetry,
    };
    let (leave, left) = oneshot::channel();
    let mut running = JoinSet::new();
    running.spawn(async move {
        let ended = agent
            .run(async {
                drop(left.await);
                None
            })
            .await;
        drop(folder); // the lock, last
        ended
    });
    Ok(Local {
        control,
        agent: running,
        leave,
    })
}

impl Local {
    /// Where REST and gRPC are served.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.control.addresses
    }

    /// Drains: every task stops in good order and commits, within the graceful time-out of each.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        drop(self.leave);
        while let Some(ended) = self.agent.join_next().await {
            ended.context("the agent")?.context("the agent")?;
        }
        if let Some(control) = Arc::into_inner(self.control) {
            control.stop().await;
        }
        Ok(())
    }

    /// Waits until it ends by itself, which is a failure. Cancel-safe.
    pub(crate) async fn failed(&mut self) -> Failure {
        match self.agent.join_next().await {
            Some(Ok(Err(error))) => anyhow::Error::from(error).context("the agent").into(),
            Some(Err(error)) => anyhow::Error::from(error).context("the agent").into(),
            Some(Ok(Ok(()))) | None => anyhow::anyhow!("the agent has ended").into(),
        }
    }
}

/// A channel to the control plane within.
fn dial_in(control: &Arc<Control>) -> Dial {
    let control = Arc::downgrade(control);
    Arc::new(move |_| {
        let control = control.clone();
        Box::pin(async move {
            let within = tower::service_fn(move |_| {
                let control = control.clone();
                async move {
                    let stream = match control.upgrade() {
                        Some(control) => control.connect().await,
                        None => None,
                    };
                    let ended = || std::io::Error::other("the control plane has ended");
                    stream.map(TokioIo::new).ok_or_else(ended)
                }
            });
            Endpoint::from_static("http://within.this.process")
                .connect_with_connector(within)
                .await
        })
    })
}

fn identity(cluster: String, worker_id: WorkerId, folder: &DataFolder) -> Result<Identity, Failure> {
    let name = |error: dray_model::InvalidName| Failure::from(anyhow::Error::from(error));
    Ok(Identity {
        cluster,
        agent: AgentId::try_from(NAME).map_err(name)?,
        instance: folder.instance,
        previous_instance: folder.previous,
        worker_id,
        region: Region::try_from("default").map_err(name)?,
        zone: Zone::try_from("default").map_err(name)?,
        labels: BTreeMap::new(),
        // As much as there is: nobody else could take it.
        capacity: Capacity::new(u32::MAX, u32::MAX).context("capacity")?,
        plugins: inventory(&plugins::all()).map_err(name)?,
        software_version: env!("CARGO_PKG_VERSION").to_owned(),
        seed: folder.instance.0 as u64,
    })
}

/// Makes the stored connectors those of the files, and those that did not come from files. Nothing else uses the store yet.
async fn declare(store: &dyn MetadataStore, keys: &Keys, files: &[ConnectorFile]) -> Result<(), Failure> {
    let what = "the connectors of dray.data.dir";
    let mut stored: BTreeMap<ConnectorName, (ConnectorSpec, Rest)> = BTreeMap::new();
    for entry in list_all(store, &keys.connectors()).await.context(what)?.value {
        if let Some(Name::Spec(name)) = keys.parse(&entry.key) {
            let spec =
                decode::<ConnectorSpec>(&entry.value).with_context(|| format!("connector {name} in dray.data.dir"))?;
            stored.insert(name, spec);
        }
    }
    for (name, (spec, _)) in &stored {
        let gone = spec.writer == FROM_FILE && files.iter().all(|file| file.name != *name);
        // One that is half deleted and named again begins anew.
        if gone || (spec.deleting && files.iter().any(|file| file.name == *name)) {
            store.txn(Txn::new().delete(keys.connector(name))).await.context(what)?;
        }
    }
    for file in files {
        let before = stored.get(&file.name).filter(|(spec, _)| !spec.deleting);
        let mut spec = match before {
            Some((spec, _)) => spec.clone(),
            None => ConnectorSpec {
                uid: None,
                config: file.config.clone(),
                target: file.initial_state,
                config_version: 1,
                restarts: 0,
                task_restarts: BTreeMap::new(),
                deleting: false,
                altering: None,
                breaker: None,
                writer: String::new(),
                operation: String::new(),
            },
        };
        let changed = spec.config != file.config;
        if changed {
            spec.config.clone_from(&file.config);
            spec.config_version += 1;
        }
        // A process that is started again is no person who has looked at what failed.
        let stays = !changed && file.initial_state == TargetState::Started && spec.paused_by_breaker().is_some();
        if !stays {
            spec.target = file.initial_state;
            spec.lift_breaker();
        }
        spec.writer = FROM_FILE.to_owned();
        if before.is_some_and(|(before, _)| *before == spec) {
            continue;
        }
        let rest = before.map(|(_, rest)| rest.clone()).unwrap_or_default();
        let value = encode(&spec, &rest).with_context(|| format!("connector {}", file.name))?;
        let key = keys.key(&Name::Spec(file.name.clone()));
        store.txn(Txn::new().put(&key, value)).await.context(what)?;
    }
    Ok(())
}
