//! `schema.registry.ssl.*`: certificates in PEM, as files or as texts.

use dray_connect::{ConfigMap, Error, Result};
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig};

const PREFIX: &str = "schema.registry.ssl.";

/// What was said of certificates, read; nothing is opened again later.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub(super) struct Tls {
    /// What is trusted; none for the machine's own authorities.
    authorities: Option<Vec<u8>>,
    /// The client's certificates and its key.
    client: Option<Vec<u8>>,
}

impl Tls {
    pub(super) fn read(config: &ConfigMap) -> Result<Self> {
        let get = |name: &str| config.get(&format!("{PREFIX}{name}")).filter(|value| !value.is_empty());
        for store in ["truststore", "keystore"] {
            let kind = get(&format!("{store}.type"));
            let is_pem = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("PEM"));
            if get(&format!("{store}.location")).is_some() && !is_pem {
                return Err(Error::invalid_config(
                    &format!("{PREFIX}{store}.type"),
                    Some(kind.map_or("JKS", String::as_str)),
                    Some("Key stores are PEM here: `openssl pkcs12 -in STORE -out STORE.pem` turns one into that"),
                ));
            }
        }
        if get("key.password").is_some() {
            let problem = "The key must not be encrypted: `openssl pkey -in KEY -out PLAIN` decrypts it";
            return Err(Error::config(format!(
                "Invalid configuration {PREFIX}key.password: {problem}"
            )));
        }
        let checks_names = config.get(&format!("{PREFIX}endpoint.identification.algorithm"));
        if checks_names.is_some_and(|value| !value.trim().eq_ignore_ascii_case("https")) {
            return Err(Error::invalid_config(
                &format!("{PREFIX}endpoint.identification.algorithm"),
                checks_names.map(String::as_str),
                Some("The registry's name is always checked"),
            ));
        }
        let authorities = match (get("truststore.certificates"), get("truststore.location")) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(path)) => Some(file("truststore.location", path)?),
            (None, None) => None,
        };
        let client = match (
            get("keystore.certificate.chain"),
            get("keystore.key"),
            get("keystore.location"),
        ) {
            (Some(chain), Some(key), _) => Some(format!("{chain}\n{key}\n").into_bytes()),
            (None, None, Some(path)) => Some(file("keystore.location", path)?),
            (None, None, None) => None,
            (_, _, _) => {
                let text = format!("{PREFIX}keystore.certificate.chain and {PREFIX}keystore.key go together");
                return Err(Error::config(text));
            }
        };
        Ok(Self { authorities, client })
    }

    /// The same for the client.
    pub(super) fn build(&self) -> Result<(RootCerts, Option<ClientCert>)> {
        let roots = match &self.authorities {
            None => RootCerts::PlatformVerifier,
            Some(pem) => {
                let (certificates, _) = items("truststore", pem)?;
                if certificates.is_empty() {
                    return Err(no_such("truststore", "certificate"));
                }
                RootCerts::from(certificates)
            }
        };
        let Some(pem) = &self.client else {
            return Ok((roots, None));
        };
        let (certificates, key) = items("keystore", pem)?;
        let key = key.ok_or_else(|| no_such("keystore", "private key"))?;
        if certificates.is_empty() {
            return Err(no_such("keystore", "certificate"));
        }
        Ok((roots, Some(ClientCert::new_with_certs(&certificates, key))))
    }
}

fn items(store: &str, pem: &[u8]) -> Result<(Vec<Certificate<'static>>, Option<PrivateKey<'static>>)> {
    let (mut certificates, mut key) = (Vec::new(), None);
    for item in ureq::tls::parse_pem(pem) {
        let item = item.map_err(|cause| Error::config(format!("{PREFIX}{store} is not PEM")).with_source(cause))?;
        match item {
            PemItem::Certificate(certificate) => certificates.push(certificate),
            PemItem::PrivateKey(found) => key = Some(found),
            _ => {}
        }
    }
    Ok((certificates, key))
}

fn no_such(store: &str, what: &str) -> Error {
    Error::config(format!("{PREFIX}{store} holds no {what} in PEM"))
}

fn file(name: &str, path: &str) -> Result<Vec<u8>> {
    std::fs::read(path).map_err(|cause| {
        Error::invalid_config(&format!("{PREFIX}{name}"), Some(path), Some("The file cannot be read"))
            .with_source(cause)
    })
}

/// The settings of the client for that.
pub(super) fn config(tls: &Tls) -> Result<ureq::tls::TlsConfig> {
    let (roots, client) = tls.build()?;
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(roots)
        .client_cert(client)
        .unversioned_rustls_crypto_provider(provider)
        .build())
}
