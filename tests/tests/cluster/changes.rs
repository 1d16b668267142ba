//! Edits and deletions get to everybody, live and on resume, and nothing of what was deleted stays.

use anyhow::{Context, Result, ensure};
use protocol::{ChangeType, ErrorCode};
use serde_json::json;
use starling_tests::cluster::Cluster;

use crate::world::{agree, all_hear, devices, ensure_each_once, people, refusal, scenarios, texts};

scenarios! {
    on_a_cluster: [
        edits_and_deletions_travel_to_every_device,
        edits_and_deletions_that_race_end_the_same_for_everybody,
    ];
    on_one_node: [
        edits_and_deletions_travel_to_every_device,
        edits_and_deletions_that_race_end_the_same_for_everybody,
    ];
}

async fn edits_and_deletions_travel_to_every_device(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (devices(cluster, &ann).await?, devices(cluster, &ben).await?);
    let all = || anns.iter().chain(&bens);
    let id = ann.group("plans", &[&ben]).await?;
    // Who hears of the conversation later gets it in its present state, not change by change.
    let heard = all_hear(&ann, id, all()).await?;
    let first = anns[0].send(id, "a tpyo").await?;
    let second = anns[0].send(id, "a secret").await?;
    // On another node than it was sent on.
    let device = anns.last().unwrap_or(&anns[0]);
    let edited = device.edit(first.id, "a typo").await?;
    let deleted = device.delete(second.id).await?;
    ensure!(edited.seq == first.seq && edited.changed_seq > second.seq && edited.edited_at.is_some(), "{edited:?}");
    ensure!(deleted.seq == second.seq && deleted.content.is_empty() && deleted.deleted_at.is_some(), "{deleted:?}");
    let truth = agree(&ben, id, all()).await?;
    ensure!(texts(&truth)[1..] == ["a typo"], "{truth:?}");
    ensure!(!format!("{truth:?}").contains("secret"), "what was deleted is still there: {truth:?}");
    for device in all() {
        ensure_each_once(device, id)?;
        let timeline = device.view().timelines.remove(&id).context("gone")?;
        let changes: Vec<_> = timeline.applied.into_iter().filter(|(seq, ..)| *seq > heard).collect();
        let wanted = [
            (first.seq, ChangeType::Created, first.id),
            (second.seq, ChangeType::Created, second.id),
            (edited.changed_seq, ChangeType::Updated, first.id),
            (deleted.changed_seq, ChangeType::Deleted, second.id),
        ];
        // One by one; but where an event was late, a page has each message's last change.
        let fits = if timeline.pages.iter().all(|(_, to)| *to <= heard) {
            changes == wanted
        } else {
            changes.ends_with(&wanted[2..]) && changes.iter().all(|change| wanted.contains(change))
        };
        ensure!(fits, "{changes:?}");
    }
    // Nobody changes what somebody else wrote, nor what is gone.
    let edit = |message: &protocol::Message| json!({"message_id": message.id, "content": "mine now"});
    ensure!(refusal(&bens[0].command("message.edit", edit(&first)).await?)? == ErrorCode::Forbidden);
    ensure!(refusal(&anns[0].command("message.edit", edit(&second)).await?)? == ErrorCode::MessageDeleted);
    let again = anns[0].delete(second.id).await?;
    ensure!(again == deleted, "deleting twice is not the same as once: {again:?}");
    agree(&ben, id, all()).await.map(drop)
}

async fn edits_and_deletions_that_race_end_the_same_for_everybody(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let (anns, bens) = (devices(cluster, &ann).await?, devices(cluster, &ben).await?);
    let all = || anns.iter().chain(&bens);
    let id = ann.group("plans", &[&ben]).await?;
    let last = anns.len() - 1;
    all_hear(&ann, id, all()).await?;
    for round in 0..10 {
        let message = anns[0].send(id, &format!("round {round}")).await?;
        let edit = |content: &str| json!({"message_id": message.id, "content": content});
        let path = format!("messages/{}", message.id);
        let (one, other, gone, said) = tokio::try_join!(
            anns[0].command("message.edit", edit("edited here")),
            anns[last].command("message.edit", edit("edited there")),
            ann.rest.delete(&path),
            bens[round % bens.len()].send(id, "meanwhile"),
        )?;
        gone.done()?;
        ensure!(said.seq > message.seq, "{said:?}");
        for reply in [one, other] {
            ensure!(reply.ok || refusal(&reply)? == ErrorCode::MessageDeleted, "{reply:?}");
        }
        let truth = agree(&ben, id, all()).await?;
        let now = &truth[&message.seq];
        ensure!(now.deleted_at.is_some() && now.content.is_empty(), "{now:?}");
    }
    all().try_for_each(|device| ensure_each_once(device, id))
}
