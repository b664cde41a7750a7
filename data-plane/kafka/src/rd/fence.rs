//! Fencing a transactional id. `InitProducerId` is sent directly: librdkafka's own pause while the old transaction is being
//! aborted is a second.

use super::direct::{Ask, Connection, Direct, Of, check};
use super::errors::local;
use super::idle::Idle;
use super::transactional;
use crate::error::{Class, Result};
use crate::port::ClientConfig;
use async_trait::async_trait;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use std::sync::Arc;
use std::time::Duration;

/// Until the broker is asked again whether the old transaction is aborted. Writing its markers takes some milliseconds.
const PAUSE: Duration = Duration::from_millis(20);
/// The broker keeps it for a transaction of this producer, which there never is.
const TRANSACTION_TIMEOUT_MS: i32 = 10_000;

pub(super) async fn fence(
    config: &ClientConfig,
    idle: &Arc<Idle>,
    transactional_id: &str,
    timeout: Duration,
) -> Result<()> {
    let what = format!("fencing the transactional id `{transactional_id}`");
    let Some(direct) = Direct::read(config, idle)? else {
        return by_initialising(config, idle, transactional_id, &what, timeout).await;
    };
    let init = Init(transactional_id);
    direct
        .ask(Of::Transaction, transactional_id, &what, timeout, &init)
        .await
}

struct Init<'a>(&'a str);

#[async_trait]
impl Ask for Init<'_> {
    type Answer = ();

    async fn ask(&self, coordinator: &mut Connection) -> Result<()> {
        let id = TransactionalId(StrBytes::from_string(self.0.to_owned()));
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(id))
            .with_transaction_timeout_ms(TRANSACTION_TIMEOUT_MS)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        loop {
            let answer = coordinator.ask(&request, 0..=4).await?;
            // The old producer is fenced already; only its transaction still has to be aborted.
            if ResponseError::try_from_code(answer.error_code) != Some(ResponseError::ConcurrentTransactions) {
                return check("initialising the producer id", answer.error_code, None);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The same request by a producer that is thrown away: slower, but with all of librdkafka's ways to connect.
async fn by_initialising(
    config: &ClientConfig,
    idle: &Arc<Idle>,
    transactional_id: &str,
    what: &str,
    timeout: Duration,
) -> Result<()> {
    let settings = transactional::settings(config, transactional_id)?;
    let (id, sources) = (transactional_id.to_owned(), Arc::clone(&idle.sources));
    tokio::task::spawn_blocking(move || transactional::init(&settings, &sources, &id, timeout, || false).map(drop))
        .await
        .map_err(|error| local(what, "THREAD", error.to_string(), Class::Fatal))?
}
