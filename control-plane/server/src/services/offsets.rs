//! `OffsetService`: how far connectors are, read and set by an agent.

use super::Services;
use super::plugins::refused;
use super::read::connector_name;
use crate::board::Freshness;
use crate::cache::State;
use crate::status;
use dray_model::record::ConnectorSpec;
use dray_model::{ConnectorName, ConnectorState, TargetState};
use dray_wire::admin::v1;
use dray_wire::admin::v1::offset_service_client::OffsetServiceClient;
use dray_wire::admin::v1::offset_service_server::OffsetService;
use dray_wire::agent::v1::call_answer::Result as Answered;
use dray_wire::agent::v1::calls_response::Call;
use dray_wire::agent::v1::{AlterOffsetsCall, OffsetPair, ReadOffsetsCall};
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tonic::{Request, Response, Status};

/// How long all of it may take, as in Connect.
const WITHIN: Duration = Duration::from_secs(90);

/// Connectors whose offsets are being set: one change at a time.
#[derive(Default)]
pub(super) struct Altering(Mutex<BTreeSet<ConnectorName>>);

/// While it lives, nobody else sets the offsets of this connector here.
struct Alone<'a>(&'a Altering, ConnectorName);

impl Altering {
    fn begin(&self, name: &ConnectorName) -> Result<Alone<'_>, Status> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.insert(name.clone()) {
            Ok(Alone(self, name.clone()))
        } else {
            let text = format_args!("the offsets of connector `{name}` are being set already: try again");
            Err(status::precondition("ALTERING", text))
        }
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.1);
    }
}

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
    /// Has an agent set offsets of a connector that is stopped. Returns whether the connector itself has seen to them as well.
    async fn alter(&self, name: &str, offsets: Vec<OffsetPair>, reset: bool) -> Result<bool, Status> {
        let name = connector_name("connector", name)?;
        let _alone = self.altering.begin(&name)?;
        // What others have just asked for counts.
        let newest = v1::Consistency {
            min_revision: 0,
            linearizable: true,
        };
        let state = self.state(Some(newest)).await?;
        let spec = spec(&state, &name)?;
        let tasks = state.tasks(&name).map_or(0, |set| set.record.tasks.len());
        if spec.target != TargetState::Stopped || spec.deleting || tasks > 0 || !self.is_stopped(&name) {
            let text = format_args!(
                "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified \
                 connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
            );
            return Err(status::precondition("NOT_STOPPED", text));
        }
        let class = class(&spec.config).to_owned();
        let call = Call::AlterOffsets(AlterOffsetsCall {
            connector: name.as_str().into(),
            config: spec.config.clone(),
            offsets,
            reset,
        });
        self.agents_are_there().await;
        match self.switchboard.order(&class, &call, WITHIN).await {
            Ok(Answered::Altered(altered)) => Ok(altered.external),
            other => Err(refused(other)),
        }
    }

    /// Whether the leader, which is here, has seen the end of all of it.
    fn is_stopped(&self, name: &ConnectorName) -> bool {
        self.board.read(|seen| {
            let shown = seen.connectors.get(name);
            matches!(seen.freshness, Freshness::Fresh(_))
                && shown.is_some_and(|shown| {
                    let connector = shown.connector.as_ref();
                    shown.tasks.is_empty() && connector.is_some_and(|seen| seen.state == ConnectorState::Stopped)
                })
        })
    }
}

fn spec<'a>(state: &'a State, name: &ConnectorName) -> Result<&'a ConnectorSpec, Status> {
    let found = state.spec(name).map(|found| found.record);
    found.ok_or_else(|| status::not_found("connector", name))
}

fn class(config: &dray_model::ConfigMap) -> &str {
    config.get("connector.class").map_or("", |class| class.trim())
}
