//! How a direct connection proves who it is: PLAIN, SCRAM (RFC 5802, 7677) and OAUTHBEARER (RFC 7628), as Kafka speaks them.

use super::oauth::{self, Sources, TokenSource};
use crate::codes::{self, check, local};
use crate::error::{Class, Result};
use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::{Request, StrBytes};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// Brokers ask for 4,096 to some ten thousand; one that asks for more shall not keep a core busy for minutes.
const MOST_ITERATIONS: u32 = 1_000_000;

/// Part of a log-in's life after which it is renewed, with up to the width more, as Java's client has it: connections that were made at
/// once do not all log in at once.
const RENEWED_AFTER: (f64, f64) = (0.85, 0.10);

/// A broker takes no two log-ins of a connection within a second, and closes it; one that is late it takes.
const LEAST: Duration = Duration::from_secs(1);

/// A connection on which a log-in takes place: a new one, or one that is in use, and on which nothing else is sent meanwhile.
pub(crate) trait Asks: Send {
    fn address(&self) -> &str;

    /// Sends a request and waits for the answer.
    fn ask<R>(&mut self, request: &R, wanted: RangeInclusive<i16>) -> impl Future<Output = Result<R::Response>> + Send
    where
        R: Request + Sync,
        R::Response: Send;
}

/// Who logs in, and how.
pub(crate) struct Login {
    mechanism: Mechanism,
    credentials: Credentials,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The rest is secret.
        f.debug_struct("Login")
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

enum Credentials {
    Password { user: String, password: String },
    Tokens(Arc<TokenSource>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
    OAuthBearer,
}

impl Mechanism {
    const ALL: [Self; 4] = [Self::Plain, Self::ScramSha256, Self::ScramSha512, Self::OAuthBearer];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
            Self::OAuthBearer => oauth::MECHANISM,
        }
    }

    fn scram(self) -> Option<Scram> {
        match self {
            Self::ScramSha256 => Some(Scram::SHA_256),
            Self::ScramSha512 => Some(Scram::SHA_512),
            Self::Plain | Self::OAuthBearer => None,
        }
    }
}

impl Login {
    /// As librdkafka's settings have it; none when the mechanism is librdkafka's alone.
    ///
    /// # Errors
    /// When the settings of tokens are not what they should be.
    pub(crate) fn read(settings: &BTreeMap<String, String>, sources: &Sources) -> Result<Option<Self>> {
        let name = settings.get("sasl.mechanism").map(String::as_str);
        let Some(mechanism) = Mechanism::ALL.into_iter().find(|known| Some(known.name()) == name) else {
            return Ok(None);
        };
        let credentials = if mechanism == Mechanism::OAuthBearer {
            sources.of(settings)?.map(Credentials::Tokens)
        } else {
            let (user, password) = (settings.get("sasl.username"), settings.get("sasl.password"));
            user.cloned()
                .zip(password.cloned())
                .map(|(user, password)| Credentials::Password { user, password })
        };
        Ok(credentials.map(|credentials| Self { mechanism, credentials }))
    }

    /// Sees to it that everything is there that the log-in needs. A token may have to be fetched, which has its own time.
    ///
    /// # Errors
    /// When it is not.
    pub(crate) async fn prepare(&self) -> Result<()> {
        match &self.credentials {
            Credentials::Password { .. } => Ok(()),
            Credentials::Tokens(source) => source.token().await.map(drop),
        }
    }

    /// Logs in, anew on a connection that is in use; how long that is good for, where the broker says so (KIP-368).
    ///
    /// # Errors
    /// When the broker does not let us in; the error names the mechanism and the listener.
    pub(crate) async fn prove<A: Asks>(&self, connection: &mut A) -> Result<Option<Duration>> {
        let what = format!(
            "logging in to {} with SASL {}",
            connection.address(),
            self.mechanism.name()
        );
        let mechanism = StrBytes::from_static_str(self.mechanism.name());
        let request = SaslHandshakeRequest::default().with_mechanism(mechanism);
        let answer = connection.ask(&request, 1..=1).await?;
        if answer.error_code != 0 {
            let served: Vec<&str> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
            let message = format!("the listener has {}", served.join(", "));
            return Err(codes::error(what, answer.error_code, Some(&message)));
        }
        let refused = |message: &str| local(what.as_str(), "SASL", message, Class::Fatal);
        match &self.credentials {
            Credentials::Tokens(source) => {
                let token = source.token().await?;
                let (said, lifetime) = exchange(connection, &what, bearer(&token.text, source.extensions())).await?;
                if said.is_empty() {
                    return Ok(lifetime);
                }
                // Why not, in JSON. The broker closes the conversation when that is acknowledged (RFC 7628, 3.2.3).
                exchange(connection, &what, "\u{1}".to_owned()).await?;
                Err(refused(&said))
            }
            Credentials::Password { user, password } => {
                let Some(scram) = self.mechanism.scram() else {
                    let words = format!("\0{user}\0{password}");
                    return exchange(connection, &what, words).await.map(|(_, lifetime)| lifetime);
                };
                let nonce = nonce().ok_or_else(|| refused("no random numbers"))?;
                let first = format!("n={},r={nonce}", escaped(user));
                let (challenge, _) = exchange(connection, &what, format!("n,,{first}")).await?;
                let answer = scram.answer(&first, &challenge, password);
                let answer = answer.ok_or_else(|| refused("the broker's challenge is none"))?;
                let (last, lifetime) = exchange(connection, &what, answer.words).await?;
                if last.split(',').next() != Some(&answer.expected) {
                    return Err(refused("the broker does not know the password itself"));
                }
                Ok(lifetime)
            }
        }
    }
}

/// When a log-in is to be renewed that is good for so long.
pub(crate) fn renewed_after(lifetime: Duration) -> Duration {
    let mut random = [0];
    // Without random numbers it is the earliest time.
    rand::fill(&mut random).ok();
    let (share, width) = RENEWED_AFTER;
    let after = lifetime.mul_f64(share + width * f64::from(random[0]) / f64::from(u8::MAX));
    after.max(LEAST)
}

async fn exchange<A: Asks>(connection: &mut A, what: &str, words: String) -> Result<(String, Option<Duration>)> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(words));
    let answer = connection.ask(&request, 0..=2).await?;
    check(what, answer.error_code, answer.error_message.as_deref())?;
    let words = String::from_utf8(answer.auth_bytes.to_vec());
    let words = words.map_err(|_| local(what, "SASL", "the broker's words are no text", Class::Fatal))?;
    let lifetime = u64::try_from(answer.session_lifetime_ms).unwrap_or(0);
    Ok((words, (lifetime > 0).then(|| Duration::from_millis(lifetime))))
}

/// The client's first and only words (RFC 7628, 3.1), which no other identity is asked for with.
fn bearer(token: &str, extensions: &[(String, String)]) -> String {
    let extensions: String = extensions
        .iter()
        .map(|(name, value)| format!("\u{1}{name}={value}"))
        .collect();
    format!("n,,\u{1}auth=Bearer {token}{extensions}\u{1}\u{1}")
}

fn escaped(user: &str) -> String {
    user.replace('=', "=3D").replace(',', "=2C")
}

fn nonce() -> Option<String> {
    let mut bytes = [0; 24];
    rand::fill(&mut bytes).ok()?;
    Some(BASE64.encode(bytes))
}

struct Scram {
    hash: &'static digest::Algorithm,
    hmac: hmac::Algorithm,
    pbkdf2: pbkdf2::Algorithm,
}

struct Answer {
    words: String,
    /// What the broker says, who knows the password as well.
    expected: String,
}

impl Scram {
    const SHA_256: Self = Self {
        hash: &digest::SHA256,
        hmac: hmac::HMAC_SHA256,
        pbkdf2: pbkdf2::PBKDF2_HMAC_SHA256,
    };
    const SHA_512: Self = Self {
        hash: &digest::SHA512,
        hmac: hmac::HMAC_SHA512,
        pbkdf2: pbkdf2::PBKDF2_HMAC_SHA512,
    };

    fn sign(&self, key: &[u8], text: &str) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(self.hmac, key), text.as_bytes())
    }

    /// The answer to the broker's challenge, after these first words; none to what is no challenge.
    fn answer(&self, first: &str, challenge: &str, password: &str) -> Option<Answer> {
        let part = |name: &str| challenge.split(',').find_map(|part| part.strip_prefix(name));
        let (nonce, salt) = (part("r=")?, BASE64.decode(part("s=")?).ok()?);
        let iterations = part("i=")?.parse().ok().and_then(NonZeroU32::new)?;
        let own = first.rsplit_once("r=").map_or("", |(_, own)| own);
        if !nonce.starts_with(own) || nonce.len() == own.len() || iterations.get() > MOST_ITERATIONS {
            return None;
        }
        let mut salted = vec![0; self.hash.output_len()];
        pbkdf2::derive(self.pbkdf2, iterations, &salt, password.as_bytes(), &mut salted);
        let words = format!("c=biws,r={nonce}");
        let all = format!("{first},{challenge},{words}");
        let key = self.sign(&salted, "Client Key");
        let signature = self.sign(digest::digest(self.hash, key.as_ref()).as_ref(), &all);
        let proof: Vec<u8> = key
            .as_ref()
            .iter()
            .zip(signature.as_ref())
            .map(|(a, b)| a ^ b)
            .collect();
        let expected = self.sign(self.sign(&salted, "Server Key").as_ref(), &all);
        Some(Answer {
            words: format!("{words},p={}", BASE64.encode(proof)),
            expected: format!("v={}", BASE64.encode(expected)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "n=user,r=rOprNGfwEbeRWgbNEkqO";

    #[test]
    fn the_example_of_rfc_7677() {
        let challenge = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let answer = Scram::SHA_256.answer(FIRST, challenge, "pencil").unwrap();
        assert_eq!(
            answer.words,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(answer.expected, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn what_is_no_challenge_is_refused() {
        for challenge in [
            "",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA",
            "r=other,s=AAAA,i=4096",
            "r=rOprNGfwEbeRWgbNEkqO,s=AAAA,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=?,i=4096",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=0",
            "r=rOprNGfwEbeRWgbNEkqOx,s=AAAA,i=2000000000",
        ] {
            let answer = Scram::SHA_512.answer(FIRST, challenge, "pencil");
            assert!(answer.is_none(), "{challenge}");
        }
        assert_eq!(escaped("a=b,c"), "a=3Db=2Cc");
    }

    #[test]
    fn the_first_words_of_a_bearer() {
        assert_eq!(bearer("t.o.k", &[]), "n,,\u{1}auth=Bearer t.o.k\u{1}\u{1}");
        let extensions = [("a", "b"), ("c", "d e")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(
            bearer("t", &extensions),
            "n,,\u{1}auth=Bearer t\u{1}a=b\u{1}c=d e\u{1}\u{1}"
        );
    }

    #[test]
    fn a_log_in_is_renewed_in_the_last_part_of_its_life_but_not_at_its_end() {
        for _ in 0..1000 {
            let after = renewed_after(Duration::from_secs(100)).as_secs_f64();
            assert!((84.9..=95.1).contains(&after), "{after}");
        }
        assert_eq!(renewed_after(Duration::from_millis(800)), LEAST);
    }
}
