//! What went wrong with Redis, in a form that can be kept, compared and told more than once.

use std::{fmt, time::Duration};

use redis::{ErrorKind, RedisError, ServerError, ServerErrorKind};

use crate::BusError;

/// What a failure asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Out of reach: try again later.
    Unavailable,
    /// The server answered and said no; trying again will hardly help.
    Refused,
    /// Another server answers for this now (a slot moved, a master was replaced): look where.
    Elsewhere,
}

/// A reason, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    kind: Kind,
    text: String,
}

impl Failure {
    /// Out of reach, for this reason.
    pub(super) fn unavailable(text: impl Into<String>) -> Self {
        Self { kind: Kind::Unavailable, text: text.into() }
    }

    /// Refused, for this reason.
    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self { kind: Kind::Refused, text: text.into() }
    }

    /// Another server has taken over.
    pub(super) fn elsewhere(text: impl Into<String>) -> Self {
        Self { kind: Kind::Elsewhere, text: text.into() }
    }

    /// No answer within `limit`.
    pub(super) fn silent(limit: Duration) -> Self {
        Self::unavailable(format!("no answer within {} ms", limit.as_millis()))
    }

    /// The same, with the server's name before it.
    pub(super) fn of(self, server: &str) -> Self {
        Self { text: format!("{server}: {}", self.text), ..self }
    }

    /// Whether this is of another kind than `other`: worth a log line of its own.
    pub(super) fn differs(&self, other: &Self) -> bool {
        self.is_refused() != other.is_refused()
    }

    /// Whether the server answered and said no.
    pub(super) fn is_refused(&self) -> bool {
        self.kind == Kind::Refused
    }

    /// Whether asking where the servers are may help.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.kind == Kind::Elsewhere
    }
}

/// A slot that a server does not serve, and where it says that it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) slot: u16,
    /// None: the host that was asked.
    pub(super) host: Option<String>,
    pub(super) port: u16,
}

impl Moved {
    /// `MOVED 3999 127.0.0.1:6381`
    pub(super) fn read(error: &ServerError) -> Option<Self> {
        if error.kind() != Some(ServerErrorKind::Moved) {
            return None;
        }
        let (slot, address) = error.details()?.trim().split_once(' ')?;
        let (host, port) = address.rsplit_once(':')?;
        let host = host.trim_matches(['[', ']']);
        let host = (!host.is_empty()).then(|| host.to_owned());
        Some(Self { slot: slot.parse().ok()?, host, port: port.parse().ok()? })
    }
}

/// Codes of refusals for which the library has no kind.
const REFUSALS: &[&str] = &["NOAUTH", "WRONGPASS", "OOM", "MISCONF", "WRONGTYPE"];

impl From<&RedisError> for Failure {
    fn from(error: &RedisError) -> Self {
        let answers = error.clone().into_server_errors();
        let codes: Vec<&str> = match &answers {
            // The error of a pipeline shows its codes only when it is taken apart.
            Some(answers) => answers.iter().map(|(_, answer)| answer.code()).collect(),
            None => error.code().into_iter().collect(),
        };
        let refused = match error.kind() {
            ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported => true,
            ErrorKind::Server(kind) => matches!(kind, ServerErrorKind::ResponseError | ServerErrorKind::NoPerm),
            _ => codes.iter().any(|code| REFUSALS.contains(code)),
        };
        let elsewhere = codes.iter().any(|code| matches!(*code, "MOVED" | "READONLY" | "ASK" | "TRYAGAIN"));
        let kind = match (refused, elsewhere) {
            (true, _) => Kind::Refused,
            (false, true) => Kind::Elsewhere,
            (false, false) => Kind::Unavailable,
        };
        Self { kind, text: error.to_string() }
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        Self::from(&error)
    }
}

impl From<Failure> for BusError {
    fn from(failure: Failure) -> Self {
        if failure.is_refused() { Self::Refused(failure.text.into()) } else { Self::Unavailable(failure.text.into()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
