//! What SQLite refuses, in the store's terms. The detail is kept as the source: logged, never sent.

use crate::{Conflict, Result, StoreError};

/// Turns a driver's result into the store's. (Not a `From`: the driver is in no public signature, and the same
/// driver error means other things in Postgres.)
pub(super) trait Db<T> {
    /// With the error in the store's terms.
    fn db(self) -> Result<T>;
}

impl<T> Db<T> for std::result::Result<T, sqlx::Error> {
    fn db(self) -> Result<T> {
        self.map_err(translate)
    }
}

/// Primary result codes of SQLite (the low byte of the extended ones).
mod code {
    pub(super) const PERM: i64 = 3;
    pub(super) const BUSY: i64 = 5;
    pub(super) const LOCKED: i64 = 6;
    pub(super) const NOMEM: i64 = 7;
    pub(super) const READONLY: i64 = 8;
    pub(super) const IOERR: i64 = 10;
    pub(super) const FULL: i64 = 13;
    pub(super) const CANTOPEN: i64 = 14;
    pub(super) const PROTOCOL: i64 = 15;
    pub(super) const TOOBIG: i64 = 18;
    pub(super) const CONSTRAINT: i64 = 19;
    pub(super) const MISMATCH: i64 = 20;
}

/// A driver's error in the store's terms.
pub(super) fn translate(error: sqlx::Error) -> StoreError {
    use sqlx::Error;
    match &error {
        Error::Io(_) | Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed => {
            StoreError::Unavailable(Box::new(error))
        }
        Error::Database(refusal) => {
            let extended = refusal.code().and_then(|code| code.parse::<i64>().ok()).unwrap_or_default();
            match extended & 0xff {
                code::PERM
                | code::BUSY
                | code::LOCKED
                | code::NOMEM
                | code::READONLY
                | code::IOERR
                | code::FULL
                | code::CANTOPEN
                | code::PROTOCOL => StoreError::Unavailable(Box::new(error)),
                code::CONSTRAINT if refusal.message().contains("users.username_key") => {
                    StoreError::Conflict(Conflict::Username)
                }
                code::CONSTRAINT | code::TOOBIG | code::MISMATCH => StoreError::Refused(Box::new(error)),
                _ if refusal.message().contains("no such table") => {
                    StoreError::Schema("the database is not migrated: run `starling migrate`".into())
                }
                _ => StoreError::Internal(Box::new(error)),
            }
        }
        _ => StoreError::Internal(Box::new(error)),
    }
}

/// A write that names a row which is not there: a defect of whoever decided it, and nothing is written.
pub(super) fn refused(what: &str) -> StoreError {
    StoreError::Refused(what.into())
}

/// A row that does not decode.
pub(super) fn corrupt(what: &str) -> StoreError {
    StoreError::Internal(format!("a row does not decode: {what}").into())
}
