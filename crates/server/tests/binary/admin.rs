//! `starling admin`: in a cluster, and on the folder of an embedded server.

use starling_tests::postgres::PrivatePostgres;

use crate::support::{Server, refused, run, run_in};

/// `epoch OLD is over, NEW begins: …`
fn epochs(line: &str) -> (String, String) {
    let words: Vec<_> = line.split_whitespace().collect();
    let ["epoch", old, "is", "over,", new, "begins:", ..] = words[..] else { panic!("{line:?}") };
    (old.to_owned(), new.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_epoch_begins_in_a_cluster_while_redis_and_nodes_are_down() {
    let mut postgres = PrivatePostgres::start().await.unwrap();
    let url = postgres.url();
    let env = [("DATABASE_URL", url.as_str())];
    let too_early = run(&["admin", "new-epoch"], &env).await;
    assert_eq!(too_early.code, Some(1), "{too_early:?}");
    assert!(too_early.stderr.contains("starling migrate") && too_early.stdout.is_empty(), "{too_early:?}");

    assert_eq!(run(&["migrate"], &env).await.code, Some(0));
    let first = run(&["admin", "new-epoch"], &env).await;
    let second = run(&["admin", "new-epoch"], &env).await;
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{first:?} {second:?}");
    let ((old, new), (next_old, next_new)) = (epochs(&first.stdout), epochs(&second.stdout));
    assert!(new == next_old && old != new && new != next_new, "{first:?} {second:?}");

    postgres.stop().await.unwrap();
    let down = run(&["admin", "new-epoch"], &env).await;
    assert_eq!(down.code, Some(1), "{down:?}");
    assert!(down.stderr.contains("DATABASE_URL") && down.stderr.lines().count() == 1, "{down:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_epoch_begins_on_an_embedded_folder_that_nobody_uses() {
    let mut server = Server::start(&["serve"], &[], false).await;
    let busy = run_in(server.home.path(), &["admin", "new-epoch"], &[]).await;
    assert_eq!(busy.code, Some(2), "{busy:?}");
    assert!(busy.stderr.starts_with("starling: STARLING_DATA_DIR: another process uses "), "{busy:?}");
    assert!(busy.stdout.is_empty() && busy.stderr.lines().count() == 1, "{busy:?}");
    server.process.terminate(crate::support::SOON).await.unwrap();

    let first = run_in(server.home.path(), &["admin", "new-epoch"], &[]).await;
    let second = run_in(server.home.path(), &["admin", "new-epoch"], &[]).await;
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{first:?} {second:?}");
    assert_eq!(epochs(&first.stdout).1, epochs(&second.stdout).0);
}

#[tokio::test]
async fn an_embedded_store_is_not_made_by_asking_for_a_new_epoch() {
    let line = refused(&["admin", "new-epoch"], &[]).await;
    assert!(line.starts_with("DATABASE_URL: is not set, and there is no embedded store at "), "{line}");
    // The bus alone says nothing of where the data is.
    let line = refused(&["admin", "new-epoch"], &[("REDIS_URL", "redis://127.0.0.1:1")]).await;
    assert!(line.starts_with("DATABASE_URL: is not set"), "{line}");
    let ended = run(&["admin"], &[]).await;
    assert!(ended.code == Some(2) && ended.stderr.contains("new-epoch"), "{ended:?}");
}
