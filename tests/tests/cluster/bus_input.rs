//! Other programs on the same Redis, by mistake or by malice: what they publish on our topics is counted and ignored,
//! told to the operator once, and nobody misses anything by it.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use chat::envelope::{ChangePlace, ConversationEvent, VERSION};
use protocol::{ConversationId, Seq};
use serde_json::{Value, json};
use starling_tests::{
    client::SOON,
    cluster::{Cluster, Person},
    process::eventually,
};

use crate::world::{agree, devices, people, scenarios};

scenarios! {
    on_a_cluster_that_is_tampered_with: [
        what_strangers_publish_on_our_topics_is_ignored_while_people_chat,
        a_node_of_another_version_is_not_understood_and_nothing_is_missed,
    ];
}

/// Publishes on a topic as it is; to how many.
pub(crate) async fn publish(cluster: &mut Cluster, topic: &str, payload: &[u8]) -> Result<usize> {
    let mut connection = cluster.redis()?.connection().await?;
    let topic = format!("starling:{topic}");
    Ok(redis::cmd("PUBLISH").arg(topic).arg(payload).query_async(&mut connection).await?)
}

/// What a node publishes of a message that was made.
pub(crate) fn made(id: ConversationId, seq: Seq, epoch: &str, data: &Value) -> Result<Bytes> {
    let event = json!({"type": "message.created", "conversation_id": id, "seq": seq, "data": data});
    let at = ChangePlace { seq, place: seq, removed: &[], ends: false, epoch, trace: None };
    ConversationEvent::encode_change(at, &event).context("an event of JSON")
}

/// The database's epoch.
async fn epoch(cluster: &Cluster) -> Result<String> {
    Ok(sqlx::query_scalar("SELECT epoch FROM meta").fetch_one(&mut cluster.rows().await?).await?)
}

/// Waits until each gateway has counted at least so many events of this kind.
pub(crate) async fn counted(cluster: &Cluster, kind: &str, least: f64) -> Result<()> {
    for node in &cluster.gateways {
        let line = format!("starling_bus_events_total{{kind=\"{kind}\"}} ");
        eventually(&format!("{least} events of kind {kind} are counted"), SOON, async || {
            let text = node.admin_get("/metrics").await.map_err(|error| error.to_string())?.1;
            let count = text.lines().find_map(|metric| metric.strip_prefix(&line)?.parse::<f64>().ok());
            if count.is_some_and(|count| count >= least) { Ok(()) } else { Err(format!("{count:?}")) }
        })
        .await;
    }
    Ok(())
}

/// How often each gateway told an operator something with these words.
fn told(cluster: &Cluster, words: &str) -> Vec<usize> {
    let count = |log: String| log.lines().filter(|line| line.contains(" WARN ") && line.contains(words)).count();
    cluster.gateways.iter().map(|node| count(node.log())).collect()
}

async fn what_strangers_publish_on_our_topics_is_ignored_while_people_chat(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let mut all = devices(cluster, &ann).await?;
    all.extend(devices(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    for device in &all {
        device.reaches(id, 1).await?;
    }
    let oversized = vec![b'x'; 8 * 1024 * 1024];
    let nested = "[".repeat(100_000);
    let epoch = epoch(cluster).await?;
    let change = made(id, 1, &epoch, &json!({}))?;
    let payloads: [&[u8]; 11] = [
        b"hello",
        &change[..change.len() - 1],
        &change[..20],
        b"",
        b"\xff\xfe\x00",
        b"{}",
        b"[1,2,3]",
        b"{\"v\":1}",
        b"{\"v\":1,\"seq\":-1,\"user_seq\":-1,\"frame\":{}}",
        nested.as_bytes(),
        &oversized,
    ];
    let mut sent = 0.0;
    for (round, payload) in payloads.iter().cycle().take(36).enumerate() {
        for topic in [format!("c:{id}"), format!("u:{}", ben.id)] {
            let heard = publish(cluster, &topic, payload).await?;
            ensure!(heard >= 1, "nobody listens on {topic}, so this proves nothing");
        }
        sent += 1.0;
        all[round % all.len()].send(id, &format!("text {round}")).await?;
    }
    counted(cluster, "bad", sent).await?;
    // Well-formed and untrue: of places that do not exist.
    for seq in [u64::MAX, 1_000, 60] {
        publish(cluster, &format!("c:{id}"), &made(id, seq, &epoch, &json!({}))?).await?;
        all[0].send(id, "after a lie").await?;
    }
    counted(cluster, "unknown", 1.0).await?;
    agree(&ben, id, &all).await?;
    let me: protocol::User = ben.rest.get("me").await?.ok()?;
    // Of a feed that did not move, and of an announcement that nobody made.
    for ahead in [1, 30, 5_000, i64::MAX.unsigned_abs()] {
        let told = all.last().context("nobody is there")?.look(|view| view.user_seq);
        let lie = json!({"v": 1, "user_seq": told + ahead}).to_string();
        publish(cluster, &format!("u:{}", ben.id), lie.as_bytes()).await?;
        let lie = json!({"v": 1, "seq": ahead}).to_string();
        publish(cluster, &format!("o:{}", me.org_id), lie.as_bytes()).await?;
        let new = ann.group("after a lie", &[&ben]).await?;
        for device in &all {
            device.reaches(new, 1).await?;
        }
    }
    for device in &all {
        device.check()?;
        ensure!(device.connections() == 1, "{}", device.summary());
        device.look(|view| ensure_whole(view.repeats, &view.resyncs))?;
    }
    for words in ["is not of this protocol", "the store does not have"] {
        let told = told(cluster, words);
        ensure!(told.iter().all(|times| *times == 1), "{words:?} was told {told:?} times");
    }
    Ok(())
}

fn ensure_whole(repeats: usize, resyncs: &[serde_json::Value]) -> Result<()> {
    ensure!(repeats == 0 && resyncs.is_empty(), "{repeats} repeated, {resyncs:?}");
    Ok(())
}

async fn a_node_of_another_version_is_not_understood_and_nothing_is_missed(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let all = devices(cluster, &ben).await?;
    let id = ann.group("plans", &[&ben]).await?;
    for device in &all {
        device.reaches(id, 1).await?;
    }
    let epoch = epoch(cluster).await?;
    // A node that commits, and whose events only we see: as one of another version, ours repeat them changed.
    let env = [("STARLING_REDIS_PREFIX", "another:")];
    let other = cluster.start_node_with(starling_tests::node::Role::Api, &env).await?;
    let say = async |person: &Person, text: &str| {
        let path = format!("conversations/{id}/messages");
        person.rest.at(other.url()).post(&path, json!({"content": text})).await?.ok::<protocol::Message>()
    };
    for round in 0..10 {
        let message = say(&ann, &format!("text {round}")).await.context("the other node does not answer")?;
        let mut payload = made(id, message.seq, &epoch, &json!(message))?.to_vec();
        if round % 2 == 0 {
            // A later version: not understood, so not received. The next one shows the hole.
            payload[0] = VERSION + 1;
        } else {
            // Ours, from a node that knows more fields: they come before the frame, whose place it says.
            let begins = u32::from_le_bytes(payload[2..6].try_into()?);
            payload[1] |= 128;
            payload[2..6].copy_from_slice(&(begins + 4).to_le_bytes());
            let begins = usize::try_from(begins)?;
            payload.splice(begins..begins, *b"more");
        }
        publish(cluster, &format!("c:{id}"), &payload).await?;
        for device in &all {
            device.reaches(id, message.seq).await?;
        }
    }
    counted(cluster, "bad", 5.0).await?;
    agree(&ben, id, &all).await?;
    for (device, node) in all.iter().zip(&cluster.gateways) {
        device.check()?;
        device.look(|view| ensure_whole(view.repeats, &view.resyncs))?;
        ensure!(node.metric("starling_gap_fills_total").await? > 0.0, "nothing was filled, so this proves nothing");
    }
    Ok(())
}
