//! The REST API over a real embedded store and bus, request by request, without a socket.

mod bad_input;
mod documents;
mod http;
mod sign_in;
mod support;
mod walk;
