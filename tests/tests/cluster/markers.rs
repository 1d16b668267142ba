//! Read markers and unread counts: the same for all devices, nodes and viewers, whatever raced.

use anyhow::{Context, Result, ensure};
use protocol::{Conversation, ConversationId, Page, Receipt};
use serde_json::json;
use starling_tests::{
    client::{Client, Socket},
    cluster::{Cluster, Person},
};

use crate::world::{agree, devices, done, on_each_gateway, people, scenarios};

scenarios! {
    on_a_cluster_of_two_apis: [read_markers_and_unread_counts_are_equal_everywhere_after_reads_and_sends_race];
    on_one_node: [read_markers_and_unread_counts_are_equal_everywhere_after_reads_and_sends_race];
}

async fn read_markers_and_unread_counts_are_equal_everywhere_after_reads_and_sends_race(
    cluster: &mut Cluster,
) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (devices(cluster, &ann).await?, on_each_gateway(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    for device in anns.iter().chain(&bens) {
        device.reaches(id, 1).await?;
    }
    // Ben's devices read what they see, out of step with each other, while ann goes on writing.
    let write = async {
        for number in 0..30 {
            anns[number % anns.len()].send(id, &format!("text {number}")).await?;
        }
        Ok(())
    };
    let read = async |device: &Client| {
        for seq in [3, 9, 2, 14, 20, 5] {
            device.reaches(id, seq).await?;
            let receipt: Receipt = serde_json::from_value(done(
                device.command("receipt.read", json!({"conversation_id": id, "seq": seq})).await?,
            )?)?;
            ensure!(receipt.read_seq >= seq && receipt.delivered_seq >= receipt.read_seq, "{receipt:?}");
        }
        Ok(())
    };
    let by_rest = async {
        for seq in [4, 12, 1] {
            bens[0].reaches(id, seq).await?;
            ben.rest.post(&format!("conversations/{id}/read"), json!({"seq": seq})).await?.done()?;
        }
        Ok(())
    };
    tokio::try_join!(write, read(&bens[0]), read(&bens[bens.len() - 1]), by_rest)?;
    agree(&ben, id, anns.iter().chain(&bens)).await?;

    let head = 31;
    everywhere(cluster, [&ann, &ben], id, (head, 0), (20, head - 20)).await?;
    hears_of(&anns, &ben, 20).await?;

    // Past the head means the head; back means nothing; sending moves one's own.
    bens[0].command("receipt.read", json!({"conversation_id": id, "seq": 1_000_000})).await?;
    bens[0].command("receipt.read", json!({"conversation_id": id, "seq": 2})).await?;
    everywhere(cluster, [&ann, &ben], id, (head, 0), (head, 0)).await?;
    hears_of(&anns, &ben, head).await?;
    bens[0].send(id, "an answer").await?;
    everywhere(cluster, [&ann, &ben], id, (head, 1), (head + 1, 0)).await?;
    anns.iter().chain(&bens).try_for_each(Client::check)
}

/// What every REST node and a resume on every gateway say of the markers of two people: read seq and unread count.
async fn everywhere(
    cluster: &Cluster,
    people: [&Person; 2],
    id: ConversationId,
    first: (u64, u64),
    second: (u64, u64),
) -> Result<()> {
    for (person, (read_seq, unread)) in people.into_iter().zip([first, second]) {
        for node in cluster.rest_nodes() {
            let rest = person.rest.at(node.url());
            let page: Page<Conversation> = rest.get("conversations").await?.ok()?;
            let listed = page.items.into_iter().find(|conversation| conversation.id == id).context("not listed")?;
            let alone: Conversation = rest.get(&format!("conversations/{id}")).await?.ok()?;
            for seen in [listed, alone] {
                let seen = (seen.read_seq, seen.unread_count);
                ensure!(seen == (read_seq, unread), "{} of {} at {}: {seen:?}", person.name, id, node.url());
            }
        }
        for node in &cluster.gateways {
            let mut socket = Socket::with_token(node.url(), &people[0].token).await?;
            let connected = socket.until("connected").await?;
            let resume =
                json!({"epoch": connected["data"]["epoch"], "user_seq": connected["data"]["user_seq"], "cursors": {}});
            socket.send(&json!({"type": "hello", "ref": "hello", "resume": resume})).await?;
            let reply = socket.until("reply").await?;
            let receipts: Vec<Receipt> = serde_json::from_value(reply["data"]["receipts"].clone())?;
            let receipt = receipts.iter().find(|receipt| (receipt.conversation_id, receipt.user_id) == (id, person.id));
            let seen = receipt.with_context(|| format!("no receipt of {}: {reply}", person.name))?.read_seq;
            ensure!(seen == read_seq, "{} of {} by a resume at {}: {seen}", person.name, id, node.url());
        }
    }
    Ok(())
}

/// Waits until each device was told that somebody read up to here, and not further.
async fn hears_of(devices: &[Client], reader: &Person, read_seq: u64) -> Result<()> {
    for device in devices {
        device
            .until("the other's read marker arrives", |view| {
                let of = |event: &&serde_json::Value| event["data"]["user_id"] == json!(reader.id);
                let seqs = view.events_of("receipt.updated").filter(of);
                (seqs.filter_map(|event| event["data"]["read_seq"].as_u64()).max()? == read_seq).then_some(())
            })
            .await?;
    }
    Ok(())
}
