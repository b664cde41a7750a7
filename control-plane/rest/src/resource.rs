//! Which resource a path names, and which verbs it has.

use axum::http::Method;
use percent_encoding::percent_decode_str;

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Root,
    Health,
    OpenApi,
    OpenApiPage,
    Connectors,
    Connector(String),
    Config(String),
    Status(String),
    Restart(String),
    Pause(String),
    Resume(String),
    Stop(String),
    Topics(String),
    TopicsReset(String),
    Tasks(String),
    TaskStatus(String, i32),
    TaskRestart(String, i32),
    Offsets(String),
    Loggers,
    Logger(String),
    Plugins,
    PluginConfig(String),
    Validate(String),
    Agents,
    Agent(String),
    AgentPolicy(String, Policy),
}

/// What an agent is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// It is given no more tasks.
    Cordon,
    /// It is given tasks again.
    Uncordon,
    /// Its tasks go elsewhere.
    Drain,
}

/// A path that names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoResource {
    NotFound,
    /// Its percent signs are none.
    Malformed,
}

impl Resource {
    /// Segments are split before names are decoded, so that one may contain a `/`. One slash at the end is as none, and what follows a
    /// `;` belongs to no name.
    pub(crate) fn of(path: &str) -> Result<Self, NoResource> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let path = path.strip_suffix('/').unwrap_or(path);
        if path.is_empty() {
            return Ok(Self::Root);
        }
        // Jetty takes neither for a path: it could be read in more than one way.
        if path.split('/').any(str::is_empty) || path.contains("%00") {
            return Err(NoResource::Malformed);
        }
        let segments: Vec<&str> = path.split('/').map(without_parameters).collect();
        let name = segments.get(1).map_or(Ok(String::new()), |name| decode(name))?;
        let found = match segments[..] {
            ["health"] => Self::Health,
            ["openapi.json"] => Self::OpenApi,
            ["openapi"] => Self::OpenApiPage,
            ["connectors"] => Self::Connectors,
            ["connectors", _] => Self::Connector(name),
            ["connectors", _, "config"] => Self::Config(name),
            ["connectors", _, "status"] => Self::Status(name),
            ["connectors", _, "restart"] => Self::Restart(name),
            ["connectors", _, "pause"] => Self::Pause(name),
            ["connectors", _, "resume"] => Self::Resume(name),
            ["connectors", _, "stop"] => Self::Stop(name),
            ["connectors", _, "topics"] => Self::Topics(name),
            ["connectors", _, "topics", "reset"] => Self::TopicsReset(name),
            ["connectors", _, "tasks"] => Self::Tasks(name),
            ["connectors", _, "tasks", task, "status"] => Self::TaskStatus(name, number(task)?),
            ["connectors", _, "tasks", task, "restart"] => Self::TaskRestart(name, number(task)?),
            ["connectors", _, "offsets"] => Self::Offsets(name),
            ["admin", "loggers"] => Self::Loggers,
            ["admin", "loggers", logger] => Self::Logger(decode(logger)?),
            ["connector-plugins"] => Self::Plugins,
            ["connector-plugins", _, "config"] => Self::PluginConfig(name),
            ["connector-plugins", _, "config", "validate"] => Self::Validate(name),
            ["dray", "v1", "agents"] => Self::Agents,
            ["dray", "v1", "agents", id] => Self::Agent(decode(id)?),
            ["dray", "v1", "agents", id, "cordon"] => Self::AgentPolicy(decode(id)?, Policy::Cordon),
            ["dray", "v1", "agents", id, "uncordon"] => Self::AgentPolicy(decode(id)?, Policy::Uncordon),
            ["dray", "v1", "agents", id, "drain"] => Self::AgentPolicy(decode(id)?, Policy::Drain),
            _ => return Err(NoResource::NotFound),
        };
        Ok(found)
    }

    /// The verbs that it has; besides these, HEAD where there is GET, and OPTIONS.
    pub(crate) fn methods(&self) -> &'static [Method] {
        match self {
            Self::Root | Self::Health | Self::Status(_) | Self::Tasks(_) | Self::TaskStatus(..) => &[Method::GET],
            Self::Plugins | Self::PluginConfig(_) | Self::Topics(_) | Self::Loggers => &[Method::GET],
            Self::OpenApi | Self::OpenApiPage | Self::Agents => &[Method::GET],
            Self::Agent(_) => &[Method::GET, Method::DELETE],
            Self::AgentPolicy(..) => &[Method::PUT],
            Self::Logger(_) => &[Method::GET, Method::PUT],
            Self::Offsets(_) => &[Method::GET, Method::PATCH, Method::DELETE],
            Self::Connectors => &[Method::GET, Method::POST],
            Self::Connector(_) => &[Method::GET, Method::DELETE],
            Self::Config(_) => &[Method::GET, Method::PUT, Method::PATCH],
            Self::Restart(_) | Self::TaskRestart(..) => &[Method::POST],
            Self::Pause(_) | Self::Resume(_) | Self::Stop(_) | Self::TopicsReset(_) | Self::Validate(_) => {
                &[Method::PUT]
            }
        }
    }

    /// Whether a verb of its has a body that means something.
    pub(crate) fn reads_body(&self, method: &Method) -> bool {
        match self {
            Self::Connectors => method == Method::POST,
            Self::Logger(_) => method == Method::PUT,
            Self::Config(_) => method == Method::PUT || method == Method::PATCH,
            Self::Offsets(_) => method == Method::PATCH,
            Self::Validate(_) => true,
            Self::Root
            | Self::Health
            | Self::OpenApi
            | Self::OpenApiPage
            | Self::Connector(_)
            | Self::Status(_)
            | Self::Restart(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Stop(_)
            | Self::Topics(_)
            | Self::TopicsReset(_)
            | Self::Tasks(_)
            | Self::TaskStatus(..)
            | Self::TaskRestart(..)
            | Self::Loggers
            | Self::Plugins
            | Self::PluginConfig(_)
            | Self::Agents
            | Self::Agent(_)
            | Self::AgentPolicy(..) => false,
        }
    }

    /// Whether it refuses bodies that are not called JSON, also where it reads none.
    pub(crate) fn consumes_json(&self) -> bool {
        !matches!(self, Self::Root | Self::Health | Self::OpenApi | Self::OpenApiPage)
    }

    /// Whether what it answers with is for a browser.
    pub(crate) fn is_page(&self) -> bool {
        *self == Self::OpenApiPage
    }
}

/// Java's `Integer`: a sign is allowed.
fn number(text: &str) -> Result<i32, NoResource> {
    text.parse().map_err(|_| NoResource::NotFound)
}

fn without_parameters(segment: &str) -> &str {
    segment.split_once(';').map_or(segment, |(segment, _)| segment)
}

fn decode(segment: &str) -> Result<String, NoResource> {
    let bytes = segment.as_bytes();
    let hexadecimal = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_hexdigit);
    let malformed = (0..bytes.len()).any(|at| bytes[at] == b'%' && !(hexadecimal(at + 1) && hexadecimal(at + 2)));
    let decoded = percent_decode_str(segment).decode_utf8();
    match decoded {
        Ok(text) if !malformed => Ok(text.into_owned()),
        Ok(_) | Err(_) => Err(NoResource::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_resources() {
        let name = |text: &str| text.to_owned();
        for (path, resource) in [
            ("/", Resource::Root),
            ("/connectors", Resource::Connectors),
            ("/connectors/", Resource::Connectors),
            ("/connectors/a%2Fb%20c%25%C3%BC", Resource::Connector(name("a/b c%ü"))),
            ("/connectors/a+b/", Resource::Connector(name("a+b"))),
            ("/connectors/..", Resource::Connector(name(".."))),
            ("/connectors/a;x=1/config", Resource::Config(name("a"))),
            ("/connectors/a%3Bx", Resource::Connector(name("a;x"))),
            ("/connectors/config", Resource::Connector(name("config"))),
            ("/connectors/a/tasks/+0/status", Resource::TaskStatus(name("a"), 0)),
            ("/connectors/a/tasks/-1/restart", Resource::TaskRestart(name("a"), -1)),
        ] {
            assert_eq!(Resource::of(path), Ok(resource), "{path}");
        }
        for path in ["/nope", "/connectors/a/b", "/Connectors", "/%63onnectors"] {
            assert_eq!(Resource::of(path), Err(NoResource::NotFound), "{path}");
        }
        for path in [
            "/connectors/a/tasks/x/status",
            "/connectors/a/tasks/99999999999/status",
            "/connectors/a/tasks/0",
        ] {
            assert_eq!(Resource::of(path), Err(NoResource::NotFound), "{path}");
        }
        for path in [
            "/connectors/%FF",
            "/connectors/%zz",
            "/connectors/%",
            "/connectors/a%2",
            "/connectors/%00",
            "//connectors",
            "/connectors//",
            "/connectors//config",
        ] {
            assert_eq!(Resource::of(path), Err(NoResource::Malformed), "{path}");
        }
    }
}
