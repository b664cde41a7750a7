//! Which settings lead where, and that one token serves all.

use super::*;
use crate::Class;
use std::io::Write as _;

const ADDRESS: &str = "http://127.0.0.1:1/token";

fn settings(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let always = [("security.protocol", "sasl_ssl"), ("sasl.mechanism", MECHANISM)];
    let pairs = always.iter().chain(pairs);
    pairs
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn allowing(url: &str) -> Sources {
    Sources::allowed_by(&format!("-Xmx1g '-D{ALLOWED}=https://other/, {url}' -Dx=y").replace(", ", ","))
}

#[track_caller]
fn refused(sources: &Sources, pairs: &[(&str, &str)], says: &str) {
    let error = sources.of(&settings(pairs)).expect_err("refused");
    assert_eq!(error.class, Class::Fatal, "{error}");
    let text = format!("{error} {error:?}");
    assert!(text.contains(says) && !text.contains("hidden"), "{text}");
}

#[test]
fn what_is_wrong_is_said_without_the_secret() {
    let sources = allowing(ADDRESS);
    let url = ("sasl.oauthbearer.token.endpoint.url", ADDRESS);
    let secret = ("sasl.jaas.clientSecret", "hidden");
    refused(&sources, &[url, secret], "clientId");
    refused(&sources, &[url, ("sasl.jaas.clientId", "me")], "clientSecret");
    refused(&sources, &[secret], "unsecuredLoginStringClaim_sub");
    refused(
        &sources,
        &[("sasl.oauthbearer.token.endpoint.url", "file:/etc/passwd"), secret],
        ALLOWED,
    );
    refused(&Sources::default(), &[url, secret], ALLOWED);
    let handler = "sasl.login.callback.handler.class";
    refused(&sources, &[url, secret, (handler, "com.acme.Handler")], handler);
    refused(
        &sources,
        &[secret, (handler, "x.OAuthBearerLoginCallbackHandler")],
        "endpoint.url",
    );
    let grant = (
        "sasl.oauthbearer.grant.type",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
    );
    refused(&sources, &[url, secret, grant], "assertion.private.key.file");
    refused(&sources, &[url, secret, (grant.0, "password")], "grant.type");
    let retriever = "sasl.oauthbearer.jwt.retriever.class";
    refused(
        &sources,
        &[url, secret, (retriever, "x.JwtBearerJwtRetriever")],
        "assertion.private.key.file",
    );
    refused(&sources, &[url, secret, (retriever, "x.OtherRetriever")], retriever);
    let asserted = ("sasl.oauthbearer.assertion.claim.iss", "me");
    refused(&sources, &[url, secret, asserted], "assertion.private.key.file");
    let file = ("sasl.oauthbearer.assertion.file", "/etc/passwd");
    refused(&sources, &[url, secret, file], ALLOWED_FILES);
    let extension = ("sasl.jaas.extension_auth", "hidden");
    refused(
        &sources,
        &[url, secret, ("sasl.jaas.clientId", "me"), extension],
        "`auth`",
    );
}

#[test]
fn other_mechanisms_and_protocols_need_no_token() {
    for (key, value) in [("sasl.mechanism", "PLAIN"), ("security.protocol", "ssl")] {
        assert!(
            Sources::default()
                .of(&settings(&[(key, value)]))
                .expect("settings")
                .is_none()
        );
    }
}

#[tokio::test]
async fn one_token_serves_all_until_it_is_near_its_end() {
    let sources = Sources::default();
    let native = (
        "sasl.oauthbearer.config",
        "principal=me scope=a,b lifeSeconds=600 extension_x=y",
    );
    let source = sources.of(&settings(&[native])).expect("settings").expect("tokens");
    let again = sources
        .of(&settings(&[native, ("client.id", "other")]))
        .expect("settings")
        .expect("tokens");
    assert!(Arc::ptr_eq(&source, &again));
    assert_eq!(source.extensions(), [("x".to_owned(), "y".to_owned())]);
    let first = source.token().await.expect("a token");
    assert_eq!((&*first.principal, first.number), ("me", 1));
    assert_eq!(source.token().await.expect("a token").number, 1);
    lock(&source.state).token.as_mut().expect("a token").renew_at = Instant::now();
    assert_eq!(source.token().await.expect("a token").number, 2);
}

#[test]
fn a_token_of_a_file_is_read_again_and_an_old_one_serves_while_there_is_none() {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    // {"exp":99999999999}
    file.write_all(b"e30.eyJleHAiOjk5OTk5OTk5OTk5fQ.x\n").expect("written");
    let url = format!("file://{}", file.path().display());
    let sources = allowing(&url);
    let read = sources.of(&settings(&[("sasl.oauthbearer.token.endpoint.url", &url)]));
    let source = read.expect("settings").expect("tokens");
    assert_eq!(source.token_here().expect("a token").number, 1);
    file.close().expect("gone");
    lock(&source.state).token.as_mut().expect("a token").renew_at = Instant::now();
    assert_eq!(source.token_here().expect("the old one").number, 1);
    assert!(lock(&source.state).not_before.is_some());
    lock(&source.state).token.as_mut().expect("a token").ends_at = Instant::now();
    let error = source.token_here().expect_err("nothing is left");
    assert!(error.is_retriable() && error.to_string().contains(&url), "{error}");
}
