//! What people ask of this agent through the leader, and what it answers: typed calls, on a stream of their own.

mod config;
mod letters;
mod preview;

use crate::keeper::Surroundings;
use crate::topics::News;
use dray_model::message::{CallsHello, Plugin};
use dray_model::{AgentId, ConnectorName};
use dray_process::Telemetry;
use dray_process::hidden::Hidden;
use dray_process::log::{Change, Level, Levels};
use dray_runtime::active_topics::ActiveTopics;
use dray_runtime::client_config;
use dray_runtime::connector_offsets::{OffsetChange, OffsetJson};
use dray_runtime::validate::Refused;
use dray_runtime::worker::Worker;
use dray_wire::agent::v1::agent_call_service_client::AgentCallServiceClient;
use dray_wire::agent::v1::call_answer::Result as Answer;
use dray_wire::agent::v1::calls_request::Body;
use dray_wire::agent::v1::calls_response::Call;
use dray_wire::agent::v1::{
    AlterOffsetsCall, CallAnswer, CallError, CallErrorKind, CallsRequest, KafkaClusterResult, LevelsSetResult,
    LoggerLevel, OffsetPair, OffsetsAlteredResult, OffsetsResult, PluginConfigResult, ReadOffsetsCall, SetLevelsCall,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

/// Calls that are answered at once; more wait.
const AT_ONCE: usize = 16;
/// Previews that run at once beside these: one takes seconds, and the others shall not wait for it.
const PREVIEWS: usize = 4;
/// Answers that the stream has not yet taken.
const OUTBOUND: usize = 16;

/// What there is to answer calls with.
pub(crate) enum Around {
    /// Nothing yet: a session is about to begin.
    Beginning,
    /// The session has no worker: the cluster's configuration of it cannot be used.
    Unusable,
    Session(Arc<Surroundings>),
}

/// Answers calls for as long as the agent lives, under whichever session it has.
pub(crate) struct Answers {
    agent: AgentId,
    plugins: Vec<Plugin>,
    levels: Levels,
    hidden: Hidden,
    around: watch::Sender<Around>,
    at_once: Semaphore,
    previews: Semaphore,
    news: News,
}

impl Answers {
    pub(crate) fn new(agent: AgentId, plugins: Vec<Plugin>, active: ActiveTopics, telemetry: &Telemetry) -> Arc<Self> {
        Arc::new(Self {
            agent,
            plugins,
            levels: telemetry.levels.clone(),
            hidden: telemetry.hidden.clone(),
            around: watch::Sender::new(Around::Beginning),
            at_once: Semaphore::new(AT_ONCE),
            previews: Semaphore::new(PREVIEWS),
            news: News::new(active),
        })
    }

    /// What the present session runs with.
    pub(crate) fn set(&self, around: Around) {
        self.around.send_replace(around);
    }

    /// Waits while a session begins: the stream of calls may be there a moment before it. None: this agent cannot answer. Cancel-safe.
    async fn around(&self) -> Option<Arc<Surroundings>> {
        let mut around = self.around.subscribe();
        let known = around.wait_for(|around| !matches!(around, Around::Beginning)).await;
        match &*known.ok()? {
            Around::Session(around) => Some(around.clone()),
            Around::Beginning | Around::Unusable => None,
        }
    }

    /// Answers what comes on a stream of calls, until it ends. Dropping the future drops what is being answered.
    pub(crate) async fn serve(self: Arc<Self>, channel: Channel) {
        let (answers, outbound) = mpsc::channel(OUTBOUND);
        let hello = CallsHello {
            agent: self.agent.clone(),
            plugins: self.plugins.clone(),
        };
        let hello = CallsRequest {
            body: Some(Body::Hello(hello.into())),
        };
        // The stream takes it as its first.
        drop(answers.try_send(hello));
        let mut client = AgentCallServiceClient::new(channel)
            .max_decoding_message_size(dray_wire::MAX_MESSAGE)
            .max_encoding_message_size(dray_wire::MAX_MESSAGE);
        let mut calls = match client.calls(ReceiverStream::new(outbound)).await {
            Ok(calls) => calls.into_inner(),
            // An older control plane does not call.
            Err(status) => return tracing::info!(%status, "no stream of calls"),
        };
        self.news.unsaid();
        let mut answering = JoinSet::new();
        loop {
            tokio::select! {
                call = calls.message() => {
                    let Ok(Some(call)) = call else { return };
                    let (answers, here) = (answers.clone(), self.clone());
                    answering.spawn(async move {
                        let within = Duration::from_millis(u64::from(call.timeout_ms));
                        let result = match tokio::time::timeout(within, here.answer(call.call, within)).await {
                            Ok(result) => result,
                            Err(_) => failed(format!("no answer within {} ms", within.as_millis())),
                        };
                        let answer = CallAnswer { id: call.id, result: Some(here.shown(result)) };
                        let body = Some(Body::Answer(answer));
                        // A stream that has ended takes nothing any more.
                        drop(answers.send(CallsRequest { body }).await);
                    });
                }
                Some(answered) = answering.join_next() => {
                    if let Err(error) = answered {
                        tracing::error!(%error, "the answer to a call panicked");
                    }
                }
            }
        }
    }

    async fn answer(&self, call: Option<Call>, within: Duration) -> Answer {
        // It waits for most of its time, and shall keep nobody else from an answer.
        if let Some(Call::ActiveTopics(call)) = call {
            return Answer::ActiveTopics(self.news.next(call.stored, within).await);
        }
        let is_preview = matches!(call, Some(Call::Preview(_)));
        let permits = if is_preview { &self.previews } else { &self.at_once };
        let Ok(_permit) = permits.acquire().await else {
            return elsewhere("it is shutting down");
        };
        if let Some(Call::SetLevels(call)) = call {
            return self.set_levels(call);
        }
        let Some(around) = self.around().await else {
            return elsewhere("the cluster's worker configuration cannot be used; its log says why");
        };
        match call {
            Some(Call::PluginConfig(call)) => match around.worker.plugin_config(&call.plugin) {
                Ok(keys) => Answer::PluginConfig(PluginConfigResult {
                    keys: keys.into_iter().map(config::key).collect(),
                }),
                Err(refused) => refusal(refused),
            },
            Some(Call::Validate(call)) => {
                let entries = call.config.into_iter().map(|entry| (entry.name, entry.value));
                match around.worker.validate_resolved(entries.collect()).await {
                    Ok(infos) => Answer::Validated(config::infos(infos)),
                    Err(refused) => refusal(refused),
                }
            }
            Some(Call::ReadOffsets(call)) => read_offsets(&around.worker, call).await,
            Some(Call::KafkaCluster(_)) => {
                let settings = client_config::internal(around.worker.config().originals(), "dray-cluster");
                match around.worker.kafka_cluster(&settings, within).await {
                    Ok(id) => Answer::KafkaCluster(KafkaClusterResult { id }),
                    Err(error) => elsewhere(&error.to_string()),
                }
            }
            Some(Call::ActiveTopics(_)) => elsewhere("this call is answered before others"),
            Some(Call::AlterOffsets(call)) => alter_offsets(&around.worker, call).await,
            Some(Call::Letters(call)) => letters::list(&around.worker, call).await,
            Some(Call::ReplayLetters(call)) => letters::replay(&around.worker, call).await,
            Some(Call::DropLetters(call)) => letters::discard(&around.worker, call).await,
            Some(Call::Preview(call)) => preview::preview(&around.worker, call, &self.hidden).await,
            Some(Call::SetLevels(_)) | None => elsewhere("it does not know this call: is it of an older version?"),
        }
    }
}

impl Answers {
    /// Without values of config providers.
    fn shown(&self, mut answer: Answer) -> Answer {
        if let Answer::Error(error) = &mut answer {
            error.message = self.hidden.hide(&error.message).into_owned();
        }
        if let Answer::Letters(found) = &mut answer {
            for letter in &mut found.letters {
                letters::hide(&self.hidden, letter);
            }
        }
        if let Answer::Replayed(replayed) = &mut answer {
            for letter in &mut replayed.refused {
                letter.reason = self.hidden.hide(&letter.reason).into_owned();
            }
        }
        answer
    }

    /// Those that hold in the whole cluster.
    fn set_levels(&self, call: SetLevelsCall) -> Answer {
        for LoggerLevel { name, level } in call.levels {
            // A newer version's level is not ours to guess.
            let Some(level) = Level::of(&level) else { continue };
            if let Err(error) = self.levels.set(&Change { name, level }) {
                tracing::warn!(%error, "a level that was set for the cluster is not used");
            }
        }
        Answer::LevelsSet(LevelsSetResult {})
    }
}

async fn read_offsets(worker: &Worker, call: ReadOffsetsCall) -> Answer {
    let name = match ConnectorName::try_from(call.connector) {
        Ok(name) => name,
        Err(error) => return elsewhere(&format!("it cannot read the connector's name: {error}")),
    };
    let config = match worker.resolve(&call.config.into_iter().collect()).await {
        Ok(resolved) => resolved,
        Err(error) => return failed(error.to_string()),
    };
    match worker.read_offsets(&name, config.config()).await {
        Ok(offsets) => Answer::Offsets(OffsetsResult {
            offsets: offsets.into_iter().map(pair).collect(),
        }),
        Err(refused) => refusal(refused),
    }
}

async fn alter_offsets(worker: &Worker, call: AlterOffsetsCall) -> Answer {
    let name = match ConnectorName::try_from(call.connector) {
        Ok(name) => name,
        Err(error) => return elsewhere(&format!("it cannot read the connector's name: {error}")),
    };
    let change = if call.reset {
        OffsetChange::Reset
    } else {
        let offsets = call.offsets.into_iter().map(|pair| (pair.partition, pair.offset));
        OffsetChange::Alter(offsets.collect())
    };
    let config = match worker.resolve(&call.config.into_iter().collect()).await {
        Ok(resolved) => resolved,
        Err(error) => return failed(error.to_string()),
    };
    match worker.change_offsets(&name, config.config(), &change).await {
        Ok(external) => Answer::Altered(OffsetsAlteredResult { external }),
        Err(refused) => refusal(refused),
    }
}

fn pair((partition, offset): OffsetJson) -> OffsetPair {
    OffsetPair { partition, offset }
}

/// Another agent may be able to.
fn elsewhere(why: &str) -> Answer {
    error(CallErrorKind::Unavailable, why.to_owned(), "")
}

fn failed(why: String) -> Answer {
    error(CallErrorKind::Failed, why, CONNECT)
}

const CONNECT: &str = "org.apache.kafka.connect.errors.ConnectException";
const REST: &str = "org.apache.kafka.connect.runtime.rest.errors";

fn refusal(refused: Refused) -> Answer {
    match refused {
        Refused::BadRequest(why) => error(CallErrorKind::BadRequest, why, &format!("{REST}.BadRequestException")),
        Refused::Config(why) => error(
            CallErrorKind::BadRequest,
            why,
            "org.apache.kafka.common.config.ConfigException",
        ),
        Refused::NotFound(why) => error(
            CallErrorKind::NotFound,
            why,
            "org.apache.kafka.connect.errors.NotFoundException",
        ),
        Refused::Failed(why) => failed(why),
    }
}

fn error(kind: CallErrorKind, message: String, exception: &str) -> Answer {
    Answer::Error(CallError {
        kind: kind.into(),
        message,
        exception: exception.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use dray_wire::agent::v1::KafkaClusterCall;
    use futures::FutureExt as _;

    /// The first call may come before the agent has read its Welcome.
    #[tokio::test]
    async fn a_call_waits_for_the_session_that_begins() {
        let agent = "a".to_owned().try_into().unwrap();
        let telemetry = Telemetry::default();
        let answers = Answers::new(agent, Vec::new(), ActiveTopics::default(), &telemetry);
        let call = Call::KafkaCluster(KafkaClusterCall {});
        let answer = answers.answer(Some(call), Duration::from_secs(5));
        tokio::pin!(answer);
        assert!(answer.as_mut().now_or_never().is_none(), "it waits");
        answers.set(Around::Unusable);
        let Answer::Error(error) = answer.await else {
            panic!("it answered without a worker");
        };
        assert!(
            error.message.contains("worker configuration cannot be used"),
            "{error:?}"
        );
    }
}
