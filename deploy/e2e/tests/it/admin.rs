//! What operators ask of the control plane, over gRPC, at whichever replica answers.

use dray_wire::admin::v1::cluster_service_client::ClusterServiceClient;
use dray_wire::admin::v1::connector_service_client::ConnectorServiceClient;
use dray_wire::admin::v1::status_service_client::StatusServiceClient;
use dray_wire::admin::v1::{
    ConnectorWithTasks, CreateConnectorRequest, DeleteConnectorRequest, GetClusterRequest, GetConnectorStatusRequest,
    PauseConnectorRequest, ResumeConnectorRequest, StopConnectorRequest, WatchStatusRequest, WatchStatusResponse,
};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};

/// A call; then the next replica is asked.
const CALL: Duration = Duration::from_secs(2);
/// All calls for one answer: longer than the control plane may be without a leader.
const PATIENCE: Duration = Duration::from_secs(60);

/// A configuration, in pairs.
pub(crate) type Pairs<'a> = [(&'a str, String)];

/// A client of the replicas.
pub(crate) struct Admin {
    replicas: Vec<Channel>,
    next: AtomicUsize,
}

impl Admin {
    pub(crate) fn new(addresses: &[String]) -> Self {
        let replicas = addresses.iter().map(|address| {
            Endpoint::from_shared(format!("http://{address}"))
                .unwrap()
                .connect_timeout(CALL)
                .http2_keep_alive_interval(Duration::from_secs(2))
                .keep_alive_timeout(CALL)
                .connect_lazy()
        });
        Self {
            replicas: replicas.collect(),
            next: AtomicUsize::new(0),
        }
    }

    /// One attempt, at the next replica.
    async fn attempt<T, F: Future<Output = Result<T, Status>>>(
        &self,
        call: &impl Fn(Channel) -> F,
    ) -> Result<T, Status> {
        let place = self.next.load(Ordering::Relaxed) % self.replicas.len();
        let answer = match tokio::time::timeout(CALL, call(self.replicas[place].clone())).await {
            Ok(answer) => answer,
            Err(_) => Err(Status::deadline_exceeded("no answer")),
        };
        if let Err(status) = &answer
            && again(status)
        {
            self.next.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    /// Asks one replica after the other, until one answers.
    async fn ask<T, F: Future<Output = Result<T, Status>>>(&self, call: impl Fn(Channel) -> F) -> Result<T, Status> {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.attempt(&call).await {
                Err(status) if again(&status) && Instant::now() < end => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                answer => return answer,
            }
        }
    }

    /// Creates a connector. What was created by an attempt whose answer was lost is taken for this one.
    pub(crate) async fn create(&self, name: &str, config: &Pairs<'_>) {
        let request = CreateConnectorRequest {
            name: name.to_owned(),
            config: config
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone()))
                .collect(),
            target: 0,
            // Also what is wrong has to get into the store.
            skip_validation: true,
        };
        let call = |channel| {
            let request = request.clone();
            async move { ConnectorServiceClient::new(channel).create_connector(request).await }
        };
        match self.ask(call).await {
            Ok(_) => {}
            Err(status) if status.code() == Code::AlreadyExists => {}
            Err(status) => panic!("create {name}: {status}"),
        }
    }

    /// One attempt to create a connector, at one replica.
    pub(crate) async fn try_create(&self, name: &str, config: &Pairs<'_>) -> Result<(), Status> {
        let config = config.iter().map(|(key, value)| ((*key).to_owned(), value.clone()));
        let request = CreateConnectorRequest {
            name: name.to_owned(),
            config: config.collect(),
            target: 0,
            // An agent may be away.
            skip_validation: true,
        };
        let call = |channel| {
            let request = request.clone();
            async move { ConnectorServiceClient::new(channel).create_connector(request).await }
        };
        self.attempt(&call).await.map(drop)
    }

    pub(crate) async fn pause(&self, name: &str) {
        let call = |channel| async move {
            let name = name.to_owned();
            ConnectorServiceClient::new(channel)
                .pause_connector(PauseConnectorRequest { name })
                .await
        };
        self.ask(call).await.unwrap();
    }

    pub(crate) async fn resume(&self, name: &str) {
        let call = |channel| async move {
            let name = name.to_owned();
            ConnectorServiceClient::new(channel)
                .resume_connector(ResumeConnectorRequest { name })
                .await
        };
        self.ask(call).await.unwrap();
    }

    pub(crate) async fn stop(&self, name: &str) {
        let call = |channel| async move {
            let name = name.to_owned();
            ConnectorServiceClient::new(channel)
                .stop_connector(StopConnectorRequest { name })
                .await
        };
        self.ask(call).await.unwrap();
    }

    pub(crate) async fn delete(&self, name: &str) {
        let call = |channel| async move {
            let request = DeleteConnectorRequest {
                name: name.to_owned(),
                expected_revision: 0,
            };
            ConnectorServiceClient::new(channel).delete_connector(request).await
        };
        match self.ask(call).await {
            Ok(_) => {}
            // An attempt whose answer was lost.
            Err(status) if status.code() == Code::NotFound => {}
            Err(status) => panic!("delete {name}: {status}"),
        }
    }

    pub(crate) async fn status(&self, name: &str) -> Result<ConnectorWithTasks, Status> {
        let call = |channel| async move {
            let request = GetConnectorStatusRequest {
                consistency: None,
                name: name.to_owned(),
            };
            StatusServiceClient::new(channel).get_connector_status(request).await
        };
        Ok(self.ask(call).await?.into_inner().connector.unwrap_or_default())
    }

    /// The id of the replica that leads, once that is another one than this.
    pub(crate) async fn leader_but(&self, former: Option<&str>) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.leader().await {
                Some(leader) if Some(leader.as_str()) != former => return leader,
                known => assert!(Instant::now() < end, "{known:?} leads"),
            }
            self.elsewhere();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The id of the replica that leads, as some replica knows it.
    async fn leader(&self) -> Option<String> {
        let call = |channel| async move {
            ClusterServiceClient::new(channel)
                .get_cluster(GetClusterRequest::default())
                .await
        };
        let cluster = self.ask(call).await.ok()?.into_inner();
        cluster.leader.map(|leader| leader.replica)
    }

    /// All statuses and their changes, from the next replica; one attempt.
    pub(crate) async fn watch(&self) -> Result<Streaming<WatchStatusResponse>, Status> {
        let call = |channel| async move {
            let request = Request::new(WatchStatusRequest::default());
            StatusServiceClient::new(channel).watch_status(request).await
        };
        Ok(self.attempt(&call).await?.into_inner())
    }

    /// Goes on at the next replica.
    pub(crate) fn elsewhere(&self) {
        self.next.fetch_add(1, Ordering::Relaxed);
    }
}

/// Whether another replica, or this one later, may answer.
fn again(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Cancelled | Code::Internal
    )
}
