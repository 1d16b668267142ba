//! The rights that docs/operations.md gives nodes, of Redis and of PostgreSQL, are enough: people chat with them, an
//! operator looks, and neither server refuses anything that a node asks.

use anyhow::{Context, Result, ensure};
use protocol::{Ticket, Unread};
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor as _, Row as _};
use starling_tests::{
    client::{EventStream, Pass, SOON},
    cluster::Cluster,
    node,
    process::eventually,
    redis::RedisKind,
};

use crate::{
    operators::{all_ready, until},
    rolling::restart,
    world::{agree, all_hear, on_each_gateway, people, say, scenarios, tell},
};

scenarios! {
    on_a_cluster_that_is_tampered_with: [nodes_need_no_more_rights_than_operators_are_told];
    on_a_redis_cluster: [nodes_need_no_more_rights_than_operators_are_told];
}

const PAGE: &str = include_str!("../../../docs/operations.md");
const SECRET: &str = "a-secret-of-redis";

/// What the page says behind `user starling`.
fn rules_of_redis() -> Result<Vec<String>> {
    let line = PAGE.lines().find_map(|line| line.strip_prefix("user starling "));
    let words = line.context("the page has no user of Redis")?.split(' ');
    Ok(words.map(|word| word.replace(">SECRET", &format!(">{SECRET}"))).collect())
}

/// The page's statements, for a role of this name.
fn grants(role: &str) -> Result<String> {
    let (_, rest) = PAGE.split_once("```sql\nCREATE ROLE").context("the page has no role of PostgreSQL")?;
    let (statements, _) = rest.split_once("```").context("the block has no end")?;
    Ok(format!("CREATE ROLE{statements}").replace("starling_node", role))
}

/// Commands that Redis refused to this user since it was started, as it keeps them.
async fn refusals(connections: &mut [MultiplexedConnection]) -> Result<Vec<String>> {
    let mut refused = Vec::new();
    for connection in connections {
        let log: Vec<redis::Value> = redis::cmd("ACL").arg("LOG").query_async(connection).await?;
        refused.extend(log.iter().map(|entry| format!("{entry:?}")));
    }
    Ok(refused)
}

/// Every server of Redis, as its administrator.
async fn administrators(cluster: &mut Cluster) -> Result<(RedisKind, String, Vec<MultiplexedConnection>)> {
    if let Ok(redis) = cluster.redis() {
        return Ok((RedisKind::Standalone, redis.url(), vec![redis.connection().await?]));
    }
    let redis = cluster.redis_cluster()?;
    let mut connections = Vec::new();
    for place in 0..6 {
        connections.push(redis.connection(redis.port(place)).await?);
    }
    Ok((RedisKind::Cluster, redis.url(), connections))
}

async fn nodes_need_no_more_rights_than_operators_are_told(cluster: &mut Cluster) -> Result<()> {
    let (kind, redis_url, mut servers) = administrators(cluster).await?;
    for server in &mut servers {
        let mut rule = redis::cmd("ACL");
        rule.arg("SETUSER").arg("starling").arg(rules_of_redis()?).query_async::<()>(server).await?;
        // Who is connected stays so. The servers of a cluster are users of each other.
        if kind == RedisKind::Standalone {
            redis::cmd("ACL").arg("SETUSER").arg("default").arg("off").query_async::<()>(server).await?;
        }
    }
    let role = format!("node_{}", uuid::Uuid::new_v4().simple());
    let mut rows = cluster.rows().await?;
    rows.execute(AssertSqlSafe(grants(&role)?)).await?;
    let mut database_url: reqwest::Url = cluster.database_url()?.parse()?;
    ensure!(database_url.set_username(&role).is_ok(), "{database_url} takes no user");
    let redis_url = redis_url.replacen("//", &format!("//starling:{SECRET}@"), 1);
    for node in cluster.gateways.iter_mut().chain(&mut cluster.apis) {
        node.configure("REDIS_URL", &redis_url);
        node.configure("DATABASE_URL", database_url.as_str());
        restart(node).await?;
    }

    // What people do.
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let devices = on_each_gateway(cluster, &ben).await?;
    let room = ann.group("with few rights", &[&ben]).await?;
    all_hear(&ann, room, &devices).await?;
    let message = say(&ann, room, "the first", json!({})).await?;
    let ticket: Ticket = ann.rest.post("tickets", json!({"for": "events"})).await?.ok()?;
    let stream = EventStream::open(&cluster.url(), &Pass::Ticket(ticket.ticket), None).await?;
    ensure!(stream.is_ok(), "no stream: {:?}", stream.err());
    tell(&devices[0], "presence.watch", json!({"user_ids": [ann.id]})).await?;
    tell(&devices[0], "typing.start", json!({"conversation_id": room})).await?;
    tell(&devices[0], "receipt.read", json!({"conversation_id": room, "seq": message.seq})).await?;
    tell(&devices[0], "reaction.add", json!({"message_id": message.id, "emoji": "👍"})).await?;
    ann.rest.patch(&format!("messages/{}", message.id), json!({"content": "the first, edited"})).await?.done()?;
    let _: Unread = ann.rest.get("unread").await?.ok()?;
    let found: Value = ann.rest.get("search/messages?query=edited").await?.ok()?;
    ensure!(found["items"].as_array().is_some_and(|items| items.len() == 1), "{found}");
    devices[1].break_connection().await?;
    say(&ann, room, "the second", json!({})).await?;
    agree(&ben, room, &devices).await?;
    ann.rest.delete(&format!("conversations/{room}")).await?.done()?;

    // What operators do.
    let count = cluster.gateways.len() + cluster.apis.len();
    until(&cluster.apis[0], "nodes", |answer| all_ready(answer, count)).await?;
    let secret = cluster.secret().to_owned();
    let env = [("DATABASE_URL", database_url.as_str()), ("REDIS_URL", &redis_url), ("STARLING_JWT_SECRET", &secret)];
    for command in [["check"], ["migrate"]] {
        let (code, out, log) = node::run(&command, env).await?;
        ensure!(code == Some(0), "`starling {}` ended with {code:?}:\n{out}{log}", command[0]);
        ensure!(!out.contains("cannot read"), "`starling {}` was kept from something:\n{out}", command[0]);
    }

    let refused = refusals(&mut servers).await?;
    ensure!(refused.is_empty(), "Redis refused {refused:#?}");
    if kind == RedisKind::Cluster {
        let one = format!("redis://starling:{SECRET}@127.0.0.1:{}", cluster.redis_cluster()?.port(0));
        let (code, out, log) = node::run(&["check"], [env[0], ("REDIS_URL", &one), env[2]]).await?;
        ensure!(code == Some(1) && out.contains("is part of a Redis Cluster"), "{code:?} {out}{log}");
    }
    let query = "SELECT count(*) FROM information_schema.tables WHERE table_schema = 'public' AND table_name = 'messages' \
                 AND has_schema_privilege($1, 'public', 'CREATE')";
    let may_create: i64 = sqlx::query(query).bind(&role).fetch_one(&mut rows).await?.try_get(0)?;
    ensure!(may_create == 0, "who may only read and write may make tables too");

    // A right that was forgotten is told before people notice, and the node gets no traffic.
    rows.execute(AssertSqlSafe(format!("REVOKE INSERT ON messages FROM {role}"))).await?;
    let (code, out, log) = node::run(&["check"], env).await?;
    ensure!(code == Some(1) && out.contains("may not read and write messages; grant it"), "{code:?} {out}{log}");
    eventually("the node is not ready", SOON, async || {
        let (status, body) = cluster.gateways[0].admin_get("/readyz").await?;
        ensure!(status == 503 && body.contains("may not read and write messages"), "{status} {body}");
        anyhow::Ok(())
    })
    .await;
    Ok(())
}
