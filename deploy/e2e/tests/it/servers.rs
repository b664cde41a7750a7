//! An etcd and a broker of a test's own, which it may kill; and those that all tests share, which nobody touches.

use serde_json::{Value, json};
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The broker that all tests share.
pub(crate) fn shared_broker() -> String {
    std::env::var("DRAY_TEST_BOOTSTRAP").expect("DRAY_TEST_BOOTSTRAP names a real broker: run `make test`")
}

/// The etcd that all tests share.
pub(crate) fn shared_etcd() -> String {
    std::env::var("DRAY_TEST_ETCD").expect("DRAY_TEST_ETCD names a real etcd: run `make test`")
}

/// The Moto that all tests share: its URL.
pub(crate) fn shared_moto() -> String {
    std::env::var("DRAY_TEST_MOTO").expect("DRAY_TEST_MOTO names a Moto: run `make test`")
}

/// Changes what AWS has, as the shared Moto plays it.
pub(crate) fn change_aws(target: &str, body: &Value) {
    let url = shared_moto();
    let service = if target.starts_with("AmazonSSM") {
        "ssm"
    } else {
        "secretsmanager"
    };
    let head = format!(
        "X-Amz-Target: {target}\r\nContent-Type: application/x-amz-json-1.1\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=A/20260101/eu-west-1/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n"
    );
    let answer = http(url.trim_start_matches("http://"), "POST /", &head, &body.to_string()).unwrap();
    assert!(answer.split(' ').nth(1) == Some("200"), "{target}: {answer}");
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../rig").join(name)
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{command:?}: {text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

/// Ports on which nothing listens, below those that the kernel gives to outgoing connections.
pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let text = run(Command::new(script("kafka.sh")).arg("freeport").arg(count.to_string()));
    text.split_whitespace().map(|port| port.parse().unwrap()).collect()
}

/// An etcd of one's own.
pub(crate) struct Etcd {
    folder: PathBuf,
}

impl Etcd {
    pub(crate) fn start(folder: &Path, members: usize) -> Self {
        Self::start_with(folder, members, "")
    }

    /// With these flags besides.
    pub(crate) fn start_with(folder: &Path, members: usize, flags: &str) -> Self {
        let folder = folder.join("etcd");
        run(Command::new(script("etcd.sh"))
            .arg("start")
            .arg(&folder)
            .arg(members.to_string())
            .env("DRAY_ETCD_EXTRA", flags));
        Self { folder }
    }

    /// Asks the first member something by its HTTP gateway: what it answers, errors too.
    pub(crate) fn ask(&self, path: &str, body: &Value, token: Option<&str>) -> Value {
        let endpoints = self.endpoints();
        let first = endpoints.split(',').next().unwrap_or_default();
        ask(first.trim_start_matches("http://"), path, body, token).unwrap()
    }

    /// The data of the only member, which must not run.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("1/data")
    }

    /// Ends all members in good order.
    pub(crate) fn stop_all(&self) {
        run(Command::new(script("etcd.sh")).arg("stop").arg(&self.folder));
    }

    /// All members again, where they were.
    pub(crate) fn start_again(&self, members: usize) {
        run(Command::new(script("etcd.sh"))
            .arg("start")
            .arg(&self.folder)
            .arg(members.to_string()));
    }

    pub(crate) fn endpoints(&self) -> String {
        let text = fs::read_to_string(self.folder.join("endpoints")).unwrap();
        text.lines().collect::<Vec<_>>().join(",")
    }

    pub(crate) fn kill_all(&self) {
        run(Command::new(script("etcd.sh")).arg("kill9").arg(&self.folder));
    }

    pub(crate) fn kill(&self, member: usize) {
        run(Command::new(script("etcd.sh"))
            .arg("kill9")
            .arg(&self.folder)
            .arg(member.to_string()));
    }

    /// Starts a killed member again; does not wait for it.
    pub(crate) fn up(&self, member: usize) {
        run(Command::new(script("etcd.sh"))
            .arg("up")
            .arg(&self.folder)
            .arg(member.to_string()));
    }

    /// The number of the member that leads.
    pub(crate) fn leader(&self) -> Option<usize> {
        let endpoints = self.endpoints();
        endpoints.split(',').enumerate().find_map(|(place, endpoint)| {
            let status = status(endpoint.trim_start_matches("http://")).ok()?;
            (status["leader"] == status["header"]["member_id"]).then_some(place + 1)
        })
    }
}

/// What a member of etcd says of itself.
fn status(address: &str) -> std::io::Result<Value> {
    ask(address, "maintenance/status", &json!({}), None)
}

/// One request to the HTTP gateway of a member of etcd.
fn ask(address: &str, path: &str, body: &Value, token: Option<&str>) -> std::io::Result<Value> {
    let token = token.map_or_else(String::new, |token| format!("Authorization: {token}\r\n"));
    let answer = http(address, &format!("POST /v3/{path}"), &token, &body.to_string())?;
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Ok(serde_json::from_str(body)?)
}

/// A request to the REST API of a replica, and the whole answer with its head.
pub(crate) fn rest(address: &str, method: &str, path: &str, body: Option<&Value>) -> std::io::Result<String> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let head = format!("Host: {address}\r\nContent-Type: application/json\r\n");
    http(address, &format!("{method} {path}"), &head, &body)
}

fn http(address: &str, what: &str, head: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let request = format!("{what} HTTP/1.0\r\n{head}Content-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

impl Drop for Etcd {
    fn drop(&mut self) {
        drop(Command::new(script("etcd.sh")).arg("kill9").arg(&self.folder).output());
    }
}

/// A broker of one's own.
pub(crate) struct Broker {
    folder: PathBuf,
    port: u16,
}

impl Broker {
    pub(crate) fn start(folder: &Path) -> Self {
        let broker = Self {
            folder: folder.join("kafka"),
            port: free_ports(1)[0],
        };
        broker.start_again();
        broker
    }

    pub(crate) fn start_again(&self) {
        run(Command::new(script("kafka.sh"))
            .arg("start")
            .arg(&self.folder)
            .arg(self.port.to_string()));
    }

    pub(crate) fn kill(&self) {
        run(Command::new(script("kafka.sh")).arg("kill9").arg(&self.folder));
    }

    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(Command::new(script("kafka.sh")).arg("kill9").arg(&self.folder).output());
    }
}
