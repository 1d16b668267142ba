//! Names on the bus.

use std::fmt;

use protocol::{ConversationId, NodeId, OrgId, UserId};

/// Where an event is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    /// A conversation's events: the same bytes for every participant.
    Conversation(ConversationId),
    /// A user's own events, for all their devices.
    User(UserId),
    /// Whether a user is there, for those who watch them.
    Presence(UserId),
    /// A node: its probe of itself, and what others answer it.
    Node(NodeId),
    /// An org's announcements.
    Org(OrgId),
    /// All nodes: what they ask each other for an operator.
    Nodes,
}

const NODES: &str = "nodes";

/// Not the name of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a topic")]
pub struct TopicParseError;

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Conversation(id) => write!(f, "c:{id}"),
            Self::User(id) => write!(f, "u:{id}"),
            Self::Presence(id) => write!(f, "p:{id}"),
            Self::Node(id) => write!(f, "n:{id}"),
            Self::Org(id) => write!(f, "o:{id}"),
            Self::Nodes => f.write_str(NODES),
        }
    }
}

impl std::str::FromStr for Topic {
    type Err = TopicParseError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        if name == NODES {
            return Ok(Self::Nodes);
        }
        let (kind, id) = name.split_once(':').ok_or(TopicParseError)?;
        Ok(match kind {
            "c" => Self::Conversation(id.parse().map_err(|_| TopicParseError)?),
            "u" => Self::User(id.parse().map_err(|_| TopicParseError)?),
            "p" => Self::Presence(id.parse().map_err(|_| TopicParseError)?),
            "n" => Self::Node(id.parse().map_err(|_| TopicParseError)?),
            "o" => Self::Org(id.parse().map_err(|_| TopicParseError)?),
            _ => return Err(TopicParseError),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_reads_back_from_its_name_and_nothing_else_does() {
        for topic in [
            Topic::Conversation(ConversationId::generate()),
            Topic::User(UserId::generate()),
            Topic::Presence(UserId::generate()),
            Topic::Node(NodeId::generate()),
            Topic::Org(OrgId::generate()),
            Topic::Nodes,
        ] {
            assert_eq!(topic.to_string().parse(), Ok(topic));
        }
        for bad in ["", "c", "c:", "c:x", "x:0190b0a0-0000-7000-8000-000000000000", "nodes:"] {
            assert_eq!(bad.parse::<Topic>(), Err(TopicParseError), "{bad}");
        }
    }
}
