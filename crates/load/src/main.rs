//! `starling-load`: the load tester as a program of its own; `starling load` is the same.

use std::process::ExitCode;

use clap::Parser as _;

#[tokio::main]
async fn main() -> ExitCode {
    load::cli::run(load::cli::Args::parse()).await
}
