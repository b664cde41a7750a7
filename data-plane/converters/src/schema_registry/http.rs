//! Requests to one of several servers. They are rare, and block their thread.

use std::sync::atomic::{AtomicUsize, Ordering};

use dray_connect::{Error, Result};
use serde_json::Value as Json;
use ureq::Agent;

use super::api::{Failure, clipped};
use super::config::Config;
use super::tls;

/// The most bytes of an answer: schemas have some thousand, and a large one a million.
const ANSWER: u64 = 32 << 20;
const ACCEPT: &str = "application/vnd.schemaregistry.v1+json, application/vnd.schemaregistry+json, application/json";
const CONTENT: &str = "application/vnd.schemaregistry.v1+json";

/// The servers of a registry.
pub(super) struct Http {
    agent: Agent,
    urls: Vec<String>,
    headers: Vec<(String, String)>,
    /// The one that answered last: the next request goes there first.
    good: AtomicUsize,
}

/// What a server answered.
#[derive(Debug)]
pub(super) struct Reply {
    url: String,
    pub(super) status: u16,
    pub(super) json: Json,
    /// What it said, where that is no JSON.
    body: String,
}

impl Http {
    pub(super) fn new(config: &Config) -> Result<Self> {
        let tls = tls::config(&config.tls)?;
        let proxy = config.proxy.as_ref().map(|proxy| ureq::Proxy::new(proxy)).transpose();
        let proxy =
            proxy.map_err(|cause| Error::config("proxy.host and proxy.port name no proxy").with_source(cause))?;
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls)
            // Credentials go to whom they were meant for, and no further.
            .max_redirects(0)
            .proxy(proxy)
            .timeout_connect(Some(config.connect))
            .timeout_recv_response(Some(config.read))
            .timeout_recv_body(Some(config.read))
            .timeout_global(Some(config.connect + 2 * config.read))
            .build()
            .new_agent();
        Ok(Self {
            agent,
            urls: config.urls.clone(),
            headers: config.headers.clone(),
            good: AtomicUsize::new(0),
        })
    }

    pub(super) fn get(&self, path: &str) -> Result<Reply, Failure> {
        self.ask(path, None)
    }

    pub(super) fn post(&self, path: &str, body: &Json) -> Result<Reply, Failure> {
        self.ask(path, Some(body))
    }

    /// Asks one server after the other until one can say.
    fn ask(&self, path: &str, body: Option<&Json>) -> Result<Reply, Failure> {
        let first = self.good.load(Ordering::Relaxed);
        let mut problems: Vec<String> = Vec::new();
        for number in 0..self.urls.len() {
            let place = (first + number) % self.urls.len();
            match self.once(&self.urls[place], path, body) {
                Ok(reply) if is_away(reply.status) => problems.push(format!("{}: {}", reply.url, reply.said())),
                Ok(reply) => {
                    self.good.store(place, Ordering::Relaxed);
                    return Ok(reply);
                }
                Err(error) => problems.push(format!("{}: {error}", self.urls[place])),
            }
        }
        Err(Failure::Away(problems.join("; ")))
    }

    fn once(&self, url: &str, path: &str, body: Option<&Json>) -> Result<Reply, ureq::Error> {
        let whole = format!("{url}{path}");
        let mut response = match body {
            None => {
                let mut request = self.agent.get(&whole).header("Accept", ACCEPT);
                for (name, value) in &self.headers {
                    request = request.header(name, value);
                }
                request.call()?
            }
            Some(body) => {
                let mut request = self.agent.post(&whole).header("Accept", ACCEPT).content_type(CONTENT);
                for (name, value) in &self.headers {
                    request = request.header(name, value);
                }
                request.send(body.to_string())?
            }
        };
        let status = response.status().as_u16();
        let body = response.body_mut().with_config().limit(ANSWER).read_to_vec()?;
        Ok(Reply {
            url: url.to_owned(),
            status,
            json: serde_json::from_slice(&body).unwrap_or(Json::Null),
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

impl Reply {
    /// The server's own words, with its codes.
    pub(super) fn said(&self) -> String {
        let message = self.json.get("message").and_then(Json::as_str);
        let code = self.json.get("error_code").and_then(Json::as_i64);
        let mut out = format!("it answers with status {}", self.status);
        if let Some(code) = code {
            out.push_str(&format!(", error code {code}"));
        }
        match message {
            Some(message) => out.push_str(&format!(": {}", clipped(message))),
            None if self.json.is_null() && !self.body.trim().is_empty() => {
                out.push_str(&format!(": {}", clipped(&self.body)));
            }
            None => {}
        }
        out
    }

    /// The answer, or what it means that it is none; `advice` knows what to do about some.
    pub(super) fn expect_good(self, advice: impl Fn(&Self) -> Option<&'static str>) -> Result<Json, Failure> {
        let said = || format!("{}: {}", self.url, self.said());
        match self.status {
            200..=299 => Ok(self.json),
            401 | 403 => Err(Failure::Denied(format!(
                "{}; basic.auth.user.info or bearer.auth.token may be wrong or missing",
                said()
            ))),
            300..=399 => Err(Failure::Denied(format!("{}, and no redirect is followed", said()))),
            _ => Err(Failure::Refused(match advice(&self) {
                Some(advice) => format!("{} ({advice})", said()),
                None => said(),
            })),
        }
    }
}

/// Whether another server, or the same one later, may say more.
fn is_away(status: u16) -> bool {
    status >= 500 || matches!(status, 408 | 425 | 429)
}
