//! The collector of traces, where one is configured: does it take what nodes send?

use reqwest::Url;
use tokio::task::spawn_blocking;

use super::Findings;
use crate::{config::show::without_password, telemetry::try_collector};

const PART: &str = "traces";

/// Only warns: without its collector a node works, and its spans are lost.
pub(super) async fn check(endpoint: &Url, findings: &mut Findings) {
    let mend = "name a collector of OTLP over HTTP, mostly on port 4318: until it answers, spans are lost and counted";
    let (asked, endpoint) = (endpoint.clone(), without_password(endpoint.as_str()));
    match spawn_blocking(move || try_collector(&asked)).await {
        Ok(Ok(())) => findings.ok(PART, format_args!("{endpoint} takes them")),
        Ok(Err(why)) => findings.warn(PART, format_args!("{endpoint} does not take them: {why}"), mend),
        Err(error) => findings.warn(PART, format_args!("{endpoint} could not be asked: {error}"), mend),
    }
}
