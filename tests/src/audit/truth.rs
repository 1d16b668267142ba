//! What the store says after everything has settled.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context, Result};
use protocol::{
    Changes, Conversation, ConversationFilter, ConversationId, ConversationKind, Message, MessageId, MessageKind,
    Notify, Receipt, Seq, SystemChange, UserId, UserSeq,
};
use store::Store;

use super::{Happened, Kind, Log, Violation};

const PAGE: u32 = 500;
const MOST: u32 = 2_000;

/// Everything that the store says of the people and conversations of a log.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    /// By conversation, those that are there.
    pub conversations: BTreeMap<ConversationId, History>,
    /// By user.
    pub users: BTreeMap<UserId, Theirs>,
    /// Titles of the org's announcements, by their `seq`; read when somebody made some.
    pub announcements: BTreeMap<u64, String>,
}

/// One conversation.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Its head.
    pub head: Seq,
    /// All of it in its present state, by place.
    pub messages: BTreeMap<Seq, Message>,
    /// When it comes and goes without a step of `seq`, membership cannot be told from the messages.
    pub public: bool,
    /// For each who was ever in: from the step with which they came to the one with which they went. From 0 where that
    /// was no step.
    pub members: HashMap<UserId, Vec<(Seq, Option<Seq>)>>,
}

/// One user.
#[derive(Debug, Clone, Default)]
pub struct Theirs {
    /// Conversations they are in, with the place that what they may read begins after.
    pub memberships: BTreeMap<ConversationId, Seq>,
    /// These as the store shows them.
    pub conversations: BTreeMap<ConversationId, Conversation>,
    /// Each of these as they may see it, by place.
    pub sees: BTreeMap<ConversationId, BTreeMap<Seq, Message>>,
    /// Markers that they may know.
    pub receipts: Vec<Receipt>,
    /// Head of their feed.
    pub feed_head: UserSeq,
    /// Places of its items.
    pub feed: Vec<UserSeq>,
    /// What they want to be told of, everywhere.
    pub notify: Notify,
    /// Whom they blocked.
    pub blocked: BTreeSet<UserId>,
}

impl Truth {
    /// Reads it.
    pub async fn read(log: &Log, store: &dyn Store) -> Result<Self> {
        let mut truth = Self::default();
        let mut ids = mentioned(log);
        for user in &log.users {
            let mut theirs = theirs(store, *user).await.with_context(|| format!("of user {user}"))?;
            ids.extend(theirs.memberships.keys());
            if !log.own.acts.is_empty() {
                truth.announcements = own(store, *user, &mut theirs).await?;
            }
            truth.users.insert(*user, theirs);
        }
        for id in ids {
            if let Some(mut history) = history(store, id).await.with_context(|| format!("of conversation {id}"))? {
                let known = truth.users.values().find_map(|theirs| theirs.conversations.get(&id));
                history.public = known.is_none_or(|known| known.kind == ConversationKind::Public);
                truth.conversations.insert(id, history);
            }
        }
        Ok(truth)
    }

    /// A message wherever it is.
    pub fn message(&self, id: MessageId) -> Option<&Message> {
        self.conversations.values().find_map(|history| history.messages.values().find(|message| message.id == id))
    }
}

impl History {
    /// From messages alone.
    pub fn of(head: Seq, messages: impl IntoIterator<Item = Message>) -> Self {
        let messages: BTreeMap<_, _> = messages.into_iter().map(|message| (message.seq, message)).collect();
        let mut members: HashMap<UserId, Vec<(Seq, Option<Seq>)>> = HashMap::new();
        for (seq, message) in &messages {
            match &message.system {
                Some(SystemChange::ConversationCreated { users } | SystemChange::ParticipantAdded { users }) => {
                    for user in users {
                        members.entry(user.id).or_default().push((*seq, None));
                    }
                }
                Some(SystemChange::ParticipantRemoved { user }) => {
                    let times = members.entry(user.id).or_default();
                    match times.last_mut() {
                        Some((_, end @ None)) => *end = Some(*seq),
                        _ => times.push((0, Some(*seq))),
                    }
                }
                Some(SystemChange::ConversationDeleted) => {
                    for (_, end) in members.values_mut().flatten() {
                        end.get_or_insert(*seq);
                    }
                }
                _ => {}
            }
        }
        Self { head, messages, public: false, members }
    }

    /// Whether it was deleted for everybody.
    pub fn is_deleted(&self) -> bool {
        self.messages.values().any(|message| message.system == Some(SystemChange::ConversationDeleted))
    }
}

/// A store that contradicts itself.
pub(super) fn check(truth: &Truth, found: &mut Vec<Violation>) {
    for (id, history) in &truth.conversations {
        let mut changed = BTreeSet::new();
        let mut number = 0;
        for message in history.messages.values() {
            if !changed.insert(message.changed_seq) {
                let what = format!("two messages have their last change at {}", message.changed_seq);
                found.push(Violation::new(Kind::Diverged, what).of(*id).message(message.id));
            }
            let expected = number + u64::from(message.kind != MessageKind::System);
            if message.number != expected {
                let what = format!("the message at {} has number {}, not {expected}", message.seq, message.number);
                found.push(Violation::new(Kind::Lost, what).of(*id).message(message.id));
            }
            number = message.number;
        }
        // Nothing came after the last change, so that it shows.
        let last = changed.last().copied().unwrap_or_default();
        if last != history.head {
            let what = format!("the head is {}, the last change {last}", history.head);
            found.push(Violation::new(Kind::Lost, what).of(*id));
        }
    }
}

fn mentioned(log: &Log) -> BTreeSet<ConversationId> {
    let heard = log.devices.iter().flat_map(|device| &device.entries).filter_map(|entry| match &entry.what {
        Happened::Heard(frame) => frame["conversation_id"].as_str()?.parse().ok(),
        _ => None,
    });
    log.acts.iter().map(|act| act.deed.conversation()).chain(heard).collect()
}

async fn theirs(store: &dyn Store, user: UserId) -> Result<Theirs> {
    let memberships = store.memberships(user, MOST).await?;
    let mut theirs = Theirs::default();
    for item in &memberships.items {
        theirs.memberships.insert(item.conversation_id, item.access_since_seq);
        if let Some((_, messages)) = all(store, Some(user), item.conversation_id).await? {
            theirs.sees.insert(item.conversation_id, messages);
        }
    }
    let mut cursor = None;
    loop {
        let page = store.conversations(user, &ConversationFilter::default(), cursor.as_deref(), 100).await?;
        theirs.conversations.extend(page.items.into_iter().map(|item| (item.id, item)));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    let ids: Vec<_> = theirs.memberships.keys().copied().collect();
    theirs.receipts = store.receipts(user, &ids).await?;
    let feed = store.feed(user, 0).await?;
    theirs.feed_head = feed.user_seq;
    theirs.feed = feed.items.iter().map(|item| item.user_seq).collect();
    Ok(theirs)
}

/// What is outside of conversations; the announcements of their org.
async fn own(store: &dyn Store, user: UserId, theirs: &mut Theirs) -> Result<BTreeMap<u64, String>> {
    theirs.notify = store.notification_preferences(user).await?.notify;
    theirs.blocked = store.blocked_users(user, None, 100).await?.items.into_iter().map(|user| user.id).collect();
    let org = store.user(user).await?.context("a user is not there")?.org_id;
    let announcements = store.announcements_after(org, 0, MOST).await?;
    Ok(announcements.into_iter().map(|announcement| (announcement.seq, announcement.title)).collect())
}

async fn history(store: &dyn Store, id: ConversationId) -> Result<Option<History>> {
    Ok(all(store, None, id).await?.map(|(head, messages)| History::of(head, messages.into_values())))
}

async fn all(
    store: &dyn Store,
    viewer: Option<UserId>,
    id: ConversationId,
) -> Result<Option<(Seq, BTreeMap<Seq, Message>)>> {
    let (mut after, mut messages) = (0, BTreeMap::new());
    loop {
        let Some(Changes { to, more, changes, .. }) = store.changes(viewer, id, after, PAGE).await? else {
            return Ok(None);
        };
        messages.extend(changes.into_iter().map(|change| (change.data.seq, change.data)));
        after = to;
        if !more {
            return Ok(Some((after, messages)));
        }
    }
}
