//! Moto, asked as AWS is: by its own calls.

use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(crate) const REGION: &str = "eu-west-1";

/// One Moto: the one that all tests share, or one of a test's own.
pub(crate) struct Moto {
    address: String,
    /// Its folder, if it is a test's own.
    folder: Option<PathBuf>,
}

impl Moto {
    pub(crate) fn shared() -> Self {
        let url = std::env::var("DRAY_TEST_MOTO").expect("DRAY_TEST_MOTO names a Moto: run `make test`");
        Self {
            address: url.trim_start_matches("http://").to_owned(),
            folder: None,
        }
    }

    /// One that may be paused, or told to let nobody in.
    pub(crate) fn start(folder: &Path) -> Self {
        let folder = folder.join("moto");
        let rig = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/rig");
        let port = Command::new(rig.join("kafka.sh")).arg("freeport").output().unwrap();
        let port = String::from_utf8(port.stdout).unwrap().trim().to_owned();
        let moto = Self {
            address: format!("127.0.0.1:{port}"),
            folder: Some(folder),
        };
        moto.script(&["start"], &[&port]);
        moto
    }

    fn script(&self, before: &[&str], behind: &[&str]) {
        let script = std::env::var("DRAY_TEST_MOTO_SH").expect("DRAY_TEST_MOTO_SH names moto.sh: run `make test`");
        let output = Command::new(script)
            .args(before)
            .arg(self.folder.as_ref().expect("it is a test's own"))
            .args(behind)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{before:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    pub(crate) fn pause(&self) {
        self.script(&["pause"], &[]);
    }

    pub(crate) fn resume(&self) {
        self.script(&["resume"], &[]);
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A call in JSON; the answer, which has to be a good one.
    pub(crate) fn call(&self, target: &str, body: &Value) -> Value {
        let service = if target.starts_with("AmazonSSM") {
            "ssm"
        } else {
            "secretsmanager"
        };
        let head = format!("X-Amz-Target: {target}\r\nContent-Type: application/x-amz-json-1.1\r\n");
        let answer = self.http(service, &head, "/", &body.to_string());
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{target}: {error}: {answer}"))
    }

    /// A call as a form; the answer in XML.
    pub(crate) fn form(&self, service: &str, body: &str) -> String {
        self.http(
            service,
            "Content-Type: application/x-www-form-urlencoded\r\n",
            "/",
            body,
        )
    }

    /// From here on it checks signatures and policies.
    pub(crate) fn close(&self) {
        self.http("moto", "", "/moto-api/reset-auth", "0");
    }

    fn http(&self, service: &str, head: &str, path: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // It only looks at the scope while it checks nothing.
        let scope = format!("AKIATEST/20260101/{REGION}/{service}/aws4_request");
        let request = format!(
            "POST {path} HTTP/1.0\r\nHost: {}\r\n{head}Authorization: AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, \
             Signature=0\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.split(' ').nth(1) == Some("200"), "{request}\n{answer}");
        body.to_owned()
    }

    /// A new secret; its ARN.
    pub(crate) fn secret(&self, name: &str, value: &str) -> String {
        let made = self.call(
            "secretsmanager.CreateSecret",
            &json!({ "Name": name, "SecretString": value }),
        );
        made["ARN"].as_str().unwrap().to_owned()
    }

    /// A new value of a secret; the id of its version.
    pub(crate) fn change_secret(&self, name: &str, value: &str) -> String {
        let body = json!({ "SecretId": name, "SecretString": value });
        let made = self.call("secretsmanager.PutSecretValue", &body);
        made["VersionId"].as_str().unwrap().to_owned()
    }

    pub(crate) fn parameter(&self, name: &str, kind: &str, value: &str) {
        let body = json!({ "Name": name, "Type": kind, "Value": value, "Overwrite": true });
        self.call("AmazonSSM.PutParameter", &body);
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        if self.folder.is_some() {
            self.script(&["stop"], &[]);
        }
    }
}

/// A name that no other test has.
pub(crate) fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
