//! A token endpoint of a few lines: it knows one client, by its secret or by its key, and issues tokens that nobody signs.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader, split};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub(super) const ID: &str = "agent";
pub(super) const SECRET: &str = "s3cret:of it";
pub(super) const TOO_MUCH: &str = "what the endpoint says besides";

/// What it does, and what it was asked.
#[derive(Debug)]
struct State {
    algorithm: &'static str,
    away: usize,
    asked: usize,
    issued: usize,
    scopes: Vec<String>,
    /// The key of the client, in PEM, and how it is used.
    key: Option<(PathBuf, Use)>,
}

/// What assertions are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// They stand for the secret.
    Credentials,
    /// They are exchanged for tokens.
    Exchange,
}

/// The endpoint; dropping it ends it.
pub(super) struct Endpoint {
    pub(super) url: String,
    state: Arc<Mutex<State>>,
    _tasks: JoinSet<()>,
}

impl Endpoint {
    /// One whose tokens live for so long.
    pub(super) async fn start(lifetime: Duration) -> Self {
        Self::serving(lifetime, None).await
    }

    /// One that speaks TLS, with this certificate.
    pub(super) async fn start_secure(lifetime: Duration, certificate: &Certificate) -> Self {
        Self::serving(lifetime, Some(certificate.acceptor())).await
    }

    async fn serving(lifetime: Duration, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://localhost:{port}/oauth/token");
        let state = Arc::new(Mutex::new(State {
            algorithm: "none",
            away: 0,
            asked: 0,
            issued: 0,
            scopes: Vec::new(),
            key: None,
        }));
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&state);
        tasks.spawn(async move {
            loop {
                let (client, _) = listener.accept().await.expect("accepts");
                match &tls {
                    None => serve(client, &shared, lifetime).await,
                    Some(tls) => match tls.accept(client).await {
                        Ok(client) => serve(client, &shared, lifetime).await,
                        Err(_) => None,
                    },
                };
            }
        });
        Self {
            url,
            state,
            _tasks: tasks,
        }
    }

    /// What a process is told that may use it.
    pub(super) fn java_options(&self) -> String {
        format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls={}", self.url)
    }

    /// Says of its tokens that they are signed so.
    pub(super) fn sign_by(&self, algorithm: &'static str) {
        self.state.lock().expect("whole").algorithm = algorithm;
    }

    /// Takes assertions that this key has signed, for this, and no secret any more.
    pub(super) fn know_by(&self, public_key: &Path, used: Use) {
        self.state.lock().expect("whole").key = Some((public_key.to_owned(), used));
    }

    /// Answers so many requests with 503.
    pub(super) fn be_away(&self, requests: usize) {
        self.state.lock().expect("whole").away = requests;
    }

    /// How many requests there were.
    pub(super) fn asked(&self) -> usize {
        self.state.lock().expect("whole").asked
    }

    /// How many of them got a token.
    pub(super) fn issued(&self) -> usize {
        self.state.lock().expect("whole").issued
    }

    /// The scopes of the tokens.
    pub(super) fn scopes(&self) -> Vec<String> {
        self.state.lock().expect("whole").scopes.clone()
    }
}

/// A key, and a certificate of `localhost` that it signs itself, in PEM files.
pub(super) struct Certificate {
    key: PathBuf,
    pub(super) certificate: PathBuf,
}

impl Certificate {
    pub(super) fn make(folder: &Path) -> Self {
        let (key, certificate) = (folder.join("endpoint.key"), folder.join("endpoint.pem"));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]);
        openssl.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]);
        openssl
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(&key);
        super::text(openssl.arg("-out").arg(&certificate));
        Self { key, certificate }
    }

    fn acceptor(&self) -> TlsAcceptor {
        let chain = vec![CertificateDer::from_pem_file(&self.certificate).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("they fit");
        TlsAcceptor::from(Arc::new(config))
    }
}

/// A token that says these things of itself.
fn token(algorithm: &str, lifetime: Duration) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs_f64();
    let claims = json!({"sub": ID, "iat": now, "exp": now + lifetime.as_secs_f64()});
    let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}.", part(&json!({ "alg": algorithm })), part(&claims))
}

/// The scope of a request whose assertion is the client's, signed by this key and of now.
fn asserted<'a>(body: &'a str, public_key: &Path, used: Use) -> Option<&'a str> {
    let (before, after) = match used {
        Use::Credentials => (
            "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=",
            format!("&grant_type=client_credentials&client_id={ID}&scope="),
        ),
        Use::Exchange => (
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=",
            "&scope=".to_owned(),
        ),
    };
    let (assertion, scope) = body.strip_prefix(before)?.split_once(&*after)?;
    let (said, signature) = assertion.rsplit_once('.')?;
    let folder = tempfile::tempdir().expect("a folder");
    let (text, signed) = (folder.path().join("said"), folder.path().join("signature"));
    std::fs::write(&text, said).expect("written");
    std::fs::write(&signed, URL_SAFE_NO_PAD.decode(signature).ok()?).expect("written");
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", "-sha256", "-verify"]).arg(public_key);
    let verified = openssl
        .arg("-signature")
        .arg(signed)
        .arg(text)
        .output()
        .expect("it starts");
    let claims = URL_SAFE_NO_PAD.decode(said.split_once('.')?.1).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs();
    let valid = (claims["nbf"].as_u64()?..claims["exp"].as_u64()?).contains(&now);
    let named = claims["iss"] == ID && claims["sub"] == ID && claims["aud"] == "the endpoint";
    (verified.status.success() && valid && named).then_some(scope)
}

/// One request a connection.
async fn serve(client: impl AsyncRead + AsyncWrite, state: &Mutex<State>, lifetime: Duration) -> Option<()> {
    let (read, mut write) = split(client);
    let mut read = BufReader::new(read);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        read.read_line(&mut line).await.ok()?;
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        head.push(line);
    }
    let header = |name: &str| {
        head.iter()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(key, value)| key.eq_ignore_ascii_case(name).then(|| value.to_owned()))
    };
    let mut body = vec![0; header("content-length")?.parse().ok()?];
    read.read_exact(&mut body).await.ok()?;
    let body = String::from_utf8(body).ok()?;
    let (status, answer) = {
        let mut state = state.lock().expect("whole");
        state.asked += 1;
        let known = format!("Basic {}", STANDARD.encode(format!("{ID}:{SECRET}")));
        let form = header("content-type").as_deref() == Some("application/x-www-form-urlencoded");
        let scope = match &state.key {
            None => body.strip_prefix("grant_type=client_credentials&scope="),
            Some((key, used)) => asserted(&body, key, *used),
        };
        if state.away > 0 {
            state.away -= 1;
            ("503 Service Unavailable", json!({}))
        } else if state.key.is_some() && (scope.is_none() || header("authorization").is_some()) {
            ("401 Unauthorized", json!({"error": "invalid_grant"}))
        } else if state.key.is_none() && header("authorization") != Some(known) {
            let refused = json!({"error": "invalid_client", "error_description": "nobody knows you", "x": TOO_MUCH});
            ("401 Unauthorized", refused)
        } else if let (true, true, Some(scope)) = (head[0].starts_with("POST /oauth/token "), form, scope) {
            state.issued += 1;
            state.scopes.push(scope.to_owned());
            let token = token(state.algorithm, lifetime);
            (
                "200 OK",
                json!({"token_type": "Bearer", "access_token": token, "x": TOO_MUCH}),
            )
        } else {
            ("400 Bad Request", json!({"error": "invalid_request"}))
        }
    };
    let answer = answer.to_string();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        answer.len()
    );
    let all = format!("{head}Connection: close\r\n\r\n{answer}");
    write.write_all(all.as_bytes()).await.ok()?;
    write.shutdown().await.ok()
}
