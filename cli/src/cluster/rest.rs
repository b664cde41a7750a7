//! A cluster by Kafka Connect's REST API: the real one, of any release, and Dray's gateway.

use super::http::{Access, Http, segment};
use super::{
    About, Agent, Ask, Change, Cluster, Config, Connector, Error, ErrorKind, Event, Key, KeyErrors, LetterBounds,
    LetterPlace, Letters, Level, Member, New, Offset, Plugin, Policy, Preview, Replay, Replayed, Restarted, Scope,
    Seen, Target, Task, Validation,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::sync::mpsc;

/// Between two looks of a watch: REST has no stream.
const LOOK: Duration = Duration::from_secs(1);

/// The REST API of a cluster. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rest {
    http: Http,
}

#[derive(Deserialize)]
struct Info {
    name: String,
    #[serde(default)]
    config: Config,
    #[serde(rename = "type", default)]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    connector: State,
    #[serde(default)]
    tasks: Vec<TaskState>,
    #[serde(rename = "type", default)]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct State {
    state: String,
    #[serde(default)]
    worker_id: String,
    #[serde(default)]
    trace: Option<String>,
}

#[derive(Deserialize)]
struct TaskState {
    id: u32,
    #[serde(flatten)]
    state: State,
}

#[derive(Deserialize)]
struct Expanded {
    info: Info,
    status: Option<Status>,
}

#[derive(Deserialize)]
struct ConfigInfos {
    error_count: u32,
    configs: Vec<ConfigInfo>,
}

#[derive(Deserialize)]
struct ConfigInfo {
    definition: Option<Value>,
    value: Option<ConfigValue>,
}

#[derive(Deserialize)]
struct ConfigValue {
    name: String,
    value: Option<String>,
    #[serde(default)]
    recommended_values: Option<Vec<String>>,
    #[serde(default)]
    errors: Vec<String>,
}

impl Rest {
    pub(super) fn new(base: &str, access: &Access) -> Result<Self, Error> {
        let http = Http::new(base.trim_end_matches('/'), access)?;
        Ok(Self { http })
    }

    async fn status(&self, name: &str) -> Result<Option<Status>, Error> {
        match self.http.get(&format!("/connectors/{}/status", segment(name))).await {
            Ok(body) => read(body).map(Some),
            // One that has just been created has none yet.
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[async_trait::async_trait]
impl Cluster for Rest {
    fn at(&self) -> &str {
        self.http.base()
    }

    async fn about(&self) -> Result<About, Error> {
        let root = self.http.get("/").await?;
        let text = |key: &str| root.get(key).and_then(Value::as_str).map(str::to_owned);
        let version = text("version").ok_or_else(|| {
            let said = format!("{} has no `version`: is that Kafka Connect's REST API?", self.at());
            Error::new(ErrorKind::Failed, said)
        })?;
        Ok(About {
            product: if version.contains("-dray.") {
                "Dray"
            } else {
                "Kafka Connect"
            },
            version,
            commit: text("commit"),
            kafka_cluster_id: text("kafka_cluster_id"),
            ..About::default()
        })
    }

    async fn connectors(&self) -> Result<Vec<Connector>, Error> {
        let body = self.http.get("/connectors?expand=info&expand=status").await?;
        // Connect before 2.3 knows no `expand`, and answers names.
        if let Value::Array(names) = &body {
            let mut connectors = Vec::new();
            for name in names.iter().filter_map(Value::as_str) {
                connectors.push(self.connector(name).await?);
            }
            return Ok(connectors);
        }
        let expanded: BTreeMap<String, Expanded> = read(body)?;
        Ok(expanded
            .into_values()
            .map(|one| connector(one.info, one.status))
            .collect())
    }

    async fn connector(&self, name: &str) -> Result<Connector, Error> {
        let info = read(self.http.get(&format!("/connectors/{}", segment(name))).await?)?;
        Ok(connector(info, self.status(name).await?))
    }

    async fn create(&self, new: &New, checked: bool) -> Result<(), Error> {
        always_checked(checked)?;
        let mut body = json!({ "name": new.name, "config": new.config });
        // Connect before 3.7 refuses a property that it does not know.
        if new.target != Target::Running {
            body["initial_state"] = new.target.word().into();
        }
        self.http.ask("POST", "/connectors", Some(&body), &[]).await?;
        Ok(())
    }

    async fn configure(&self, name: &str, config: &Config, revision: Option<u64>, checked: bool) -> Result<(), Error> {
        always_checked(checked)?;
        // A PUT would create it.
        let path = format!("/connectors/{}", segment(name));
        self.http.get(&path).await?;
        // Connect itself does not look at it; whoever has a revision has it from Dray.
        let condition = revision.map(|revision| ("If-Match", format!("\"{revision}\"")));
        let headers: Vec<_> = condition.into_iter().collect();
        let path = format!("{path}/config");
        self.http.ask("PUT", &path, Some(&json!(config)), &headers).await?;
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<(), Error> {
        let path = format!("/connectors/{}", segment(name));
        self.http.ask("DELETE", &path, None, &[]).await?;
        Ok(())
    }

    async fn set_target(&self, name: &str, target: Target) -> Result<(), Error> {
        let verb = match target {
            Target::Running => "resume",
            Target::Paused => "pause",
            Target::Stopped => "stop",
        };
        let path = format!("/connectors/{}/{verb}", segment(name));
        self.http.ask("PUT", &path, None, &[]).await?;
        Ok(())
    }

    async fn restart(&self, name: &str, tasks: bool, only_failed: bool) -> Result<Restarted, Error> {
        // Without parameters it is what Connect before 3.0 has.
        let query = match (tasks, only_failed) {
            (false, false) => String::new(),
            _ => format!("?includeTasks={tasks}&onlyFailed={only_failed}"),
        };
        let path = format!("/connectors/{}/restart{query}", segment(name));
        let answer = self.http.ask("POST", &path, None, &[]).await?;
        if answer.body.is_null() {
            let instance = Some(true);
            return Ok(Restarted {
                instance,
                tasks: vec![],
            });
        }
        let status: Status = read(answer.body)?;
        let tasks = status.tasks.iter().filter(|task| task.state.state == "RESTARTING");
        Ok(Restarted {
            instance: Some(status.connector.state == "RESTARTING"),
            tasks: tasks.map(|task| task.id).collect(),
        })
    }

    async fn task_configs(&self, name: &str) -> Result<Vec<Config>, Error> {
        #[derive(Deserialize)]
        struct TaskInfo {
            config: Config,
        }
        let body = self.http.get(&format!("/connectors/{}/tasks", segment(name))).await?;
        let tasks: Vec<TaskInfo> = read(body)?;
        Ok(tasks.into_iter().map(|task| task.config).collect())
    }

    async fn restart_task(&self, name: &str, task: u32) -> Result<(), Error> {
        let path = format!("/connectors/{}/tasks/{task}/restart", segment(name));
        self.http.ask("POST", &path, None, &[]).await?;
        Ok(())
    }

    async fn offsets(&self, name: &str) -> Result<Vec<Offset>, Error> {
        #[derive(Deserialize)]
        struct Offsets {
            offsets: Vec<Offset>,
        }
        let body = self.http.get(&format!("/connectors/{}/offsets", segment(name))).await?;
        Ok(read::<Offsets>(body)?.offsets)
    }

    async fn set_offsets(&self, name: &str, offsets: &[Offset]) -> Result<String, Error> {
        let path = format!("/connectors/{}/offsets", segment(name));
        let body = json!({ "offsets": offsets });
        Ok(message(&self.http.ask("PATCH", &path, Some(&body), &[]).await?.body))
    }

    async fn reset_offsets(&self, name: &str) -> Result<String, Error> {
        let path = format!("/connectors/{}/offsets", segment(name));
        Ok(message(&self.http.ask("DELETE", &path, None, &[]).await?.body))
    }

    async fn letters(&self, _: &str, _: u32, _: Option<LetterPlace>) -> Result<Letters, Error> {
        Err(no_letters())
    }

    async fn replay_letters(&self, _: &str, _: &Replay) -> Result<Replayed, Error> {
        Err(no_letters())
    }

    async fn drop_letters(&self, _: &str, _: &[LetterPlace]) -> Result<Vec<LetterBounds>, Error> {
        Err(no_letters())
    }

    async fn topics(&self, name: &str) -> Result<Vec<String>, Error> {
        #[derive(Deserialize)]
        struct Topics {
            topics: BTreeSet<String>,
        }
        let body = self.http.get(&format!("/connectors/{}/topics", segment(name))).await?;
        let topics: BTreeMap<String, Topics> = read(body)?;
        Ok(topics.into_values().flat_map(|found| found.topics).collect())
    }

    async fn reset_topics(&self, name: &str) -> Result<(), Error> {
        let path = format!("/connectors/{}/topics/reset", segment(name));
        self.http.ask("PUT", &path, None, &[]).await?;
        Ok(())
    }

    async fn plugins(&self) -> Result<Vec<Plugin>, Error> {
        #[derive(Deserialize)]
        struct Found {
            class: String,
            #[serde(rename = "type")]
            kind: String,
            #[serde(default)]
            version: Option<String>,
        }
        let body = self.http.get("/connector-plugins?connectorsOnly=false").await?;
        let plugins = read::<Vec<Found>>(body)?.into_iter();
        let plugins = plugins.map(|found| Plugin {
            class: found.class,
            kind: found.kind,
            version: found.version.unwrap_or_default(),
        });
        Ok(plugins.collect())
    }

    async fn plugin_keys(&self, plugin: &str) -> Result<Vec<Key>, Error> {
        read(
            self.http
                .get(&format!("/connector-plugins/{}/config", segment(plugin)))
                .await?,
        )
    }

    async fn validate(&self, config: &Config) -> Result<Validation, Error> {
        let Some(class) = config.get("connector.class") else {
            return Err(Error::new(ErrorKind::Invalid, "`connector.class` is missing"));
        };
        let path = format!("/connector-plugins/{}/config/validate", segment(class.trim()));
        let infos: ConfigInfos = read(self.http.ask("PUT", &path, Some(&json!(config)), &[]).await?.body)?;
        let defined: BTreeSet<String> = infos
            .configs
            .iter()
            .filter(|info| info.definition.as_ref().is_some_and(|definition| !definition.is_null()))
            .filter_map(|info| Some(info.value.as_ref()?.name.clone()))
            .collect();
        let values = infos.configs.into_iter().filter_map(|info| info.value);
        let errors = values.filter(|value| !value.errors.is_empty()).map(|value| KeyErrors {
            key: value.name,
            value: value.value,
            errors: value.errors,
            recommended: value.recommended_values.unwrap_or_default(),
        });
        Ok(Validation {
            error_count: infos.error_count,
            errors: errors.collect(),
            unknown: super::unknown_keys(config, &defined),
        })
    }

    async fn preview(&self, _: &Ask) -> Result<Preview, Error> {
        let said = "Kafka Connect has no call for it, and neither has its REST API: use --control HOST:PORT for a Dray cluster; \
                    `dray transform test` runs transforms on records from a file without any cluster";
        Err(Error::new(ErrorKind::Unsupported, said))
    }

    async fn loggers(&self) -> Result<BTreeMap<String, Level>, Error> {
        read(self.http.get("/admin/loggers").await?)
    }

    async fn logger(&self, logger: &str) -> Result<Level, Error> {
        read(self.http.get(&format!("/admin/loggers/{}", segment(logger))).await?)
    }

    async fn set_level(&self, logger: &str, level: &str, scope: Scope) -> Result<Vec<String>, Error> {
        // Connect before 3.7 has no scopes: without the parameter it is the worker.
        let query = match scope {
            Scope::Worker => "",
            Scope::Cluster => "?scope=cluster",
        };
        let path = format!("/admin/loggers/{}{query}", segment(logger));
        let answer = self
            .http
            .ask("PUT", &path, Some(&json!({ "level": level })), &[])
            .await?;
        if answer.body.is_null() {
            return Ok(vec![]);
        }
        read(answer.body)
    }

    async fn members(&self) -> Result<Vec<Member>, Error> {
        let mut members: BTreeMap<String, (usize, usize)> = BTreeMap::new();
        for connector in self.connectors().await? {
            let (worker, tasks) = (connector.seen.worker_id, connector.tasks);
            members.entry(worker).or_default().0 += 1;
            for task in tasks {
                members.entry(task.seen.worker_id).or_default().1 += 1;
            }
        }
        let members = members.into_iter().filter(|(worker, _)| !worker.is_empty());
        let members = members.map(|(worker, (connectors, tasks))| Member {
            id: worker.clone(),
            role: "worker",
            state: "-".into(),
            address: worker,
            version: String::new(),
            connectors: Some(connectors),
            tasks: Some(tasks),
        });
        Ok(members.collect())
    }

    async fn agents(&self) -> Result<Vec<Agent>, Error> {
        Err(no_agents())
    }

    async fn agent(&self, _: &str) -> Result<Agent, Error> {
        Err(no_agents())
    }

    async fn decide(&self, _: &str, _: Policy) -> Result<(), Error> {
        Err(no_agents())
    }

    async fn watch(&self, events: mpsc::Sender<Event>) -> Result<(), Error> {
        let mut before: Option<BTreeMap<String, Change>> = None;
        loop {
            let mut now = BTreeMap::new();
            for connector in self.connectors().await? {
                for change in super::changes(&connector) {
                    now.insert(change.name.clone(), change);
                }
            }
            let reset = before.is_none();
            let before_it = before.take().unwrap_or_default();
            let gone = before_it.values().filter(|change| !now.contains_key(&change.name));
            let gone = gone.map(|change| Change {
                state: None,
                place: String::new(),
                trace: None,
                ..change.clone()
            });
            let new = now
                .values()
                .filter(|change| before_it.get(&change.name) != Some(*change))
                .cloned();
            let event = Event {
                reset,
                synced: true,
                stale_s: None,
                changes: gone.chain(new).collect(),
            };
            if (reset || !event.changes.is_empty()) && events.send(event).await.is_err() {
                return Ok(());
            }
            before = Some(now);
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = events.closed() => return Ok(()),
            }
        }
    }
}

fn connector(info: Info, status: Option<Status>) -> Connector {
    let kind = info
        .kind
        .or_else(|| status.as_ref().and_then(|status| status.kind.clone()));
    let (state, seen, tasks) = match status {
        None => ("UNASSIGNED".to_owned(), Seen::default(), vec![]),
        Some(status) => {
            let tasks = status.tasks.into_iter().map(|task| Task {
                id: task.id,
                state: task.state.state.clone(),
                seen: seen(task.state),
            });
            let tasks = tasks.collect();
            (status.connector.state.clone(), seen(status.connector), tasks)
        }
    };
    // Dray says why beside PAUSED for no other reason, and Kafka Connect never.
    let breaker = Some(&seen)
        .filter(|_| state == "PAUSED")
        .and_then(|seen| seen.trace.clone());
    Connector {
        breaker,
        name: info.name,
        kind: kind.filter(|kind| kind != "unknown"),
        state,
        seen,
        tasks,
        config: info.config,
        ..Connector::default()
    }
}

fn seen(state: State) -> Seen {
    Seen {
        worker_id: state.worker_id,
        trace: state.trace.filter(|trace| !trace.is_empty()),
        ..Seen::default()
    }
}

fn read<T: DeserializeOwned>(body: Value) -> Result<T, Error> {
    T::deserialize(body).map_err(|error| {
        let said = format!("the answer is not as Kafka Connect's are: {error}");
        Error::new(ErrorKind::Failed, said)
    })
}

fn message(body: &Value) -> String {
    let message = body.get("message").and_then(Value::as_str);
    message.unwrap_or("done").to_owned()
}

fn always_checked(checked: bool) -> Result<(), Error> {
    if checked {
        return Ok(());
    }
    let said = "over REST a configuration is always validated: --no-validate works with --control only";
    Err(Error::new(ErrorKind::Unsupported, said))
}

fn no_agents() -> Error {
    let said = "Kafka Connect has no agents, and its REST API no way to ask for them: use --control HOST:PORT for a Dray cluster; \
                `dray cluster members` shows Connect's workers";
    Error::new(ErrorKind::Unsupported, said)
}

fn no_letters() -> Error {
    let said =
        "Kafka Connect's REST API has no way to ask for dead letters: use --control HOST:PORT for a Dray cluster";
    Error::new(ErrorKind::Unsupported, said)
}
