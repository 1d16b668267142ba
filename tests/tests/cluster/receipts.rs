//! ✓, ✓✓ and blue ✓✓: whole on every device however they are sent, and written rarely.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use protocol::{ConversationId, Message, MessageReceipts, Page, Receipt, ReceiptState};
use serde_json::json;
use starling_tests::{
    client::{Client, SOON, View},
    cluster::{Cluster, Person},
    process::eventually,
};
use tokio::time::Instant;

use crate::world::{agree, all_hear, on_each_gateway, on_the_last_gateway, people, say, scenarios, tell, told};

scenarios! {
    on_a_cluster: [
        a_message_is_sent_then_delivered_then_read,
        above_a_hundred_people_receipts_are_asked_for,
        two_hundred_marks_at_once_are_few_writes,
    ];
    on_one_node: [
        a_message_is_sent_then_delivered_then_read,
        above_a_hundred_people_receipts_are_asked_for,
        two_hundred_marks_at_once_are_few_writes,
    ];
    on_a_cluster_that_loses_redis: [receipts_are_whole_after_redis_was_away];
}

/// The markers of somebody as a device shows them: delivered and read.
fn markers(view: &View, id: ConversationId, person: &Person) -> (u64, u64) {
    let receipts = told(view, "receipt.updated").into_iter();
    let receipts = receipts.filter_map(|data| serde_json::from_value::<Receipt>(data).ok());
    let theirs = receipts.filter(|receipt| (receipt.conversation_id, receipt.user_id) == (id, person.id));
    theirs.fold((0, 0), |(delivered, read), receipt| (delivered.max(receipt.delivered_seq), read.max(receipt.read_seq)))
}

/// Waits until a device shows these markers, and no further ones.
async fn shows(device: &Client, id: ConversationId, person: &Person, expected: (u64, u64)) -> Result<()> {
    let what = format!("{} is shown at {expected:?}", person.name);
    device.until(&what, |view| (markers(view, id, person) == expected).then_some(())).await
}

/// How far a message got with each of these people, as asked for.
async fn ensure_states(asker: &Person, message: &Message, expected: &[(&Person, ReceiptState)]) -> Result<()> {
    let receipts: MessageReceipts = asker.rest.get(&format!("messages/{}/receipts", message.id)).await?.ok()?;
    for (person, state) in expected {
        let item = receipts.items.iter().find(|item| item.user.id == person.id);
        let item = item.with_context(|| format!("{} is not told: {receipts:?}", person.name))?;
        ensure!(item.state == *state, "{}: {receipts:?}", person.name);
    }
    let at_least = |state: ReceiptState| expected.iter().filter(|(_, is)| *is as u8 >= state as u8).count() as u64;
    ensure!(receipts.read_count == at_least(ReceiptState::Read), "{receipts:?}");
    ensure!(receipts.delivered_count == at_least(ReceiptState::Delivered), "{receipts:?}");
    Ok(())
}

async fn a_message_is_sent_then_delivered_then_read(cluster: &mut Cluster) -> Result<()> {
    use ReceiptState::{Delivered, Read, Sent};
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let (anns, away) = (on_each_gateway(cluster, &ann).await?, ann.connect_to(&cluster.gateways[0]).await?);
    let bens = on_each_gateway(cluster, &ben).await?;
    let id = ann.group("plans", &[&ben, &cleo]).await?;
    all_hear(&ann, id, anns.iter().chain(&bens).chain([&away])).await?;
    away.offline().await?;
    let message = say(&ann, id, "hello", json!({})).await?;
    let at = message.seq;
    ensure_states(&ann, &message, &[(&ben, Sent), (&cleo, Sent)]).await?;
    bens[0].reaches(id, at).await?;
    tell(&bens[0], "receipt.delivered", json!({"conversation_id": id, "seq": at})).await?;
    for device in anns.iter().chain(&bens) {
        shows(device, id, &ben, (at, 1)).await?;
    }
    ensure_states(&ann, &message, &[(&ben, Delivered), (&cleo, Sent)]).await?;
    // Opening the conversation on another device, by one call for many.
    let body = json!({"items": [{"conversation_id": id, "seq": at}]});
    let read: Page<Receipt> = ben.rest.post("read", body).await?.ok()?;
    ensure!(read.items.len() == 1 && read.items[0].read_seq == at && read.items[0].read_number == 2, "{read:?}");
    for device in anns.iter().chain(&bens) {
        shows(device, id, &ben, (at, at)).await?;
    }
    ensure_states(&ann, &message, &[(&ben, Read), (&cleo, Sent)]).await?;
    // Who was away meanwhile is told on any node; and nothing goes back.
    away.next_node(cluster.gateways.last().context("no gateway")?.url());
    away.online().await?;
    shows(&away, id, &ben, (at, at)).await?;
    let back: Receipt = ben.rest.post(&format!("conversations/{id}/read"), json!({"seq": 1})).await?.ok()?;
    ensure!((back.delivered_seq, back.read_seq) == (at, at), "{back:?}");
    agree(&ann, id, anns.iter().chain([&away])).await?;
    bens.iter().try_for_each(Client::check)
}

async fn above_a_hundred_people_receipts_are_asked_for(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let mut others = Vec::new();
    for number in 0..100 {
        others.push(cluster.person(&format!("other-{number}")).await?);
    }
    let (anns, bens) = (on_the_last_gateway(cluster, &ann).await?, on_each_gateway(cluster, &ben).await?);
    let tablet = on_the_last_gateway(cluster, &ben).await?;
    let everybody: Vec<_> = others.iter().chain([&ben, &cleo]).collect();
    let id = ann.group("everybody", &everybody).await?;
    all_hear(&ann, id, bens.iter().chain([&anns, &tablet])).await?;
    let message = say(&ann, id, "hello all", json!({})).await?;
    let at = message.seq;
    bens[0].reaches(id, at).await?;
    let kept = tell(&bens[0], "receipt.delivered", json!({"conversation_id": id, "seq": at})).await?;
    ensure!(kept["delivered_seq"] == 1 && kept["read_seq"] == 1, "delivered is kept: {kept}");
    tell(&bens[0], "receipt.read", json!({"conversation_id": id, "seq": at})).await?;
    for device in bens.iter().chain([&tablet]) {
        device.until("one's own read marker", |view| (markers(view, id, &ben).1 == at).then_some(())).await?;
    }
    // What ben says after he read comes after what would have been told of it.
    let last = say(&ben, id, "hello ann", json!({})).await?;
    anns.reaches(id, last.seq).await?;
    ensure!(markers(&anns.view(), id, &ben) == (0, 0), "others are told: {}", anns.summary());
    let receipts: MessageReceipts = ann.rest.get(&format!("messages/{}/receipts?limit=100", message.id)).await?.ok()?;
    ensure!(receipts.read_count == 1 && receipts.participant_count >= 102, "{receipts:?}");
    let next = receipts.next_cursor.context("a second page")?;
    let path = format!("messages/{}/receipts?limit=100&cursor={next}", message.id);
    let rest: MessageReceipts = ann.rest.get(&path).await?.ok()?;
    let items: Vec<_> = receipts.items.iter().chain(&rest.items).collect();
    ensure!(rest.next_cursor.is_none() && items.len() == 102, "{} items", items.len());
    let readers: Vec<_> = items.iter().filter(|item| item.state == ReceiptState::Read).collect();
    ensure!(readers.len() == 1 && readers[0].user.id == ben.id, "{readers:?}");
    bens.iter().chain([&anns, &tablet]).try_for_each(Client::check)
}

async fn two_hundred_marks_at_once_are_few_writes(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (on_the_last_gateway(cluster, &ann).await?, ben.connect_to(&cluster.gateways[0]).await?);
    let id = ann.group("plans", &[&ben]).await?;
    anns.reaches(id, 1).await?;
    for chunk in 0..10 {
        let texts: Vec<_> = (0..20).map(|number| format!("text {}", chunk * 20 + number)).collect();
        try_join_all(texts.iter().map(|text| anns.send(id, text))).await?;
    }
    for device in [&anns, &bens] {
        device.reaches(id, 201).await?;
    }
    let node = &cluster.gateways[0];
    let (rows, asked) =
        (node.metric("starling_receipt_rows_total").await?, node.metric("starling_receipts_asked_total").await?);
    let start = Instant::now();
    let marks = (2..=201).map(async |seq| {
        let marked = tell(&bens, "receipt.read", json!({"conversation_id": id, "seq": seq})).await?;
        anyhow::Ok((seq, serde_json::from_value::<Receipt>(marked)?))
    });
    let marked = try_join_all(marks).await?;
    let seconds = start.elapsed().as_secs_f64();
    for (seq, receipt) in &marked {
        ensure!(receipt.read_seq >= *seq && receipt.read_number == receipt.read_seq - 1, "{seq}: {receipt:?}");
    }
    ensure!(marked.windows(2).all(|pair| pair[0].1.read_seq <= pair[1].1.read_seq), "answers go back: {marked:?}");
    let asked = node.metric("starling_receipts_asked_total").await? - asked;
    let rows = node.metric("starling_receipt_rows_total").await? - rows;
    ensure!(asked >= 200.0, "{asked} marks were counted");
    ensure!(rows >= 1.0 && rows <= seconds + 2.0, "{rows} rows were written in {seconds} s");
    shows(&anns, id, &ben, (201, 201)).await?;
    // They are told as rarely as they are written.
    let told = told(&anns.view(), "receipt.updated").iter().filter(|data| data["user_id"] == json!(ben.id)).count();
    ensure!(told <= rows as usize, "{told} events of {rows} writes");
    anns.check()
}

async fn receipts_are_whole_after_redis_was_away(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (on_each_gateway(cluster, &ann).await?, on_each_gateway(cluster, &ben).await?);
    let id = ann.group("plans", &[&ben]).await?;
    all_hear(&ann, id, anns.iter().chain(&bens)).await?;
    let first = say(&ann, id, "before", json!({})).await?;
    cluster.redis()?.kill()?;
    let second = say(&ann, id, "meanwhile", json!({})).await?;
    ben.rest.post(&format!("conversations/{id}/delivered"), json!({"seq": second.seq})).await?.done()?;
    ben.rest.post(&format!("conversations/{id}/read"), json!({"seq": first.seq})).await?.done()?;
    cluster.redis()?.up().await?;
    for node in &cluster.gateways {
        eventually("the node is ready again", SOON, async || match node.admin_get("/readyz").await {
            Ok((200, body)) if body.contains("\"ready\"") => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    for device in anns.iter().chain(&bens) {
        shows(device, id, &ben, (second.seq, first.seq)).await?;
        ensure!(device.connections() == 1, "a socket did not stay: {}", device.summary());
    }
    agree(&ann, id, anns.iter().chain(&bens)).await.map(drop)
}
