//! The real `starling` binary as an operator meets it: exit codes, the lines it prints, how it starts and ends.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admin;
mod cluster;
mod configuration;
mod embedded;
mod examples;
mod support;
mod systemd;
mod troubleshooting;
