//! What people see when they look: their lists, and who is there.

use anyhow::{Context, Result, anyhow};
use chat::{Caller, Chat, ChatError};
use protocol::{Conversation, ConversationFilter, ConversationId, ErrorCode, PresenceState, User, UserId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};
use store::Store;

use super::{
    device::Device,
    listener::Listener,
    people::{Call, People},
    world::{World, caller},
};
use crate::audit::{Deed, Looked, Outcome, OwnDeed, PresenceSeen, Roll};

/// Nobody is in more conversations.
const MOST: u32 = 2_000;

impl People {
    /// Somebody's list, from any node; none when nobody answers in time.
    pub(super) async fn list(&self, actor: usize) -> Option<Vec<Conversation>> {
        let call: Call<_> = Box::new(|chat, caller| Box::pin(async move { conversations(&chat, &caller).await }));
        self.rest(actor, call).await?.ok()
    }
}

/// All pages of a list.
async fn conversations(chat: &Chat, caller: &Caller) -> Result<Vec<Conversation>, ChatError> {
    let (mut conversations, mut cursor, all) = (Vec::new(), None, ConversationFilter::default());
    loop {
        let page = chat.conversations(caller, &all, cursor.as_deref(), Some(100)).await?;
        conversations.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(conversations);
        }
    }
}

/// What everybody is answered at the end.
pub(super) async fn lists(world: &World, users: &[User]) -> Result<Vec<Looked>> {
    let mut looked = Vec::new();
    for user in users {
        let node = world.any_node(&world.chance).context("no node is up")?;
        let caller = caller(user);
        let conversations = conversations(&node.chat, &caller).await;
        let conversations = conversations.map_err(|error| anyhow!("the list at the end: {error}"))?;
        let unread = node.chat.unread(&caller).await.map_err(|error| anyhow!("unread at the end: {error}"))?;
        looked.push(Looked { user: user.id, conversations, unread: Some(unread) });
    }
    Ok(looked)
}

/// Who is together in which conversation.
pub(super) type Together = BTreeMap<ConversationId, BTreeSet<UserId>>;

/// As it is now.
pub(super) async fn together(store: &dyn Store, users: &[User]) -> Result<Together> {
    let mut together = Together::new();
    for user in users {
        for item in store.memberships(user.id, MOST).await?.items {
            together.entry(item.conversation_id).or_default().insert(user.id);
        }
    }
    Ok(together)
}

/// Who is there, as the bus says, and who may have been out of whose sight since people were together like this.
pub(super) async fn roll(world: &World, people: &People, since: &Together) -> Result<Roll> {
    let users = &people.users;
    let node = world.any_node(&world.chance).context("no node is up")?;
    let ids: Vec<_> = users.iter().map(|user| user.id).collect();
    let said = ::bus::Bus::presence(&*node.bus, &ids).await.context("presence at the end")?;
    let states = said.into_iter().map(|said| (said.user, said.state)).collect();
    let mut roll = Roll { at: world.began.elapsed(), states, ..Roll::default() };
    // What was deleted meanwhile keeps nobody together.
    let now = together(&*world.database.truth(), users).await?;
    let since = since.iter().filter(|(id, _)| now.contains_key(*id)).map(|(id, here)| (*id, here.clone())).collect();
    for user in users {
        let seen = node.chat.visible(&caller(user), &ids).await.map_err(|error| anyhow!("who is seen: {error}"))?;
        for other in ids.iter().filter(|other| could_lose_sight(people, &since, user.id, **other)) {
            let seen = seen.iter().any(|seen| seen.user_id == *other);
            let pairs = if seen { &mut roll.seen_again } else { &mut roll.unseen };
            pairs.insert((user.id, *other));
        }
    }
    Ok(roll)
}

/// Whether two may have been out of each other's sight: one of them blocked the other, or there is no conversation that
/// is still there and neither of them can have left.
fn could_lose_sight(people: &People, since: &Together, one: UserId, other: UserId) -> bool {
    let blocked = people.own_acts().iter().any(|act| match act.deed {
        OwnDeed::Block(whom, _) => (act.user, whom) == (one, other) || (act.user, whom) == (other, one),
        _ => false,
    });
    let acts = people.acts();
    // What was refused may have been done by an earlier try, unless they never might.
    let left = |id: ConversationId, user: UserId| {
        acts.iter().any(|act| {
            act.deed == Deed::Member { conversation: id, who: user, on: false }
                && act.outcome != Outcome::Refused(ErrorCode::Forbidden)
        })
    };
    let stayed = |(id, here): (&ConversationId, &BTreeSet<UserId>)| {
        [one, other].iter().all(|user| here.contains(user) && !left(*id, *user))
    };
    blocked || !since.iter().any(stayed)
}

/// What the bus says of everybody, through each node.
pub(super) async fn presence(
    world: &World,
    users: &[User],
    (devices, listeners): (&[Arc<Device>], &[Arc<Listener>]),
    connected: bool,
    seen: &mut Vec<PresenceSeen>,
) {
    let ids: Vec<_> = users.iter().map(|user| user.id).collect();
    for (place, node) in world.up().into_iter().enumerate() {
        let Ok(told) = ::bus::Bus::presence(&*node.bus, &ids).await else { continue };
        for said in told {
            let device = |device: &Arc<Device>| device.user.id == said.user && device.with(|core, _| core.is_live());
            let stream = |listener: &Arc<Listener>| listener.user.id == said.user && listener.is_live();
            let expected = connected && (devices.iter().any(device) || listeners.iter().any(stream));
            if connected != expected {
                // On their way back, or just gone: either answer is right.
                continue;
            }
            seen.push(PresenceSeen {
                at: world.began.elapsed(),
                user: said.user,
                online: said.state != PresenceState::Offline,
                expected,
                by: format!("node {place}"),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::{
        audit::{Happened, Kind, Truth, judge},
        sim::{Plan, run},
    };

    #[test]
    fn a_watch_that_is_always_answered_with_nobody_is_noticed() {
        let watching = (1..).map(Plan::draw).filter(|plan| plan.setting.watching);
        let noticed = watching.take(6).map(|plan| {
            let mut log = run(&plan).unwrap().log;
            for device in &mut log.devices {
                let told =
                    |what: &Happened| matches!(what, Happened::Heard(frame) if frame["type"] == "presence.updated");
                device.entries.retain(|entry| !told(&entry.what));
                for entry in &mut device.entries {
                    if let Happened::Heard(frame) = &mut entry.what
                        && frame["ref"] == "watch"
                    {
                        frame["data"]["items"] = json!([]);
                    }
                }
            }
            judge(&log, &Truth::default()).iter().any(|violation| violation.kind == Kind::WrongWatch)
        });
        let noticed: Vec<_> = noticed.collect();
        assert!(noticed.iter().filter(|noticed| **noticed).count() > noticed.len() / 2, "{noticed:?}");
    }
}
