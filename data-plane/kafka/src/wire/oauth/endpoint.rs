//! A token from an endpoint over HTTP, for an id and a secret (RFC 6749, 4.4; KIP-768) or an assertion (RFC 7523; KIP-1139). Requests are
//! rare and block their thread.

use super::assertion::Assertion;
use crate::error::Class;
use crate::wire::timing::exponential;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use ureq::Agent;
use ureq::tls::{PemItem, RootCerts, TlsConfig};

/// The most bytes of an answer; a token has some thousand.
const ANSWER: u64 = 1 << 20;
/// What is repeated of an error's description.
const SAID: usize = 300;

/// The waits of a request, and between tries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// `sasl.login.connect.timeout.ms`. Java waits for ever where it is not set; here it is 10 s.
    pub(super) connect: Duration,
    /// `sasl.login.read.timeout.ms`, the same.
    pub(super) read: Duration,
    /// `sasl.login.retry.backoff.ms`, 100 ms: before the second try. It doubles.
    pub(super) backoff: Duration,
    /// `sasl.login.retry.backoff.max.ms`, 10 s: for so long it is tried.
    pub(super) backoff_max: Duration,
}

/// Who asks.
pub(super) enum Who {
    /// By an id and a secret; `encoded` is `sasl.oauthbearer.header.urlencode`.
    Known { id: String, secret: String, encoded: bool },
    /// Client credentials without a secret (RFC 7523, 2.2).
    Asserted { id: Option<String>, assertion: Assertion },
    /// The assertion is exchanged for a token (RFC 7523, 2.1).
    Bearer(Assertion),
}

/// What is asked, of whom.
pub(super) struct Ask<'a> {
    pub(super) url: &'a str,
    pub(super) who: Who,
    pub(super) scope: Option<&'a str>,
    /// The certificates that are trusted in place of the machine's own.
    pub(super) authorities: Option<&'a [u8]>,
}

/// An endpoint, and who asks there.
pub(super) struct Endpoint {
    agent: Agent,
    url: String,
    who: Who,
    scope: Option<String>,
    waits: Waits,
}

/// What came: a token, and how long it lives if that was said.
pub(super) type Answer = (String, Option<Duration>);

/// Why no token came.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) message: String,
    pub(super) class: Class,
}

impl Endpoint {
    /// # Errors
    /// When the certificates are none.
    pub(super) fn new(ask: Ask<'_>, waits: Waits) -> Result<Self, String> {
        let roots = match ask.authorities {
            None => RootCerts::PlatformVerifier,
            Some(pem) => {
                let items: Result<Vec<_>, _> = ureq::tls::parse_pem(pem).collect();
                let items = items.map_err(|error| error.to_string())?.into_iter();
                let certificates: Vec<_> = items
                    .filter_map(|item| {
                        if let PemItem::Certificate(certificate) = item {
                            Some(certificate)
                        } else {
                            None
                        }
                    })
                    .collect();
                if certificates.is_empty() {
                    return Err("it holds no certificate in PEM".to_owned());
                }
                RootCerts::from(certificates)
            }
        };
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(aws_lc_rs::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .tls_config(tls)
            // The secret goes to whom it was meant for, and no further.
            .max_redirects(0)
            .proxy(None)
            .max_idle_connections(0)
            .timeout_connect(Some(waits.connect))
            .timeout_recv_response(Some(waits.read))
            .timeout_recv_body(Some(waits.read))
            .timeout_global(Some(waits.connect + 2 * waits.read))
            .build()
            .new_agent();
        Ok(Self {
            agent,
            url: ask.url.to_owned(),
            who: ask.who,
            scope: ask.scope.map(str::to_owned),
            waits,
        })
    }

    /// Asks for a token; again and again for a while where that may help and the caller is `patient`.
    pub(super) fn token(&self, patient: bool) -> Result<Answer, Refused> {
        let end = Instant::now() + self.waits.backoff_max;
        let mut failures = 0;
        loop {
            let refused = match self.once() {
                Ok(answer) => return Ok(answer),
                Err(refused) => refused,
            };
            let left = end.saturating_duration_since(Instant::now());
            if !patient || refused.class == Class::Fatal || left.is_zero() {
                return Err(refused);
            }
            std::thread::sleep(exponential(self.waits.backoff, self.waits.backoff_max, failures).min(left));
            failures += 1;
        }
    }

    /// Why there is none: an assertion cannot be made.
    fn body(&self) -> Result<String, String> {
        let mut body = match &self.who {
            Who::Known { .. } => "grant_type=client_credentials".to_owned(),
            Who::Asserted { id, assertion } => {
                let id = id.as_deref().map(|id| format!("&client_id={}", form(id)));
                format!(
                    "client_assertion_type={}&client_assertion={}&grant_type=client_credentials{}",
                    form("urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                    form(&assertion.text()?),
                    id.unwrap_or_default()
                )
            }
            Who::Bearer(assertion) => format!(
                "grant_type={}&assertion={}",
                form("urn:ietf:params:oauth:grant-type:jwt-bearer"),
                form(&assertion.text()?)
            ),
        };
        if let Some(scope) = &self.scope {
            body.push_str("&scope=");
            body.push_str(&form(scope));
        }
        Ok(body)
    }

    fn once(&self) -> Result<Answer, Refused> {
        let away = |error: ureq::Error| Refused {
            message: error.to_string(),
            class: Class::Retriable,
        };
        let body = self.body().map_err(|message| Refused {
            message,
            class: Class::Retriable,
        })?;
        let mut request = self
            .agent
            .post(&self.url)
            .header("Accept", "application/json")
            .header("Cache-Control", "no-cache")
            .content_type("application/x-www-form-urlencoded");
        if let Who::Known { id, secret, encoded } = &self.who {
            let user = match encoded {
                true => format!("{}:{}", form(id), form(secret)),
                false => format!("{id}:{secret}"),
            };
            request = request.header("Authorization", format!("Basic {}", STANDARD.encode(user)));
        }
        let mut response = request.send(body.as_str()).map_err(away)?;
        let status = response.status().as_u16();
        let body = response
            .body_mut()
            .with_config()
            .limit(ANSWER)
            .read_to_vec()
            .map_err(away)?;
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        if !matches!(status, 200 | 201) {
            return Err(refused(status, &json));
        }
        let token = ["access_token", "id_token"]
            .iter()
            .find_map(|name| json.get(name)?.as_str());
        let Some(token) = token.filter(|token| !token.is_empty()) else {
            // What else it holds may be a secret, and is not repeated.
            return Err(Refused {
                message: "the answer holds no `access_token`".to_owned(),
                class: Class::Retriable,
            });
        };
        let life = json.get("expires_in");
        let life = life.and_then(|life| life.as_u64().or_else(|| life.as_str()?.parse().ok()));
        Ok((token.to_owned(), life.map(Duration::from_secs)))
    }
}

/// An answer that is an error, which says why (RFC 6749, 5.2).
fn refused(status: u16, json: &Value) -> Refused {
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    let said = match (text("error"), text("error_description")) {
        (Some(error), Some(description)) => format!(": {error} ({description})"),
        (Some(error), None) => format!(": {error}"),
        (None, _) => String::new(),
    };
    let said: String = said.chars().filter(|c| !c.is_control()).take(SAID).collect();
    let fatal = matches!(status, 400..=499) && !matches!(status, 408 | 425 | 429) || matches!(status, 501 | 505);
    Refused {
        message: format!("it answers with status {status}{said}"),
        class: if fatal { Class::Fatal } else { Class::Retriable },
    }
}

/// A text as a form has it (`application/x-www-form-urlencoded`).
fn form(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b' ' => out.push('+'),
            b'.' | b'-' | b'*' | b'_' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_as_a_form_has_them() {
        assert_eq!(form("a b&c=d/ü-.*_9"), "a+b%26c%3Dd%2F%C3%BC-.*_9");
    }

    #[test]
    fn what_is_worth_another_try() {
        let description = "x".repeat(1000);
        for (status, class) in [
            (400, Class::Fatal),
            (401, Class::Fatal),
            (302, Class::Retriable),
            (408, Class::Retriable),
            (429, Class::Retriable),
            (500, Class::Retriable),
            (501, Class::Fatal),
            (503, Class::Retriable),
        ] {
            let refused = refused(status, &json!({"error": "no", "error_description": description}));
            assert_eq!(refused.class, class, "{status}");
            let begins = format!("it answers with status {status}: no (xxx");
            assert!(refused.message.starts_with(&begins) && refused.message.len() < 400);
        }
        assert_eq!(refused(500, &Value::Null).message, "it answers with status 500");
    }
}
