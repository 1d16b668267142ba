//! Redis: does it answer, does an event go round, and will it go on doing so when it is full or a node is slow?

use std::time::Duration;

use bus::{
    Bus, BusStatus, Incoming, Topic,
    redis::{Diagnosis, RedisBus, RedisKind, SentinelDiagnosis, ServerState},
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

/// Slots of a Redis Cluster.
const SLOTS: u32 = 16_384;
/// How long what is written to try it may stay, should it not be taken back.
const KEPT: Duration = Duration::from_secs(10);

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
    // Before the master is asked: where it is gone, this says why nothing takes its place.
    failover(&publisher.diagnose_sentinels().await, findings);
    match publisher.describe().await {
        Ok(version) if is_old(&version) => {
            findings.warn("bus", version, "7.0 is the oldest that is supported: upgrade it");
        }
        Ok(version) => findings.ok("bus", version),
        Err(error) => return findings.fail("bus", chain(&error), AWAY),
    }
    servers(&publisher, findings).await;
    key(&publisher, findings).await;
    event(&publisher, &reader, findings).await;
}

/// Whether the Sentinels could replace a master that fails.
fn failover(sentinels: &[SentinelDiagnosis], findings: &mut Findings) {
    let part = "bus failover";
    let missing = "start the Sentinels that are missing: without a majority nobody replaces a master that fails";
    let against = sentinels.iter().filter_map(|asked| Some((&asked.sentinel, asked.quorum.as_ref().err()?)));
    let mut all_agree = !sentinels.is_empty();
    for (sentinel, why) in against {
        all_agree = false;
        let mend = match why.split(' ').next() {
            Some("NOPERM") => "allow this user `SENTINEL CKQUORUM` if you want to know",
            Some("NOAUTH" | "WRONGPASS") => "see sentinel_password in REDIS_URL",
            _ => missing,
        };
        findings.warn(part, format_args!("{sentinel}: {why}"), mend);
    }
    if all_agree {
        findings.ok(part, format_args!("enough Sentinels see each other to replace the master ({})", sentinels.len()));
    }
}

async fn servers(bus: &RedisBus, findings: &mut Findings) {
    match bus.diagnose().await {
        Ok(servers) => {
            for server in &servers {
                if state(bus.kind(), server, findings) {
                    explain(server, findings);
                }
            }
        }
        Err(error) => findings.fail("bus", chain(&error), AWAY),
    }
}

/// Whether it can be used as what REDIS_URL takes it for.
fn state(kind: RedisKind, found: &Diagnosis, findings: &mut Findings) -> bool {
    let (part, server) = ("bus", &found.server);
    let mut fail = |what: String, mend: &str| {
        findings.fail(part, format_args!("{server}{what}"), mend);
        false
    };
    match (&found.state, kind) {
        (Err(why), _) => fail(format!(": {why}"), "start it, or let a replica of it take over"),
        (Ok(Some(ServerState { slots: Some(_), .. })), RedisKind::One | RedisKind::Sentinel) => {
            fail(" is part of a Redis Cluster".into(), "write REDIS_URL as redis+cluster://HOST:PORT,…")
        }
        (Ok(Some(ServerState { master: false, .. })), _) => {
            fail(" is a replica: it takes no writes".into(), "name the master in REDIS_URL, or its Sentinels")
        }
        (Ok(Some(ServerState { slots: Some(slots), .. })), RedisKind::Cluster) if *slots < SLOTS => {
            let what = format!(" reaches the owners of {slots} of {SLOTS} slots");
            fail(what, "look at `redis-cli --cluster check`: events and presence of the other slots are gone meanwhile")
        }
        (Ok(Some(ServerState { replicas: 0, .. })), RedisKind::Sentinel | RedisKind::Cluster) => {
            let mend = "give it one: until it is back after a failure, events come late and nobody is shown as online";
            findings.warn(part, format_args!("{server} has no replica that could take over"), mend);
            true
        }
        _ => true,
    }
}

/// Writes, reads and removes a key.
async fn key(bus: &dyn Bus, findings: &mut Findings) {
    let name = format!("check:{}", NodeId::generate());
    let tried = async {
        bus.put(&name, Bytes::from_static(b"starling check"), KEPT).await?;
        bus.take(&name).await
    };
    let allow = "allow this user SET and GETDEL in Redis, on keys that begin with STARLING_REDIS_PREFIX";
    match tried.await {
        Ok(Some(value)) if value == b"starling check"[..] => {
            findings.ok("bus keys", "one was written, read and removed");
        }
        Ok(_) => {
            findings.fail("bus keys", "what was written is not there", "is there something between that changes it?");
        }
        Err(error) => findings.fail("bus keys", chain(&error), allow),
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
    match timeout(DELIVERY, round).await {
        Ok(Ok(())) => findings.ok(part, "went from one connection to another"),
        Ok(Err(why)) if why.contains("NOPERM") || why.contains("no permissions") => {
            let allow = "allow this user SUBSCRIBE and PUBLISH in Redis (in a cluster SSUBSCRIBE and SPUBLISH)";
            findings.fail(part, why, allow);
        }
        Ok(Err(why)) => findings.fail(part, why, "see that all servers of Redis run"),
        Err(_) => findings.fail(part, format_args!("did not arrive within {DELIVERY:?}"), "is it the same Redis?"),
    }
}

#[cfg(test)]
mod tests {
    use bus::redis::ServerSettings;

    use super::*;

    const WELL: ServerState = ServerState { master: true, replicas: 1, slots: None };

    fn line(settings: Option<ServerSettings>) -> String {
        let mut findings = Findings::new(true);
        explain(&Diagnosis { server: "here:6379".into(), state: Ok(Some(WELL)), settings }, &mut findings);
        findings.lines().concat()
    }

    #[test]
    fn what_the_url_does_not_fit_is_said() {
        let line = |kind, found: Result<ServerState, String>| {
            let mut findings = Findings::new(true);
            let found = Diagnosis { server: "here:6379".into(), state: found.map(Some), settings: None };
            let usable = state(kind, &found, &mut findings);
            (usable, findings.lines().concat())
        };
        let cluster = |slots| ServerState { slots: Some(slots), ..WELL };
        for (kind, found) in [
            (RedisKind::One, WELL),
            (RedisKind::One, ServerState { replicas: 0, ..WELL }),
            (RedisKind::Cluster, cluster(SLOTS)),
        ] {
            assert_eq!(line(kind, Ok(found)), (true, String::new()));
        }
        for (kind, found, usable, wanted) in [
            (RedisKind::One, Ok(ServerState { master: false, ..WELL }), false, "fail  bus: here:6379 is a replica"),
            (RedisKind::One, Ok(cluster(SLOTS)), false, "fail  bus: here:6379 is part of a Redis Cluster"),
            (RedisKind::Cluster, Ok(cluster(10_923)), false, "fail  bus: here:6379 reaches the owners of 10923 of"),
            (RedisKind::Cluster, Err("refused".into()), false, "fail  bus: here:6379: refused; start it"),
            (RedisKind::Sentinel, Ok(ServerState { replicas: 0, ..WELL }), true, "warn  bus: here:6379 has no replica"),
        ] {
            let (can, line) = line(kind, found);
            assert!(can == usable && line.starts_with(wanted), "{wanted}: {line}");
        }
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
    fn each_sentinel_that_could_not_replace_the_master_is_named() {
        let lines = |quorums: &[Result<(), String>]| {
            let named = |(place, quorum): (usize, &Result<_, _>)| SentinelDiagnosis {
                sentinel: format!("s{place}:26379"),
                quorum: quorum.clone(),
            };
            let mut findings = Findings::new(true);
            failover(&quorums.iter().enumerate().map(named).collect::<Vec<_>>(), &mut findings);
            findings.lines()
        };
        assert!(lines(&[]).is_empty(), "no Sentinels, no failover to speak of");
        assert_eq!(
            lines(&[Ok(()), Ok(())]),
            ["ok    bus failover: enough Sentinels see each other to replace the master (2)"]
        );
        let denied = lines(&[Err("NOPERM this user has no permissions".into())]);
        assert!(denied[0].contains("; allow this user"), "{denied:?}");
        let against = lines(&[Err("refused".into()), Ok(()), Err("NOQUORUM".into())]);
        assert!(against[0].starts_with("warn  bus failover: s0:26379: refused; start"), "{against:?}");
        assert!(against.len() == 2 && against[1].starts_with("warn  bus failover: s2:26379: NOQUORUM"), "{against:?}");
    }

    #[test]
    fn who_may_not_ask_how_a_server_is_is_not_told_that_it_is_down() {
        let mut findings = Findings::new(true);
        let found = Diagnosis { server: "here:6379".into(), state: Ok(None), settings: None };
        assert!(state(RedisKind::One, &found, &mut findings) && findings.lines().is_empty());
    }

    #[test]
    fn versions_before_seven_are_old() {
        assert!(is_old("redis 6.2.14") && is_old("redis 6.2.14 (cluster, 3 masters)"));
        assert!(!is_old("redis 7.0.15") && !is_old("valkey 8.1.0") && !is_old("redis"));
    }
}
