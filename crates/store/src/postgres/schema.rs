//! Migrations, and whether the database has those that this binary needs.
//!
//! A database may have more of them: a newer node of a rolling upgrade has migrated already, and its schema
//! still serves this one (expand, then contract).

use std::{collections::HashMap, time::Duration};

use sqlx::{
    ConnectOptions, PgConnection, PgPool,
    migrate::{MigrateError, Migrator},
    postgres::PgPoolOptions,
};

use super::{
    config::PostgresConfig,
    fault::{Fault, Outcome},
};
use crate::{NewEpoch, StoreError, StoreHealth};

fn migrator() -> Migrator {
    let mut migrator = sqlx::migrate!("../../migrations/postgres");
    migrator.set_ignore_missing(true);
    migrator
}

/// Applies what is missing, on a connection of its own. Callers on other nodes wait for each other.
pub(super) async fn migrate(config: &PostgresConfig) -> Outcome<()> {
    let options = config.migration_options().map_err(|reason| StoreError::Internal(reason.into()))?;
    let pool =
        PgPoolOptions::new().max_connections(1).acquire_timeout(config.acquire_timeout).connect_with(options).await?;
    let outcome = match encoding(&pool).await {
        Ok(()) => migrator().run(&pool).await.map_err(explain),
        Err(fault) => Err(fault),
    };
    pool.close().await;
    outcome
}

/// Texts are sorted, searched and counted as UTF-8.
async fn encoding(pool: &PgPool) -> Outcome<()> {
    let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(pool).await?;
    if encoding == "UTF8" {
        return Ok(());
    }
    let reason = format!("the database's encoding is {encoding}: make one with ENCODING 'UTF8' TEMPLATE template0");
    Err(StoreError::Schema(reason).into())
}

fn explain(error: MigrateError) -> Fault {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => StoreError::Schema(format!("the database cannot be migrated: {other}")).into(),
    }
}

/// Version, epoch, whether it takes writes, and whether every embedded migration was applied, unchanged.
pub(super) async fn health(pool: &PgPool, config: &PostgresConfig) -> Outcome<StoreHealth> {
    let mut connection = match pool.acquire().await {
        Ok(connection) => connection,
        Err(error) => return Err(reason(error, config).await.into()),
    };
    let (version, prepared, follows, refuses, out_of_reach): (String, bool, bool, bool, Vec<String>) = sqlx::query_as(
        "SELECT 'postgres ' || split_part(current_setting('server_version'), ' ', 1),
                to_regclass('_sqlx_migrations') IS NOT NULL AND to_regclass('meta') IS NOT NULL,
                pg_is_in_recovery(), current_setting('transaction_read_only')::bool,
                (SELECT coalesce(array_agg(name), '{}')
                 FROM unnest($1::text[] || '{_sqlx_migrations}') AS named (name), to_regclass(name) AS found
                 WHERE found IS NOT NULL AND NOT (has_table_privilege(found, 'SELECT')
                     AND (name = '_sqlx_migrations' OR has_table_privilege(found, 'INSERT')
                         AND has_table_privilege(found, 'UPDATE') AND has_table_privilege(found, 'DELETE'))))",
    )
    .bind(tables())
    .fetch_one(&mut *connection)
    .await?;
    // In this order: a transaction of a standby is read-only too.
    let read_only = if follows {
        Some("a standby: it takes no writes")
    } else {
        refuses.then_some("default_transaction_read_only is on: it takes no writes")
    };
    if !prepared || !out_of_reach.is_empty() {
        return Ok(StoreHealth { migrated: false, epoch: String::new(), version, read_only, out_of_reach });
    }
    let epoch: String =
        sqlx::query_scalar("SELECT epoch FROM meta WHERE singleton").fetch_one(&mut *connection).await?;
    Ok(StoreHealth { migrated: is_complete(&mut connection).await?, epoch, version, read_only, out_of_reach })
}

/// The tables that migrations make.
fn tables() -> Vec<String> {
    let migrator = migrator();
    let lines = migrator.iter().flat_map(|migration| migration.sql.as_str().lines());
    let names = lines.filter_map(|line| line.strip_prefix("CREATE TABLE ")?.split_whitespace().next());
    names.map(ToOwned::to_owned).collect()
}

/// Gives the database another epoch, after so many numbers were cleared ([`super::numbers`]).
pub(super) async fn new_epoch(pool: &PgPool, cleared: u64) -> Outcome<NewEpoch> {
    let (old, new): (String, String) = sqlx::query_as(
        "UPDATE meta SET epoch = replace(gen_random_uuid()::text, '-', '')
         FROM (SELECT epoch AS old FROM meta WHERE singleton FOR UPDATE) before
         WHERE singleton RETURNING old, epoch",
    )
    .fetch_one(pool)
    .await?;
    Ok(NewEpoch { old, new, cleared })
}

/// A pool that could not connect in time says no more than that; an operator wants to know why.
async fn reason(error: sqlx::Error, config: &PostgresConfig) -> sqlx::Error {
    let (sqlx::Error::PoolTimedOut, Ok(options)) = (&error, config.migration_options()) else { return error };
    match tokio::time::timeout(Duration::from_secs(1), options.connect()).await {
        Ok(Err(reason)) => reason,
        // It can be reached now: all of the pool's connections were busy.
        Ok(Ok(_)) | Err(_) => error,
    }
}

async fn is_complete(connection: &mut PgConnection) -> Outcome<bool> {
    let applied: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations WHERE success").fetch_all(connection).await?;
    let applied: HashMap<i64, Vec<u8>> = applied.into_iter().collect();
    Ok(migrator().iter().all(|m| applied.get(&m.version).is_some_and(|checksum| *checksum == *m.checksum)))
}
