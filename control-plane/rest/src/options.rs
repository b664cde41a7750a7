//! How one listener serves the API: which part of it, and what is added to its answers (CORS, `response.http.headers.config`).

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What a listener serves. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// It is reached by https, and links say so.
    pub secure: bool,
    /// Which part of the API.
    pub part: Part,
    added: Arc<Added>,
}

/// Parts of the API: `admin.listeners` sets what is below `/admin` apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    #[default]
    All,
    /// All but `/admin`.
    WithoutAdmin,
    /// Only `/admin`.
    Admin,
}

#[derive(Debug, Default)]
struct Added {
    cors: Option<Cors>,
    headers: Vec<Rule>,
}

/// Who may use the API from pages of other origins.
#[derive(Debug)]
struct Cors {
    /// `None`: everybody.
    origins: Option<Vec<String>>,
    methods: HeaderValue,
}

/// One rule of `response.http.headers.config`.
#[derive(Debug)]
struct Rule {
    action: Action,
    name: HeaderName,
    value: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Set,
    Add,
}

#[derive(Debug)]
enum Value {
    Text(HeaderValue),
    /// So long from now.
    In(Duration),
}

impl Options {
    /// What a worker file says of its listeners' answers.
    ///
    /// # Errors
    /// With Connect's text for what is wrong with it.
    pub fn of(worker: &BTreeMap<String, String>) -> Result<Self, String> {
        let text = |key: &str| worker.get(key).map_or("", |text| text.trim());
        let added = Added {
            cors: Cors::of(
                text("access.control.allow.origin"),
                text("access.control.allow.methods"),
            )?,
            headers: rules(text("response.http.headers.config"))?,
        };
        Ok(Self {
            added: Arc::new(added),
            ..Self::default()
        })
    }

    /// The same on another kind of listener. What is added to answers is not added to those of `/admin` on listeners of its own.
    #[must_use]
    pub fn on(&self, secure: bool, part: Part) -> Self {
        let added = match part {
            Part::All | Part::WithoutAdmin => self.added.clone(),
            Part::Admin => Arc::default(),
        };
        Self { secure, part, added }
    }

    /// Whether a path is served here.
    pub(crate) fn serves(&self, path: &str) -> bool {
        let admin = path
            .strip_prefix("/admin")
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match self.part {
            Part::All => true,
            Part::WithoutAdmin => !admin,
            Part::Admin => admin,
        }
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.secure { "https" } else { "http" }
    }

    /// Adds to an answer what belongs to it.
    pub(crate) fn add_to(&self, response: &mut Response<Body>, method: &Method, asked: &HeaderMap) {
        if let Some(cors) = &self.added.cors {
            cors.add_to(response.headers_mut(), method, asked);
        }
        for rule in &self.added.headers {
            let value = match &rule.value {
                Value::Text(value) => value.clone(),
                Value::In(time) => {
                    let date = httpdate::fmt_http_date(SystemTime::now() + *time);
                    HeaderValue::from_str(&date).expect("a date is letters and digits")
                }
            };
            match rule.action {
                Action::Set => drop(response.headers_mut().insert(rule.name.clone(), value)),
                Action::Add => drop(response.headers_mut().append(rule.name.clone(), value)),
            }
        }
    }
}

impl Cors {
    fn of(origins: &str, methods: &str) -> Result<Option<Self>, String> {
        if origins.is_empty() {
            return Ok(None);
        }
        let all: Vec<String> = origins.split(',').map(|origin| origin.trim().to_lowercase()).collect();
        let everybody = all.iter().any(|origin| origin == "*");
        // Jetty reads each as a regular expression. Nobody means one who writes a plain origin.
        let pattern = all
            .iter()
            .find(|origin| *origin != "*" && origin.contains(['*', '(', '[', '|', '^', '$', '\\', '+', '?']));
        if let Some(pattern) = pattern {
            return Err(format!(
                "access.control.allow.origin: {pattern} is a pattern, which is not supported: list the origins, or give * for all"
            ));
        }
        let methods = if methods.is_empty() { "GET,POST,HEAD" } else { methods };
        let methods: Vec<&str> = methods.split(',').map(str::trim).collect();
        let invalid = |_| format!("access.control.allow.methods: {} are not methods", methods.join(","));
        Ok(Some(Self {
            origins: (!everybody).then_some(all),
            methods: HeaderValue::from_str(&methods.join(",")).map_err(invalid)?,
        }))
    }

    /// As Jetty does: it says who may read the answer, and that this depends on who asks.
    fn add_to(&self, headers: &mut HeaderMap, method: &Method, asked: &HeaderMap) {
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = asked.get(header::ORIGIN) else {
            return;
        };
        let known = |origins: &Vec<String>| {
            let origin = origin.to_str().unwrap_or_default().to_lowercase();
            origins.contains(&origin)
        };
        if origin.is_empty() || !self.origins.as_ref().is_none_or(known) {
            return;
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if *method == Method::OPTIONS && asked.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            let content_type = HeaderValue::from_static("Content-Type");
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, content_type);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("60"));
        }
    }
}

fn rules(text: &str) -> Result<Vec<Rule>, String> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    csv(text).iter().map(|rule| self::rule(rule.trim())).collect()
}

/// Commas part, but not within quotes; a quote within quotes is written twice.
fn csv(text: &str) -> Vec<String> {
    let (mut all, mut one, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => one.extend(characters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => all.push(std::mem::take(&mut one)),
            other => one.push(other),
        }
    }
    all.push(one);
    all
}

fn rule(text: &str) -> Result<Rule, String> {
    let format =
        || format!("Invalid format of header config '{text}'. Expected: '[action] [header name]:[header value]'");
    let (action, pair) = text.split_once(char::is_whitespace).ok_or_else(format)?;
    let (action, dated) = match action.to_ascii_lowercase().as_str() {
        "set" => (Action::Set, false),
        "add" => (Action::Add, false),
        "setdate" => (Action::Set, true),
        "adddate" => (Action::Add, true),
        _ => {
            return Err(format!(
                "Invalid header config action: '{action}'. Expected one of [set, add, setDate, addDate]"
            ));
        }
    };
    let pair = pair.trim();
    let (name, value) = match pair.split(':').collect::<Vec<_>>()[..] {
        [name, value] => (name.trim(), value.trim()),
        _ => {
            return Err(format!(
                "Invalid format of header name and header value pair '{pair}'. Expected: '[header name]:[header value]'"
            ));
        }
    };
    if name.contains(char::is_whitespace) {
        return Err(format!(
            "Invalid header name '{name}'. The '[header name]' cannot contain whitespace"
        ));
    }
    let invalid = |what: &str| format!("response.http.headers.config: '{text}' has a {what} that HTTP does not have");
    let value = match dated {
        true => Value::In(Duration::from_millis(
            value.parse().map_err(|_| invalid("number of milliseconds"))?,
        )),
        false => Value::Text(HeaderValue::from_str(value).map_err(|_| invalid("value"))?),
    };
    Ok(Rule {
        action,
        name: name.parse().map_err(|_| invalid("name"))?,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Result<Options, String> {
        let worker = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into()));
        Options::of(&worker.collect())
    }

    fn answer(options: &Options, method: Method, asked: &[(HeaderName, &str)]) -> Vec<(String, String)> {
        let asked = asked.iter().map(|(name, value)| (name.clone(), value.parse().unwrap()));
        let mut response = Response::new(Body::empty());
        options.add_to(&mut response, &method, &asked.collect());
        let headers = response.headers().iter();
        headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect()
    }

    /// As the real Connect answers with the same settings.
    #[test]
    fn other_origins_are_let_in() {
        let some = options(&[
            ("access.control.allow.origin", "http://a.example, http://c.example"),
            ("access.control.allow.methods", "GET, PUT"),
        ])
        .unwrap();
        let a = (header::ORIGIN, "http://A.example");
        let preflight = (header::ACCESS_CONTROL_REQUEST_METHOD, "PUT");
        let allowed = ("access-control-allow-origin", "http://A.example");
        assert_eq!(
            answer(&some, Method::GET, std::slice::from_ref(&a)),
            pairs(&[("vary", "Origin"), allowed])
        );
        assert_eq!(
            answer(&some, Method::OPTIONS, std::slice::from_ref(&a)),
            pairs(&[("vary", "Origin"), allowed])
        );
        assert_eq!(
            answer(&some, Method::OPTIONS, &[a, preflight.clone()]),
            pairs(&[
                ("vary", "Origin"),
                allowed,
                ("access-control-allow-methods", "GET,PUT"),
                ("access-control-allow-headers", "Content-Type"),
                ("access-control-max-age", "60"),
            ])
        );
        let b = (header::ORIGIN, "http://b.example");
        assert_eq!(
            answer(&some, Method::OPTIONS, &[b.clone(), preflight]),
            pairs(&[("vary", "Origin")])
        );
        assert_eq!(answer(&some, Method::GET, &[]), pairs(&[("vary", "Origin")]));
        let all = options(&[("access.control.allow.origin", "*")]).unwrap();
        let allowed = ("access-control-allow-origin", "http://b.example");
        assert_eq!(answer(&all, Method::GET, &[b]), pairs(&[("vary", "Origin"), allowed]));
        assert_eq!(answer(&options(&[]).unwrap(), Method::GET, &[]), []);
        assert!(options(&[("access.control.allow.origin", "http://*.example")]).is_err());
    }

    #[test]
    fn headers_are_added() {
        let config = "add X-A: 1, set X-B: two words,\"ADD X-C: a, \"\"b\"\"\",setDate X-D: 0";
        let options = options(&[("response.http.headers.config", config)]).unwrap();
        let found = answer(&options, Method::GET, &[]);
        assert_eq!(
            found[..3],
            pairs(&[("x-a", "1"), ("x-b", "two words"), ("x-c", "a, \"b\"")])[..]
        );
        assert!(found[3].0 == "x-d" && found[3].1.ends_with(" GMT"), "{found:?}");
        // Not on listeners of its own for `/admin`.
        assert_eq!(answer(&options.on(false, Part::Admin), Method::GET, &[]), []);
        for (config, problem) in [
            (
                "add",
                "Invalid format of header config 'add'. Expected: '[action] [header name]:[header value]'",
            ),
            (
                "drop X: 1",
                "Invalid header config action: 'drop'. Expected one of [set, add, setDate, addDate]",
            ),
            (
                "add X 1",
                "Invalid format of header name and header value pair 'X 1'. Expected: '[header name]:[header value]'",
            ),
            (
                "add X Y: 1",
                "Invalid header name 'X Y'. The '[header name]' cannot contain whitespace",
            ),
        ] {
            let worker = [("response.http.headers.config", config)];
            assert_eq!(super::tests::options(&worker).unwrap_err(), problem);
        }
    }

    #[test]
    fn admin_may_be_apart() {
        let all = Options::default();
        for (part, connectors, admin) in [
            (Part::All, true, true),
            (Part::WithoutAdmin, true, false),
            (Part::Admin, false, true),
        ] {
            let options = all.on(false, part);
            assert_eq!(options.serves("/connectors"), connectors, "{part:?}");
            assert_eq!(options.serves("/administrators"), connectors, "{part:?}");
            assert_eq!(options.serves("/admin/loggers"), admin, "{part:?}");
        }
    }
}
