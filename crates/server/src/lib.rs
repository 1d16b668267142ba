//! The server: configuration, wiring, listeners, health, the embedded web client, and the subcommands of `starling`.
//!
//! [`Node::start`] wires a node, [`run`] serves it until it is told to end; both take what they need as arguments,
//! so that a test can do what `starling serve` does, on a port that it bound itself.

pub mod cli;
mod cluster;
pub mod commands;
pub mod config;
mod embedded;
mod failure;
mod limits;
mod node;
mod parts;
mod serve;
pub mod telemetry;
mod testing;
mod timed;

pub use failure::Failure;
pub use node::Node;
pub use serve::{bind, run};
