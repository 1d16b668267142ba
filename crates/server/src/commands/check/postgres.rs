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
        Ok(Err(error)) => return findings.fail("store", chain(&error), AWAY),
        Err(_) => return findings.fail("store", "no answer in time", AWAY),
    }
    match timeout(ANSWER, store.diagnose()).await {
        Ok(Ok(diagnosis)) => explain(config, &diagnosis, findings),
        Ok(Err(error)) => findings.fail("database", chain(&error), AWAY),
        Err(_) => findings.fail("database", "no answer in time", AWAY),
    }
}

pub(super) fn schema(config: &Config, health: &StoreHealth, findings: &mut Findings) {
    let version = &health.version;
    if health.migrated {
        findings.ok("store", format_args!("{version}, the schema is up to date"));
    } else if config.settings.migrate_on_start {
        findings.ok("store", format_args!("{version}, will be migrated at the start"));
    } else {
        findings.fail("store", format_args!("{version}, the schema is not this version's"), "run `starling migrate`");
    }
}

fn explain(config: &Config, found: &Diagnosis, findings: &mut Findings) {
    if found.follows {
        let mend = "name the primary in DATABASE_URL (target_session_attrs does it where several hosts are named)";
        findings.fail("database", "a standby: it takes no writes", mend);
    } else if config.settings.migrate_on_start && !found.may_migrate {
        findings.fail(
            "database",
            "this user may not make tables",
            "grant CREATE on the schema, or migrate as its owner",
        );
    }
    let (own, free) = (config.settings.database_connections, found.connections.saturating_sub(found.connected));
    let room = format!("{free} of {} are free, this node takes up to {own}", found.connections);
    if own > free {
        let mend = "raise max_connections, lower STARLING_DATABASE_CONNECTIONS, or put a pooler between";
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
