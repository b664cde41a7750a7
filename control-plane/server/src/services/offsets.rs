//! `OffsetService`: how far connectors are, read and set by an agent.

use super::Services;
use super::change::Next;
use super::plugins::refused;
use super::read::connector_name;
use crate::board::Freshness;
use crate::cache::State;
use crate::status;
use crate::switchboard::NoAnswer;
use dray_machine::cluster::{ShownStatus, altering};
use dray_model::record::ConnectorSpec;
use dray_model::{ConnectorName, ConnectorState, TargetState};
use dray_wire::admin::v1;
use dray_wire::admin::v1::offset_service_client::OffsetServiceClient;
use dray_wire::admin::v1::offset_service_server::OffsetService;
use dray_wire::agent::v1::call_answer::Result as Answered;
use dray_wire::agent::v1::calls_response::Call;
use dray_wire::agent::v1::{AlterOffsetsCall, OffsetPair, ReadOffsetsCall};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tonic::{Request, Response, Status};

/// How long all of it may take, as in Connect.
const WITHIN: Duration = Duration::from_secs(90);

/// How long the leader, which is here, may take to see that a change of offsets begins: its cache is some milliseconds behind.
const SEEN: Duration = Duration::from_secs(10);
/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(5);

#[tonic::async_trait]
impl OffsetService for Services {
    async fn get_offsets(
        &self,
        mut request: Request<v1::GetOffsetsRequest>,
    ) -> Result<Response<v1::GetOffsetsResponse>, Status> {
        if let Some(leader) = self.leader.elsewhere(&mut request).await? {
            return OffsetServiceClient::new(leader).get_offsets(request).await;
        }
        let name = connector_name("connector", &request.into_inner().connector)?;
        let state = self.state(None).await?;
        let config = spec(&state, &name)?.config.clone();
        self.agents_are_there().await;
        let class = class(&config).to_owned();
        let call = Call::ReadOffsets(ReadOffsetsCall {
            connector: name.as_str().into(),
            config,
        });
        match self.switchboard.ask(&class, &call, WITHIN).await {
            Ok(Answered::Offsets(found)) => {
                let offsets = found.offsets.into_iter().map(|pair| v1::ConnectorOffset {
                    partition: pair.partition,
                    offset: pair.offset,
                });
                Ok(Response::new(v1::GetOffsetsResponse {
                    offsets: offsets.collect(),
                }))
            }
            other => Err(refused(other)),
        }
    }

    async fn alter_offsets(
        &self,
        mut request: Request<v1::AlterOffsetsRequest>,
    ) -> Result<Response<v1::AlterOffsetsResponse>, Status> {
        if request.get_ref().offsets.is_empty() {
            let problem = "Partitions / offsets need to be provided for an alter offsets request";
            return Err(status::invalid("offsets", problem));
        }
        if let Some(leader) = self.leader.elsewhere(&mut request).await? {
            return OffsetServiceClient::new(leader).alter_offsets(request).await;
        }
        let request = request.into_inner();
        let offsets = request.offsets.into_iter().map(|offset| OffsetPair {
            partition: offset.partition,
            offset: offset.offset,
        });
        let external = self.alter(&request.connector, offsets.collect(), false).await?;
        Ok(Response::new(v1::AlterOffsetsResponse { external }))
    }

    async fn reset_offsets(
        &self,
        mut request: Request<v1::ResetOffsetsRequest>,
    ) -> Result<Response<v1::ResetOffsetsResponse>, Status> {
        if let Some(leader) = self.leader.elsewhere(&mut request).await? {
            return OffsetServiceClient::new(leader).reset_offsets(request).await;
        }
        let connector = request.into_inner().connector;
        let external = self.alter(&connector, Vec::new(), true).await?;
        Ok(Response::new(v1::ResetOffsetsResponse { external }))
    }
}

impl Services {
    /// Has an agent set offsets of a connector that is stopped, and stays so until that is done: a mark in what is wanted of it says
    /// so. Returns whether the connector itself has seen to them as well.
    ///
    /// Who is dropped in between leaves the mark behind, and so does one whose agent says nothing: it may still be at it. The leader
    /// lets such a mark run out.
    async fn alter(&self, name: &str, offsets: Vec<OffsetPair>, reset: bool) -> Result<bool, Status> {
        let name = connector_name("connector", name)?;
        let operation = self.writer.operation();
        let spec = self.begin_altering(&name, &operation).await?;
        let class = class(&spec.config).to_owned();
        let call = Call::AlterOffsets(AlterOffsetsCall {
            connector: name.as_str().into(),
            config: spec.config,
            offsets,
            reset,
        });
        self.agents_are_there().await;
        let answered = self.switchboard.order(&class, &call, WITHIN).await;
        if !matches!(answered, Err(NoAnswer::Unknown(_))) {
            self.end_altering(&name, &operation).await;
        }
        match answered {
            Ok(Answered::Altered(altered)) => Ok(altered.external),
            other => Err(refused(other)),
        }
    }

    /// From here on nothing of the connector starts.
    async fn begin_altering(&self, name: &ConnectorName, operation: &str) -> Result<ConnectorSpec, Status> {
        let marked = self
            .writer
            .spec(name, |found| {
                let (spec, _) = found.ok_or_else(|| status::not_found("connector", name))?;
                if spec.target != TargetState::Stopped || spec.deleting {
                    return Err(not_stopped(name));
                }
                let Some(shown) = self
                    .without_tasks(name)
                    .filter(|shown| shown.state == ConnectorState::Stopped)
                else {
                    return Err(not_stopped(name));
                };
                if spec
                    .altering
                    .as_deref()
                    .map(altering)
                    .is_some_and(|other| shown.trace == Some(other))
                {
                    let text = format_args!("the offsets of connector `{name}` are being set already: try again");
                    return Err(status::precondition("ALTERING", text));
                }
                Ok(Next::Put(ConnectorSpec {
                    altering: Some(operation.into()),
                    ..spec.clone()
                }))
            })
            .await?;
        let end = Instant::now() + SEEN;
        let begun = Some(altering(operation));
        while self.without_tasks(name).is_none_or(|shown| shown.trace != begun) {
            if Instant::now() >= end {
                self.end_altering(name, operation).await;
                return Err(not_stopped(name));
            }
            sleep(LOOK).await;
        }
        Ok(marked.record)
    }

    /// It may start again. Where that cannot be written, the mark runs out.
    async fn end_altering(&self, name: &ConnectorName, operation: &str) {
        let ended = self.writer.spec(name, |found| match found {
            Some((spec, _)) if spec.altering.as_deref() == Some(operation) => Ok(Next::Put(ConnectorSpec {
                altering: None,
                ..spec.clone()
            })),
            Some(_) => Ok(Next::Keep),
            None => Err(status::not_found("connector", name)),
        });
        if let Err(status) = ended.await {
            tracing::warn!(
                connector.id = %name,
                error = %status.message(),
                "could not write that offsets are set; the connector may start in two minutes"
            );
        }
    }

    /// What the leader, which is here, shows of a connector, if it has seen the end of all its tasks.
    fn without_tasks(&self, name: &ConnectorName) -> Option<ShownStatus<ConnectorState>> {
        self.board.read(|seen| {
            let shown = seen.connectors.get(name)?;
            let is_fresh = matches!(seen.freshness, Freshness::Fresh(_));
            shown.connector.clone().filter(|_| is_fresh && shown.tasks.is_empty())
        })
    }
}

fn not_stopped(name: &ConnectorName) -> Status {
    let text = format_args!(
        "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified \
         connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
    );
    status::precondition("NOT_STOPPED", text)
}

fn spec<'a>(state: &'a State, name: &ConnectorName) -> Result<&'a ConnectorSpec, Status> {
    let found = state.spec(name).map(|found| found.record);
    found.ok_or_else(|| status::not_found("connector", name))
}

fn class(config: &dray_model::ConfigMap) -> &str {
    config.get("connector.class").map_or("", |class| class.trim())
}
