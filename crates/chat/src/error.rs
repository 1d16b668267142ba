//! One error for the whole domain: a stable code, a sentence for a person, and the cause for the log.

use std::error::Error;

use protocol::{ErrorCode, FieldError, ReplyError};

/// Result of a use case.
pub type Result<T> = std::result::Result<T, ChatError>;

/// Why a use case was refused or failed.
#[derive(Debug, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ChatError {
    /// Stable code.
    pub code: ErrorCode,
    /// One sentence for a person; never anything internal.
    pub message: String,
    /// The fields that were refused.
    pub errors: Vec<FieldError>,
    /// When to try again, milliseconds.
    pub retry_after_ms: Option<u64>,
    /// What really happened: logged once, at the transport's boundary, never sent.
    #[source]
    pub source: Option<Box<dyn Error + Send + Sync>>,
}

impl ChatError {
    /// An error with this code.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), errors: Vec::new(), retry_after_ms: None, source: None }
    }

    /// A field that has a value that is not allowed.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self {
            errors: vec![FieldError { field: field.into(), message: message.clone() }],
            ..Self::new(ErrorCode::Invalid, format!("{field} {message}"))
        }
    }

    /// No such thing, or none that the caller may know of: the two look the same.
    pub fn not_found(what: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("there is no such {what}"))
    }

    /// With a time to try again.
    #[must_use]
    pub fn retry_after(mut self, millis: u64) -> Self {
        self.retry_after_ms = Some(millis);
        self
    }

    /// With what really happened.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The database is away, as several hear it.
    pub(crate) fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(ErrorCode::Unavailable, "the database is out of reach or too busy; try again")
            .retry_after(UNAVAILABLE_RETRY_MS)
            .because(cause)
    }

    /// As `error` of a WebSocket reply.
    pub fn to_reply(&self) -> ReplyError {
        ReplyError {
            code: self.code,
            message: self.message.clone(),
            errors: self.errors.clone(),
            retry_after_ms: self.retry_after_ms,
        }
    }
}

/// How long a client waits before it tries again when a part is out of reach.
const UNAVAILABLE_RETRY_MS: u64 = 1_000;

impl From<store::StoreError> for ChatError {
    fn from(error: store::StoreError) -> Self {
        use store::{Conflict, StoreError};
        match error {
            StoreError::Unavailable(_) | StoreError::Locked(_) => Self::unavailable(error),
            StoreError::Conflict(Conflict::Username) => {
                Self::new(ErrorCode::UsernameTaken, "somebody else has this username")
            }
            StoreError::Conflict(Conflict::UnknownUser) => Self::not_found("user"),
            StoreError::BadCursor => Self::field("cursor", "is not one that this route gave"),
            StoreError::Refused(_) => Self::new(ErrorCode::Invalid, "the request cannot be stored").because(error),
            StoreError::Schema(_) => Self::new(ErrorCode::Unavailable, "the database is not migrated yet; try again")
                .retry_after(UNAVAILABLE_RETRY_MS)
                .because(error),
            StoreError::Internal(_) => Self::new(ErrorCode::Internal, "something failed here").because(error),
        }
    }
}

impl From<bus::BusError> for ChatError {
    fn from(error: bus::BusError) -> Self {
        Self::new(ErrorCode::Unavailable, "the event bus is out of reach; try again")
            .retry_after(UNAVAILABLE_RETRY_MS)
            .because(error)
    }
}
