//! The session's writers, one for each Kafka cluster that it touches (F2, F3), and the checks of single ownerships (F4).

use crate::event::Effect;
use crate::session::Session;
use dray_model::message::{FromAgent, Owned, RunState, Verdict, WriterOpened};
use dray_model::{AgentSession, KafkaCluster, Millis, SessionId};

/// A writer that is fenced again so soon after it was opened again was fenced by somebody: no transaction times out so often.
const AGAIN_MS: u64 = 60_000;
/// Fenced sessions that are remembered, to be said again on the next connection.
const FENCED: usize = 256;

/// The writer on one cluster.
#[derive(Debug)]
pub(crate) struct Writer {
    state: State,
    /// Why there is none.
    refused: Option<String>,
    /// When its latest commit was sent.
    pub(crate) committed: Option<Millis>,
    /// It was fenced, or its transaction timed out, and is not confirmed again.
    doubted: bool,
    /// When it was last opened again for that.
    reopened: Option<Millis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Fenced, or timed out. Opened again when the control plane says that the session is current.
    Lost,
    /// InitProducerId runs.
    Opening,
    /// The leader must write down that this session has a writer there before it may be used.
    Opened,
    /// It may be used.
    Confirmed,
}

impl Writer {
    pub(crate) fn trusted(&self) -> bool {
        !self.doubted
    }
}

impl Session {
    pub(crate) fn writer_wanted(&mut self, cluster: KafkaCluster) {
        let Some(own) = self.live() else { return };
        let session = own.id;
        match own.writers.get(&cluster).map(|writer| writer.state) {
            None => {
                let writer = Writer {
                    state: State::Opening,
                    refused: None,
                    committed: None,
                    doubted: false,
                    reopened: None,
                };
                own.writers.insert(cluster.clone(), writer);
                self.effect(Effect::OpenWriter { cluster, session });
            }
            Some(State::Confirmed) => self.effect(Effect::UseWriter { cluster, session }),
            Some(State::Lost | State::Opening | State::Opened) => {}
        }
    }

    pub(crate) fn writer_opened(&mut self, session: SessionId, cluster: KafkaCluster, refused: Option<String>) {
        let Some(own) = self.live().filter(|own| own.id == session) else {
            return;
        };
        let unfenceable = refused.is_some();
        let Some(writer) = own
            .writers
            .get_mut(&cluster)
            .filter(|writer| writer.state == State::Opening)
        else {
            return;
        };
        writer.state = State::Opened;
        writer.refused.clone_from(&refused);
        own.unfenceable |= unfenceable;
        self.say(FromAgent::WriterOpened(WriterOpened { cluster, refused }));
    }

    pub(crate) fn writer_confirmed(&mut self, cluster: KafkaCluster) {
        let Some(own) = self.live() else { return };
        let session = own.id;
        let Some(writer) = own
            .writers
            .get_mut(&cluster)
            .filter(|writer| writer.state == State::Opened)
        else {
            return;
        };
        writer.state = State::Confirmed;
        writer.doubted = false;
        self.tell_gate();
        self.effect(Effect::UseWriter { cluster, session });
    }

    /// The leader says that the session is current: what was opened is said again, what was lost is opened again.
    pub(crate) fn writers_on_welcome(&mut self) {
        let now = self.now;
        let Some(own) = self.live() else { return };
        let session = own.id;
        let (mut opened, mut lost) = (Vec::new(), Vec::new());
        for (cluster, writer) in &mut own.writers {
            let cluster = cluster.clone();
            match writer.state {
                State::Opened => {
                    let refused = writer.refused.clone();
                    opened.push(WriterOpened { cluster, refused });
                }
                State::Lost => {
                    writer.state = State::Opening;
                    writer.reopened = Some(now);
                    lost.push(cluster);
                }
                State::Opening | State::Confirmed => {}
            }
        }
        for opened in opened {
            self.say(FromAgent::WriterOpened(opened));
        }
        for cluster in lost {
            self.effect(Effect::OpenWriter { cluster, session });
        }
    }

    pub(crate) fn writer_committed(&mut self, session: SessionId, cluster: &KafkaCluster, sent: Millis) {
        let now = self.now;
        let Some(own) = self.live().filter(|own| own.id == session) else {
            return;
        };
        let Some(writer) = own.writers.get_mut(cluster) else {
            return;
        };
        // Nobody can have sent it later than now.
        writer.committed = writer.committed.max(Some(sent.min(now)));
        if !self.is_up() {
            self.check_by_commits();
        }
    }

    /// Somebody has declared the session dead, or only a transaction has timed out; the two look the same. Nothing may be done until the
    /// control plane has said which it was: it is greeted again, and says that the session goes on, or is over.
    pub(crate) fn writer_fenced(&mut self, session: SessionId, cluster: &KafkaCluster) {
        let now = self.now;
        let Some(own) = self.live().filter(|own| own.id == session) else {
            return;
        };
        let Some(writer) = own.writers.get_mut(cluster) else {
            return;
        };
        if writer.state == State::Lost {
            return;
        }
        writer.state = State::Lost;
        writer.doubted = true;
        if writer.reopened.is_some_and(|at| now.since(at) < AGAIN_MS) {
            return self.end_session(
                &format!("its writer on Kafka cluster {cluster} was fenced twice in a minute"),
                0,
            );
        }
        self.tell_gate();
        if self.is_up() {
            self.hang_up(0);
        }
    }

    pub(crate) fn session_fenced(&mut self, dead: AgentSession, cluster: KafkaCluster) {
        let Some(own) = self.live() else { return };
        if own.fenced.len() >= FENCED {
            own.fenced.pop_first();
        }
        own.fenced.insert((dead, cluster.clone()));
        self.say(FromAgent::SessionFenced { dead, cluster });
    }

    pub(crate) fn check(&mut self, owned: Owned) {
        let now = self.now;
        let current = self
            .running(owned)
            .is_some_and(|running| running.state != RunState::Stopping);
        if !current {
            if let Some(own) = &mut self.own {
                own.checks.retain(|_, asked| asked.0 != owned);
            }
            return self.effect(Effect::Checked { owned, keep: false });
        }
        let Some(own) = self.live() else { return };
        own.checks.insert(owned.task, (owned, now));
        self.say(FromAgent::GenerationCheck(vec![owned]));
    }

    pub(crate) fn verdicts(&mut self, verdicts: &[Verdict]) {
        for Verdict { owned, keep } in verdicts.iter().copied() {
            let Some(own) = self.live() else { return };
            if own.checks.get(&owned.task).is_none_or(|check| check.0 != owned) {
                continue;
            }
            own.checks.remove(&owned.task);
            self.effect(Effect::Checked { owned, keep });
            if !keep {
                self.kill(owned);
            }
        }
    }

    /// Without the control plane, a commit of the writer that was sent after the question proves that nobody has fenced the session yet.
    /// Which cluster the task is on is not known here, so each of them must have seen one.
    fn check_by_commits(&mut self) {
        let Some(own) = self.live().filter(|own| !own.unfenceable) else {
            return;
        };
        let used = own.writers.values().filter(|writer| writer.state != State::Opening);
        let Some(proven) = used.map(|writer| writer.committed).min().flatten() else {
            return;
        };
        if !own.writers.values().all(Writer::trusted) {
            return;
        }
        let sure: Vec<_> = own
            .checks
            .values()
            .filter(|(_, asked)| *asked < proven)
            .map(|check| check.0)
            .collect();
        for owned in sure {
            if let Some(own) = self.live() {
                own.checks.remove(&owned.task);
            }
            self.effect(Effect::Checked { owned, keep: true });
        }
    }
}
