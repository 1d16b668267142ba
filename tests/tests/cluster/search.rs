//! Search finds what one may see, as it is now: nothing that was deleted, changed or left, nothing of others.

use anyhow::{Result, ensure};
use protocol::{Page, SearchHit};
use serde_json::json;
use starling_tests::cluster::{Cluster, Person};

use crate::world::{people, say, scenarios};

scenarios! {
    on_a_cluster_of_two_apis: [what_is_found_is_what_one_may_see_now];
    on_one_node: [what_is_found_is_what_one_may_see_now];
}

/// What every REST node finds, the same everywhere: contents, in order.
async fn found(cluster: &Cluster, person: &Person, query: &str) -> Result<Vec<String>> {
    let mut answers = Vec::new();
    for node in cluster.rest_nodes() {
        let path = format!("search/messages?order=newest&query={query}");
        let page: Page<SearchHit> = person.rest.at(node.url()).get(&path).await?.ok()?;
        for hit in &page.items {
            let text: String = hit.snippet.iter().map(|part| part.text.as_str()).collect();
            ensure!(hit.message.content.contains(text.trim_matches('…')), "a snippet of something else: {hit:?}");
            ensure!(hit.snippet.iter().any(|part| part.highlighted), "nothing is highlighted: {hit:?}");
        }
        answers.push(page.items.into_iter().map(|hit| hit.message.content).collect::<Vec<_>>());
    }
    ensure!(answers.windows(2).all(|pair| pair[0] == pair[1]), "nodes find different things: {answers:?}");
    Ok(answers.swap_remove(0))
}

async fn what_is_found_is_what_one_may_see_now(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let stranger = cluster.person_with("stranger", &json!({"org": "other"})).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let whale = say(&ann, id, "a Whale in the bay", json!({})).await?;
    let second = say(&ben, id, "two whales, even", json!({})).await?;
    let direct = ann.direct(&cleo).await?;
    say(&cleo, direct, "whale watching on Sunday?", json!({})).await?;
    ensure!(found(cluster, &ann, "whale").await?.len() == 3, "{:?}", found(cluster, &ann, "whale").await?);
    ensure!(found(cluster, &ben, "WHALE").await? == ["two whales, even", "a Whale in the bay"], "ben's");
    ensure!(found(cluster, &ann, "whale%20bay").await? == ["a Whale in the bay"], "all words");
    for (filter, count) in [
        (format!("&conversation_id={id}"), 2),
        (format!("&sender_id={}", ann.id), 1),
        ("&kind=direct".to_owned(), 1),
        ("&has=attachment".to_owned(), 0),
    ] {
        let hits = found(cluster, &ann, &format!("whale{filter}")).await?;
        ensure!(hits.len() == count, "{filter}: {hits:?}");
    }
    for (person, filter) in [(&cleo, format!("&conversation_id={id}")), (&stranger, format!("&conversation_id={id}"))] {
        let answer = person.rest.get(&format!("search/messages?query=whale{filter}")).await?;
        ensure!(answer.problem()? == (404, "not_found".into()), "{answer:?}");
    }
    ensure!(found(cluster, &stranger, "whale").await?.is_empty(), "another org finds it");

    // As it is now: edited is found by its new words alone, deleted not at all.
    ann.rest.patch(&format!("messages/{}", whale.id), json!({"content": "a dolphin in the bay"})).await?.done()?;
    ensure!(found(cluster, &ben, "whale").await? == ["two whales, even"], "the old words are found");
    ensure!(found(cluster, &ben, "dolphin").await? == ["a dolphin in the bay"], "the new words are not found");
    ben.rest.delete(&format!("messages/{}", second.id)).await?.done()?;
    ensure!(found(cluster, &ben, "whale").await?.is_empty(), "a deleted message is found");

    // Who left finds nothing of it, and all of it when they are back.
    ben.rest.post(&format!("conversations/{id}/leave"), json!({})).await?.done()?;
    ensure!(found(cluster, &ben, "dolphin").await?.is_empty(), "who left finds it");
    ann.rest.post(&format!("conversations/{id}/participants"), json!({"user_ids": [ben.id]})).await?.done()?;
    ensure!(found(cluster, &ben, "dolphin").await?.len() == 1, "who is back does not find it");

    // Who came later finds what came later, where history begins with joining.
    let body = json!({"kind": "group", "title": "from now on", "participant_ids": [ann.id], "history": "since_join"});
    let late = cleo.rest.post("conversations", body).await?.ok::<protocol::Conversation>()?.id;
    let early = say(&ann, late, "an early albatross", json!({})).await?;
    cleo.rest.post(&format!("conversations/{late}/participants"), json!({"user_ids": [ben.id]})).await?.done()?;
    say(&ann, late, "a late albatross", json!({"reply_to_id": early.id})).await?;
    ensure!(
        found(cluster, &ben, "albatross").await? == ["a late albatross"],
        "{:?}",
        found(cluster, &ben, "albatross").await?
    );
    ensure!(found(cluster, &cleo, "albatross").await?.len() == 2, "who was there finds less");
    ann.rest.patch(&format!("messages/{}", early.id), json!({"content": "an earlier albatross"})).await?.done()?;
    ensure!(found(cluster, &ben, "albatross").await? == ["a late albatross"], "found by an edit");
    Ok(())
}
