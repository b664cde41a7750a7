//! Where the services are.

use aws_config::SdkConfig;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    SecretsManager,
    ParameterStore,
}

impl Service {
    /// In signatures and host names.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager",
            Self::ParameterStore => "ssm",
        }
    }

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::SecretsManager => "AWS Secrets Manager",
            Self::ParameterStore => "AWS Parameter Store",
        }
    }

    /// What is called.
    pub(crate) fn target(self) -> &'static str {
        match self {
            Self::SecretsManager => "secretsmanager.GetSecretValue",
            Self::ParameterStore => "AmazonSSM.GetParameter",
        }
    }

    /// The variable that says where it is.
    fn variable(self) -> &'static str {
        match self {
            Self::SecretsManager => "AWS_ENDPOINT_URL_SECRETS_MANAGER",
            Self::ParameterStore => "AWS_ENDPOINT_URL_SSM",
        }
    }
}

/// Its URL: the one that the environment or the profile says, or the public one of the region.
pub(crate) fn url(service: Service, region: &str, config: &SdkConfig) -> String {
    let said = std::env::var(service.variable()).ok().filter(|url| !url.is_empty());
    if let Some(url) = said.or_else(|| config.endpoint_url().map(str::to_owned)) {
        return url;
    }
    public(
        service,
        region,
        config.use_fips().unwrap_or(false),
        config.use_dual_stack().unwrap_or(false),
    )
}

/// The beginnings of regions' names in partitions that have domains of their own: for IPv4, and for both.
const DOMAINS: [(&str, &str, &str); 6] = [
    ("cn-", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
    ("us-iso-", "c2s.ic.gov", "api.aws.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov", "api.aws.scloud"),
    ("eu-isoe-", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
    ("eusc-", "amazonaws.eu", "api.amazonwebservices.eu"),
];

fn public(service: Service, region: &str, fips: bool, dual_stack: bool) -> String {
    let domain = DOMAINS.into_iter().find(|(begin, _, _)| region.starts_with(begin));
    let (_, domain, both) = domain.unwrap_or(("", "amazonaws.com", "api.aws"));
    let (id, fips) = (service.id(), if fips { "-fips" } else { "" });
    format!("https://{id}{fips}.{region}.{}", if dual_stack { both } else { domain })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_has_its_host() {
        for (region, fips, dual_stack, host) in [
            ("eu-west-1", false, false, "secretsmanager.eu-west-1.amazonaws.com"),
            (
                "us-gov-west-1",
                true,
                false,
                "secretsmanager-fips.us-gov-west-1.amazonaws.com",
            ),
            ("eu-west-1", false, true, "secretsmanager.eu-west-1.api.aws"),
            ("us-east-1", true, true, "secretsmanager-fips.us-east-1.api.aws"),
            ("cn-north-1", false, false, "secretsmanager.cn-north-1.amazonaws.com.cn"),
            (
                "us-isob-east-1",
                false,
                false,
                "secretsmanager.us-isob-east-1.sc2s.sgov.gov",
            ),
        ] {
            let url = public(Service::SecretsManager, region, fips, dual_stack);
            assert_eq!(url, format!("https://{host}"));
        }
        let url = public(Service::ParameterStore, "eu-west-1", false, false);
        assert_eq!(url, "https://ssm.eu-west-1.amazonaws.com");
    }
}
