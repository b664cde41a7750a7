//! Requests over HTTP: ours, and those that AWS's own crates make for credentials. They are rare, and each blocks a thread of the reader's.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{Request, Response, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Error};

/// Looking up a name, a connection with TLS: a service that is there needs a fraction of it.
const CONNECT: Duration = Duration::from_secs(3);
/// From the request to the whole answer.
const ANSWER: Duration = Duration::from_secs(5);
/// A secret has 64 KiB at most, and twice that in JSON.
const LARGEST: u64 = 1 << 20;

/// Cheap to clone; a clone uses the same connections.
#[derive(Clone, Debug)]
pub(crate) struct Http {
    /// For https: through the proxy that the environment names.
    proxied: Agent,
    /// For http: what gives credentials to a container or an instance is beside it, and a proxy would show them to others.
    direct: Agent,
    connect: Duration,
    answer: Duration,
}

impl Http {
    pub(crate) fn new() -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(provider)
            .build();
        let agent = |proxy| {
            Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .user_agent(concat!("dray/", env!("CARGO_PKG_VERSION")))
                .tls_config(tls.clone())
                .proxy(proxy)
                .build()
                .new_agent()
        };
        Self {
            proxied: agent(ureq::Proxy::try_from_env()),
            direct: agent(None),
            connect: CONNECT,
            answer: ANSWER,
        }
    }

    /// Sends it, and returns the whole answer. Cancel-safe: the answer of a request that nobody waits for any more is dropped.
    pub(crate) async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Error> {
        let agent = match request.uri().scheme_str() {
            Some("https") => self.proxied.clone(),
            Some(_) | None => self.direct.clone(),
        };
        let (connect, answer) = (self.connect, self.answer);
        let send = move || {
            let request = agent.configure_request(request).timeout_connect(Some(connect));
            let request = request
                .timeout_resolve(Some(connect))
                .timeout_global(Some(connect + answer))
                .build();
            let (head, mut body) = agent.run(request)?.into_parts();
            let body = body.with_config().limit(LARGEST).read_to_vec()?;
            Ok(Response::from_parts(head, body))
        };
        match tokio::task::spawn_blocking(send).await {
            Ok(sent) => sent,
            Err(panicked) => Err(Error::Io(std::io::Error::other(panicked))),
        }
    }
}

impl HttpClient for Http {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Self {
            connect: settings.connect_timeout().unwrap_or(CONNECT),
            answer: settings.read_timeout().unwrap_or(ANSWER),
            ..self.clone()
        })
    }
}

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let http = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?;
            let (head, body) = request.into_parts();
            let body = body.bytes().map(<[u8]>::to_vec);
            let body = body.ok_or_else(|| ConnectorError::user("a request that is a stream".into()))?;
            let response = http.send(Request::from_parts(head, body)).await.map_err(failed)?;
            HttpResponse::try_from(response.map(SdkBody::from))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "ureq's errors are more than it says")]
fn failed(error: Error) -> ConnectorError {
    match error {
        Error::Timeout(_) => ConnectorError::timeout(error.into()),
        Error::Io(_) | Error::HostNotFound | Error::ConnectionFailed => ConnectorError::io(error.into()),
        _ => ConnectorError::other(error.into(), None),
    }
}

/// Whether a later try may succeed where this happened.
pub(crate) fn passes(error: &Error) -> bool {
    matches!(
        error,
        Error::Timeout(_) | Error::Io(_) | Error::HostNotFound | Error::ConnectionFailed | Error::Protocol(_)
    )
}

/// Whether something is a URL with a host.
pub(crate) fn is_url(text: &str) -> bool {
    text.parse::<Uri>()
        .is_ok_and(|uri| uri.host().is_some() && matches!(uri.scheme_str(), Some("http" | "https")))
}
