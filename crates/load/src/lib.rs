//! The load tester: a client only. Opens sockets, sends, and checks every single delivery.
//!
//! Two scenarios so far: [`idle`] (sockets that do nothing) and [`room`] (one conversation with many members and
//! some of them sending). `make bench` drives both; `starling-load` runs them against any cluster.

mod audit;
mod client;
pub mod idle;
mod people;
pub mod room;

pub use audit::Findings;
pub use client::{Client, Incoming};
pub use people::{People, Person};

/// Where to connect and who with.
#[derive(Debug, Clone)]
pub struct Target {
    /// Base URLs of REST (`http://host:port`); the first one is used.
    pub api: String,
    /// Base URLs of gateways; sockets are spread over them.
    pub gateways: Vec<String>,
    /// The cluster's HS256 secret, with which tokens are minted.
    pub secret: String,
}
