//! Logs: to stderr, human on a terminal, JSON on request. `DRAY_LOG` says the levels to begin with, as in `DRAY_LOG=debug` or
//! `DRAY_LOG=info,dray_kafka=debug`; [`Levels`] changes them while the process runs.
//!
//! What a connector or task logs stands in a span with `connector`, `task` and `generation`, also what connector code itself logs.

mod layer;
mod level;
mod levels;
mod names;

pub use level::Level;
pub use levels::{Change, Levels, Logger, SetError};

use crate::hidden::Hidden;
use serde::Deserialize;
use std::io::IsTerminal as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging, once in a process.
pub(crate) fn start(format: Format, hidden: Hidden) -> Levels {
    let levels = Levels::of_text(&std::env::var("DRAY_LOG").unwrap_or_default());
    let lines = tracing_subscriber::fmt::layer().with_writer(hidden);
    let lines = match format {
        Format::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        Format::Text => lines
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(layer::LevelLayer(levels.clone()))
        .with(lines)
        .init();
    levels
}
