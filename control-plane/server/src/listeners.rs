//! Where REST and gRPC are served, and what the process is called: Connect's `listeners`, `admin.listeners`, `rest.advertised.*`, and what
//! they serve it with (`listeners.https.ssl.*`, `access.control.*`, `response.http.headers.config`).

use crate::tls::Tls;
use dray_model::{ConfigMap, WorkerId};
use dray_rest::Options;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};

/// Connect's port. Without `listeners` it is served on loopback only: whoever reaches it can read and write files.
pub const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8083);

/// Where to listen, and how.
#[derive(Clone, Debug, Default)]
pub struct Listeners {
    /// For everything; when none is given, [`DEFAULT`] is one.
    pub main: Vec<Listener>,
    /// For `/admin` alone. `None`: it is served on the others; empty: nowhere.
    pub admin: Option<Vec<Listener>>,
    /// What is added to answers.
    pub options: Options,
    advertised: Advertised,
}

/// One address.
#[derive(Clone, Debug)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// https, with this; `None`: http.
    pub tls: Option<Tls>,
    /// The host as it is written.
    host: String,
}

/// What others call it.
#[derive(Clone, Debug, Default)]
struct Advertised {
    host: Option<String>,
    port: Option<u16>,
    /// By which of the listeners; `None`: http, if there is one.
    secure: Option<bool>,
}

impl Listeners {
    /// One address, by http, and nothing else given.
    #[must_use]
    pub fn on(address: SocketAddr) -> Self {
        Self {
            main: vec![Listener::http(address)],
            ..Self::default()
        }
    }

    /// As a worker file gives them.
    ///
    /// # Errors
    /// For the first thing that is wrong, with its key.
    pub fn of(worker: &ConfigMap) -> Result<Self, String> {
        let text = |key: &str| worker.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
        let port = text("rest.advertised.port").map(|port| {
            let wrong = |_| format!("rest.advertised.port={port}: must be a port");
            port.parse::<u16>().map_err(wrong)
        });
        let secure = text("rest.advertised.listener").map(|protocol| match protocol.to_ascii_lowercase().as_str() {
            "http" => Ok(false),
            "https" => Ok(true),
            _ => Err(format!("rest.advertised.listener={protocol}: must be http or https")),
        });
        let main = listeners(worker, "listeners")?.unwrap_or_default();
        Ok(Self {
            main: match main.is_empty() {
                true => vec![Listener::http(DEFAULT)],
                false => main,
            },
            admin: listeners(worker, "admin.listeners")?,
            options: Options::of(worker)?,
            advertised: Advertised {
                host: text("rest.advertised.host.name").map(str::to_owned),
                port: port.transpose()?,
                secure: secure.transpose()?,
            },
        })
    }

    /// Only what a replica adds to the addresses that it serves agents on: https, listeners for `/admin`, and what is added to answers.
    #[must_use]
    pub fn beside_others(mut self) -> Self {
        self.main.retain(|listener| listener.tls.is_some());
        self
    }

    /// `host:port`, as REST shows it, once it is known which ports were free; `bound` are those of [`main`](Self::main), in order.
    #[must_use]
    pub fn worker_id(&self, bound: &[SocketAddr], this: &str) -> WorkerId {
        let listeners = || self.main.iter().zip(bound);
        let secure = self
            .advertised
            .secure
            .unwrap_or_else(|| self.main.iter().all(|listener| listener.tls.is_some()));
        let found = listeners().find(|(listener, _)| listener.tls.is_some() == secure);
        let (host, port) = match found.or_else(|| listeners().next()) {
            Some((listener, bound)) => (listener.host.as_str(), bound.port()),
            None => ("", DEFAULT.port()),
        };
        let host = Some(host).filter(|host| !host.is_empty()).unwrap_or(this);
        let host = self.advertised.host.as_deref().unwrap_or(host);
        WorkerId::from(format!("{host}:{}", self.advertised.port.unwrap_or(port)))
    }
}

impl Listener {
    fn http(address: SocketAddr) -> Self {
        let (tls, host) = (None, String::new());
        Self { address, tls, host }
    }
}

/// The listeners of a key; `None`: it is not there.
fn listeners(worker: &ConfigMap, key: &str) -> Result<Option<Vec<Listener>>, String> {
    let Some(text) = worker.get(key) else { return Ok(None) };
    let mut listeners = Vec::new();
    let mut tls = None;
    for url in text.split(',').map(str::trim) {
        if url.is_empty() {
            match text.trim().is_empty() {
                true => break,
                false => return Err(format!("{key}={text}: Empty URL found when parsing {key} list.")),
            }
        }
        let (secure, host, address) = parse(key, url)?;
        if secure && tls.is_none() {
            tls = Some(Tls::of(worker, &format!("{key}.https."))?);
        }
        listeners.push(Listener {
            address,
            tls: tls.clone().filter(|_| secure),
            host,
        });
    }
    Ok(Some(listeners))
}

/// The host as it is written, and the address. `http://:8083` is every interface, as in Connect.
fn parse(key: &str, text: &str) -> Result<(bool, String, SocketAddr), String> {
    let form = || format!("{key}={text}: Listener doesn't have the right format (protocol://hostname:port).");
    let (protocol, rest) = text.split_once("://").ok_or_else(form)?;
    let secure = match protocol.to_ascii_lowercase().as_str() {
        "http" => false,
        "https" => true,
        _ => {
            return Err(format!(
                "{key}={text}: Listener protocol must be either \"http\" or \"https\"."
            ));
        }
    };
    let (host, port) = rest.rsplit_once(':').ok_or_else(form)?;
    let port: u16 = port.parse().map_err(|_| form())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        let any = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port);
        return Ok((secure, String::new(), any));
    }
    let mut found = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("{key}={text}: {error}"))?;
    let address = found
        .next()
        .ok_or_else(|| format!("{key}={text}: the host has no address"))?;
    Ok((secure, host.to_owned(), address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(pairs: &[(&str, &str)]) -> ConfigMap {
        let pairs = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        pairs.collect()
    }

    fn listeners(pairs: &[(&str, &str)]) -> Result<(String, String), String> {
        let listeners = Listeners::of(&worker(pairs))?;
        let bound: Vec<SocketAddr> = vec!["127.0.0.1:4711".parse().unwrap(), "127.0.0.1:4712".parse().unwrap()];
        let id = listeners.worker_id(&bound, "this");
        let addresses: Vec<String> = listeners
            .main
            .iter()
            .map(|listener| listener.address.to_string())
            .collect();
        Ok((addresses.join(" "), id.as_str().to_owned()))
    }

    #[test]
    fn they_are_connects() {
        for (given, addresses, id) in [
            (vec![], "127.0.0.1:8083", "this:4711"),
            (vec![("listeners", "http://:8083")], "0.0.0.0:8083", "this:4711"),
            (
                vec![("listeners", "HTTP://127.0.0.1:0, http://[::1]:9")],
                "127.0.0.1:0 [::1]:9",
                "127.0.0.1:4711",
            ),
            (
                vec![("rest.advertised.host.name", "h"), ("rest.advertised.port", "1")],
                "127.0.0.1:8083",
                "h:1",
            ),
        ] {
            let found = listeners(&given).unwrap();
            assert_eq!(found, (addresses.to_owned(), id.to_owned()), "{given:?}");
        }
        for (key, given, expected) in [
            (
                "listeners",
                "8083",
                "listeners=8083: Listener doesn't have the right format (protocol://hostname:port).",
            ),
            (
                "admin.listeners",
                "ftp://a:1",
                "admin.listeners=ftp://a:1: Listener protocol must be either \"http\" or \"https\".",
            ),
            (
                "listeners",
                "http://a:x",
                "listeners=http://a:x: Listener doesn't have the right format (protocol://hostname:port).",
            ),
            (
                "listeners",
                "http://:1,,http://:2",
                "listeners=http://:1,,http://:2: Empty URL found when parsing listeners list.",
            ),
            (
                "rest.advertised.listener",
                "ftp",
                "rest.advertised.listener=ftp: must be http or https",
            ),
        ] {
            assert_eq!(listeners(&[(key, given)]).unwrap_err(), expected);
        }
        let unsafe_one = listeners(&[("listeners", "https://127.0.0.1:1")]).unwrap_err();
        assert!(unsafe_one.contains("ssl.keystore"), "{unsafe_one}");
    }

    #[test]
    fn admin_may_be_elsewhere_or_nowhere() {
        let admin = |pairs: &[(&str, &str)]| Listeners::of(&worker(pairs)).unwrap().admin.map(|all| all.len());
        assert_eq!(admin(&[]), None);
        assert_eq!(admin(&[("admin.listeners", " ")]), Some(0));
        assert_eq!(admin(&[("admin.listeners", "http://127.0.0.1:0")]), Some(1));
    }
}
