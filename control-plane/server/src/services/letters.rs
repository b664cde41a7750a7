//! `LetterService`: dead letter queues, read and written by an agent.

use super::Services;
use super::plugins::refused;
use super::read::connector_name;
use crate::status;
use crate::switchboard::NoAnswer;
use dray_model::ConfigMap;
use dray_wire::admin::v1;
use dray_wire::admin::v1::letter_service_client::LetterServiceClient;
use dray_wire::admin::v1::letter_service_server::LetterService;
use dray_wire::agent::v1::call_answer::Result as Answered;
use dray_wire::agent::v1::calls_response::Call;
use dray_wire::agent::v1::{DropLettersCall, LettersCall, ReplayLettersCall};
use std::time::Duration;
use tonic::{Request, Response, Status};

/// How long an agent may take.
const WITHIN: Duration = Duration::from_secs(90);

#[tonic::async_trait]
impl LetterService for Services {
    async fn list_letters(
        &self,
        mut request: Request<v1::ListLettersRequest>,
    ) -> Result<Response<v1::ListLettersResponse>, Status> {
        if let Some(leader) = self.leader.elsewhere(&mut request).await? {
            let mut client = LetterServiceClient::new(leader).max_decoding_message_size(dray_wire::MAX_MESSAGE);
            return client.list_letters(request).await;
        }
        let request = request.into_inner();
        let config = self.letters_of(&request.connector).await?;
        let class = class(&config);
        let call = Call::Letters(LettersCall {
            config,
            count: request.count,
            from: request.from,
        });
        match self.switchboard.ask(&class, &call, WITHIN).await {
            Ok(Answered::Letters(found)) => Ok(Response::new(v1::ListLettersResponse {
                topic: found.topic,
                bounds: found.bounds,
                letters: found.letters,
            })),
            other => Err(refused(other)),
        }
    }

    async fn replay_letters(
        &self,
        mut request: Request<v1::ReplayLettersRequest>,
    ) -> Result<Response<v1::ReplayLettersResponse>, Status> {
        if request.get_ref().from.is_none() || request.get_ref().count == 0 {
            return Err(status::invalid("from", "it has to be said which letters, and how many"));
        }
        if let Some(leader) = self.leader.elsewhere(&mut request).await? {
            return LetterServiceClient::new(leader).replay_letters(request).await;
        }
        let request = request.into_inner();
        let config = self.letters_of(&request.connector).await?;
        let class = class(&config);
        let call = Call::ReplayLetters(ReplayLettersCall {
            config,
            from: request.from,
            count: request.count,
            to: request.to,
        });
        match self.order(&class, &call).await {
            Ok(Answered::Replayed(done)) => Ok(Response::new(v1::ReplayLettersResponse {
                replayed: done.replayed,
                refused: done.refused,
                next: done.next,
                end: done.end,
            })),
            other => Err(refused(other)),
        }
    }

    async fn drop_letters(
        &self,
        mut request: Request<v1::DropLettersRequest>,
    ) -> Result<Response<v1::DropLettersResponse>, Status> {
        if request.get_ref().before.is_empty() {
            return Err(status::invalid("before", "it has to be said up to where"));
        }
        if let Some(leader) = self.leader.elsewhere(&mut request).await? {
            return LetterServiceClient::new(leader).drop_letters(request).await;
        }
        let request = request.into_inner();
        let config = self.letters_of(&request.connector).await?;
        let class = class(&config);
        let call = Call::DropLetters(DropLettersCall {
            config,
            before: request.before,
        });
        match self.order(&class, &call).await {
            Ok(Answered::Dropped(left)) => Ok(Response::new(v1::DropLettersResponse { bounds: left.bounds })),
            other => Err(refused(other)),
        }
    }
}

impl Services {
    /// The configuration of a connector whose queue is asked for.
    async fn letters_of(&self, name: &str) -> Result<ConfigMap, Status> {
        let name = connector_name("connector", name)?;
        let state = self.state(None).await?;
        let found = state.spec(&name).map(|found| found.record.config.clone());
        let config = found.ok_or_else(|| status::not_found("connector", &name))?;
        self.agents_are_there().await;
        Ok(config)
    }

    /// Told to one agent only: it is not known what came of it when that one does not answer.
    async fn order(&self, class: &str, call: &Call) -> Result<Answered, NoAnswer> {
        self.switchboard.order(class, call, WITHIN).await
    }
}

fn class(config: &ConfigMap) -> String {
    config
        .get("connector.class")
        .map_or("", |class| class.trim())
        .to_owned()
}
