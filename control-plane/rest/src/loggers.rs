//! `/admin/loggers` (KIP-495, KIP-976).

use crate::answer::{Answer, empty, ok};
use crate::body;
use crate::error::Error;
use crate::gateway::Rest;
use crate::query;
use axum::http::StatusCode;
use dray_wire::admin::v1;
use serde::Serialize;
use serde_json::Map;
use tonic::{Code, Request};
use utoipa::ToSchema;

/// Log4j's levels.
pub(crate) const LEVELS: [&str; 8] = ["OFF", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "TRACE", "ALL"];

/// The level of a logger, and when it was set.
#[derive(Serialize, ToSchema)]
pub(crate) struct LoggerLevel {
    level: String,
    #[schema(required)]
    last_modified: Option<i64>,
}

impl Rest {
    pub(crate) async fn list_loggers(&self) -> Answer {
        let request = Request::new(v1::ListLoggersRequest {});
        let found = self.services.loggers.list_loggers(request).await?.into_inner();
        let mut shown = Map::new();
        for logger in found.loggers {
            let name = logger.name.clone();
            let level = serde_json::to_value(level(logger)).map_err(|error| Error::internal(error.to_string()))?;
            shown.insert(name, level);
        }
        ok(&shown)
    }

    pub(crate) async fn logger(&self, name: &str) -> Answer {
        let request = Request::new(v1::GetLoggerRequest { name: name.into() });
        let found = self.services.loggers.get_logger(request).await;
        let found = found.map_err(|status| match status.code() == Code::NotFound {
            true => Error::not_found(format!("Logger {name} not found.")),
            false => status.into(),
        })?;
        ok(&level(found.into_inner().logger.unwrap_or_default()))
    }

    pub(crate) async fn set_logger(&self, name: &str, query: Option<&str>, bytes: &[u8]) -> Answer {
        let asked = asked(bytes)?;
        if asked.is_empty() {
            return Err(Error::internal("Illegal null or empty Level name."));
        }
        if !LEVELS.iter().any(|level| level.eq_ignore_ascii_case(asked.trim())) {
            return Err(Error::not_found(format!("invalid log level '{asked}'.")));
        }
        let scope = query::values(query, "scope").next().unwrap_or_default();
        // Connect takes a scope that it does not know for this one, too.
        let scope = match scope.eq_ignore_ascii_case("cluster") {
            true => v1::LoggerScope::Cluster,
            false => v1::LoggerScope::Worker,
        };
        let request = v1::SetLoggerRequest {
            name: name.into(),
            level: asked,
            scope: scope.into(),
        };
        let set = self.services.loggers.set_logger(Request::new(request)).await?;
        match scope {
            v1::LoggerScope::Cluster => empty(StatusCode::NO_CONTENT),
            v1::LoggerScope::Worker | v1::LoggerScope::Unspecified => ok(&set.into_inner().names),
        }
    }
}

/// The level that a body asks for.
fn asked(bytes: &[u8]) -> Result<String, Error> {
    let body = body::json(bytes)?.ok_or_else(|| body::nothing("java.util.Map.get(Object)", "levelMap"))?;
    let entries = body::entries(body)?;
    // The last of several counts.
    let level = entries
        .into_iter()
        .rfind(|(key, _)| key == "level")
        .and_then(|(_, level)| level);
    level.ok_or_else(|| Error::bad_request("Desired 'level' parameter was not specified in request."))
}

fn level(logger: v1::Logger) -> LoggerLevel {
    let millis = |time: &dray_wire::Timestamp| time.seconds * 1_000 + i64::from(time.nanos) / 1_000_000;
    LoggerLevel {
        level: logger.level,
        last_modified: logger.last_modified.as_ref().map(millis),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_asks_for_a_level() {
        for (body, expected) in [
            (&br#"{"level":"debug"}"#[..], Ok("debug")),
            (br#"{"level":1,"other":"x"}"#, Ok("1")),
            (b"{}", Err(StatusCode::BAD_REQUEST)),
            (br#"{"level":null}"#, Err(StatusCode::BAD_REQUEST)),
            (b"", Err(StatusCode::INTERNAL_SERVER_ERROR)),
            (br#"["level"]"#, Err(StatusCode::INTERNAL_SERVER_ERROR)),
        ] {
            let found = asked(body).map_err(|error| error.status);
            assert_eq!(found, expected.map(str::to_owned), "{body:?}");
        }
    }
}
