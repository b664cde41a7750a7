//! SASL OAUTHBEARER: tokens that we say ourselves, and tokens of an endpoint.

use super::endpoint::{Certificate, Endpoint, ID, SECRET, TOO_MUCH, Use};
use super::listener::Listener;
use super::*;

const LISTENER: &str = "sasl.enabled.mechanisms=OAUTHBEARER";
const MODULE: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required";
const HANDLER: &str = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler";

/// The settings of a Java client that asks an endpoint for its tokens.
pub(super) fn client(listener: &Listener, endpoint: &str, secret: &str, scope: &str) -> ClientConfig {
    let jaas =
        format!("{MODULE} clientId=\"{ID}\" clientSecret=\"{secret}\" scope=\"{scope}\" extension_trace=\"a b\";");
    listener.client(
        "OAUTHBEARER",
        &[
            ("sasl.jaas.config", &jaas),
            ("sasl.login.callback.handler.class", HANDLER),
            ("sasl.oauthbearer.token.endpoint.url", endpoint),
        ],
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_nobody_signs_let_all_clients_in() {
    let listener = Listener::start(LISTENER).await;
    let jaas = format!("{MODULE} unsecuredLoginStringClaim_sub=\"agent\" unsecuredLoginExtension_trace=\"1\";");
    let java = listener.client("OAUTHBEARER", &[("sasl.jaas.config", &jaas)]);
    let native = listener.client(
        "OAUTHBEARER",
        &[
            ("enable.sasl.oauthbearer.unsecure.jwt", "true"),
            ("sasl.oauthbearer.config", "principal=agent lifeSeconds=60"),
        ],
    );
    let ports: [Box<dyn KafkaPort>; 2] = [Box::new(Kafka::new()), Box::new(RdKafka::new())];
    for port in &ports {
        round_trip(&**port, &java).await;
    }
    round_trip(&*ports[0], &native).await;
    session(&java).await;

    let nobody = listener.client("OAUTHBEARER", &[("sasl.jaas.config", &format!("{MODULE} x=\"y\";"))]);
    let error = ports[0]
        .group_members(&nobody, "g", PATIENCE)
        .await
        .expect_err("refused");
    assert!(error.to_string().contains("unsecuredLoginStringClaim_sub"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_with_tls_is_believed_when_its_authority_is_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let (known, unknown) = (Certificate::make(folder.path()), tempfile::tempdir().expect("a folder"));
    let other = Certificate::make(unknown.path());
    let (listener, endpoint) = (
        Listener::start(LISTENER).await,
        Endpoint::start_secure(Duration::from_secs(3600), &known).await,
    );
    let port = Kafka::new().with_java_options(&endpoint.java_options());
    let trusting = |certificate: &Certificate| {
        let mut client = client(&listener, &endpoint.url, SECRET, "kafka");
        let jaas = client.get_mut("sasl.jaas.config").expect("set");
        let store = certificate.certificate.display();
        *jaas = jaas.replace(
            ';',
            &format!(" ssl.truststore.type=\"PEM\" ssl.truststore.location=\"{store}\";"),
        );
        client
    };
    let members = port.group_members(&trusting(&known), "g", PATIENCE).await;
    members.expect("let in");
    assert_eq!(endpoint.issued(), 1);
    let mut refused = trusting(&other);
    // It is tried again for so long: somebody may repair it.
    refused.insert("sasl.login.retry.backoff.max.ms".to_owned(), "300".to_owned());
    let error = port
        .group_members(&refused, "g", Duration::from_secs(3))
        .await
        .expect_err("refused");
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    assert_eq!(endpoint.asked(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_an_endpoint_serves_all_connections_and_what_is_wrong_is_refused() {
    let (listener, endpoint) = (
        Listener::start(LISTENER).await,
        Endpoint::start(Duration::from_secs(3600)).await,
    );
    let port = Kafka::new().with_java_options(&endpoint.java_options());
    let good = client(&listener, &endpoint.url, SECRET, "kafka read");
    round_trip(&port, &good).await;
    let mut librdkafka = good.clone();
    librdkafka.insert("dray.kafka.client".to_owned(), "librdkafka".to_owned());
    round_trip(&port, &librdkafka).await;
    port.group_members(&good, "g", PATIENCE).await.expect("asked directly");
    assert_eq!(
        (endpoint.asked(), endpoint.scopes()),
        (1, vec!["kafka+read".to_owned()])
    );
    assert!(listener.proxy.with_log_ins(1) > 5, "{:?}", listener.proxy.seen());

    // An endpoint that is away for a moment is asked again.
    endpoint.be_away(2);
    let other = client(&listener, &endpoint.url, SECRET, "other");
    port.group_members(&other, "g", PATIENCE).await.expect("let in");
    assert_eq!((endpoint.asked(), endpoint.issued()), (4, 2));

    let guess = client(&listener, &endpoint.url, "guess", "kafka");
    let unsigned = client(&listener, &endpoint.url, SECRET, "unsigned");
    let elsewhere = client(&listener, "http://127.0.0.1:1/token", SECRET, "kafka");
    let refused: [(&ClientConfig, &[&str]); 3] = [
        (
            &guess,
            &[
                "OAUTHBEARER",
                &endpoint.url,
                "401",
                "invalid_client",
                "nobody knows you",
            ],
        ),
        (
            &unsigned,
            &[
                "OAUTHBEARER",
                &listener.proxy.address,
                "SaslAuthenticationFailed",
                "invalid_token",
            ],
        ),
        (
            &elsewhere,
            &["INVALID_CONFIG", "org.apache.kafka.sasl.oauthbearer.allowed.urls"],
        ),
    ];
    // The broker takes no signatures where it knows no keys.
    endpoint.sign_by("RS256");
    for (client, says) in refused {
        let error = port.group_members(client, "g", PATIENCE).await.expect_err("refused");
        let text = format!("{error} {error:?}");
        assert_eq!(error.class, Class::Fatal, "{text}");
        assert!(says.iter().all(|word| text.contains(word)), "{text}");
        for secret in [SECRET, "guess", TOO_MUCH, "eyJ"] {
            assert!(!text.contains(secret), "{text}");
        }
        let admin = port.admin(client);
        let error = match admin {
            Ok(admin) => admin.topics(Duration::from_secs(3)).await.expect_err("refused"),
            Err(error) => error,
        };
        assert!(!error.to_string().contains(SECRET), "{error}");
    }
}

/// A key pair in PEM files: private, public.
fn keys(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let (private, public) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.pub")));
    let mut generate = Command::new("openssl");
    generate.args([
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
        "-out",
    ]);
    text(generate.arg(&private));
    let mut show = Command::new("openssl");
    text(
        show.args(["pkey", "-pubout", "-in"])
            .arg(&private)
            .arg("-out")
            .arg(&public),
    );
    (private, public)
}

/// Clients without a secret: what they sign stands for it, or is exchanged for a token.
#[tokio::test(flavor = "multi_thread")]
async fn assertions_that_a_client_signs_get_tokens() {
    let (listener, endpoint) = (
        Listener::start(LISTENER).await,
        Endpoint::start(Duration::from_secs(3600)).await,
    );
    let folder = tempfile::tempdir().expect("a folder");
    let ((key, public), (stranger, _)) = (keys(folder.path(), "known"), keys(folder.path(), "stranger"));
    let [key, stranger] = [key, stranger].map(|path| path.display().to_string());
    let files = format!("-Dorg.apache.kafka.sasl.oauthbearer.allowed.files={key},{stranger}");
    let port = Kafka::new().with_java_options(&format!("{} {files}", endpoint.java_options()));
    let client = |key: &str, scope: &str, more: &[(&str, &str)]| {
        let mut settings = vec![
            (
                "sasl.jaas.config",
                "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;",
            ),
            ("sasl.login.callback.handler.class", HANDLER),
            ("sasl.oauthbearer.token.endpoint.url", &*endpoint.url),
            ("sasl.oauthbearer.scope", scope),
            ("sasl.oauthbearer.assertion.private.key.file", key),
            ("sasl.oauthbearer.assertion.claim.iss", ID),
            ("sasl.oauthbearer.assertion.claim.sub", ID),
            ("sasl.oauthbearer.assertion.claim.aud", "the endpoint"),
        ];
        settings.extend(more);
        listener.client("OAUTHBEARER", &settings)
    };
    let id = [("sasl.oauthbearer.client.credentials.client.id", ID)];
    let exchange = [(
        "sasl.oauthbearer.jwt.retriever.class",
        "org.apache.kafka.common.security.oauthbearer.JwtBearerJwtRetriever",
    )];
    for (used, more) in [(Use::Credentials, &id), (Use::Exchange, &exchange)] {
        endpoint.know_by(&public, used);
        let (asked, scope) = (endpoint.asked(), format!("{used:?}"));
        let good = client(&key, &scope, more);
        round_trip(&port, &good).await;
        let mut librdkafka = good.clone();
        librdkafka.insert("dray.kafka.client".to_owned(), "librdkafka".to_owned());
        round_trip(&port, &librdkafka).await;
        assert_eq!((endpoint.asked(), endpoint.scopes().last()), (asked + 1, Some(&scope)));
        let error = port
            .group_members(&client(&stranger, &scope, more), "g", PATIENCE)
            .await
            .expect_err("refused");
        assert_eq!(error.class, Class::Fatal, "{error}");
        assert!(error.to_string().contains("invalid_grant"), "{error}");
    }
    // librdkafka's word for the exchange.
    let native = [(
        "sasl.oauthbearer.grant.type",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
    )];
    let members = port
        .group_members(&client(&key, "native", &native), "g", PATIENCE)
        .await;
    members.expect("let in");
}
