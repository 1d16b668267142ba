//! What nodes say to each other on the bus so that one of them can answer an operator for all. JSON: it is rare, and
//! nodes of two versions talk during a deploy. A field may be added, with a default; a question that a node does not
//! know is answered with [`Said::Unknown`].

use chat::CommitsView;
use gateway::inspect::{ConnectionView, DeliveryView, GatewayView, HeadView};
use protocol::{ConnectionId, ConversationId, NodeId, Seq, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// Something that a node says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "letter")]
pub(crate) enum Letter {
    /// To all: it is there, and answers. Said again every [`super::HERE`].
    Here { node: NodeId },
    /// To all: it answers no more.
    Gone { node: NodeId },
    /// To all.
    Question { id: Uuid, from: NodeId, ask: Value },
    /// To who asked.
    Answer { id: Uuid, node: NodeId, said: Value },
}

/// What is asked of every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "ask")]
pub(crate) enum Ask {
    /// Who are you, and how are you?
    Node,
    /// Who of this user is connected to you?
    Connections { user: UserId },
    /// End the connections of this user.
    DisconnectUser { user: UserId },
    /// End this connection.
    Disconnect { connection: ConnectionId },
    /// Let this node's connections move away, and take no new ones.
    Drain { node: NodeId },
    /// How far is this conversation with you?
    Head { conversation: ConversationId },
    /// What do you know of this change, of a message with this place, and of this user?
    Delivery { conversation: ConversationId, seq: Seq, place: Seq, user: UserId },
}

/// What a node answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "said")]
pub(crate) enum Said {
    Node(Box<NodeView>),
    Connections {
        connections: Vec<ConnectionView>,
    },
    /// So many were ended, or drained.
    Done {
        count: u64,
    },
    /// None: nobody who is connected here takes part in it.
    Head {
        head: Option<HeadView>,
    },
    Delivery {
        commits: CommitsView,
        delivery: Option<DeliveryView>,
    },
    /// This node does not know the question: it is of another version.
    Unknown,
}

/// A node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct NodeView {
    pub(crate) id: NodeId,
    /// The machine's name.
    pub(crate) host: String,
    /// Its public address.
    pub(crate) listen: String,
    /// `serve`, `gateway` or `api`.
    pub(crate) role: String,
    pub(crate) version: String,
    pub(crate) started_at: Timestamp,
    /// `ready`, `degraded` …, and what is wrong.
    pub(crate) state: String,
    /// Takes traffic.
    pub(crate) ready: bool,
    /// None on a node without sockets.
    pub(crate) gateway: Option<GatewayView>,
    /// Changes that wait to be committed, by lane.
    pub(crate) waiting: Vec<usize>,
    pub(crate) rates: Rates,
}

/// What a node did each second, of the last seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rates {
    /// Messages committed.
    pub(crate) messages: f64,
    /// Events heard from the bus.
    pub(crate) events: f64,
    /// Frames written to sockets.
    pub(crate) frames: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_of_a_later_version_is_still_a_question() {
        let id = Uuid::now_v7();
        let text = format!(
            r#"{{"letter":"question","id":"{id}","from":"{}","ask":{{"ask":"weather","where":1}},"more":2}}"#,
            NodeId::generate()
        );
        let Ok(Letter::Question { id: read, ask, .. }) = serde_json::from_str(&text) else { panic!("{text}") };
        assert!(read == id && serde_json::from_value::<Ask>(ask).is_err());
    }

    #[test]
    fn what_is_asked_and_said_comes_out_as_it_went_in() {
        for ask in [
            Ask::Node,
            Ask::Drain { node: NodeId::generate() },
            Ask::Delivery { conversation: ConversationId::generate(), seq: 7, place: 3, user: UserId::generate() },
        ] {
            let value = serde_json::to_value(ask).unwrap();
            assert_eq!(serde_json::from_value::<Ask>(value).unwrap(), ask);
        }
        for said in [Said::Done { count: 3 }, Said::Head { head: None }, Said::Unknown] {
            let value = serde_json::to_value(&said).unwrap();
            assert_eq!(serde_json::from_value::<Said>(value).unwrap(), said);
        }
    }
}
