//! The settings of OAUTHBEARER, Java's and librdkafka's, and what they come to.

use super::assertion::{self, Assertion};
use super::endpoint::{Ask, Endpoint, Refused, Waits, Who};
use super::token::{Refresh, Token, Way};
use super::unsecured::Claims;
use super::{ALLOWED, Allowed, MECHANISM};
use crate::codes::local;
use crate::error::{Class, Error, Result};
use crate::wire::timing::number;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::PathBuf;
use std::time::Duration;

/// What the options of the login module are called among the settings.
pub(crate) const JAAS: &str = "sasl.jaas.";
/// A file with a token that is longer holds none.
const MOST_OF_A_FILE: u64 = 64 << 10;

/// Settings that mean something here. The scope's claim is none of a client's: the broker reads it.
pub(crate) const MEANT: &[&str] = &[
    "sasl.login.callback.handler.class",
    "sasl.login.connect.timeout.ms",
    "sasl.login.read.timeout.ms",
    "sasl.login.refresh.buffer.seconds",
    "sasl.login.refresh.min.period.seconds",
    "sasl.login.refresh.window.factor",
    "sasl.login.retry.backoff.max.ms",
    "sasl.login.retry.backoff.ms",
    "sasl.oauthbearer.assertion.algorithm",
    "sasl.oauthbearer.assertion.claim.aud",
    "sasl.oauthbearer.assertion.claim.exp.seconds",
    "sasl.oauthbearer.assertion.claim.iss",
    "sasl.oauthbearer.assertion.claim.jti.include",
    "sasl.oauthbearer.assertion.claim.nbf.seconds",
    "sasl.oauthbearer.assertion.claim.sub",
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
    "sasl.oauthbearer.assertion.private.key.file",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.template.file",
    "sasl.oauthbearer.client.credentials.client.id",
    "sasl.oauthbearer.client.credentials.client.secret",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.grant.type",
    "sasl.oauthbearer.header.urlencode",
    "sasl.oauthbearer.jwt.retriever.class",
    "sasl.oauthbearer.method",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.scope.claim.name",
    "sasl.oauthbearer.sub.claim.name",
    "sasl.oauthbearer.token.endpoint.url",
];

/// Java's class for tokens from an endpoint or a file, and for those that nobody signs.
const SECURED: &str = "OAuthBearerLoginCallbackHandler";
const UNSECURED: &str = "OAuthBearerUnsecuredLoginCallbackHandler";
const URL: &str = "sasl.oauthbearer.token.endpoint.url";
const GRANT: &str = "sasl.oauthbearer.grant.type";
const RETRIEVER: &str = "sasl.oauthbearer.jwt.retriever.class";
/// Java's class for a token in exchange for an assertion, and librdkafka's word for it.
const BEARER: &str = "JwtBearerJwtRetriever";
const BEARER_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// Whether a setting is one of these.
pub(crate) fn is_own(key: &str) -> bool {
    key.starts_with(JAAS) || MEANT.contains(&key)
}

/// How tokens come, and what goes with them.
pub(super) struct Settings {
    way: Way,
    /// What is being done, for errors.
    what: String,
    pub(super) extensions: Vec<(String, String)>,
    /// The claim with the principal's name.
    principal: String,
    refresh: Refresh,
    waits: Waits,
}

impl Settings {
    /// # Errors
    /// When they are not what they should be, or lead where `allowed` does not. No error quotes a value but the address.
    pub(super) fn read(own: &BTreeMap<String, String>, allowed: &Allowed) -> Result<Self> {
        let get = |key: &str| own.get(key).map(|value| value.trim()).filter(|value| !value.is_empty());
        let millis = |key, default| number(own, key, default).map(Duration::from_millis);
        let seconds = |key, default| number(own, key, default).map(Duration::from_secs);
        let written = native_options(get("sasl.oauthbearer.config").unwrap_or_default());
        let jaas = own
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(JAAS)?, value.as_str())));
        let mut options: BTreeMap<&str, &str> = written.iter().map(|(name, value)| (&**name, &**value)).collect();
        options.extend(jaas);
        let waits = Waits {
            connect: millis("sasl.login.connect.timeout.ms", 10_000)?,
            read: millis("sasl.login.read.timeout.ms", 10_000)?,
            backoff: millis("sasl.login.retry.backoff.ms", 100)?,
            backoff_max: millis("sasl.login.retry.backoff.max.ms", 10_000)?,
        };
        let key = "sasl.login.refresh.window.factor";
        let factor = get(key).map_or(Ok(0.8), str::parse);
        let refresh = Refresh {
            factor: factor.map_err(|_| invalid(key, "it is no number"))?,
            min_period: seconds("sasl.login.refresh.min.period.seconds", 60)?,
            buffer: seconds("sasl.login.refresh.buffer.seconds", 300)?,
        };
        let simple = |key: &str| get(key).map(|class| class.rsplit('.').next().unwrap_or(class));
        let handler = simple("sasl.login.callback.handler.class");
        if handler.is_some_and(|class| class != SECURED && class != UNSECURED) {
            let message = format!("no such handler is here: {SECURED}, {UNSECURED}");
            return Err(invalid("sasl.login.callback.handler.class", message));
        }
        let retriever = simple(RETRIEVER);
        let retrievers = [
            "DefaultJwtRetriever",
            "ClientCredentialsJwtRetriever",
            "FileJwtRetriever",
            BEARER,
        ];
        if retriever.is_some_and(|class| !retrievers.contains(&class)) {
            let message = format!("no such retriever is here: {}", retrievers.join(", "));
            return Err(invalid(RETRIEVER, message));
        }
        let grant = get(GRANT);
        if grant.is_some_and(|grant| grant != BEARER_GRANT && !grant.eq_ignore_ascii_case("client_credentials")) {
            let message = format!("only `client_credentials` and `{BEARER_GRANT}` are supported");
            return Err(invalid(GRANT, message));
        }
        let bearer = retriever == Some(BEARER) || grant == Some(BEARER_GRANT);
        let (way, principal) = match get(URL).filter(|_| handler != Some(UNSECURED)) {
            Some(url) => {
                let principal = get("sasl.oauthbearer.sub.claim.name").unwrap_or("sub").to_owned();
                (way(url, own, &get, &options, (waits, bearer), allowed)?, principal)
            }
            None if handler == Some(SECURED) => return Err(invalid(URL, "it is missing")),
            None => {
                let read = Claims::read(&options);
                let wrong =
                    |(option, why): (String, String)| invalid(&format!("sasl.jaas.config` option `{option}"), why);
                let (claims, principal) = read.map_err(wrong)?;
                (Way::Unsecured(claims), principal)
            }
        };
        let what = match &way {
            Way::Unsecured(_) => format!("making a token for SASL {MECHANISM}"),
            Way::File(_) | Way::Endpoint(_) => {
                format!(
                    "fetching a token for SASL {MECHANISM} from {}",
                    get(URL).unwrap_or_default()
                )
            }
        };
        Ok(Self {
            way,
            what,
            extensions: extensions(get("sasl.oauthbearer.extensions").unwrap_or_default(), &options)?,
            principal,
            refresh,
            waits,
        })
    }

    /// A new token; more than one try where that may help and the caller is `patient`.
    pub(super) fn fetch(&self, patient: bool) -> Result<Token> {
        let (text, life) = match &self.way {
            Way::Unsecured(claims) => (claims.token(), None),
            Way::File(path) => {
                let mut text = String::new();
                let file = std::fs::File::open(path);
                let read = file.and_then(|file| file.take(MOST_OF_A_FILE).read_to_string(&mut text));
                read.map_err(|error| self.error("TOKEN", error.to_string(), Class::Retriable))?;
                (text.trim().to_owned(), None)
            }
            Way::Endpoint(endpoint) => endpoint
                .token(patient)
                .map_err(|Refused { message, class }| self.error("TOKEN", message, class))?,
        };
        let token = Token::read(&text, life, &self.principal, &self.refresh);
        token.map_err(|message| self.error("TOKEN", message, Class::Retriable))
    }

    /// How long a token that is still good serves when no other can be had.
    pub(super) fn retry_max(&self) -> Duration {
        self.waits.backoff_max
    }

    pub(super) fn error(&self, code: &str, message: impl Into<String>, class: Class) -> Error {
        local(self.what.as_str(), code, message, class)
    }
}

/// The way to an address that is allowed.
fn way<'a>(
    url: &'a str,
    own: &BTreeMap<String, String>,
    get: &impl Fn(&str) -> Option<&'a str>,
    options: &BTreeMap<&str, &'a str>,
    (waits, bearer): (Waits, bool),
    allowed: &Allowed,
) -> Result<Way> {
    if !allowed.urls.iter().any(|allowed| allowed == url) {
        let message =
            format!("`{url}` is not allowed: set KAFKA_OPTS=-D{ALLOWED}={url} in the environment of the process");
        return Err(invalid(URL, message));
    }
    if let Some(path) = url.strip_prefix("file:") {
        // file:/path, file:///path
        let path = path.strip_prefix("//").unwrap_or(path);
        return Ok(Way::File(PathBuf::from(path)));
    }
    if !url.starts_with("https://") && !url.starts_with("http://") {
        return Err(invalid(URL, "it begins with none of `https:`, `http:`, `file:`"));
    }
    let authorities = authorities(options)?;
    let ask = Ask {
        url,
        who: who(own, get, options, bearer, allowed)?,
        scope: get("sasl.oauthbearer.scope").or_else(|| options.get("scope").copied()),
        authorities: authorities.as_deref(),
    };
    let endpoint = Endpoint::new(ask, waits);
    endpoint
        .map(|endpoint| Way::Endpoint(Box::new(endpoint)))
        .map_err(|why| invalid("sasl.jaas.config` option `ssl.truststore", why))
}

/// As whom the endpoint is asked: with an assertion where there is one, or with a secret.
fn who<'a>(
    own: &BTreeMap<String, String>,
    get: &impl Fn(&str) -> Option<&'a str>,
    options: &BTreeMap<&str, &'a str>,
    bearer: bool,
    allowed: &Allowed,
) -> Result<Who> {
    if bearer {
        return Ok(Who::Bearer(Assertion::read(own, get, allowed)?));
    }
    // Java's newer name, librdkafka's, and the option that is deprecated, which everybody has.
    let one = |keys: [&str; 2], option: &str| {
        let setting = keys
            .iter()
            .find_map(|key| get(key))
            .or_else(|| options.get(option).copied());
        setting.filter(|value| !value.is_empty()).map(str::to_owned)
    };
    let missing = |option: &str| invalid("sasl.jaas.config", format!("`{option}` is missing"));
    let id = one(
        [
            "sasl.oauthbearer.client.credentials.client.id",
            "sasl.oauthbearer.client.id",
        ],
        "clientId",
    );
    if assertion::replaces_the_secret(get) {
        let assertion = Assertion::read(own, get, allowed)?;
        return Ok(Who::Asserted { id, assertion });
    }
    let secret = [
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.client.secret",
    ];
    Ok(Who::Known {
        id: id.ok_or_else(|| missing("clientId"))?,
        secret: one(secret, "clientSecret").ok_or_else(|| missing("clientSecret"))?,
        encoded: get("sasl.oauthbearer.header.urlencode").is_some_and(|yes| yes.eq_ignore_ascii_case("true")),
    })
}

/// Whom the endpoint's certificate may be signed by, as Java has it in the login module's options: the brokers' authorities are others.
fn authorities(options: &BTreeMap<&str, &str>) -> Result<Option<Vec<u8>>> {
    if let Some(pem) = options.get("ssl.truststore.certificates") {
        return Ok(Some(pem.as_bytes().to_vec()));
    }
    let Some(path) = options.get("ssl.truststore.location") else {
        return Ok(None);
    };
    let key = "sasl.jaas.config` option `ssl.truststore.location";
    let pem = options
        .get("ssl.truststore.type")
        .is_some_and(|kind| kind.eq_ignore_ascii_case("PEM"));
    if !pem && !path.ends_with(".pem") && !path.ends_with(".crt") {
        return Err(invalid(
            key,
            "only a store of `ssl.truststore.type=\"PEM\"` can be read",
        ));
    }
    let read = std::fs::read(path);
    read.map(Some).map_err(|error| invalid(key, error.to_string()))
}

/// librdkafka's options for tokens that nobody signs (`principal=me scope=a,b lifeSeconds=60 extension_x=y`), in Java's names.
fn native_options(text: &str) -> BTreeMap<String, String> {
    let pairs: BTreeMap<&str, &str> = text
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .collect();
    let claim = |name: &str, default| pairs.get(name).copied().unwrap_or(default);
    let principal = claim("principalClaimName", "sub");
    let mut options = BTreeMap::new();
    for (name, value) in &pairs {
        let (option, value) = match *name {
            "principal" => (format!("unsecuredLoginStringClaim_{principal}"), (*value).to_owned()),
            "scope" => {
                let scope = claim("scopeClaimName", "scope");
                (format!("unsecuredLoginListClaim_{scope}"), format!(",{value}"))
            }
            "principalClaimName" => ("unsecuredLoginPrincipalClaimName".to_owned(), (*value).to_owned()),
            "lifeSeconds" => ("unsecuredLoginLifetimeSeconds".to_owned(), (*value).to_owned()),
            other => (other.to_owned(), (*value).to_owned()),
        };
        options.insert(option, value);
    }
    options
}

/// Extensions from options and from librdkafka's list, checked as Java does: they stand between control characters.
fn extensions(list: &str, options: &BTreeMap<&str, &str>) -> Result<Vec<(String, String)>> {
    let prefixes = ["extension_", "unsecuredLoginExtension_"];
    let named = options.iter().filter_map(|(option, value)| {
        let name = prefixes.iter().find_map(|prefix| option.strip_prefix(prefix))?;
        Some((name, *value))
    });
    let listed = list.split(',').filter_map(|pair| pair.trim().split_once('='));
    let mut all = BTreeMap::new();
    for (name, value) in listed.chain(named) {
        let fits = |c: char| (' '..='~').contains(&c) || matches!(c, '\t' | '\r' | '\n');
        if name.is_empty()
            || name == "auth"
            || !name.chars().all(|c| c.is_ascii_alphabetic())
            || !value.chars().all(fits)
        {
            return Err(invalid(
                "sasl.jaas.config",
                format!("the extension `{name}` is no name or has a value that is none"),
            ));
        }
        all.insert(name.to_owned(), value.to_owned());
    }
    Ok(all.into_iter().collect())
}

pub(super) fn invalid(key: &str, message: impl Into<String>) -> Error {
    local(
        format!("client setting `{key}`"),
        "INVALID_CONFIG",
        message,
        Class::Fatal,
    )
}
