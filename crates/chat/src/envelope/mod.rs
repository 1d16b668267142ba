//! What the bus carries. Either a small header of bytes that nodes act on, and the event's frame exactly as sockets get
//! it, so that a node slices the bytes out of the payload and shares them among its connections; or, where there is no
//! frame, a small JSON object.
//!
//! Versioned, and what a later version adds is skipped; a payload that does not parse, or is of another version, counts
//! as not received. The hole that a change leaves is filled from the store; an ephemeral event (a receipt, typing, a
//! profile) leaves none, and is one that was lost.

mod framed;

use std::borrow::Cow;

use bytes::Bytes;
use protocol::{Presence, Seq, UserId, UserSeq};
use serde::{Deserialize, Serialize};

use framed::Header;

/// The version this node writes and reads.
pub const VERSION: u8 = 1;

/// On a conversation's topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationEvent {
    /// The change's seq; none for an ephemeral event (a receipt, typing).
    pub seq: Option<Seq>,
    /// The seq of the message that was created or changed: those who may read from later on do not get it.
    pub place: Option<Seq>,
    /// Who no longer takes part after this event: they get it, and nothing after it.
    pub removed: Vec<UserId>,
    /// Nobody takes part after this event: the conversation was deleted.
    pub ends: bool,
    /// Of a change, or of a marker of a conversation: the epoch of the database that it was committed to, UTF-8. After
    /// a restore the places of the lost future are given again, and this alone tells which of the two an event that
    /// comes late is of. None where nothing is stored (typing) or it does not matter for long (profiles, the marker of
    /// announcements).
    pub epoch: Option<Bytes>,
    /// Of the change, where its trace is recorded: this node's part goes below it.
    pub trace: Option<traces::Context>,
    /// The frame, UTF-8 JSON.
    pub frame: Bytes,
}

/// Where a change has its place, for [`ConversationEvent::encode_change`].
#[derive(Debug, Clone, Copy)]
pub struct ChangePlace<'a> {
    /// [`ConversationEvent::seq`].
    pub seq: Seq,
    /// [`ConversationEvent::place`].
    pub place: Seq,
    /// [`ConversationEvent::removed`].
    pub removed: &'a [UserId],
    /// [`ConversationEvent::ends`].
    pub ends: bool,
    /// [`ConversationEvent::epoch`].
    pub epoch: &'a str,
    /// [`ConversationEvent::trace`].
    pub trace: Option<traces::Context>,
}

/// On a user's topic: their feed moved; nodes that hold their connections read it from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedMoved {
    /// [`VERSION`].
    pub v: u8,
    /// The feed's new head.
    pub user_seq: UserSeq,
}

/// On a user's topic: what all nodes of their connections do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserEvent {
    /// Their feed moved.
    FeedMoved(UserSeq),
    /// An ephemeral frame for all their devices (their own receipt in a large conversation).
    Frame {
        /// UTF-8 JSON.
        frame: Bytes,
        /// As in [`ConversationEvent::epoch`].
        epoch: Option<Bytes>,
    },
}

/// On a user's presence topic: what all nodes together say of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceChanged {
    /// [`VERSION`].
    pub v: u8,
    /// What is told.
    pub presence: Presence,
}

/// On a user's presence topic: what nodes with connections that watch them do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PresenceEvent {
    /// They may have come or gone.
    Changed(Presence),
    /// An ephemeral frame for who watches them (their profile), UTF-8 JSON.
    Frame(Bytes),
}

/// On an org's topic: there is an announcement; nodes read it from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnnouncementMoved {
    /// [`VERSION`].
    pub v: u8,
    /// The last announcement's seq.
    pub seq: u64,
}

/// Not a payload of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a payload of version {VERSION}")]
pub struct EnvelopeError;

impl ConversationEvent {
    /// Serialises a change around an event that serialises to the frame.
    pub fn encode_change(at: ChangePlace<'_>, event: &impl Serialize) -> serde_json::Result<Bytes> {
        let ChangePlace { seq, place, removed, ends, epoch, trace } = at;
        let (seq, place, removed) = (Some(seq), Some(place), Cow::Borrowed(removed));
        framed::encode(&Header { seq, place, removed, ends, epoch: Some(epoch), trace }, event)
    }

    /// Serialises an ephemeral event that serialises to the frame; for the epoch see [`Self::epoch`].
    pub fn encode_ephemeral(event: &impl Serialize, epoch: Option<&str>) -> serde_json::Result<Bytes> {
        framed::encode(&Header { epoch, ..Header::default() }, event)
    }

    /// Reads a payload; the frame shares the payload's memory.
    pub fn decode(payload: &Bytes) -> Result<Self, EnvelopeError> {
        let (Header { seq, place, removed, ends, epoch, trace }, frame) = framed::decode(payload)?;
        let epoch = epoch.map(|epoch| payload.slice_ref(epoch.as_bytes()));
        let frame = payload.slice_ref(frame.as_bytes());
        Ok(Self { seq, place, removed: removed.into_owned(), ends, epoch, trace, frame })
    }
}

impl FeedMoved {
    /// As payload.
    pub fn encode(user_seq: UserSeq) -> Bytes {
        Bytes::from(format!("{{\"v\":{VERSION},\"user_seq\":{user_seq}}}"))
    }

    /// Reads a payload.
    pub fn decode(payload: &[u8]) -> Result<Self, EnvelopeError> {
        serde_json::from_slice(payload).ok().filter(|moved: &Self| moved.v == VERSION).ok_or(EnvelopeError)
    }
}

impl UserEvent {
    /// An ephemeral frame as payload; for the epoch see [`ConversationEvent::epoch`].
    pub fn encode_frame(event: &impl Serialize, epoch: Option<&str>) -> serde_json::Result<Bytes> {
        framed::encode(&Header { epoch, ..Header::default() }, event)
    }

    /// Reads a payload; a frame shares the payload's memory.
    pub fn decode(payload: &Bytes) -> Result<Self, EnvelopeError> {
        if !framed::is_framed(payload) {
            return FeedMoved::decode(payload).map(|moved| Self::FeedMoved(moved.user_seq));
        }
        let (Header { epoch, .. }, frame) = framed::decode(payload)?;
        Ok(Self::Frame {
            frame: payload.slice_ref(frame.as_bytes()),
            epoch: epoch.map(|epoch| payload.slice_ref(epoch.as_bytes())),
        })
    }
}

impl PresenceChanged {
    /// As payload.
    pub fn encode(presence: Presence) -> serde_json::Result<Bytes> {
        serde_json::to_vec(&Self { v: VERSION, presence }).map(Bytes::from)
    }

    /// Reads a payload.
    pub fn decode(payload: &[u8]) -> Result<Self, EnvelopeError> {
        serde_json::from_slice(payload).ok().filter(|changed: &Self| changed.v == VERSION).ok_or(EnvelopeError)
    }
}

impl PresenceEvent {
    /// An ephemeral frame as payload.
    pub fn encode_frame(event: &impl Serialize) -> serde_json::Result<Bytes> {
        framed::encode(&Header::default(), event)
    }

    /// Reads a payload; a frame shares the payload's memory.
    pub fn decode(payload: &Bytes) -> Result<Self, EnvelopeError> {
        if !framed::is_framed(payload) {
            return PresenceChanged::decode(payload).map(|changed| Self::Changed(changed.presence));
        }
        let (_, frame) = framed::decode(payload)?;
        Ok(Self::Frame(payload.slice_ref(frame.as_bytes())))
    }
}

impl AnnouncementMoved {
    /// As payload.
    pub fn encode(seq: u64) -> Bytes {
        Bytes::from(format!("{{\"v\":{VERSION},\"seq\":{seq}}}"))
    }

    /// Reads a payload.
    pub fn decode(payload: &[u8]) -> Result<Self, EnvelopeError> {
        serde_json::from_slice(payload).ok().filter(|moved: &Self| moved.v == VERSION).ok_or(EnvelopeError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_comes_out_as_it_went_in_and_shares_the_payload() {
        let user = UserId::generate();
        let frame = serde_json::json!({"type":"x","data":{"a":"é"}});
        let at = ChangePlace { seq: 7, place: 3, removed: &[user], ends: true, epoch: "e1", trace: None };
        let payload = ConversationEvent::encode_change(at, &frame).unwrap();
        let event = ConversationEvent::decode(&payload).unwrap();
        assert_eq!((event.seq, event.place, event.removed, event.ends), (Some(7), Some(3), vec![user], true));
        assert_eq!(event.epoch.as_deref(), Some(&b"e1"[..]));
        assert_eq!(event.frame, r#"{"data":{"a":"é"},"type":"x"}"#.as_bytes());
        assert!(payload.as_ptr_range().contains(&event.frame.as_ptr()));
        assert_eq!(FeedMoved::decode(&FeedMoved::encode(9)).unwrap().user_seq, 9);
        for epoch in [None, Some("e2")] {
            let event =
                ConversationEvent::decode(&ConversationEvent::encode_ephemeral(&frame, epoch).unwrap()).unwrap();
            assert_eq!((event.seq, event.place, event.removed, event.ends), (None, None, Vec::new(), false));
            assert_eq!(event.epoch, epoch.map(Bytes::from));
        }
    }

    #[test]
    fn what_another_program_publishes_is_refused() {
        for bad in
            [&b"hello"[..], b"{}", b"{\"v\":2,\"user_seq\":1,\"seq\":1}", b"\x02\0\x06\0\0\0{}", b"\xff\xfe", b""]
        {
            let payload = Bytes::copy_from_slice(bad);
            assert_eq!(ConversationEvent::decode(&payload), Err(EnvelopeError));
            assert_eq!(UserEvent::decode(&payload), Err(EnvelopeError));
            assert_eq!(PresenceEvent::decode(&payload), Err(EnvelopeError));
            assert_eq!(FeedMoved::decode(bad), Err(EnvelopeError));
            assert_eq!(PresenceChanged::decode(bad), Err(EnvelopeError));
            assert_eq!(AnnouncementMoved::decode(bad), Err(EnvelopeError));
        }
    }

    #[test]
    fn a_user_s_topic_carries_their_feed_s_head_or_a_frame_that_shares_the_payload() {
        assert_eq!(UserEvent::decode(&FeedMoved::encode(9)), Ok(UserEvent::FeedMoved(9)));
        let payload = UserEvent::encode_frame(&serde_json::json!({"type":"x"}), Some("e1")).unwrap();
        let Ok(UserEvent::Frame { frame, epoch }) = UserEvent::decode(&payload) else { panic!("{payload:?}") };
        assert_eq!((frame.as_ref(), epoch.as_deref()), (&br#"{"type":"x"}"#[..], Some(&b"e1"[..])));
        assert!(payload.as_ptr_range().contains(&frame.as_ptr()));
    }

    #[test]
    fn presence_and_announcements_read_back() {
        let state = protocol::PresenceState::Away;
        let presence = Presence { user_id: UserId::generate(), state, last_seen_at: None };
        let payload = PresenceChanged::encode(presence).unwrap();
        assert_eq!(PresenceChanged::decode(&payload), Ok(PresenceChanged { v: VERSION, presence }));
        assert_eq!(PresenceEvent::decode(&payload), Ok(PresenceEvent::Changed(presence)));
        let payload = PresenceEvent::encode_frame(&serde_json::json!({"type":"x"})).unwrap();
        assert_eq!(PresenceEvent::decode(&payload), Ok(PresenceEvent::Frame(r#"{"type":"x"}"#.into())));
        assert_eq!(PresenceEvent::decode(&Bytes::from_static(b"{\"v\":1}")), Err(EnvelopeError));
        assert_eq!(AnnouncementMoved::decode(&AnnouncementMoved::encode(7)).unwrap().seq, 7);
    }
}
