//! What can go wrong on the bus.

use std::error::Error;

/// Why a bus call failed.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Not reachable, or no answer in time.
    #[error("the bus is out of reach")]
    Unavailable(#[source] Box<dyn Error + Send + Sync>),
    /// The server refused (wrong password, no permission, out of memory).
    #[error("the bus refused")]
    Refused(#[source] Box<dyn Error + Send + Sync>),
    /// The URL or another setting is wrong; fit for an operator, without secrets.
    #[error("{0}")]
    Config(String),
}
