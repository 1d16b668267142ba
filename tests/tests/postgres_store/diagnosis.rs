//! What `starling check` is told of a server, as a user that is no superuser and sees little of others.

use sqlx::{Connection, Executor, PgConnection};
use starling_tests::postgres::PrivatePostgres;
use store::postgres::{PostgresConfig, PostgresStore};

#[tokio::test]
async fn a_plain_user_is_told_of_others_connections_and_of_what_its_own_commits_are_worth() {
    let server = PrivatePostgres::start_with(&["fsync=on", "max_connections=30"]).await.unwrap();
    let mut admin = PgConnection::connect(&server.url()).await.unwrap();
    admin.execute("CREATE ROLE plain LOGIN").await.unwrap();
    let others = [
        PgConnection::connect(&server.url()).await.unwrap(),
        PgConnection::connect(&server.url_of("postgres")).await.unwrap(),
    ];
    let plain = server.url().replace("postgres@", "plain@");
    let diagnose = async |options: &str| {
        let store = PostgresStore::connect(PostgresConfig::new(format!("{plain}{options}"))).unwrap();
        store.diagnose().await.unwrap()
    };
    let found = diagnose("").await;
    assert_eq!(found.connections, 27, "three are kept for superusers: {found:?}");
    assert!(found.connected as usize > others.len(), "and the admin's: {found:?}");
    assert!(found.commits_last && !found.follows && !found.may_migrate, "{found:?}");
    assert!(found.clock_ahead.unsigned_abs().as_secs() < 2, "{found:?}");

    let local = diagnose("?options=-c%20synchronous_commit=local").await;
    assert!(local.commits_last && !local.waits_for_standbys, "{local:?}");
    let off = diagnose("?options=-c%20synchronous_commit=off").await;
    assert!(!off.commits_last, "{off:?}");
}
