//! The one error of connector code, converters and transforms.
//!
//! The texts are those Kafka Connect prints, because users read them in the REST API, in dead letter headers and in
//! logs. Errors of the runtime itself (stores, placement, the network) are not here.

/// A cause of any kind.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A result whose error is [`enum@Error`] unless said otherwise.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What connector code, a converter or a transform can fail with.
///
/// `Display` is the message of the exception Connect would throw; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A record, a value or a schema is bad (`DataException`).
    #[error("{0}")]
    Data(String),
    /// A schema was put together wrongly (`SchemaBuilderException`).
    #[error("{0}")]
    SchemaBuilder(String),
    /// A value cannot be read with another schema (`SchemaProjectorException`).
    #[error("{0}")]
    SchemaProjector(String),
    /// A name or a number that does not exist was asked for (`IllegalArgumentException`).
    #[error("{0}")]
    IllegalArgument(String),
    /// A configuration is wrong (`ConfigException`). The message is complete: it names the key and the value.
    #[error("{0}")]
    Config(String),
    /// A later try can succeed (`RetriableException`).
    #[error("{message}")]
    Retriable {
        /// What failed.
        message: String,
        /// Why, where it is known.
        source: Option<BoxError>,
    },
    /// The task cannot go on (`ConnectException`).
    #[error("{message}")]
    Connect {
        /// What failed.
        message: String,
        /// Why, where it is known.
        source: Option<BoxError>,
    },
    /// One of the errors whose variant has no room for a cause, with its cause. Made by [`Error::with_source`].
    #[error("{error}")]
    Caused {
        /// The error itself; never `Caused`, `Retriable` or `Connect`.
        error: Box<Error>,
        /// Why it happened.
        source: BoxError,
    },
    /// The work was asked to stop. This is not a failure to log.
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    /// A bad record, value or schema.
    pub fn data(message: impl Into<String>) -> Self {
        Self::Data(message.into())
    }

    /// A schema that was put together wrongly.
    pub fn schema_builder(message: impl Into<String>) -> Self {
        Self::SchemaBuilder(message.into())
    }

    /// A value that cannot be read with another schema.
    pub fn schema_projector(message: impl Into<String>) -> Self {
        Self::SchemaProjector(message.into())
    }

    /// Something that does not exist was asked for.
    pub fn illegal_argument(message: impl Into<String>) -> Self {
        Self::IllegalArgument(message.into())
    }

    /// A wrong configuration; the message must be complete.
    pub fn config(message: impl Into<String>) -> Self {
        Self::Config(message.into())
    }

    /// `Invalid value <value> for configuration <name>: <problem>`, as `ConfigException(name, value, message)` prints it.
    /// `None` stands for a null value.
    pub fn invalid_config(name: &str, value: Option<&str>, problem: Option<&str>) -> Self {
        let value = value.unwrap_or("null");
        match problem {
            Some(problem) => Self::Config(format!("Invalid value {value} for configuration {name}: {problem}")),
            None => Self::Config(format!("Invalid value {value} for configuration {name}")),
        }
    }

    /// A failure that a later try can cure.
    pub fn retriable(message: impl Into<String>) -> Self {
        Self::Retriable {
            message: message.into(),
            source: None,
        }
    }

    /// A failure that ends the task.
    pub fn connect(message: impl Into<String>) -> Self {
        Self::Connect {
            message: message.into(),
            source: None,
        }
    }

    /// The same error with its cause; a cause that was there before is replaced. `Cancelled` has no cause and stays as it is.
    #[must_use]
    pub fn with_source(self, cause: impl Into<BoxError>) -> Self {
        let cause = cause.into();
        match self {
            Self::Retriable { message, source: _ } => Self::Retriable {
                message,
                source: Some(cause),
            },
            Self::Connect { message, source: _ } => Self::Connect {
                message,
                source: Some(cause),
            },
            Self::Caused { error, source: _ } => Self::Caused { error, source: cause },
            Self::Data(_)
            | Self::SchemaBuilder(_)
            | Self::SchemaProjector(_)
            | Self::IllegalArgument(_)
            | Self::Config(_) => Self::Caused {
                error: Box::new(self),
                source: cause,
            },
            Self::Cancelled => Self::Cancelled,
        }
    }

    /// The error without the wrapper that carries its cause, for a caller that decides by kind.
    #[must_use]
    pub fn kind(&self) -> &Self {
        match self {
            Self::Caused { error, source: _ } => error.kind(),
            Self::Data(_)
            | Self::SchemaBuilder(_)
            | Self::SchemaProjector(_)
            | Self::IllegalArgument(_)
            | Self::Config(_)
            | Self::Retriable { .. }
            | Self::Connect { .. }
            | Self::Cancelled => self,
        }
    }

    /// Whether the same call may succeed later. Nothing is promised about what the failed call already did.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        match self.kind() {
            Self::Retriable { .. } => true,
            Self::Data(_)
            | Self::SchemaBuilder(_)
            | Self::SchemaProjector(_)
            | Self::IllegalArgument(_)
            | Self::Config(_)
            | Self::Connect { .. }
            | Self::Caused { .. }
            | Self::Cancelled => false,
        }
    }

    /// The Java class of this error, as dead letter headers and task traces name it.
    #[must_use]
    pub fn java_class(&self) -> &'static str {
        match self {
            Self::Data(_) => "org.apache.kafka.connect.errors.DataException",
            Self::SchemaBuilder(_) => "org.apache.kafka.connect.errors.SchemaBuilderException",
            Self::SchemaProjector(_) => "org.apache.kafka.connect.errors.SchemaProjectorException",
            Self::IllegalArgument(_) => "java.lang.IllegalArgumentException",
            Self::Config(_) => "org.apache.kafka.common.config.ConfigException",
            Self::Retriable { .. } => "org.apache.kafka.connect.errors.RetriableException",
            Self::Connect { .. } => "org.apache.kafka.connect.errors.ConnectException",
            Self::Caused { error, source: _ } => error.java_class(),
            Self::Cancelled => "java.util.concurrent.CancellationException",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::Error;

    #[test]
    fn a_cause_keeps_the_message_and_the_class() {
        let error = Error::data("bad record").with_source(Error::connect("disk"));
        assert_eq!(error.to_string(), "bad record");
        assert_eq!(error.java_class(), "org.apache.kafka.connect.errors.DataException");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("disk"));
        assert!(matches!(error.kind(), Error::Data(_)));
    }

    #[test]
    fn a_retriable_error_stays_retriable_with_a_cause() {
        let error = Error::retriable("later").with_source(Error::Cancelled);
        assert!(error.is_retriable());
        assert!(error.source().is_some());
    }

    #[test]
    fn config_messages_name_key_and_value() {
        let error = Error::invalid_config("tasks.max", None, Some("Value must be non-null"));
        assert_eq!(
            error.to_string(),
            "Invalid value null for configuration tasks.max: Value must be non-null"
        );
        assert_eq!(
            Error::invalid_config("k", Some("v"), None).to_string(),
            "Invalid value v for configuration k"
        );
    }
}
