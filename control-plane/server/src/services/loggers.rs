//! `LoggerService`: this process' own levels, and those that hold in the whole cluster.

use super::Services;
use crate::status;
use dray_model::record::{LoggerLevel, LoggerLevels};
use dray_process::log::{Change, Level, Logger, SetError};
use dray_wire::admin::v1;
use dray_wire::admin::v1::logger_service_server::LoggerService;
use tonic::{Request, Response, Status};

/// Levels that are kept for the whole cluster. Each is sent to each agent that comes.
const MOST: usize = 1_000;
/// What begins so are the loggers of connectors: one of them is never meant by the beginning of its name.
const CONNECTOR: &str = "dray.connector.";

#[tonic::async_trait]
impl LoggerService for Services {
    async fn list_loggers(
        &self,
        _: Request<v1::ListLoggersRequest>,
    ) -> Result<Response<v1::ListLoggersResponse>, Status> {
        let loggers = self.levels.list().into_iter().map(logger).collect();
        Ok(Response::new(v1::ListLoggersResponse { loggers }))
    }

    async fn get_logger(
        &self,
        request: Request<v1::GetLoggerRequest>,
    ) -> Result<Response<v1::GetLoggerResponse>, Status> {
        let name = request.into_inner().name;
        let found = self
            .levels
            .get(&name)
            .ok_or_else(|| status::not_found("logger", &name))?;
        Ok(Response::new(v1::GetLoggerResponse {
            logger: Some(logger(found)),
        }))
    }

    async fn set_logger(
        &self,
        request: Request<v1::SetLoggerRequest>,
    ) -> Result<Response<v1::SetLoggerResponse>, Status> {
        let request = request.into_inner();
        let change = change(&request.name, &request.level)?;
        match request.scope() {
            v1::LoggerScope::Unspecified | v1::LoggerScope::Worker => {
                let names = self.levels.set(&change).map_err(refused)?;
                Ok(Response::new(v1::SetLoggerResponse { names, revision: 0 }))
            }
            v1::LoggerScope::Cluster => {
                let with = |found: LoggerLevels| self::with(found, &change);
                let changed = self.writer.loggers(with).await?;
                Ok(Response::new(v1::SetLoggerResponse {
                    names: Vec::new(),
                    revision: changed.revision,
                }))
            }
        }
    }
}

fn change(name: &str, level: &str) -> Result<Change, Status> {
    let problem = || {
        status::invalid(
            "level",
            format_args!("`{level}` is none of OFF, FATAL, ERROR, WARN, INFO, DEBUG, TRACE, ALL"),
        )
    };
    if name.is_empty() || name.len() > 512 {
        return Err(status::invalid("name", SetError::Name));
    }
    Ok(Change {
        name: name.to_owned(),
        level: Level::of(level).ok_or_else(problem)?,
    })
}

fn refused(error: SetError) -> Status {
    match error {
        SetError::Name => status::invalid("name", error),
        SetError::Full => Status::resource_exhausted(error.to_string()),
    }
}

/// With one more change. What was set before for names that begin with this one no longer counts.
fn with(mut found: LoggerLevels, change: &Change) -> Result<LoggerLevels, Status> {
    let root = change.name.eq_ignore_ascii_case("root");
    let replaced = |other: &str| {
        let of_connector = other.starts_with(CONNECTOR);
        other == change.name || (!of_connector && (root || other.starts_with(&change.name)))
    };
    found.levels.retain(|level| !replaced(&level.name));
    if found.levels.len() >= MOST {
        let text =
            format!("{MOST} loggers are set in this cluster already; set a parent of theirs, which replaces them");
        return Err(Status::resource_exhausted(text));
    }
    found.last += 1;
    found.levels.push(LoggerLevel {
        number: found.last,
        name: change.name.clone(),
        level: change.level.to_string(),
    });
    Ok(found)
}

fn logger(logger: Logger) -> v1::Logger {
    let time = |millis: u64| dray_wire::Timestamp {
        seconds: i64::try_from(millis / 1_000).unwrap_or(i64::MAX),
        nanos: (millis % 1_000 * 1_000_000) as i32,
    };
    v1::Logger {
        name: logger.name,
        level: logger.level.to_string(),
        last_modified: logger.modified_ms.map(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_level_replaces_those_below() {
        let mut levels = LoggerLevels::default();
        for (name, level) in [
            ("org.a.b", "debug"),
            ("org.x", "TRACE"),
            ("dray.connector.org", "Debug"),
            ("org.a", "WARN"),
            ("org.x", "INFO"),
        ] {
            levels = with(levels, &change(name, level).unwrap()).unwrap();
        }
        let shown = |levels: &LoggerLevels| -> Vec<_> {
            let all = levels.levels.iter();
            all.map(|level| format!("{} {} {}", level.number, level.name, level.level))
                .collect()
        };
        assert_eq!(
            shown(&levels),
            ["3 dray.connector.org DEBUG", "4 org.a WARN", "5 org.x INFO"]
        );
        levels = with(levels, &change("Root", "off").unwrap()).unwrap();
        assert_eq!(shown(&levels), ["3 dray.connector.org DEBUG", "6 Root OFF"]);
        assert_eq!(change("x", "loud").unwrap_err().code(), tonic::Code::InvalidArgument);
        assert_eq!(change("", "INFO").unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}
