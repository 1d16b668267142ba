//! The subcommands.

mod admin;
mod check;
mod config;
mod healthcheck;
mod migrate;
mod node;
mod token;

use std::{io::Write as _, process::ExitCode};

use tokio::runtime::{Builder, Runtime};

use crate::{
    Failure,
    cli::Command,
    config::{Config, Purpose, Role, Sources},
};

/// Does what the command says.
pub fn run(command: Command, sources: &Sources) -> Result<ExitCode, Failure> {
    // Set already when a test runs several commands in one process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let load = |purpose| Config::load(sources, purpose);
    match command {
        Command::Serve => node::run(&load(Purpose::Node(Role::Serve))?, Role::Serve),
        Command::Gateway => node::run(&load(Purpose::Node(Role::Gateway))?, Role::Gateway),
        Command::Api => node::run(&load(Purpose::Node(Role::Api))?, Role::Api),
        Command::Migrate { wait } => {
            let config = load(Purpose::Migrate)?;
            runtime()?.block_on(migrate::run(&config, wait))
        }
        Command::Admin(task) => {
            let config = load(Purpose::Tool)?;
            runtime()?.block_on(admin::run(&config, task))
        }
        Command::Check { json } => {
            let config = load(Purpose::Node(Role::Serve)).inspect_err(|failure| check::refused(failure, json))?;
            runtime()?.block_on(check::run(&config, json))
        }
        Command::Healthcheck { alive } => {
            let config = load(Purpose::Tool)?;
            runtime()?.block_on(healthcheck::run(&config, alive))
        }
        Command::Load { args } => {
            // Wrong usage, and `--help`, are answered by clap itself.
            let args = <load::cli::Args as clap::Parser>::parse_from(args);
            Ok(runtime()?.block_on(load::cli::run(args)))
        }
        Command::Token(claims) => token::run(&load(Purpose::Tool)?, claims),
        Command::Config { json } => Ok(config::run(&load(Purpose::Node(Role::Serve))?, json)),
    }
}

fn runtime() -> Result<Runtime, Failure> {
    let runtime = Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::failed(format_args!("cannot start threads: {error}")))
}

/// A line on stdout; who closed it does not want it.
fn say(line: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
