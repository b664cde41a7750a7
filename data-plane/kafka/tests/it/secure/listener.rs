//! A broker of the test's own with a SASL listener behind a proxy, which counts connections and the log-ins on each.

use super::*;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt as _;
use tokio::io::{AsyncReadExt as _, copy};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// `SaslHandshake`, with which every log-in begins.
const HANDSHAKE: [u8; 2] = [0, 17];

/// The broker, without security for what the test sets up.
pub(super) struct Listener {
    script: PathBuf,
    folder: tempfile::TempDir,
    pub(super) plain: String,
    pub(super) proxy: Proxy,
}

impl Listener {
    /// Starts it, with these lines among its settings besides.
    pub(super) async fn start(settings: &str) -> Self {
        let script = std::env::var("DRAY_TEST_KAFKA_SH").expect("DRAY_TEST_KAFKA_SH starts brokers: run `make test`");
        let script = PathBuf::from(script);
        let ports = text(Command::new(&script).args(["freeport", "3"]));
        let [plain, sasl, controller] = ports.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("three ports, not {ports}");
        };
        let proxy = Proxy::start(format!("127.0.0.1:{sasl}")).await;
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("controller.port"), controller).expect("written");
        let extra = format!(
            "listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}\n\
             advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL_PLAINTEXT://{}\n\
             listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT\n\
             listener.name.sasl_plaintext.oauthbearer.sasl.jaas.config=\
             org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required \
             unsecuredLoginStringClaim_sub=\"broker\";\n\
             {settings}\n",
            proxy.address
        );
        let mut start = Command::new(&script);
        start
            .env("DRAY_BROKER_EXTRA", extra)
            .arg("start")
            .arg(folder.path())
            .arg(plain);
        let listener = Self {
            plain: format!("127.0.0.1:{plain}"),
            proxy,
            script,
            folder,
        };
        tokio::task::spawn_blocking(move || text(&mut start))
            .await
            .expect("a broker");
        listener
    }

    /// A tool of Kafka's, with the broker's address.
    pub(super) fn tool(&self, class: &str, arguments: &[&str]) {
        let mut tool = Command::new(&self.script);
        text(
            tool.args(["tool", class, "--bootstrap-server", &self.plain])
                .args(arguments),
        );
    }

    /// What a Java client is given for its listener.
    pub(super) fn client(&self, mechanism: &str, pairs: &[(&str, &str)]) -> ClientConfig {
        let mut client = config(pairs);
        for (key, value) in [
            ("bootstrap.servers", self.proxy.address.as_str()),
            ("security.protocol", "SASL_PLAINTEXT"),
            ("sasl.mechanism", mechanism),
        ] {
            client.insert(key.to_owned(), value.to_owned());
        }
        client
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        text(Command::new(&self.script).arg("kill9").arg(self.folder.path()));
    }
}

/// What happened on a connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    pub(super) log_ins: usize,
    pub(super) closed: bool,
}

/// The proxy; dropping it ends all connections.
pub(super) struct Proxy {
    pub(super) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    async fn start(broker: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.expect("accepts");
                let number = {
                    let mut seen = shared.lock().expect("whole");
                    seen.push(Seen::default());
                    seen.len() - 1
                };
                let (shared, broker) = (Arc::clone(&shared), broker.clone());
                connections.spawn(async move {
                    serve(client, &broker, |change| {
                        change(&mut shared.lock().expect("whole")[number])
                    })
                    .await;
                    shared.lock().expect("whole")[number].closed = true;
                });
            }
        });
        Self {
            address,
            seen,
            _tasks: tasks,
        }
    }

    /// All connections so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("whole").clone()
    }

    /// How many connections have had so many log-ins.
    pub(super) fn with_log_ins(&self, least: usize) -> usize {
        self.seen().iter().filter(|seen| seen.log_ins >= least).count()
    }
}

async fn serve(client: TcpStream, broker: &str, note: impl Fn(fn(&mut Seen))) {
    let Ok(upstream) = TcpStream::connect(broker).await else {
        return;
    };
    client.set_nodelay(true).expect("an option");
    upstream.set_nodelay(true).expect("an option");
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_broker, mut to_broker) = upstream.into_split();
    let forward = async { while forward(&mut from_client, &mut to_broker, &note).await.is_some() {} };
    tokio::select! {
        () = forward => {}
        _ = copy(&mut from_broker, &mut to_client) => {}
    }
}

/// One request.
async fn forward(from: &mut OwnedReadHalf, to: &mut OwnedWriteHalf, note: &impl Fn(fn(&mut Seen))) -> Option<()> {
    let length = from.read_u32().await.ok()?;
    let mut frame = vec![0; length as usize];
    from.read_exact(&mut frame).await.ok()?;
    if frame.starts_with(&HANDSHAKE) {
        note(|seen| seen.log_ins += 1);
    }
    to.write_u32(length).await.ok()?;
    to.write_all(&frame).await.ok()
}
