//! Asks [`Levels`] about each line before anything of it is put together.

use super::levels::Levels;
use std::fmt;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

pub(super) struct LevelLayer(pub(super) Levels);

/// The beginning of the targets that say nothing below INFO, whatever their level: there AWS's crates show requests and answers whole, with
/// credentials that nobody knows yet to be hidden (at DEBUG those that they cannot read).
const TOO_OPEN: &str = "aws_";

/// The connector that a span is about.
struct OfConnector(String);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for LevelLayer {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes() // levels change
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.0.most())
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let too_open = *metadata.level() > Level::INFO && metadata.target().starts_with(TOO_OPEN);
        !too_open && self.0.may_want(metadata.target(), *metadata.level())
    }

    fn event_enabled(&self, event: &Event<'_>, context: Context<'_, S>) -> bool {
        if !self.0.has_connectors() {
            return true; // it was all said in `enabled`
        }
        let metadata = event.metadata();
        let mut found = FindConnector(None);
        event.record(&mut found);
        if found.0.is_none() {
            let mut spans = context.event_scope(event).into_iter().flatten();
            found.0 = spans.find_map(|span| Some(span.extensions().get::<OfConnector>()?.0.clone()));
        }
        self.0.wants(metadata.target(), *metadata.level(), found.0.as_deref())
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut found = FindConnector(None);
        attributes.record(&mut found);
        if let (Some(connector), Some(span)) = (found.0, context.span(id)) {
            span.extensions_mut().insert(OfConnector(connector));
        }
    }
}

/// The field `connector`, if there is one.
struct FindConnector(Option<String>);

impl Visit for FindConnector {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "connector" {
            self.0 = Some(format!("{value:?}"));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "connector" {
            self.0 = Some(value.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Change;
    use crate::log::Level as Set;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Levels change while lines are written; a connector's are its spans' and those that name it.
    #[test]
    fn lines_are_written_as_levels_say() {
        let _alone = crate::log::levels::tests::alone();
        let (levels, lines) = (Levels::default(), Lines::default());
        let (writer, told) = (lines.clone(), lines.0.clone());
        let layer = tracing_subscriber::fmt::layer()
            .with_writer(move || writer.clone())
            .without_time()
            .with_ansi(false);
        let subscriber = tracing_subscriber::registry()
            .with(LevelLayer(levels.clone()))
            .with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let name = "a";
            let span = tracing::error_span!("task", connector = %name, task = 7_u32);
            let say = |round: u32| {
                tracing::debug!(round, "outside");
                span.in_scope(|| tracing::debug!(round, "inside"));
                tracing::debug!(round, connector = %"a", "about");
                tracing::debug!(round, connector = %"b", "about another");
            };
            say(1);
            let set = |name: &str, level| {
                drop(
                    levels
                        .set(&Change {
                            name: name.into(),
                            level,
                        })
                        .unwrap(),
                )
            };
            set("dray.connector.a", Set::Debug);
            say(2);
            set("dray_process", Set::Debug);
            set("dray.connector.a", Set::Warn);
            say(3);
            set("aws_smithy_runtime", Set::Trace);
            tracing::trace!(target: "aws_smithy_runtime::client", "an answer with a value");
            tracing::debug!(target: "aws_smithy_runtime::client", "an answer that cannot be read");
            tracing::info!(target: "aws_smithy_runtime::client", "what it does");
        });
        let text = String::from_utf8(told.lock().unwrap().clone()).unwrap();
        let lines: Vec<&str> = text.lines().map(|line| line.trim_start_matches("DEBUG ")).collect();
        assert_eq!(
            lines,
            [
                "task{connector=a task=7}: dray_process::log::layer::tests: inside round=2",
                "dray_process::log::layer::tests: about round=2 connector=a",
                "dray_process::log::layer::tests: outside round=3",
                "dray_process::log::layer::tests: about another round=3 connector=b",
                " INFO aws_smithy_runtime::client: what it does",
            ]
        );
    }
}
