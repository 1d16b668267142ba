//! The REST API over a real embedded store and bus, request by request, without a socket.

#![allow(clippy::unwrap_used)] // A test that cannot go on should stop here.

mod bad_input;
mod documents;
mod http;
mod sign_in;
mod support;
mod walk;
