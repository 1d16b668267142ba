//! One answer from all that is known: the strongest thing that can be said.

use chat::EventView;
use gateway::inspect::{Fate, TracedConnection};
use protocol::{NodeId, Notify, Timestamp};
use serde::{Deserialize, Serialize};

use super::{TracedMessage, TracedNode, TracedParticipant, TracedUser};

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Stable, for programs; docs/operations.md lists them.
    pub(crate) code: Code,
    /// The same in a sentence.
    pub(crate) says: String,
}

/// The answer in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    /// They never took part in the conversation.
    NotAMember,
    /// They had left, or were removed, before.
    LeftBefore,
    /// They came later.
    JoinedLater,
    /// They read it.
    Read,
    /// One of their devices said that it has it.
    Delivered,
    /// It was written to a connection of theirs.
    Written,
    /// It waits for a connection that reads too slowly.
    Waiting,
    /// A connection of theirs is reading what it missed.
    Starting,
    /// A connection that began later resumed past it.
    Resumed,
    /// A client of theirs was asked to fetch it by REST.
    AskedToFetch,
    /// The connection ended before it was written, and none came since.
    Lost,
    /// The node of their connection has not got it.
    NotReceived,
    /// Its event did not go out, and the node of their connection has not read it from the store yet.
    NotPublished,
    /// They are connected, and that connection does not follow the conversation.
    NotFollowing,
    /// Their account is disabled: nobody can connect with it.
    Disabled,
    /// No connection of theirs, then or since.
    NotConnected,
    /// Nobody knows any more.
    NotKnown,
}

/// All that is known.
pub(super) struct Facts<'a> {
    pub(super) message: &'a TracedMessage,
    pub(super) user: &'a TracedUser,
    pub(super) participant: Option<&'a TracedParticipant>,
    pub(super) nodes: &'a [TracedNode],
    pub(super) silent: &'a [NodeId],
    /// Other nodes were asked at all.
    pub(super) asked: bool,
    pub(super) now: Timestamp,
}

impl Facts<'_> {
    pub(super) fn verdict(&self) -> Verdict {
        let (code, says) = self.by_membership().or_else(|| self.by_markers()).unwrap_or_else(|| self.by_connections());
        Verdict { code, says }
    }

    fn by_membership(&self) -> Option<(Code, String)> {
        let (who, seq) = (&self.user.username, self.message.traced_seq);
        let Some(part) = self.participant else {
            return Some((Code::NotAMember, format!("{who} never took part in the conversation.")));
        };
        let committed = self.message.committed_at;
        if part.left_at.is_some_and(|left| left < committed) {
            let says = format!("{who} no longer took part when it was committed.");
            return Some((Code::LeftBefore, says));
        }
        if part.joined_at > committed || self.message.seq <= part.access_since_seq {
            let may = if self.message.seq > part.access_since_seq { "finds it" } else { "may not read it" };
            let says = format!("{who} joined after it was committed, got no event of it, and {may} in the history.");
            return Some((Code::JoinedLater, says));
        }
        (part.last_seq < seq).then(|| (Code::NotKnown, "The store has no such change.".to_owned()))
    }

    fn by_markers(&self) -> Option<(Code, String)> {
        let (part, who, seq) = (self.participant?, &self.user.username, self.message.traced_seq);
        if part.read_seq >= seq && self.message.sender_id != self.user.id {
            return Some((Code::Read, format!("{who} read up to {}, which is this one or later.", part.read_seq)));
        }
        let says = || format!("A device of {who} said that it has everything up to {}.", part.delivered_seq);
        (part.delivered_seq >= seq && self.message.sender_id != self.user.id).then(|| (Code::Delivered, says()))
    }

    fn by_connections(&self) -> (Code, String) {
        let who = &self.user.username;
        let best = self.connections().min_by_key(|(_, connection)| rank(connection.fate));
        let Some((node, connection)) = best else { return self.without_connection() };
        let at = format!("connection {} on node {node}", connection.id);
        match connection.fate {
            Fate::Written => {
                let ended = connection.end.as_ref().map_or(String::new(), |end| format!(", which ended since ({end})"));
                let says = format!("It was written to {at}{ended}; no device of {who} confirmed it.");
                (Code::Written, says)
            }
            Fate::Waiting { bytes } => {
                (Code::Waiting, format!("It waits for {at}, which reads too slowly: {bytes} bytes wait for it."))
            }
            Fate::Starting => (Code::Starting, format!("{at} is still reading what it missed; it comes with that.")),
            Fate::ByResume { from } => {
                let says = format!(
                    "{at} began later and goes on after {from}: it came with its resume, or the client said that it had it."
                );
                (Code::Resumed, says)
            }
            Fate::Skipped => {
                let says = format!("Too much was missing: the client of {at} was asked to fetch it (resync_required).");
                (Code::AskedToFetch, says)
            }
            Fate::Hidden => (Code::JoinedLater, format!("It is from before {who} may read.")),
            Fate::Lost => {
                let end = connection.end.as_deref().unwrap_or("?");
                let says = format!("{at} ended ({end}) before it was written; {who} gets it when they come back.");
                (Code::Lost, says)
            }
            Fate::NotReceived => self.not_received(&at, connection.ended_at.is_some()),
            Fate::NotFollowing => {
                let says = format!("{at} does not follow the conversation (see STARLING_CONNECTION_CONVERSATIONS).");
                (Code::NotFollowing, says)
            }
            Fate::Unknown => (Code::NotKnown, format!("{at} was there; what became of it is not remembered.")),
        }
    }

    fn not_received(&self, at: &str, ended: bool) -> (Code, String) {
        let commits = || self.nodes.iter().flat_map(|node| &node.commits.commits);
        if ended {
            return (Code::Lost, format!("{at} ended before the node got it; they get it when they come back."));
        }
        let out = commits().any(|commit| matches!(commit.event, EventView::Published { .. }));
        if commits().next().is_some() && !out {
            let says = format!("Its event did not go out over Redis, and the node of {at} has not read the store yet.");
            return (Code::NotPublished, says);
        }
        (Code::NotReceived, format!("The node of {at} has not got it: neither from Redis nor from the store, yet."))
    }

    fn without_connection(&self) -> (Code, String) {
        let who = &self.user.username;
        if self.user.disabled_at.is_some() {
            return (Code::Disabled, format!("{who} is disabled: no connection is possible."));
        }
        if self.forgot() || !self.silent.is_empty() || !self.asked {
            let says = format!("No connection of {who} is known; the notes say what nobody knows any more.");
            return (Code::NotKnown, says);
        }
        (Code::NotConnected, format!("{who} had no connection then or since; they get it when they come back."))
    }

    fn connections(&self) -> impl Iterator<Item = (NodeId, &TracedConnection)> {
        let deliveries = self.nodes.iter().filter_map(|node| Some((node.node, node.delivery.as_ref()?)));
        deliveries.flat_map(|(node, delivery)| delivery.connections.iter().map(move |c| (node, c)))
    }

    /// Whether a node does not remember the time of the message.
    fn forgot(&self) -> bool {
        let deliveries = self.nodes.iter().filter_map(|node| node.delivery.as_ref());
        deliveries.into_iter().any(|delivery| delivery.remembers_ends_since > self.message.committed_at)
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let who = &self.user.username;
        let committed = self.message.committed_at;
        if let Some(part) = self.participant {
            if part.muted_until.is_some_and(|until| until > self.now) || part.notify == Notify::None {
                notes.push(format!("{who} muted the conversation: messages come, notifications do not."));
            }
            if let Some(left) = part.left_at.filter(|left| *left >= committed) {
                notes.push(format!("{who} left the conversation later, at {left}: it is not shown to them any more."));
            }
        }
        if let Some(deleted) = self.message.deleted_at {
            notes.push(format!("The message was deleted at {deleted}."));
        }
        if self.nodes.iter().all(|node| node.commits.commits.is_empty()) {
            notes.push(
                "No node remembers to have committed it: the one that did was restarted, or has forgotten.".into(),
            );
        }
        for node in self.nodes {
            match node.delivery.as_ref().map(|delivery| delivery.remembers_since) {
                Some(Some(since)) if since > committed => {
                    notes.push(format!("Node {} knows nothing of deliveries before {since}.", node.node));
                }
                Some(None) => notes.push(format!("Node {} is set to remember nothing.", node.node)),
                _ => {}
            }
        }
        notes.extend(self.silent.iter().map(|node| format!("Node {node} did not answer, or cannot.")));
        if !self.asked {
            notes.push("Redis is away: no other node was asked.".into());
        }
        notes
    }
}

/// Which says most: the lowest.
fn rank(fate: Fate) -> u8 {
    match fate {
        Fate::Written => 0,
        Fate::Waiting { .. } => 1,
        Fate::Starting => 2,
        Fate::ByResume { .. } => 3,
        Fate::Skipped => 4,
        Fate::Hidden => 5,
        Fate::NotReceived => 6,
        Fate::Lost => 7,
        Fate::Unknown => 8,
        Fate::NotFollowing => 9,
    }
}
