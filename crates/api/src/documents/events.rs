//! The events of the socket as the documents tell them: data, and which counters an event carries. A row for each
//! `EventType`: leaving one out does not compile.

use protocol::{
    Announcement, AnnouncementsRead, Connected, Conversation, EventType, Message, Notification,
    NotificationPreferences, ParticipantRemoved, Preferences, Presence, ReactionEvent, Receipt, Reconnect, Resync,
    SessionRevoked, Typing, User, UserBlocked,
};

use super::commands::{Empty, Shape, shape};

/// What stands beside `type` and `data`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    /// Never there.
    Never,
    /// Sometimes there.
    Maybe,
    /// Always there.
    Always,
}

/// One event.
pub(super) struct Row {
    pub(super) kind: EventType,
    pub(super) summary: &'static str,
    pub(super) data: Shape,
    pub(super) conversation_id: Field,
    pub(super) seq: Field,
    pub(super) user_seq: Field,
}

impl Row {
    /// The event's `type`.
    pub(super) fn name(&self) -> String {
        let name = serde_json::to_value(self.kind).unwrap_or_default();
        name.as_str().unwrap_or_default().to_owned()
    }
}

/// Every event, in the order of the documents.
pub(super) fn rows() -> Vec<Row> {
    EventType::ALL.iter().map(|kind| row(*kind)).collect()
}

fn row(kind: EventType) -> Row {
    use EventType as E;
    use Field::{Always, Maybe, Never};
    let (summary, data) = said(kind);
    let (conversation_id, seq, user_seq) = match kind {
        E::MessageCreated | E::MessageUpdated | E::MessageDeleted | E::ReactionAdded | E::ReactionRemoved => {
            (Always, Always, Never)
        }
        E::ConversationCreated | E::PreferencesUpdated | E::NotificationCreated | E::NotificationUpdated => {
            (Always, Never, Always)
        }
        // A resume tells those that were lost meanwhile without a place in the feed.
        E::ParticipantRemoved => (Always, Never, Maybe),
        E::NotificationPreferencesUpdated | E::UserBlocked | E::UserUnblocked | E::SessionRevoked => {
            (Never, Never, Always)
        }
        E::Typing | E::ReceiptUpdated => (Always, Never, Never),
        // One with a `user_seq` moves the cursor past a change that means nothing to clients.
        E::Heartbeat => (Never, Never, Maybe),
        E::ResyncRequired => (Maybe, Never, Never),
        E::Connected | E::Announcement | E::AnnouncementsRead | E::PresenceUpdated | E::UserUpdated | E::Reconnect => {
            (Never, Never, Never)
        }
    };
    Row { kind, summary, data, conversation_id, seq, user_seq }
}

fn said(kind: EventType) -> (&'static str, Shape) {
    use EventType as E;
    match kind {
        E::Connected => ("First on every connection.", shape::<Connected>()),
        E::MessageCreated => (
            "A message was sent, or the conversation itself says what changed about it (`kind` is `system`).",
            shape::<Message>(),
        ),
        E::MessageUpdated => ("A message was edited, pinned or unpinned: its present state.", shape::<Message>()),
        E::MessageDeleted => ("A message was deleted: what is left of it.", shape::<Message>()),
        E::ConversationCreated => (
            "A conversation is now the receiver's: made with them, joined, or they were added to it.",
            shape::<Conversation>(),
        ),
        E::ParticipantRemoved => ("A conversation is no longer the receiver's.", shape::<ParticipantRemoved>()),
        E::ReactionAdded => ("Somebody reacted: the message, and what changed.", shape::<ReactionEvent>()),
        E::ReactionRemoved => {
            ("Somebody took a reaction back: the message, and what changed.", shape::<ReactionEvent>())
        }
        E::PreferencesUpdated => ("The receiver's own settings of a conversation changed.", shape::<Preferences>()),
        E::NotificationCreated => ("The receiver is notified.", shape::<Notification>()),
        E::NotificationUpdated => ("A notification was read.", shape::<Notification>()),
        E::NotificationPreferencesUpdated => {
            ("The receiver's settings for all conversations changed.", shape::<NotificationPreferences>())
        }
        E::UserBlocked => ("The receiver blocked somebody, on another device maybe.", shape::<UserBlocked>()),
        E::UserUnblocked => ("The receiver unblocked somebody.", shape::<UserBlocked>()),
        E::Announcement => ("News for everybody of the org, dense by `seq` in its data.", shape::<Announcement>()),
        E::Typing => ("Somebody is typing, or stopped. Ephemeral.", shape::<Typing>()),
        E::PresenceUpdated => {
            ("A watched user came, went or is away; at most one per user and 5 s. Ephemeral.", shape::<Presence>())
        }
        E::UserUpdated => {
            ("The profile of a watched user, or the receiver's own, changed. Ephemeral.", shape::<User>())
        }
        E::AnnouncementsRead => {
            ("The receiver read announcements, on another device maybe. Ephemeral.", shape::<AnnouncementsRead>())
        }
        E::SessionRevoked => ("A session of the receiver ended; its connections close.", shape::<SessionRevoked>()),
        E::ReceiptUpdated => {
            ("Somebody's markers moved; above 100 participants only one's own are told. Ephemeral.", shape::<Receipt>())
        }
        E::ResyncRequired => {
            ("The client is too far behind, or its cursor is not of this history: fetch by REST.", shape::<Resync>())
        }
        E::Reconnect => ("The server asks the client to move, at the moment it picked for it.", shape::<Reconnect>()),
        E::Heartbeat => ("The server is alive; needs no answer.", shape::<Empty>()),
    }
}
