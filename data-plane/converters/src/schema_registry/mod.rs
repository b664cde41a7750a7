//! A schema registry in the API of Confluent's: what a converter asks it, and how it is told from a registry that is away.
//!
//! Converters never wait. What one lacks is a [`Question`]; the future of [`Registry::ask`] finds the answer, and the converter's
//! next call takes it from its [`Slot`]. Answers are shared by all converters of the process that ask the same registry in the same way.

mod api;
mod config;
mod converter;
mod definition;
mod http;
mod id;
mod latest;
mod plans;
mod registry;
mod subject;
mod tls;

pub(crate) use self::api::{Found, Reference, clipped};
pub(crate) use self::converter::{Format, ReadWith, RegistryConverter, WrittenWith};
pub(crate) use self::definition::definition;

use std::sync::Arc;
use std::time::Duration;

use dray_connect::{Error, Result};

use self::api::Question;
use self::config::{Config, Registering, Usage};
use self::id::{IdReading, IdWriting, SchemaId};
use self::latest::Latest;
use self::plans::Plans;
use self::registry::{Registry, Slot, lock};
use crate::Lookup;

/// How one converter asks a registry.
pub(crate) struct Asker {
    registry: Arc<Registry>,
    /// What the last call lacked, and where the answer is put.
    lacking: Option<(Question, Slot)>,
}

impl Asker {
    pub(crate) fn new(config: Config) -> Result<Self> {
        Ok(Self {
            registry: Registry::of(config)?,
            lacking: None,
        })
    }

    /// The answer, if it is there or not older than that. If not, the error says to wait for [`Asker::lookup`] and to call again.
    pub(crate) fn answer(&mut self, question: Question, ttl: Option<Duration>) -> Result<Arc<Found>> {
        // Whoever waited for an answer gets that one, even if nothing else would be kept. What another question lacks stays for it.
        let lacking = self.lacking.take_if(|(lacked, _)| *lacked == question);
        if let Some(outcome) = lacking.and_then(|(_, slot)| lock(&slot).take()) {
            return outcome.map_err(|failure| failure.to_error());
        }
        if let Some(found) = self.registry.known(&question, ttl) {
            return Ok(found);
        }
        if let Some(failure) = self.registry.refused(&question) {
            return Err(failure.to_error());
        }
        self.lacking = Some((question, Slot::default()));
        Err(Error::retriable("the schema registry has to be asked first"))
    }

    /// Finds what the last call lacked.
    pub(crate) fn lookup(&mut self) -> Option<Lookup> {
        let (question, slot) = self.lacking.as_ref()?;
        // A slot that somebody else holds as well is being filled.
        (Arc::strong_count(slot) == 1 && lock(slot).is_none())
            .then(|| self.registry.ask(question.clone(), Arc::clone(slot)))
    }

    /// A call that lacked nothing.
    pub(crate) fn lacks_nothing(&mut self) {
        self.lacking = None;
    }
}
