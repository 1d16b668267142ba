//! "Snapshot + events = a fresh snapshot": a list of conversations that was fetched once and then kept by events alone,
//! on a device that stays and on one that is away meanwhile and comes back on another node.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use protocol::{Conversation, ConversationId, Page};
use serde_json::json;
use starling_tests::{
    client::{Client, List, SOON},
    cluster::{Cluster, Person},
};
use tokio::time::{Instant, sleep};

use crate::world::{agree, people, say, scenarios};

scenarios! {
    on_a_cluster: [a_list_that_follows_events_is_what_a_fresh_request_gives];
    on_one_node: [a_list_that_follows_events_is_what_a_fresh_request_gives];
}

/// A device and its list.
struct Listing<'a> {
    person: &'a Person,
    device: Client,
    list: List,
    /// Events that the list knows.
    taken: usize,
}

async fn fresh(person: &Person) -> Result<Vec<Conversation>> {
    let (mut items, mut path) = (Vec::new(), "conversations?limit=2".to_owned());
    loop {
        let page: Page<Conversation> = person.rest.get(&path).await?.ok()?;
        items.extend(page.items);
        match page.next_cursor {
            Some(cursor) => path = format!("conversations?limit=2&cursor={cursor}"),
            None => return Ok(items),
        }
    }
}

impl<'a> Listing<'a> {
    async fn start(person: &'a Person, base: &str) -> Result<Self> {
        let device = Client::connect(base, &person.token).await?;
        let list = List::new(person.id, fresh(person).await?);
        Ok(Self { person, device, list, taken: 0 })
    }

    /// Waits until the list is what a fresh request gives. To be asked when nobody does anything.
    async fn agrees(&mut self, when: &str) -> Result<()> {
        let fresh = fresh(self.person).await?;
        let start = Instant::now();
        loop {
            let events = self.device.view().events.split_off(self.taken);
            self.taken += events.len();
            events.iter().try_for_each(|event| self.list.apply(event))?;
            let differences = self.list.differences(fresh.clone());
            if differences.is_empty() {
                return self.device.check();
            }
            if start.elapsed() > SOON {
                bail!(
                    "{when}: {}'s list differs: {}\n{}",
                    self.person.name,
                    differences.join("\n"),
                    self.device.summary()
                );
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn a_list_that_follows_events_is_what_a_fresh_request_gives(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let old = ann.group("old", &[&ben, &cleo]).await?;
    say(&ann, old, "a beginning", json!({})).await?;
    let (first, last) = (cluster.gateways[0].url(), cluster.gateways.last().context("no gateway")?.url());
    let mut lists = Vec::new();
    for person in [&ann, &ben, &cleo] {
        lists.push(Listing::start(person, first).await?);
        lists.push(Listing::start(person, last).await?);
    }
    for half in 0..2 {
        // One device of each is away, another one in each half, and comes back on the other node.
        for (at, listing) in lists.iter().enumerate() {
            if at % 2 == half {
                listing.device.offline().await?;
            }
        }
        in_conversations(&ann, &ben, &cleo, old).await.with_context(|| format!("half {half}"))?;
        with_people(&ann, &ben, &cleo, old, half).await.with_context(|| format!("half {half}"))?;
        for (at, listing) in lists.iter_mut().enumerate() {
            if at % 2 != half {
                listing.agrees(&format!("half {half}, always there")).await?;
            }
        }
        for (at, listing) in lists.iter_mut().enumerate() {
            if at % 2 == half {
                listing.device.next_node(if half == 0 { last } else { first });
                listing.device.online().await?;
                listing.agrees(&format!("half {half}, was away")).await?;
            }
        }
        let anns = [&lists[0].device, &lists[1].device];
        for device in anns {
            device.load(old).await?;
        }
        agree(&ann, old, anns).await?;
    }
    let seen = lists.iter().flat_map(|listing| listing.device.view().events).collect::<Vec<_>>();
    for kind in [
        "message.created",
        "message.updated",
        "message.deleted",
        "reaction.added",
        "reaction.removed",
        "changes",
        "receipt.updated",
        "conversation.created",
        "participant.removed",
        "preferences.updated",
        "notification.created",
    ] {
        ensure!(seen.iter().any(|event| event["type"] == kind), "the history touches no `{kind}`");
    }
    Ok(())
}

/// What people do with messages.
async fn in_conversations(ann: &Person, ben: &Person, cleo: &Person, old: ConversationId) -> Result<()> {
    let first = say(ann, old, "hello @ben", json!({})).await?;
    let quote = say(ben, old, "hello @ann and @cleo", json!({"reply_to_id": first.id})).await?;
    let mentioned = say(cleo, old, "@ben, a word", json!({"thread_root_id": quote.id})).await?;
    say(cleo, old, "@ben, another", json!({"thread_root_id": quote.id})).await?;
    ann.rest.put(&format!("messages/{}/reactions/%F0%9F%91%8D", quote.id)).await?.done()?;
    ben.rest.put(&format!("messages/{}/reactions/%F0%9F%91%8D", quote.id)).await?.done()?;
    ann.rest.delete(&format!("messages/{}/reactions/%F0%9F%91%8D", quote.id)).await?.done()?;
    ann.rest.put(&format!("messages/{}/pin", quote.id)).await?.done()?;
    ann.rest.patch(&format!("messages/{}", first.id), json!({"content": "hello all of you"})).await?.done()?;
    cleo.rest.patch(&format!("messages/{}", mentioned.id), json!({"content": "no more words"})).await?.done()?;
    let direct = ann.direct(ben).await?;
    let last = say(ann, direct, "between us", json!({})).await?;
    let answer = say(ben, direct, "yes", json!({"reply_to_id": last.id})).await?;
    say(ann, direct, "then no", json!({})).await?;
    ann.rest.delete(&format!("messages/{}", last.id)).await?.done()?;
    ben.rest.post(&format!("conversations/{direct}/read"), json!({"seq": answer.seq})).await?.done()?;
    ben.rest.post(&format!("conversations/{direct}/delivered"), json!({"seq": answer.seq + 1})).await?.done()?;
    cleo.rest.post(&format!("conversations/{old}/read"), json!({"seq": quote.seq})).await?.done()?;
    Ok(())
}

/// What people do with conversations and each other. At the end cleo is in `old` again, and its last message is gone.
async fn with_people(ann: &Person, ben: &Person, cleo: &Person, old: ConversationId, half: usize) -> Result<()> {
    let path = format!("conversations/{old}");
    let patch = json!({"title": format!("renamed {half}"), "description": "what for", "slow_mode_seconds": half});
    ann.rest.patch(&path, patch).await?.done()?;
    ann.rest.patch(&path, json!({"description": null})).await?.done()?;
    let role = if half == 0 { "admin" } else { "member" };
    ann.rest.patch(&format!("{path}/participants/{}", ben.id), json!({"role": role})).await?.done()?;
    ann.rest.delete(&format!("{path}/participants/{}", cleo.id)).await?.done()?;
    say(ann, old, "without cleo", json!({})).await?;
    ann.rest.post(&format!("{path}/participants"), json!({"user_ids": [cleo.id]})).await?.done()?;
    let far = "2100-01-01T00:00:00.000Z";
    let prefer = json!({"muted_until": far, "pinned": half == 0, "notify": "mentions"});
    cleo.rest.patch(&format!("{path}/preferences"), prefer).await?.done()?;
    let new = ben.group(&format!("new {half}"), &[ann, cleo]).await?;
    say(ann, new, "here as well, @ben", json!({})).await?;
    cleo.rest.post(&format!("conversations/{new}/leave"), json!({})).await?.done()?;
    ben.rest.patch(&format!("conversations/{new}"), json!({"archived": true})).await?.done()?;
    let brief = cleo.group("brief", &[ann, ben]).await?;
    say(ben, brief, "not for long", json!({})).await?;
    cleo.rest.delete(&format!("conversations/{brief}")).await?.done()?;
    let room = ann.room(&format!("room {half}")).await?;
    ben.rest.post(&format!("conversations/{room}/join"), json!({})).await?.done()?;
    say(ben, room, "in the room", json!({})).await?;
    ann.rest.patch(&path, json!({"archived": true})).await?.done()?;
    ann.rest.patch(&path, json!({"archived": false})).await?.done()?;
    say(cleo, old, "@ann @ben at last", json!({})).await?;
    ben.rest.post("read", json!({"items": [{"conversation_id": old, "seq": 1_000_000}]})).await?.done()?;
    let last = ann.rest.post(&format!("{path}/messages"), json!({"content": "gone soon"})).await?;
    let last: protocol::Message = last.ok()?;
    ann.rest.delete(&format!("messages/{}", last.id)).await?.done()?;
    Ok(())
}
