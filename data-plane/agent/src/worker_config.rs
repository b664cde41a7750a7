//! The cluster's worker configuration with its values, which may come from afar: they are there before the agent hears that its session has
//! begun, so that nobody waits for them who has heartbeats to send.

use dray_connect::Error;
use dray_model::SessionId;
use dray_model::message::Welcome;
use dray_process::hidden::Hidden;
use dray_runtime::config::WorkerConfig;
use dray_runtime::guard::trace;
use std::sync::{Arc, Mutex, PoisonError};

/// Without providers there is nothing to wait for.
const PROVIDERS: &str = "config.providers";

/// Cheap to clone; a clone has the same.
#[derive(Clone)]
pub(crate) struct WorkerConfigs {
    hidden: Hidden,
    last: Arc<Mutex<Option<Prepared>>>,
}

struct Prepared {
    session: SessionId,
    /// None: it was taken.
    config: Option<Result<WorkerConfig, Error>>,
}

impl WorkerConfigs {
    pub(crate) fn new(hidden: Hidden) -> Self {
        Self {
            hidden,
            last: Arc::default(),
        }
    }

    /// Reads the values that a Welcome's configuration refers to, unless it continues the session before. Cancel-safe.
    ///
    /// # Errors
    /// When they cannot be had now, and may be later: then nobody is to hear of the Welcome, and the agent says Hello again.
    pub(crate) async fn prepare(&self, welcome: &Welcome) -> Result<(), String> {
        let session = welcome.session;
        let is_known = self.lock().as_ref().is_some_and(|last| last.session == session);
        if is_known || !welcome.worker.contains_key(PROVIDERS) {
            return Ok(());
        }
        let (worker, hidden) = (welcome.worker.clone(), self.hidden.clone());
        let read = tokio::task::spawn_blocking(move || WorkerConfig::resolve(&worker, &hidden));
        let config = read.await.map_err(|panicked| panicked.to_string())?;
        if let Err(error) = &config
            && matches!(error.kind(), Error::Retriable { .. })
        {
            let error = trace(error);
            tracing::warn!(
                error,
                "the values of the cluster's worker configuration cannot be had yet: no session begins"
            );
            return Err(error);
        }
        let config = Some(config);
        *self.lock() = Some(Prepared { session, config });
        Ok(())
    }

    /// What was prepared for a session, once.
    pub(crate) fn take(&self, session: SessionId) -> Option<Result<WorkerConfig, Error>> {
        let mut last = self.lock();
        last.as_mut().filter(|last| last.session == session)?.config.take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Prepared>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dray_model::{AgentNumber, LeasePolicy};
    use std::collections::BTreeMap;
    use std::num::NonZeroU64;

    fn id(session: u64) -> SessionId {
        SessionId::from(NonZeroU64::new(session).unwrap())
    }

    fn welcome(session: u64, more: &[(&str, &str)]) -> Welcome {
        let converter = "org.apache.kafka.connect.storage.StringConverter";
        let mut worker = BTreeMap::from([
            ("key.converter".to_owned(), converter.to_owned()),
            ("value.converter".to_owned(), converter.to_owned()),
        ]);
        worker.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        Welcome {
            session: id(session),
            number: AgentNumber::try_from(1).unwrap(),
            lease: LeasePolicy::default(),
            protocol: 1,
            verdicts: Vec::new(),
            worker: Arc::new(worker),
        }
    }

    #[tokio::test]
    async fn it_is_ready_once_for_each_session() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.properties");
        let reference = format!("${{file:{}:group}}", file.display());
        let more = [
            ("config.providers", "file"),
            ("config.providers.file.class", "FileConfigProvider"),
            ("group.id", &reference),
        ];
        let configs = WorkerConfigs::new(Hidden::default());
        let take = |session| configs.take(id(session));
        let group = |config: WorkerConfig| config.originals()["group.id"].clone();
        std::fs::write(&file, "group=one\n").unwrap();
        configs.prepare(&welcome(1, &more)).await.unwrap();
        std::fs::write(&file, "group=two\n").unwrap();
        configs.prepare(&welcome(1, &more)).await.unwrap();
        assert!(take(2).is_none());
        assert_eq!(
            group(take(1).unwrap().unwrap()),
            "one",
            "a session that goes on is not looked at again"
        );
        assert!(take(1).is_none());
        configs.prepare(&welcome(2, &more)).await.unwrap();
        assert_eq!(group(take(2).unwrap().unwrap()), "two");
        std::fs::remove_file(&file).unwrap();
        configs.prepare(&welcome(3, &more)).await.unwrap();
        assert!(take(3).unwrap().is_err(), "what somebody has to mend is heard of");
        configs.prepare(&welcome(4, &[])).await.unwrap();
        assert!(take(4).is_none(), "there was nothing to wait for");
    }

    #[tokio::test]
    async fn what_may_come_later_is_waited_for() {
        // A port that nobody listens on any more.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let configs = WorkerConfigs::new(Hidden::default());
        let welcome = welcome(
            1,
            &[
                ("config.providers", "aws"),
                ("config.providers.aws.class", "SecretsManagerConfigProvider"),
                ("config.providers.aws.param.region", "eu-west-1"),
                (
                    "config.providers.aws.param.endpoint",
                    &format!("http://127.0.0.1:{port}"),
                ),
                ("config.providers.aws.param.aws.access.key", "AKIA"),
                ("config.providers.aws.param.aws.secret.key", "of-a-test"),
                ("group.id", "${aws:group}"),
            ],
        );
        let error = configs.prepare(&welcome).await.unwrap_err();
        assert!(error.contains("cannot be reached"), "{error}");
        assert!(configs.take(id(1)).is_none());
    }
}
