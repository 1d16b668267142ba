//! What people see when they look: their lists, and who is there.

use anyhow::{Context, Result, anyhow};
use chat::{Caller, Chat, ChatError};
use protocol::{Conversation, ConversationFilter, PresenceState, User};
use std::{collections::BTreeMap, sync::Arc};

use super::{
    device::Device,
    people::{Call, People},
    world::{World, caller},
};
use crate::audit::{Looked, PresenceSeen, Roll};

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

/// Who is there, as the bus says: of those whom all others may see.
pub(super) async fn roll(world: &World, users: &[User]) -> Result<Roll> {
    let node = world.any_node(&world.chance).context("no node is up")?;
    let ids: Vec<_> = users.iter().map(|user| user.id).collect();
    let said = ::bus::Bus::presence(&*node.bus, &ids).await.context("presence at the end")?;
    let mut states: BTreeMap<_, _> = said.into_iter().map(|said| (said.user, said.state)).collect();
    for user in users {
        let seen = node.chat.visible(&caller(user), &ids).await.map_err(|error| anyhow!("who is seen: {error}"))?;
        let seen: Vec<_> = seen.into_iter().map(|seen| seen.user_id).collect();
        states.retain(|id, _| *id == user.id || seen.contains(id));
    }
    Ok(Roll { at: world.began.elapsed(), states, everybody: false })
}

/// What the bus says of everybody, through each node.
pub(super) async fn presence(
    world: &World,
    users: &[User],
    devices: &[Arc<Device>],
    connected: bool,
    seen: &mut Vec<PresenceSeen>,
) {
    let ids: Vec<_> = users.iter().map(|user| user.id).collect();
    for (place, node) in world.up().into_iter().enumerate() {
        let Ok(told) = ::bus::Bus::presence(&*node.bus, &ids).await else { continue };
        for said in told {
            let live = |device: &&Arc<Device>| device.user.id == said.user && device.with(|core, _| core.is_live());
            let expected = connected && devices.iter().any(|device| live(&device));
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
