//! What is served, as an OpenAPI 3.1 document, and a page to read it with. The table below is held against the resources by a test.

use crate::loggers::{LEVELS, LoggerLevel};
use crate::shape;
use axum::body::Body;
use axum::http::{HeaderValue, Response, header};
use std::sync::LazyLock;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterBuilder, ParameterIn};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{AdditionalProperties, ArrayBuilder, ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{
    Components, ComponentsBuilder, ContentBuilder, InfoBuilder, OpenApi, OpenApiBuilder, Paths, Ref, RefOr, Required,
    ResponseBuilder,
};

/// One operation: method, path, what it is for, what may follow the `?`, its body, and what it answers with besides errors.
type Row = (
    HttpMethod,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    &'static [(&'static str, &'static str)],
);

use HttpMethod::{Delete, Get, Patch, Post, Put};

/// Bodies are named by their schema: `Name`, `[Name]` for a list, `{Name}` for a map, `-` for none.
#[rustfmt::skip]
const ROWS: &[Row] = &[
    (Get, "/", "The versions of the API and of this server, and the Kafka cluster", &[], "-", &[("200", "ServerInfo")]),
    (Get, "/health", "Whether this replica is there and as new as the metadata store", &[], "-", &[("200", "WorkerStatus"), ("500", "WorkerStatus")]),
    (Get, "/openapi.json", "This document", &[], "-", &[("200", "Any")]),
    (Get, "/openapi", "This document, as a page", &[], "-", &[("200", "text/html")]),
    (Get, "/connectors", "The names of all connectors; with `expand`, what is asked for of each", &[("expand", "expand")], "-", &[("200", "Connectors")]),
    (Post, "/connectors", "Creates a connector", &[("wait", "Wait")], "CreateConnector", &[("201", "ConnectorInfo")]),
    (Get, "/connectors/{connector}", "A connector with its configuration and tasks", &[], "-", &[("200", "ConnectorInfo")]),
    (Delete, "/connectors/{connector}", "Deletes a connector", &[("wait", "Wait")], "-", &[("204", "-")]),
    (Get, "/connectors/{connector}/config", "Its configuration. `ETag` names its last change", &[], "-", &[("200", "{String}")]),
    (Put, "/connectors/{connector}/config", "Creates a connector, or replaces its configuration; with `If-Match`, only if nobody else has", &[], "{Nullable}", &[("200", "ConnectorInfo"), ("201", "ConnectorInfo")]),
    (Patch, "/connectors/{connector}/config", "Changes some keys; null removes one", &[], "{Nullable}", &[("200", "ConnectorInfo")]),
    (Get, "/connectors/{connector}/status", "What the connector and its tasks are doing", &[], "-", &[("200", "ConnectorStateInfo")]),
    (Post, "/connectors/{connector}/restart", "Restarts the connector, and with `includeTasks` its tasks; with `onlyFailed`, what has failed", &[("includeTasks", "Boolean"), ("onlyFailed", "Boolean")], "-", &[("202", "ConnectorStateInfo"), ("204", "-")]),
    (Put, "/connectors/{connector}/pause", "Pauses it: its tasks stay, and move nothing", &[("wait", "Wait")], "-", &[("202", "-")]),
    (Put, "/connectors/{connector}/resume", "Has it run again", &[("wait", "Wait")], "-", &[("202", "-")]),
    (Put, "/connectors/{connector}/stop", "Stops it: it has no tasks, and keeps its configuration and offsets", &[("wait", "Wait")], "-", &[("204", "-")]),
    (Get, "/connectors/{connector}/topics", "The topics that it has used", &[], "-", &[("200", "{Topics}")]),
    (Put, "/connectors/{connector}/topics/reset", "Forgets them", &[], "-", &[("202", "-")]),
    (Get, "/connectors/{connector}/tasks", "Its tasks with their configurations", &[], "-", &[("200", "[TaskInfo]")]),
    (Get, "/connectors/{connector}/tasks/{task}/status", "What a task is doing", &[], "-", &[("200", "TaskState")]),
    (Post, "/connectors/{connector}/tasks/{task}/restart", "Restarts a task", &[], "-", &[("204", "-")]),
    (Get, "/connectors/{connector}/offsets", "How far it is", &[], "-", &[("200", "Offsets")]),
    (Patch, "/connectors/{connector}/offsets", "Sets how far it is, while it is stopped", &[], "AlterOffsets", &[("200", "Message")]),
    (Delete, "/connectors/{connector}/offsets", "Forgets how far it is, while it is stopped", &[], "-", &[("200", "Message")]),
    (Get, "/connector-plugins", "The plugins that there are", &[("connectorsOnly", "Boolean")], "-", &[("200", "[PluginInfo]")]),
    (Get, "/connector-plugins/{plugin}/config", "The keys of a plugin", &[], "-", &[("200", "[KeyInfo]")]),
    (Put, "/connector-plugins/{plugin}/config/validate", "What is wrong with a configuration", &[], "{Nullable}", &[("200", "ConfigInfos")]),
    (Get, "/admin/loggers", "The loggers that this replica has used or set, and their levels", &[], "-", &[("200", "{LoggerLevel}")]),
    (Get, "/admin/loggers/{logger}", "The level of a logger", &[], "-", &[("200", "LoggerLevel")]),
    (Put, "/admin/loggers/{logger}", "Sets the level of a logger and of those below it; with `scope=cluster` of every replica and agent", &[("scope", "Scope")], "SetLevel", &[("200", "[String]"), ("204", "-")]),
    (Get, "/dray/v1/agents", "All agents", &[], "-", &[("200", "[Agent]")]),
    (Get, "/dray/v1/agents/{agent}", "An agent", &[], "-", &[("200", "Agent")]),
    (Delete, "/dray/v1/agents/{agent}", "Removes an agent: it does not come back, and its tasks go elsewhere at once", &[], "-", &[("204", "-")]),
    (Put, "/dray/v1/agents/{agent}/cordon", "Gives it no more tasks", &[], "-", &[("202", "Agent")]),
    (Put, "/dray/v1/agents/{agent}/uncordon", "Gives it tasks again", &[], "-", &[("202", "Agent")]),
    (Put, "/dray/v1/agents/{agent}/drain", "Has its tasks go elsewhere, a few at a time; `drained` says when all have", &[], "-", &[("202", "Agent")]),
];

static DOCUMENT: LazyLock<OpenApi> = LazyLock::new(build);

/// The document.
pub(crate) fn document() -> &'static OpenApi {
    &DOCUMENT
}

/// A page that shows it, without a look at any other server.
pub(crate) fn page() -> Response<Body> {
    let mut response = Response::new(Body::from(include_str!("openapi.html")));
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, html);
    response
}

fn build() -> OpenApi {
    let mut paths = Paths::new();
    for (method, path, about, query, body, answers) in ROWS {
        let mut operation = OperationBuilder::new().summary(Some(*about));
        let names = path.split(['{', '}']).skip(1).step_by(2);
        for name in names {
            let schema = schema(if name == "task" { "Task" } else { "Name" });
            let parameter = ParameterBuilder::new()
                .name(name)
                .parameter_in(ParameterIn::Path)
                .required(Required::True)
                .schema(Some(schema));
            operation = operation.parameter(parameter);
        }
        for (name, kind) in *query {
            let parameter = ParameterBuilder::new().name(*name).parameter_in(ParameterIn::Query);
            operation = operation.parameter(parameter.required(Required::False).schema(Some(schema(kind))));
        }
        if *body != "-" {
            let content = ContentBuilder::new().schema(Some(schema(body))).build();
            let given = RequestBodyBuilder::new().required(Some(Required::True));
            operation = operation.request_body(Some(given.content("application/json", content).build()));
        }
        for (status, kind) in *answers {
            let mut response = ResponseBuilder::new().description(reason(status));
            match *kind {
                "-" => {}
                "text/html" => response = response.content("text/html", ContentBuilder::new().build()),
                kind => {
                    let content = ContentBuilder::new().schema(Some(schema(kind))).build();
                    response = response.content("application/json", content);
                }
            }
            operation = operation.response(*status, response);
        }
        let content = ContentBuilder::new().schema(Some(schema("Error"))).build();
        let error = ResponseBuilder::new().description("Why it was not done");
        operation = operation.response("default", error.content("application/json", content));
        paths.add_path_operation(*path, vec![method.clone()], operation);
    }
    let about =
        "Kafka Connect's REST API. All errors have the same form, also those of statuses that are not named here.";
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Dray")
                .version(crate::API_LEVEL)
                .description(Some(about)),
        )
        .paths(paths)
        .components(Some(components()))
        .build()
}

fn reason(status: &str) -> &'static str {
    match status {
        "200" => "As asked",
        "201" => "It was created",
        "202" => "It will be so in a moment",
        "204" => "It is so",
        _ => "It is not so",
    }
}

/// By name; see [`ROWS`].
fn schema(name: &str) -> RefOr<Schema> {
    let inner = |open, close| name.strip_prefix(open).and_then(|name| name.strip_suffix(close));
    if let Some(item) = inner('[', ']') {
        return ArrayBuilder::new().items(schema(item)).into();
    }
    if let Some(item) = inner('{', '}') {
        let values = AdditionalProperties::RefOr(schema(item));
        return ObjectBuilder::new().additional_properties(Some(values)).into();
    }
    let of = |kind| ObjectBuilder::new().schema_type(SchemaType::new(kind));
    match name {
        "String" => of(Type::String).into(),
        // What Jetty takes: neither empty, nor one of the two that a client would take for a folder.
        "Name" => of(Type::String).min_length(Some(1)).examples(["lines"]).into(),
        "Task" => of(Type::Integer).minimum(Some(0)).maximum(Some(i32::MAX)).into(),
        "Wait" => of(Type::Integer).minimum(Some(0)).maximum(Some(90)).into(),
        "Boolean" => of(Type::Boolean).into(),
        "Nullable" => ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::String, Type::Null]))
            .into(),
        "Any" => ObjectBuilder::new().schema_type(SchemaType::AnyValue).into(),
        "Scope" => of(Type::String).enum_values(Some(["worker", "cluster"])).into(),
        "expand" => ArrayBuilder::new()
            .items(of(Type::String).enum_values(Some(["info", "status"])))
            .into(),
        other => Ref::from_schema_name(other).into(),
    }
}

fn components() -> Components {
    fn add<T: ToSchema>(components: ComponentsBuilder) -> ComponentsBuilder {
        components.schema(T::name(), T::schema())
    }
    let all = [
        add::<LoggerLevel>,
        add::<shape::Agent>,
        add::<shape::Error<'_>>,
        add::<shape::ServerInfo>,
        add::<shape::WorkerStatus>,
        add::<shape::ConnectorInfo>,
        add::<shape::ConnectorStateInfo>,
        add::<shape::ConnectorState>,
        add::<shape::Expanded>,
        add::<shape::Topics>,
        add::<shape::TaskId>,
        add::<shape::TaskInfo>,
        add::<shape::TaskState>,
        add::<shape::Offsets>,
        add::<shape::Offset>,
        add::<shape::Message>,
        add::<shape::PluginInfo>,
        add::<shape::KeyInfo>,
        add::<shape::ConfigInfos>,
        add::<shape::ConfigInfo>,
        add::<shape::ValueInfo>,
    ];
    let own = ComponentsBuilder::new()
        .schema("CreateConnector", create())
        .schema("AlterOffsets", alter())
        .schema("SetLevel", set_level())
        .schema("Connectors", connectors());
    all.into_iter().fold(own, |components, add| add(components)).build()
}

/// A list of names, or with `expand` a map.
fn connectors() -> Schema {
    utoipa::openapi::OneOfBuilder::new()
        .item(schema("[String]"))
        .item(schema("{Expanded}"))
        .into()
}

fn create() -> Schema {
    let state = ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .enum_values(Some(["RUNNING", "PAUSED", "STOPPED"]));
    ObjectBuilder::new()
        .property("name", schema("String"))
        .property("config", schema("{Nullable}"))
        .property("initial_state", state)
        .required("name")
        .required("config")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .examples([serde_json::json!({
            "name": "lines",
            "config": {"connector.class": "FileStreamSource", "file": "/var/log/app.log", "topic": "app-log"},
        })])
        .into()
}

fn set_level() -> Schema {
    let level = ObjectBuilder::new()
        .schema_type(SchemaType::new(Type::String))
        .enum_values(Some(LEVELS));
    ObjectBuilder::new()
        .property("level", level)
        .required("level")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .into()
}

fn alter() -> Schema {
    let side = || {
        ObjectBuilder::new()
            .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
            .additional_properties(Some(AdditionalProperties::FreeForm(true)))
    };
    let offset = ObjectBuilder::new()
        .property("partition", side())
        .property("offset", side())
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    ObjectBuilder::new()
        .property("offsets", ArrayBuilder::new().items(offset))
        .required("offsets")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{Policy, Resource};
    use axum::http::Method;
    use serde_json::Value;
    use std::collections::{BTreeMap, BTreeSet};

    /// Every resource once. What is added there belongs here, and into the table above.
    fn resources() -> Vec<Resource> {
        let name = || "c".to_owned();
        let mut all = vec![Resource::Root];
        loop {
            let next = match all.last().unwrap() {
                Resource::Root => Resource::Health,
                Resource::Health => Resource::OpenApi,
                Resource::OpenApi => Resource::OpenApiPage,
                Resource::OpenApiPage => Resource::Connectors,
                Resource::Connectors => Resource::Connector(name()),
                Resource::Connector(_) => Resource::Config(name()),
                Resource::Config(_) => Resource::Status(name()),
                Resource::Status(_) => Resource::Restart(name()),
                Resource::Restart(_) => Resource::Pause(name()),
                Resource::Pause(_) => Resource::Resume(name()),
                Resource::Resume(_) => Resource::Stop(name()),
                Resource::Stop(_) => Resource::Topics(name()),
                Resource::Topics(_) => Resource::TopicsReset(name()),
                Resource::TopicsReset(_) => Resource::Tasks(name()),
                Resource::Tasks(_) => Resource::TaskStatus(name(), 0),
                Resource::TaskStatus(..) => Resource::TaskRestart(name(), 0),
                Resource::TaskRestart(..) => Resource::Offsets(name()),
                Resource::Offsets(_) => Resource::Plugins,
                Resource::Plugins => Resource::PluginConfig(name()),
                Resource::PluginConfig(_) => Resource::Validate(name()),
                Resource::Validate(_) => Resource::Loggers,
                Resource::Loggers => Resource::Logger(name()),
                Resource::Logger(_) => Resource::Agents,
                Resource::Agents => Resource::Agent(name()),
                Resource::Agent(_) => Resource::AgentPolicy(name(), Policy::Cordon),
                Resource::AgentPolicy(_, Policy::Cordon) => Resource::AgentPolicy(name(), Policy::Uncordon),
                Resource::AgentPolicy(_, Policy::Uncordon) => Resource::AgentPolicy(name(), Policy::Drain),
                Resource::AgentPolicy(_, Policy::Drain) => return all,
            };
            all.push(next);
        }
    }

    #[test]
    fn what_is_described_is_what_is_served() {
        let mut described: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (method, path, _, _, body, _) in ROWS {
            let path = path
                .replace("{connector}", "c")
                .replace("{plugin}", "c")
                .replace("{agent}", "c")
                .replace("{logger}", "c")
                .replace("{task}", "0");
            let resource = Resource::of(&path).unwrap();
            let method: Value = serde_json::to_value(method).unwrap();
            let method = method.as_str().unwrap().to_uppercase();
            let verb: Method = method.parse().unwrap();
            assert_eq!(resource.reads_body(&verb), *body != "-", "{method} {path}");
            described.entry(format!("{resource:?}")).or_default().insert(method);
        }
        let verbs = |resource: &Resource| resource.methods().iter().map(Method::to_string).collect();
        let served: BTreeMap<String, BTreeSet<String>> = resources()
            .iter()
            .map(|resource| (format!("{resource:?}"), verbs(resource)))
            .collect();
        assert_eq!(described, served);
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = serde_json::to_value(document()).unwrap();
        let text = document.to_string();
        assert!(text.contains("#/components/schemas/ConnectorInfo"));
        for reference in text.split("\"#").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
        assert_eq!(document["openapi"], "3.1.0");
    }

    #[test]
    fn the_page_needs_nobody_else() {
        let page = include_str!("openapi.html");
        assert!(!page.contains("//cdn") && !page.contains("http://") && !page.contains("https://"));
    }
}
