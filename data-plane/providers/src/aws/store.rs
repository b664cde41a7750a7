//! What AWS is asked, and what its answers mean: GetSecretValue and GetParameter, as JSON 1.1, signed with Signature Version 4.

mod answer;
mod endpoint;

use crate::aws::arn::Arn;
use crate::aws::http::{Http, passes};
use crate::aws::reader::{Failure, Kind, Outcome, Wanted};
use crate::aws::settings::Settings;
use answer::{Refusal, found, refusal};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_credential_types::provider::error::CredentialsError;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use endpoint::Service;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use ureq::http::Request;

/// For all tries together: less than what waits for it has.
const PATIENCE: Duration = Duration::from_secs(20);
/// Tries, and the time before the second; each further wait is twice as long.
const TRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Credentials are replaced so long before they expire, and looked up again after so long if they never do: a file may have changed.
const RENEW: Duration = Duration::from_secs(300);

/// One account's secrets and parameters.
pub(crate) struct Store {
    settings: Settings,
    http: Http,
    /// What the environment and the profile say; none before it was needed, or without a region.
    config: Mutex<Option<Arc<SdkConfig>>>,
    credentials: Mutex<Option<Kept>>,
}

struct Kept {
    credentials: Credentials,
    since: Instant,
}

/// A try that failed.
struct Failed {
    failure: Failure,
    /// Whether to try again at once.
    again: bool,
}

impl Store {
    pub(crate) fn new(settings: Settings) -> Self {
        Self {
            settings,
            http: Http::new(),
            config: Mutex::default(),
            credentials: Mutex::default(),
        }
    }

    /// Reads it, some times if need be.
    pub(crate) async fn read(&self, wanted: &Wanted) -> Outcome {
        let tries = async {
            let mut wait = FIRST_WAIT;
            for attempt in 1.. {
                match self.once(wanted).await {
                    Ok(found) => return Ok(found),
                    Err(failed) if failed.again && attempt < TRIES => sleep(wait).await,
                    Err(failed) => return Err(failed.failure),
                }
                wait *= 2;
            }
            unreachable!("the last try returns")
        };
        let late = |_| {
            failure(
                Kind::Passing,
                wanted,
                "",
                &format!("it does not answer within {PATIENCE:?}"),
            )
        };
        timeout(PATIENCE, tries).await.map_err(late)?
    }

    async fn once(&self, wanted: &Wanted) -> Result<crate::aws::reader::Found, Failed> {
        let for_good = |kind, region: &str, why: &str| Failed {
            failure: failure(kind, wanted, region, why),
            again: false,
        };
        let config = self.config().await;
        let (service, body) = request(wanted);
        let region = region_of(wanted).or_else(|| config.region().map(|region| region.as_ref().to_owned()));
        let Some(region) = region else {
            let prefix = &self.settings.prefix;
            let why = format!("no region is known. Set {prefix}region, or the variable AWS_REGION");
            return Err(for_good(Kind::Refused, "", &why));
        };
        let url = match &self.settings.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => endpoint::url(service, &region, &config),
        };
        let credentials = self.credentials(&config).await;
        let credentials = credentials.map_err(|(kind, why)| for_good(kind, &region, &why))?;
        let source = credentials.clone();
        let signed = signed(service, &region, &url, body.to_string(), credentials);
        let request = signed.map_err(|why| for_good(Kind::Refused, &region, &format!("{url}: {why}")))?;
        let answer = self.http.send(request).await.map_err(|error| {
            let kind = if passes(&error) { Kind::Passing } else { Kind::Refused };
            Failed {
                failure: failure(kind, wanted, &region, &format!("{url} cannot be reached: {error}")),
                again: kind == Kind::Passing,
            }
        })?;
        if answer.status().is_success() {
            return found(wanted, answer.body()).ok_or_else(|| {
                let why = format!("{url} answers what {} does not", service.name());
                for_good(Kind::Refused, &region, &why)
            });
        }
        let Refusal { kind, again, why } = refusal(service, &answer, &source);
        if again == answer::Again::WithNewCredentials {
            *self.credentials.lock().await = None;
        }
        Err(Failed {
            failure: failure(kind, wanted, &region, &why),
            again: again != answer::Again::No,
        })
    }

    async fn config(&self) -> Arc<SdkConfig> {
        let mut kept = self.config.lock().await;
        if let Some(config) = &*kept {
            return config.clone();
        }
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(self.http.clone());
        if let Some(region) = &self.settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        let config = Arc::new(loader.load().await);
        // An instance that does not answer yet may tell its region later.
        *kept = config.region().map(|_| config.clone());
        config
    }

    /// Those to sign with: kept until shortly before they expire, and beyond that for as long as they hold and no others are to be had.
    async fn credentials(&self, config: &SdkConfig) -> Result<Credentials, (Kind, String)> {
        if let Some((access, secret)) = &self.settings.keys {
            return Ok(Credentials::new(access, secret, None, None, "worker configuration"));
        }
        let mut kept = self.credentials.lock().await;
        let now = SystemTime::now();
        let holds = |kept: &Kept, until: SystemTime| kept.credentials.expiry().is_none_or(|expiry| expiry > until);
        let is_new = |kept: &Kept| match kept.credentials.expiry() {
            Some(_) => holds(kept, now + RENEW),
            None => kept.since.elapsed() < RENEW,
        };
        if let Some(kept) = kept.as_ref().filter(|kept| is_new(kept)) {
            return Ok(kept.credentials.clone());
        }
        let provider = config
            .credentials_provider()
            .ok_or((Kind::Refused, NO_CREDENTIALS.to_owned()))?;
        match provider.provide_credentials().await {
            Ok(credentials) => {
                *kept = Some(Kept {
                    credentials: credentials.clone(),
                    since: Instant::now(),
                });
                Ok(credentials)
            }
            Err(error) => {
                if let Some(kept) = kept.as_ref().filter(|kept| holds(kept, now)) {
                    tracing::warn!(
                        error = chain(&error),
                        "credentials for AWS cannot be renewed: those that there are still hold"
                    );
                    return Ok(kept.credentials.clone());
                }
                Err(without_credentials(&error))
            }
        }
    }
}

const NO_CREDENTIALS: &str = "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a profile (AWS_PROFILE), a web \
                              identity (AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_ARN), or give the container or instance a role";

#[expect(clippy::wildcard_enum_match_arm, reason = "it may get further variants")]
fn without_credentials(error: &CredentialsError) -> (Kind, String) {
    let why = format!("credentials cannot be had: {}", chain(error));
    match error {
        CredentialsError::CredentialsNotLoaded(_) => (Kind::Refused, NO_CREDENTIALS.to_owned()),
        CredentialsError::ProviderTimedOut(_) | CredentialsError::ProviderError(_) => (Kind::Passing, why),
        _ => (Kind::Refused, why),
    }
}

/// An error with its causes, as each says it: their debug output would show answers whole, and credentials with them.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Where an ARN says that it is.
fn region_of(wanted: &Wanted) -> Option<String> {
    let name = match wanted {
        Wanted::Secret { id, .. } => id,
        Wanted::Parameter { name } => name,
    };
    Some(Arn::read(name).ok()??.region.to_owned())
}

fn request(wanted: &Wanted) -> (Service, Json) {
    match wanted {
        Wanted::Secret { id, version, stage } => {
            let mut body = json!({ "SecretId": id });
            if let Some(version) = version {
                body["VersionId"] = version.as_str().into();
            }
            if let Some(stage) = stage {
                body["VersionStage"] = stage.as_str().into();
            }
            (Service::SecretsManager, body)
        }
        Wanted::Parameter { name } => (Service::ParameterStore, json!({ "Name": name, "WithDecryption": true })),
    }
}

fn signed(
    service: Service,
    region: &str,
    url: &str,
    body: String,
    credentials: Credentials,
) -> Result<Request<Vec<u8>>, String> {
    let headers = [
        ("content-type", "application/x-amz-json-1.1"),
        ("x-amz-target", service.target()),
    ];
    let identity = credentials.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service.id())
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .map_err(|error| error.to_string())?;
    let mut request = Request::post(url);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut request = request.body(body.into_bytes()).map_err(|error| error.to_string())?;
    // As it is sent: with a path.
    let uri = request.uri().to_string();
    let signable = SignableRequest::new("POST", uri, headers.into_iter(), SignableBody::Bytes(request.body()));
    let signing = signable.and_then(|signable| sign(signable, &params.into()));
    let (instructions, _) = signing.map_err(|error| error.to_string())?.into_parts();
    instructions.apply_to_request_http1x(&mut request);
    Ok(request)
}

fn failure(kind: Kind, wanted: &Wanted, region: &str, why: &str) -> Failure {
    let (what, name, of) = match wanted {
        Wanted::Secret { id, .. } => ("Secret", id, Service::SecretsManager.name()),
        Wanted::Parameter { name } => ("Parameter", name, Service::ParameterStore.name()),
    };
    let of = match region {
        "" => of.to_owned(),
        region => format!("{of} in {region}"),
    };
    let text = format!("{what} {name} cannot be read from {of}: {why}");
    Failure { kind, text }
}
