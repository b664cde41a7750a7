//! `/metrics`: what this process measures, for Prometheus. Whoever measures adds a collector; it is asked when somebody looks, so that
//! nothing has to be registered or forgotten when a connector comes or goes.
//!
//! Why `prometheus-client`: it writes OpenMetrics and takes collectors. The `metrics` facade has one global recorder, which a process with
//! two agents in a test would share, and looks every metric up by its name and labels when it is counted.

mod process;
mod text;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;

const OPEN_METRICS: &str = "application/openmetrics-text";

/// The metrics of a process, with those of the process itself. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Exposition(Arc<Mutex<Registry>>);

impl Default for Exposition {
    fn default() -> Self {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(process::Usage));
        Self(Arc::new(Mutex::new(registry)))
    }
}

impl Exposition {
    /// From now on this is asked as well.
    pub fn add(&self, collector: Box<dyn Collector>) {
        self.lock().register_collector(collector);
    }

    /// Everything, in OpenMetrics 1.0.
    ///
    /// # Errors
    /// When a collector fails.
    pub fn open_metrics(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.lock())?;
        Ok(text)
    }

    /// Everything, in Prometheus' text format 0.0.4.
    ///
    /// # Errors
    /// When a collector fails.
    pub fn text(&self) -> Result<String, std::fmt::Error> {
        self.open_metrics().map(|text| text::older(&text))
    }

    /// `GET /metrics`, and nothing else.
    pub fn router(&self) -> Router {
        Router::new().route("/metrics", get(answer)).with_state(self.clone())
    }

    /// Serves `GET /metrics` alone, until the future is dropped.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(&self, listener: TcpListener) -> std::io::Result<()> {
        axum::serve(listener, self.router()).await
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        // Nothing that is done under it leaves the registry half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(exposition): State<Exposition>, headers: HeaderMap) -> Response {
    let accepted = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let open = prefers_open_metrics(accepted);
    let (kind, text) = match open {
        true => (
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            exposition.open_metrics(),
        ),
        false => ("text/plain; version=0.0.4; charset=utf-8", exposition.text()),
    };
    match text {
        Ok(text) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "a collector failed\n").into_response(),
    }
}

/// Whether OpenMetrics is asked for, and not with less weight than plain text.
fn prefers_open_metrics<'a>(accepted: impl Iterator<Item = &'a str>) -> bool {
    let (mut open, mut plain) = (0.0_f32, 0.0_f32);
    for range in accepted.flat_map(|value| value.split(',')) {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let weight = parts
            .find_map(|part| part.strip_prefix("q=")?.parse().ok())
            .unwrap_or(1.0);
        if kind.eq_ignore_ascii_case(OPEN_METRICS) {
            open = open.max(weight);
        } else if kind.eq_ignore_ascii_case("text/plain") {
            plain = plain.max(weight);
        }
    }
    open > 0.0 && open >= plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_for_whom_it_is_asked_by() {
        for (accept, open) in [
            ("", false),
            ("*/*", false),
            ("text/plain", false),
            ("application/openmetrics-text", true),
            // Prometheus 2 and 3.
            (
                "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                true,
            ),
            ("text/plain;version=0.0.4, application/openmetrics-text;q=0.1", false),
            ("application/openmetrics-text;q=0", false),
        ] {
            assert_eq!(prefers_open_metrics([accept].into_iter()), open, "{accept}");
        }
    }

    #[test]
    fn the_process_says_what_it_uses() {
        let text = Exposition::default().text().unwrap();
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_threads",
            "process_start_time_seconds",
        ] {
            let line = text
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_else(|| panic!("{name}: {text}"));
            let value: f64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            assert!(value > 0.0 || name.contains("cpu"), "{line}");
        }
    }
}
