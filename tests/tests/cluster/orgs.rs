//! Two orgs on one cluster: neither can tell that the other is there.

use anyhow::{Result, ensure};
use protocol::ConversationId;
use serde_json::{Value, json};
use starling_tests::{
    client::Client,
    cluster::{Cluster, Person},
};

use crate::world::{on_each_gateway, say, scenarios, tell};

scenarios! {
    on_a_cluster: [nothing_of_one_org_is_in_any_list_of_another];
    on_one_node: [nothing_of_one_org_is_in_any_list_of_another];
}

/// An org's admin and member, who call themselves and their things by the same names as everywhere.
async fn org(cluster: &Cluster, slug: &str) -> Result<(Person, Person, ConversationId)> {
    let boss = cluster.person_with("boss", &json!({"org": slug, "role": "admin"})).await?;
    let ann = cluster.person_with("ann", &json!({"org": slug})).await?;
    let room = boss.room("lobby").await?;
    ann.rest.post(&format!("conversations/{room}/join"), json!({})).await?.done()?;
    say(&ann, room, &format!("the secret of {slug}"), json!({})).await?;
    ann.group("plans", &[&boss]).await?;
    boss.rest.post("announcements", json!({"title": "news", "content": slug})).await?.done()?;
    let report = json!({"user_id": ann.id, "reason": "other", "comment": slug});
    boss.rest.post("reports", report).await?.done()?;
    Ok((boss, ann, room))
}

async fn nothing_of_one_org_is_in_any_list_of_another(cluster: &mut Cluster) -> Result<()> {
    let (boss, ann, _) = org(cluster, "acme").await?;
    let (other_boss, other_ann, other_room) = org(cluster, "umbrella").await?;
    ensure!(boss.id != other_boss.id && ann.id != other_ann.id, "one user in two orgs");
    let mut devices = on_each_gateway(cluster, &boss).await?;
    devices.extend(on_each_gateway(cluster, &other_boss).await?);
    let lists = [
        ("users", 2),
        ("users?query=ann", 1),
        ("conversations/public", 1),
        ("conversations/public?query=lobby", 1),
        ("conversations", 2),
        ("search/messages?query=secret", 1),
        ("announcements", 1),
        ("presence", 0),
        ("org/users", 2),
        ("org/reports", 1),
        ("org/audit", 1),
    ];
    for (path, count) in lists {
        for (admin, foreign) in [(&boss, [&other_boss, &other_ann]), (&other_boss, [&boss, &ann])] {
            let list: Value = admin.rest.get(path).await?.ok()?;
            let items = list["items"].as_array().map_or(0, Vec::len);
            ensure!(items == count, "{path}: {items} items instead of {count}: {list}");
            let text = list.to_string();
            ensure!(foreign.iter().all(|person| !text.contains(&person.id.to_string())), "{path} tells: {list}");
            let slug = if admin.id == boss.id { "umbrella" } else { "acme" };
            ensure!(!text.contains(slug), "{path} tells of {slug}: {list}");
        }
    }
    // Nor by name: an id of another org is no id.
    let foreign = [
        format!("users/{}", other_ann.id),
        format!("users/{}/presence", other_ann.id),
        format!("conversations/{other_room}"),
        format!("conversations/{other_room}/messages"),
        format!("conversations/{other_room}/participants"),
        format!("search/messages?query=secret&conversation_id={other_room}"),
    ];
    for path in foreign {
        let answer = boss.rest.get(&path).await?;
        ensure!(answer.problem()? == (404, "not_found".into()), "{path}: {answer:?}");
    }
    let list: Value = boss.rest.get(&format!("presence?ids={},{}", other_ann.id, boss.id)).await?.ok()?;
    ensure!(list["items"].as_array().map(Vec::len) == Some(1), "{list}");
    let watched = tell(&devices[0], "presence.watch", json!({"user_ids": [other_ann.id, other_boss.id]})).await?;
    ensure!(watched == json!({"items": []}), "{watched}");
    let block = boss.rest.put(&format!("users/{}/block", other_ann.id)).await?;
    ensure!(block.problem()?.0 == 404, "{block:?}");
    let disable = boss.rest.patch(&format!("org/users/{}", other_ann.id), json!({"disabled": true})).await?;
    ensure!(disable.problem()?.0 == 404, "{disable:?}");
    let join = boss.rest.post(&format!("conversations/{other_room}/join"), json!({})).await?;
    ensure!(join.problem()?.0 == 404, "{join:?}");
    let body = json!({"kind": "group", "title": "both", "participant_ids": [other_ann.id]});
    let group = boss.rest.post("conversations", body).await?;
    ensure!(group.status.is_client_error(), "{group:?}");
    devices.iter().try_for_each(Client::check)
}
