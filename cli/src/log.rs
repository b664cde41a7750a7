//! Logs: to stderr, human on a terminal, JSON on request. `DRAY_LOG` filters, as in `DRAY_LOG=debug`.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// Starts logging.
pub(crate) fn start(json: bool) {
    let filter = EnvFilter::try_from_env("DRAY_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    if json {
        builder.json().flatten_event(true).init();
    } else {
        builder
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .init();
    }
}
