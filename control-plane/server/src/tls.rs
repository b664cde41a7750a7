//! https for listeners: Connect's `ssl.*` keys, below `listeners.https.` if any is there, by rustls. Key stores are PEM.

use dray_model::ConfigMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use tokio_rustls::server::TlsStream;

/// A client that has not said hello in so long is closed.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Handshakes at once; more wait in the kernel's queue.
const HANDSHAKES: usize = 256;
/// After an accept that failed: most often there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// How a listener is protected. Cheap to clone.
#[derive(Clone)]
pub struct Tls(Arc<ServerConfig>);

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Tls")
    }
}

impl Tls {
    /// Reads the keys with this prefix, or, when there are none, those without.
    ///
    /// # Errors
    /// For the first key that is missing, wrong, or asks for what rustls does not do.
    pub fn of(worker: &ConfigMap, prefix: &str) -> Result<Self, String> {
        let own = worker.keys().any(|key| key.starts_with(prefix));
        let prefix = if own { prefix } else { "" };
        let keys = Keys { worker, prefix };
        keys.refuse_what_is_java()?;
        let (chain, key) = keys.identity()?;
        let provider = Arc::new(keys.suites(aws_lc_rs::default_provider())?);
        let unfit = |error: &dyn fmt::Display| keys.wrong("ssl.keystore.location", &error.to_string());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&keys.versions()?)
            .map_err(|error| keys.wrong("ssl.enabled.protocols", &error.to_string()))?;
        let wanted = keys.text("ssl.client.auth").unwrap_or("none").to_ascii_lowercase();
        let builder = match wanted.as_str() {
            "none" => builder.with_no_client_auth(),
            "required" | "requested" => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(keys.authorities()?), provider);
                let verifier = match wanted.as_str() {
                    "requested" => verifier.allow_unauthenticated(),
                    _ => verifier,
                };
                let problem = |error: &dyn fmt::Display| keys.wrong("ssl.truststore.location", &error.to_string());
                builder.with_client_cert_verifier(verifier.build().map_err(|error| problem(&error))?)
            }
            other => {
                return Err(keys.wrong(
                    "ssl.client.auth",
                    &format!("{other} must be one of required, requested, none"),
                ));
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| unfit(&error))?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(Arc::new(config)))
    }

    /// Accepts connections and hands on those that are protected, until nobody takes them any more. A slow client keeps nobody waiting.
    pub(crate) async fn accept(&self, listener: TcpListener, ready: mpsc::Sender<TlsStream<TcpStream>>) {
        let acceptor = TlsAcceptor::from(self.0.clone());
        let mut handshakes = JoinSet::new();
        loop {
            tokio::select! {
                () = ready.closed() => break,
                Some(_) = handshakes.join_next() => {}
                accepted = listener.accept(), if handshakes.len() < HANDSHAKES => {
                    let stream = match accepted {
                        Ok((stream, _)) => stream,
                        Err(error) => {
                            tracing::warn!(%error, "could not accept a connection");
                            sleep(PAUSE).await;
                            continue;
                        }
                    };
                    // An answer is written at once, or it was not that important.
                    drop(stream.set_nodelay(true));
                    let (acceptor, ready) = (acceptor.clone(), ready.clone());
                    handshakes.spawn(async move {
                        match timeout(HANDSHAKE, acceptor.accept(stream)).await {
                            Ok(Ok(stream)) => drop(ready.send(stream).await),
                            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                            Err(_) => tracing::debug!("a TLS handshake took too long"),
                        }
                    });
                }
            }
        }
        handshakes.shutdown().await;
    }
}

/// The keys of one kind of listener.
struct Keys<'a> {
    worker: &'a ConfigMap,
    prefix: &'a str,
}

impl Keys<'_> {
    fn text(&self, key: &str) -> Option<&str> {
        let value = self.worker.get(&format!("{}{key}", self.prefix))?.trim();
        Some(value).filter(|value| !value.is_empty())
    }

    fn wrong(&self, key: &str, problem: &str) -> String {
        format!("{}{key}: {problem}", self.prefix)
    }

    /// What only Java can do is refused: a listener that is protected in another way than asked for is worse than none.
    fn refuse_what_is_java(&self) -> Result<(), String> {
        for (kind, location) in [
            ("ssl.keystore.type", "ssl.keystore.location"),
            ("ssl.truststore.type", "ssl.truststore.location"),
        ] {
            let kind_is = self.text(kind).unwrap_or("JKS");
            if self.text(location).is_some() && !kind_is.eq_ignore_ascii_case("PEM") {
                let problem = format!(
                    "{kind_is} stores cannot be read; convert it to PEM (`openssl pkcs12 -in store.p12 -nodes`; a JKS store first by `keytool \
                     -importkeystore -deststoretype PKCS12`) and set {kind}=PEM"
                );
                return Err(self.wrong(kind, &problem));
            }
        }
        for key in ["ssl.key.password", "ssl.engine.factory.class", "ssl.provider"] {
            if self.text(key).is_some() {
                let problem = match key {
                    "ssl.key.password" => {
                        "encrypted keys cannot be read; decrypt it with `openssl pkcs8`, protect the file, and remove this key"
                    }
                    _ => "is Java's own; remove it",
                };
                return Err(self.wrong(key, problem));
            }
        }
        Ok(())
    }

    /// The bytes of a key that holds PEM, or of the file that another names.
    fn pem(&self, text: &str, location: &str) -> Result<Option<Vec<u8>>, String> {
        if let Some(pem) = self.text(text) {
            return Ok(Some(pem.as_bytes().to_vec()));
        }
        let read = |path| std::fs::read(path).map_err(|error| self.wrong(location, &format!("{path}: {error}")));
        self.text(location).map(read).transpose()
    }

    fn identity(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), String> {
        let missing = || {
            let problem = "https needs a PEM file with the key and its certificates, and ssl.keystore.type=PEM (or ssl.keystore.key and \
                           ssl.keystore.certificate.chain)";
            self.wrong("ssl.keystore.location", problem)
        };
        let chain = self.pem("ssl.keystore.certificate.chain", "ssl.keystore.location")?;
        let key = self.pem("ssl.keystore.key", "ssl.keystore.location")?;
        let (chain, key) = (chain.ok_or_else(missing)?, key.ok_or_else(missing)?);
        let wrong = |error: &dyn fmt::Display| self.wrong("ssl.keystore.location", &error.to_string());
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|error| wrong(&error))?;
        let chain = CertificateDer::pem_slice_iter(&chain).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| wrong(&error))?;
        match chain.is_empty() {
            true => Err(self.wrong("ssl.keystore.location", "has no certificate")),
            false => Ok((chain, key)),
        }
    }

    fn authorities(&self) -> Result<RootCertStore, String> {
        let key = "ssl.truststore.location";
        let pem = self.pem("ssl.truststore.certificates", key)?;
        let pem = pem.ok_or_else(|| self.wrong(key, "ssl.client.auth needs the authorities of clients (PEM)"))?;
        let mut roots = RootCertStore::empty();
        for authority in CertificateDer::pem_slice_iter(&pem) {
            let authority = authority.map_err(|error| self.wrong(key, &error.to_string()))?;
            roots
                .add(authority)
                .map_err(|error| self.wrong(key, &error.to_string()))?;
        }
        Ok(roots)
    }

    fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
        let key = "ssl.enabled.protocols";
        let names = self.text(key).unwrap_or("TLSv1.2,TLSv1.3");
        let version = |name: &str| match name.trim() {
            "TLSv1.2" => Ok(&version::TLS12),
            "TLSv1.3" => Ok(&version::TLS13),
            other => Err(self.wrong(key, &format!("{other} is not served; TLSv1.2 and TLSv1.3 are"))),
        };
        names.split(',').map(version).collect()
    }

    /// The suites that are allowed, by the names that Java and IANA have for them.
    fn suites(
        &self,
        mut provider: tokio_rustls::rustls::crypto::CryptoProvider,
    ) -> Result<tokio_rustls::rustls::crypto::CryptoProvider, String> {
        let Some(names) = self.text("ssl.cipher.suites") else {
            return Ok(provider);
        };
        let names: Vec<&str> = names.split(',').map(str::trim).collect();
        provider.cipher_suites.retain(|suite| {
            // rustls says TLS13_ where everybody else says TLS_.
            let name = format!("{:?}", suite.suite()).replace("TLS13_", "TLS_");
            names.contains(&name.as_str())
        });
        match provider.cipher_suites.is_empty() {
            true => Err(self.wrong("ssl.cipher.suites", "none of them is served")),
            false => Ok(provider),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pairs: &[(&str, &str)]) -> String {
        let pairs = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        Tls::of(&pairs.collect(), "listeners.https.").unwrap_err()
    }

    #[test]
    fn what_is_javas_is_refused_by_its_key() {
        for (pairs, begin) in [
            (&[][..], "ssl.keystore.location: https needs"),
            (
                &[("listeners.https.ssl.keystore.location", "/x.jks")],
                "listeners.https.ssl.keystore.type: JKS stores cannot be read",
            ),
            (
                &[("ssl.keystore.location", "/x.p12"), ("ssl.keystore.type", "PKCS12")],
                "ssl.keystore.type: PKCS12 stores cannot be read",
            ),
            (
                &[("ssl.keystore.location", "/no/such.pem"), ("ssl.keystore.type", "PEM")],
                "ssl.keystore.location: /no/such.pem: ",
            ),
            (
                &[("ssl.key.password", "x")],
                "ssl.key.password: encrypted keys cannot be read",
            ),
            (
                // All or nothing: one key with the prefix, and those without do not count.
                &[
                    ("ssl.keystore.location", "/x.pem"),
                    ("ssl.keystore.type", "PEM"),
                    ("listeners.https.ssl.client.auth", "none"),
                ],
                "listeners.https.ssl.keystore.location: https needs",
            ),
        ] {
            let problem = refused(pairs);
            assert!(problem.starts_with(begin), "{problem}");
        }
    }
}
