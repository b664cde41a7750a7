//! How far a connector is: read, set and forgotten (KIP-875).

use crate::answer::{Answer, ok};
use crate::body::{self, Class};
use crate::error::Error;
use crate::gateway::Rest;
use crate::shape::{Message, Offset, Offsets};
use crate::status::gone_or;
use axum::http::StatusCode;
use dray_wire::admin::v1;
use serde_json::Value;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tonic::{Request, Status};
use tonic_types::StatusExt as _;

/// How long the tasks of a connector that is told to stop may take, before it is said that it has not.
const STOPPING: Duration = Duration::from_secs(30);
/// Between two looks whether it has.
const PAUSE: Duration = Duration::from_millis(100);

const OFFSETS: Class = Class {
    name: "org.apache.kafka.connect.runtime.rest.entities.ConnectorOffsets",
    properties: &["offsets"],
};
const OFFSET: Class = Class {
    name: "org.apache.kafka.connect.runtime.rest.entities.ConnectorOffset",
    properties: &["partition", "offset"],
};

impl Rest {
    pub(crate) async fn offsets(&self, name: &str) -> Answer {
        self.there(name).await?;
        let request = v1::GetOffsetsRequest { connector: name.into() };
        let asked = self.services.offsets.get_offsets(Request::new(request)).await;
        let found = asked.map_err(|status| refused(name, status))?.into_inner();
        let offsets = found.offsets.into_iter().map(|found| {
            Ok(Offset {
                partition: parsed(found.partition)?,
                offset: parsed(found.offset)?,
            })
        });
        ok(&Offsets {
            offsets: offsets.collect::<Result<_, Error>>()?,
        })
    }

    pub(crate) async fn alter_offsets(&self, name: &str, bytes: &[u8]) -> Answer {
        let request = format!("{}.offsets()", OFFSETS.name);
        let body = body::json(bytes)?.ok_or_else(|| body::nothing(&request, "offsets"))?;
        let offsets = match OFFSETS.fields(body)?.remove("offsets") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(offsets)) => offsets.into_iter().map(offset).collect::<Result<_, _>>()?,
            Some(other) => {
                let list = format!("java.util.ArrayList<{}>", OFFSET.name);
                return Err(body::cannot_deserialize(&list, &other));
            }
        };
        if offsets.is_empty() {
            let text = "Partitions / offsets need to be provided for an alter offsets request";
            return Err(Error::bad_request(text));
        }
        self.there(name).await?;
        let end = Instant::now() + STOPPING;
        loop {
            let request = v1::AlterOffsetsRequest {
                connector: name.into(),
                offsets: offsets.clone(),
            };
            match self.services.offsets.alter_offsets(Request::new(request)).await {
                Ok(done) => return changed("altered", done.into_inner().external),
                Err(status) => self.still_stopping(name, status, end).await?,
            }
        }
    }

    pub(crate) async fn reset_offsets(&self, name: &str) -> Answer {
        self.there(name).await?;
        let end = Instant::now() + STOPPING;
        loop {
            let request = v1::ResetOffsetsRequest { connector: name.into() };
            match self.services.offsets.reset_offsets(Request::new(request)).await {
                Ok(done) => return changed("reset", done.into_inner().external),
                Err(status) => self.still_stopping(name, status, end).await?,
            }
        }
    }

    /// A connector that was told to stop counts as stopped for who asks. So it is waited for, and then it is tried again.
    async fn still_stopping(&self, name: &str, status: Status, end: Instant) -> Result<(), Error> {
        let told = self.there(name).await?.target() == v1::TargetState::Stopped;
        if !is(&status, "NOT_STOPPED") || !told || Instant::now() >= end {
            return Err(refused(name, status));
        }
        sleep(PAUSE).await;
        Ok(())
    }
}

fn is(status: &Status, reason: &str) -> bool {
    status
        .get_details_error_info()
        .is_some_and(|info| info.reason == reason)
}

fn refused(name: &str, status: Status) -> Error {
    if is(&status, "NOT_STOPPED") {
        return Error::bad_request(status.message());
    }
    // It was tried and did not succeed.
    if is(&status, "CALL_FAILED") {
        return Error::internal(status.message());
    }
    if is(&status, "ALTERING") {
        return Error::new(StatusCode::CONFLICT, status.message());
    }
    gone_or(status, || Error::not_found(format!("Connector {name} not found")))
}

fn changed(verb: &str, external: bool) -> Answer {
    let message = match external {
        true => format!("The offsets for this connector have been {verb} successfully"),
        false => format!(
            "The Connect framework-managed offsets for this connector have been {verb} successfully. However, if this connector manages \
             offsets externally, they will need to be manually {verb} in the system that the connector uses."
        ),
    };
    ok(&Message { message })
}

fn parsed(json: Option<String>) -> Result<Value, Error> {
    let json = json.as_deref().unwrap_or("null");
    serde_json::from_str(json).map_err(|error| Error::internal(format!("an agent's offset is no JSON: {error}")))
}

fn offset(value: Value) -> Result<v1::ConnectorOffset, Error> {
    const MAP: &str = "java.util.LinkedHashMap<java.lang.String,java.lang.Object>";
    if value.is_null() {
        return Ok(v1::ConnectorOffset::default());
    }
    let mut fields = OFFSET.fields(value)?;
    let mut side = |name: &str| match fields.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(map @ Value::Object(_)) => Ok(Some(map.to_string())),
        Some(other) => Err(body::cannot_deserialize(MAP, &other)),
    };
    Ok(v1::ConnectorOffset {
        partition: side("partition")?,
        offset: side("offset")?,
    })
}
