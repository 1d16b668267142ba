//! One answer from all that is known: the strongest thing that can be said. Pure.

use chat::EventView;
use gateway::inspect::{Fate, TracedConnection};
use protocol::{NodeId, Notify, Timestamp};
use serde::{Deserialize, Serialize};

use super::{TracedMessage, TracedNode, TracedParticipant, TracedUser};

/// Connections that fared worse than the verdict says, of which a note is made each.
const OTHERS: usize = 10;

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Stable, for programs; docs/admin.md lists them.
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
    /// The connection ended before it was written, and none is known to have come since.
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
    /// Other nodes were asked, or there are none.
    pub(super) asked: bool,
    /// Nodes that are gone, with when they were last heard.
    pub(super) gone: &'a [(NodeId, Timestamp)],
    /// Of nodes that were gone before this the one that was asked never heard.
    pub(super) listening_since: Timestamp,
    pub(super) now: Timestamp,
}

impl Facts<'_> {
    pub(super) fn verdict(&self) -> Verdict {
        let (code, says) = self.by_membership().or_else(|| self.by_markers()).unwrap_or_else(|| self.by_connections());
        Verdict { code, says }
    }

    /// When the change was committed; none: it is a later change of the message, and no node remembers it.
    fn at(&self) -> Option<Timestamp> {
        if self.message.traced_seq == self.message.seq {
            return Some(self.message.committed_at);
        }
        let commits = self.nodes.iter().flat_map(|node| &node.commits.commits).map(|commit| commit.committed_at);
        let handed_on = self.nodes.iter().filter_map(|node| Some(node.delivery.as_ref()?.handed_on?.at));
        commits.min().or(handed_on.min())
    }

    fn by_membership(&self) -> Option<(Code, String)> {
        let who = &self.user.username;
        let Some(part) = self.participant else {
            return Some((Code::NotAMember, format!("{who} never took part in the conversation.")));
        };
        let at = self.at();
        if part.left_at.zip(at).is_some_and(|(left, at)| left < at) {
            let says = format!("{who} no longer took part when it was committed.");
            return Some((Code::LeftBefore, says));
        }
        if self.message.seq <= part.access_since_seq {
            return Some((Code::JoinedLater, format!("It is from before {who} came, and they may not read it.")));
        }
        if at.is_some_and(|at| part.joined_at > at) {
            let says = format!(
                "{who} takes part since {}, which is after it was committed, and finds it in the history. Whether they did before that is not kept.",
                part.joined_at
            );
            return Some((Code::JoinedLater, says));
        }
        (part.last_seq < self.message.traced_seq).then(|| (Code::NotKnown, "The store has no such change.".to_owned()))
    }

    fn by_markers(&self) -> Option<(Code, String)> {
        let (part, who, seq) = (self.participant?, &self.user.username, self.message.traced_seq);
        if self.message.sender_id == self.user.id {
            // Their own messages move their markers.
            return None;
        }
        if part.read_seq >= seq {
            return Some((Code::Read, format!("{who} read up to {}, which is this one or later.", part.read_seq)));
        }
        (part.delivered_seq >= seq).then(|| {
            let says = format!("A device of {who} said that it has everything up to {}.", part.delivered_seq);
            (Code::Delivered, says)
        })
    }

    /// The connections that matter, the one that says most first: those that live, and those that ended later than the
    /// change came.
    fn ranked(&self) -> Vec<(NodeId, &TracedConnection)> {
        let deliveries = self.nodes.iter().filter_map(|node| Some((node.node, node.delivery.as_ref()?)));
        let all = deliveries.flat_map(|(node, delivery)| delivery.connections.iter().map(move |c| (node, c)));
        let at = self.at();
        let matters = |c: &TracedConnection| c.ended_at.zip(at).is_none_or(|(ended, at)| ended >= at);
        let mut connections: Vec<_> = all.filter(|(_, connection)| matters(connection)).collect();
        connections.sort_by_key(|(_, connection)| rank(connection));
        connections
    }

    fn by_connections(&self) -> (Code, String) {
        let ranked = self.ranked();
        let Some((node, connection)) = ranked.first() else { return self.without_connection() };
        let at = format!("Connection {} on node {node}", connection.id);
        let ended = connection.end.as_ref();
        let who = &self.user.username;
        let gone = |code: Code, says: String| match self.user.disabled_at {
            Some(_) => (Code::Disabled, format!("{says} {who} is disabled and cannot come back.")),
            None => (code, format!("{says} {who} gets it when they come back.")),
        };
        match connection.fate {
            Fate::Written => {
                let since = ended.map_or(String::new(), |end| format!(", which ended since ({end})"));
                (Code::Written, format!("It was written to {}{since}; no device of {who} confirmed it.", lower(&at)))
            }
            Fate::Waiting { bytes } => {
                let says = format!("It waits for {}, which reads too slowly: {bytes} bytes wait for it.", lower(&at));
                (Code::Waiting, says)
            }
            Fate::Starting => (Code::Starting, format!("{at} is still reading what it missed; it comes with that.")),
            Fate::ByResume { from } => {
                let says = format!(
                    "{at} goes on after {from}: it came with its resume, or the client said that it had it, or reads it by REST."
                );
                (Code::Resumed, says)
            }
            Fate::Skipped => {
                let says = format!("{at} missed too much: its client was asked to fetch it (resync_required).");
                (Code::AskedToFetch, says)
            }
            Fate::Hidden => (Code::JoinedLater, format!("It is from before {who} may read.")),
            Fate::Lost => gone(Code::Lost, format!("{at} ended ({}) before it was written.", ended.map_or("?", |e| e))),
            Fate::NotReceived if ended.is_some() => gone(Code::Lost, format!("{at} ended before the node got it.")),
            Fate::NotReceived => self.not_received(&at),
            Fate::NotFollowing if self.no_longer_theirs() => {
                let says = format!("{at} does not follow the conversation any more; what became of it is not known.");
                (Code::NotKnown, says)
            }
            Fate::NotFollowing => {
                let says = format!("{at} does not follow the conversation (see STARLING_CONNECTION_CONVERSATIONS).");
                (Code::NotFollowing, says)
            }
            Fate::Unknown => (Code::NotKnown, format!("{at} was there; what became of it is not remembered.")),
        }
    }

    /// They left, or the conversation was deleted, since.
    fn no_longer_theirs(&self) -> bool {
        self.participant.is_some_and(|part| part.left_at.is_some() || part.conversation_deleted_at.is_some())
    }

    fn not_received(&self, at: &str) -> (Code, String) {
        let mut commits = self.nodes.iter().flat_map(|node| &node.commits.commits).peekable();
        let committed_here = commits.peek().is_some();
        if committed_here && !commits.any(|commit| matches!(commit.event, EventView::Published { .. })) {
            let says = format!(
                "Its event did not go out over Redis, and the node of {} has not read the store yet.",
                lower(at)
            );
            return (Code::NotPublished, says);
        }
        let says = format!("The node of {} has not got it: neither from Redis nor from the store, yet.", lower(at));
        (Code::NotReceived, says)
    }

    fn without_connection(&self) -> (Code, String) {
        let who = &self.user.username;
        if self.user.disabled_at.is_some() {
            return (Code::Disabled, format!("{who} is disabled: no connection is possible."));
        }
        if !self.is_complete() {
            let says = format!("No connection of {who} is known; the notes say what nobody knows any more.");
            return (Code::NotKnown, says);
        }
        (Code::NotConnected, format!("{who} had no connection then or since; they get it when they come back."))
    }

    /// Every node that may have had a connection since then has answered, and remembers that time.
    fn is_complete(&self) -> bool {
        let Some(at) = self.at() else { return false };
        let remember = |node: &TracedNode| node.delivery.as_ref().is_none_or(|d| d.remembers_ends_since <= at);
        self.asked
            && self.silent.is_empty()
            && self.listening_since <= at
            && self.gone.iter().all(|(_, heard)| *heard < at)
            && self.nodes.iter().all(remember)
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = self.about_them();
        notes.extend(self.about_other_connections());
        notes.extend(self.about_memories());
        notes
    }

    fn about_them(&self) -> Vec<String> {
        let (mut notes, who) = (Vec::new(), &self.user.username);
        if let Some(part) = self.participant {
            if part.muted_until.is_some_and(|until| until > self.now) || part.notify == Notify::None {
                notes.push(format!("{who} muted the conversation: messages come, notifications do not."));
            }
            if let Some(left) = part.left_at {
                notes.push(format!("{who} left the conversation at {left}: it is not shown to them any more."));
            }
            if let Some(deleted) = part.conversation_deleted_at {
                notes.push(format!("The conversation was deleted at {deleted}."));
            }
        }
        // What was erased with its conversation has the conversation's time.
        let with_it = self.participant.and_then(|part| part.conversation_deleted_at);
        if let Some(deleted) = self.message.deleted_at.filter(|deleted| Some(*deleted) != with_it) {
            notes.push(format!("The message was deleted at {deleted}."));
        }
        notes
    }

    /// Somebody asks about one device, and another one may have it.
    fn about_other_connections(&self) -> Vec<String> {
        let ranked = self.ranked();
        let best = ranked.first().map(|(_, connection)| rank(connection));
        let worse = ranked.into_iter().filter(|(_, connection)| Some(rank(connection)) > best);
        let note = |(node, connection): (NodeId, &TracedConnection)| {
            let (over, id, fate) = (&connection.transport, connection.id, connection.fate.name());
            format!("Another connection of theirs, {id} ({over}, node {node}): {fate}.")
        };
        worse.take(OTHERS).map(note).collect()
    }

    /// What nobody knows any more.
    fn about_memories(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let Some(at) = self.at() else {
            notes.push("When this change was committed is not remembered: who took part then is not looked at.".into());
            return notes;
        };
        if self.nodes.iter().all(|node| node.commits.commits.is_empty()) {
            notes.push(
                "No node remembers to have committed it: the one that did was restarted, or has forgotten.".into(),
            );
        }
        for node in self.nodes {
            match node.delivery.as_ref().map(|delivery| delivery.remembers_since) {
                Some(Some(since)) if since > at => {
                    notes.push(format!("Node {} knows nothing of deliveries before {since}.", node.node));
                }
                Some(None) => notes.push(format!("Node {} is set to remember nothing.", node.node)),
                _ => {}
            }
        }
        notes.extend(self.silent.iter().map(|node| format!("Node {node} did not answer, or cannot.")));
        let gone = self.gone.iter().filter(|(_, heard)| *heard >= at);
        notes.extend(gone.map(|(node, heard)| format!("Node {node} is gone since {heard}, and what it knew with it.")));
        if self.listening_since > at {
            let since = self.listening_since;
            notes.push(format!("The node that was asked hears of the others since {since}: earlier ones may be gone."));
        }
        if !self.asked {
            notes.push("Redis is away: no other node was asked.".into());
        }
        notes
    }
}

/// In the middle of a sentence.
fn lower(text: &str) -> String {
    text.replacen('C', "c", 1)
}

/// Which says most: the lowest. Those that live come before those that ended, but for what was written.
fn rank(connection: &TracedConnection) -> u8 {
    let rank = match connection.fate {
        Fate::Written => return 0,
        Fate::Waiting { .. } => 1,
        Fate::Starting => 2,
        Fate::ByResume { .. } => 3,
        Fate::Skipped => 4,
        Fate::Hidden => 5,
        Fate::NotReceived => 6,
        Fate::Lost => 7,
        Fate::Unknown => 8,
        Fate::NotFollowing => 9,
    };
    if connection.ended_at.is_some() { rank + 10 } else { rank }
}

#[cfg(test)]
mod tests;
