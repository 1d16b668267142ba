//! A node of a cluster over a real Postgres and a real Redis: before they answer, while they do, and after.

use starling_tests::{postgres::PrivatePostgres, process::eventually, redis::Redis};

use crate::support::{SOON, Server, run};

const SECRET: (&str, &str) = ("STARLING_JWT_SECRET", "0123456789abcdef0123456789abcdef");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_listens_before_its_database_answers_and_is_ready_when_all_is_there() {
    let (mut postgres, mut redis) = (PrivatePostgres::down().await.unwrap(), Redis::down().unwrap());
    let (postgres_url, redis_url) = (postgres.url(), redis.url());
    let env = [("DATABASE_URL", postgres_url.as_str()), ("REDIS_URL", redis_url.as_str()), SECRET];
    let server = Server::start(&["serve"], &env, true).await;
    assert_eq!(server.admin_get("/healthz").await.0, 200);
    let (status, body) = server.readyz().await;
    assert_eq!((status, &body["status"]), (503, &"unready".into()), "{body}");
    assert_eq!((&body["store"]["ok"], &body["bus"]["ok"]), (&false.into(), &false.into()), "{body}");
    let check = run(&["check"], &env).await;
    assert_eq!(check.code, Some(1), "{check:?}");
    assert!(check.stdout.contains("fail  store: ") && check.stdout.contains("fail  bus: "), "{check:?}");

    postgres.up().await.unwrap();
    postgres.create_database("starling", None).await.unwrap();
    redis.up().await.unwrap();
    eventually("/readyz asks for migrations", SOON, async || {
        let (_, body) = server.readyz().await;
        let detail = body["store"]["detail"].as_str().unwrap_or_default();
        anyhow::ensure!(detail.contains("starling migrate"), "{body}");
        anyhow::Ok(())
    })
    .await;

    let migrated = run(&["migrate"], &[("DATABASE_URL", &postgres_url)]).await;
    assert!(migrated.code == Some(0) && migrated.stdout.starts_with("migrated: "), "{migrated:?}");
    let again = run(&["migrate"], &[("DATABASE_URL", &postgres_url)]).await;
    assert!(again.code == Some(0) && again.stdout.starts_with("nothing to do: "), "{again:?}");
    server.becomes(200, "ready").await;
    let check = run(&["check"], &env).await;
    assert_eq!(check.code, Some(0), "{check:?}");
    assert!(check.stdout.contains("ok    event: "), "{check:?}");

    // Without Redis messages are still committed: the node stays in service.
    redis.kill().unwrap();
    server.becomes(200, "degraded").await;
    redis.up().await.unwrap();
    server.becomes(200, "ready").await;
    postgres.stop().await.unwrap();
    server.becomes(503, "unready").await;
    server.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_answers_its_own_part_and_migrates_on_start_when_told() {
    let (postgres, redis) = (PrivatePostgres::start().await.unwrap(), Redis::start().await.unwrap());
    let (postgres_url, redis_url) = (postgres.url(), redis.url());
    let env = [
        ("DATABASE_URL", postgres_url.as_str()),
        ("REDIS_URL", redis_url.as_str()),
        ("STARLING_MIGRATE_ON_START", "true"),
        SECRET,
    ];
    let (gateway, api) = tokio::join!(Server::start(&["gateway"], &env, true), Server::start(&["api"], &env, true));
    tokio::join!(gateway.becomes(200, "ready"), api.becomes(200, "ready"));
    assert_eq!(gateway.get("/").await.status(), 404);
    assert_eq!(gateway.get("/v1/me").await.status(), 404);
    assert_eq!(gateway.get("/v1/ws").await.status(), 426);
    assert_eq!(api.get("/").await.status(), 200);
    assert_eq!(api.get("/v1/me").await.status(), 401);
    assert_eq!(api.get("/v1/ws").await.status(), 404);
    let (_, metrics) = api.admin_get("/metrics").await;
    assert!(metrics.contains("starling_bus_connects_total 1"), "{metrics}");
    tokio::join!(gateway.ends_well(), api.ends_well());
}

#[tokio::test]
async fn migrating_without_a_database_says_so_and_fails() {
    let ended = run(&["migrate", "--wait", "0s"], &[("DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/d")]).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.starts_with("starling: DATABASE_URL: ") && !ended.stderr.contains("hunter2"), "{ended:?}");
}
