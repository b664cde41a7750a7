//! Tokens of SASL OAUTHBEARER (KIP-255, KIP-768): where they come from, and how long one serves all connections with the same credentials.

mod assertion;
mod endpoint;
mod settings;
mod token;
mod unsecured;

use crate::error::Result;
use crate::lock::lock;
use settings::Settings;
pub(crate) use settings::{JAAS, MEANT, is_own};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
pub(crate) use token::Token;
use tokio::time::{Duration, Instant};

/// The mechanism's name.
pub(crate) const MECHANISM: &str = "OAUTHBEARER";
/// Java's system property: the only addresses that tokens may be fetched from. Nothing is allowed without it, since a connector's settings
/// name the address too, and whoever may create connectors may not have every file and every host of the network (CVE-2025-27817).
pub(crate) const ALLOWED: &str = "org.apache.kafka.sasl.oauthbearer.allowed.urls";
/// The same for files: assertions, their keys and templates.
pub(crate) const ALLOWED_FILES: &str = "org.apache.kafka.sasl.oauthbearer.allowed.files";
/// Who asks so soon after a failure gets that failure: a hundred connections that want in must not each ask an endpoint that is away.
const FAILED_FOR: Duration = Duration::from_secs(1);

/// Where tokens come from, by credentials. One per process, so that each token is fetched once.
#[derive(Default)]
pub(crate) struct Sources {
    allowed: Allowed,
    known: Mutex<HashMap<BTreeMap<String, String>, Arc<TokenSource>>>,
}

impl Sources {
    /// With what these options of a Java process (`KAFKA_OPTS`) allow.
    pub(crate) fn allowed_by(java_options: &str) -> Self {
        let unquoted = |option: &str| option.trim_matches(['"', '\'']).to_owned();
        let listed = |property: &str| {
            let property = format!("-D{property}=");
            let options = java_options.split_whitespace().map(unquoted);
            let mut list = options.filter_map(|option| option.strip_prefix(&property).map(unquoted));
            let list = list.next_back().unwrap_or_default();
            let values = list.split(',').map(|value| value.trim().to_owned());
            values.filter(|value| !value.is_empty()).collect()
        };
        Self {
            allowed: Allowed {
                urls: listed(ALLOWED),
                files: listed(ALLOWED_FILES),
            },
            known: Mutex::default(),
        }
    }

    /// The source that these settings mean; none when they ask for no log-in by token.
    ///
    /// # Errors
    /// When they do, and are not what they should be.
    pub(crate) fn of(&self, settings: &BTreeMap<String, String>) -> Result<Option<Arc<TokenSource>>> {
        let protocol = settings.get("security.protocol").map_or("", String::as_str);
        if !protocol.starts_with("sasl_") || settings.get("sasl.mechanism").map(String::as_str) != Some(MECHANISM) {
            return Ok(None);
        }
        let mut own = settings.clone();
        own.retain(|key, _| is_own(key));
        let mut known = lock(&self.known);
        // Without users, and without a token that the next user could take.
        known.retain(|_, source| Arc::strong_count(source) > 1 || source.current().is_some());
        if let Some(source) = known.get(&own) {
            return Ok(Some(Arc::clone(source)));
        }
        let source = Arc::new(TokenSource::new(Settings::read(&own, &self.allowed)?));
        known.insert(own, Arc::clone(&source));
        Ok(Some(source))
    }
}

/// What settings may name.
#[derive(Debug, Default)]
struct Allowed {
    urls: Vec<String>,
    files: Vec<String>,
}

impl Allowed {
    /// The file that a setting names.
    ///
    /// # Errors
    /// When it is not allowed.
    fn file(&self, key: &str, path: &str) -> Result<PathBuf> {
        if self.files.iter().any(|allowed| allowed == path) {
            return Ok(PathBuf::from(path));
        }
        let message = format!(
            "`{path}` is not allowed: set KAFKA_OPTS=-D{ALLOWED_FILES}={path} in the environment of the process"
        );
        Err(settings::invalid(key, message))
    }
}

/// Credentials, and the token that they are good for now.
pub(crate) struct TokenSource {
    settings: Settings,
    state: Mutex<State>,
    /// Held by the thread that fetches.
    fetching: Mutex<()>,
    /// Held by the task whose thread that is: others that wait take no thread.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    token: Option<Token>,
    /// How many there were.
    fetched: u64,
    failed: Option<(Instant, crate::Error)>,
    failures: u32,
    /// The endpoint is away, and the token is still good.
    not_before: Option<Instant>,
}

impl std::fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Settings and tokens are secrets.
        f.debug_struct("TokenSource").finish_non_exhaustive()
    }
}

impl TokenSource {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            state: Mutex::default(),
            fetching: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    /// What is said to the broker besides the token (KIP-342).
    pub(crate) fn extensions(&self) -> &[(String, String)] {
        &self.settings.extensions
    }

    /// The token, where no other has to be fetched.
    fn current(&self) -> Option<Token> {
        let state = lock(&self.state);
        let (token, now) = (state.token.as_ref()?, Instant::now());
        let waits = state.not_before.is_some_and(|at| now < at);
        (now < token.renew_at || (waits && now < token.ends_at)).then(|| token.clone())
    }

    /// A token that is not near its end. One at a time is fetched, for all that wait.
    ///
    /// # Errors
    /// Retriable when it cannot be had just now; fatal when the credentials are not taken, or what comes is no token.
    pub(crate) async fn token(self: &Arc<Self>) -> Result<Token> {
        let since = Instant::now();
        if let Some(token) = self.current() {
            return Ok(token);
        }
        let _one = self.asking.lock().await;
        let source = Arc::clone(self);
        // If this future is dropped, the thread ends by the time-outs of its request, and whoever asks next finds the token.
        let fetched = tokio::task::spawn_blocking(move || source.fetched(since)).await;
        fetched.unwrap_or_else(|error| {
            Err(self
                .settings
                .error("THREAD", error.to_string(), crate::Class::Retriable))
        })
    }

    /// The same on a thread that may wait.
    pub(crate) fn token_here(&self) -> Result<Token> {
        let since = Instant::now();
        self.current().map_or_else(|| self.fetched(since), Ok)
    }

    fn fetched(&self, since: Instant) -> Result<Token> {
        let _one = lock(&self.fetching);
        if let Some(token) = self.current() {
            return Ok(token);
        }
        let failed = lock(&self.state).failed.clone();
        if let Some((at, error)) = failed
            && (at >= since || at.elapsed() < FAILED_FOR)
        {
            return Err(error);
        }
        let old = lock(&self.state)
            .token
            .clone()
            .filter(|old| Instant::now() < old.ends_at);
        // With a token that is still good nobody waits for a second try.
        let fetched = self.settings.fetch(old.is_none());
        let mut state = lock(&self.state);
        match fetched {
            Ok(mut token) => {
                state.fetched += 1;
                token.number = state.fetched;
                (state.failed, state.failures, state.not_before) = (None, 0, None);
                Ok(state.token.insert(token).clone())
            }
            Err(error) => {
                state.failures += 1;
                if state.failures.is_power_of_two() {
                    tracing::warn!(%error, failures = state.failures, "could not fetch an OAuth token");
                }
                let Some(old) = old else {
                    state.failed = Some((Instant::now(), error.clone()));
                    return Err(error);
                };
                state.not_before = Some(Instant::now() + self.settings.retry_max());
                Ok(old)
            }
        }
    }
}

#[cfg(test)]
mod tests;
