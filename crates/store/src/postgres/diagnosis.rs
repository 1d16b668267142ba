//! What an operator should know of a database before nodes use it.

use sqlx::{FromRow, PgPool};
use time::{Duration, OffsetDateTime};

use super::fault::Outcome;

/// What the server says of itself; see [`PostgresStore::diagnose`](super::PostgresStore::diagnose).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// Connections that may be open at once, without those that are kept for superusers and others.
    pub connections: u32,
    /// Connections to its databases that are open now, the asking one left out.
    pub connected: u32,
    /// How far the server's clock is ahead of this machine's; give or take the time of a round trip.
    pub clock_ahead: Duration,
    /// Whether what was committed survives a crash of the server: `synchronous_commit` is not `off`, `fsync` is on.
    pub commits_last: bool,
    /// Whether it only follows another server, and takes no writes.
    pub follows: bool,
    /// Whether this user's transactions are read-only unless they say otherwise, and ours do not.
    pub read_only: bool,
    /// Servers that follow it now: standbys, and subscribers of a logical replication.
    pub standbys: u32,
    /// Whether a commit waits for a standby to have it.
    pub waits_for_standbys: bool,
    /// Whether this user may make tables in the schema that migrations would use.
    pub may_migrate: bool,
}

#[derive(FromRow)]
struct Row {
    connections: i32,
    connected: i64,
    now: OffsetDateTime,
    commits_last: bool,
    follows: bool,
    read_only: bool,
    standbys: i64,
    waits_for_standbys: bool,
    may_migrate: bool,
}

pub(super) async fn of(pool: &PgPool) -> Outcome<Diagnosis> {
    let mut connection = pool.acquire().await?;
    let asked = OffsetDateTime::now_utc();
    let row: Row = sqlx::query_as(
        // Of other users' sessions one that is no superuser sees the database and little else. From Postgres 16 on
        // there are two kinds of reserve.
        "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
                    - coalesce(current_setting('reserved_connections', true)::int, 0) AS connections,
                (SELECT count(*) FROM pg_stat_activity
                 WHERE datid IS NOT NULL AND pid <> pg_backend_pid()) AS connected,
                clock_timestamp() AS now,
                current_setting('synchronous_commit') <> 'off' AND current_setting('fsync')::bool AS commits_last,
                pg_is_in_recovery() AS follows,
                current_setting('transaction_read_only')::bool AS read_only,
                (SELECT count(*) FROM pg_stat_replication) AS standbys,
                current_setting('synchronous_standby_names') <> ''
                    AND current_setting('synchronous_commit') NOT IN ('off', 'local') AS waits_for_standbys,
                coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_migrate",
    )
    .fetch_one(&mut *connection)
    .await?;
    let answered = OffsetDateTime::now_utc();
    let count = |many: i64| u32::try_from(many).unwrap_or(u32::MAX);
    Ok(Diagnosis {
        connections: u32::try_from(row.connections).unwrap_or(0),
        connected: count(row.connected),
        clock_ahead: row.now - (asked + (answered - asked) / 2),
        commits_last: row.commits_last,
        follows: row.follows,
        read_only: row.read_only,
        standbys: count(row.standbys),
        waits_for_standbys: row.waits_for_standbys,
        may_migrate: row.may_migrate,
    })
}
