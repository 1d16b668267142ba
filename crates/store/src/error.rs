//! What can go wrong in the store, with the internal detail kept as the source: logged, never sent.

use std::{error::Error, path::PathBuf};

/// A rule of the database that a write met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// The username is taken in the org.
    Username,
    /// A named user does not exist in the org.
    UnknownUser,
}

/// Why a store call failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database could not be reached, or went away: whether a write was committed is not known.
    #[error("the store is out of reach")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// A rule of the database that the caller can act on.
    #[error("the store refused: {0:?}")]
    Conflict(Conflict),
    /// The database refused a write for a reason in the data (a constraint, a value it cannot store).
    /// Nothing of the batch was written.
    #[error("the store refused the write")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// The page cursor was not made by this route.
    #[error("bad cursor")]
    BadCursor,
    /// The data directory of an embedded store is in use.
    #[error("another process uses the data directory {}; stop it, or choose another directory", .0.display())]
    Locked(PathBuf),
    /// The schema is missing or of another version.
    #[error("{0}")]
    Schema(String),
    /// A defect: wrong SQL, a row that does not decode.
    #[error("the store failed")]
    Internal(#[source] Box<dyn Error + Send + Sync>),
}
