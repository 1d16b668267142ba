//! Presence: who is there now, for those who share a conversation with them.
//!
//! What nodes say of their users is on the bus, under a lease per node; when somebody was last there is in the store.

use std::time::Duration;

use bus::NodePresence;
use protocol::{ErrorCode, NodeId, PRESENCE_MAX, Presence, PresenceList, PresenceState, UserId};
use store::Seen;

use crate::{Caller, Chat, ChatError, Result};

/// Most people whose presence is looked at when the caller names nobody.
const CONTACTS_MAX: u32 = 2_000;

impl Chat {
    /// The presence of those of `ids` (≤ 500) who may be seen by the caller. Without ids: who is there now among the
    /// people they share a conversation with, at most 500.
    pub async fn presence(&self, caller: &Caller, ids: Option<&[UserId]>) -> Result<PresenceList> {
        let viewer = caller.user.id;
        let Some(ids) = ids else {
            let contacts = self.inner.store.contacts(viewer, CONTACTS_MAX).await?;
            let mut items = self.presence_of(&contacts).await?;
            items.retain(|presence| presence.state != PresenceState::Offline);
            items.truncate(PRESENCE_MAX);
            return Ok(PresenceList { items });
        };
        Ok(PresenceList { items: self.presence_of(&self.visible(caller, ids).await?).await? })
    }

    /// One user's presence.
    pub async fn presence_of_user(&self, caller: &Caller, id: UserId) -> Result<Presence> {
        let mut list = self.presence(caller, Some(&[id])).await?;
        list.items.pop().ok_or_else(|| ChatError::not_found("user"))
    }

    /// Those of `ids` (≤ 500) whose presence the caller may know.
    pub async fn visible(&self, caller: &Caller, ids: &[UserId]) -> Result<Vec<Seen>> {
        if ids.len() > PRESENCE_MAX {
            return Err(ChatError::field("ids", format!("must have at most {PRESENCE_MAX} items")));
        }
        Ok(self.inner.store.visible(caller.user.id, ids).await?)
    }

    /// What the nodes say now of people whose presence may be told, in order.
    pub async fn presence_of(&self, seen: &[Seen]) -> Result<Vec<Presence>> {
        let ids: Vec<_> = seen.iter().map(|seen| seen.user_id).collect();
        let mut presences = Vec::with_capacity(seen.len());
        for (ids, seen) in ids.chunks(PRESENCE_MAX).zip(seen.chunks(PRESENCE_MAX)) {
            let states = self.inner.bus.presence(ids).await?;
            if states.len() != ids.len() {
                return Err(ChatError::new(ErrorCode::Internal, "something failed here"));
            }
            presences.extend(seen.iter().zip(states).map(|(seen, said)| Presence {
                user_id: seen.user_id,
                state: said.state,
                last_seen_at: seen.last_seen_at.filter(|_| said.state == PresenceState::Offline),
            }));
        }
        Ok(presences)
    }

    /// For the gateway: holds the node's lease; the nodes that hold one now.
    pub async fn hold_lease(&self, node: NodeId, ttl: Duration) -> Result<Vec<NodeId>> {
        Ok(self.inner.bus.hold_lease(node, ttl).await?)
    }

    /// For the gateway: gives the lease back.
    pub async fn release_lease(&self, node: NodeId) -> Result<()> {
        Ok(self.inner.bus.release_lease(node).await?)
    }

    /// For the gateway: says what this node's connections say of users, notes when users were last there, and tells who
    /// watches them what all nodes together say now.
    pub async fn set_presence(&self, node: NodeId, users: &[NodePresence]) -> Result<()> {
        self.inner.bus.set_presence(node, users).await?;
        Ok(())
    }
}
