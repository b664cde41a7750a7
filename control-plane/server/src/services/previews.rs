//! `PreviewService`: dry runs, by an agent.

use super::Services;
use super::plugins::refused;
use super::read::connector_name;
use crate::status;
use dray_wire::admin::v1;
use dray_wire::admin::v1::preview_service_client::PreviewServiceClient;
use dray_wire::admin::v1::preview_service_server::PreviewService;
use dray_wire::agent::v1::call_answer::Result as Answered;
use dray_wire::agent::v1::calls_response::Call;
use dray_wire::agent::v1::{PreviewCall, PreviewFrom};
use std::time::Duration;
use tonic::{Request, Response, Status};

/// Records where nobody says how many, and at most.
const RECORDS: u32 = 10;
const MOST_RECORDS: u32 = 100;
/// Bytes of lines that are given, at most.
const MOST_BYTES: usize = 1 << 20;
/// How long records are waited for where nobody says it, and at most: with the rest it stays below what clients wait for.
const WAIT: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);
/// What an agent may take on top of that, for starts, stops and what it looks up.
const BESIDE: Duration = Duration::from_secs(30);

#[tonic::async_trait]
impl PreviewService for Services {
    async fn preview_connector(
        &self,
        mut request: Request<v1::PreviewConnectorRequest>,
    ) -> Result<Response<v1::PreviewConnectorResponse>, Status> {
        let (records, wait) = limits(request.get_ref())?;
        if let Some(leader) = self.leader.elsewhere(&mut request).await? {
            return PreviewServiceClient::new(leader).preview_connector(request).await;
        }
        let mut request = request.into_inner();
        let name = connector_name("name", &request.name)?;
        request
            .config
            .entry("name".to_owned())
            .or_insert_with(|| name.as_str().to_owned());
        self.valid(&request.config).await?;
        self.agents_are_there().await;
        let class = request.config.get("connector.class").map_or("", |class| class.trim());
        let class = class.to_owned();
        let offsets = request.offsets.into_iter().map(|from| PreviewFrom {
            topic: from.topic,
            partition: from.partition,
            offset: from.offset,
        });
        let call = Call::Preview(PreviewCall {
            connector: name.as_str().into(),
            config: request.config,
            records,
            lines: request.lines,
            from_beginning: request.from_beginning,
            offsets: offsets.collect(),
            wait_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
        });
        // One agent alone: to ask a second one meanwhile would start the source twice.
        match self.switchboard.order(&class, &call, wait + BESIDE).await {
            Ok(Answered::Preview(seen)) => Ok(Response::new(v1::PreviewConnectorResponse {
                records: seen.records,
                note: seen.note,
            })),
            other => Err(refused(other)),
        }
    }
}

/// How many records, and how long they are waited for.
fn limits(request: &v1::PreviewConnectorRequest) -> Result<(u32, Duration), Status> {
    let records = match request.records {
        0 => RECORDS,
        records if records <= MOST_RECORDS => records,
        more => {
            return Err(status::invalid(
                "records",
                format_args!("{more} are asked for, and {MOST_RECORDS} are the most"),
            ));
        }
    };
    let (lines, bytes) = (
        request.lines.len(),
        request.lines.iter().map(String::len).sum::<usize>(),
    );
    if lines > MOST_RECORDS as usize || bytes > MOST_BYTES {
        let problem = format_args!(
            "{lines} with {bytes} bytes are given, and {MOST_RECORDS} with {MOST_BYTES} bytes are the most"
        );
        return Err(status::invalid("lines", problem));
    }
    let wait = match request.wait {
        None => WAIT,
        Some(wait) => Duration::try_from(wait).map_err(|error| status::invalid("wait", error))?,
    };
    if wait > LONGEST {
        return Err(status::invalid(
            "wait",
            format_args!("it is {wait:?}, and {LONGEST:?} is the most"),
        ));
    }
    if request.from_beginning && !request.offsets.is_empty() {
        return Err(status::invalid("offsets", "they are not for `from_beginning`"));
    }
    Ok((records, wait))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_refused_by_its_field() {
        let asked = v1::PreviewConnectorRequest::default;
        assert_eq!(limits(&asked()).unwrap(), (RECORDS, WAIT));
        let mut most = asked();
        (most.records, most.lines) = (100, vec!["x".repeat(MOST_BYTES / 100); 100]);
        most.wait = Some(LONGEST.try_into().unwrap());
        assert_eq!(limits(&most).unwrap(), (100, LONGEST));
        type Change = fn(&mut v1::PreviewConnectorRequest);
        let changes: [(&str, Change); 5] = [
            ("records: 101", |request| request.records = 101),
            ("lines: 101 with", |request| request.lines = vec![String::new(); 101]),
            ("lines: 1 with", |request| {
                request.lines = vec!["x".repeat(MOST_BYTES + 1)]
            }),
            ("wait: it is 61s", |request| {
                request.wait = Some(Duration::from_secs(61).try_into().unwrap())
            }),
            ("offsets: ", |request| {
                request.from_beginning = true;
                request.offsets = vec![v1::PreviewOffset::default()];
            }),
        ];
        for (problem, change) in changes {
            let mut request = asked();
            change(&mut request);
            let refused = limits(&request).unwrap_err();
            assert!(refused.message().starts_with(problem), "{refused}");
        }
    }
}
