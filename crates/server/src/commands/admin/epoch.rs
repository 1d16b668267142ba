//! `starling admin new-epoch`, on the store itself. In a cluster `DATABASE_URL` alone is enough; an embedded store must
//! not be in use.

use std::process::ExitCode;

use store::{StoreError, sqlite::SqliteStore};

use crate::{
    Failure,
    commands::say,
    config::{Config, Mode},
    failure::chain,
    parts,
};

pub(super) async fn run(config: &Config) -> Result<ExitCode, Failure> {
    // An embedded store is opened where there is one: it would be made, and nobody ever meant that here.
    let database = SqliteStore::file(&config.settings.data_dir);
    if matches!(config.mode, Mode::Embedded) && !database.exists() {
        return Err(Failure::configuration(
            "DATABASE_URL",
            format_args!("is not set, and there is no embedded store at {}", database.display()),
            "set it to the cluster's Postgres, or STARLING_DATA_DIR to the embedded server's folder",
        ));
    }
    let store = parts::store(config).await?;
    let done = new_epoch(&*store).await;
    store.close().await;
    done.map_err(|error| failure(&config.mode, &error)).map(|()| ExitCode::SUCCESS)
}

async fn new_epoch(store: &dyn store::Store) -> store::Result<()> {
    let epoch = store.new_epoch().await?;
    say(format_args!("epoch {} is over, {} begins: clients fetch anew what they have", epoch.old, epoch.new));
    if epoch.cleared > 0 {
        let rows = epoch.cleared;
        say(format_args!("{rows} conversations and messages had numbers of another server's transactions: cleared"));
    }
    Ok(())
}

fn failure(mode: &Mode, error: &StoreError) -> Failure {
    match (mode, error) {
        (Mode::Cluster { .. }, StoreError::Unavailable(_)) => {
            Failure::failed(format_args!("{}; check DATABASE_URL and that Postgres runs", chain(error)))
        }
        _ => Failure::failed(chain(error)),
    }
}
