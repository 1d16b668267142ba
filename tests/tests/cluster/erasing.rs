//! What was said in a conversation is nowhere in the database any more soon after the conversation was deleted; and an
//! operator sees what waits for that.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sqlx::{ConnectOptions as _, Connection as _, sqlite::SqliteConnectOptions};
use starling_tests::{client::SOON, cluster::Cluster, process::eventually};
use store::sqlite::SqliteStore;

use crate::{
    operators::{get, until},
    rolling,
    world::{people, say, scenarios},
};

scenarios! {
    on_a_cluster: [
        what_was_said_in_a_deleted_conversation_is_erased,
        an_operator_sees_what_is_to_be_erased_later,
    ];
    on_a_cluster_that_is_tampered_with: [one_that_cannot_be_erased_is_not_in_the_way_of_others];
    on_one_node: [
        what_was_said_in_a_deleted_conversation_is_erased,
        an_operator_sees_what_is_to_be_erased_later,
    ];
}

/// In all that is said in the conversation that is deleted, and in nothing else.
const SECRET: &str = "wisteria";

/// Every row of every table, as text.
async fn everything(cluster: &Cluster) -> Result<String> {
    let mut rows: Vec<String> = Vec::new();
    if cluster.is_embedded() {
        let file = SqliteStore::file(&cluster.gateways[0].dir().join("data"));
        let mut database = SqliteConnectOptions::new().filename(file).read_only(true).connect().await?;
        // The index for searches has a form of its own: that is looked at in the file.
        let tables: Vec<(String, String)> = sqlx::query_as(
            "select t.name, group_concat('coalesce(quote(\"' || c.name || '\"), '''')', ' || char(32) || ')
             from sqlite_master t, pragma_table_info(t.name) c
             where t.type = 'table' and t.name not like 'messages_fts%' group by t.name",
        )
        .fetch_all(&mut database)
        .await?;
        for (table, columns) in tables {
            let sql = sqlx::AssertSqlSafe(format!("select {columns} from \"{table}\""));
            rows.extend(sqlx::query_scalar::<_, String>(sql).fetch_all(&mut database).await?);
        }
        database.close().await?;
    } else {
        let mut database = cluster.rows().await?;
        let tables: Vec<String> =
            sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()")
                .fetch_all(&mut database)
                .await?;
        for table in tables {
            let sql = sqlx::AssertSqlSafe(format!("SELECT t::text FROM {table} t"));
            rows.extend(sqlx::query_scalar::<_, String>(sql).fetch_all(&mut database).await?);
        }
        database.close().await?;
    }
    Ok(rows.join("\n"))
}

async fn what_was_said_in_a_deleted_conversation_is_erased(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let kept = ann.group("kept", &[&ben]).await?;
    say(&ben, kept, "this stays", json!({})).await?;
    let body = json!({
        "kind": "group", "title": format!("{SECRET} title"), "participant_ids": [ben.id],
        "subject": {"type": "listing", "id": "7", "title": format!("{SECRET} subject")},
    });
    let made: Value = ann.rest.post("conversations", body).await?.ok()?;
    let id = made["id"].as_str().context("an id")?.parse()?;
    let description = json!({"description": format!("{SECRET} description")});
    ann.rest.patch(&format!("conversations/{id}"), description).await?.done()?;
    let attached = json!({"attachments": [{
        "kind": "image", "url": format!("https://example.com/{SECRET}.png"), "name": format!("{SECRET}.png"),
    }]});
    let first = say(&ann, id, &format!("{SECRET} first, for @ben"), attached).await?;
    say(&ben, id, &format!("{SECRET} reply"), json!({"reply_to_id": first.id})).await?;
    let edited = json!({"content": format!("{SECRET} edited, for @ben")});
    ann.rest.patch(&format!("messages/{}", first.id), edited).await?.done()?;
    ben.rest.put(&format!("messages/{}/reactions/%F0%9F%8C%BF", first.id)).await?.done()?;
    let before = everything(cluster).await?;
    ensure!(before.matches(SECRET).count() >= 7 && before.contains('🌿'), "this looks at too little: {before}");

    ann.rest.delete(&format!("conversations/{id}")).await?.done()?;
    eventually("nothing of it is left", SOON, async || {
        let after = everything(cluster).await?;
        let left: Vec<_> = after.lines().filter(|row| row.contains(SECRET) || row.contains('🌿')).collect();
        ensure!(left.is_empty(), "{left:?}");
        ensure!(after.contains("this stays"), "{after}");
        anyhow::Ok(())
    })
    .await;
    let none = |answer: &Value| answer["jobs"][0]["waiting"] == 0 && answer["jobs"][0]["oldest_at"].is_null();
    until(&cluster.gateways[0], "jobs", none).await?;
    eventually("the erased are counted", SOON, async || {
        let mut erased = 0.0;
        for node in cluster.gateways.iter().chain(&cluster.apis) {
            erased += node.metric("starling_erased_messages_total").await?;
        }
        // Two that people sent, and what the conversation said of itself but for its end.
        ensure!(erased >= 4.0, "{erased}");
        anyhow::Ok(())
    })
    .await;
    if cluster.is_embedded() {
        // What is in no row may be in the file still: in the index of words, or in pages that were let go.
        let node = &mut cluster.gateways[0];
        node.terminate()?;
        node.ended(SOON).await?;
        let file = std::fs::read(SqliteStore::file(&node.dir().join("data")))?;
        ensure!(file.windows(4).any(|at| at == b"kept"), "this looks at too little");
        ensure!(!file.windows(SECRET.len()).any(|at| at == SECRET.as_bytes()), "the file has it still");
        node.restart().await?;
    }
    Ok(())
}

async fn one_that_cannot_be_erased_is_not_in_the_way_of_others(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let mut database = cluster.rows().await?;
    let (cursed, other) = (ann.group("cursed", &[&ben]).await?, ann.group("other", &[&ben]).await?);
    for id in [cursed, other] {
        say(&ben, id, SECRET, json!({})).await?;
    }
    let refuse = format!(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'never'; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE ON messages FOR EACH ROW
             WHEN (NEW.deleted_at IS NOT NULL AND NEW.conversation_id = '{cursed}') EXECUTE FUNCTION refuse()"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(refuse)).execute(&mut database).await?;
    // The one that fails has waited longer.
    for id in [cursed, other] {
        ann.rest.delete(&format!("conversations/{id}")).await?.done()?;
    }
    eventually("the other one is erased", SOON, async || {
        let left: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT conversation_id FROM messages WHERE content = $1")
            .bind(SECRET)
            .fetch_all(&mut cluster.rows().await?)
            .await?;
        ensure!(left == [cursed.0], "{left:?}");
        anyhow::Ok(())
    })
    .await;
    eventually("a node says so", SOON, async || {
        let mut all = cluster.gateways.iter().chain(&cluster.apis);
        ensure!(all.any(|node| node.log().contains("a deleted conversation is not erased")), "no node does");
        anyhow::Ok(())
    })
    .await;
    let node = &cluster.gateways[0];
    eventually("it is counted", SOON, async || {
        let waiting = node.metric("starling_erasures_waiting").await?;
        ensure!((waiting - 1.0).abs() < f64::EPSILON, "{waiting}");
        anyhow::Ok(())
    })
    .await;
    sqlx::raw_sql("DROP TRIGGER refuse ON messages").execute(&mut database).await?;
    until(node, "jobs", |answer| answer["jobs"][0]["waiting"] == 0).await?;
    ensure!(!everything(cluster).await?.contains(SECRET), "it is not erased");
    Ok(())
}

async fn an_operator_sees_what_is_to_be_erased_later(cluster: &mut Cluster) -> Result<()> {
    for node in cluster.gateways.iter_mut().chain(&mut cluster.apis) {
        node.configure("STARLING_ERASE_AFTER", "30d");
        rolling::restart(node).await?;
    }
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let id = ann.group("plans", &[&ben]).await?;
    say(&ben, id, SECRET, json!({})).await?;
    ann.rest.delete(&format!("conversations/{id}")).await?.done()?;
    let node = &cluster.gateways[0];
    let jobs = get(node, "jobs").await?;
    let job = &jobs["jobs"][0];
    ensure!(job["kind"] == "erase_conversation" && job["waiting"] == 0 && job["later"] == 1, "{jobs}");
    ensure!(job["oldest_at"].is_string(), "{jobs}");
    let (code, said, log) = crate::operators::starling(node, &["jobs"]).await?;
    ensure!(code == Some(0) && said.contains("erase_conversation  0        1 "), "{said}{log}");
    ensure!(everything(cluster).await?.contains(SECRET), "it is erased too early");
    Ok(())
}
