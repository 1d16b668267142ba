//! What the bus carries. A small header that nodes act on, and the event's frame exactly as sockets get it, so
//! that a node slices the bytes out of the payload and shares them among its connections.
//!
//! Versioned JSON: unknown fields are ignored; a payload that does not parse, or is of another version, counts as
//! not received (the hole it leaves is filled from the store).

use std::borrow::Cow;

use bytes::Bytes;
use protocol::{Presence, Seq, UserId, UserSeq};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The version this node writes and reads.
pub const VERSION: u32 = 1;

/// On a conversation's topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConversationEvent {
    /// The change's seq; none for an ephemeral event (a receipt, typing).
    pub seq: Option<Seq>,
    /// The seq of the message that was created or changed: those who may read from later on do not get it.
    pub place: Option<Seq>,
    /// Who no longer takes part after this event: they get it, and nothing after it.
    pub removed: Vec<UserId>,
    /// Nobody takes part after this event: the conversation was deleted. False from nodes of a version that did not say
    /// it: then subscriptions stay until their connections end.
    pub ends: bool,
    /// Of a change, or of a marker of a conversation: the epoch of the database that it was committed to, UTF-8. After
    /// a restore the places of the lost future are given again, and this alone tells which of the two an event that
    /// comes late is of. None where nothing is stored (typing) or it does not matter for long (profiles, the marker of
    /// announcements), and from nodes of a version that did not say it.
    pub epoch: Option<Bytes>,
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
}

/// On a user's topic: their feed moved; nodes that hold their connections read it from the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedMoved {
    /// [`VERSION`].
    pub v: u32,
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
    pub v: u32,
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
    pub v: u32,
    /// The last announcement's seq.
    pub seq: u64,
}

/// Not a payload of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a payload of version {VERSION}")]
pub struct EnvelopeError;

#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<Seq>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    place: Option<Seq>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    removed: Cow<'a, [UserId]>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    ends: bool,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    epoch: Option<&'a str>,
    #[serde(borrow)]
    frame: &'a RawValue,
}

impl ConversationEvent {
    /// Serialises a change around an event that serialises to the frame.
    pub fn encode_change(at: ChangePlace<'_>, event: &impl Serialize) -> serde_json::Result<Bytes> {
        let frame = serde_json::value::to_raw_value(event)?;
        let wire = Wire {
            v: VERSION,
            seq: Some(at.seq),
            place: Some(at.place),
            removed: Cow::Borrowed(at.removed),
            ends: at.ends,
            epoch: Some(at.epoch),
            frame: &frame,
        };
        serde_json::to_vec(&wire).map(Bytes::from)
    }

    /// Serialises an ephemeral event that serialises to the frame; for the epoch see [`Self::epoch`].
    pub fn encode_ephemeral(event: &impl Serialize, epoch: Option<&str>) -> serde_json::Result<Bytes> {
        let frame = serde_json::value::to_raw_value(event)?;
        let removed = Cow::default();
        let wire = Wire { v: VERSION, seq: None, place: None, removed, ends: false, epoch, frame: &frame };
        serde_json::to_vec(&wire).map(Bytes::from)
    }

    /// Reads a payload; the frame shares the payload's memory.
    pub fn decode(payload: &Bytes) -> Result<Self, EnvelopeError> {
        let wire: Wire<'_> = serde_json::from_slice(payload).map_err(|_| EnvelopeError)?;
        if wire.v != VERSION {
            return Err(EnvelopeError);
        }
        let epoch = wire.epoch.map(|epoch| payload.slice_ref(epoch.as_bytes()));
        let frame = payload.slice_ref(wire.frame.get().as_bytes());
        let Wire { seq, place, removed, ends, .. } = wire;
        Ok(Self { seq, place, removed: removed.into_owned(), ends, epoch, frame })
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

#[derive(Serialize, Deserialize)]
struct UserWire<'a> {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_seq: Option<UserSeq>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    epoch: Option<&'a str>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    frame: Option<&'a RawValue>,
}

impl UserEvent {
    /// An ephemeral frame as payload; for the epoch see [`ConversationEvent::epoch`].
    pub fn encode_frame(event: &impl Serialize, epoch: Option<&str>) -> serde_json::Result<Bytes> {
        let frame = serde_json::value::to_raw_value(event)?;
        serde_json::to_vec(&UserWire { v: VERSION, user_seq: None, epoch, frame: Some(&frame) }).map(Bytes::from)
    }

    /// Reads a payload; a frame shares the payload's memory.
    pub fn decode(payload: &Bytes) -> Result<Self, EnvelopeError> {
        let wire: UserWire<'_> = serde_json::from_slice(payload).map_err(|_| EnvelopeError)?;
        match wire {
            UserWire { v: VERSION, user_seq: Some(user_seq), frame: None, .. } => Ok(Self::FeedMoved(user_seq)),
            UserWire { v: VERSION, user_seq: None, epoch, frame: Some(frame) } => Ok(Self::Frame {
                frame: payload.slice_ref(frame.get().as_bytes()),
                epoch: epoch.map(|epoch| payload.slice_ref(epoch.as_bytes())),
            }),
            _ => Err(EnvelopeError),
        }
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

#[derive(Serialize, Deserialize)]
struct PresenceWire<'a> {
    v: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    presence: Option<Presence>,
    #[serde(default, borrow, skip_serializing_if = "Option::is_none")]
    frame: Option<&'a RawValue>,
}

impl PresenceEvent {
    /// An ephemeral frame as payload.
    pub fn encode_frame(event: &impl Serialize) -> serde_json::Result<Bytes> {
        let frame = serde_json::value::to_raw_value(event)?;
        serde_json::to_vec(&PresenceWire { v: VERSION, presence: None, frame: Some(&frame) }).map(Bytes::from)
    }

    /// Reads a payload; a frame shares the payload's memory.
    pub fn decode(payload: &Bytes) -> Result<Self, EnvelopeError> {
        let wire: PresenceWire<'_> = serde_json::from_slice(payload).map_err(|_| EnvelopeError)?;
        match wire {
            PresenceWire { v: VERSION, presence: Some(presence), frame: None } => Ok(Self::Changed(presence)),
            PresenceWire { v: VERSION, presence: None, frame: Some(frame) } => {
                Ok(Self::Frame(payload.slice_ref(frame.get().as_bytes())))
            }
            _ => Err(EnvelopeError),
        }
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
        let at = ChangePlace { seq: 7, place: 3, removed: &[user], ends: true, epoch: "e1" };
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
    fn a_node_that_does_not_say_of_which_epoch_an_event_is_is_understood() {
        let payload = Bytes::from_static(br#"{"v":1,"seq":7,"place":7,"frame":{"type":"x"}}"#);
        let event = ConversationEvent::decode(&payload).unwrap();
        assert_eq!((event.seq, event.ends, event.epoch), (Some(7), false, None));
        let payload = Bytes::from_static(br#"{"v":1,"frame":{"type":"x"}}"#);
        assert!(matches!(UserEvent::decode(&payload), Ok(UserEvent::Frame { epoch: None, .. })));
    }

    #[test]
    fn what_another_program_publishes_is_refused() {
        for bad in [&b"hello"[..], b"{}", b"{\"v\":2,\"frame\":{}}", b"\xff\xfe", b""] {
            assert_eq!(ConversationEvent::decode(&Bytes::copy_from_slice(bad)), Err(EnvelopeError));
            assert_eq!(FeedMoved::decode(bad), Err(EnvelopeError));
            assert_eq!(PresenceChanged::decode(bad), Err(EnvelopeError));
            assert_eq!(AnnouncementMoved::decode(bad), Err(EnvelopeError));
        }
        for bad in ["{\"v\":1}", "{\"v\":2,\"user_seq\":1}", "{\"v\":1,\"user_seq\":1,\"frame\":{}}", "[]"] {
            assert_eq!(UserEvent::decode(&Bytes::from_static(bad.as_bytes())), Err(EnvelopeError), "{bad}");
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
