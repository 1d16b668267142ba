//! Who is there: the same for every watcher on every node, whatever happens to nodes and connections, and nothing for
//! those who may not know.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use protocol::{Presence, PresenceList, PresenceState, UserId};
use serde_json::json;
use starling_tests::{
    client::{Answer, Client, SOON, View},
    cluster::{Cluster, Person},
    node::Node,
    process::eventually,
};
use tokio::time::{Instant, sleep};

use crate::world::{on_the_last_gateway, people, scenarios, tell};

scenarios! {
    on_a_cluster: [
        who_is_there_is_seen_on_every_node_and_the_most_active_device_counts,
        a_gateway_that_is_killed_takes_its_own_people_offline_and_nobody_else,
        a_gateway_that_is_restarted_takes_nobody_offline,
        a_connection_that_flaps_is_told_rarely,
        presence_is_for_those_who_share_a_conversation,
    ];
    on_a_cluster_of_three: [
        a_gateway_that_is_killed_takes_its_own_people_offline_and_nobody_else,
        a_gateway_that_sleeps_for_longer_than_its_lease_takes_nobody_else_offline_when_it_wakes,
    ];
    on_one_node: [
        who_is_there_is_seen_on_every_node_and_the_most_active_device_counts,
        a_connection_that_flaps_is_told_rarely,
        presence_is_for_those_who_share_a_conversation,
    ];
}

/// What a client shows that watches people: the answer to its question, and then what events told.
struct Watch<'a> {
    client: &'a Client,
    answered: Vec<Presence>,
    /// Events that had come before.
    from: usize,
}

impl<'a> Watch<'a> {
    async fn start(client: &'a Client, people: &[&Person]) -> Result<Self> {
        let ids: Vec<_> = people.iter().map(|person| person.id).collect();
        let from = client.view().events.len();
        let list: PresenceList =
            serde_json::from_value(tell(client, "presence.watch", json!({"user_ids": ids})).await?)?;
        Ok(Self { client, answered: list.items, from })
    }

    /// What was told of somebody, in order; first what the answer said.
    fn history(&self, person: &Person) -> Vec<Presence> {
        self.history_in(&self.client.view(), person)
    }

    fn history_in(&self, view: &View, person: &Person) -> Vec<Presence> {
        let updates = view.events[self.from..].iter().filter(|event| event["type"] == "presence.updated");
        let updates = updates.filter_map(|event| serde_json::from_value(event["data"].clone()).ok());
        self.answered.iter().copied().chain(updates).filter(|presence| presence.user_id == person.id).collect()
    }

    fn states(&self, person: &Person) -> Vec<PresenceState> {
        self.history(person).into_iter().map(|presence| presence.state).collect()
    }

    /// Fails if somebody was told to be offline after they were shown as being there.
    fn ensure_stayed(&self, person: &Person) -> Result<()> {
        let states = self.states(person);
        let mut since = states.iter().skip_while(|state| **state == PresenceState::Offline);
        ensure!(since.all(|state| *state != PresenceState::Offline), "{} was told to be {states:?}", person.name);
        Ok(())
    }

    /// Waits until somebody is shown like this.
    async fn shows(&self, person: &Person, state: PresenceState) -> Result<()> {
        let what = format!("{} is shown as {state:?}", person.name);
        let shown = |view: &View| self.history_in(view, person).last().map(|presence| presence.state);
        self.client.until(&what, |view| (shown(view) == Some(state)).then_some(())).await
    }

    /// Waits until it shows exactly what a fresh request gives, and returns that.
    async fn agrees(&self, viewer: &Person, people: &[&Person]) -> Result<BTreeMap<UserId, Presence>> {
        let ids: Vec<_> = people.iter().map(|person| person.id.to_string()).collect();
        let path = format!("presence?ids={}", ids.join(","));
        let agreed = eventually("what is shown equals a fresh request", SOON, async || {
            let fresh = viewer.rest.get(&path).await.and_then(Answer::ok::<PresenceList>);
            let fresh = by_user(fresh.map_err(|error| format!("{error:#}"))?.items);
            let shown = by_user(people.iter().filter_map(|person| self.history(person).pop()));
            if shown == fresh { Ok(fresh) } else { Err(format!("shown {shown:?}, fresh {fresh:?}")) }
        });
        Ok(agreed.await)
    }
}

fn by_user(presences: impl IntoIterator<Item = Presence>) -> BTreeMap<UserId, Presence> {
    presences.into_iter().map(|presence| (presence.user_id, presence)).collect()
}

async fn set(device: &Client, state: &str) -> Result<()> {
    tell(device, "presence.set", json!({"state": state})).await.map(drop)
}

async fn who_is_there_is_seen_on_every_node_and_the_most_active_device_counts(cluster: &mut Cluster) -> Result<()> {
    use PresenceState::{Away, Offline, Online};
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    ann.group("plans", &[&ben, &cleo]).await?;
    let anns = on_the_last_gateway(cluster, &ann).await?;
    let watch = Watch::start(&anns, &[&ben, &cleo, &ann]).await?;
    ensure!(watch.states(&ben) == [Offline] && watch.history(&ben)[0].last_seen_at.is_none(), "ben was never there");
    let (phone, cleos) = (ben.connect_to(&cluster.gateways[0]).await?, cleo.connect_to(&cluster.gateways[0]).await?);
    watch.shows(&ben, Online).await?;
    watch.shows(&cleo, Online).await?;
    let tablet = on_the_last_gateway(cluster, &ben).await?;
    // What a node has to say it says in the order in which it happened: when cleo is away, so would be ben.
    set(&phone, "away").await?;
    set(&cleos, "away").await?;
    watch.shows(&cleo, Away).await?;
    watch.agrees(&ann, &[&ben, &cleo, &ann]).await?;
    ensure!(watch.states(&ben) == [Offline, Online], "one of two devices is away: {:?}", watch.states(&ben));
    set(&tablet, "away").await?;
    watch.shows(&ben, Away).await?;
    set(&phone, "active").await?;
    watch.shows(&ben, Online).await?;
    phone.offline().await?;
    watch.shows(&ben, Away).await?;
    let seen = watch.agrees(&ann, &[&ben]).await?;
    ensure!(seen[&ben.id].last_seen_at.is_none(), "who is there needs no `last_seen_at`: {seen:?}");
    tablet.offline().await?;
    watch.shows(&ben, Offline).await?;
    let seen = watch.agrees(&ann, &[&ben, &cleo, &ann]).await?;
    ensure!(seen.len() == 3 && seen[&ben.id].last_seen_at.is_some(), "{seen:?}");
    let states = watch.states(&ben);
    ensure!(states == [Offline, Online, Away, Online, Away, Offline], "more was told than there was: {states:?}");
    anns.check()
}

async fn a_gateway_that_is_killed_takes_its_own_people_offline_and_nobody_else(cluster: &mut Cluster) -> Result<()> {
    use PresenceState::{Offline, Online};
    let [ann, ben, cleo, dan] = people(cluster, ["ann", "ben", "cleo", "dan"]).await?;
    ann.group("plans", &[&ben, &cleo, &dan]).await?;
    let anns = ann.connect_to(&cluster.gateways[1]).await?;
    let _bens = ben.connect_to(&cluster.gateways[0]).await?;
    let _cleos = cleo.connect_to(&cluster.gateways[1]).await?;
    let _dans = [dan.connect_to(&cluster.gateways[0]).await?, dan.connect_to(&cluster.gateways[1]).await?];
    let watch = Watch::start(&anns, &[&ben, &cleo, &dan]).await?;
    for person in [&ben, &cleo, &dan] {
        watch.shows(person, Online).await?;
    }
    let killed = Instant::now();
    cluster.gateways[0].kill()?;
    watch.shows(&ben, Offline).await?;
    ensure!(killed.elapsed() < Duration::from_secs(25), "offline {:?} after the end", killed.elapsed());
    let seen = watch.agrees(&ann, &[&ben, &cleo, &dan]).await?;
    ensure!(seen[&cleo.id].state == Online && seen[&dan.id].state == Online, "{seen:?}");
    for person in [&cleo, &dan] {
        watch.ensure_stayed(person)?;
    }
    // The node comes back, and ben with it, by himself.
    cluster.gateways[0].restart().await?;
    cluster.gateways[0].ready().await?;
    watch.shows(&ben, Online).await?;
    watch.agrees(&ann, &[&ben, &cleo, &dan]).await?;
    for person in [&cleo, &dan] {
        watch.ensure_stayed(person)?;
    }
    anns.check()
}

async fn a_gateway_that_sleeps_for_longer_than_its_lease_takes_nobody_else_offline_when_it_wakes(
    cluster: &mut Cluster,
) -> Result<()> {
    use PresenceState::{Offline, Online};
    let [ann, ben, cleo, dan] = people(cluster, ["ann", "ben", "cleo", "dan"]).await?;
    ann.group("plans", &[&ben, &cleo, &dan]).await?;
    let anns = ann.connect_to(&cluster.gateways[1]).await?;
    let bens = ben.connect_to(&cluster.gateways[0]).await?;
    let _cleos = cleo.connect_to(&cluster.gateways[2]).await?;
    let _dans = [dan.connect_to(&cluster.gateways[0]).await?, dan.connect_to(&cluster.gateways[2]).await?];
    let watch = Watch::start(&anns, &[&ben, &cleo, &dan]).await?;
    for person in [&ben, &cleo, &dan] {
        watch.shows(person, Online).await?;
    }
    leases(&cluster.gateways[1], 3.0).await;
    cluster.gateways[0].freeze()?;
    // The others take it for dead: who is on it alone is offline, and its lease counts no more.
    watch.shows(&ben, Offline).await?;
    leases(&cluster.gateways[1], 2.0).await;
    let seen = watch.agrees(&ann, &[&ben, &cleo, &dan]).await?;
    ensure!(seen[&ben.id].state == Offline && seen[&dan.id].state == Online, "{seen:?}");
    cluster.gateways[0].thaw()?;
    // It says anew who is there; it does not take what it knew before for what is so.
    watch.shows(&ben, Online).await?;
    leases(&cluster.gateways[1], 3.0).await;
    let seen = watch.agrees(&ann, &[&ben, &cleo, &dan]).await?;
    ensure!(seen.values().all(|presence| presence.state == Online), "{seen:?}");
    ensure!(bens.connections() == 1, "ben was there all the while: {}", bens.summary());
    for person in [&cleo, &dan] {
        watch.ensure_stayed(person)?;
    }
    // And it is a node as any other: who goes is told.
    bens.offline().await?;
    watch.shows(&ben, Offline).await?;
    anns.check()
}

/// Waits until this node knows of so many leases.
async fn leases(node: &Node, count: f64) {
    eventually(&format!("{count} leases are known"), SOON, async || match node.metric("starling_nodes").await {
        Ok(known) if (known - count).abs() < 0.5 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
}

async fn a_gateway_that_is_restarted_takes_nobody_offline(cluster: &mut Cluster) -> Result<()> {
    use PresenceState::Online;
    let [ann, ben, cleo] = people(cluster, ["ann", "ben", "cleo"]).await?;
    ann.group("plans", &[&ben, &cleo]).await?;
    let anns = ann.connect_to(&cluster.gateways[1]).await?;
    let bens = ben.connect_to(&cluster.gateways[0]).await?;
    let _cleos = cleo.connect_to(&cluster.gateways[1]).await?;
    let watch = Watch::start(&anns, &[&ben, &cleo]).await?;
    watch.shows(&ben, Online).await?;
    watch.shows(&cleo, Online).await?;
    leases(&cluster.gateways[1], 2.0).await;
    cluster.gateways[0].kill()?;
    cluster.gateways[0].restart().await?;
    cluster.gateways[0].ready().await?;
    // The node is another one now: its lease counts beside the one that it held when it was killed, until that ends.
    leases(&cluster.gateways[1], 3.0).await;
    bens.until("ben comes back", |view| (view.events_of("connected").count() == 2).then_some(())).await?;
    leases(&cluster.gateways[1], 2.0).await;
    let seen = watch.agrees(&ann, &[&ben, &cleo]).await?;
    ensure!(seen.values().all(|presence| presence.state == Online), "{seen:?}");
    for person in [&ben, &cleo] {
        watch.ensure_stayed(person)?;
    }
    anns.check()
}

async fn a_connection_that_flaps_is_told_rarely(cluster: &mut Cluster) -> Result<()> {
    use PresenceState::{Away, Online};
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    ann.group("plans", &[&ben]).await?;
    let anns = on_the_last_gateway(cluster, &ann).await?;
    let bens = ben.connect_to(&cluster.gateways[0]).await?;
    let watch = Watch::start(&anns, &[&ben]).await?;
    watch.shows(&ben, Online).await?;
    for _ in 0..5 {
        bens.break_connection().await?;
        bens.live().await?;
    }
    // Reloading a page is no news: the next that is told is that ben is away.
    let told = Instant::now();
    set(&bens, "away").await?;
    watch.shows(&ben, Away).await?;
    watch.ensure_stayed(&ben)?;
    let before = watch.states(&ben);
    // Back and forth: one event in five seconds, and at last what is so.
    for round in 0.. {
        set(&bens, if round % 2 == 0 { "active" } else { "away" }).await?;
        // That ben is away was told after `told` began, and each one after it five seconds after the one before.
        let events = watch.states(&ben).len() - before.len();
        ensure!(Duration::from_secs(5) * events as u32 <= told.elapsed(), "{events} events in {:?}", told.elapsed());
        if events == 2 {
            break;
        }
        ensure!(told.elapsed() < SOON, "no two events in {SOON:?}");
        sleep(Duration::from_millis(310)).await;
    }
    set(&bens, "active").await?;
    watch.shows(&ben, Online).await?;
    watch.agrees(&ann, &[&ben]).await?;
    anns.check()
}

async fn presence_is_for_those_who_share_a_conversation(cluster: &mut Cluster) -> Result<()> {
    use PresenceState::{Away, Offline, Online};
    let [ann, ben, cleo, dan, eve] = people(cluster, ["ann", "ben", "cleo", "dan", "eve"]).await?;
    ann.group("plans", &[&ben, &cleo, &eve]).await?;
    ben.rest.put(&format!("users/{}/block", eve.id)).await?.done()?;
    let mut devices = Vec::new();
    for person in [&ann, &ben, &dan, &eve] {
        devices.push(on_the_last_gateway(cluster, person).await?);
    }
    let watch = Watch::start(&devices[0], &[&ben, &cleo, &dan]).await?;
    watch.shows(&ben, Online).await?;
    ensure!(watch.states(&cleo) == [Offline] && watch.states(&dan).is_empty(), "{:?}", watch.answered);
    watch.agrees(&ann, &[&ben, &cleo, &dan]).await?;
    // Dan shares nothing with ben, and ben blocked eve.
    let hidden = [(&dan, Watch::start(&devices[2], &[&ben]).await?), (&eve, Watch::start(&devices[3], &[&ben]).await?)];
    set(&devices[1], "away").await?;
    watch.shows(&ben, Away).await?;
    for (person, watch) in &hidden {
        ensure!(watch.agrees(person, &[&ben]).await?.is_empty(), "{} sees ben", person.name);
        let answer = person.rest.get(&format!("users/{}/presence", ben.id)).await?;
        ensure!(answer.problem()? == (404, "not_found".into()), "{answer:?}");
        let contacts = contacts(person).await?;
        ensure!(!contacts.contains(&ben.id), "{}: {contacts:?}", person.name);
    }
    // The one who blocks does not see the other either.
    ensure!(Watch::start(&devices[1], &[&eve]).await?.answered.is_empty(), "ben sees eve");
    // Without ids: those who are there, of those whom one may see.
    let anns = contacts(&ann).await?;
    ensure!(anns == BTreeSet::from([ben.id, eve.id]), "{anns:?}");
    let one: Presence = ann.rest.get(&format!("users/{}/presence", ben.id)).await?.ok()?;
    ensure!(one.state == Away, "{one:?}");
    // As many as one may ask for, in an address that every hop must let through.
    let strangers = (1..protocol::PRESENCE_MAX).map(|_| UserId::generate().to_string());
    let ids: Vec<_> = strangers.chain([ben.id.to_string()]).collect();
    let list: PresenceList = ann.rest.get(&format!("presence?ids={}", ids.join(","))).await?.ok()?;
    ensure!(list.items.len() == 1 && list.items[0].user_id == ben.id, "{list:?}");
    // Who no longer watches is not told.
    let other = ann.connect_to(&cluster.gateways[0]).await?;
    let second = Watch::start(&other, &[&ben]).await?;
    tell(&devices[0], "presence.unwatch", json!({"user_ids": [ben.id]})).await?;
    let before = watch.states(&ben);
    set(&devices[1], "active").await?;
    second.shows(&ben, Online).await?;
    let dans = Watch::start(&devices[0], &[&cleo]).await.context("a question after the event")?;
    ensure!(dans.answered.len() == 1 && watch.states(&ben) == before, "told after `presence.unwatch`");
    devices.iter().chain([&other]).try_for_each(Client::check)
}

async fn contacts(person: &Person) -> Result<BTreeSet<UserId>> {
    let list: PresenceList = person.rest.get("presence").await?.ok()?;
    Ok(list.items.into_iter().map(|presence| presence.user_id).collect())
}
