//! What is wanted of connectors: lists, configurations, their changes, and the state that they are to be in.

use crate::answer::{Answer, empty, json, ok};
use crate::body::{self, Class, Entries};
use crate::error::Error;
use crate::gateway::Rest;
use crate::plugins::Kind;
use crate::query;
use crate::shape::{ConnectorInfo, Expanded, TaskId, TaskInfo};
use crate::status::{gone_or, state_info};
use crate::wait::{self, Until};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use dray_wire::admin::v1;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tonic::{Code, Request};

/// Connect's time for a request.
const WITHIN: Duration = Duration::from_secs(90);
/// Between two looks whether a connector has vanished.
const PAUSE: Duration = Duration::from_millis(50);
/// Others may change a configuration that often while we do.
const ATTEMPTS: usize = 20;

const CREATE: Class = Class {
    name: "org.apache.kafka.connect.runtime.rest.entities.CreateConnectorRequest",
    properties: &["config", "name", "initial_state"],
};

/// What RFC 3986 does not allow in a segment of a path.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b';')
    .add(b'{')
    .add(b'|')
    .add(b'}');

impl Rest {
    pub(crate) async fn list(&self, query: Option<&str>) -> Answer {
        let mut expand = query::values(query, "expand").peekable();
        let names_only = expand.peek().is_none();
        let connectors = self.connectors(names_only).await?;
        if names_only {
            let names: Vec<String> = connectors.into_iter().map(|connector| connector.name).collect();
            return ok(&names);
        }
        let expand: Vec<String> = expand.collect();
        let asked = |word: &str| expand.iter().any(|value| value == word);
        let mut seen = match asked("status") {
            true => Some(self.statuses().await?),
            false => None,
        };
        let mut expanded = BTreeMap::new();
        for connector in connectors {
            let kind = self.kind(&connector).await;
            let status = match &mut seen {
                None => None,
                Some(seen) => match seen.remove(&connector.name) {
                    Some(seen) => Some(state_info(seen, &kind, connector.breaker.is_some())),
                    // It came into being between the two questions.
                    None => continue,
                },
            };
            let name = connector.name.clone();
            let info = asked("info").then(|| info(connector, &kind));
            expanded.insert(name, Expanded { status, info });
        }
        ok(&expanded)
    }

    pub(crate) async fn create(&self, headers: &HeaderMap, query: Option<&str>, bytes: &[u8]) -> Answer {
        let wait = wait::asked(query)?;
        let request = format!("{}.name()", CREATE.name);
        let body = body::json(bytes)?.ok_or_else(|| body::nothing(&request, "createRequest"))?;
        let mut fields = CREATE.fields(body)?;
        let mut field = |name: &str| fields.remove(name).unwrap_or(Value::Null);
        let name = body::text(field("name"))?.unwrap_or_default();
        let config = Some(field("config")).filter(|config| !config.is_null());
        let config = config.map(body::entries).transpose()?;
        let target = target(field("initial_state"))?;
        let config = config.ok_or_else(|| body::nothing("java.util.Map.get(Object)", "connectorConfig"))?;
        // Java's `trim`.
        let name = name.trim_matches(|character| character <= ' ').to_owned();
        let config = with_class(named(&name, config)?)?;
        self.check(&config).await?;
        let config = body::without_nulls(config);
        let created = self.created(&name, config, target).await?;
        let created = created.ok_or_else(|| {
            let text = format!("Connector {name} already exists");
            Error::new(StatusCode::CONFLICT, text)
        })?;
        self.wait(&name, target.into(), wait).await?;
        self.answer_created(headers, created).await
    }

    pub(crate) async fn get(&self, name: &str) -> Answer {
        let connector = self.there(name).await?;
        let kind = self.kind(&connector).await;
        ok(&info(connector, &kind))
    }

    pub(crate) async fn config(&self, name: &str) -> Answer {
        let connector = self.there(name).await?;
        let mut answer = ok(&connector.config)?;
        answer.headers_mut().insert(header::ETAG, etag(&connector));
        Ok(answer)
    }

    pub(crate) async fn put_config(&self, name: &str, headers: &HeaderMap, bytes: &[u8]) -> Answer {
        let nothing = || body::nothing("java.util.Map.get(Object)", "connectorConfig");
        let config = body::entries(body::json(bytes)?.ok_or_else(nothing)?)?;
        let config = with_class(named(name, config)?)?;
        self.check(&config).await?;
        let config = body::without_nulls(config);
        let expected = expected(headers)?;
        for _ in 0..ATTEMPTS {
            let request = v1::UpdateConnectorConfigRequest {
                name: name.into(),
                config: config.clone(),
                expected_revision: expected.unwrap_or_default(),
                skip_validation: true, // it was validated above
            };
            let status = match self
                .services
                .connectors
                .update_connector_config(Request::new(request))
                .await
            {
                Ok(answer) => return self.answer_changed(answer.into_inner().connector).await,
                Err(status) => status,
            };
            let gone = matches!(status.code(), Code::NotFound | Code::FailedPrecondition);
            if expected.is_some() && (gone || status.code() == Code::Aborted) {
                return Err(moved_on(name));
            }
            if !gone {
                return Err(status.into());
            }
            let target = v1::TargetState::Started;
            if let Some(created) = self.created(name, config.clone(), target).await? {
                return self.answer_created(headers, created).await;
            }
        }
        Err(contended(name))
    }

    /// Read, change, and write only if nobody was faster, so that no change is lost.
    pub(crate) async fn patch_config(&self, name: &str, headers: &HeaderMap, bytes: &[u8]) -> Answer {
        let nothing = || body::nothing("java.util.Map.forEach(java.util.function.BiConsumer)", "patch");
        let patch = body::json(bytes)?.map(body::entries).transpose()?;
        self.there(name).await?;
        let patch = patch.ok_or_else(nothing)?;
        let expected = expected(headers)?;
        let mut answered = true;
        for _ in 0..ATTEMPTS {
            let connector = self.there(name).await?;
            if expected.is_some_and(|expected| expected != connector.revision) {
                return Err(moved_on(name));
            }
            let mut config: BTreeMap<String, Option<String>> = connector
                .config
                .into_iter()
                .map(|(key, value)| (key, Some(value)))
                .collect();
            for (key, value) in &patch {
                match value {
                    // A connector is called as it is called: Connect takes this, and goes on under both names.
                    Some(_) if key == "name" => {}
                    Some(_) => drop(config.insert(key.clone(), value.clone())),
                    None => drop(config.remove(key)),
                }
            }
            let config = with_class(config.into_iter().collect())?;
            // Nobody is asked a second time who did not answer the first.
            answered = answered && self.check(&config).await?;
            let request = v1::UpdateConnectorConfigRequest {
                name: name.into(),
                config: body::without_nulls(config),
                expected_revision: connector.revision,
                skip_validation: true, // it was validated above
            };
            match self
                .services
                .connectors
                .update_connector_config(Request::new(request))
                .await
            {
                Ok(answer) => return self.answer_changed(answer.into_inner().connector).await,
                Err(status) if status.code() == Code::Aborted => {}
                Err(status) => return Err(gone_or(status, || not_found(name))),
            }
            // The cache was behind, or somebody was faster: it will not be long until we see what they wrote.
            sleep(PAUSE).await;
        }
        Err(contended(name))
    }

    pub(crate) async fn delete(&self, name: &str, query: Option<&str>) -> Answer {
        let wait = wait::asked(query)?;
        self.there(name).await?;
        let request = v1::DeleteConnectorRequest {
            name: name.into(),
            expected_revision: 0,
        };
        let asked = self.services.connectors.delete_connector(Request::new(request)).await;
        let revision = asked
            .map_err(|status| gone_or(status, || not_found(name)))?
            .into_inner()
            .revision;
        self.seen_here(name, revision).await?;
        self.wait(name, Until::Gone, wait).await?;
        empty(StatusCode::NO_CONTENT)
    }

    pub(crate) async fn pause(&self, name: &str, query: Option<&str>) -> Answer {
        let wait = wait::asked(query)?;
        let request = v1::PauseConnectorRequest { name: name.into() };
        let asked = self.services.connectors.pause_connector(Request::new(request)).await;
        let done = asked.map_err(|status| gone_or(status, || unknown(name)))?;
        self.seen_here(name, done.into_inner().revision).await?;
        self.wait(name, Until::Paused, wait).await?;
        empty(StatusCode::ACCEPTED)
    }

    pub(crate) async fn resume(&self, name: &str, query: Option<&str>) -> Answer {
        let wait = wait::asked(query)?;
        let request = v1::ResumeConnectorRequest { name: name.into() };
        let asked = self.services.connectors.resume_connector(Request::new(request)).await;
        let done = asked.map_err(|status| gone_or(status, || unknown(name)))?;
        self.seen_here(name, done.into_inner().revision).await?;
        self.wait(name, Until::Running, wait).await?;
        empty(StatusCode::ACCEPTED)
    }

    pub(crate) async fn stop(&self, name: &str, query: Option<&str>) -> Answer {
        let wait = wait::asked(query)?;
        let request = v1::StopConnectorRequest { name: name.into() };
        let asked = self.services.connectors.stop_connector(Request::new(request)).await;
        let done = asked.map_err(|status| gone_or(status, || unknown(name)))?;
        self.seen_here(name, done.into_inner().revision).await?;
        self.wait(name, Until::Stopped, wait).await?;
        empty(StatusCode::NO_CONTENT)
    }

    pub(crate) async fn tasks(&self, name: &str) -> Answer {
        self.there(name).await?;
        let mut tasks = Vec::new();
        let mut token = String::new();
        loop {
            let request = v1::ListTasksRequest {
                consistency: None,
                connector: name.into(),
                page: Some(v1::Page { size: 0, token }),
            };
            let asked = self.services.connectors.list_tasks(Request::new(request)).await;
            let page = asked
                .map_err(|status| gone_or(status, || not_found(name)))?
                .into_inner();
            tasks.extend(page.tasks.into_iter().map(|task| TaskInfo {
                id: TaskId {
                    connector: name.into(),
                    task: task.number,
                },
                config: task.config,
            }));
            token = page.next_page_token;
            if token.is_empty() {
                return ok(&tasks);
            }
        }
    }

    /// A connector that is not being deleted: Connect's are gone at once.
    pub(crate) async fn connector(&self, name: &str) -> Result<Option<v1::Connector>, Error> {
        let request = v1::GetConnectorRequest {
            consistency: None,
            name: name.into(),
        };
        match self.services.connectors.get_connector(Request::new(request)).await {
            Ok(answer) => Ok(answer.into_inner().connector.filter(|connector| !connector.deleting)),
            // A name that no connector can have.
            Err(status) if matches!(status.code(), Code::NotFound | Code::InvalidArgument) => Ok(None),
            Err(status) => Err(status.into()),
        }
    }

    pub(crate) async fn there(&self, name: &str) -> Result<v1::Connector, Error> {
        self.connector(name).await?.ok_or_else(|| not_found(name))
    }

    async fn connectors(&self, names_only: bool) -> Result<Vec<v1::Connector>, Error> {
        let mut connectors = Vec::new();
        let mut token = String::new();
        loop {
            let request = v1::ListConnectorsRequest {
                consistency: None,
                page: Some(v1::Page { size: 0, token }),
                names_only,
            };
            let page = self
                .services
                .connectors
                .list_connectors(Request::new(request))
                .await?
                .into_inner();
            connectors.extend(page.connectors.into_iter().filter(|connector| !connector.deleting));
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(connectors);
            }
        }
    }

    async fn statuses(&self) -> Result<BTreeMap<String, v1::ConnectorWithTasks>, Error> {
        let mut statuses = BTreeMap::new();
        let mut token = String::new();
        loop {
            let request = v1::ListConnectorStatusesRequest {
                consistency: None,
                page: Some(v1::Page { size: 0, token }),
            };
            let asked = self
                .services
                .statuses
                .list_connector_statuses(Request::new(request))
                .await;
            let page = asked?.into_inner();
            statuses.extend(page.connectors.into_iter().map(|seen| (seen.name.clone(), seen)));
            token = page.next_page_token;
            if token.is_empty() {
                return Ok(statuses);
            }
        }
    }

    /// `None`: there is one of that name. One that is being deleted is waited for.
    async fn created(
        &self,
        name: &str,
        config: BTreeMap<String, String>,
        target: v1::TargetState,
    ) -> Result<Option<v1::Connector>, Error> {
        let end = Instant::now() + WITHIN;
        loop {
            let request = v1::CreateConnectorRequest {
                name: name.into(),
                config: config.clone(),
                target: target.into(),
                skip_validation: true, // it was validated before
            };
            match self.services.connectors.create_connector(Request::new(request)).await {
                Ok(answer) => {
                    let answer = answer.into_inner();
                    self.seen_here(name, answer.revision).await?;
                    return Ok(Some(answer.connector.unwrap_or_default()));
                }
                Err(status) if status.code() == Code::AlreadyExists => {}
                Err(status) => return Err(status.into()),
            }
            if self.connector(name).await?.is_some() {
                return Ok(None);
            }
            if Instant::now() >= end {
                let text = format!("Request timed out. Connector {name} of that name is still being deleted.");
                return Err(Error::internal(text));
            }
            sleep(PAUSE).await;
        }
    }

    /// Until this replica shows what it has written: one reads one's own writes.
    pub(crate) async fn seen_here(&self, name: &str, revision: u64) -> Result<(), Error> {
        let request = v1::GetConnectorRequest {
            consistency: Some(v1::Consistency {
                min_revision: revision,
                linearizable: false,
            }),
            name: name.into(),
        };
        match self.services.connectors.get_connector(Request::new(request)).await {
            // The change is made, and this replica is slow to see it: no reason to say that it was not.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// What was just created has no tasks, as in Connect, whether or not it has some by the time of the answer.
    async fn answer_created(&self, headers: &HeaderMap, mut created: v1::Connector) -> Answer {
        created.tasks = 0;
        let place = format!("/connectors/{}", utf8_percent_encode(&created.name, SEGMENT));
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let place = match host {
            Some(host) => format!("{}://{host}{place}", self.options.scheme()),
            None => place,
        };
        let kind = self.kind(&created).await;
        let mut answer = json(StatusCode::CREATED, &info(created, &kind))?;
        if let Ok(place) = HeaderValue::from_str(&place) {
            answer.headers_mut().insert(header::LOCATION, place);
        }
        Ok(answer)
    }

    async fn answer_changed(&self, changed: Option<v1::Connector>) -> Answer {
        let changed = changed.unwrap_or_default();
        self.seen_here(&changed.name, changed.revision).await?;
        let (kind, tag) = (self.kind(&changed).await, etag(&changed));
        let mut answer = ok(&info(changed, &kind))?;
        answer.headers_mut().insert(header::ETAG, tag);
        Ok(answer)
    }
}

fn info(connector: v1::Connector, kind: &Kind) -> ConnectorInfo {
    let name = &connector.name;
    let tasks = (0..connector.tasks).map(|task| TaskId {
        connector: name.clone(),
        task,
    });
    ConnectorInfo {
        tasks: tasks.collect(),
        name: connector.name,
        config: connector.config,
        kind: kind.word,
    }
}

fn target(state: Value) -> Result<v1::TargetState, Error> {
    if state.is_array() || state.is_object() {
        return Err(body::cannot_deserialize(
            &format!("{}$InitialState", CREATE.name),
            &state,
        ));
    }
    let Some(state) = body::text(state)? else {
        return Ok(v1::TargetState::Started);
    };
    match state.to_uppercase().as_str() {
        "RUNNING" => Ok(v1::TargetState::Started),
        "PAUSED" => Ok(v1::TargetState::Paused),
        "STOPPED" => Ok(v1::TargetState::Stopped),
        other => Err(Error::internal(format!(
            "Cannot construct instance of `{class}$InitialState`, problem: No enum constant {class}.InitialState.{other}",
            class = CREATE.name
        ))),
    }
}

/// A configuration with its name, which may be there and is then the same.
fn named(name: &str, mut config: Entries) -> Result<Entries, Error> {
    match config.iter_mut().find(|(key, _)| key == "name") {
        None => config.push(("name".into(), Some(name.into()))),
        Some((_, own @ None)) => *own = Some(name.into()),
        Some((_, Some(own))) if own == name => {}
        Some((_, Some(own))) => {
            return Err(Error::bad_request(format!(
                "Connector name configuration ({own}) doesn't match connector name in the URL ({name})"
            )));
        }
    }
    Ok(config)
}

/// A configuration without a class has nobody to check it.
fn with_class(config: Entries) -> Result<Entries, Error> {
    if !config
        .iter()
        .any(|(key, value)| key == "connector.class" && value.is_some())
    {
        let entries = config
            .iter()
            .map(|(key, value)| format!("{key}={}", value.as_deref().unwrap_or("null")));
        let entries: Vec<String> = entries.collect();
        return Err(Error::bad_request(format!(
            "Connector config {{{}}} contains no connector type",
            entries.join(", ")
        )));
    }
    Ok(config)
}

/// Names the last change of a connector, for `If-Match`.
fn etag(connector: &v1::Connector) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{}\"", connector.revision)).expect("digits in quotes")
}

/// The revision that a change is meant for, if it says so.
fn expected(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let tag = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    match tag.and_then(|tag| tag.parse().ok()).filter(|revision| *revision != 0) {
        Some(revision) => Ok(Some(revision)),
        None => Err(Error::bad_request(format!(
            "If-Match is {text}, which is no ETag that a configuration had"
        ))),
    }
}

fn moved_on(name: &str) -> Error {
    let text = format!("Connector {name} is not as it was when the ETag in If-Match was given: read it again");
    Error::new(StatusCode::PRECONDITION_FAILED, text)
}

fn contended(name: &str) -> Error {
    let text = format!("Connector {name} is changed by others all the time; nothing was changed: try again");
    Error::new(StatusCode::SERVICE_UNAVAILABLE, text)
}

fn not_found(name: &str) -> Error {
    Error::not_found(format!("Connector {name} not found"))
}

fn unknown(name: &str) -> Error {
    Error::not_found(format!("Unknown connector {name}"))
}
