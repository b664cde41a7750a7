//! How a direct connection proves who it is: PLAIN and SCRAM (RFC 5802, 7677), as Kafka speaks them.

use super::dial::Line;
use crate::codes::check;
use crate::codes::local;
use crate::error::{Class, Error, Result};
use aws_lc_rs::{digest, hmac, pbkdf2, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use kafka_protocol::messages::{SaslAuthenticateRequest, SaslHandshakeRequest};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

/// Brokers ask for 4,096 to some ten thousand; one that asks for more shall not keep a core busy for minutes.
const MOST_ITERATIONS: u32 = 1_000_000;

/// Who logs in, and how.
pub(crate) struct Login {
    mechanism: Mechanism,
    user: String,
    password: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    const ALL: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Login {
    /// As librdkafka's settings have it; none when the mechanism is librdkafka's alone.
    pub(crate) fn read(settings: &BTreeMap<String, String>) -> Option<Self> {
        let name = settings.get("sasl.mechanism")?;
        let mechanism = Mechanism::ALL.into_iter().find(|known| known.name() == name)?;
        Some(Self {
            mechanism,
            user: settings.get("sasl.username")?.clone(),
            password: settings.get("sasl.password")?.clone(),
        })
    }

    /// Logs in; how long that is good for, where the broker says so (KIP-368).
    pub(crate) async fn prove(&self, connection: &mut Line) -> Result<Option<Duration>> {
        let mechanism = StrBytes::from_static_str(self.mechanism.name());
        let request = SaslHandshakeRequest::default().with_mechanism(mechanism);
        let answer = connection.ask(&request, 1..=1).await?;
        check("choosing a SASL mechanism", answer.error_code, None)?;
        let scram = match self.mechanism {
            Mechanism::Plain => {
                let words = format!("\0{}\0{}", self.user, self.password);
                return exchange(connection, words).await.map(|(_, lifetime)| lifetime);
            }
            Mechanism::ScramSha256 => Scram::SHA_256,
            Mechanism::ScramSha512 => Scram::SHA_512,
        };
        let first = format!("n={},r={}", escaped(&self.user), nonce()?);
        let (challenge, _) = exchange(connection, format!("n,,{first}")).await?;
        let answer = scram.answer(&first, &challenge, &self.password)?;
        let (last, lifetime) = exchange(connection, answer.words).await?;
        if last.split(',').next() != Some(&answer.expected) {
            return Err(refused("the broker does not know the password itself"));
        }
        Ok(lifetime)
    }
}

async fn exchange(connection: &mut Line, words: String) -> Result<(String, Option<Duration>)> {
    let request = SaslAuthenticateRequest::default().with_auth_bytes(Bytes::from(words));
    let answer = connection.ask(&request, 0..=2).await?;
    check("logging in", answer.error_code, answer.error_message.as_deref())?;
    let words = String::from_utf8(answer.auth_bytes.to_vec()).map_err(|_| refused("its words are no text"))?;
    let lifetime = u64::try_from(answer.session_lifetime_ms).unwrap_or(0);
    Ok((words, (lifetime > 0).then(|| Duration::from_millis(lifetime))))
}

fn refused(message: &str) -> Error {
    local("logging in", "SASL", message, Class::Fatal)
}

fn escaped(user: &str) -> String {
    user.replace('=', "=3D").replace(',', "=2C")
}

fn nonce() -> Result<String> {
    let mut bytes = [0; 24];
    rand::fill(&mut bytes).map_err(|_| refused("no random numbers"))?;
    Ok(BASE64.encode(bytes))
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

    /// The answer to the broker's challenge, after these first words.
    fn answer(&self, first: &str, challenge: &str, password: &str) -> Result<Answer> {
        let unfit = || refused("its challenge is none");
        let part = |name: &str| {
            challenge
                .split(',')
                .find_map(|part| part.strip_prefix(name))
                .ok_or_else(unfit)
        };
        let (nonce, salt) = (part("r=")?, BASE64.decode(part("s=")?).map_err(|_| unfit())?);
        let iterations = part("i=")?.parse().ok().and_then(NonZeroU32::new).ok_or_else(unfit)?;
        let own = first.rsplit_once("r=").map_or("", |(_, own)| own);
        if !nonce.starts_with(own) || nonce.len() == own.len() || iterations.get() > MOST_ITERATIONS {
            return Err(unfit());
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
        Ok(Answer {
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
            assert!(answer.is_err(), "{challenge}");
        }
        assert_eq!(escaped("a=b,c"), "a=3Db=2Cc");
    }
}
