//! One conversation as a client knows it: its messages in their present state, and what follows from them.

use std::collections::{BTreeMap, HashMap};

use protocol::{Change, ChangeType, Message, MessageId, Seq, SystemChange, THREAD_REPLIERS_SHOWN, Thread};

/// One conversation.
#[derive(Debug, Clone, Default)]
pub struct Timeline {
    /// Highest contiguous seq.
    pub cursor: Seq,
    /// The cursor that it began with: what changed after it has come as events. 0 when all of it has come.
    pub from: Seq,
    /// Present state by place: what events brought, and what was fetched.
    pub messages: BTreeMap<Seq, Message>,
    /// Every change in the order it was applied: its seq, what it was, which message.
    pub applied: Vec<(Seq, ChangeType, MessageId)>,
    /// Which changes came as pages: above the first seq, up to the second. Of those it has each message's last one.
    pub pages: Vec<(Seq, Seq)>,
    /// The user was removed, or it was deleted for everybody.
    pub gone: bool,
    /// Threads as the server last told them, by their root.
    told: HashMap<MessageId, Option<Thread>>,
}

impl Timeline {
    /// One of which nothing is known but where its events go on.
    pub(super) fn from(head: Seq) -> Self {
        Self { cursor: head, from: head, ..Self::default() }
    }

    pub(super) fn take(&mut self, change: Change) {
        self.cursor = change.seq;
        self.applied.push((change.seq, change.kind, change.data.id));
        let message = change.data;
        self.gone |= message.system == Some(SystemChange::ConversationDeleted);
        self.follow_quotes(&message);
        self.put(message);
    }

    /// Takes a message as the server tells it. Its thread's counts follow from its replies' own events.
    pub(super) fn put(&mut self, message: Message) {
        let (id, root) = (message.id, message.thread_root_id);
        self.told.insert(id, message.thread.clone());
        self.messages.insert(message.seq, shared(message));
        for root in [Some(id), root].into_iter().flatten() {
            self.count_replies(root);
        }
    }

    /// Quotes show the present text of what they quote; that changes by its own event, not by one of theirs.
    fn follow_quotes(&mut self, quoted: &Message) {
        for message in self.messages.values_mut() {
            if let Some(quote) = message.reply_to.as_mut().filter(|quote| quote.id == quoted.id) {
                quote.content = quoted.content.chars().take(QUOTED_CHARS).collect();
                quote.deleted_at = quoted.deleted_at;
            }
        }
    }

    /// What the server told of the thread, and the replies that came after that.
    fn count_replies(&mut self, root: MessageId) {
        let Some(told) = self.told.get(&root) else { return };
        let mut thread = told.clone();
        let counted = told.as_ref().map_or(0, |thread| thread.last_reply_seq);
        for reply in self.messages.values().filter(|m| m.thread_root_id == Some(root) && m.seq > counted) {
            let (count, mut repliers) = match thread {
                Some(thread) => (thread.reply_count, thread.last_repliers),
                None => (0, Vec::new()),
            };
            repliers.retain(|replier| replier.id != reply.sender.id);
            repliers.insert(0, reply.sender.clone());
            repliers.truncate(THREAD_REPLIERS_SHOWN);
            thread = Some(Thread {
                reply_count: count + 1,
                last_reply_seq: reply.seq,
                last_reply_at: reply.created_at,
                last_repliers: repliers,
            });
        }
        if let Some(message) = self.messages.values_mut().find(|message| message.id == root) {
            message.thread = thread;
        }
    }
}

/// How much of a quoted text is shown.
pub(in crate::client) const QUOTED_CHARS: usize = 200;

/// A message as everybody sees it: without what depends on the reader.
pub fn shared(mut message: Message) -> Message {
    for reaction in &mut message.reactions {
        reaction.mine = None;
    }
    message
}
