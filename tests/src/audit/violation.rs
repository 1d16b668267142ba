//! What the auditor finds.

use std::{collections::BTreeMap, fmt, time::Duration};

use protocol::{ConversationId, MessageId, UserId};
use serde::{Deserialize, Serialize};

/// Which promise is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Something acknowledged is not stored.
    Lost,
    /// One send is stored twice, or one event came twice on a connection.
    Doubled,
    /// Events came in another order than that of `seq`.
    Reordered,
    /// A connection skipped a step of `seq`.
    Gap,
    /// Two tell different orders: a device and the store, an acknowledgement and the store.
    Diverged,
    /// Somebody heard what they may not.
    Leaked,
    /// A device went past a change and does not have it.
    Missing,
    /// Markers or counts are not what follows from the messages.
    WrongUnread,
    /// A device lacks a step of its user's feed.
    FeedNotWhole,
    /// Somebody who is gone is told online, or somebody who is there offline.
    GhostPresence,
    /// Who watches somebody is shown them otherwise than they are, or is told the same again, or too often.
    WrongWatch,
    /// A list that was kept from events is not what a fresh request gives.
    WrongList,
    /// A device is behind although it had all the time that it may take.
    Stale,
    /// A client that wants to be connected is not, after everything has settled.
    NotBack,
    /// The server sent what the protocol does not allow.
    Protocol,
}

/// One broken promise.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Violation {
    /// Which.
    pub kind: Kind,
    /// What happened, in words.
    pub what: String,
    /// Which conversation it is about.
    pub conversation: Option<ConversationId>,
    /// Which message.
    pub message: Option<MessageId>,
    /// Who suffers.
    pub user: Option<UserId>,
    /// Which device of [`Log::devices`](super::Log::devices).
    pub device: Option<usize>,
    /// When, if that is known.
    pub at: Option<Duration>,
    /// What everybody did and saw of it.
    #[serde(default)]
    pub timeline: Vec<String>,
}

impl Violation {
    pub(super) fn new(kind: Kind, what: impl Into<String>) -> Self {
        let (what, timeline) = (what.into(), Vec::new());
        Self { kind, what, conversation: None, message: None, user: None, device: None, at: None, timeline }
    }

    pub(super) fn of(mut self, conversation: ConversationId) -> Self {
        self.conversation = Some(conversation);
        self
    }

    pub(super) fn message(mut self, message: MessageId) -> Self {
        self.message = Some(message);
        self
    }

    pub(super) fn user(mut self, user: UserId) -> Self {
        self.user = Some(user);
        self
    }

    pub(super) fn device(mut self, device: usize) -> Self {
        self.device = Some(device);
        self
    }

    pub(super) fn at(mut self, at: Duration) -> Self {
        self.at = Some(at);
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.what)?;
        if let Some(at) = self.at {
            write!(f, " (at {:.3} s)", at.as_secs_f64())?;
        }
        for (name, id) in [
            ("conversation", self.conversation.map(|id| id.to_string())),
            ("message", self.message.map(|id| id.to_string())),
            ("user", self.user.map(|id| id.to_string())),
            ("device", self.device.map(|device| device.to_string())),
        ] {
            if let Some(id) = id {
                write!(f, ", {name} {id}")?;
            }
        }
        for line in &self.timeline {
            write!(f, "\n    {line}")?;
        }
        Ok(())
    }
}

/// How many of each kind, and the first few in full.
pub fn summary(violations: &[Violation]) -> String {
    let mut kinds: BTreeMap<Kind, usize> = BTreeMap::new();
    for violation in violations {
        *kinds.entry(violation.kind).or_default() += 1;
    }
    let first: Vec<_> = violations.iter().take(5).map(ToString::to_string).collect();
    format!("{} violations {kinds:?}\n{}", violations.len(), first.join("\n"))
}
