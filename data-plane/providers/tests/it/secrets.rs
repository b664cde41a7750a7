//! Values, and what is said where there are none.

use crate::moto::{Moto, REGION, unique};
use dray_connect::{ConfigMap, Error};
use dray_process::hidden::Hidden;
use dray_providers::{Look, Providers, Whose};
use serde_json::json;
use std::time::{Duration, Instant};

const SECRETS: &str = "SecretsManagerConfigProvider";
const PARAMETERS: &str = "ParameterStoreConfigProvider";

fn map(pairs: &[(&str, &str)]) -> ConfigMap {
    let own = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    pairs.iter().map(own).collect()
}

/// One provider called `p`, which asks this Moto.
fn provider(moto: &Moto, class: &str, more: &[(&str, &str)]) -> Providers {
    let mut worker = map(&[
        ("config.providers", "p"),
        ("config.providers.p.class", class),
        ("config.providers.p.param.region", REGION),
        ("config.providers.p.param.endpoint", &moto.url()),
        ("config.providers.p.param.aws.access.key", "AKIATEST"),
        ("config.providers.p.param.aws.secret.key", "of-a-test"),
    ]);
    for (key, value) in more {
        worker.insert(format!("config.providers.p.param.{key}"), (*value).to_owned());
    }
    Providers::of_worker(&worker, Hidden::default()).unwrap()
}

fn resolve(providers: &Providers, whose: Whose, text: &str) -> Result<String, Error> {
    let resolved = providers.resolve_blocking(whose, &map(&[("key", text)]))?;
    Ok(resolved.config()["key"].clone())
}

fn value(providers: &Providers, text: &str) -> String {
    resolve(providers, Whose::Connector, text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(providers: &Providers, text: &str) -> Error {
    match resolve(providers, Whose::Connector, text) {
        Ok(value) => panic!("{text} is {value}"),
        Err(error) => error,
    }
}

#[test]
fn secrets_come_whole_and_by_field() {
    let moto = Moto::shared();
    let name = unique("prod/db");
    let first = r#"{"user":"scott","password":"tiger: \"4\"","port":5432}"#;
    let arn = moto.secret(&name, first);
    let encoded = arn.replace(':', "%3A").replace('/', "%2F");
    let all = provider(&moto, SECRETS, &[("allowed.names", "*")]);
    for (reference, expected) in [
        (format!("${{p:{name}:user}}"), "scott"),
        (format!("${{p:{name}:password}}"), "tiger: \"4\""),
        (format!("${{p:{name}:port}}"), "5432"),
        (
            format!("jdbc://${{p:{name}:user}}:${{p:{name}:port}}/x"),
            "jdbc://scott:5432/x",
        ),
        (format!("${{p:{name}}}"), first),
        (format!("${{p:{arn}}}"), first),
        (format!("${{p:{arn}:user}}"), "scott"),
        (format!("${{p:{encoded}:user}}"), "scott"),
        (format!("${{p:{encoded}}}"), first),
    ] {
        assert_eq!(value(&all, &reference), expected, "{reference}");
    }

    // Versions and labels.
    let version = moto.change_secret(&name, r#"{"user":"adams"}"#);
    let fresh = provider(&moto, SECRETS, &[("allowed.names", "*")]);
    for (reference, expected) in [
        (format!("${{p:{name}:user}}"), "adams"),
        (format!("${{p:{name}?stage=AWSPREVIOUS:user}}"), "scott"),
        (format!("${{p:{arn}?stage=AWSPREVIOUS:user}}"), "scott"),
        (format!("${{p:{name}?version={version}:user}}"), "adams"),
        (format!("${{p:{name}?stage=AWSPREVIOUS}}"), first),
    ] {
        assert_eq!(value(&fresh, &reference), expected, "{reference}");
    }

    let binary = unique("binary");
    moto.call(
        "secretsmanager.CreateSecret",
        &json!({ "Name": binary, "SecretBinary": "/wA=" }),
    );
    let shown = refused(&all, &format!("${{p:{binary}}}")).to_string();
    assert!(shown.contains("RawSecretEncoding=base64"), "{shown}");
    let encodes = provider(
        &moto,
        SECRETS,
        &[("allowed.names", "*"), ("RawSecretEncoding", "base64")],
    );
    assert_eq!(value(&encodes, &format!("${{p:{binary}}}")), "/wA=");
}

#[test]
fn those_who_come_from_others_keep_their_worker_files() {
    let moto = Moto::shared();
    let name = unique("db");
    moto.secret(&format!("cdc/{name}"), r#"{"user":"scott"}"#);
    moto.secret(&format!("cdc-{name}"), "open sesame");
    moto.parameter(&format!("/cdc/{name}"), "SecureString", "4711");
    for (class, settings, reference, expected) in [
        (
            "com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider",
            [("NotFoundStrategy", "fail"), ("allowed.names", "cdc/*")],
            format!("${{p:cdc/{name}:user?ttl=60000}}"),
            "scott",
        ),
        (
            "com.amazonaws.kafka.config.providers.SsmParamStoreConfigProvider",
            [("NotFoundStrategy", "fail"), ("allowed.names", "/cdc/*")],
            format!("${{p::/cdc/{name}}}"),
            "4711",
        ),
        (
            "com.github.jcustenborder.kafka.config.aws.SecretsManagerConfigProvider",
            [("secret.prefix", "cdc"), ("secret.ttl.ms", "60000")],
            format!("${{p:{name}:user}}"),
            "scott",
        ),
        (
            "io.confluent.csid.config.provider.aws.SecretsManagerConfigProvider",
            [("secret.prefix", "cdc-"), ("use.json", "false")],
            format!("${{p:{name}:{name}}}"),
            "open sesame",
        ),
    ] {
        assert_eq!(
            value(&provider(&moto, class, &settings), &reference),
            expected,
            "{class}"
        );
    }
}

#[test]
fn parameters_have_paths_versions_and_keys() {
    let moto = Moto::shared();
    let path = format!("/{}", unique("prod"));
    moto.parameter(&format!("{path}/user"), "String", "scott");
    moto.parameter(&format!("{path}/user"), "String", "adams");
    moto.parameter(&format!("{path}/password"), "SecureString", "ti:ger");
    moto.parameter(&format!("{path}/hosts"), "StringList", "a,b");
    let found = moto.call("AmazonSSM.GetParameter", &json!({ "Name": format!("{path}/user") }));
    let arn = found["Parameter"]["ARN"].as_str().unwrap().to_owned();
    let all = provider(
        &moto,
        PARAMETERS,
        &[("allowed.names", &format!("{path}/*, arn:aws:ssm:*"))],
    );
    for (reference, expected) in [
        (format!("${{p:{path}:user}}"), "adams"),
        (format!("${{p::{path}/user}}"), "adams"),
        (format!("${{p:{path}:user:1}}"), "scott"),
        (format!("${{p::{path}/user:1}}"), "scott"),
        (format!("${{p:{path}:password}}"), "ti:ger"),
        (format!("${{p:{path}:hosts}}"), "a,b"),
        (format!("${{p:{arn}}}"), "adams"),
    ] {
        assert_eq!(value(&all, &reference), expected, "{reference}");
    }
    for (reference, problem) in [
        (
            format!("${{p:{path}:absent}}"),
            "Its name, version or label, or the region, may be wrong",
        ),
        (
            format!("${{p:{path}:user:9}}"),
            "Its name, version or label, or the region, may be wrong",
        ),
        ("${p:/other:user}".to_owned(), "Parameter /other/user may not be read"),
    ] {
        let shown = refused(&all, &reference).to_string();
        assert!(shown.contains(problem), "{shown}");
    }
}

#[test]
fn what_is_not_there_says_so() {
    let moto = Moto::shared();
    let (gone, text, object) = (unique("gone"), unique("text"), unique("object"));
    moto.secret(&gone, "open sesame");
    moto.call("secretsmanager.DeleteSecret", &json!({ "SecretId": gone }));
    moto.secret(&text, "open sesame");
    moto.secret(&object, r#"{"user":"open sesame"}"#);
    let fails = provider(&moto, SECRETS, &[("allowed.names", "*")]);
    for (reference, problem) in [
        (
            "${p:no-such:user}".to_owned(),
            "Secret no-such cannot be read from AWS Secrets Manager in eu-west-1: ResourceNotFound",
        ),
        (format!("${{p:{gone}}}"), "Restore it"),
        (format!("${{p:{text}:user}}"), "is no JSON object"),
        (format!("${{p:{object}:absent}}"), "has no field absent"),
        (format!("${{p:{object}?stage=NONE:user}}"), "Its name, version or label"),
        ("${p:arn:aws:secretsmanager:x}".to_owned(), "is no whole ARN"),
    ] {
        let error = refused(&fails, &reference);
        let shown = error.to_string();
        assert!(
            shown.contains(problem) && !shown.contains("sesame"),
            "{reference}: {shown}"
        );
        assert!(matches!(error.kind(), Error::Config(_)), "{reference}: {error:?}");
    }
    let ignores = provider(
        &moto,
        SECRETS,
        &[("allowed.names", "*"), ("NotFoundStrategy", "ignore")],
    );
    assert_eq!(value(&ignores, "-${p:no-such:user}-"), "--");
    assert_eq!(value(&ignores, &format!("${{p:{object}:absent}}")), "");
    refused(&ignores, &format!("${{p:{gone}}}"));

    // Nothing is asked for that a connector may not have.
    let closed = provider(&moto, SECRETS, &[]);
    let shown = refused(&closed, &format!("${{p:{object}:user}}")).to_string();
    assert!(
        shown.contains("config.providers.p.param.allowed.names is not set"),
        "{shown}"
    );
    let mine = resolve(&closed, Whose::Worker, &format!("${{p:{object}:user}}"));
    assert_eq!(mine.unwrap(), "open sesame", "the worker's own file may");
}

#[tokio::test]
async fn one_who_watches_sees_a_change_once_the_value_is_old() {
    let moto = Moto::shared();
    let name = unique("rotated");
    moto.secret(&name, r#"{"password":"first","other":"a"}"#);
    let providers = provider(&moto, SECRETS, &[("allowed.names", "*"), ("ttl.ms", "1500")]);
    let config = map(&[("password", &format!("${{p:{name}:password}}"))]);
    let look = async |look| providers.resolve(Whose::Connector, look, &config).await.unwrap();
    let before = look(Look::Start).await;
    let begin = Instant::now();
    moto.change_secret(&name, r#"{"password":"first","other":"b"}"#);
    assert!(before == look(Look::Watch).await);
    while begin.elapsed() < Duration::from_secs(2) {
        assert!(before == look(Look::Watch).await, "another field is no change");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    moto.change_secret(&name, r#"{"password":"second","other":"b"}"#);
    let changed = Instant::now();
    while before == look(Look::Watch).await {
        assert!(changed.elapsed() < Duration::from_secs(20), "the new value is not seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(look(Look::Watch).await.config()["password"], "second");
}

#[test]
fn what_does_not_answer_may_be_asked_again() {
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(folder.path());
    moto.secret("db", r#"{"user":"scott"}"#);
    let providers = provider(&moto, SECRETS, &[("allowed.names", "*"), ("ttl.ms", "1000")]);
    assert_eq!(value(&providers, "${p:db:user}"), "scott");
    moto.pause();
    let paused = Instant::now();
    let error = loop {
        match resolve(&providers, Whose::Connector, "${p:db:user}") {
            Ok(_) => assert!(paused.elapsed() < Duration::from_secs(10), "what was read is never old"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error.kind(), Error::Retriable { .. }), "{error:?}");
    assert!(error.to_string().contains("does not answer within 20s"), "{error}");
    assert!(paused.elapsed() < Duration::from_secs(35), "{:?}", paused.elapsed());
    moto.resume();
    let resumed = Instant::now();
    while resolve(&providers, Whose::Connector, "${p:db:user}").is_err() {
        assert!(resumed.elapsed() < Duration::from_secs(30), "it does not come back");
    }
    let nowhere = Moto::start(&folder.path().join("other")).url();
    let gone = provider(&moto, SECRETS, &[("allowed.names", "*"), ("endpoint", &nowhere)]);
    let error = refused(&gone, "${p:db:user}");
    assert!(matches!(error.kind(), Error::Retriable { .. }), "{error:?}");
    assert!(
        error.to_string().contains(&format!("{nowhere} cannot be reached")),
        "{error}"
    );
}
