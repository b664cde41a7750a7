//! Where `dray standalone` serves REST and gRPC, and what it is called: Connect's `listeners` and `rest.advertised.*`.

use dray_connect::ConfigMap;
use dray_model::WorkerId;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs as _};

/// Connect's port. Without `listeners` it is served on loopback only: whoever reaches it can read and write files.
pub(crate) const DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8083);

/// Where to listen.
pub(crate) struct Listeners {
    /// The addresses.
    pub(crate) addresses: Vec<SocketAddr>,
    /// `rest.advertised.host.name`, or the host of the first listener.
    host: Option<String>,
    /// `rest.advertised.port`.
    port: Option<u16>,
}

impl Listeners {
    /// One address, and nothing else given.
    pub(crate) fn on(address: SocketAddr) -> Self {
        Self {
            addresses: vec![address],
            host: None,
            port: None,
        }
    }

    /// As a worker file gives them.
    pub(crate) fn of(worker: &ConfigMap) -> Result<Self, String> {
        let given = worker
            .get("listeners")
            .map(|text| text.trim())
            .filter(|text| !text.is_empty());
        let given: Vec<_> = given
            .into_iter()
            .flat_map(|text| text.split(','))
            .map(parse)
            .collect::<Result<_, _>>()?;
        let text = |key: &str| worker.get(key).map(|text| text.trim()).filter(|text| !text.is_empty());
        let port = text("rest.advertised.port").map(|port| {
            let wrong = |_| format!("rest.advertised.port={port}: must be a port");
            port.parse::<u16>().map_err(wrong)
        });
        let first = given
            .first()
            .map(|(host, _)| host.clone())
            .filter(|host| !host.is_empty());
        Ok(Self {
            host: text("rest.advertised.host.name").map(str::to_owned).or(first),
            port: port.transpose()?,
            addresses: match given.is_empty() {
                true => vec![DEFAULT],
                false => given.into_iter().map(|(_, address)| address).collect(),
            },
        })
    }

    /// `host:port`, as REST shows it, once it is known which port was free.
    pub(crate) fn worker_id(&self, bound: &[SocketAddr], this: &str) -> WorkerId {
        let port = self.port.or_else(|| bound.first().map(SocketAddr::port));
        let host = self.host.as_deref().unwrap_or(this);
        WorkerId::from(format!("{host}:{}", port.unwrap_or(DEFAULT.port())))
    }
}

/// The host as it is written, and the address. `http://:8083` is every interface, as in Connect.
fn parse(text: &str) -> Result<(String, SocketAddr), String> {
    let text = text.trim();
    let form = || format!("listeners={text}: Listener doesn't have the right format (protocol://hostname:port).");
    let (protocol, rest) = text.split_once("://").ok_or_else(form)?;
    match protocol.to_ascii_lowercase().as_str() {
        "http" => {}
        "https" => {
            return Err(format!(
                "listeners={text}: https is not served yet; use http behind a proxy"
            ));
        }
        _ => {
            return Err(format!(
                "listeners={text}: Listener protocol must be either \"http\" or \"https\"."
            ));
        }
    }
    let (host, port) = rest.rsplit_once(':').ok_or_else(form)?;
    let port: u16 = port.parse().map_err(|_| form())?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() {
        return Ok((String::new(), SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)));
    }
    let mut found = (host, port)
        .to_socket_addrs()
        .map_err(|error| format!("listeners={text}: {error}"))?;
    let address = found
        .next()
        .ok_or_else(|| format!("listeners={text}: the host has no address"))?;
    Ok((host.to_owned(), address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listeners(pairs: &[(&str, &str)]) -> Result<(Vec<String>, String), String> {
        let worker = pairs
            .iter()
            .map(|(key, value)| ((*key).into(), (*value).into()))
            .collect();
        let listeners = Listeners::of(&worker)?;
        let id = listeners.worker_id(&["127.0.0.1:4711".parse().unwrap()], "this");
        let addresses = listeners.addresses.iter().map(ToString::to_string).collect();
        Ok((addresses, id.as_str().to_owned()))
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
            assert_eq!(
                (found.0.join(" "), found.1),
                (addresses.to_owned(), id.to_owned()),
                "{given:?}"
            );
        }
        for (given, expected) in [
            (
                "8083",
                "listeners=8083: Listener doesn't have the right format (protocol://hostname:port).",
            ),
            (
                "ftp://a:1",
                "listeners=ftp://a:1: Listener protocol must be either \"http\" or \"https\".",
            ),
            (
                "https://a:1",
                "listeners=https://a:1: https is not served yet; use http behind a proxy",
            ),
            (
                "http://a:x",
                "listeners=http://a:x: Listener doesn't have the right format (protocol://hostname:port).",
            ),
        ] {
            assert_eq!(listeners(&[("listeners", given)]).unwrap_err(), expected);
        }
    }
}
