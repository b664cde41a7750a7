//! `?wait=SECONDS`, which Connect does not have: the answer comes when what was asked for is so.

use crate::error::Error;
use crate::gateway::Rest;
use crate::query;
use axum::http::StatusCode;
use dray_wire::admin::v1;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tonic::{Code, Request};

/// Connect's own time for a request.
const LONGEST: u64 = 90;
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// It and its tasks run, or have failed.
    Running,
    Paused,
    Stopped,
    /// Nothing of it is there any more.
    Gone,
}

impl From<v1::TargetState> for Until {
    fn from(target: v1::TargetState) -> Self {
        match target {
            v1::TargetState::Paused => Self::Paused,
            v1::TargetState::Stopped => Self::Stopped,
            v1::TargetState::Started | v1::TargetState::Unspecified => Self::Running,
        }
    }
}

/// How long the client wants to wait, if it says so. Read before anything is changed.
pub(crate) fn asked(query: Option<&str>) -> Result<Option<Duration>, Error> {
    let Some(text) = query::values(query, "wait").next() else {
        return Ok(None);
    };
    match text.parse() {
        Ok(seconds @ 0..=LONGEST) => Ok(Some(Duration::from_secs(seconds))),
        Ok(_) | Err(_) => Err(Error::bad_request(format!(
            "wait={text} is not a number of seconds from 0 to {LONGEST}"
        ))),
    }
}

impl Rest {
    /// Waits for a connector, if that was asked for.
    pub(crate) async fn wait(&self, name: &str, until: Until, within: Option<Duration>) -> Result<(), Error> {
        let Some(within) = within else { return Ok(()) };
        let end = Instant::now() + within;
        while !self.is_so(name, until).await? {
            if Instant::now() >= end {
                let seconds = within.as_secs();
                let text = format!("Connector {name}: it was changed, and is not {until:?} after {seconds} s");
                return Err(Error::new(StatusCode::GATEWAY_TIMEOUT, text));
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn is_so(&self, name: &str, until: Until) -> Result<bool, Error> {
        if until == Until::Gone {
            let request = v1::GetConnectorRequest {
                consistency: None,
                name: name.into(),
            };
            return match self.services.connectors.get_connector(Request::new(request)).await {
                Ok(_) => Ok(false),
                Err(status) if status.code() == Code::NotFound => Ok(true),
                Err(status) => Err(status.into()),
            };
        }
        let seen = self.seen(name).await?;
        Ok(seen.is_some_and(|seen| is(&seen, until)))
    }
}

fn is(seen: &v1::ConnectorWithTasks, until: Until) -> bool {
    use v1::{ConnectorState as Of, TaskState as Task};
    let state = seen.status.as_ref().map_or(Of::Unspecified, |status| status.state());
    let mut tasks = seen.tasks.iter().map(|task| match &task.status {
        Some(status) => status.state(),
        None => Task::Unspecified,
    });
    match until {
        Until::Running => {
            state == Of::Failed
                || (state == Of::Running
                    && !seen.tasks.is_empty()
                    && tasks.all(|task| matches!(task, Task::Running | Task::Failed)))
        }
        Until::Paused => state == Of::Paused && tasks.all(|task| task == Task::Paused),
        Until::Stopped => state == Of::Stopped && seen.tasks.is_empty(),
        Until::Gone => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(state: v1::ConnectorState, tasks: &[v1::TaskState]) -> v1::ConnectorWithTasks {
        let task = |(number, state): (u32, &v1::TaskState)| v1::TaskWithNumber {
            number,
            status: Some(v1::TaskStatus {
                state: (*state).into(),
                ..v1::TaskStatus::default()
            }),
        };
        v1::ConnectorWithTasks {
            name: "c".into(),
            status: Some(v1::ConnectorStatus {
                state: state.into(),
                ..v1::ConnectorStatus::default()
            }),
            tasks: (0..).zip(tasks).map(task).collect(),
        }
    }

    #[test]
    fn it_is_so_when_all_of_it_is() {
        use v1::{ConnectorState as Of, TaskState as Task};
        for (state, tasks, until) in [
            (Of::Running, &[Task::Running, Task::Failed][..], Until::Running),
            (Of::Failed, &[], Until::Running),
            (Of::Paused, &[Task::Paused], Until::Paused),
            (Of::Stopped, &[], Until::Stopped),
        ] {
            assert!(is(&seen(state, tasks), until), "{until:?}");
        }
        for (state, tasks, until) in [
            (Of::Running, &[][..], Until::Running),
            (Of::Running, &[Task::Running, Task::Unassigned], Until::Running),
            (Of::Paused, &[Task::Paused, Task::Running], Until::Paused),
            (Of::Stopped, &[Task::Running], Until::Stopped),
        ] {
            assert!(!is(&seen(state, tasks), until), "{until:?}");
        }
    }

    #[test]
    fn it_is_asked_for_in_seconds() {
        assert_eq!(asked(Some("x=1")).unwrap(), None);
        assert_eq!(asked(Some("wait=5")).unwrap(), Some(Duration::from_secs(5)));
        for wrong in ["wait", "wait=-1", "wait=91", "wait=1.5", "wait=true"] {
            assert_eq!(
                asked(Some(wrong)).unwrap_err().status,
                StatusCode::BAD_REQUEST,
                "{wrong}"
            );
        }
    }
}
