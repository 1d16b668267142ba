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
    let admin = server.admin.clone().unwrap();
    let asked = [("STARLING_ADMIN_LISTEN", admin.trim_start_matches("http://"))];
    assert_eq!(run(&["healthcheck"], &asked).await.code, Some(1));
    assert_eq!(run(&["healthcheck", "--alive"], &asked).await.code, Some(0));
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
    for part in ["store", "database connections", "clocks", "bus", "bus settings", "event", "sign-in keys"] {
        assert!(check.stdout.contains(&format!("ok    {part}: ")), "{part}: {check:?}");
    }

    are_in_the_document(&server.admin_get("/metrics").await.1);

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
async fn a_node_whose_database_takes_no_writes_gets_no_traffic_until_it_does() {
    let (primary, redis) = (PrivatePostgres::start().await.unwrap(), Redis::start().await.unwrap());
    let migrated = run(&["migrate"], &[("DATABASE_URL", &primary.url())]).await;
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    let standby = primary.standby().await.unwrap();
    let (postgres_url, redis_url) = (standby.url(), redis.url());
    let env = [("DATABASE_URL", postgres_url.as_str()), ("REDIS_URL", redis_url.as_str()), SECRET];
    let server = Server::start(&["serve"], &env, true).await;
    let says = async |why: &str| {
        eventually(why, SOON, async || {
            let (status, body) = server.readyz().await;
            let detail = body["store"]["detail"].as_str().unwrap_or_default();
            anyhow::ensure!(status == 503 && body["status"] == "unready" && detail.contains(why), "{status} {body}");
            anyhow::Ok(())
        })
        .await;
        let check = run(&["check"], &env).await;
        assert_eq!(check.code, Some(1), "{check:?}");
        assert!(check.stdout.contains(&format!("fail  database: {why}")), "{check:?}");
    };
    says("a standby: it takes no writes").await;
    // As after a failover. What the node has open stays open.
    standby.run("SELECT pg_promote()").await.unwrap();
    server.becomes(200, "ready").await;

    // As a server that was demoted, or one that an operator closed for a while.
    let read_only = async |on: &str| {
        standby.run(&format!("ALTER SYSTEM SET default_transaction_read_only = {on}")).await.unwrap();
        standby.run("SELECT pg_reload_conf()").await.unwrap();
    };
    read_only("on").await;
    says("default_transaction_read_only is on: it takes no writes").await;
    read_only("off").await;
    server.becomes(200, "ready").await;
    server.ends_well().await;
}

/// Names, types and help of all metrics that a node serves are in docs/metrics.md.
fn are_in_the_document(metrics: &str) {
    let page = include_str!("../../../../docs/metrics.md");
    let mut seen = 0;
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE starling_")) {
        let (name, kind) = line.split_once(' ').unwrap();
        let row = page.lines().find(|row| row.starts_with(&format!("| `starling_{name}` | {kind} |")));
        let help = metrics.lines().find_map(|line| line.strip_prefix(&format!("# HELP starling_{name} "))).unwrap();
        assert!(row.is_some_and(|row| row.contains(help)), "docs/metrics.md has not: {name}, {kind}, {help}");
        seen += 1;
    }
    assert!(seen > 40, "{metrics}");
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_says_what_will_hurt_and_how_to_mend_it() {
    let settings = ["fsync=on", "synchronous_commit=off", "max_connections=12", "superuser_reserved_connections=2"];
    let postgres = PrivatePostgres::start_with(&settings).await.unwrap();
    let redis = Redis::start_with(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]).await.unwrap();
    let (postgres_url, redis_url) = (postgres.url(), redis.url());
    let env = [
        ("DATABASE_URL", postgres_url.as_str()),
        ("REDIS_URL", redis_url.as_str()),
        ("STARLING_PUBLIC_URL", "http://chat.example.com"),
        SECRET,
    ];
    let check = run(&["check"], &env).await;
    assert_eq!(check.code, Some(1), "the schema is not there: {check:?}");
    for line in [
        "fail  store: postgres ",
        "warn  database connections: ",
        "warn  durability: synchronous_commit or fsync is off",
        "warn  bus settings: 127.0.0.1:",
        "warn  public URL: http://chat.example.com/ is not encrypted",
    ] {
        assert!(check.stdout.lines().any(|found| found.starts_with(line)), "{line}: {check:?}");
    }

    let migrated = run(&["migrate"], &[("DATABASE_URL", &postgres_url)]).await;
    assert_eq!(migrated.code, Some(0), "{migrated:?}");
    let check = run(&["check", "--json"], &env).await;
    assert_eq!(check.code, Some(0), "warnings are no failures: {check:?}");
    let found: serde_json::Value = serde_json::from_str(&check.stdout).unwrap();
    assert_eq!(found["ok"], true, "{found}");
    let finding = |part: &str| {
        let findings = found["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["part"] == part).cloned().unwrap_or_default()
    };
    assert_eq!(finding("store")["level"], "ok", "{found}");
    assert_eq!(finding("durability")["level"], "warn", "{found}");
    assert!(finding("bus settings")["mend"].as_str().unwrap().contains("noeviction"), "{found}");

    // What this user's sessions have counts, not what the server has for others.
    let durable = format!("{postgres_url}?options=-c%20synchronous_commit=on");
    let env = env.map(|(name, value)| (name, if name == "DATABASE_URL" { durable.as_str() } else { value }));
    let check = run(&["check"], &env).await;
    assert!(check.stdout.contains("ok    durability: "), "{check:?}");
}
