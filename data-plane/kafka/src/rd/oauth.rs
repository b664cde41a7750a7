//! Tokens for librdkafka's log-ins: the same that our own connections have.
//!
//! It could ask for them by an event, but an admin client of rdkafka serves no events, a call that blocks serves none meanwhile, and rdkafka
//! passes no extensions on. So whoever uses a client first sees to it that it has the current token; rdkafka wraps no call for that, hence
//! the `unsafe` here.

use super::config::Translated;
use super::errors::local;
use crate::error::{Class, Result};
use crate::wire::oauth::{Sources, TokenSource};
use rdkafka::bindings as c;
use rdkafka::client::{Client, ClientContext};
use std::ffi::{CStr, CString, NulError, c_char};
use std::ptr::null_mut;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The tokens of one client. Without a source none is wanted: it logs in by other means.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    source: Option<Arc<TokenSource>>,
    /// The number of the token that the client has.
    given: AtomicU64,
}

impl Tokens {
    /// # Errors
    /// When the settings ask for tokens, and are not what they should be.
    pub(super) fn read(settings: &Translated, sources: &Sources) -> Result<Self> {
        Ok(Self {
            source: sources.of(&settings.settings)?,
            given: AtomicU64::new(0),
        })
    }

    /// Whether the client logs in by token.
    pub(super) fn are_wanted(&self) -> bool {
        self.source.is_some()
    }

    /// Sees to it that the client has the current token. May wait for one to be fetched, so this is for threads that may.
    ///
    /// # Errors
    /// When none can be had; whether that helps later.
    pub(super) fn renew<C: ClientContext>(&self, client: &Client<C>) -> Result<()> {
        let Some(source) = &self.source else {
            return Ok(());
        };
        let token = source.token_here()?;
        if self.given.load(Ordering::Relaxed) == token.number {
            return Ok(());
        }
        let unfit = |why: String| local("handing librdkafka a token", "TOKEN", why, Class::Fatal);
        let text = |text: &str| CString::new(text).map_err(|error: NulError| unfit(error.to_string()));
        let (value, principal) = (text(&token.text)?, text(&token.principal)?);
        let mut extensions = Vec::new();
        for (name, value) in source.extensions() {
            extensions.extend([text(name)?, text(value)?]);
        }
        let mut pointers: Vec<*const c_char> = extensions.iter().map(|text| text.as_ptr()).collect();
        let mut why: [c_char; 512] = [0; 512];
        // SAFETY: the client lives; librdkafka copies all texts, of which each ends with a zero, reads as many pointers as it is told, and
        // writes a text to `why` that is not longer than that.
        let (code, why) = unsafe {
            let code = c::rd_kafka_oauthbearer_set_token(
                client.native_ptr(),
                value.as_ptr(),
                token.expires_ms,
                principal.as_ptr(),
                if pointers.is_empty() {
                    null_mut()
                } else {
                    pointers.as_mut_ptr()
                },
                pointers.len(),
                why.as_mut_ptr(),
                why.len(),
            );
            (code, CStr::from_ptr(why.as_ptr()))
        };
        if code != c::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(unfit(why.to_string_lossy().into_owned()));
        }
        self.given.store(token.number, Ordering::Relaxed);
        Ok(())
    }
}
