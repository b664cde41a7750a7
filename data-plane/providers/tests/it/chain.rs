//! Credentials, from where every program of AWS takes them, on a Moto that checks signatures and policies.

use crate::moto::{Moto, REGION};
use dray_connect::ConfigMap;
use dray_process::hidden::Hidden;
use dray_providers::{Providers, Whose};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

/// Set in processes that only read one value, with the environment that they were given.
const READS: &str = "DRAY_TEST_READS_FROM";
const REFERENCES: [(&str, &str); 2] = [("secret", "${s:db:user}"), ("parameter", "${p::/db/user}")];

const ALLOW: &str = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["secretsmanager:GetSecretValue","ssm:GetParameter"],"Resource":"*"}]}"#;

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn between<'a>(text: &'a str, tag: &str) -> &'a str {
    let (_, rest) = text
        .split_once(&format!("<{tag}>"))
        .unwrap_or_else(|| panic!("{tag}: {text}"));
    rest.split_once('<').unwrap().0
}

/// Access key and secret key of a new user.
fn user(moto: &Moto, name: &str, policy: Option<&str>) -> (String, String) {
    moto.form("iam", &format!("Action=CreateUser&Version=2010-05-08&UserName={name}"));
    if let Some(policy) = policy {
        let policy = escaped(policy);
        moto.form(
            "iam",
            &format!("Action=PutUserPolicy&Version=2010-05-08&UserName={name}&PolicyName=p&PolicyDocument={policy}"),
        );
    }
    let made = moto.form(
        "iam",
        &format!("Action=CreateAccessKey&Version=2010-05-08&UserName={name}"),
    );
    (
        between(&made, "AccessKeyId").to_owned(),
        between(&made, "SecretAccessKey").to_owned(),
    )
}

/// What one process says that has this environment, and nothing else that AWS's crates look at.
fn reads(moto: &Moto, folder: &std::path::Path, environment: &[(&str, &str)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "chain::credentials_come_from_where_aws_has_them",
            "--nocapture",
        ])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env(READS, moto.url())
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Reads one secret and one parameter, and says what came of it.
fn read(url: &str) {
    let worker = [
        ("config.providers", "s,p"),
        ("config.providers.s.class", "SecretsManagerConfigProvider"),
        ("config.providers.s.param.endpoint", url),
        ("config.providers.p.class", "ParameterStoreConfigProvider"),
        ("config.providers.p.param.endpoint", url),
    ];
    let own = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let worker: ConfigMap = worker.into_iter().map(own).collect();
    let providers = Providers::of_worker(&worker, Hidden::default()).unwrap();
    for (what, reference) in REFERENCES {
        let config = ConfigMap::from([("key".to_owned(), reference.to_owned())]);
        match providers.resolve_blocking(Whose::Worker, &config) {
            Ok(resolved) => println!("{what} is {}", resolved.config()["key"]),
            Err(error) => println!("{what}: {error}"),
        }
    }
}

/// Gives credentials to a container, as ECS and EKS do, until the test ends.
fn container(listener: TcpListener, token: &'static str, credentials: String) {
    for stream in listener.incoming() {
        let (mut stream, mut request) = (stream.unwrap(), [0; 4096]);
        let length = stream.read(&mut request).unwrap();
        let request = String::from_utf8_lossy(&request[..length]).to_lowercase();
        let (status, body) = match request.contains(&format!("authorization: {token}")) {
            true => ("200 OK", credentials.as_str()),
            false => ("401 Unauthorized", "{}"),
        };
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        stream
            .write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes())
            .unwrap();
    }
}

#[test]
fn credentials_come_from_where_aws_has_them() {
    if let Ok(url) = std::env::var(READS) {
        return read(&url);
    }
    let folder = tempfile::tempdir().unwrap();
    let moto = Moto::start(folder.path());
    moto.secret("db", r#"{"user":"scott"}"#);
    moto.parameter("/db/user", "SecureString", "tiger");
    let (access, secret) = user(&moto, "may", Some(ALLOW));
    let (other_access, other_secret) = user(&moto, "may-not", None);
    // What an instance or a container is given: for a role, and only for a while.
    let document = escaped(r#"{"Version":"2012-10-17","Statement":[]}"#);
    moto.form(
        "iam",
        &format!("Action=CreateRole&Version=2010-05-08&RoleName=agent&AssumeRolePolicyDocument={document}"),
    );
    let policy = escaped(ALLOW);
    moto.form(
        "iam",
        &format!("Action=PutRolePolicy&Version=2010-05-08&RoleName=agent&PolicyName=p&PolicyDocument={policy}"),
    );
    let role = "arn:aws:iam::123456789012:role/agent";
    let assumed = moto.form(
        "sts",
        &format!(
            "Action=AssumeRole&Version=2011-06-15&RoleSessionName=session&RoleArn={}",
            escaped(role)
        ),
    );
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (profiles, token) = (path("credentials"), path("token"));
    let profile = |name: &str, access: &str, secret: &str| {
        format!("[{name}]\naws_access_key_id={access}\naws_secret_access_key={secret}\n")
    };
    let text = profile("default", "AKIANOBODY", "none") + &profile("agent", &access, &secret);
    fs::write(&profiles, text).unwrap();
    fs::write(&token, "of-the-cluster").unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let beside = format!("http://{}/credentials", listener.local_addr().unwrap());
    let credentials = serde_json::json!({
        "AccessKeyId": between(&assumed, "AccessKeyId"),
        "SecretAccessKey": between(&assumed, "SecretAccessKey"),
        "Token": between(&assumed, "SessionToken"),
        "Expiration": "2099-01-01T00:00:00Z",
    });
    std::thread::spawn(move || container(listener, "of-the-container", credentials.to_string()));
    moto.close();

    let region = ("AWS_REGION", REGION);
    let good: &[(&str, &[(&str, &str)])] = &[
        (
            "variables",
            &[
                region,
                ("AWS_ACCESS_KEY_ID", &access),
                ("AWS_SECRET_ACCESS_KEY", &secret),
            ],
        ),
        (
            "a profile",
            &[
                region,
                ("AWS_SHARED_CREDENTIALS_FILE", &profiles),
                ("AWS_PROFILE", "agent"),
            ],
        ),
        (
            "a container",
            &[
                region,
                ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &beside),
                ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of-the-container"),
            ],
        ),
    ];
    for (what, environment) in good {
        let said = reads(&moto, folder.path(), environment);
        assert!(
            said.contains("secret is scott") && said.contains("parameter is tiger"),
            "{what}: {said}"
        );
    }
    // Moto answers requests without a signature, as this one for a role is, only while it checks none.
    let open = Moto::start(&folder.path().join("open"));
    open.secret("db", r#"{"user":"scott"}"#);
    open.parameter("/db/user", "SecureString", "tiger");
    let url = open.url();
    let environment = [
        region,
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
        ("AWS_ROLE_ARN", role),
        ("AWS_ENDPOINT_URL", &url),
    ];
    let said = reads(&open, folder.path(), &environment);
    assert!(
        said.contains("secret is scott") && said.contains("parameter is tiger"),
        "{said}"
    );
    let said = reads(
        &moto,
        folder.path(),
        &[&environment[..3], &[("AWS_ENDPOINT_URL", &moto.url())]].concat(),
    );
    assert!(
        said.contains("credentials cannot be had") && !said.contains("SdkBody"),
        "{said}"
    );

    let bad: &[(&[(&str, &str)], &str)] = &[
        (&[region], "there are no credentials: set AWS_ACCESS_KEY_ID"),
        (
            &[("AWS_ACCESS_KEY_ID", &access), ("AWS_SECRET_ACCESS_KEY", &secret)],
            "no region is known. Set config.providers.s.param.region, or the variable AWS_REGION",
        ),
        (
            &[
                region,
                ("AWS_ACCESS_KEY_ID", &other_access),
                ("AWS_SECRET_ACCESS_KEY", &other_secret),
            ],
            "Allow secretsmanager:GetSecretValue on it",
        ),
        (
            &[
                region,
                ("AWS_ACCESS_KEY_ID", &other_access),
                ("AWS_SECRET_ACCESS_KEY", &other_secret),
            ],
            "Allow ssm:GetParameter on it",
        ),
        (
            &[
                region,
                ("AWS_ACCESS_KEY_ID", &access),
                ("AWS_SECRET_ACCESS_KEY", "wrong"),
            ],
            "may be wrong, or the clock of this machine",
        ),
        (
            &[region, ("AWS_SHARED_CREDENTIALS_FILE", &profiles)],
            "AWS does not know access key AKIANOBODY",
        ),
    ];
    for (environment, expected) in bad {
        let said = reads(&moto, folder.path(), environment);
        assert!(said.contains(expected), "{expected}: {said}");
        assert!(!said.contains("scott") && !said.contains("tiger"), "{said}");
        assert!(!said.contains(&secret) && !said.contains(&other_secret), "{said}");
    }
}
