//! What a gateway needs to follow conversations and users' feeds so that nothing is missed.

use bus::Topic;
use bytes::Bytes;
use protocol::{
    Changes, ConversationId, ErrorCode, Event, EventType, ParticipantRemoved, Receipt, Seq, SessionId, UserId, UserSeq,
};
use serde::Serialize;
use store::{FeedChange, FeedItem, Heads, Members, Membership, Memberships, Missed, Since, Watermark};

use crate::{Caller, Chat, ChatError, Result, arrivals::CATCH_UP_LIMIT, check, envelope::FeedMoved, page};

/// One event of a user's feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    /// Its place.
    pub user_seq: UserSeq,
    /// The frame, UTF-8 JSON.
    pub frame: Bytes,
    /// What the node must do besides.
    pub effect: FeedEffect,
}

/// What a feed event means for the user's connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedEffect {
    /// Follow this conversation; the frame shows it as of this seq.
    Joined(ConversationId, Seq),
    /// Stop following it.
    Left(ConversationId),
    /// Close the connections of this session with 4501.
    SessionRevoked(SessionId),
    /// Close all with 4504.
    Disabled,
    /// Nothing.
    None,
}

impl Chat {
    /// The user's conversations with heads, their feed's head and the epoch, in one snapshot.
    pub async fn memberships(&self, user: UserId) -> Result<Memberships> {
        self.inner.arrivals.memberships(user).await
    }

    /// One conversation of the user; none when they do not take part.
    pub async fn membership(&self, user: UserId, conversation: ConversationId) -> Result<Option<Membership>> {
        let access = self.inner.store.access(user, conversation).await?;
        Ok(access.and_then(|access| {
            let participant = access.participant.filter(|participant| participant.active)?;
            Some(Membership {
                conversation_id: conversation,
                last_seq: access.last_seq,
                access_since_seq: participant.access_since_seq,
            })
        }))
    }

    /// Heads of conversations (≤ 2,000 ids).
    pub async fn heads(&self, ids: &[ConversationId]) -> Result<Vec<(ConversationId, Seq)>> {
        Ok(self.inner.store.heads(ids).await?.items)
    }

    /// The same, with the epoch and with what could be seen when they were read.
    pub async fn heads_seen(&self, ids: &[ConversationId]) -> Result<Heads> {
        Ok(self.inner.store.heads(ids).await?)
    }

    /// A conversation's head, and those of `users` who take part at it. None for an unknown one.
    pub async fn members_of(&self, id: ConversationId, users: &[UserId]) -> Result<Option<Members>> {
        Ok(self.inner.store.members(id, users).await?)
    }

    /// Which of the user's conversations, of now and of `user_seq` in their feed, changed since a watermark, and from
    /// where on each is to be replayed. Looks back over at most `limit` changes of each.
    pub async fn changed_since(&self, user: UserId, user_seq: UserSeq, since: &Watermark, limit: u32) -> Result<Since> {
        Ok(self.inner.store.changed_since(user, user_seq, since, limit).await?)
    }

    /// Heads of feeds (≤ 2,000 ids).
    pub async fn feed_heads(&self, ids: &[UserId]) -> Result<Vec<(UserId, UserSeq)>> {
        Ok(self.inner.store.feed_heads(ids).await?)
    }

    /// The node's own gap fill: everything after `after`, whoever may see it. `None`: no such conversation.
    /// A page may hold fewer than `limit`, as in [`Self::changes`].
    pub async fn fill(&self, conversation: ConversationId, after: Seq, limit: u32) -> Result<Option<Changes>> {
        Ok(self.inner.store.changes(None, conversation, after, limit).await?.map(page::cut))
    }

    /// What the caller missed in a conversation after a cursor. `limit` 1–500 (500 when absent). A page is bounded in
    /// bytes too, so it may hold fewer: go on from its `to` while it says that there is `more`.
    pub async fn changes(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        after: Seq,
        limit: Option<u32>,
    ) -> Result<Changes> {
        let limit = check::changes_limit(limit)?;
        if !self.inner.env.protections().membership {
            let all = self.fill(conversation, after, limit).await?;
            return all.ok_or_else(|| ChatError::not_found("conversation"));
        }
        let access = self.readable(caller, conversation).await?;
        // The head only grows: a cursor that the caller got honestly is not above one that is read now.
        if after > access.last_seq {
            return Err(ChatError::field("after", "is past the conversation's head"));
        }
        let changes = self.inner.store.changes(Some(caller.user.id), conversation, after, limit).await?;
        changes.map(page::cut).ok_or_else(|| ChatError::not_found("conversation"))
    }

    /// The first page of [`Self::changes`] of each of these conversations (≤ 1,000) that the caller takes part in, in
    /// one read: at most `limit` changes each, and never more than 50. Pages are bounded together too: one that got
    /// nothing because of that says that there is `more`. `distance`: how many changes they are behind, as far as that
    /// is known; what many ask at once is read in parts by it.
    pub async fn catch_up(
        &self,
        caller: &Caller,
        cursors: &[(ConversationId, Seq)],
        distance: u64,
        limit: u32,
    ) -> Result<Vec<Missed>> {
        let behind = (caller.user.id, cursors.to_vec());
        let pages = self.inner.arrivals.missed(behind, distance, limit.min(CATCH_UP_LIMIT)).await?;
        Ok(pages.into_iter().map(cut).collect())
    }

    /// A page of [`Self::changes`], and from where on the caller may read, at one moment. None: they do not take part.
    /// A cursor beyond the head stays where it is.
    pub async fn missed(
        &self,
        caller: &Caller,
        conversation: ConversationId,
        after: Seq,
        limit: u32,
    ) -> Result<Option<Missed>> {
        if !self.inner.env.protections().membership {
            let all = self.fill(conversation, after, limit).await?;
            return Ok(all.map(|page| Missed { page, access_since_seq: 0 }));
        }
        let pages = self.inner.store.catch_up(caller.user.id, &[(conversation, after)], limit).await?;
        Ok(pages.into_iter().next().map(cut))
    }

    /// What moved a user's feed after a cursor, and its head.
    pub async fn feed(&self, user: UserId, after: UserSeq) -> Result<(UserSeq, Vec<FeedEvent>)> {
        let feed = self.inner.store.feed(user, check::seq(after)).await?;
        let events = feed.items.into_iter().map(|item| feed_event(user, item)).collect::<Result<_>>()?;
        Ok((feed.user_seq, events))
    }

    /// Markers of these conversations that a resume tells: one's own, and everybody's where 100 or fewer take part. In
    /// memory at once: ask for some hundred conversations at a time.
    pub async fn receipts(&self, user: UserId, conversations: &[ConversationId]) -> Result<Vec<Receipt>> {
        self.inner.arrivals.receipts(user, conversations.to_vec()).await
    }

    /// Tells the nodes that hold the user's connections that their feed moved. A hint: queued, never waits for the
    /// bus, and lost when it is down.
    #[allow(clippy::unused_async)] // Its callers need not know that it only queues.
    pub(crate) async fn publish_feed(&self, user: UserId, user_seq: UserSeq) {
        self.inner.writer.publish(Topic::User(user), FeedMoved::encode(user_seq));
    }
}

fn cut(missed: Missed) -> Missed {
    Missed { page: page::cut(missed.page), ..missed }
}

/// Data of `session.revoked`.
#[derive(Serialize)]
struct SessionRevoked {
    /// None: all of the user's.
    session_id: Option<SessionId>,
}

/// What a client that was enabled again is told: nothing but where its feed stands.
#[derive(Serialize)]
struct Nothing {}

/// One change of a feed as the user's devices get it. A change that means nothing to them (they were enabled again)
/// still moves their cursor: it goes out as a `heartbeat` that carries its `user_seq`.
fn feed_event(user: UserId, item: FeedItem) -> Result<FeedEvent> {
    let user_seq = item.user_seq;
    let (frame, effect) = match item.change {
        FeedChange::Joined(conversation) => {
            let (id, head) = (conversation.id, conversation.last_seq);
            let frame = frame(EventType::ConversationCreated, Some(id), user_seq, conversation)?;
            (frame, FeedEffect::Joined(id, head))
        }
        FeedChange::Left(id) => {
            let data = ParticipantRemoved { conversation_id: id, user_id: user };
            (frame(EventType::ParticipantRemoved, Some(id), user_seq, data)?, FeedEffect::Left(id))
        }
        FeedChange::SessionRevoked(id) => {
            let data = SessionRevoked { session_id: Some(id) };
            (frame(EventType::SessionRevoked, None, user_seq, data)?, FeedEffect::SessionRevoked(id))
        }
        FeedChange::Disabled(true) => {
            let data = SessionRevoked { session_id: None };
            (frame(EventType::SessionRevoked, None, user_seq, data)?, FeedEffect::Disabled)
        }
        FeedChange::Preferences(preferences) => {
            let id = preferences.conversation_id;
            (frame(EventType::PreferencesUpdated, Some(id), user_seq, preferences)?, FeedEffect::None)
        }
        FeedChange::NotificationPreferences(preferences) => {
            (frame(EventType::NotificationPreferencesUpdated, None, user_seq, preferences)?, FeedEffect::None)
        }
        FeedChange::Notification(notification) => {
            let kind = if notification.read_at.is_some() {
                EventType::NotificationUpdated
            } else {
                EventType::NotificationCreated
            };
            let id = notification.conversation_id;
            (frame(kind, Some(id), user_seq, notification)?, FeedEffect::None)
        }
        FeedChange::Blocked(user_id, blocked) => {
            let kind = if blocked { EventType::UserBlocked } else { EventType::UserUnblocked };
            (frame(kind, None, user_seq, protocol::UserBlocked { user_id })?, FeedEffect::None)
        }
        FeedChange::Disabled(false) => (frame(EventType::Heartbeat, None, user_seq, Nothing {})?, FeedEffect::None),
    };
    Ok(FeedEvent { user_seq, frame, effect })
}

fn frame<T: Serialize>(
    kind: EventType,
    conversation_id: Option<ConversationId>,
    user_seq: UserSeq,
    data: T,
) -> Result<Bytes> {
    let event = Event { kind, conversation_id, seq: None, user_seq: Some(user_seq), data };
    let bytes = serde_json::to_vec(&event)
        .map_err(|error| ChatError::new(ErrorCode::Internal, "something failed here").because(error))?;
    Ok(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(change: FeedChange) -> (serde_json::Value, FeedEffect) {
        let event = feed_event(UserId::generate(), FeedItem { user_seq: 7, change }).unwrap();
        assert_eq!(event.user_seq, 7);
        let frame: serde_json::Value = serde_json::from_slice(&event.frame).unwrap();
        assert_eq!(frame["user_seq"], 7);
        (frame, event.effect)
    }

    #[test]
    fn a_lost_conversation_and_a_revoked_session_are_told_with_their_ids() {
        let id = ConversationId::generate();
        let (frame, effect) = event(FeedChange::Left(id));
        assert_eq!((&frame["type"], effect), (&"participant.removed".into(), FeedEffect::Left(id)));
        assert_eq!(frame["data"]["conversation_id"], id.to_string());
        let session = SessionId::generate();
        let (frame, effect) = event(FeedChange::SessionRevoked(session));
        assert_eq!((&frame["type"], effect), (&"session.revoked".into(), FeedEffect::SessionRevoked(session)));
        assert_eq!(frame["data"]["session_id"], session.to_string());
    }

    #[test]
    fn being_disabled_revokes_all_and_being_enabled_only_moves_the_cursor() {
        let (frame, effect) = event(FeedChange::Disabled(true));
        assert_eq!((&frame["data"]["session_id"], effect), (&serde_json::Value::Null, FeedEffect::Disabled));
        let (frame, effect) = event(FeedChange::Disabled(false));
        assert_eq!((&frame["type"], effect), (&"heartbeat".into(), FeedEffect::None));
    }

    #[test]
    fn a_notification_is_created_until_it_is_read() {
        let mut notification = protocol::Notification {
            id: protocol::NotificationId::generate(),
            user_seq: 7,
            kind: protocol::NotificationKind::Mention,
            conversation_id: ConversationId::generate(),
            message_id: protocol::MessageId::generate(),
            actor: protocol::Sender {
                id: UserId::generate(),
                username: "ann".into(),
                display_name: "Ann".into(),
                avatar_url: None,
            },
            preview: "hello".into(),
            created_at: protocol::Timestamp::from_unix_millis(0).unwrap(),
            read_at: None,
        };
        let (frame, effect) = event(FeedChange::Notification(Box::new(notification.clone())));
        assert_eq!((&frame["type"], effect), (&"notification.created".into(), FeedEffect::None));
        assert_eq!(frame["conversation_id"], notification.conversation_id.to_string());
        assert_eq!(frame["data"]["id"], notification.id.to_string());
        notification.read_at = Some(notification.created_at);
        let (frame, _) = event(FeedChange::Notification(Box::new(notification)));
        assert_eq!(frame["type"], "notification.updated");
    }

    #[test]
    fn settings_and_blocks_are_told_as_what_they_are() {
        let id = ConversationId::generate();
        let preferences = protocol::Preferences {
            conversation_id: id,
            notify: protocol::Notify::None,
            muted_until: None,
            pinned_at: None,
        };
        let (frame, _) = event(FeedChange::Preferences(preferences));
        assert_eq!((&frame["type"], &frame["data"]["notify"]), (&"preferences.updated".into(), &"none".into()));
        assert_eq!(frame["conversation_id"], id.to_string());
        let (frame, _) = event(FeedChange::NotificationPreferences(protocol::NotificationPreferences::default()));
        assert_eq!(frame["type"], "notification_preferences.updated");
        let user = UserId::generate();
        for (blocked, kind) in [(true, "user.blocked"), (false, "user.unblocked")] {
            let (frame, effect) = event(FeedChange::Blocked(user, blocked));
            assert_eq!((frame["type"].as_str(), effect), (Some(kind), FeedEffect::None));
            assert_eq!(frame["data"]["user_id"], user.to_string());
        }
    }
}
