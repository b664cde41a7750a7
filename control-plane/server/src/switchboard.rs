//! Which agents answer calls, and who waits for which answer.

use dray_model::AgentId;
use dray_model::message::Plugin;
use dray_wire::agent::v1::call_answer::Result as Answer;
use dray_wire::agent::v1::calls_response::Call;
use dray_wire::agent::v1::{CallError, CallErrorKind};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep, timeout};

/// Calls that an agent's stream has not yet taken; who comes then is told that the agent is busy.
pub(crate) const CALLS: usize = 64;
/// When a second agent is asked what the first has not answered: design (b).
const HEDGE: Duration = Duration::from_millis(50);

/// A call on its way to an agent.
pub(crate) struct Asked {
    pub(crate) call: Call,
    pub(crate) timeout: Duration,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// The stream of an agent.
#[derive(Clone)]
struct Line {
    number: usize,
    agent: AgentId,
    plugins: Vec<Plugin>,
    calls: mpsc::Sender<Asked>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// No agent was there, or each said that it cannot answer: nothing was done.
    Nobody(String),
    /// An agent was asked and says nothing: whether it did it is not known.
    Unknown(String),
}

/// The agents that answer calls at this replica.
#[derive(Default)]
pub(crate) struct Switchboard {
    lines: Mutex<BTreeMap<AgentId, Line>>,
    /// Somebody has come.
    joined: Notify,
    /// Numbers streams, and says with whom the next call begins.
    next: AtomicUsize,
}

impl Switchboard {
    /// An agent answers from now on; its number is for [`leave`](Self::leave). An older stream of it gets no more calls.
    pub(crate) fn join(&self, agent: AgentId, plugins: Vec<Plugin>) -> (usize, mpsc::Receiver<Asked>) {
        let (calls, asked) = mpsc::channel(CALLS);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let line = Line {
            number,
            agent: agent.clone(),
            plugins,
            calls,
        };
        self.lines().insert(agent, line);
        self.joined.notify_waiters();
        (number, asked)
    }

    /// A stream has ended.
    pub(crate) fn leave(&self, agent: &AgentId, number: usize) {
        let mut lines = self.lines();
        if lines.get(agent).is_some_and(|line| line.number == number) {
            lines.remove(agent);
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.lines().len()
    }

    /// All plugins, each once.
    pub(crate) fn plugins(&self) -> Vec<Plugin> {
        let mut plugins: Vec<Plugin> = self.lines().values().flat_map(|line| line.plugins.clone()).collect();
        plugins.sort();
        plugins.dedup();
        plugins
    }

    /// Waits until somebody answers.
    pub(crate) async fn somebody(&self) {
        loop {
            let joined = self.joined.notified();
            tokio::pin!(joined);
            // From here on nobody comes unnoticed.
            joined.as_mut().enable();
            if !self.lines().is_empty() {
                return;
            }
            joined.await;
        }
    }

    /// Asks what changes nothing: an agent that has `plugin`, if one has, and another one when that takes long. The first answer counts.
    pub(crate) async fn ask(&self, plugin: &str, call: &Call, within: Duration) -> Result<Answer, NoAnswer> {
        let mut left = self.in_turn(plugin).into_iter();
        let mut asked = FuturesUnordered::new();
        let mut last = NoAnswer::Nobody("no agent is connected that could answer".into());
        asked.extend(left.next().map(|line| line.ask(call.clone(), within)));
        while !asked.is_empty() {
            tokio::select! {
                Some(answer) = asked.next() => match answer {
                    Ok(answer) => return Ok(answer),
                    Err(none) => {
                        last = none;
                        asked.extend(left.next().map(|line| line.ask(call.clone(), within)));
                    }
                },
                () = sleep(HEDGE), if left.len() > 0 && asked.len() < 2 => {
                    asked.extend(left.next().map(|line| line.ask(call.clone(), within)));
                }
            }
        }
        Err(last)
    }

    /// Asks one agent, while it has this stream.
    pub(crate) async fn ask_one(
        &self,
        agent: &AgentId,
        number: usize,
        call: Call,
        within: Duration,
    ) -> Result<Answer, NoAnswer> {
        let line = self.lines().get(agent).filter(|line| line.number == number).cloned();
        match line {
            Some(line) => line.ask(call, within).await,
            None => Err(NoAnswer::Nobody(format!("agent {agent} has another stream by now"))),
        }
    }

    /// Asks for something that is to be done once: one agent after the other, until one has taken it.
    pub(crate) async fn order(&self, plugin: &str, call: &Call, within: Duration) -> Result<Answer, NoAnswer> {
        let mut last = NoAnswer::Nobody("no agent is connected that could do it".into());
        for line in self.in_turn(plugin) {
            match line.ask(call.clone(), within).await {
                Err(NoAnswer::Nobody(why)) => last = NoAnswer::Nobody(why),
                Ok(answer) => return Ok(answer),
                Err(unknown) => return Err(unknown),
            }
        }
        Err(last)
    }

    /// All agents, those that have the plugin first, beginning with another one each time.
    fn in_turn(&self, plugin: &str) -> Vec<Line> {
        let mut lines: Vec<Line> = self.lines().values().cloned().collect();
        if !lines.is_empty() {
            let first = self.next.fetch_add(1, Ordering::Relaxed) % lines.len();
            lines.rotate_left(first);
        }
        lines.sort_by_key(|line| {
            !line
                .plugins
                .iter()
                .any(|known| answers_to(known.class.as_str(), plugin))
        });
        lines
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<AgentId, Line>> {
        // Nothing that is done under it panics half-way.
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    async fn ask(self, call: Call, within: Duration) -> Result<Answer, NoAnswer> {
        let agent = &self.agent;
        let (sender, answer) = oneshot::channel();
        let asked = Asked {
            call,
            timeout: within,
            answer: sender,
        };
        if self.calls.try_send(asked).is_err() {
            return Err(NoAnswer::Nobody(format!(
                "agent {agent} takes no more calls at the moment"
            )));
        }
        match timeout(within, answer).await {
            Ok(Ok(Answer::Error(error))) if is_elsewhere(&error) => Err(NoAnswer::Nobody(format!(
                "agent {agent} cannot answer: {}",
                error.message
            ))),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(NoAnswer::Unknown(format!("agent {agent} went away before it answered"))),
            Err(_) => Err(NoAnswer::Unknown(format!(
                "agent {agent} did not answer in {} ms",
                within.as_millis()
            ))),
        }
    }
}

/// Another agent may be able to answer. What a newer agent says and we do not know is its last word.
fn is_elsewhere(error: &CallError) -> bool {
    error.kind() == CallErrorKind::Unavailable
}

/// Whether a configuration that says `name` means this class: in full, by its simple name, or by that without what it is.
fn answers_to(class: &str, name: &str) -> bool {
    let simple = class.rsplit('.').next().unwrap_or(class);
    let bare = ["Connector", "HeaderConverter", "Converter"]
        .iter()
        .find_map(|kind| simple.strip_suffix(kind));
    name == class || name == simple || Some(name) == bare
}

#[cfg(test)]
mod tests {
    use super::*;
    use dray_model::message::PluginKind;
    use dray_wire::agent::v1::{PluginConfigCall, PluginConfigResult};

    fn agent(id: &str) -> AgentId {
        id.try_into().unwrap()
    }

    fn plugin(class: &str) -> Plugin {
        Plugin {
            class: class.to_owned().try_into().unwrap(),
            version: "1".to_owned().into(),
            kind: PluginKind::Source,
        }
    }

    fn call() -> Call {
        Call::PluginConfig(PluginConfigCall { plugin: "Fast".into() })
    }

    fn yes() -> Answer {
        Answer::PluginConfig(PluginConfigResult::default())
    }

    fn cannot() -> Answer {
        Answer::Error(CallError {
            kind: CallErrorKind::Unavailable.into(),
            message: "no session".into(),
            exception: String::new(),
        })
    }

    const WITHIN: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn who_has_the_plugin_is_asked_first_and_another_one_when_that_takes_long() {
        let (board, fast) = (Switchboard::default(), call());
        let (_, mut other) = board.join(agent("a"), vec![plugin("x.Other")]);
        let (_, mut has) = board.join(agent("b"), vec![plugin("x.FastConnector")]);
        let answering = async {
            let slow = has.recv().await.unwrap();
            let second = other.recv().await.unwrap();
            second.answer.send(yes()).unwrap();
            slow
        };
        let asked_at = tokio::time::Instant::now();
        let (answer, slow) = tokio::join!(board.ask("Fast", &fast, WITHIN), answering);
        assert_eq!(answer, Ok(yes()));
        assert_eq!(asked_at.elapsed(), HEDGE);
        assert!(slow.answer.is_closed(), "nobody waits for the slow one any more");
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_answer_is_passed_over_and_the_last_reason_is_told() {
        let (board, fast) = (Switchboard::default(), call());
        assert!(matches!(
            board.ask("Fast", &fast, WITHIN).await,
            Err(NoAnswer::Nobody(_))
        ));
        let (_, mut one) = board.join(agent("a"), vec![]);
        let (_, mut two) = board.join(agent("b"), vec![]);
        let both_cannot = async {
            for line in [&mut one, &mut two] {
                line.recv().await.unwrap().answer.send(cannot()).unwrap();
            }
        };
        let (answer, ()) = tokio::join!(board.order("Fast", &fast, WITHIN), both_cannot);
        assert!(matches!(answer, Err(NoAnswer::Nobody(why)) if why.contains("no session")));
    }

    /// What may have been done is not done a second time elsewhere.
    #[tokio::test(start_paused = true)]
    async fn an_order_that_was_taken_is_not_given_again() {
        let (board, fast) = (Switchboard::default(), call());
        let (number, mut one) = board.join(agent("a"), vec![plugin("x.FastConnector")]);
        let (_, mut two) = board.join(agent("b"), vec![]);
        let gone = async {
            drop(one.recv().await.unwrap());
            board.leave(&agent("a"), number);
        };
        let (answer, ()) = tokio::join!(board.order("Fast", &fast, WITHIN), gone);
        assert!(matches!(answer, Err(NoAnswer::Unknown(_))), "{answer:?}");
        assert!(two.try_recv().is_err());
    }

    #[tokio::test]
    async fn an_old_stream_that_ends_takes_nothing_with_it() {
        let board = Switchboard::default();
        let (old, _gone) = board.join(agent("a"), vec![plugin("x.Old")]);
        let (_, _asked) = board.join(agent("a"), vec![plugin("x.New")]);
        board.leave(&agent("a"), old);
        assert_eq!(board.plugins(), [plugin("x.New")]);
        board.somebody().await;
    }
}
