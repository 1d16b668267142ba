//! Who is notified of what: on every device at once, by what they wish, and without a row per person for news.

use anyhow::{Context, Result, ensure};
use protocol::{
    Conversation, ConversationId, Message, Notification, NotificationKind, NotificationList, Unread, UserId,
};
use serde_json::{Value, json};
use sqlx::Row;
use starling_tests::{
    client::{Answer, Client, SOON},
    cluster::{Cluster, Person},
    process::eventually,
};

use crate::world::{agree, on_each_gateway, on_the_last_gateway, people, say, scenarios, tell, told};

scenarios! {
    on_a_cluster: [
        who_is_mentioned_answered_or_added_is_notified_on_every_device,
        who_does_not_wish_to_be_notified_is_not,
        who_looks_at_the_conversation_on_another_node_is_not_notified,
        news_for_a_thousand_people_writes_no_row_per_person,
    ];
    on_one_node: [
        who_is_mentioned_answered_or_added_is_notified_on_every_device,
        who_does_not_wish_to_be_notified_is_not,
        who_looks_at_the_conversation_on_another_node_is_not_notified,
    ];
}

/// A person's notifications, newest first, as kind and message.
async fn list(person: &Person) -> Result<(Vec<Notification>, NotificationList)> {
    let list: NotificationList = person.rest.get("notifications?limit=100").await?.ok()?;
    Ok((list.items.clone(), list))
}

/// Waits until each device was told of exactly these notifications, oldest first, and the list holds the same.
async fn agrees(person: &Person, devices: &[Client], expected: &[(NotificationKind, &str)]) -> Result<()> {
    let (mut items, _) = list(person).await?;
    items.reverse();
    let listed: Vec<_> = items.iter().map(|item| (item.kind, item.preview.as_str())).collect();
    ensure!(listed == expected, "{} has {listed:?} instead of {expected:?}", person.name);
    for device in devices {
        device
            .until("the notifications are told", |view| {
                (told(view, "notification.created").len() >= expected.len()).then_some(())
            })
            .await?;
        let told: Vec<Notification> =
            serde_json::from_value(Value::Array(told(&device.view(), "notification.created")))?;
        let same = told.iter().zip(&items).all(|(told, item)| (told.id, told.kind) == (item.id, item.kind));
        ensure!(told.len() == items.len() && same, "told {told:?}, listed {items:?}");
    }
    Ok(())
}

async fn who_is_mentioned_answered_or_added_is_notified_on_every_device(cluster: &mut Cluster) -> Result<()> {
    use NotificationKind::{Added, Mention, Reply};
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let bens = on_each_gateway(cluster, &ben).await?;
    let id = ann.group("plans", &[&ben, &cleo]).await?;
    say(&ann, id, "nothing for anybody", json!({})).await?;
    let mentioned = say(&ann, id, "what do you think, @ben?", json!({})).await?;
    let answer = say(&ben, id, "a lot", json!({})).await?;
    let thread = json!({"thread_root_id": answer.id});
    say(&cleo, id, "me too", thread).await?;
    say(&ann, id, "good", json!({"reply_to_id": answer.id})).await?;
    // Once for one message, however often it names somebody; and nobody for what they do themselves.
    say(&ann, id, "@ben and @ben", json!({"reply_to_id": answer.id})).await?;
    say(&ben, id, "@ben am I", json!({"reply_to_id": answer.id})).await?;
    let expected = [
        (Added, ""),
        (Mention, "what do you think, @ben?"),
        (Reply, "me too"),
        (Reply, "good"),
        (Mention, "@ben and @ben"),
    ];
    agrees(&ben, &bens, &expected).await?;
    let (items, all) = list(&ben).await?;
    ensure!(all.unread_count == 5 && items[3].message_id == mentioned.id && items[3].actor.id == ann.id, "{all:?}");
    let unread: Unread = ben.rest.get("unread").await?.ok()?;
    ensure!(unread.notification_count == 5, "{unread:?}");
    // Read on one device, read on all.
    let one = json!({"ids": [items[0].id]});
    let left: Value = ben.rest.post("notifications/read", one).await?.ok()?;
    ensure!(left["unread_count"] == 4, "{left}");
    for device in &bens {
        let read = device.until("one is read", |view| told(view, "notification.updated").first().cloned()).await?;
        ensure!(read["id"] == json!(items[0].id) && !read["read_at"].is_null(), "{read}");
    }
    ben.rest.post("notifications/read", json!({})).await?.done()?;
    let (items, all) = list(&ben).await?;
    ensure!(all.unread_count == 0 && items.iter().all(|item| item.read_at.is_some()), "{all:?}");
    for device in &bens {
        device
            .until("all are read", |view| {
                let read = told(view, "notification.updated");
                items.iter().all(|item| read.iter().any(|data| data["id"] == json!(item.id))).then_some(())
            })
            .await?;
    }
    let unread: NotificationList = ben.rest.get("notifications?unread=true").await?.ok()?;
    ensure!(unread.items.is_empty(), "{unread:?}");
    agree(&ben, id, &bens).await.map(drop)
}

/// A mention of ben that he hears of when nothing forbids it.
async fn mention(actor: &Person, id: ConversationId, text: &str) -> Result<Message> {
    let message = say(actor, id, &format!("@ben {text}"), json!({})).await?;
    ensure!(message.mentions.len() == 1, "{message:?}");
    Ok(message)
}

async fn who_does_not_wish_to_be_notified_is_not(cluster: &mut Cluster) -> Result<()> {
    use NotificationKind::{Added, Mention, Reply};
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let bens = on_each_gateway(cluster, &ben).await?;
    let id = ann.group("plans", &[&ben, &cleo]).await?;
    let prefer = async |patch: Value| ben.rest.patch(&format!("conversations/{id}/preferences"), patch).await?.done();
    let wish = async |patch: Value| ben.rest.patch("me/notification-preferences", patch).await?.done();
    let far = "2100-01-01T00:00:00.000Z";

    prefer(json!({"muted_until": far})).await?;
    mention(&ann, id, "while muted here").await?;
    prefer(json!({"muted_until": null, "notify": "none"})).await?;
    mention(&ann, id, "while none here").await?;
    prefer(json!({"notify": "mentions"})).await?;
    let first = mention(&ann, id, "while mentions here").await?;
    wish(json!({"muted_until": far})).await?;
    mention(&ann, id, "while muted everywhere").await?;
    ann.group("unheard of", &[&ben]).await?;
    wish(json!({"muted_until": null, "notify": "none"})).await?;
    mention(&ann, id, "while none everywhere").await?;
    wish(json!({"notify": "all"})).await?;
    ben.rest.put(&format!("users/{}/block", cleo.id)).await?.done()?;
    mention(&cleo, id, "from the blocked one").await?;
    cleo.group("by the blocked one", &[&ben]).await?;
    ben.rest.delete(&format!("users/{}/block", cleo.id)).await?.done()?;
    mention(&cleo, id, "from cleo").await?;
    let mine = say(&ben, id, "mine", json!({})).await?;
    say(&ann, id, "to yours", json!({"reply_to_id": mine.id})).await?;

    let expected =
        [(Added, ""), (Mention, "@ben while mentions here"), (Mention, "@ben from cleo"), (Reply, "to yours")];
    agrees(&ben, &bens, &expected).await?;
    // His settings came to each of his devices as well: each change, or the last of those that followed too fast.
    for device in &bens {
        let view = device.view();
        let (here, everywhere) = (told(&view, "preferences.updated"), told(&view, "notification_preferences.updated"));
        ensure!(
            (1..=3).contains(&here.len()) && here.last().is_some_and(|last| last["notify"] == "mentions"),
            "{here:?}"
        );
        let last = everywhere.last().is_some_and(|last| last["notify"] == "all");
        ensure!((1..=3).contains(&everywhere.len()) && last, "{everywhere:?}");
        ensure!(told(&view, "user.blocked").len() <= 1 && told(&view, "user.unblocked").len() == 1, "{device:?}");
        device.reaches(id, first.seq).await?;
        device.check()?;
    }
    // What is muted counts no further than the conversation itself.
    prefer(json!({"muted_until": far})).await?;
    ben.rest.post("read", json!({"items": [{"conversation_id": id, "seq": 1_000_000}]})).await?.done()?;
    say(&ann, id, "quietly", json!({})).await?;
    let (unread, here): (Unread, Conversation) =
        (ben.rest.get("unread").await?.ok()?, ben.rest.get(&format!("conversations/{id}")).await?.ok()?);
    ensure!(here.unread_count == 1 && unread.unread_count == 0, "{unread:?} {}", here.unread_count);
    Ok(())
}

async fn who_looks_at_the_conversation_on_another_node_is_not_notified(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    let (anns, bens) = (ann.connect_to(&cluster.gateways[0]).await?, on_each_gateway(cluster, &ben).await?);
    let cleos = on_the_last_gateway(cluster, &cleo).await?;
    let (id, other) = (ann.group("plans", &[&ben, &cleo]).await?, ann.group("others", &[&ben, &cleo]).await?);
    for device in bens.iter().chain([&anns, &cleos]) {
        device.reaches(other, 1).await?;
    }
    let screen = bens.last().context("no device")?;
    tell(screen, "presence.set", json!({"state": "active", "focus": id})).await?;
    // A node says what changed in the order in which it happened: when cleo is away, ben's focus is known.
    tell(&cleos, "presence.set", json!({"state": "away"})).await?;
    let path = format!("users/{}/presence", cleo.id);
    let away = async || match ann.rest.get(&path).await.and_then(Answer::ok::<Value>) {
        Ok(presence) if presence["state"] == "away" => Ok(()),
        other => Err(format!("{other:?}")),
    };
    eventually("cleo is away", SOON, away).await;
    mention(&ann, id, "while you look, by REST").await?;
    anns.send(id, "@ben while you look, by a socket").await?;
    mention(&ann, other, "elsewhere").await?;
    tell(screen, "presence.set", json!({"state": "active", "focus": null})).await?;
    tell(&cleos, "presence.set", json!({"state": "active"})).await?;
    eventually("cleo is active", SOON, async || match away().await {
        Err(_) => Ok(()),
        Ok(()) => Err("still away"),
    })
    .await;
    mention(&ann, id, "after you looked").await?;
    let (items, _) = list(&ben).await?;
    let previews: Vec<_> = items.iter().filter(|item| item.kind == NotificationKind::Mention).collect();
    let previews: Vec<_> = previews.iter().map(|item| item.preview.as_str()).collect();
    ensure!(previews == ["@ben after you looked", "@ben elsewhere"], "{previews:?}");
    bens.iter().chain([&anns, &cleos]).try_for_each(Client::check)
}

async fn news_for_a_thousand_people_writes_no_row_per_person(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let bens = on_each_gateway(cluster, &ben).await?;
    let id = ann.group("everybody", &[&ben]).await?;
    let mut rows = cluster.rows().await?;
    let crowd = "INSERT INTO users (id, org_id, username, username_key, display_name, display_name_key, created_at) \
                 SELECT gen_random_uuid(), org_id, name, name, name, name, now() \
                 FROM users, LATERAL (SELECT 'crowd-' || n AS name FROM generate_series(1, 1200) n) names \
                 WHERE id = $1 RETURNING id";
    let crowd = sqlx::query(crowd).bind(ann.id.0).fetch_all(&mut rows).await?;
    let crowd: Vec<_> = crowd.iter().map(|row| UserId(row.get(0))).collect();
    for some in crowd.chunks(600) {
        let path = format!("conversations/{id}/participants");
        ann.rest.post(&path, json!({"user_ids": some})).await?.done()?;
    }
    let count = "SELECT (SELECT count(*) FROM notifications), (SELECT sum(feed_seq)::bigint FROM users), \
                 (SELECT count(*) FROM mentions)";
    let before: (i64, i64, i64) = sqlx::query_as(count).fetch_one(&mut rows).await?;
    let first = say(&ann, id, "@all the office moves on Monday", json!({})).await?;
    ensure!(first.mentions.len() == 1 && first.mentions[0].user.is_none(), "{first:?}");
    say(&ann, id, "and has new chairs", json!({})).await?;
    let after: (i64, i64, i64) = sqlx::query_as(count).fetch_one(&mut rows).await?;
    ensure!((after.0, after.1) == (before.0, before.1), "notifications and feeds: {before:?}, then {after:?}");
    ensure!(after.2 - before.2 <= 1, "mentions: {before:?}, then {after:?}");
    // Everybody is told all the same: by the messages that are new to them.
    agree(&ben, id, &bens).await?;
    let (_, list) = list(&ben).await?;
    let news = list.messages.iter().find(|news| news.conversation_id == id).context("no news")?;
    ensure!(news.unread_count == 2 && news.last_message.content == "and has new chairs", "{news:?}");
    let here: Conversation = ben.rest.get(&format!("conversations/{id}")).await?.ok()?;
    ensure!((here.unread_count, here.mention_count) == (2, 1) && here.mention_seqs == [first.seq], "{here:?}");
    Ok(())
}
