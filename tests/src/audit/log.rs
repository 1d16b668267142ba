//! What clients did and saw, as plain data: the simulation fills it with virtual times, real processes with real ones.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use protocol::{
    Conversation, ConversationId, ErrorCode, Message, MessageId, PresenceState, Receipt, Seq, Unread, UserId,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Own;

/// Everything, over all people and devices. Times are offsets from the run's start.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Log {
    /// Everybody who took part.
    pub users: Vec<UserId>,
    /// Their devices.
    pub devices: Vec<DeviceLog>,
    /// What people did, over the socket or over REST.
    pub acts: Vec<Act>,
    /// What they were answered at the end, after everything had settled.
    pub looked: Vec<Looked>,
    /// Who was told to be there, and who was.
    pub presence: Vec<PresenceSeen>,
    /// Who was there at some moments when everything had been heard of, for what watchers showed then.
    #[serde(default)]
    pub rolls: Vec<Roll>,
    /// Ephemeral frames were dropped from outboxes: what may have been among them is told again.
    pub drops: bool,
    /// Since when nobody did anything any more.
    pub quiet_since: Option<Duration>,
    /// When everybody began to leave: until then whoever is [`settled`](DeviceLog::settled) wanted to be connected.
    #[serde(default)]
    pub left_at: Option<Duration>,
    /// Where newcomers may not read what was before them.
    pub since_join: BTreeSet<ConversationId>,
    /// What is outside of conversations.
    #[serde(default)]
    pub own: Own,
}

/// One device, over all of its connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceLog {
    /// Whose.
    pub user: UserId,
    /// What happened, in order.
    pub entries: Vec<Entry>,
    /// At the end it wanted to be connected, and everything had time to settle: it must be, and be whole.
    pub settled: bool,
}

/// One thing that happened on a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Duration,
    /// What.
    pub what: Happened,
}

/// What happens on a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Happened {
    /// A connection began.
    Opened,
    /// It sent this frame.
    Said(Value),
    /// This frame came.
    Heard(Value),
    /// The connection ended.
    Closed(u16),
    /// A fresh `GET conversations`, all pages of it, gave this.
    Listed {
        /// When it was asked for: what it shows may be older than what came since.
        asked: Duration,
        /// The list.
        conversations: Vec<Conversation>,
    },
}

/// One thing that somebody did, with all its retries.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Act {
    /// When it was first tried.
    pub at: Duration,
    /// When its answer came, or it was given up.
    pub until: Duration,
    /// By whom.
    pub user: UserId,
    /// What.
    pub deed: Deed,
    /// What came of it.
    pub outcome: Outcome,
}

/// What people do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Deed {
    /// A text. Its first word is unique to this send and stays when it is edited.
    Send {
        /// Where.
        conversation: ConversationId,
        /// Under which name.
        client_id: String,
        /// The text.
        content: String,
    },
    /// Another text, with the first word of the old one.
    Edit {
        /// Where.
        conversation: ConversationId,
        /// Which.
        message: MessageId,
        /// The text, unique to this edit.
        content: String,
    },
    /// A deletion.
    Delete {
        /// Where.
        conversation: ConversationId,
        /// Which.
        message: MessageId,
    },
    /// A reaction given (on) or taken back.
    React {
        /// Where.
        conversation: ConversationId,
        /// To which.
        message: MessageId,
        /// Which.
        emoji: String,
        /// Given.
        on: bool,
    },
    /// Pinned (on) or not any more.
    Pin {
        /// Where.
        conversation: ConversationId,
        /// Which.
        message: MessageId,
        /// Pinned.
        on: bool,
    },
    /// The read marker moved.
    Read {
        /// Where.
        conversation: ConversationId,
        /// Up to here.
        seq: Seq,
    },
    /// Somebody is in it from now on (on), or not any more: added, removed, joined or left.
    Member {
        /// Where.
        conversation: ConversationId,
        /// Who.
        who: UserId,
        /// In.
        on: bool,
    },
}

/// What came of a deed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Acknowledged, with the message as it then was, where there is one.
    Done(Option<Box<Message>>),
    /// Refused for good: it was not done, unless an earlier try was.
    Refused(ErrorCode),
    /// Nobody knows.
    Unknown,
}

/// What somebody was answered when they looked, after everything had settled.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Looked {
    /// Who.
    pub user: UserId,
    /// All pages of `GET conversations`.
    pub conversations: Vec<Conversation>,
    /// `GET unread`.
    pub unread: Option<Unread>,
}

/// What was told of somebody's presence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PresenceSeen {
    /// When.
    pub at: Duration,
    /// Of whom.
    pub user: UserId,
    /// What was told: online or away, not offline.
    pub online: bool,
    /// What must be told, after every bound has passed.
    pub expected: bool,
    /// By whom or what: a node, a watcher.
    pub by: String,
}

/// Who was there at a moment, after whoever watches them had had the time to hear of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Roll {
    /// When.
    pub at: Duration,
    /// Everybody, as they were: what the api told where that can be.
    pub states: BTreeMap<UserId, PresenceState>,
    /// Who may not see whom at that moment: what they show is not judged.
    #[serde(default)]
    pub unseen: BTreeSet<(UserId, UserId)>,
    /// Who sees whom and perhaps did not all the time: they need not show them, since nothing brings back who was out
    /// of sight when they were asked for.
    #[serde(default)]
    pub seen_again: BTreeSet<(UserId, UserId)>,
}

impl Deed {
    /// Where.
    pub fn conversation(&self) -> ConversationId {
        match self {
            Self::Send { conversation, .. }
            | Self::Edit { conversation, .. }
            | Self::Delete { conversation, .. }
            | Self::React { conversation, .. }
            | Self::Pin { conversation, .. }
            | Self::Read { conversation, .. }
            | Self::Member { conversation, .. } => *conversation,
        }
    }

    /// On which message that was there already.
    pub fn message(&self) -> Option<MessageId> {
        match self {
            Self::Edit { message, .. }
            | Self::Delete { message, .. }
            | Self::React { message, .. }
            | Self::Pin { message, .. } => Some(*message),
            Self::Send { .. } | Self::Read { .. } | Self::Member { .. } => None,
        }
    }
}

impl Act {
    /// The message that acknowledged it.
    pub fn acknowledged(&self) -> Option<&Message> {
        match &self.outcome {
            Outcome::Done(message) => message.as_deref(),
            Outcome::Refused(_) | Outcome::Unknown => None,
        }
    }

    /// Its answer was lost: it may have been done, and may still be done.
    pub fn is_unknown(&self) -> bool {
        matches!(self.outcome, Outcome::Unknown)
    }

    /// It was acknowledged.
    pub fn is_done(&self) -> bool {
        matches!(self.outcome, Outcome::Done(_))
    }
}

impl Log {
    /// Every receipt that a device was told, in order: by events and by replies to `hello`.
    pub(super) fn receipts(entries: &[Entry]) -> impl Iterator<Item = (Duration, Receipt)> {
        entries.iter().flat_map(|entry| {
            let Happened::Heard(frame) = &entry.what else { return Vec::new() };
            let told = match frame["type"].as_str() {
                Some("receipt.updated") => vec![frame["data"].clone()],
                Some("reply") => frame["data"]["receipts"].as_array().cloned().unwrap_or_default(),
                _ => Vec::new(),
            };
            told.into_iter().filter_map(|one| Some((entry.at, serde_json::from_value(one).ok()?))).collect()
        })
    }
}

/// The word of a text that is unique to its send.
pub fn token(content: &str) -> &str {
    content.split_whitespace().next().unwrap_or_default()
}
