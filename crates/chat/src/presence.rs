//! Presence: who is there now, for those who share a conversation with them.
//!
//! What nodes say of their users is on the bus, under a lease per node; when somebody was last there is in the store.
//! Nothing here waits for a flapping connection to settle: that is the gateway's.

use std::time::Duration;

use bus::{NodePresence, Topic};
use protocol::{ErrorCode, NodeId, PRESENCE_MAX, Presence, PresenceList, PresenceState, UserId};
use store::Seen;

use crate::{Caller, Chat, ChatError, Map, Result, envelope::PresenceChanged};

/// Most people whose presence is looked at when the caller names nobody.
const CONTACTS_MAX: u32 = 2_000;
/// Most users of whom one transaction notes that they were there.
const NOTED_AT_ONCE: usize = 1_000;

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
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.inner.store.visible(caller.user.id, ids).await?)
    }

    /// What the nodes say now of people whose presence may be told, in order.
    pub async fn presence_of(&self, seen: &[Seen]) -> Result<Vec<Presence>> {
        let mut presences = Vec::with_capacity(seen.len());
        for seen in seen.chunks(PRESENCE_MAX) {
            let ids: Vec<_> = seen.iter().map(|seen| seen.user_id).collect();
            let states = self.states(&ids).await?;
            presences.extend(seen.iter().zip(states).map(|(seen, state)| Presence {
                user_id: seen.user_id,
                state,
                last_seen_at: seen.last_seen_at.filter(|_| state == PresenceState::Offline),
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
    /// watches them what all nodes together say now. When it fails, some of it may be done: say the same again.
    pub async fn set_presence(&self, node: NodeId, users: &[NodePresence]) -> Result<()> {
        // Of what is said twice, the last counts.
        let users: Map<UserId, &NodePresence> = users.iter().map(|said| (said.user, said)).collect();
        let users: Vec<&NodePresence> = users.into_values().collect();
        let mut seen = Vec::with_capacity(users.len());
        for users in users.chunks(PRESENCE_MAX) {
            let now = self.inner.env.now();
            let said: Vec<NodePresence> = users.iter().map(|said| (*said).clone()).collect();
            self.inner.bus.set_presence(node, &said).await?;
            let ids: Vec<UserId> = users.iter().map(|said| said.user).collect();
            for (id, state) in ids.iter().zip(self.states(&ids).await?) {
                let last_seen_at = (state == PresenceState::Offline).then_some(now);
                self.tell_presence(Presence { user_id: *id, state, last_seen_at });
            }
            seen.extend(ids.into_iter().map(|id| Seen { user_id: id, last_seen_at: Some(now) }));
        }
        // Last, so that an unreachable store does not hide who is there.
        for seen in seen.chunks(NOTED_AT_ONCE) {
            self.inner.store.note_seen(seen).await?;
        }
        Ok(())
    }

    /// What all nodes say of users (≤ 500), in order.
    async fn states(&self, ids: &[UserId]) -> Result<Vec<PresenceState>> {
        let said = self.inner.bus.presence(ids).await?;
        if said.len() != ids.len() {
            return Err(ChatError::new(ErrorCode::Internal, "something failed here")
                .because("the bus told the presence of other users"));
        }
        Ok(said.into_iter().map(|said| said.state).collect())
    }

    fn tell_presence(&self, presence: Presence) {
        match PresenceChanged::encode(presence) {
            Ok(payload) => self.inner.writer.publish(Topic::Presence(presence.user_id), payload),
            Err(error) => tracing::error!(%error, "presence could not be serialised"),
        }
    }
}
