//! What went wrong with Redis, in a form that can be kept, compared and told more than once.

use std::{fmt, time::Duration};

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::BusError;

/// A reason, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    /// The server answered and said no; trying again will hardly help.
    refused: bool,
    text: String,
}

impl Failure {
    /// Out of reach, for this reason.
    pub(super) fn unavailable(text: impl Into<String>) -> Self {
        Self { refused: false, text: text.into() }
    }

    /// No answer within `limit`.
    pub(super) fn silent(limit: Duration) -> Self {
        Self::unavailable(format!("no answer within {} ms", limit.as_millis()))
    }

    /// Whether this is of another kind than `other`: worth a log line of its own.
    pub(super) fn differs(&self, other: &Self) -> bool {
        self.refused != other.refused
    }
}

/// Codes of refusals for which the library has no kind.
const REFUSALS: &[&str] = &["NOAUTH", "WRONGPASS", "OOM", "MISCONF", "WRONGTYPE"];

impl From<&RedisError> for Failure {
    fn from(error: &RedisError) -> Self {
        let refused = match error.kind() {
            ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported => true,
            ErrorKind::Server(kind) => matches!(kind, ServerErrorKind::ResponseError | ServerErrorKind::NoPerm),
            // The error of a pipeline shows its codes only when it is taken apart.
            ErrorKind::Extension => {
                let answers = error.clone().into_server_errors();
                answers.is_some_and(|answers| answers.iter().any(|(_, answer)| REFUSALS.contains(&answer.code())))
            }
            _ => false,
        };
        Self { refused, text: error.to_string() }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self::from(&error)
    }
}

impl From<Failure> for BusError {
    fn from(failure: Failure) -> Self {
        if failure.refused { Self::Refused(failure.text.into()) } else { Self::Unavailable(failure.text.into()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
