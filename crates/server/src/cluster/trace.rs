//! Why did X not get Y? What the store has, what the node that committed it knows, what every node did with it and what
//! became of it on each of X's connections, put together into one answer. It says plainly what nobody knows any more.

mod verdict;

use chat::{CommitsView, Result};
use gateway::inspect::DeliveryView;
use protocol::{ConversationId, MessageId, NodeId, Notify, Role, Seq, Timestamp, User, UserId};
use serde::{Deserialize, Serialize};

pub(crate) use self::verdict::Verdict;
use super::{Ask, Cluster, Said};

/// Which message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Which {
    Id(MessageId),
    /// Its place in a conversation, or that of its last change.
    At(ConversationId, Seq),
}

/// The whole answer.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Trace {
    pub(crate) verdict: Verdict,
    pub(crate) message: TracedMessage,
    pub(crate) user: TracedUser,
    /// None: they never took part in the conversation.
    pub(crate) participant: Option<TracedParticipant>,
    /// What each node knows.
    pub(crate) nodes: Vec<TracedNode>,
    /// Nodes that are there and did not answer.
    pub(crate) silent: Vec<NodeId>,
    /// What one has to know besides, a sentence each: above all what nobody knows any more.
    pub(crate) notes: Vec<String>,
}

/// The message, without what it says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TracedMessage {
    pub(crate) id: MessageId,
    pub(crate) conversation_id: ConversationId,
    pub(crate) seq: Seq,
    /// The change that is looked for: the message itself, or its last change.
    pub(crate) traced_seq: Seq,
    pub(crate) sender_id: UserId,
    pub(crate) committed_at: Timestamp,
    pub(crate) deleted_at: Option<Timestamp>,
}

/// Who did not get it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TracedUser {
    pub(crate) id: UserId,
    pub(crate) username: String,
    pub(crate) disabled_at: Option<Timestamp>,
}

/// Their part in the conversation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TracedParticipant {
    pub(crate) role: Role,
    pub(crate) joined_at: Timestamp,
    pub(crate) left_at: Option<Timestamp>,
    pub(crate) access_since_seq: Seq,
    /// Their devices said that they have everything up to here.
    pub(crate) delivered_seq: Seq,
    pub(crate) read_seq: Seq,
    pub(crate) notify: Notify,
    pub(crate) muted_until: Option<Timestamp>,
    /// The conversation's last change.
    pub(crate) last_seq: Seq,
    /// When the conversation was deleted.
    pub(crate) conversation_deleted_at: Option<Timestamp>,
}

/// What a node knows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TracedNode {
    pub(crate) node: NodeId,
    pub(crate) commits: CommitsView,
    /// None on a node without sockets.
    pub(crate) delivery: Option<DeliveryView>,
}

impl Cluster {
    /// Why did this user not get this message?
    pub(crate) async fn trace(&self, which: Which, user: User) -> Result<Trace> {
        let chat = &self.inner.chat;
        let (placed, seq) = match which {
            Which::Id(id) => {
                let placed = chat.placed(id).await?;
                let seq = placed.seq;
                (placed, seq)
            }
            Which::At(conversation, seq) => (chat.placed_at(conversation, seq).await?, seq),
        };
        let standing = chat.standing(placed.conversation_id, user.id).await?;
        let ask = Ask::Delivery { conversation: placed.conversation_id, seq, place: placed.seq, user: user.id };
        let answers = self.ask(ask).await;
        let message = TracedMessage {
            id: placed.id,
            conversation_id: placed.conversation_id,
            seq: placed.seq,
            traced_seq: seq,
            sender_id: placed.sender_id,
            committed_at: placed.created_at,
            deleted_at: placed.deleted_at,
        };
        let user = TracedUser { id: user.id, username: user.username, disabled_at: user.disabled_at };
        let participant = standing.map(|standing| TracedParticipant {
            role: standing.role,
            joined_at: standing.joined_at,
            left_at: standing.left_at,
            access_since_seq: standing.access_since_seq,
            delivered_seq: standing.delivered_seq,
            read_seq: standing.read_seq,
            notify: standing.notify,
            muted_until: standing.muted_until,
            last_seq: standing.last_seq,
            conversation_deleted_at: standing.deleted_at,
        });
        let mut silent = answers.silent;
        let mut nodes = Vec::new();
        for (node, said) in answers.said {
            match said {
                Said::Delivery { commits, delivery } => nodes.push(TracedNode { node, commits, delivery }),
                // Of a version that does not know how.
                _ => silent.push(node),
            }
        }
        let now = chat.env().now();
        let before = |ago: std::time::Duration| Timestamp::new(now.get() - ago);
        let (gone, listening) = {
            let others = self.inner.others.lock();
            (others.gone(), others.listening())
        };
        let gone: Vec<_> = gone.into_iter().map(|(node, ago)| (node, before(ago))).collect();
        let facts = verdict::Facts {
            message: &message,
            user: &user,
            participant: participant.as_ref(),
            nodes: &nodes,
            silent: &silent,
            asked: answers.asked,
            gone: &gone,
            listening_since: if self.inner.is_alone { self.inner.started_at } else { before(listening) },
            now,
        };
        let (verdict, notes) = (facts.verdict(), facts.notes());
        Ok(Trace { verdict, message, user, participant, nodes, silent, notes })
    }
}
