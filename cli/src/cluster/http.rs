//! HTTP requests of the REST transport: JSON in, JSON out, and what is said when that fails.

use super::{Error, ErrorKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::Agent;
use ureq::http::Request;
use ureq::tls::{RootCerts, TlsConfig};

/// Connect's own time for a request is 90 s.
const WITHIN: Duration = Duration::from_secs(95);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a rebalance of Kafka Connect is waited for: its default time-out for one is 60 s.
const REBALANCE: Duration = Duration::from_secs(60);
/// Between two tries during a rebalance.
const PAUSE: Duration = Duration::from_millis(500);
/// The most bytes of an answer: 10,000 connectors with their statuses and traces.
const ANSWER: u64 = 256 << 20;

/// All but what RFC 3986 calls unreserved.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A segment of a path, such as a connector's name.
pub(super) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// Who asks, and whom to trust.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    /// `name:password`, for basic authentication.
    pub(crate) user: Option<String>,
    /// Certificates in PEM that are trusted instead of the machine's own.
    pub(crate) ca: Option<Vec<u8>>,
}

/// An HTTP server. Cheap to clone.
#[derive(Clone)]
pub(super) struct Http {
    agent: Agent,
    base: Arc<str>,
    authorization: Option<Arc<str>>,
}

/// An answer that is no error.
pub(super) struct Answer {
    /// Null when there is no body.
    pub(super) body: Value,
}

impl Http {
    /// `base` without a slash at its end.
    pub(super) fn new(base: &str, access: &Access) -> Result<Self, Error> {
        let roots = match &access.ca {
            None => RootCerts::PlatformVerifier,
            Some(pem) => {
                let items = ureq::tls::parse_pem(pem).filter_map(|item| match item {
                    Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(Ok(certificate)),
                    Ok(_) => None,
                    Err(error) => Some(Err(error)),
                });
                let certificates: Vec<_> = items
                    .collect::<Result<_, _>>()
                    .map_err(|error| Error::new(ErrorKind::Invalid, format!("the CA certificates: {error}")))?;
                if certificates.is_empty() {
                    let said = "the CA file has no certificate in PEM (-----BEGIN CERTIFICATE-----)";
                    return Err(Error::new(ErrorKind::Invalid, said));
                }
                RootCerts::from(certificates)
            }
        };
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls)
            .user_agent(concat!("dray/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(WITHIN))
            .build()
            .new_agent();
        let authorization = access
            .user
            .as_ref()
            .map(|user| format!("Basic {}", STANDARD.encode(user)).into());
        Ok(Self {
            agent,
            base: base.into(),
            authorization,
        })
    }

    pub(super) fn base(&self) -> &str {
        &self.base
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value, Error> {
        Ok(self.ask("GET", path, None, &[]).await?.body)
    }

    /// Sends a request. One that Kafka Connect refuses because of a rebalance is sent again until that is over.
    pub(super) async fn ask(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&'static str, String)],
    ) -> Result<Answer, Error> {
        let end = Instant::now() + REBALANCE;
        loop {
            match self.once(method, path, body, headers).await {
                Err(error) if rebalances(&error) && Instant::now() < end => tokio::time::sleep(PAUSE).await,
                answer => return answer,
            }
        }
    }

    async fn once(
        &self,
        method: &'static str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&'static str, String)],
    ) -> Result<Answer, Error> {
        let uri = format!("{}{path}", self.base);
        let mut request = Request::builder()
            .method(method)
            .uri(&uri)
            .header("Accept", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", &**authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let bytes = match body {
            None => Vec::new(),
            Some(body) => {
                request = request.header("Content-Type", "application/json");
                body.to_string().into_bytes()
            }
        };
        let request = request
            .body(bytes)
            .map_err(|error| Error::new(ErrorKind::Invalid, format!("{uri}: {error}")))?;
        let this = self.clone();
        // The client blocks; commands ask one thing at a time, so this is one thread. Its time is bounded by the client.
        let sent = tokio::task::spawn_blocking(move || this.send(request, method, &uri)).await;
        sent.unwrap_or_else(|error| Err(Error::new(ErrorKind::Failed, format!("the request ended: {error}"))))
    }

    fn send(&self, request: Request<Vec<u8>>, method: &str, uri: &str) -> Result<Answer, Error> {
        let failed = |error: ureq::Error| Error::new(ErrorKind::Unavailable, format!("{method} {uri}: {error}"));
        let sent = match method {
            // These have no body, not even an empty one.
            "GET" | "DELETE" => self.agent.run(request.map(|_| ())),
            _ => self.agent.run(request),
        };
        let mut response = sent.map_err(failed)?;
        let status = response.status().as_u16();
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER)
            .read_to_vec()
            .map_err(failed)?;
        let json = serde_json::from_slice::<Value>(&body);
        if (200..300).contains(&status) {
            return match json {
                Ok(body) => Ok(Answer { body }),
                Err(_) if body.iter().all(u8::is_ascii_whitespace) => Ok(Answer { body: Value::Null }),
                Err(_) => {
                    let said = format!("{uri} answers no JSON: is that Kafka Connect's REST API?");
                    Err(Error::new(ErrorKind::Failed, said))
                }
            };
        }
        Err(refused(status, json.ok(), method, uri))
    }
}

fn refused(status: u16, body: Option<Value>, method: &str, uri: &str) -> Error {
    let message = body
        .as_ref()
        .and_then(|body| body.get("message"))
        .and_then(Value::as_str);
    let kind = match status {
        400 | 422 => ErrorKind::Invalid,
        401 | 403 => ErrorKind::Unauthorized,
        // One that Connect has not in this release says so without a name.
        404 if message.is_none_or(|message| message.starts_with("HTTP 404")) => ErrorKind::Unsupported,
        404 => ErrorKind::NotFound,
        409 if message.is_some_and(|message| message.ends_with("already exists")) => ErrorKind::Exists,
        405 => ErrorKind::Unsupported,
        409 | 412 => ErrorKind::Refused,
        503 => ErrorKind::Unavailable,
        _ => ErrorKind::Failed,
    };
    let said = match (kind, message) {
        (ErrorKind::Unsupported, _) => {
            format!("{method} {uri} is not there (HTTP {status}): this release does not have it")
        }
        (_, Some(message)) => message.to_owned(),
        (_, None) => format!("{method} {uri}: HTTP {status}"),
    };
    Error::new(kind, said)
}

/// Kafka Connect answers 409 while its workers agree on who does what.
fn rebalances(error: &Error) -> bool {
    error.kind == ErrorKind::Refused && error.said.contains("rebalance")
}
