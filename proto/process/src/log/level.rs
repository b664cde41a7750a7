//! Levels, as Connect's API has them: log4j's.

use std::fmt;
use tracing::level_filters::LevelFilter;

/// A level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Nothing.
    Off,
    /// As ERROR: there is nothing above it here.
    Fatal,
    /// What somebody has to see to.
    Error,
    /// What was not expected.
    Warn,
    /// Steps of life cycles.
    Info,
    /// What happens inside.
    Debug,
    /// All of it.
    Trace,
    /// As TRACE.
    All,
}

impl Level {
    /// All, as they are written.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Off, "OFF"),
        (Self::Fatal, "FATAL"),
        (Self::Error, "ERROR"),
        (Self::Warn, "WARN"),
        (Self::Info, "INFO"),
        (Self::Debug, "DEBUG"),
        (Self::Trace, "TRACE"),
        (Self::All, "ALL"),
    ];

    /// The level of this name, in whatever case, with spaces around it or not.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        let found = Self::ALL
            .into_iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(name.trim()));
        found.map(|(level, _)| level)
    }

    pub(super) fn filter(self) -> LevelFilter {
        match self {
            Self::Off => LevelFilter::OFF,
            Self::Fatal | Self::Error => LevelFilter::ERROR,
            Self::Warn => LevelFilter::WARN,
            Self::Info => LevelFilter::INFO,
            Self::Debug => LevelFilter::DEBUG,
            Self::Trace | Self::All => LevelFilter::TRACE,
        }
    }

    pub(super) fn of_filter(filter: LevelFilter) -> Self {
        match filter.into_level() {
            None => Self::Off,
            Some(tracing::Level::ERROR) => Self::Error,
            Some(tracing::Level::WARN) => Self::Warn,
            Some(tracing::Level::INFO) => Self::Info,
            Some(tracing::Level::DEBUG) => Self::Debug,
            Some(tracing::Level::TRACE) => Self::Trace,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.into_iter().find(|(level, _)| level == self);
        f.pad(name.map_or("", |(_, name)| name))
    }
}
