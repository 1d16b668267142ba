//! `starling check`: tries each part and says how to mend what does not work. Leaves nothing behind.
//!
//! Each line is `ok`, `warn` (it works, and something about it will hurt) or `fail`; `--json` prints all in one object.
//! Ends with 1 where something failed.

mod findings;
mod postgres;
mod redis;
mod sign_in;
mod storage;
mod traces;
mod web;

use std::{process::ExitCode, time::Duration};

use bus::local::LocalBus;

use self::findings::Findings;
use crate::{
    Failure,
    config::{Config, Mode},
    limits,
};

/// How long a part may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

pub(super) async fn run(config: &Config, json: bool) -> Result<ExitCode, Failure> {
    let mut findings = Findings::new(json);
    findings.ok("configuration", format_args!("{} mode", config.mode.name()));
    open_files(&mut findings);
    match &config.mode {
        Mode::Embedded => {
            storage::check(config, &mut findings).await;
            let bus = LocalBus::start();
            redis::event(&bus, &bus.node(), &mut findings).await;
        }
        Mode::Cluster { database_url, redis_url } => {
            postgres::check(config, database_url, &mut findings).await;
            redis::check(config, redis_url, &mut findings).await;
            sign_in::keys(config, &mut findings).await;
        }
    }
    sign_in::previous_secrets(&config.settings, &mut findings);
    web::check(config, &mut findings);
    if matches!(config.mode, Mode::Cluster { .. }) && config.settings.admin_token.is_none() {
        let what = "STARLING_ADMIN_TOKEN is not set: `starling admin` and the operators' page are off";
        findings.warn("operators", what, "set the same one on every node");
    }
    if let Some(url) = &config.settings.jwks_url {
        sign_in::key_set(url, &mut findings).await;
    }
    if let Some(endpoint) = &config.settings.otlp_endpoint {
        traces::check(endpoint, &mut findings).await;
    }
    Ok(if findings.end() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A configuration that cannot work is a finding too, for who reads JSON. The line on stderr says it to people.
pub(super) fn refused(failure: &Failure, json: bool) {
    if json {
        let mut findings = Findings::new(json);
        findings.refused("configuration", failure);
        findings.end();
    }
}

fn open_files(findings: &mut Findings) {
    match limits::raise_open_files() {
        Some(files) if files >= limits::FEW_FILES => {
            findings.ok("open files", format_args!("{files} allowed, and so about as many connections"));
        }
        Some(files) => {
            findings.warn(
                "open files",
                format_args!("only {files} allowed, each connection is one"),
                "raise `ulimit -n`",
            );
        }
        None => findings.warn("open files", "the limit cannot be read", "look at `ulimit -n`"),
    }
}
