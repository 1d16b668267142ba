//! Sockets against one node in this process. What needs several nodes, Redis or Postgres is in `tests/`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod announcements;
mod at_once;
mod bad_input;
mod bounds;
mod delivery;
mod ends;
mod handshake;
mod harness;
mod presence;
mod resume;
mod slow;
