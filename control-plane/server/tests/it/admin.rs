//! `dray.admin.v1` as its clients see it.

use crate::agent::{CLASS, FakeAgent, channel};
use crate::rig::{leads, start, until};
use dray_control::Control;
use dray_store::MetadataStore;
use dray_store::mem::MemStore;
use dray_wire::admin::v1;
use dray_wire::admin::v1::agent_service_client::AgentServiceClient;
use dray_wire::admin::v1::cluster_service_client::ClusterServiceClient;
use dray_wire::admin::v1::connector_service_client::ConnectorServiceClient;
use dray_wire::admin::v1::operation_service_client::OperationServiceClient;
use dray_wire::admin::v1::status_change::What;
use dray_wire::admin::v1::status_service_client::StatusServiceClient;
use std::collections::BTreeMap;
use std::sync::Arc;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt as _;

/// A replica, and clients of it.
struct Rig {
    store: Arc<MemStore>,
    control: Control,
    connectors: ConnectorServiceClient<Channel>,
    agents: AgentServiceClient<Channel>,
    statuses: StatusServiceClient<Channel>,
}

async fn rig() -> Rig {
    let store = Arc::new(MemStore::default());
    let shared: Arc<dyn MetadataStore> = store.clone();
    let control = start(&shared, "test", "one").await;
    let channel = channel(control.addresses[0]);
    Rig {
        store,
        control,
        connectors: ConnectorServiceClient::new(channel.clone()),
        agents: AgentServiceClient::new(channel.clone()),
        statuses: StatusServiceClient::new(channel),
    }
}

fn config(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let own = [("connector.class", CLASS), ("tasks.max", "2")];
    own.iter()
        .chain(more)
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect()
}

fn at_least(min_revision: u64) -> Option<v1::Consistency> {
    Some(v1::Consistency {
        min_revision,
        linearizable: false,
    })
}

/// The code and the reason.
fn told(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info().expect("every error has a reason");
    assert_eq!(info.domain, "dray");
    (status.code(), info.reason)
}

impl Rig {
    async fn create(&mut self, name: &str, more: &[(&str, &str)]) -> Result<v1::CreateConnectorResponse, Status> {
        let request = v1::CreateConnectorRequest {
            name: name.into(),
            config: config(more),
            target: 0,
            skip_validation: true, // the agents here do not answer calls
        };
        Ok(self.connectors.create_connector(request).await?.into_inner())
    }

    async fn get(&mut self, name: &str, revision: u64) -> Result<v1::Connector, Status> {
        let request = v1::GetConnectorRequest {
            consistency: at_least(revision),
            name: name.into(),
        };
        let answer = self.connectors.get_connector(request).await?.into_inner();
        assert!(answer.revision >= revision, "one reads one's own writes");
        Ok(answer.connector.unwrap())
    }

    async fn update(&mut self, name: &str, more: &[(&str, &str)], expected: u64) -> Result<v1::Connector, Status> {
        let request = v1::UpdateConnectorConfigRequest {
            name: name.into(),
            config: config(more),
            expected_revision: expected,
            skip_validation: true,
        };
        let answer = self.connectors.update_connector_config(request).await?.into_inner();
        Ok(answer.connector.unwrap())
    }

    async fn pause(&mut self, name: &str) -> Result<u64, Status> {
        let request = v1::PauseConnectorRequest { name: name.into() };
        Ok(self.connectors.pause_connector(request).await?.into_inner().revision)
    }

    async fn status(&mut self, name: &str) -> v1::ConnectorWithTasks {
        self.try_status(name).await.unwrap()
    }

    async fn try_status(&mut self, name: &str) -> Result<v1::ConnectorWithTasks, Status> {
        let request = v1::GetConnectorStatusRequest {
            consistency: None,
            name: name.into(),
        };
        let answer = self.statuses.get_connector_status(request).await?.into_inner();
        Ok(answer.connector.unwrap())
    }

    /// Waits until a connector and its tasks have these states.
    async fn until_status(&mut self, name: &str, state: v1::ConnectorState, tasks: &[v1::TaskState]) {
        let end = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
        loop {
            // A replica hears of a new connector a moment after its leader.
            let seen = self.try_status(name).await;
            let is_so = seen.as_ref().is_ok_and(|seen| {
                let status = seen.status.as_ref().is_some_and(|status| status.state() == state);
                let tasks_seen = seen.tasks.iter().flat_map(|task| &task.status).map(|task| task.state());
                status && tasks_seen.eq(tasks.iter().copied())
            });
            if is_so {
                return;
            }
            assert!(tokio::time::Instant::now() < end, "not in time: {seen:?}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connectors_are_created_changed_and_deleted() {
    let mut rig = rig().await;
    let created = rig.create("c", &[]).await.unwrap();
    let connector = created.connector.unwrap();
    assert_eq!(
        (connector.uid, connector.revision),
        (created.revision, created.revision)
    );
    assert_eq!(connector.config["name"], "c", "Connect adds the name as well");
    assert_eq!(
        (connector.config_version, connector.target()),
        (1, v1::TargetState::Started)
    );
    assert_eq!(rig.get("c", created.revision).await.unwrap(), connector);

    let again = rig.create("c", &[]).await.unwrap_err();
    assert_eq!(told(&again), (Code::AlreadyExists, "ALREADY_EXISTS".into()));
    assert_eq!(again.message(), "there is a connector `c` already");

    let updated = rig.update("c", &[("rate", "1")], created.revision).await.unwrap();
    assert_eq!((updated.config_version, updated.uid), (2, connector.uid));
    let same = rig.update("c", &[("rate", "1")], 0).await.unwrap();
    assert_eq!(
        same.revision, updated.revision,
        "the same configuration changes nothing"
    );
    let stale = rig.update("c", &[("rate", "2")], created.revision).await.unwrap_err();
    assert_eq!(told(&stale), (Code::Aborted, "REVISION".into()));
    assert_eq!(
        stale.message(),
        format!(
            "connector `c` is at revision {} and not at {}: read it again",
            updated.revision, created.revision
        )
    );

    let paused = rig.pause("c").await.unwrap();
    assert_eq!(rig.pause("c").await.unwrap(), paused, "idempotent");
    assert_eq!(rig.get("c", paused).await.unwrap().target(), v1::TargetState::Paused);

    let delete = |name: &str| v1::DeleteConnectorRequest {
        name: name.into(),
        expected_revision: 0,
    };
    let missing = rig.connectors.delete_connector(delete("x")).await.unwrap_err();
    assert_eq!(told(&missing), (Code::NotFound, "NOT_FOUND".into()));
    rig.connectors.delete_connector(delete("c")).await.unwrap();
    until("it is gone", || rig.control.cache().now().specs().is_empty()).await;
    let again = rig.create("c", &[]).await.unwrap();
    assert!(again.connector.unwrap().uid > connector.uid, "another connector");
    rig.control.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_legal_is_named() {
    let mut rig = rig().await;
    for (name, more, field, problem) in [
        ("", vec![], "name", "a connector name may not be empty"),
        (
            "c",
            vec![("name", "d")],
            "config[name]",
            "is `d`, but the connector is called `c`",
        ),
        (
            "c",
            vec![("connector.class", " ")],
            "config[connector.class]",
            "is missing",
        ),
        (
            "c",
            vec![("dray.recovery", "maybe")],
            "config",
            "dray.recovery is `maybe`, but may be `fenced` or `strict`",
        ),
    ] {
        let error = rig.create(name, &more).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(error.message(), format!("{field}: {problem}"));
        let violation = error.get_details_bad_request().unwrap().field_violations.remove(0);
        assert_eq!(
            (violation.field.as_str(), violation.description.as_str()),
            (field, problem)
        );
    }
    rig.control.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages() {
    let mut rig = rig().await;
    let mut revision = 0;
    for name in ["b", "a", "d", "c", "e"] {
        revision = rig.create(name, &[]).await.unwrap().revision;
    }
    let (mut names, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let request = v1::ListConnectorsRequest {
            consistency: at_least(revision),
            page: Some(v1::Page { size: 2, token }),
            names_only: true,
        };
        let page = rig.connectors.list_connectors(request).await.unwrap().into_inner();
        assert!(page.connectors.len() <= 2);
        assert!(page.connectors.iter().all(|connector| connector.config.is_empty()));
        names.extend(page.connectors.into_iter().map(|connector| connector.name));
        (token, pages) = (page.next_page_token, pages + 1);
        if token.is_empty() {
            break;
        }
    }
    assert_eq!((names.concat().as_str(), pages), ("abcde", 3));

    let statuses = rig
        .statuses
        .list_connector_statuses(v1::ListConnectorStatusesRequest::default())
        .await;
    let statuses = statuses.unwrap().into_inner();
    assert_eq!(statuses.connectors.len(), 5);
    let tasks = v1::ListTasksRequest {
        consistency: None,
        connector: "a".into(),
        page: Some(v1::Page {
            size: 1,
            token: "x".into(),
        }),
    };
    let error = rig.connectors.list_tasks(tasks).await.unwrap_err();
    assert_eq!(error.message(), "page.token: is none that an answer had");
    rig.control.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_never_too_large_for_its_client() {
    let mut rig = rig().await;
    let long = "x".repeat(700_000);
    let mut revision = 0;
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        revision = rig.create(name, &[("long", &long)]).await.unwrap().revision;
    }
    let request = v1::ListConnectorsRequest {
        consistency: at_least(revision),
        page: None,
        names_only: false,
    };
    let page = rig.connectors.list_connectors(request).await.unwrap().into_inner();
    assert_eq!((page.connectors.len(), page.next_page_token.as_str()), (2, "b"));
    rig.control.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_run_are_seen_and_restarted() {
    use v1::{ConnectorState, TaskState};
    let mut rig = rig().await;
    let agent = FakeAgent::start("test", "a1", vec![channel(rig.control.addresses[0])], 2);
    rig.create("c", &[]).await.unwrap();
    let running = [TaskState::Running, TaskState::Running];
    rig.until_status("c", ConnectorState::Running, &running).await;
    let before = rig.status("c").await;
    let task = before.tasks[1].status.clone().unwrap();
    assert_eq!((task.agent.as_str(), task.worker_id.as_str()), ("a1", "a1:8083"));
    assert!(task.generation > 0);

    let tasks = v1::ListTasksRequest {
        connector: "c".into(),
        ..Default::default()
    };
    let tasks = rig.connectors.list_tasks(tasks).await.unwrap().into_inner();
    assert_eq!(tasks.config_version, 1);
    let configs: Vec<_> = tasks
        .tasks
        .iter()
        .map(|task| (task.number, &task.config["task"]))
        .collect();
    assert_eq!(configs, [(0, &"0".to_owned()), (1, &"1".to_owned())]);
    assert_eq!(
        tasks.tasks[0].config["connector.class"], CLASS,
        "the whole configuration"
    );

    let restart = |task| v1::RestartTaskRequest {
        connector: "c".into(),
        task,
    };
    let error = rig.connectors.restart_task(restart(2)).await.unwrap_err();
    assert_eq!(error.message(), "there is no task `c-2`");
    rig.connectors.restart_task(restart(1)).await.unwrap();
    let generation = |status: &v1::ConnectorWithTasks, at: usize| status.tasks[at].status.clone().unwrap().generation;
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while generation(&rig.status("c").await, 1) <= generation(&before, 1) {
        assert!(tokio::time::Instant::now() < end, "the task was not restarted");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert_eq!(
        generation(&rig.status("c").await, 0),
        generation(&before, 0),
        "the other goes on"
    );

    let restart = v1::RestartConnectorRequest {
        name: "c".into(),
        include_tasks: true,
        only_failed: true,
    };
    let nothing = rig
        .connectors
        .restart_connector(restart.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((nothing.instance, nothing.tasks), (false, vec![]));
    let restart = v1::RestartConnectorRequest {
        only_failed: false,
        ..restart
    };
    let all = rig.connectors.restart_connector(restart).await.unwrap().into_inner();
    assert_eq!((all.instance, all.tasks), (true, vec![0, 1]));

    rig.pause("c").await.unwrap();
    let paused = [TaskState::Paused, TaskState::Paused];
    rig.until_status("c", ConnectorState::Paused, &paused).await;
    let resume = v1::ResumeConnectorRequest { name: "c".into() };
    rig.connectors.resume_connector(resume).await.unwrap();
    rig.until_status("c", ConnectorState::Running, &running).await;
    let stop = v1::StopConnectorRequest { name: "c".into() };
    rig.connectors.stop_connector(stop).await.unwrap();
    rig.until_status("c", ConnectorState::Stopped, &[]).await;
    assert!(agent.seen.lock().unwrap().running.is_empty());
    rig.control.stop().await;
}

/// What a client knows that does as the protocol says.
#[derive(Default)]
struct Known {
    states: BTreeMap<String, String>,
    resets: usize,
    synced: bool,
    revision: u64,
}

impl Known {
    async fn until(&mut self, stream: &mut Streaming<v1::WatchStatusResponse>, what: &str, so: impl Fn(&Self) -> bool) {
        let deadline = std::time::Duration::from_secs(30);
        let seen = async {
            while !so(self) {
                let message = stream.message().await.unwrap().unwrap();
                self.take(message);
            }
        };
        let in_time = tokio::time::timeout(deadline, seen).await.is_ok();
        assert!(in_time, "not in time: {what}: {:?}", self.states);
    }

    fn take(&mut self, message: v1::WatchStatusResponse) {
        if message.reset {
            self.states.clear();
            self.resets += 1;
        }
        self.synced = message.synced;
        let revision = message.freshness.unwrap().revision;
        assert!(revision >= self.revision, "revisions never fall");
        self.revision = revision;
        for change in message.changes {
            let (key, state) = match change.what.unwrap() {
                What::Connector(change) => {
                    let state = change.status.map(|status| status.state().as_str_name().to_owned());
                    (change.name, state)
                }
                What::Task(change) => {
                    let state = change.status.map(|status| status.state().as_str_name().to_owned());
                    (format!("{}-{}", change.connector, change.task), state)
                }
                What::Agent(change) => {
                    let state = change.status.map(|status| status.link().as_str_name().to_owned());
                    (format!("agent {}", change.agent), state)
                }
            };
            match state {
                Some(state) => self.states.insert(key, state),
                None => self.states.remove(&key),
            };
        }
    }

    fn is(&self, key: &str, state: &str) -> bool {
        self.states.get(key).is_some_and(|known| known.ends_with(state))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_tells_everything_and_every_change() {
    let mut rig = rig().await;
    let _agent = FakeAgent::start("test", "a1", vec![channel(rig.control.addresses[0])], 2);
    rig.create("c", &[]).await.unwrap();
    let running = [v1::TaskState::Running, v1::TaskState::Running];
    rig.until_status("c", v1::ConnectorState::Running, &running).await;

    let mut stream = rig
        .statuses
        .watch_status(v1::WatchStatusRequest::default())
        .await
        .unwrap()
        .into_inner();
    let first = stream.message().await.unwrap().unwrap();
    assert!(first.reset, "the first message begins a snapshot");
    let mut known = Known::default();
    known.take(first);
    known.until(&mut stream, "the snapshot", |known| known.synced).await;
    assert!(known.is("c", "RUNNING") && known.is("c-0", "RUNNING") && known.is("c-1", "RUNNING"));
    assert!(known.is("agent a1", "CONNECTED"));

    rig.pause("c").await.unwrap();
    known
        .until(&mut stream, "paused", |known| {
            known.is("c-0", "PAUSED") && known.is("c", "PAUSED")
        })
        .await;
    let delete = v1::DeleteConnectorRequest {
        name: "c".into(),
        expected_revision: 0,
    };
    rig.connectors.delete_connector(delete).await.unwrap();
    known
        .until(&mut stream, "gone", |known| {
            known.states.keys().all(|key| key.starts_with("agent"))
        })
        .await;
    assert_eq!(known.resets, 1);

    // Another term: everything anew, within the stream.
    rig.create("d", &[]).await.unwrap();
    known
        .until(&mut stream, "running", |known| known.is("d-1", "RUNNING"))
        .await;
    rig.store.lose_leases();
    known.until(&mut stream, "a reset", |known| known.resets == 2).await;
    known
        .until(&mut stream, "running again", |known| {
            known.synced && known.is("d-1", "RUNNING")
        })
        .await;

    // The replica stops, and the stream says so: it is not cut off after the server's patience, for then there is no reason.
    rig.control.stop().await;
    let end = loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ends with an error"),
            Err(status) => break status,
        }
    };
    assert_eq!(told(&end), (Code::Unavailable, "STOPPING".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_are_listed_drained_and_removed() {
    let mut rig = rig().await;
    let address = rig.control.addresses[0];
    let _one = FakeAgent::start("test", "a1", vec![channel(address)], 2);
    rig.create("c", &[]).await.unwrap();
    let running = [v1::TaskState::Running, v1::TaskState::Running];
    rig.until_status("c", v1::ConnectorState::Running, &running).await;
    let _two = FakeAgent::start("test", "a2", vec![channel(address)], 2);
    let list = v1::ListAgentsRequest::default;
    let end = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    let agents = loop {
        let answer = rig.agents.list_agents(list()).await.unwrap().into_inner();
        let connected = |agent: &&v1::Agent| {
            let status = agent.status.as_ref();
            status.is_some_and(|status| status.link() == v1::AgentLink::Connected)
        };
        if answer.agents.iter().filter(connected).count() == 2 {
            assert!(!answer.freshness.unwrap().stale);
            break answer.agents;
        }
        assert!(tokio::time::Instant::now() < end, "the agents did not come");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    assert_eq!((agents[0].id.as_str(), agents[1].id.as_str()), ("a1", "a2"));
    assert_eq!((agents[0].number, agents[0].slots), (1, 100_000));
    assert_eq!(agents[0].policy(), v1::AgentPolicy::Active);

    let drain = |id: &str| v1::DrainAgentRequest { id: id.into() };
    let error = rig.agents.drain_agent(drain("a9")).await.unwrap_err();
    assert_eq!(error.message(), "there is no agent `a9`");
    let drained = rig.agents.drain_agent(drain("a1")).await.unwrap().into_inner();
    let again = rig.agents.drain_agent(drain("a1")).await.unwrap().into_inner();
    assert_eq!(again.revision, drained.revision, "idempotent");
    let mut operations = OperationServiceClient::new(channel(address));
    let get = || v1::GetOperationRequest {
        consistency: at_least(drained.revision),
        id: drained.operation_id.clone(),
    };
    loop {
        let operation = operations
            .get_operation(get())
            .await
            .unwrap()
            .into_inner()
            .operation
            .unwrap();
        let Some(v1::operation::What::Drain(drain)) = &operation.what else {
            panic!("{operation:?}");
        };
        if operation.state() == v1::OperationState::Done {
            assert_eq!((drain.agent.as_str(), drain.tasks_left), ("a1", 0));
            break;
        }
        assert!(tokio::time::Instant::now() < end, "not drained: {operation:?}");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    rig.until_status("c", v1::ConnectorState::Running, &running).await;
    assert!(
        rig.status("c")
            .await
            .tasks
            .iter()
            .all(|task| task.status.as_ref().unwrap().agent == "a2")
    );

    let uncordon = v1::UncordonAgentRequest { id: "a1".into() };
    let active = rig.agents.uncordon_agent(uncordon.clone()).await.unwrap().into_inner();
    let ended = operations
        .get_operation(v1::GetOperationRequest {
            consistency: at_least(active.revision),
            ..get()
        })
        .await
        .unwrap_err();
    assert_eq!(told(&ended), (Code::NotFound, "NOT_FOUND".into()), "the drain is over");
    let remove = v1::RemoveAgentRequest { id: "a1".into() };
    rig.agents.remove_agent(remove).await.unwrap();
    let error = rig.agents.uncordon_agent(uncordon).await.unwrap_err();
    assert_eq!(told(&error), (Code::FailedPrecondition, "REMOVED".into()));
    rig.control.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_names_its_leader_and_its_replicas() {
    let rig = rig().await;
    until("one leads", || leads(&rig.control, "one")).await;
    until("it is there", || rig.control.cache().now().replicas.len() == 1).await;
    let mut cluster = ClusterServiceClient::new(channel(rig.control.addresses[0]));
    let answer = cluster
        .get_cluster(v1::GetClusterRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.cluster, "test");
    let leader = answer.leader.unwrap();
    assert_eq!(leader.replica, "one");
    assert_eq!(Some(leader.term), rig.control.cache().now().term.map(|term| term.get()));
    assert_eq!(answer.replicas[0].id, "one");
    assert_eq!(
        answer.replicas[0].endpoints,
        [format!("http://{}", rig.control.addresses[0])]
    );
    rig.control.stop().await;
}

/// A store that is away: reads go on, changes say that nothing was changed.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_there_are_reads() {
    let mut rig = rig().await;
    let created = rig.create("c", &[]).await.unwrap();
    rig.get("c", created.revision).await.unwrap();
    rig.store.set_cut_off(true);
    assert_eq!(rig.get("c", 0).await.unwrap().name, "c");
    let error = rig.pause("c").await.unwrap_err();
    assert_eq!(told(&error), (Code::Unavailable, "STORE_UNAVAILABLE".into()));
    let linearizable = v1::GetConnectorRequest {
        consistency: Some(v1::Consistency {
            min_revision: 0,
            linearizable: true,
        }),
        name: "c".into(),
    };
    let error = rig.connectors.get_connector(linearizable).await.unwrap_err();
    assert_eq!(told(&error), (Code::Unavailable, "STORE_UNAVAILABLE".into()));
    rig.store.set_cut_off(false);
    assert!(rig.pause("c").await.unwrap() > created.revision);
    rig.control.stop().await;
}
