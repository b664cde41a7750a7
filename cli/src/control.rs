//! The commands that talk to a control plane over `dray.admin.v1`.

pub(crate) mod agent;
pub(crate) mod cluster;
pub(crate) mod connector;
mod output;
pub(crate) mod status;
pub(crate) mod task;

use crate::Failure;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

/// How long one replica may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a call may take: reads may wait 10 s for a replica that is behind.
const CALL: Duration = Duration::from_secs(30);
/// Where a control plane is, if the command does not say it.
const VARIABLE: &str = "DRAY_CONTROL";

/// Where the control plane is, and how to show what it says.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Replicas of the control plane, as host:port, with commas between them; the first that answers is asked
    ///
    /// Without it, the environment variable DRAY_CONTROL says it.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    control: Vec<String>,
    /// How to show what comes back
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    pub(crate) output: Output,
}

/// For whom the output is.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// For programs: one JSON object
    Json,
}

impl Args {
    fn endpoints(&self) -> Result<Vec<Endpoint>, Failure> {
        let mut replicas = self.control.clone();
        if replicas.is_empty() {
            let variable = std::env::var(VARIABLE).unwrap_or_default();
            replicas = variable.split(',').map(str::to_owned).collect();
        }
        replicas.retain(|replica| !replica.trim().is_empty());
        if replicas.is_empty() {
            return Err(Failure::Usage(format!(
                "where is the control plane? Give --control HOST:PORT or set {VARIABLE}"
            )));
        }
        let endpoint = |replica: &String| {
            let replica = replica.trim();
            let uri = if replica.contains("://") {
                replica.to_owned()
            } else {
                format!("http://{replica}")
            };
            let wrong = |error| Failure::Usage(format!("--control {replica}: {error}; HOST:PORT is wanted"));
            Endpoint::from_shared(uri).map_err(wrong)
        };
        replicas.iter().map(endpoint).collect()
    }

    /// A connection to the first replica that answers.
    pub(crate) async fn connect(&self) -> Result<Channel, Failure> {
        let mut failures = Vec::new();
        for endpoint in self.endpoints()? {
            let uri = endpoint.uri().to_string();
            let keep_alive = endpoint
                .connect_timeout(CONNECT)
                .http2_keep_alive_interval(Duration::from_secs(10));
            match keep_alive.connect().await {
                Ok(channel) => return Ok(channel),
                Err(error) => failures.push(format!("{uri}: {:#}", anyhow::Error::from(error))),
            }
        }
        let failures = failures.join("; ");
        Err(Failure::Failed(anyhow::anyhow!("no replica answers: {failures}")))
    }
}

/// A call with its deadline.
pub(crate) fn call<T>(message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(CALL);
    request
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let said = match status.message() {
            "" => status.code().description(),
            said => said,
        };
        // A replica that cannot be reached says nothing itself.
        let away = matches!(status.code(), Code::Unavailable | Code::Cancelled);
        Self::Failed(if away {
            anyhow::anyhow!("the control plane is not available: {said}")
        } else {
            anyhow::anyhow!("{said}")
        })
    }
}

/// Asks before something is lost; `--yes` has answered already.
pub(crate) fn confirm(question: &str, yes: bool) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !io::stdin().is_terminal() {
        return Err(Failure::Usage(format!(
            "{question} There is no terminal to ask on: add --yes"
        )));
    }
    let mut answer = String::new();
    let asked = write!(io::stderr(), "{question} [y/N] ")
        .and_then(|()| io::stderr().flush())
        .and_then(|()| io::stdin().read_line(&mut answer));
    asked.map_err(anyhow::Error::from)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        Ok(())
    } else {
        Err(Failure::Failed(anyhow::anyhow!("nothing was changed")))
    }
}
