//! What nodes say of a user, and what that is together.

use protocol::{ConversationId, NodeId, PresenceState, UserId};

/// What one node says of a user: the most active of their connections there, and what is on their screens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodePresence {
    /// Who.
    pub user: UserId,
    /// `Offline`: no connection there (any more).
    pub state: PresenceState,
    /// Conversations that have the focus; beyond [`FOCUS_MAX`] the bus forgets them.
    pub focus: Vec<ConversationId>,
}

/// What all nodes that hold a lease say of a user together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserPresence {
    /// Who.
    pub user: UserId,
    /// The most active of all their connections.
    pub state: PresenceState,
    /// Conversations that have the focus on one of them, ascending.
    pub focus: Vec<ConversationId>,
}

/// Most conversations that one node says have a user's focus.
pub const FOCUS_MAX: usize = 64;

/// What several nodes say of one user.
pub(crate) fn together<'a>(
    user: UserId,
    said: impl Iterator<Item = (PresenceState, &'a [ConversationId])>,
) -> UserPresence {
    let mut all = UserPresence { user, state: PresenceState::Offline, focus: Vec::new() };
    for (state, focus) in said {
        all.state = all.state.max(state);
        all.focus.extend(focus.iter().take(FOCUS_MAX));
    }
    all.focus.sort_unstable();
    all.focus.dedup();
    all
}

/// A node's words as a short text: `o` or `a` (online, away), then each focused conversation after a comma.
pub(crate) fn encode(said: &NodePresence) -> String {
    let mut text = String::from(if said.state == PresenceState::Online { "o" } else { "a" });
    for id in said.focus.iter().take(FOCUS_MAX) {
        text.push(',');
        text.push_str(&id.to_string());
    }
    text
}

/// Reads it back; none for anything else, which then counts as not said.
pub(crate) fn decode(text: &[u8]) -> Option<(PresenceState, Vec<ConversationId>)> {
    let mut parts = std::str::from_utf8(text).ok()?.split(',');
    let state = match parts.next()? {
        "o" => PresenceState::Online,
        "a" => PresenceState::Away,
        _ => return None,
    };
    let focus = parts.map(str::parse).take(FOCUS_MAX + 1).collect::<Result<Vec<_>, _>>().ok()?;
    (focus.len() <= FOCUS_MAX).then_some((state, focus))
}

/// Names of nodes, of those that are names.
pub(crate) fn nodes(names: Vec<Vec<u8>>) -> Vec<NodeId> {
    let parse = |name: Vec<u8>| std::str::from_utf8(&name).ok()?.parse().ok();
    let mut nodes: Vec<_> = names.into_iter().filter_map(parse).collect();
    nodes.sort_unstable();
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_and_nothing_else_does() {
        let focus: Vec<_> = (0..3).map(|_| ConversationId::generate()).collect();
        for (state, focus) in [
            (PresenceState::Online, Vec::new()),
            (PresenceState::Away, focus.clone()),
            (PresenceState::Online, focus[..1].to_vec()),
        ] {
            let said = NodePresence { user: UserId::generate(), state, focus };
            assert_eq!(decode(encode(&said).as_bytes()), Some((said.state, said.focus)));
        }
        let many = NodePresence {
            user: UserId::generate(),
            state: PresenceState::Online,
            focus: (0..1_000).map(|_| ConversationId::generate()).collect(),
        };
        assert_eq!(decode(encode(&many).as_bytes()).map(|(_, focus)| focus.len()), Some(FOCUS_MAX));
        let long = format!("o{}", format!(",{}", focus[0]).repeat(FOCUS_MAX + 1));
        for bad in [&b""[..], b"x", b"online", b"o,", b"o,nope", b"\xff", b",o", long.as_bytes()] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }
}
