//! `starling config`

use std::process::ExitCode;

use crate::{
    commands::say,
    config::{Config, show},
};

pub(super) fn run(config: &Config, json: bool) -> ExitCode {
    if json {
        say(format_args!("{:#}", show::json(config)));
    } else {
        say(show::toml(config).trim_end());
    }
    ExitCode::SUCCESS
}
