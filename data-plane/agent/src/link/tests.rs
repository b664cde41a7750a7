use super::*;
use dray_model::AgentId;
use dray_model::message::LeaveIntent;
use dray_process::Telemetry;
use dray_runtime::active_topics::ActiveTopics;
use dray_wire::agent::v1::agent_control_service_server::{AgentControlService, AgentControlServiceServer};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, Streaming};

/// Counts what it hears until the agent ends the stream, and ends it too.
struct Leader(mpsc::Sender<usize>);

#[tonic::async_trait]
impl AgentControlService for Leader {
    type SessionStream = BoxStream<'static, Result<SessionResponse, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let mut inbound = request.into_inner();
        let mut heard = 0;
        while inbound.message().await?.is_some() {
            heard += 1;
        }
        self.0.send(heard).await.ok();
        Ok(Response::new(stream::empty().boxed()))
    }
}

#[tokio::test]
async fn the_last_words_are_heard() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (heard, mut hears) = mpsc::channel(1);
    let mut serving = JoinSet::new();
    serving.spawn(
        tonic::transport::Server::builder()
            .add_service(AgentControlServiceServer::new(Leader(heard)))
            .serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let (events, incoming) = mpsc::channel(8);
    let answers = Answers::new(
        AgentId::try_from("agent-1".to_owned()).unwrap(),
        Vec::new(),
        ActiveTopics::default(),
        &Telemetry::default(),
    );
    let configs = WorkerConfigs::new(Telemetry::default().hidden);
    let mut link = Link::new(dial_out(), vec![address], events, answers, configs);
    let connection = ConnectionId(1);
    link.connect(connection, &[]);
    for _ in 0..OUTBOUND {
        let word = LeaveIntent { expect_back_ms: None };
        link.send(connection, FromAgent::LeaveIntent(word));
    }
    drop(incoming);
    link.close().await;
    let heard = timeout(Duration::from_secs(10), hears.recv()).await;
    assert_eq!(heard, Ok(Some(OUTBOUND)));
}
