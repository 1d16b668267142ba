//! What Starling is measured against: a limit server and what drives it.
//!
//! [`server`] is the least that a correct broadcast WebSocket server can do (`limit-server` is its program), [`limit`]
//! opens sockets to it, runs the shapes that `make bench` runs on Starling, and checks every delivery. [`micro`] is
//! single parts of Starling's own.

pub mod limit;
pub mod micro;
pub mod server;
pub mod table;
