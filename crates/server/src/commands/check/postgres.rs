//! Postgres: does it answer, is it migrated, is there room for this node, and does what it commits last?

use std::time::Duration;

use store::{
    Store, StoreHealth,
    postgres::{Diagnosis, PostgresStore},
};
use tokio::time::timeout;

use super::{ANSWER, Findings};
use crate::{config::Config, failure::chain, parts};

/// Tokens and edit windows go by this machine's clock, what they are compared with by the server's.
const CLOCKS: Duration = Duration::from_secs(2);

const GRANT: &str = "grant it, as docs/operations.md says under \"Security settings\"";

const AWAY: &str = "check DATABASE_URL and that Postgres runs";

pub(super) async fn check(config: &Config, url: &str, findings: &mut Findings) {
    let store = match parts::postgres(url, &config.settings) {
        Ok(store) => store,
        Err(failure) => return findings.fail("store", failure, "see docs/configuration.md"),
    };
    look(config, &store, findings).await;
    let _ = timeout(ANSWER, store.close()).await;
}

async fn look(config: &Config, store: &PostgresStore, findings: &mut Findings) {
    match timeout(ANSWER, store.health()).await {
        Ok(Ok(health)) => schema(config, &health, findings),
        Ok(Err(error)) => {
            let why = chain(&error);
            let mend = mend(&why);
            return findings.fail("store", why, mend);
        }
        Err(_) => return findings.fail("store", "no answer in time", AWAY),
    }
    match timeout(ANSWER, store.diagnose()).await {
        Ok(Ok(diagnosis)) => {
            let settings = &config.settings;
            explain(&diagnosis, settings.database_connections, settings.migrate_on_start, findings);
        }
        Ok(Err(error)) => findings.fail("database", chain(&error), AWAY),
        Err(_) => findings.fail("database", "no answer in time", AWAY),
    }
}

pub(super) fn schema(config: &Config, health: &StoreHealth, findings: &mut Findings) {
    let version = &health.version;
    if is_old(version) {
        findings.warn("store", version, "13 is the oldest that is supported: upgrade it");
    }
    if !health.out_of_reach.is_empty() {
        let what = format!("this user may not read and write {}", health.out_of_reach.join(", "));
        findings.fail("store", format_args!("{version}, {what}"), GRANT);
    } else if health.migrated {
        findings.ok("store", format_args!("{version}, the schema is up to date"));
    } else if config.settings.migrate_on_start {
        findings.ok("store", format_args!("{version}, will be migrated at the start"));
    } else {
        findings.fail("store", format_args!("{version}, the schema is not this version's"), "run `starling migrate`");
    }
}

/// `postgres 12.4`
fn is_old(version: &str) -> bool {
    let number = version.strip_prefix("postgres ").unwrap_or_default();
    number.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major < 13)
}

/// What mends it, where Postgres says no.
fn mend(why: &str) -> &'static str {
    if why.contains("permission denied") {
        return GRANT;
    }
    // SQL state 53300 has two texts: for all, and for who is no superuser.
    if why.contains("too many clients") || why.contains("connection slots are reserved") {
        "all connections are taken: raise max_connections, or lower STARLING_DATABASE_CONNECTIONS of the nodes"
    } else {
        AWAY
    }
}

/// `own`: connections that this node takes; `migrates`: it makes tables at its start.
fn explain(found: &Diagnosis, own: u32, migrates: bool, findings: &mut Findings) {
    if found.follows {
        return findings.fail("database", "a standby: it takes no writes", "name the primary in DATABASE_URL");
    }
    if found.read_only {
        let what = "default_transaction_read_only is on: it takes no writes";
        return findings.fail("database", what, "set it to off, of the server, the database or this user");
    }
    if migrates && !found.may_migrate {
        findings.fail(
            "database",
            "this user may not make tables",
            "grant CREATE on the schema, or migrate as its owner",
        );
    }
    let free = found.connections.saturating_sub(found.connected);
    let room = format!("{free} of {} are free, this node takes up to {own}", found.connections);
    if own > free {
        let mend = "raise max_connections, or lower STARLING_DATABASE_CONNECTIONS";
        findings.warn("database connections", room, mend);
    } else {
        findings.ok("database connections", room);
    }
    let apart = found.clock_ahead.unsigned_abs();
    if apart > CLOCKS {
        let side = if found.clock_ahead.is_positive() { "ahead of" } else { "behind" };
        let what = format!("the database's is {:.1} s {side} this machine's", apart.as_secs_f64());
        findings.warn("clocks", what, "let both follow a time server: tokens expire and edits end by these clocks");
    } else {
        findings.ok("clocks", format_args!("{} ms apart", apart.as_millis()));
    }
    durability(found, findings);
}

/// What is acknowledged must still be there after a crash, or a failover.
fn durability(found: &Diagnosis, findings: &mut Findings) {
    if !found.commits_last {
        let what = "synchronous_commit or fsync is off: a crash of Postgres loses messages that were acknowledged";
        findings.warn("durability", what, "set both to on; after such a crash run `starling admin new-epoch`");
    } else if found.standbys > 0 && !found.waits_for_standbys {
        let what =
            format!("commits do not wait for the {} standby(s): a failover may lose the last ones", found.standbys);
        let mend = "set synchronous_standby_names, or run `starling admin new-epoch` after each failover";
        findings.warn("durability", what, mend);
    } else {
        findings.ok("durability", "what is committed lasts");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Diagnosis = Diagnosis {
        connections: 97,
        connected: 5,
        clock_ahead: time::Duration::ZERO,
        commits_last: true,
        follows: false,
        read_only: false,
        standbys: 0,
        waits_for_standbys: false,
        may_migrate: true,
    };

    fn lines(found: &Diagnosis, migrates: bool) -> Vec<String> {
        let mut findings = Findings::new(true);
        explain(found, 16, migrates, &mut findings);
        findings.lines()
    }

    #[test]
    fn what_hurts_is_said_and_nothing_else() {
        assert!(lines(&WELL, true).iter().all(|line| line.starts_with("ok  ")), "{:?}", lines(&WELL, true));
        let ahead = |seconds| Diagnosis { clock_ahead: time::Duration::seconds(seconds), ..WELL };
        for (found, migrates, wanted) in [
            (Diagnosis { connections: 20, ..WELL }, false, "warn  database connections: 15 of 20 are free, this node"),
            (ahead(3), false, "warn  clocks: the database's is 3.0 s ahead of this machine's"),
            (ahead(-3), false, "warn  clocks: the database's is 3.0 s behind this machine's"),
            (Diagnosis { commits_last: false, ..WELL }, false, "warn  durability: synchronous_commit or fsync is off"),
            (Diagnosis { standbys: 1, ..WELL }, false, "warn  durability: commits do not wait for the 1 standby(s)"),
            (Diagnosis { may_migrate: false, ..WELL }, true, "fail  database: this user may not make tables"),
        ] {
            let lines = lines(&found, migrates);
            let hurts: Vec<_> = lines.iter().filter(|line| !line.starts_with("ok  ")).collect();
            assert!(hurts.len() == 1 && hurts[0].starts_with(wanted), "{wanted}: {lines:?}");
        }
        let waits = Diagnosis { standbys: 1, waits_for_standbys: true, ..WELL };
        assert!(lines(&waits, false).iter().all(|line| line.starts_with("ok  ")));
        // Nothing else counts of a server that takes no writes.
        let standby = lines(&Diagnosis { follows: true, ..WELL }, true);
        assert!(standby.len() == 1 && standby[0].starts_with("fail  database: a standby"), "{standby:?}");
        let refuses = lines(&Diagnosis { read_only: true, ..WELL }, true);
        let wanted = "fail  database: default_transaction_read_only is on";
        assert!(refuses.len() == 1 && refuses[0].starts_with(wanted), "{refuses:?}");
    }

    #[test]
    fn versions_before_thirteen_are_old() {
        assert!(is_old("postgres 12.22") && is_old("postgres 9.6.24"));
        assert!(!is_old("postgres 13.0") && !is_old("postgres 17beta1") && !is_old("sqlite 3.45.1"));
    }

    #[test]
    fn a_server_without_a_free_connection_is_not_one_that_is_away() {
        assert_ne!(mend("FATAL: sorry, too many clients already"), AWAY);
        assert_eq!(mend("permission denied for table meta"), GRANT);
        assert_eq!(mend("connection refused"), AWAY);
    }
}
