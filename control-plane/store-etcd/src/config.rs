//! How to reach etcd.

use std::fmt;
use std::time::Duration;

/// How to reach etcd, and how long to wait for it.
#[derive(Clone, Debug)]
pub struct EtcdConfig {
    /// The client addresses of all members, as `http://host:2379` or `https://…`; the scheme may be left out.
    pub endpoints: Vec<String>,
    /// Who to be, when etcd has authentication enabled.
    pub user: Option<User>,
    /// For `https` endpoints.
    pub tls: Option<Tls>,
    /// How long a call may take, all its attempts together: an etcd that has lost its leader needs 1 to 2 s for another. Default 3 s.
    pub timeout: Duration,
    /// How long one attempt may take of a call that can be repeated; then another member is asked. Default 1 s.
    pub attempt: Duration,
    /// How long a connection may take to open. Default 1 s.
    pub connect: Duration,
    /// How often an open connection is tried; one that does not answer within half of that is given up. Default 2 s.
    pub keep_alive: Duration,
}

/// A user of etcd.
#[derive(Clone)]
pub struct User {
    /// The name.
    pub name: String,
    /// The password.
    pub password: String,
}

/// Certificates, as PEM.
#[derive(Clone, Default)]
pub struct Tls {
    /// The authorities that etcd's certificate is checked against. There is no default: etcd's certificates are seldom public ones.
    pub authorities: Vec<u8>,
    /// Our own certificate (with its chain) and its key, for an etcd that asks for one.
    pub identity: Option<(Vec<u8>, Vec<u8>)>,
    /// The name that etcd's certificate has to bear, when it is not the host of the endpoint.
    pub domain: Option<String>,
}

impl EtcdConfig {
    /// With the defaults.
    #[must_use]
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            user: None,
            tls: None,
            timeout: Duration::from_secs(3),
            attempt: Duration::from_secs(1),
            connect: Duration::from_secs(1),
            keep_alive: Duration::from_secs(2),
        }
    }

    pub(crate) fn options(&self) -> etcd_client::ConnectOptions {
        let mut options = etcd_client::ConnectOptions::new()
            .with_connect_timeout(self.connect)
            .with_keep_alive(self.keep_alive, self.keep_alive / 2)
            .with_keep_alive_while_idle(true)
            // A member without a leader would answer reads from the past, and a watch on it would hang for ever.
            .with_require_leader(true)
            .with_auto_token_refresh(true);
        if let Some(User { name, password }) = &self.user {
            options = options.with_user(name, password);
        }
        if let Some(Tls {
            authorities,
            identity,
            domain,
        }) = &self.tls
        {
            let mut tls =
                etcd_client::TlsOptions::new().ca_certificate(etcd_client::Certificate::from_pem(authorities));
            if let Some((certificate, key)) = identity {
                tls = tls.identity(etcd_client::Identity::from_pem(certificate, key));
            }
            if let Some(domain) = domain {
                tls = tls.domain_name(domain);
            }
            options = options.with_tls(tls);
        }
        options
    }
}

/// Without the password.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Without the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("domain", &self.domain)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_printed() {
        let mut config = EtcdConfig::new(["127.0.0.1:2379"]);
        config.user = Some(User {
            name: "dray".into(),
            password: "hidden".into(),
        });
        config.tls = Some(Tls {
            identity: Some((b"hidden".to_vec(), b"hidden".to_vec())),
            ..Tls::default()
        });
        let printed = format!("{config:?}");
        assert!(
            printed.contains("dray") && !printed.contains("hidden") && !printed.contains("104"),
            "{printed}"
        );
    }
}
