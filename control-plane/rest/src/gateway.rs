//! From a request to its resource. The order in which things are refused is Jersey's: path, verb, content type, accepted types.

use crate::Services;
use crate::answer::{Answer, ok};
use crate::body;
use crate::error::Error;
use crate::media::{self, Sent};
use crate::openapi;
use crate::options::Options;
use crate::plugins::Kinds;
use crate::resource::{NoResource, Resource};
use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use std::sync::Arc;

/// Jetty's bounds for the first line and for all headers.
const HEAD: usize = 8 << 10;

/// The gateway. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rest {
    pub(crate) services: Services,
    pub(crate) kinds: Arc<Kinds>,
    pub(crate) options: Options,
}

/// All of the API, as what a server answers with when nothing else of its does.
pub fn router(services: Services, options: Options) -> Router {
    let kinds = Arc::default();
    let rest = Rest {
        services,
        kinds,
        options,
    };
    Router::new().fallback(handle).with_state(rest)
}

async fn handle(State(rest): State<Rest>, request: Request) -> Response<Body> {
    let (method, asked) = (request.method().clone(), request.headers().clone());
    let mut response = rest.answer(request).await.unwrap_or_else(Response::from);
    rest.options.add_to(&mut response, &method, &asked);
    if method == Method::HEAD {
        let length = std::mem::take(response.body_mut()).size_hint().exact();
        let length = length.map(HeaderValue::from);
        response
            .headers_mut()
            .extend(length.map(|length| (header::CONTENT_LENGTH, length)));
    }
    response
}

impl Rest {
    async fn answer(&self, request: Request) -> Answer {
        let (parts, body) = request.into_parts();
        let (headers, query) = (&parts.headers, parts.uri.query());
        within_limits(headers, parts.uri.path().len() + query.map_or(0, str::len))?;
        if !self.options.serves(parts.uri.path()) {
            return Err(Error::http(StatusCode::NOT_FOUND));
        }
        let resource = Resource::of(parts.uri.path()).map_err(|error| match error {
            NoResource::NotFound => Error::http(StatusCode::NOT_FOUND),
            NoResource::Malformed => Error::bad_request("HTTP 400 Bad Request"),
        })?;
        let method = match &parts.method {
            &Method::HEAD => &Method::GET,
            method => method,
        };
        if method == Method::OPTIONS {
            return Ok(options(&resource));
        }
        if !resource.methods().contains(method) {
            let mut response = Response::from(Error::http(StatusCode::METHOD_NOT_ALLOWED));
            response.headers_mut().insert(header::ALLOW, allowed(&resource));
            return Ok(response);
        }
        let sent = media::sent(headers);
        if sent == Sent::Other && resource.consumes_json() {
            return Err(Error::http(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        if !media::accepts(headers, resource.is_page()) {
            return Err(Error::http(StatusCode::NOT_ACCEPTABLE));
        }
        let bytes = match resource.reads_body(method) {
            true => body::read(headers, body).await?,
            false => Vec::new(),
        };
        if !bytes.is_empty() && sent == Sent::Nothing {
            return Err(Error::http(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        }
        match resource {
            Resource::Root => self.root().await,
            Resource::Health => self.health().await,
            Resource::OpenApi => ok(openapi::document()),
            Resource::OpenApiPage => Ok(openapi::page()),
            Resource::Connectors if method == Method::POST => self.create(headers, query, &bytes).await,
            Resource::Connectors => self.list(query).await,
            Resource::Connector(name) if method == Method::DELETE => self.delete(&name, query).await,
            Resource::Connector(name) => self.get(&name).await,
            Resource::Config(name) if method == Method::PUT => self.put_config(&name, headers, &bytes).await,
            Resource::Config(name) if method == Method::PATCH => self.patch_config(&name, headers, &bytes).await,
            Resource::Config(name) => self.config(&name).await,
            Resource::Status(name) => self.connector_status(&name).await,
            Resource::Restart(name) => self.restart(&name, query).await,
            Resource::Pause(name) => self.pause(&name, query).await,
            Resource::Resume(name) => self.resume(&name, query).await,
            Resource::Stop(name) => self.stop(&name, query).await,
            Resource::Topics(name) => self.topics(&name).await,
            Resource::TopicsReset(name) => self.reset_topics(&name).await,
            Resource::Tasks(name) => self.tasks(&name).await,
            Resource::TaskStatus(name, task) => self.task_status(&name, task).await,
            Resource::TaskRestart(name, task) => self.restart_task(&name, task).await,
            Resource::Offsets(name) if method == Method::PATCH => self.alter_offsets(&name, &bytes).await,
            Resource::Offsets(name) if method == Method::DELETE => self.reset_offsets(&name).await,
            Resource::Offsets(name) => self.offsets(&name).await,
            Resource::Loggers => self.list_loggers().await,
            Resource::Logger(name) if method == Method::PUT => self.set_logger(&name, query, &bytes).await,
            Resource::Logger(name) => self.logger(&name).await,
            Resource::Plugins => self.list_plugins(query).await,
            Resource::PluginConfig(plugin) => self.plugin_config(&plugin).await,
            Resource::Agents => self.agents().await,
            Resource::Agent(id) if method == Method::DELETE => self.remove_agent(&id).await,
            Resource::Agent(id) => self.agent(&id).await,
            Resource::AgentPolicy(id, policy) => self.set_policy(&id, policy).await,
            Resource::Validate(plugin) => self.validate(&plugin, &bytes).await,
        }
    }
}

fn within_limits(headers: &HeaderMap, uri: usize) -> Result<(), Error> {
    if uri > HEAD {
        return Err(Error::http(StatusCode::URI_TOO_LONG));
    }
    // A colon, a space and the end of the line for each.
    let size: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if size > HEAD {
        return Err(Error::http(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE));
    }
    Ok(())
}

fn allowed(resource: &Resource) -> HeaderValue {
    let mut verbs: Vec<&str> = resource.methods().iter().map(Method::as_str).collect();
    if verbs.contains(&"GET") {
        verbs.push("HEAD");
    }
    verbs.push("OPTIONS");
    HeaderValue::from_str(&verbs.join(",")).expect("verbs and commas")
}

fn options(resource: &Resource) -> Response<Body> {
    let allowed = allowed(resource);
    let text = allowed.to_str().unwrap_or_default().replace(',', ", ");
    let mut response = Response::new(Body::from(text));
    let plain = HeaderValue::from_static("text/plain");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}
