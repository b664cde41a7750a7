//! How a connection of our own is protected: TLS by rustls, and who logs in. What rustls or we cannot do is librdkafka's alone: key stores
//! of PKCS12, encrypted keys, no check of the host's name, Kerberos.

use super::oauth::Sources;
use super::sasl::Login;
use crate::codes::local;
use crate::error::{Class, Error, Result};
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::{Error as PemError, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// librdkafka's settings, translated from Java's.
type Settings = BTreeMap<String, String>;

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// The socket, where what comes out of it is what the broker has sent.
    fn socket(&self) -> Option<OwnedFd> {
        None
    }
}

impl Stream for TcpStream {
    fn socket(&self) -> Option<OwnedFd> {
        self.as_fd().try_clone_to_owned().ok()
    }
}

impl Stream for TlsStream<TcpStream> {}

#[cfg(test)]
impl Stream for tokio::io::DuplexStream {}

/// What a connection needs beyond an address.
pub(crate) struct Security {
    tls: Option<TlsConnector>,
    pub(crate) login: Option<Arc<Login>>,
}

impl Security {
    /// Reads the settings. None when they ask for something that is librdkafka's alone.
    pub(crate) fn read(settings: &Settings, sources: &Sources) -> Result<Option<Self>> {
        let protocol = settings.get("security.protocol").map_or("plaintext", String::as_str);
        let (with_tls, with_login) = match protocol {
            "plaintext" => (false, false),
            "ssl" => (true, false),
            "sasl_plaintext" => (false, true),
            "sasl_ssl" => (true, true),
            _ => return Ok(None),
        };
        let login = if with_login {
            Login::read(settings, sources)?
        } else {
            None
        };
        if with_login && login.is_none() {
            return Ok(None);
        }
        let tls = if with_tls { tls(settings)? } else { None };
        if with_tls && tls.is_none() {
            return Ok(None);
        }
        Ok(Some(Self {
            tls,
            login: login.map(Arc::new),
        }))
    }

    /// The stream over this connection.
    pub(crate) async fn protect(&self, stream: TcpStream, address: &str) -> std::io::Result<Box<dyn Stream>> {
        let Some(tls) = &self.tls else {
            return Ok(Box::new(stream));
        };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(std::io::Error::other)?;
        Ok(Box::new(tls.connect(name, stream).await?))
    }
}

fn tls(settings: &Settings) -> Result<Option<TlsConnector>> {
    let algorithm = settings.get("ssl.endpoint.identification.algorithm");
    let alone = ["ssl.keystore.location", "ssl.key.password", "ssl.cipher.suites"];
    if alone.iter().any(|key| settings.contains_key(*key)) || algorithm.is_some_and(|name| name != "https") {
        return Ok(None);
    }
    let roots = match certificates(settings, "ssl.ca")? {
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for authority in authorities {
                roots.add(authority).map_err(|error| unfit("ssl.ca", &error))?;
            }
            roots
        }
        None => of_the_system()?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unfit("ssl", &error))?
        .with_root_certificates(roots);
    let config = match (certificates(settings, "ssl.certificate")?, key(settings)?) {
        (Some(chain), Some(key)) => config
            .with_client_auth_cert(chain, key)
            .map_err(|error| unfit("ssl.certificate", &error))?,
        _ => config.with_no_client_auth(),
    };
    Ok(Some(TlsConnector::from(Arc::new(config))))
}

/// The authorities that the machine trusts, as its other programs do: `SSL_CERT_FILE`, `SSL_CERT_DIR`, or where the system keeps them. Those
/// that cannot be read are left out.
fn of_the_system() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map_or_else(String::new, |error| format!(" ({error})"));
        return Err(local(
            "reading the authorities that this machine trusts",
            "INVALID_CONFIG",
            format!(
                "there are none{why}: install them (ca-certificates), or set `ssl.truststore.location` to a PEM file"
            ),
            Class::Fatal,
        ));
    }
    Ok(roots)
}

/// The certificates of a setting, a file's or those of the text itself.
fn certificates(settings: &Settings, name: &str) -> Result<Option<Vec<CertificateDer<'static>>>> {
    let Some(pem) = pem(settings, name)? else {
        return Ok(None);
    };
    let all: std::result::Result<Vec<_>, PemError> = CertificateDer::pem_slice_iter(&pem).collect();
    all.map(Some).map_err(|error| unfit(name, &error))
}

fn key(settings: &Settings) -> Result<Option<PrivateKeyDer<'static>>> {
    let Some(pem) = pem(settings, "ssl.key")? else {
        return Ok(None);
    };
    let key = PrivateKeyDer::from_pem_slice(&pem);
    key.map(Some).map_err(|error| unfit("ssl.key", &error))
}

fn pem(settings: &Settings, name: &str) -> Result<Option<Vec<u8>>> {
    if let Some(text) = settings.get(&format!("{name}.pem")) {
        return Ok(Some(text.clone().into_bytes()));
    }
    let Some(path) = settings.get(&format!("{name}.location")) else {
        return Ok(None);
    };
    std::fs::read(path).map(Some).map_err(|error| unfit(path, &error))
}

fn unfit(what: &str, error: &dyn std::fmt::Display) -> Error {
    local(
        format!("reading `{what}`"),
        "INVALID_CONFIG",
        error.to_string(),
        Class::Fatal,
    )
}
