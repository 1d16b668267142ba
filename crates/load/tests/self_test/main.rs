//! The load tester against a server that does wrong on purpose, and against none at all.

// Helpers of tests are tests too, but clippy knows only functions that are marked so.
#![allow(clippy::unwrap_used)]

mod bad_input;
mod benchmark;
mod fake;
mod proof;
mod spawned;
