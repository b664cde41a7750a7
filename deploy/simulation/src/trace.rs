//! What happened, for people. Written only in a replay: the run of a failing seed is repeated with it.

use crate::Time;
use std::collections::VecDeque;

/// So many lines are kept.
const LINES: usize = 200;

#[derive(Default)]
pub(crate) struct Trace {
    on: bool,
    all: bool,
    lines: VecDeque<String>,
}

impl Trace {
    /// `all`: every line is kept, for who reads it with a pager.
    pub(crate) fn new(on: bool, all: bool) -> Self {
        Self {
            on,
            all,
            lines: VecDeque::new(),
        }
    }

    pub(crate) fn note(&mut self, now: Time, who: impl FnOnce() -> String, what: impl FnOnce() -> String) {
        if !self.on {
            return;
        }
        if !self.all && self.lines.len() == LINES {
            self.lines.pop_front();
        }
        let mut what = what();
        if what.len() > 400 {
            let end = (0..=400).rev().find(|end| what.is_char_boundary(*end)).unwrap_or(0);
            what.truncate(end);
            what.push('…');
        }
        self.lines
            .push_back(format!("{:>4}.{:03} {:<4} {what}", now / 1_000, now % 1_000, who()));
    }

    pub(crate) fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.lines).into()
    }
}
