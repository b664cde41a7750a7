//! The settings of `dray-control`: from file, environment and flags to what a replica is told.

use dray_control::listeners::Listeners;
use dray_control::{Config, WorkerFile};
use dray_machine::cluster::Timing;
use dray_process::settings::{Given, Kind, Program, Setting};
use dray_process::{Telemetry, log};
use dray_store_etcd::{EtcdConfig, Tls, User};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

pub(crate) const PROGRAM: Program = Program {
    name: "dray-control",
    about: "One replica of Dray's control plane, over etcd. Run three.",
    version: env!("CARGO_PKG_VERSION"),
    env: "DRAY_CONTROL",
};

const fn setting(name: &'static str, kind: Kind, default: Given, help: &'static str) -> Setting {
    Setting {
        name,
        help,
        kind,
        default,
    }
}

pub(crate) const SETTINGS: [Setting; 14] = [
    setting(
        "cluster",
        Kind::Text,
        Given::Optional,
        "The cluster's id; Connect's `group.id`, which the worker configuration may give as well",
    ),
    setting(
        "replica",
        Kind::Text,
        Given::Optional,
        "This replica's id, another one for each; host:port of its first endpoint if not given",
    ),
    setting(
        "listen",
        Kind::List,
        Given::Default("127.0.0.1:8083"),
        "Addresses to serve agents, gRPC and REST on; port 0 takes a free one",
    ),
    setting(
        "advertise",
        Kind::List,
        Given::Optional,
        "Where others find this replica, as http://host:port; the addresses it listens on if not given",
    ),
    setting(
        "etcd",
        Kind::List,
        Given::Required,
        "The client addresses of etcd's members",
    ),
    setting(
        "etcd-user",
        Kind::Text,
        Given::Optional,
        "Who to be, when etcd has authentication",
    ),
    setting(
        "etcd-password",
        Kind::Text,
        Given::Optional,
        "The user's password; better in a file",
    ),
    setting(
        "etcd-password-file",
        Kind::File,
        Given::Optional,
        "A file with the password",
    ),
    setting(
        "etcd-ca-file",
        Kind::File,
        Given::Optional,
        "Authorities (PEM) for etcd's certificate; turns TLS on",
    ),
    setting(
        "etcd-cert-file",
        Kind::File,
        Given::Optional,
        "Our certificate (PEM), for an etcd that asks for one",
    ),
    setting(
        "etcd-key-file",
        Kind::File,
        Given::Optional,
        "The key (PEM) of our certificate",
    ),
    setting(
        "worker-config",
        Kind::File,
        Given::Optional,
        "connect-distributed.properties, kept in etcd for all agents",
    ),
    setting(
        "data-dir",
        Kind::File,
        Given::Optional,
        "Where this replica remembers how far it has seen etcd",
    ),
    setting(
        "log",
        Kind::Choice(&["text", "json"]),
        Given::Default("text"),
        "How log lines look",
    ),
];

/// As they are given.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    cluster: Option<String>,
    replica: Option<String>,
    listen: Vec<String>,
    #[serde(default)]
    advertise: Vec<String>,
    etcd: Vec<String>,
    etcd_user: Option<String>,
    etcd_password: Option<String>,
    etcd_password_file: Option<PathBuf>,
    etcd_ca_file: Option<PathBuf>,
    etcd_cert_file: Option<PathBuf>,
    etcd_key_file: Option<PathBuf>,
    worker_config: Option<PathBuf>,
    data_dir: Option<PathBuf>,
    pub(crate) log: log::Format,
}

/// What was made of them.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) control: Config,
    pub(crate) etcd: EtcdConfig,
}

type Problem = Box<dyn std::error::Error + Send + Sync>;

impl Settings {
    /// Reads the files that are named, and refuses what does not go together.
    pub(crate) fn validate(self) -> Result<Plan, Problem> {
        let worker = self.worker_config.as_deref().map(WorkerFile::read).transpose()?;
        let group = worker.as_ref().and_then(|worker| worker.group_id.clone());
        let cluster = match (self.cluster.clone(), group) {
            (Some(cluster), Some(group)) if cluster != group => {
                let problem = format!(
                    "`cluster` is {cluster}, and the worker configuration has group.id={group}; give one, or the same"
                );
                return Err(problem.into());
            }
            (Some(cluster), _) | (None, Some(cluster)) => cluster,
            (None, None) => {
                let problem =
                    "not set: `cluster` (--cluster, DRAY_CONTROL_CLUSTER), or group.id in the file of --worker-config";
                return Err(problem.into());
            }
        };
        let address = |text: &String| {
            let problem = |_| format!("`listen`: {text} is not an address such as 127.0.0.1:8083 or [::]:8083");
            text.parse::<SocketAddr>().map_err(problem)
        };
        let listen = self.listen.iter().map(address).collect::<Result<Vec<_>, _>>()?;
        if listen.is_empty() {
            return Err("`listen` is empty: agents could not reach this replica".into());
        }
        for endpoint in &self.advertise {
            if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") {
                return Err(format!("`advertise`: {endpoint} does not begin with http:// or https://").into());
            }
        }
        if self.advertise.is_empty()
            && let Some(any) = listen.iter().find(|address| address.ip().is_unspecified())
        {
            return Err(format!("`listen` is {any}, so `advertise` has to say where others find this replica").into());
        }
        // `--listen` says where http is.
        let listeners = match &worker {
            Some(worker) => Listeners::of(&worker.whole)?.beside_others(),
            None => Listeners::default(),
        };
        Ok(Plan {
            etcd: self.etcd()?,
            control: Config {
                cluster,
                replica: self.replica,
                listen,
                listeners,
                advertise: self.advertise,
                worker: worker.map(|worker| worker.config),
                data_dir: self.data_dir,
                timing: Timing::default(),
                telemetry: Telemetry::default(),
            },
        })
    }

    fn etcd(&self) -> Result<EtcdConfig, Problem> {
        if self.etcd.is_empty() {
            return Err("`etcd` is empty".into());
        }
        let mut etcd = EtcdConfig::new(&self.etcd);
        etcd.user = match (&self.etcd_user, &self.etcd_password, &self.etcd_password_file) {
            (None, None, None) => None,
            (Some(name), password, file) => {
                let password = match (password, file) {
                    (Some(password), None) => password.clone(),
                    (None, Some(file)) => String::from_utf8(read(file)?)
                        .map_err(|_| format!("{} is not UTF-8", file.display()))?
                        .trim_end_matches(['\r', '\n'])
                        .into(),
                    (None, None) => return Err("`etcd-user` needs `etcd-password-file` or `etcd-password`".into()),
                    (Some(_), Some(_)) => return Err("give `etcd-password` or `etcd-password-file`, not both".into()),
                };
                let name = name.clone();
                Some(User { name, password })
            }
            (None, _, _) => return Err("a password is given for etcd, and no `etcd-user`".into()),
        };
        etcd.tls = match (&self.etcd_ca_file, &self.etcd_cert_file, &self.etcd_key_file) {
            (None, None, None) => None,
            (Some(authorities), certificate, key) => Some(Tls {
                authorities: read(authorities)?,
                identity: match (certificate, key) {
                    (None, None) => None,
                    (Some(certificate), Some(key)) => Some((read(certificate)?, read(key)?)),
                    (Some(_), None) => return Err("`etcd-cert-file` needs `etcd-key-file`".into()),
                    (None, Some(_)) => return Err("`etcd-key-file` needs `etcd-cert-file`".into()),
                },
                domain: None,
            }),
            (None, _, _) => return Err("`etcd-cert-file` and `etcd-key-file` need `etcd-ca-file`".into()),
        };
        Ok(etcd)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arguments: &[&str]) -> Result<Plan, String> {
        let all = std::iter::once("dray-control")
            .chain(arguments.iter().copied())
            .map(Into::into);
        match dray_process::settings::load_from::<Settings>(&PROGRAM, &SETTINGS, all, Default::default()) {
            Ok(loaded) => loaded.config.validate().map_err(|error| error.to_string()),
            Err(stop) => Err(format!("{stop:?}")),
        }
    }

    #[test]
    fn little_is_enough() {
        let plan = plan(&["--cluster=c", "--etcd=a:2379,b:2379"]).unwrap();
        assert_eq!(plan.etcd.endpoints, ["a:2379", "b:2379"]);
        assert_eq!(plan.control.listen, ["127.0.0.1:8083".parse().unwrap()]);
        assert!(plan.etcd.tls.is_none() && plan.etcd.user.is_none() && plan.control.worker.is_none());
    }

    #[test]
    fn half_of_it_is_refused() {
        for (more, expected) in [
            (
                vec![],
                "not set: `cluster` (--cluster, DRAY_CONTROL_CLUSTER), or group.id in the file of --worker-config",
            ),
            (
                vec!["--cluster=c", "--listen=here"],
                "`listen`: here is not an address such as 127.0.0.1:8083 or [::]:8083",
            ),
            (
                vec!["--cluster=c", "--listen="],
                "`listen` is empty: agents could not reach this replica",
            ),
            (
                vec!["--cluster=c", "--listen=0.0.0.0:1"],
                "`listen` is 0.0.0.0:1, so `advertise` has to say where others find this replica",
            ),
            (
                vec!["--cluster=c", "--advertise=h:1"],
                "`advertise`: h:1 does not begin with http:// or https://",
            ),
            (
                vec!["--cluster=c", "--etcd-user=u"],
                "`etcd-user` needs `etcd-password-file` or `etcd-password`",
            ),
            (
                vec!["--cluster=c", "--etcd-password=p"],
                "a password is given for etcd, and no `etcd-user`",
            ),
            (
                vec!["--cluster=c", "--etcd-key-file=k"],
                "`etcd-cert-file` and `etcd-key-file` need `etcd-ca-file`",
            ),
            (
                vec!["--cluster=c", "--etcd-ca-file=/no/such"],
                "/no/such: No such file or directory (os error 2)",
            ),
        ] {
            let arguments: Vec<&str> = std::iter::once("--etcd=e:1").chain(more).collect();
            assert_eq!(plan(&arguments).unwrap_err(), expected);
        }
    }
}
