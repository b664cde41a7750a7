//! AWS Secrets Manager and Systems Manager Parameter Store.
//!
//! Credentials and regions come from where every program of AWS takes them from: variables, profiles, web identities (IRSA), containers and
//! instances. A client and its thread are there once a value is asked for, and not before.

mod arn;
mod http;
mod names;
mod parameter_store;
mod reader;
mod secrets_manager;
mod settings;
mod store;

pub(crate) use parameter_store::ParameterStore;
pub(crate) use secrets_manager::SecretsManager;

/// What others call the same, in the worker files of those who come from them: Amazon (MSK Connect), Confluent, and the first one of all.
pub(crate) const ALIASES: [&str; 4] = [
    "com.amazonaws.kafka.config.providers.SecretsManagerConfigProvider",
    "com.amazonaws.kafka.config.providers.SsmParamStoreConfigProvider",
    "com.github.jcustenborder.kafka.config.aws.SecretsManagerConfigProvider",
    "io.confluent.csid.config.provider.aws.SecretsManagerConfigProvider",
];
