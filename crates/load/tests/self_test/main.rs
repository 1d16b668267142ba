//! The load tester against a server that does wrong on purpose, and against none at all.

mod bad_input;
mod fake;
mod proof;
