//! For benchmarks of single parts (`tests/bench`), behind the feature `micro`; servers are built without it.

use bytes::Bytes;
use protocol::{
    ConversationId, ConversationKind, History, Limits, Message, MessageId, Notify, OrgId, OrgRole, Posting, Role,
    Timestamp, User, UserId,
};
use store::{Locked, LockedConversation, LockedParticipant};

use crate::{
    change::{Kind, NewMessage, Request, scope},
    decide::decide,
    writer::encode_change,
};

/// A batch of messages as a lane of the writer has it: with what was read under the locks.
pub struct Batch {
    requests: Vec<Request>,
    locked: Locked,
    limits: Limits,
    now: Timestamp,
}

impl Batch {
    /// So many messages, in turn by one person in each of so many groups.
    pub fn of(messages: usize, groups: usize) -> Self {
        let (now, org) = (time::OffsetDateTime::UNIX_EPOCH.into(), OrgId::generate());
        let mut locked = Locked { epoch: "e".into(), ..Locked::default() };
        let places: Vec<_> = (0..groups)
            .map(|n| {
                let (conversation, user) = (ConversationId::generate(), UserId::generate());
                locked.conversations.insert(conversation, group(org));
                locked.participants.insert((conversation, user), member());
                locked.users.insert(user, person(user, org, n, now));
                (conversation, user)
            })
            .collect();
        let requests = (0..messages).map(|n| {
            let (conversation, user) = places[n % groups];
            let new = NewMessage {
                content: "x".repeat(128),
                client_id: Some(format!("message-{n}")),
                fingerprint: vec![0; 32],
                ..NewMessage::default()
            };
            Request::with_id(MessageId::generate(), conversation, user, Kind::Send(Box::new(new)))
        });
        Self { requests: requests.collect(), locked, limits: Limits::default(), now }
    }

    /// Finds what is to be locked and read, and decides: how many messages there are to insert.
    pub fn decide(&self) -> usize {
        let wanted = scope(self.requests.iter());
        let (writes, outcomes) = decide(&self.requests, &self.limits, self.now, &self.locked);
        assert_eq!((wanted.client_ids.len(), outcomes.len()), (writes.inserts.len(), writes.inserts.len()));
        writes.inserts.len()
    }
}

/// What the bus carries when this message was sent.
pub fn event(message: &Message) -> Bytes {
    encode_change(&message.clone().into(), None, "e", None).unwrap_or_default()
}

fn group(org_id: OrgId) -> LockedConversation {
    LockedConversation {
        org_id,
        kind: ConversationKind::Group,
        title: None,
        description: None,
        avatar_url: None,
        posting: Posting::default(),
        history: History::default(),
        last_seq: 1,
        last_number: 0,
        access_seq: 1,
        participant_count: 1,
        owner_count: 1,
        slow_mode_seconds: 0,
        pin_count: 0,
        blocked: false,
        archived_at: None,
        deleted_at: None,
    }
}

fn member() -> LockedParticipant {
    LockedParticipant {
        role: Role::Owner,
        active: true,
        access_since_seq: 0,
        last_sent_at: None,
        notify: Notify::default(),
        muted_until: None,
    }
}

fn person(id: UserId, org_id: OrgId, n: usize, created_at: Timestamp) -> User {
    User {
        id,
        org_id,
        username: format!("person-{n}"),
        display_name: format!("Person {n}"),
        avatar_url: None,
        status_text: None,
        role: OrgRole::Member,
        guest: false,
        disabled_at: None,
        created_at,
    }
}
