//! One token: what it says of itself, how long it serves, and the ways to get one.

use super::endpoint::Endpoint;
use super::unsecured::Claims;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::time::{Duration, Instant};

/// The longest life that is believed: a year, which no clock overflows with.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// How tokens come.
pub(super) enum Way {
    /// Said by ourselves, and signed by nobody.
    Unsecured(Claims),
    /// Kept in a file by somebody else.
    File(PathBuf),
    /// Asked for.
    Endpoint(Box<Endpoint>),
}

/// A token. Its text is a secret: it is in no log and no error.
#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) text: Arc<str>,
    /// Whose it is, for librdkafka, which wants a name.
    pub(crate) principal: Arc<str>,
    /// In milliseconds since 1970.
    pub(crate) expires_ms: i64,
    /// Which of its source's tokens it is, from 1 on.
    pub(crate) number: u64,
    pub(super) renew_at: Instant,
    pub(super) ends_at: Instant,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

/// When a token is replaced (`sasl.login.refresh.*`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Refresh {
    /// Part of its life, 0.8.
    pub(super) factor: f64,
    /// At least so long after it came, 60 s.
    pub(super) min_period: Duration,
    /// At least so long before its end, 300 s.
    pub(super) buffer: Duration,
}

impl Refresh {
    /// How long after it came a token is replaced that lives for so long, as Java's client has it.
    fn after(&self, life: Duration) -> Duration {
        let share = life.mul_f64(self.factor.clamp(0.0, 1.0));
        match life.checked_sub(self.min_period + self.buffer) {
            // A short life leaves no room for either.
            None => share,
            Some(_) => share.min(life - self.buffer).max(self.min_period),
        }
    }
}

impl Token {
    /// Reads a token. The errors say nothing of its text.
    pub(super) fn read(text: &str, expires_in: Option<Duration>, sub: &str, refresh: &Refresh) -> Result<Self, String> {
        // It stands between control characters, and must not hold any.
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("what came is no token".to_owned());
        }
        let claims = claims(text);
        let claim = |name: &str| claims.as_ref().and_then(|claims| claims.get(name));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let life = match (claim("exp").and_then(Value::as_f64), expires_in) {
            (Some(exp), _) => Duration::try_from_secs_f64(exp - now.as_secs_f64()).unwrap_or_default(),
            (None, Some(life)) => life,
            (None, None) => return Err("the token does not say when it expires (`exp`)".to_owned()),
        };
        let life = life.min(LONGEST);
        if life.is_zero() {
            return Err("the token that came has expired already".to_owned());
        }
        let came = Instant::now();
        Ok(Self {
            text: text.into(),
            principal: claim(sub).and_then(Value::as_str).unwrap_or("token").into(),
            expires_ms: i64::try_from((now + life).as_millis()).unwrap_or(i64::MAX),
            number: 0,
            renew_at: came + refresh.after(life),
            ends_at: came + life,
        })
    }
}

/// What a JWT says. The broker checks the signature.
fn claims(text: &str) -> Option<Value> {
    let payload = text.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFRESH: Refresh = Refresh {
        factor: 0.8,
        min_period: Duration::from_secs(60),
        buffer: Duration::from_secs(300),
    };

    #[test]
    fn it_is_replaced_when_java_would() {
        for (life, after) in [(100, 80), (359, 287), (400, 100), (3600, 2880), (36_000, 28_800)] {
            let found = REFRESH.after(Duration::from_secs(life)).as_secs();
            assert_eq!(found, after, "a life of {life} s");
        }
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_said() {
        let jwt = |claims: &str| format!("e30.{}.", URL_SAFE_NO_PAD.encode(claims));
        let bad = [
            String::new(),
            "two words".to_owned(),
            "a\u{1}b".to_owned(),
            "opaque".to_owned(),
            jwt(r#"{"sub":"hidden"}"#),
            jwt(r#"{"sub":"hidden","exp":1000}"#),
            jwt(r#"{"sub":"hidden","exp":-1e300}"#),
            jwt(r#"{"sub":"hidden","exp":"soon"}"#),
        ];
        for text in bad {
            let error = Token::read(&text, None, "sub", &REFRESH).expect_err("refused");
            assert!(text.is_empty() || !error.contains(&text), "{error}");
            assert!(!error.contains("hidden"), "{error}");
        }
        let good = Token::read(&jwt(r#"{"who":"me","exp":99999999999}"#), None, "who", &REFRESH).expect("a token");
        assert_eq!((&*good.principal, good.number), ("me", 0));
        assert!(!format!("{good:?}").contains(&*good.text));
        Token::read("opaque", Some(Duration::from_secs(9)), "sub", &REFRESH)
            .expect("the answer says how long it lives");
    }
}
