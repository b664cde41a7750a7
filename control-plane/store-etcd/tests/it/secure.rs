//! Users, roles and TLS.

use super::server::run;
use super::*;
use dray_store::{Error, Key, Read, Txn, WatchEvent};
use dray_store_etcd::{Tls, User};
use etcd_client::{Client, ConnectOptions, Permission};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::time::{Instant, timeout};

fn user(endpoints: &[String], name: &str, password: &str) -> EtcdConfig {
    let user = User {
        name: name.into(),
        password: password.into(),
    };
    EtcdConfig {
        user: Some(user),
        ..EtcdConfig::new(endpoints)
    }
}

/// A role for the prefix is enough; everything else is denied, and a token that etcd has forgotten is renewed.
#[tokio::test]
async fn users_and_roles() {
    let server = Server::start(1, &[]);
    let mut operator = Client::connect(&server.endpoints, None).await.expect("etcd");
    let early = EtcdStore::connect(EtcdConfig::new(&server.endpoints))
        .await
        .expect("without authentication");
    let unknown = EtcdStore::connect(user(&server.endpoints, "dray", "secret"))
        .await
        .err()
        .expect("no users yet");
    assert!(
        matches!(unknown, Error::Refused { .. } | Error::Denied { .. }),
        "{unknown:?}"
    );
    operator.user_add("root", "root-secret", None).await.expect("root");
    operator.user_grant_role("root", "root").await.expect("root");
    operator.role_add("dray").await.expect("a role");
    operator
        .role_grant_permission("dray", Permission::read_write("/dray/").with_prefix())
        .await
        .expect("a permission");
    operator.user_add("dray", "secret", None).await.expect("a user");
    operator.user_grant_role("dray", "dray").await.expect("the role");
    operator.auth_enable().await.expect("enabled");

    let denied = |error: Error| {
        assert!(
            matches!(error, Error::Denied { .. }) && !error.is_retryable(),
            "{error:?}"
        )
    };
    let (ours, theirs) = (Key::root("dray").child("x"), Key::root("other").child("x"));
    denied(early.get(&ours, Read::Linearizable).await.expect_err("nobody"));
    denied(early.txn(Txn::new().put(&ours, "x")).await.expect_err("nobody"));
    denied(
        EtcdStore::connect(user(&server.endpoints, "dray", "wrong"))
            .await
            .err()
            .expect("a wrong password"),
    );
    denied(
        EtcdStore::connect(user(&server.endpoints, "nobody", "secret"))
            .await
            .err()
            .expect("no such user"),
    );

    let store = EtcdStore::connect(user(&server.endpoints, "dray", "secret"))
        .await
        .expect("the user");
    store
        .txn(Txn::new().if_absent(&ours).put(&ours, "1"))
        .await
        .expect("written");
    assert_eq!(
        store
            .get(&ours, Read::Linearizable)
            .await
            .expect("read")
            .value
            .expect("there")
            .value,
        "1"
    );
    let mut watch = store.watch(&ours.only(), Revision::new(1)).await.expect("a watch");
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Batch { .. }))));
    let lease = store
        .grant(Duration::from_secs(30), dray_store::LeaseKind::Process)
        .await
        .expect("a lease");
    store.keep_alive(lease.id).await.expect("alive");
    denied(store.get(&theirs, Read::Linearizable).await.expect_err("not ours"));
    denied(
        store
            .list(&Key::root("other").below(), dray_store::Page::first())
            .await
            .expect_err("not ours"),
    );
    denied(store.txn(Txn::new().put(&theirs, "x")).await.expect_err("not ours"));
    let watched = match store.watch(&theirs.only(), Revision::new(1)).await {
        Ok(mut watch) => watch.next().await.expect("an event").expect_err("not ours"),
        Err(error) => error,
    };
    denied(watched);

    // A change of roles makes tokens old; a restart forgets them.
    let root = ConnectOptions::new().with_user("root", "root-secret");
    let mut operator = Client::connect(&server.endpoints, Some(root)).await.expect("root");
    operator
        .role_grant_permission("dray", Permission::read_write("/other/").with_prefix())
        .await
        .expect("another permission");
    store.txn(Txn::new().put(&theirs, "x")).await.expect("ours now");
    server.sh("stop", &[]);
    server.sh("up", &["1"]);
    let end = Instant::now() + Duration::from_secs(30);
    while let Err(error) = store.txn(Txn::new().put(&ours, "2")).await {
        assert!(
            (error.is_retryable() || error.is_unknown()) && Instant::now() < end,
            "{error:?}"
        );
    }
}

/// An authority, and a key with a certificate of it for 127.0.0.1: `NAME.pem`, `NAME.key`.
fn certificate(folder: &Path, name: &str) {
    let openssl = |args: &[&str]| run(Command::new("openssl").current_dir(folder).args(args));
    if !folder.join("ca.pem").exists() {
        openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-days",
            "2",
            "-subj",
            "/CN=authority",
        ]);
    }
    std::fs::write(folder.join("san"), "subjectAltName=IP:127.0.0.1,DNS:etcd.test\n").expect("written");
    let (key, request, pem) = (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
    openssl(&[
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        &key,
        "-out",
        &request,
        "-subj",
        &format!("/CN={name}"),
    ]);
    let sign = [
        "x509",
        "-req",
        "-in",
        &request,
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-days",
        "2",
    ];
    openssl(&[&sign[..], &["-extfile", "san", "-out", &pem]].concat());
}

/// etcd's certificate is checked, and ours is shown.
#[tokio::test]
async fn tls_both_ways() {
    let folder = tempfile::tempdir().expect("a folder");
    let stranger = tempfile::tempdir().expect("a folder");
    certificate(folder.path(), "etcd");
    certificate(folder.path(), "dray");
    certificate(stranger.path(), "dray");
    let file = |folder: &tempfile::TempDir, name: &str| std::fs::read(folder.path().join(name)).expect("a file");
    let (authorities, identity) = (
        file(&folder, "ca.pem"),
        (file(&folder, "dray.pem"), file(&folder, "dray.key")),
    );
    let (other_authorities, other_identity) = (
        file(&stranger, "ca.pem"),
        (file(&stranger, "dray.pem"), file(&stranger, "dray.key")),
    );
    let at = folder.path().display();
    let extra =
        format!("--cert-file {at}/etcd.pem --key-file {at}/etcd.key --client-cert-auth --trusted-ca-file {at}/ca.pem");
    let server = Server::start_in(folder, 1, &[("DRAY_ETCD_SCHEME", "https"), ("DRAY_ETCD_EXTRA", &extra)]);

    let config = |authorities: &[u8], identity: Option<&(Vec<u8>, Vec<u8>)>, domain: Option<&str>| {
        let tls = Tls {
            authorities: authorities.to_vec(),
            identity: identity.cloned(),
            domain: domain.map(Into::into),
        };
        EtcdConfig {
            tls: Some(tls),
            ..EtcdConfig::new(&server.endpoints)
        }
    };
    let key = Key::root("x");
    for domain in [None, Some("etcd.test")] {
        let store = EtcdStore::connect(config(&authorities, Some(&identity), domain))
            .await
            .expect("a store");
        store.txn(Txn::new().put(&key, "x")).await.expect("written");
        assert_eq!(
            store
                .get(&key, Read::Linearizable)
                .await
                .expect("read")
                .value
                .expect("there")
                .value,
            "x"
        );
    }
    let wrong = [
        config(&other_authorities, Some(&identity), None),
        config(&authorities, None, None),
        config(&authorities, Some(&other_identity), None),
        config(&authorities, Some(&identity), Some("else.test")),
    ];
    for config in wrong {
        let connecting = timeout(PATIENCE, EtcdStore::connect(config));
        let error = connecting.await.expect("in time").err().expect("not trusted");
        assert!(error.is_retryable(), "nothing was done: {error:?}");
    }
    let plain = server.endpoints[0].replace("https", "http");
    EtcdStore::connect(EtcdConfig::new([plain]))
        .await
        .err()
        .expect("TLS only");
}
