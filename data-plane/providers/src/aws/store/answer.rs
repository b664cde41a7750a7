//! What answers mean.

use super::endpoint::Service;
use crate::aws::reader::{Found, Kind, Wanted};
use aws_credential_types::Credentials;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;
use ureq::http::Response;

/// The value of an answer; none: it has none. Nothing is said of one that cannot be read, as it may be a value.
pub(crate) fn found(wanted: &Wanted, body: &[u8]) -> Option<Found> {
    let answer: Json = serde_json::from_slice(body).ok()?;
    match wanted {
        Wanted::Secret { .. } => match (answer["SecretString"].as_str(), answer["SecretBinary"].as_str()) {
            (Some(text), _) => Some(Found::Text(text.into())),
            (None, Some(binary)) => Some(Found::Binary(STANDARD.decode(binary).ok()?.into())),
            (None, None) => None,
        },
        Wanted::Parameter { .. } => Some(Found::Text(answer["Parameter"]["Value"].as_str()?.into())),
    }
}

/// A no.
pub(crate) struct Refusal {
    pub(crate) kind: Kind,
    pub(crate) again: Again,
    /// What AWS says, and what to do.
    pub(crate) why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Again {
    No,
    Yes,
    WithNewCredentials,
}

/// What it means that an answer is none; `credentials` are those that it was asked with.
pub(crate) fn refusal(service: Service, answer: &Response<Vec<u8>>, credentials: &Credentials) -> Refusal {
    let body: Json = serde_json::from_slice(answer.body()).unwrap_or_default();
    let header = answer
        .headers()
        .get("x-amzn-errortype")
        .and_then(|value| value.to_str().ok());
    let text = std::str::from_utf8(answer.body()).unwrap_or_default();
    let code = body["__type"]
        .as_str()
        .or(header)
        .or_else(|| tag(text, "Code"))
        .unwrap_or_default();
    // `com.amazon.coral.service#AccessDeniedException`, `AccessDeniedException:http://...`
    let code = code.rsplit('#').next().unwrap_or(code);
    let code = code.split(':').next().unwrap_or(code);
    let message = body["message"].as_str().or_else(|| body["Message"].as_str());
    let message = message.or_else(|| tag(text, "Message")).unwrap_or_default();
    let status = answer.status().as_u16();
    let (kind, again, advice) = meaning(service, code, status, message);
    let mut why = match code {
        "" => format!("it answers with status {status}"),
        code => format!("{code} (status {status})"),
    };
    if !message.is_empty() {
        why = format!("{why}: {}", message.trim_end_matches('.'));
    }
    if !advice.is_empty() {
        why = format!("{why}. {}", advice.replace("KEY", credentials.access_key_id()));
    }
    Refusal { kind, again, why }
}

/// What stands in an XML tag: those who stand before a service may refuse in XML what it would refuse in JSON.
fn tag<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0)
}

fn meaning(service: Service, code: &str, status: u16, message: &str) -> (Kind, Again, &'static str) {
    let allow = match service {
        Service::SecretsManager => {
            "Allow secretsmanager:GetSecretValue on it, and kms:Decrypt on a key of its own, if it has one"
        }
        Service::ParameterStore => "Allow ssm:GetParameter on it, and kms:Decrypt on the key of a SecureString",
    };
    match code {
        "ResourceNotFoundException" | "ParameterNotFound" | "ParameterVersionNotFound" => (
            Kind::Missing,
            Again::No,
            "Its name, version or label, or the region, may be wrong",
        ),
        "InvalidRequestException" if message.contains("delet") => (
            Kind::Refused,
            Again::No,
            "Restore it (aws secretsmanager restore-secret), or refer to another",
        ),
        "AccessDeniedException" | "AccessDenied" => (Kind::Refused, Again::No, allow),
        "DecryptionFailure" | "InvalidKeyId" => (
            Kind::Refused,
            Again::No,
            "Allow kms:Decrypt on its key, and see that the key is enabled",
        ),
        "ExpiredToken" | "ExpiredTokenException" => (
            Kind::Passing,
            Again::WithNewCredentials,
            "Whoever gives the credentials of access key KEY has to renew them",
        ),
        "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch" => (
            Kind::Refused,
            Again::No,
            "The secret key of access key KEY may be wrong, or the clock of this machine",
        ),
        "InvalidClientTokenId" | "MissingAuthenticationTokenException" | "UnrecognizedClientException" => {
            (Kind::Refused, Again::No, "AWS does not know access key KEY")
        }
        _ if status >= 500 || status == 429 || is_throttling(code) => (Kind::Passing, Again::Yes, ""),
        _ => (Kind::Refused, Again::No, ""),
    }
}

fn is_throttling(code: &str) -> bool {
    matches!(
        code,
        "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "SlowDown"
            | "Throttling"
            | "ThrottlingException"
            | "ThrottledException"
            | "TooManyRequestsException"
            | "TooManyUpdates"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(service: Service, status: u16, body: &str, header: Option<&str>) -> Refusal {
        let mut answer = Response::builder().status(status);
        if let Some(header) = header {
            answer = answer.header("x-amzn-errortype", header);
        }
        let answer = answer.body(body.as_bytes().to_vec()).unwrap();
        refusal(service, &answer, &Credentials::new("AKIA", "hush", None, None, "tests"))
    }

    #[test]
    fn each_no_says_what_to_do() {
        use Again::{No, WithNewCredentials, Yes};
        use Kind::{Missing, Passing, Refused};
        for (status, code, message, kind, again, advice) in [
            (
                400,
                "ResourceNotFoundException",
                "Secrets Manager can't find it.",
                Missing,
                No,
                "or the region, may be wrong",
            ),
            (
                400,
                "InvalidRequestException",
                "it was marked for deletion.",
                Refused,
                No,
                "Restore it",
            ),
            (400, "InvalidRequestException", "odd", Refused, No, "odd"),
            (
                400,
                "AccessDeniedException",
                "User: x is not authorized",
                Refused,
                No,
                "Allow secretsmanager:GetSecretValue",
            ),
            (400, "DecryptionFailure", "", Refused, No, "kms:Decrypt"),
            (
                400,
                "ThrottlingException",
                "Rate exceeded",
                Passing,
                Yes,
                "Rate exceeded",
            ),
            (
                400,
                "ExpiredTokenException",
                "",
                Passing,
                WithNewCredentials,
                "access key AKIA has to renew",
            ),
            (
                400,
                "UnrecognizedClientException",
                "",
                Refused,
                No,
                "AWS does not know access key AKIA",
            ),
            (
                400,
                "InvalidSignatureException",
                "",
                Refused,
                No,
                "the clock of this machine",
            ),
            (
                500,
                "InternalServiceError",
                "",
                Passing,
                Yes,
                "InternalServiceError (status 500)",
            ),
            (
                400,
                "Novelty",
                "who knows",
                Refused,
                No,
                "Novelty (status 400): who knows",
            ),
        ] {
            for body in [
                format!(r#"{{"__type":"{code}","message":"{message}"}}"#),
                format!(r#"{{"__type":"com.amazonaws.secretsmanager#{code}","Message":"{message}"}}"#),
            ] {
                let refusal = refused(Service::SecretsManager, status, &body, None);
                assert_eq!((refusal.kind, refusal.again), (kind, again), "{code}");
                assert!(refusal.why.contains(advice), "{}", refusal.why);
                assert!(
                    refusal.why.starts_with(code) && !refusal.why.contains("hush"),
                    "{}",
                    refusal.why
                );
            }
        }
        let by_header = refused(Service::ParameterStore, 400, "{}", Some("ParameterNotFound:http://x"));
        assert_eq!(by_header.kind, Missing);
        let xml = "<ErrorResponse><Errors><Error><Code>AccessDenied</Code><Message>User: x</Message></Error></Errors></ErrorResponse>";
        let in_xml = refused(Service::ParameterStore, 403, xml, None);
        assert!(
            in_xml
                .why
                .starts_with("AccessDenied (status 403): User: x. Allow ssm:GetParameter"),
            "{}",
            in_xml.why
        );
        let none = refused(Service::ParameterStore, 503, "<html>", None);
        assert_eq!((none.kind, none.why.as_str()), (Passing, "it answers with status 503"));
    }

    #[test]
    fn values_come_as_texts_or_binary() {
        let secret = Wanted::Secret {
            id: "a".into(),
            version: None,
            stage: None,
        };
        let parameter = Wanted::Parameter { name: "a".into() };
        for (wanted, body, value) in [
            (
                &secret,
                r#"{"SecretString":"x","Name":"a"}"#,
                Some(Found::Text("x".into())),
            ),
            (
                &secret,
                r#"{"SecretBinary":"/wA="}"#,
                Some(Found::Binary([255, 0][..].into())),
            ),
            (&secret, r#"{"SecretBinary":"?"}"#, None),
            (&secret, r#"{"Parameter":{"Value":"x"}}"#, None),
            (
                &parameter,
                r#"{"Parameter":{"Value":"x"}}"#,
                Some(Found::Text("x".into())),
            ),
            (&parameter, r#"{"Parameter":{}}"#, None),
            (&parameter, "", None),
        ] {
            assert_eq!(found(wanted, body.as_bytes()), value, "{body}");
        }
    }
}
