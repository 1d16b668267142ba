//! What goes wrong inside, before it becomes a [`StoreError`]: keeps the SQL state, so that a transaction can be
//! retried, and decides in one place what each state means to a caller.

use sqlx::error::{DatabaseError, ErrorKind};

use crate::{Conflict, StoreError};

/// Result of a call inside this module.
pub(super) type Outcome<T> = Result<T, Fault>;

/// Why a call failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// What sqlx says.
    Sql(sqlx::Error),
    /// What we say.
    Store(StoreError),
}

impl Fault {
    /// A defect: what should have been there is not.
    pub(super) fn internal(what: &'static str) -> Self {
        Self::Store(StoreError::Internal(what.into()))
    }

    /// A connection failed, so that others may have too: those of a server that ended, say.
    pub(super) fn is_of_the_connection(&self) -> bool {
        use sqlx::Error as E;
        match self {
            Self::Sql(E::Io(_) | E::Tls(_) | E::Protocol(_) | E::WorkerCrashed | E::BeginFailed) => true,
            // The operator ended the session, or the server.
            Self::Sql(E::Database(error)) => error.code().is_some_and(|code| code.starts_with("57P")),
            _ => false,
        }
    }

    /// No connection was to be had in time: all were busy, or none could be made.
    pub(super) fn is_for_want_of_a_connection(&self) -> bool {
        matches!(self, Self::Sql(sqlx::Error::PoolTimedOut))
    }

    /// Another try of the same transaction may succeed, and this one certainly wrote nothing.
    pub(super) fn retry(&self) -> Option<Retry> {
        let Self::Sql(sqlx::Error::Database(error)) = self else { return None };
        match error.code().as_deref() {
            Some("40001" | "40P01") => Some(Retry::Conflict),
            Some("55P03") => Some(Retry::LockTimeout),
            _ => None,
        }
    }
}

/// Why a transaction should be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Retry {
    /// Serialisation failure or deadlock.
    Conflict,
    /// Waited for a lock as long as `lock_timeout` allows.
    LockTimeout,
}

impl From<sqlx::Error> for Fault {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Fault> for StoreError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Store(error) => error,
            Fault::Sql(error) => classify(error),
        }
    }
}

fn classify(error: sqlx::Error) -> StoreError {
    use sqlx::Error as E;
    match error {
        E::Database(refusal) => classify_refusal(refusal),
        // A broken protocol leaves a commit as unknown as a broken connection.
        E::Io(_) | E::Tls(_) | E::Protocol(_) | E::PoolTimedOut | E::PoolClosed | E::WorkerCrashed | E::BeginFailed => {
            StoreError::Unavailable(error.into())
        }
        E::Encode(_) => StoreError::Refused(error.into()),
        other => StoreError::Internal(other.into()),
    }
}

fn classify_refusal(refusal: Box<dyn DatabaseError>) -> StoreError {
    if refusal.kind() == ErrorKind::UniqueViolation && refusal.constraint() == Some("users_org_username_unique") {
        return StoreError::Conflict(Conflict::Username);
    }
    let state = refusal.code().map(std::borrow::Cow::into_owned).unwrap_or_default();
    let error = sqlx::Error::Database(refusal);
    match state.as_str() {
        // An undefined table or column.
        "42P01" | "42703" => StoreError::Schema(
            "the database's schema is missing or older than this binary: run `starling migrate`".into(),
        ),
        // Read-only: a failover left us on a standby. Cancelled: the statement's time was up.
        // 25P03: we were idle in a transaction for too long. 3D000: the database is not there (yet).
        "25006" | "25P03" | "57014" | "55P03" | "40001" | "40P01" | "3D000" => StoreError::Unavailable(error.into()),
        _ => match state.get(..2) {
            Some("22" | "23") => StoreError::Refused(error.into()),
            // Connection, sign-in, resources (connections, memory, disk), operator intervention, system.
            Some("08" | "28" | "53" | "57" | "58") => StoreError::Unavailable(error.into()),
            _ => StoreError::Internal(error.into()),
        },
    }
}
