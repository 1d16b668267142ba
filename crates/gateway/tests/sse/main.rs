//! Streams of events over real HTTP connections to a real node, with the embedded store and the in-process bus.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod client;
mod door;
mod ends;
mod events;
// What the sockets' tests have, of which these use a part.
#[allow(dead_code)]
#[path = "../sockets/harness.rs"]
mod harness;
mod ids;
mod resume;
