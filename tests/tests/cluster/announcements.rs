//! News for everybody of an org: live on every node, later for who was away, and for nobody else.

use anyhow::{Context, Result, ensure};
use protocol::{Announcement, AnnouncementList, AnnouncementsRead, Unread};
use serde_json::json;
use starling_tests::{
    client::Client,
    cluster::{Cluster, Person},
    node::Role,
};

use crate::world::{on_each_gateway, people, scenarios, told};

scenarios! {
    on_a_cluster: [an_announcement_reaches_everybody_of_the_org_now_or_later];
    on_one_node: [an_announcement_reaches_everybody_of_the_org_now_or_later];
    on_a_cluster_that_compares_often: [an_announcement_that_nobody_heard_of_is_found];
}

async fn announce(admin: &Person, title: &str) -> Result<Announcement> {
    admin.rest.post("announcements", json!({"title": title, "content": format!("{title}.")})).await?.ok()
}

/// Waits until the client was told of exactly these, in this order, each once.
async fn hears(device: &Client, titles: &[&str]) -> Result<()> {
    let heard = |view: &_| told(view, "announcement").iter().map(|data| data["title"].clone()).collect::<Vec<_>>();
    device.until(&format!("{titles:?} are heard"), |view| (heard(view).len() >= titles.len()).then_some(())).await?;
    let heard = heard(&device.view());
    ensure!(heard == titles, "heard {heard:?} instead of {titles:?}");
    device.check()
}

async fn an_announcement_reaches_everybody_of_the_org_now_or_later(cluster: &mut Cluster) -> Result<()> {
    let boss = cluster.person_with("boss", &json!({"role": "admin"})).await?;
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let stranger = cluster.person_with("stranger", &json!({"org": "other", "role": "admin"})).await?;
    let (anns, bens) = (on_each_gateway(cluster, &ann).await?, on_each_gateway(cluster, &ben).await?);
    let strangers = on_each_gateway(cluster, &stranger).await?;
    let refused = ann.rest.post("announcements", json!({"title": "no", "content": "no"})).await?;
    ensure!(refused.problem()? == (403, "forbidden".into()), "{refused:?}");
    let first = announce(&boss, "first").await?;
    ensure!(first.seq == 1 && first.author.id == boss.id, "{first:?}");
    for device in anns.iter().chain(&bens) {
        hears(device, &["first"]).await?;
    }
    for device in &bens {
        device.offline().await?;
    }
    announce(&boss, "second").await?;
    announce(&boss, "third").await?;
    for device in &anns {
        hears(device, &["first", "second", "third"]).await?;
    }
    // Each of ben's devices comes back on another node.
    for (device, node) in bens.iter().zip(cluster.gateways.iter().rev()) {
        device.next_node(node.url());
        device.online().await?;
        hears(device, &["first", "second", "third"]).await?;
    }
    // Another org has announcements of its own.
    announce(&stranger, "elsewhere").await?;
    for device in &strangers {
        hears(device, &["elsewhere"]).await?;
    }
    announce(&boss, "fourth").await?;
    for device in anns.iter().chain(&bens) {
        hears(device, &["first", "second", "third", "fourth"]).await?;
    }
    let list: AnnouncementList = stranger.rest.get("announcements").await?.ok()?;
    ensure!(list.items.len() == 1 && list.items[0].title == "elsewhere" && list.items[0].seq == 1, "{list:?}");

    // Who was never there finds them in the list, with a marker of their own.
    let cleo = cluster.person("cleo").await?;
    let list: AnnouncementList = cleo.rest.get("announcements?limit=3").await?.ok()?;
    let titles: Vec<_> = list.items.iter().map(|item| item.title.as_str()).collect();
    ensure!(titles == ["fourth", "third", "second"] && list.next_cursor.is_some(), "{list:?}");
    let unread: Unread = ann.rest.get("unread").await?.ok()?;
    ensure!(unread.announcement_count == 4, "{unread:?}");
    let read: AnnouncementsRead = ann.rest.post("announcements/read", json!({"seq": 3})).await?.ok()?;
    let back: AnnouncementsRead = ann.rest.post("announcements/read", json!({"seq": 1})).await?.ok()?;
    ensure!((read.read_seq, back.read_seq) == (3, 3), "{read:?}, then {back:?}");
    let unread: Unread = ann.rest.get("unread").await?.ok()?;
    ensure!(unread.announcement_count == 1, "{unread:?}");
    Ok(())
}

async fn an_announcement_that_nobody_heard_of_is_found(cluster: &mut Cluster) -> Result<()> {
    let boss = cluster.person_with("boss", &json!({"role": "admin"})).await?;
    let ann = cluster.person("ann").await?;
    let anns = on_each_gateway(cluster, &ann).await?;
    let mut mute = cluster.start_node_with(Role::Api, &[("STARLING_REDIS_PREFIX", "nobody-listens:")]).await?;
    mute.ready().await?;
    let body = json!({"title": "unheard", "content": "of"});
    boss.rest.at(mute.url()).post("announcements", body.clone()).await?.done()?;
    for device in &anns {
        hears(device, &["unheard"]).await.context("found without a hint")?;
    }
    boss.rest.at(mute.url()).post("announcements", body).await?.done()?;
    announce(&boss, "heard").await?;
    for device in &anns {
        hears(device, &["unheard", "unheard", "heard"]).await.context("found by the next one")?;
        ensure!(device.connections() == 1, "{}", device.summary());
    }
    cluster.apis.push(mute);
    Ok(())
}
