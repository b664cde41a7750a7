//! Listeners of Connect's kind: https, with and without certificates of clients; one for `/admin` alone; CORS and headers; many that idle.

use crate::agent::channel;
use crate::rig::{config, leads, until};
use dray_control::Control;
use dray_control::listeners::Listeners;
use dray_store::MetadataStore;
use dray_store::mem::MemStore;
use dray_wire::admin::v1;
use dray_wire::admin::v1::cluster_service_client::ClusterServiceClient;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// A key and its certificate, both for itself and for this machine.
fn identity(folder: &Path, name: &str) -> String {
    let made = Command::new("openssl")
        .current_dir(folder)
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args(["-days", "2", "-subj", &format!("/CN={name}")])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .args(["-keyout", "key", "-out", "certificate"])
        .output()
        .expect("openssl is there, see `make setup`");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let pem = read("key") + &read("certificate");
    std::fs::write(folder.join(format!("{name}.pem")), &pem).unwrap();
    pem
}

async fn replica(worker: &[(&str, &str)]) -> Control {
    let store: Arc<dyn MetadataStore> = Arc::new(MemStore::default());
    let worker: BTreeMap<String, String> = worker
        .iter()
        .map(|(key, value)| ((*key).into(), (*value).into()))
        .collect();
    let mut config = config("test", "one");
    config.listeners = Listeners::of(&worker).unwrap();
    config.listen.clear();
    let control = Control::start(store, config).await.unwrap();
    until("it leads", || leads(&control, "one")).await;
    control
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> std::io::Result<String> {
    let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer).await {
        // Many close a protected connection without a last word.
        Ok(_) | Err(_) if !answer.is_empty() => Ok(String::from_utf8(answer).unwrap()),
        Ok(_) => Err(std::io::ErrorKind::UnexpectedEof.into()),
        Err(error) => Err(error),
    }
}

async fn plain(address: SocketAddr, request: &str) -> String {
    ask(TcpStream::connect(address).await.unwrap(), request).await.unwrap()
}

async fn secure(address: SocketAddr, server: &str, client: Option<&str>, request: &str) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(server.as_bytes()).unwrap())
        .unwrap();
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(pem) => {
            let chain = vec![CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()];
            let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let stream = TcpStream::connect(address).await?;
    let name = "localhost".try_into().unwrap();
    ask(
        TlsConnector::from(Arc::new(config)).connect(name, stream).await?,
        request,
    )
    .await
}

#[tokio::test]
async fn rest_is_served_by_https_beside_http() {
    let folder = tempfile::tempdir().unwrap();
    let server = identity(folder.path(), "server");
    let store = folder.path().join("server.pem");
    let control = replica(&[
        ("listeners", "http://127.0.0.1:0,https://127.0.0.1:0"),
        ("listeners.https.ssl.keystore.type", "PEM"),
        ("listeners.https.ssl.keystore.location", store.to_str().unwrap()),
    ])
    .await;
    let [http, https] = control.addresses[..] else {
        panic!("{:?}", control.addresses)
    };
    assert!(plain(http, "GET /").await.starts_with("HTTP/1.1 200 "));
    let answer = secure(https, &server, None, "GET /connectors").await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("[]"),
        "{answer}"
    );
    // gRPC is there as well, and http is not.
    let mut grpc = ClusterServiceClient::new(channel(http));
    grpc.get_cluster(v1::GetClusterRequest::default()).await.unwrap();
    let by_http = ask(TcpStream::connect(https).await.unwrap(), "GET /").await;
    assert!(by_http.is_err() || by_http.is_ok_and(|alert| !alert.starts_with("HTTP/")));
    // Who does not say hello keeps nobody waiting.
    let silent = TcpStream::connect(https).await.unwrap();
    secure(https, &server, None, "GET /").await.unwrap();
    drop(silent);
    control.stop().await;
}

#[tokio::test]
async fn clients_may_have_to_show_who_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let [server, client, stranger] = ["server", "client", "stranger"].map(|name| identity(folder.path(), name));
    // As values, without files; an authority that is a client's own certificate.
    let (key, chain) = server.split_at(server.find("-----BEGIN CERTIFICATE").unwrap());
    let authority = &client[client.find("-----BEGIN CERTIFICATE").unwrap()..];
    let control = replica(&[
        ("listeners", "https://127.0.0.1:0"),
        ("ssl.keystore.type", "PEM"),
        ("ssl.keystore.key", key),
        ("ssl.keystore.certificate.chain", chain),
        ("ssl.truststore.certificates", authority),
        ("ssl.truststore.type", "PEM"),
        ("ssl.client.auth", "required"),
        ("ssl.enabled.protocols", "TLSv1.3"),
    ])
    .await;
    let address = control.addresses[0];
    let known = secure(address, &server, Some(&client), "GET /").await.unwrap();
    assert!(known.starts_with("HTTP/1.1 200 "), "{known}");
    assert!(secure(address, &server, Some(&stranger), "GET /").await.is_err());
    assert!(secure(address, &server, None, "GET /").await.is_err());
    control.stop().await;
}

#[tokio::test]
async fn admin_is_apart_and_answers_carry_what_they_are_told_to() {
    // Its port has to be known before: nobody shows it.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = free.local_addr().unwrap();
    drop(free);
    let control = replica(&[
        ("listeners", "http://127.0.0.1:0"),
        ("admin.listeners", &format!("http://{admin}")),
        ("access.control.allow.origin", "http://a.example"),
        ("response.http.headers.config", "set X-Frame-Options: DENY"),
    ])
    .await;
    let main = plain(control.addresses[0], "GET /connectors").await.to_lowercase();
    assert!(main.starts_with("http/1.1 200 "), "{main}");
    assert!(
        main.contains("x-frame-options: deny\r\n") && main.contains("vary: origin\r\n"),
        "{main}"
    );
    let there = plain(admin, "GET /connectors").await.to_lowercase();
    assert!(
        there.starts_with("http/1.1 404 ") && !there.contains("x-frame-options"),
        "{there}"
    );
    assert!(
        plain(control.addresses[0], "GET /admin/loggers")
            .await
            .starts_with("HTTP/1.1 404 ")
    );
    control.stop().await;
}

#[tokio::test]
async fn a_thousand_that_say_nothing_keep_nobody_waiting() {
    let control = replica(&[("listeners", "http://127.0.0.1:0")]).await;
    let address = control.addresses[0];
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    // Some have begun to say something.
    for stream in idle.iter_mut().take(100) {
        stream
            .write_all(b"POST /connectors HTTP/1.1\r\nHost: x\r\nX-")
            .await
            .unwrap();
    }
    assert!(plain(address, "GET /connectors").await.starts_with("HTTP/1.1 200 "));
    drop(idle);
    control.stop().await;
}
