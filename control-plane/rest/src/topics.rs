//! Which topics a connector has used, and forgetting them (KIP-558).

use crate::answer::{Answer, empty, ok};
use crate::error::Error;
use crate::gateway::Rest;
use crate::shape::Topics;
use axum::http::StatusCode;
use dray_wire::admin::v1;
use std::collections::BTreeMap;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

impl Rest {
    /// A connector that nobody knows has used none, as in Connect.
    pub(crate) async fn topics(&self, name: &str) -> Answer {
        let request = v1::GetActiveTopicsRequest {
            consistency: None,
            name: name.into(),
        };
        let asked = self.services.connectors.get_active_topics(Request::new(request)).await;
        let topics = match asked {
            Ok(found) => found.into_inner().topics,
            Err(status) if is_unknown(&status) => Vec::new(),
            Err(status) => return Err(refused(status)),
        };
        ok(&BTreeMap::from([(name, Topics { topics })]))
    }

    pub(crate) async fn reset_topics(&self, name: &str) -> Answer {
        let request = v1::ResetActiveTopicsRequest { name: name.into() };
        let asked = self
            .services
            .connectors
            .reset_active_topics(Request::new(request))
            .await;
        match asked {
            Ok(done) => self.seen_here(name, done.into_inner().revision).await?,
            Err(status) if is_unknown(&status) => {}
            Err(status) => return Err(refused(status)),
        }
        empty(StatusCode::ACCEPTED)
    }
}

fn is_unknown(status: &Status) -> bool {
    matches!(status.code(), Code::NotFound | Code::InvalidArgument)
}

/// The worker configuration has it switched off.
fn refused(status: Status) -> Error {
    let info = status.get_details_error_info();
    match info.map(|info| info.reason) {
        Some(reason) if reason == "TOPIC_TRACKING_DISABLED" || reason == "TOPIC_RESET_DISABLED" => {
            Error::new(StatusCode::FORBIDDEN, status.message())
        }
        Some(_) | None => status.into(),
    }
}
