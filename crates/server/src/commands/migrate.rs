//! `starling migrate`: brings Postgres to this version, waiting for it if it has not started yet.

use std::{process::ExitCode, time::Duration};

use store::{Store as _, StoreError, StoreHealth, postgres::PostgresStore};
use tokio::time::{Instant, sleep};

use crate::{
    Failure,
    commands::say,
    config::{Config, Mode},
    failure::chain,
    parts,
};

/// Between two looks at a Postgres that does not answer.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) async fn run(config: &Config, wait: Duration) -> Result<ExitCode, Failure> {
    let Mode::Cluster { database_url, .. } = &config.mode else {
        return Err(Failure::configuration("DATABASE_URL", "is not set", "set it to the Postgres to migrate"));
    };
    let store = parts::postgres(database_url, &config.settings)?;
    let before = reach(&store, wait).await?;
    if before.migrated {
        say(format_args!("nothing to do: the schema is up to date ({})", before.version));
    } else {
        store.migrate().await.map_err(|error| Failure::failed(format_args!("migrating failed: {}", chain(&error))))?;
        let after = reach(&store, Duration::ZERO).await?;
        say(format_args!("migrated: the schema is up to date ({})", after.version));
    }
    store.close().await;
    Ok(ExitCode::SUCCESS)
}

/// Waits for an answer.
async fn reach(store: &PostgresStore, wait: Duration) -> Result<StoreHealth, Failure> {
    let deadline = Instant::now() + wait;
    let mut told = false;
    loop {
        match store.health().await {
            Ok(health) => return Ok(health),
            Err(error @ StoreError::Unavailable(_)) if Instant::now() < deadline => {
                if !told {
                    eprintln!("starling: waiting up to {wait:?} for Postgres: {}", chain(&error));
                    told = true;
                }
                sleep(PAUSE).await;
            }
            Err(error) => {
                let mend = "check DATABASE_URL and that Postgres runs";
                return Err(Failure::failed(format_args!("DATABASE_URL: {}; {mend}", chain(&error))));
            }
        }
    }
}
