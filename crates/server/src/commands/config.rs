//! `starling config`

use std::process::ExitCode;

use crate::{
    Failure,
    commands::say,
    config::{Config, show},
};

pub(super) fn run(config: &Config, json: bool) -> Result<ExitCode, Failure> {
    if json {
        say(format_args!("{:#}", show::json(config)));
    } else {
        say(show::toml(config).trim_end());
    }
    Ok(ExitCode::SUCCESS)
}
