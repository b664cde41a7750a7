//! ARNs in references. Kafka ends a path at the first colon after it, and an ARN has six: what stands behind it comes as the key.

use dray_connect::{Error, Result};
use percent_encoding::percent_decode_str;

/// An ARN: `arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db-a1B2c3`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Arn<'a> {
    pub(crate) service: &'a str,
    pub(crate) region: &'a str,
    /// What is behind the account.
    pub(crate) resource: &'a str,
}

impl<'a> Arn<'a> {
    /// Reads a text that begins with `arn:`; none: it does not.
    ///
    /// # Errors
    /// When it has too few parts.
    pub(crate) fn read(text: &'a str) -> Result<Option<Self>> {
        let mut parts = text.splitn(6, ':');
        if parts.next() != Some("arn") || !text.contains(':') {
            return Ok(None);
        }
        let (_partition, service, region, account) = (parts.next(), parts.next(), parts.next(), parts.next());
        match (service, region, account, parts.next()) {
            (Some(service), Some(region), Some(_), Some(resource)) if !region.is_empty() && !resource.is_empty() => {
                Ok(Some(Self {
                    service,
                    region,
                    resource,
                }))
            }
            (_, _, _, _) => Err(Error::config(format!(
                "{text} is no whole ARN: arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE is wanted"
            ))),
        }
    }
}

/// What is behind the provider's name in a reference, as it was written: path and key, unless the path is the first word of an ARN.
pub(crate) fn whole<'a>(path: &'a str, key: &'a str) -> (String, Option<&'a str>) {
    match path {
        "arn" => (format!("arn:{key}"), None),
        "" => (key.to_owned(), None),
        path => (path.to_owned(), Some(key)),
    }
}

/// A name in which Amazon's providers want the colons of an ARN as `%3A`. No name has a `%` otherwise.
///
/// # Errors
/// When what it stands for is not UTF-8.
pub(crate) fn decoded(name: &str) -> Result<String> {
    let decoded = percent_decode_str(name).decode_utf8();
    decoded
        .map(std::borrow::Cow::into_owned)
        .map_err(|_| Error::config(format!("{name} is not UTF-8 behind its %")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_has_six_parts() {
        let arn = Arn::read("arn:aws-cn:ssm:cn-north-1:1:parameter/a:3").unwrap().unwrap();
        assert_eq!(
            (arn.service, arn.region, arn.resource),
            ("ssm", "cn-north-1", "parameter/a:3")
        );
        for none in ["", "arn", "name", "a:b:c:d:e:f", "arnold:x"] {
            assert_eq!(Arn::read(none).unwrap(), None, "{none}");
        }
        for short in [
            "arn:",
            "arn:aws:ssm:eu:1",
            "arn:aws:ssm::1:parameter/a",
            "arn:aws:ssm:eu:1:",
        ] {
            let shown = Arn::read(short).unwrap_err().to_string();
            assert!(shown.contains("is no whole ARN"), "{shown}");
        }
    }
}
