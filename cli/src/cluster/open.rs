//! Which cluster a command is for: what it says, the environment, or the current context, in this order.

use super::contexts::{Context, Contexts};
use super::grpc::Grpc;
use super::http::Access;
use super::rest::Rest;
use super::{Cluster, Error, ErrorKind};
use crate::Failure;

/// Replicas of a control plane, with commas between them.
const CONTROL: &str = "DRAY_CONTROL";
/// The address of a REST API.
const REST: &str = "DRAY_REST";
/// `name:password` for it.
const USER: &str = "DRAY_USER";

/// Where the cluster is.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Where {
    /// Replicas of Dray's control plane, with commas between them; the first that answers is asked [env: DRAY_CONTROL]
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',', conflicts_with_all = ["rest", "context"], help_heading = "Cluster")]
    control: Vec<String>,
    /// REST API of any Kafka Connect, such as http://connect:8083 [env: DRAY_REST, with DRAY_USER=name:password]
    #[arg(long, value_name = "URL", conflicts_with = "context", help_heading = "Cluster")]
    rest: Option<String>,
    /// A cluster that `dray context set` has given a name, instead of the current one
    #[arg(long, value_name = "NAME", help_heading = "Cluster", add = crate::completion::contexts())]
    context: Option<String>,
}

impl Where {
    /// Connects.
    pub(crate) async fn open(&self) -> Result<Box<dyn Cluster>, Failure> {
        let context = self.context()?;
        let opened = open(&context).await;
        opened.map_err(|error| {
            if error.kind == ErrorKind::Invalid {
                return Failure::Usage(error.said);
            }
            Failure::of("reach the cluster", None, &error)
        })
    }

    fn context(&self) -> Result<Context, Failure> {
        let user = variable(USER);
        if !self.control.is_empty() {
            return control(&self.control);
        }
        if let Some(rest) = &self.rest {
            return Ok(at_rest(rest, user));
        }
        if let Some(name) = &self.context {
            return Contexts::read()?.find(name).cloned();
        }
        match (variable(CONTROL), variable(REST)) {
            (Some(_), Some(_)) => Err(Failure::Usage(format!(
                "{CONTROL} and {REST} are both set: unset one of them, or give --control, --rest or --context"
            ))),
            (Some(replicas), None) => {
                let replicas: Vec<String> = replicas.split(',').map(str::to_owned).collect();
                control(&replicas)
            }
            (None, Some(rest)) => Ok(at_rest(&rest, user)),
            (None, None) => {
                let contexts = Contexts::read()?;
                match &contexts.current {
                    Some(current) => contexts.find(current).cloned(),
                    None => Err(nowhere()),
                }
            }
        }
    }
}

fn nowhere() -> Failure {
    Failure::Usage(format!(
        "which cluster? Give --control HOST:PORT for Dray, --rest URL for any Kafka Connect, or --context NAME; or set {CONTROL} or {REST}; \
         or give one a name that is used from then on: `dray context set NAME --control HOST:PORT`"
    ))
}

fn control(replicas: &[String]) -> Result<Context, Failure> {
    let replicas = replicas.iter().map(|replica| replica.trim().to_owned());
    let control: Vec<String> = replicas.filter(|replica| !replica.is_empty()).collect();
    if control.is_empty() {
        return Err(nowhere());
    }
    Ok(Context {
        control,
        ..Context::default()
    })
}

fn at_rest(url: &str, user: Option<String>) -> Context {
    let (user, password) = match user {
        None => (None, None),
        Some(both) => match both.split_once(':') {
            Some((user, password)) => (Some(user.to_owned()), Some(password.to_owned())),
            None => (Some(both), None),
        },
    };
    Context {
        rest: Some(url.to_owned()),
        user,
        password,
        ..Context::default()
    }
}

async fn open(context: &Context) -> Result<Box<dyn Cluster>, Error> {
    let Some(url) = &context.rest else {
        return Ok(Box::new(Grpc::connect(context.control.clone()).await?));
    };
    let url = url_of(url)?;
    let ca = match &context.ca {
        None => None,
        Some(path) => Some(std::fs::read(path).map_err(|error| {
            let said = format!("{}: cannot be read: {error}", path.display());
            Error::new(ErrorKind::Invalid, said)
        })?),
    };
    let user = context.user.as_ref().map(|user| {
        let password = context.password.as_deref().unwrap_or_default();
        format!("{user}:{password}")
    });
    Ok(Box::new(Rest::new(&url, &Access { user, ca })?))
}

/// With its scheme; `host:port` alone is http.
pub(crate) fn url_of(text: &str) -> Result<String, Error> {
    let text = text.trim();
    let wrong = || {
        Error::new(
            ErrorKind::Invalid,
            format!("`{text}` is no address of a REST API: http://HOST:PORT is wanted"),
        )
    };
    let url = match text.split_once("://") {
        None => format!("http://{text}"),
        Some(("http" | "https", _)) => text.to_owned(),
        Some(_) => return Err(wrong()),
    };
    let uri: ureq::http::Uri = url.parse().map_err(|_| wrong())?;
    match uri.host() {
        Some(host) if !host.is_empty() && uri.query().is_none() => Ok(url.trim_end_matches('/').to_owned()),
        _ => Err(wrong()),
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}
