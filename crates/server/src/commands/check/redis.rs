//! Redis: does it answer, does an event go round, and will it go on doing so when it is full or a node is slow?

use std::time::Duration;

use bus::{
    Bus, BusStatus, Incoming, Topic,
    redis::{Diagnosis, RedisBus},
};
use bytes::Bytes;
use protocol::NodeId;
use tokio::time::timeout;

use super::{ANSWER, Findings};
use crate::{config::Config, failure::chain, parts};

/// How long an event may take from one node to another.
const DELIVERY: Duration = Duration::from_secs(2);
/// What Redis has for subscribers unless it is told otherwise. Less is soon full.
const OUTPUT: u64 = 32 << 20;

const AWAY: &str = "check REDIS_URL and that Redis runs";

pub(super) async fn check(config: &Config, url: &str, findings: &mut Findings) {
    let (publisher, reader) = match (parts::redis(url, &config.settings), parts::redis(url, &config.settings)) {
        (Ok(publisher), Ok(reader)) => (publisher, reader),
        (Err(failure), _) | (_, Err(failure)) => return findings.fail("bus", failure, "see docs/configuration.md"),
    };
    for bus in [&publisher, &reader] {
        let mut status = bus.status();
        // Whether it came up, the next question tells, with a reason.
        let _ = timeout(ANSWER, status.wait_for(|status| *status == BusStatus::Up)).await;
    }
    match publisher.describe().await {
        Ok(version) if is_old(&version) => {
            findings.warn("bus", version, "7.0 is the oldest that is supported: upgrade it");
        }
        Ok(version) => findings.ok("bus", version),
        Err(error) => return findings.fail("bus", chain(&error), AWAY),
    }
    settings(&publisher, findings).await;
    event(&publisher, &reader, findings).await;
}

async fn settings(bus: &RedisBus, findings: &mut Findings) {
    match bus.diagnose().await {
        Ok(servers) => {
            for server in &servers {
                explain(server, findings);
            }
        }
        Err(error) => findings.fail("bus settings", chain(&error), AWAY),
    }
}

fn explain(found: &Diagnosis, findings: &mut Findings) {
    let server = &found.server;
    let Some(settings) = &found.settings else {
        let mend = "see that maxmemory-policy is noeviction, and client-output-buffer-limit pubsub at least 32mb";
        return findings.warn("bus settings", format_args!("{server} does not tell them"), mend);
    };
    if settings.memory > 0 && settings.policy != "noeviction" {
        let what =
            format!("{server} forgets keys when it is full ({}): who is here would be among them", settings.policy);
        return findings.warn(
            "bus settings",
            what,
            "set maxmemory-policy noeviction, or give Starling a Redis of its own",
        );
    }
    if (1..OUTPUT).contains(&settings.output_bytes) {
        let what = format!("{server} closes a node's connection that {} bytes wait for", settings.output_bytes);
        return findings.warn("bus settings", what, "set client-output-buffer-limit pubsub to 32mb or more");
    }
    findings.ok("bus settings", format_args!("{server} keeps what it is given"));
}

/// `redis 6.2.14`, `redis 6.2.14 (cluster, 3 masters)`
fn is_old(version: &str) -> bool {
    let number = version.split_whitespace().nth(1).unwrap_or_default();
    number.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major < 7)
}

/// Sends an event from one node's end of the bus to another's.
pub(super) async fn event(publisher: &dyn Bus, reader: &dyn Bus, findings: &mut Findings) {
    let part = "event";
    let topic = Topic::Node(NodeId::generate());
    let payload = Bytes::from_static(b"starling check");
    let Some(mut incoming) = reader.incoming() else {
        return findings.fail(part, "the bus has another reader", "this is a defect of Starling: report it");
    };
    let round = async {
        reader.subscribe(&[topic]).await.map_err(|error| chain(&error))?;
        publisher.publish(&[(topic, payload.clone())]).await.map_err(|error| chain(&error))?;
        while let Some(heard) = incoming.recv().await {
            if heard == (Incoming::Event { topic, payload: payload.clone() }) {
                return Ok(());
            }
        }
        Err("the bus ended".to_owned())
    };
    let allow = "allow this user SUBSCRIBE and PUBLISH in Redis (in a cluster SSUBSCRIBE and SPUBLISH)";
    match timeout(DELIVERY, round).await {
        Ok(Ok(())) => findings.ok(part, "went from one connection to another"),
        Ok(Err(why)) => findings.fail(part, why, allow),
        Err(_) => findings.fail(part, format_args!("did not arrive within {DELIVERY:?}"), "is it the same Redis?"),
    }
}

#[cfg(test)]
mod tests {
    use bus::redis::ServerSettings;

    use super::*;

    fn line(settings: Option<ServerSettings>) -> String {
        let mut findings = Findings::new(true);
        explain(&Diagnosis { server: "here:6379".into(), settings }, &mut findings);
        findings.lines().concat()
    }

    #[test]
    fn what_hurts_is_said_of_each_server() {
        let settings = |memory, policy: &str, output_bytes| {
            line(Some(ServerSettings { memory, policy: policy.into(), output_bytes }))
        };
        assert!(settings(0, "allkeys-lru", OUTPUT).starts_with("ok  "), "it is never full");
        assert!(settings(1 << 30, "noeviction", 0).starts_with("ok  "), "0 is no limit");
        assert!(settings(1 << 30, "allkeys-lru", 0).starts_with("warn  bus settings: here:6379 forgets keys"));
        assert!(
            settings(0, "noeviction", 1 << 20).starts_with("warn  bus settings: here:6379 closes a node's connection")
        );
        assert!(line(None).starts_with("warn  bus settings: here:6379 does not tell them"));
    }

    #[test]
    fn versions_before_seven_are_old() {
        assert!(is_old("redis 6.2.14") && is_old("redis 6.2.14 (cluster, 3 masters)"));
        assert!(!is_old("redis 7.0.15") && !is_old("valkey 8.1.0") && !is_old("redis"));
    }
}
