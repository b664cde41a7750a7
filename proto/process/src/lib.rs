//! What the processes of both planes share: settings from file, environment and flags, logs, signals, exit codes, and what the service
//! manager is told. It knows nothing of what they do.

pub mod hidden;
pub mod log;
pub mod metrics;
pub mod properties;
pub mod settings;

use std::fmt::{self, Display};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// What people look into a process with. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Telemetry {
    /// What it measures.
    pub metrics: metrics::Exposition,
    /// Which log lines it writes.
    pub levels: log::Levels,
    /// What its log lines do not show.
    pub hidden: hidden::Hidden,
}

impl Telemetry {
    /// Starts logging, once in a process.
    #[must_use]
    pub fn start(format: log::Format) -> Self {
        let hidden = hidden::Hidden::default();
        Self {
            metrics: metrics::Exposition::default(),
            levels: log::start(format, hidden.clone()),
            hidden,
        }
    }
}

/// An error with its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> impl Display {
    struct Chain<'a>(&'a dyn std::error::Error);
    impl Display for Chain<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}", self.0)?;
            let mut cause = self.0.source();
            while let Some(error) = cause {
                write!(f, ": {error}")?;
                cause = error.source();
            }
            Ok(())
        }
    }
    Chain(error)
}

/// Resolves at SIGINT or SIGTERM. Made before anything starts, it misses no early signal.
pub fn stop_signal() -> std::io::Result<impl Future<Output = ()> + Send> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Tells systemd that the process serves; nothing without systemd.
pub fn notify_ready() {
    notify(&[sd_notify::NotifyState::Ready]);
}

/// Tells systemd that the process is about to end.
pub fn notify_stopping() {
    notify(&[sd_notify::NotifyState::Stopping]);
}

fn notify(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "could not tell systemd");
    }
}

/// 0, or 1 with the error on stderr.
#[must_use]
pub fn exit_code(program: &str, result: Result<(), Box<dyn std::error::Error + Send + Sync>>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
