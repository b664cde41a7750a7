//! A registry behind TLS, which wants to know who asks.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use dray_connect::value::Value;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use super::stub::Stub;
use super::{avro, read, topic};

/// A key, and a certificate of `localhost` that it signs itself, in PEM files.
struct Own {
    key: PathBuf,
    certificate: PathBuf,
}

impl Own {
    fn make(folder: &Path, name: &str) -> Self {
        let (key, certificate) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.pem")));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
            .args([
                "-subj",
                &format!("/CN={name}"),
                "-addext",
                "subjectAltName=DNS:localhost",
            ])
            .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "openssl: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        Self { key, certificate }
    }

    fn certificate(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.certificate).unwrap()
    }

    fn text(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }
}

#[tokio::test]
async fn certificates_are_checked_on_both_sides() {
    let folder = std::env::temp_dir().join(topic());
    std::fs::create_dir_all(&folder).unwrap();
    let (server, client) = (Own::make(&folder, "server"), Own::make(&folder, "client"));
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut trusted = RootCertStore::empty();
    trusted.add(client.certificate()).unwrap();
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(trusted), Arc::clone(&provider));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(
            vec![server.certificate()],
            PrivateKeyDer::from_pem_file(&server.key).unwrap(),
        )
        .unwrap();
    let config = Arc::new(config);
    let both = folder.join("both.pem");
    std::fs::write(&both, Own::text(&client.certificate) + &Own::text(&client.key)).unwrap();
    let (trust, chain, key) = (
        Own::text(&server.certificate),
        Own::text(&client.certificate),
        Own::text(&client.key),
    );
    let ssl = |name: &str| format!("schema.registry.ssl.{name}");
    let texts = [
        ("truststore.certificates", &*trust),
        ("keystore.certificate.chain", &*chain),
        ("keystore.key", &*key),
    ];
    let files = [
        ("truststore.type", "PEM"),
        ("truststore.location", server.certificate.to_str().unwrap()),
        ("keystore.type", "PEM"),
        ("keystore.location", both.to_str().unwrap()),
    ];
    for (pairs, is_good) in [
        (&texts[..], true),
        (&files[..], true),
        (&texts[..1], false),
        (&texts[1..], false),
    ] {
        let stub = Stub::start_with(
            vec![Some((200, r#"{"schema":"\"string\""}"#))],
            Some(Arc::clone(&config)),
        );
        let names: Vec<(String, &str)> = pairs.iter().map(|(name, value)| (ssl(name), *value)).collect();
        let mut more: Vec<(&str, &str)> = names.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        more.push(("max.retries", "0"));
        let found = read(&mut *avro(&stub.url(), &more), "t", &[0, 0, 0, 0, 1, 2, b'x']).await;
        match found {
            Ok(found) => assert_eq!((found.value, is_good), (Value::from("x"), true)),
            Err(error) => assert!(!is_good && error.is_retriable(), "{pairs:?}: {error}"),
        }
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
