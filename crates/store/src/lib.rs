//! The store: what is true. One [`Store`] method is one transaction.
//!
//! Two implementations, [`postgres::PostgresStore`] and [`sqlite::SqliteStore`], pass one conformance
//! suite (`tests/tests/store_conformance.rs`). No sqlx type is in a public signature. The store knows SQL and
//! nothing of policy: what may be done is decided in `chat`, by a pure function that [`Store::change`] calls
//! while it holds the locks.

mod arrivals;
mod cursor;
mod error;
mod inbox;
mod library;
mod map;
mod model;
mod operator;
mod people;
pub mod postgres;
mod snippet;
pub mod sqlite;

use async_trait::async_trait;
use protocol::{
    Changes, Conversation, ConversationFilter, ConversationId, HistoryWindow, Message, MessageId, OrgId, Page,
    Participant, ProfilePatch, Receipt, Seq, SessionId, Timestamp, User, UserId, UserSeq,
};

pub use arrivals::{Arrivals, Behind, Who};
pub use error::{Conflict, StoreError};
pub use inbox::Inbox;
pub use library::Library;
pub use map::{IdMap, IdSet};
pub use model::*;
pub use operator::Operator;
pub use people::People;

/// Result of a store call.
pub type Result<T> = std::result::Result<T, StoreError>;

/// Most conversations of one [`Store::catch_up`].
pub const CATCH_UP_CURSORS: usize = 1_000;
/// Most changes of one [`Store::catch_up`], all conversations together.
pub const CATCH_UP_CHANGES: u32 = 2_000;

/// Decides, while the locks are held, what a batch writes. Pure: it may be called again when the
/// database asks for a retry.
pub type Decide<'a> = &'a (dyn Fn(&Locked) -> Writes + Send + Sync);

/// Everything that outlives a process: this, and [`Library`] (what is read around messages), [`Inbox`] (what is told
/// to people), [`People`] (who they are to each other), [`Arrivals`] (some of this for many connections at once) and [`Operator`]
/// (what those ask who run it).
#[async_trait]
pub trait Store: Library + Inbox + People + Arrivals + Operator + Send + Sync + 'static {
    // ---- the store itself

    /// Applies the migrations that are missing. Safe to call from many nodes at once.
    async fn migrate(&self) -> Result<()>;
    /// Answers when the store is reachable, says whether its schema is the one this binary needs, whether it
    /// takes writes, and its epoch.
    async fn health(&self) -> Result<StoreHealth>;
    /// Begins a new history: gives the database another epoch, so that cursors and watermarks of the one before are
    /// refused, and clears what marks of another server's transactions a dump brought along. For after a restore from a
    /// backup; it may take minutes then, in steps that others can write between, and what was interrupted is begun again
    /// by another call. Whoever read the old epoch finds the new one in [`Store::heads`].
    async fn new_epoch(&self) -> Result<NewEpoch>;
    /// About how many messages there are, those that were deleted included; found without looking at them. `None` while
    /// nothing is known.
    async fn messages_stored(&self) -> Result<Option<u64>>;
    /// Deleted conversations that are not erased: those that were deleted at `before` or earlier, the first of them first,
    /// at most `limit`.
    async fn to_erase(&self, before: Timestamp, limit: u32) -> Result<Vec<ConversationId>>;
    /// Erases what was said in a deleted conversation: of the next `limit` messages text, earlier texts, attachments,
    /// mentions and reactions, and at the end the conversation's own title, description, picture and subject. Places,
    /// senders and times stay, and so does the last message, which tells of the deletion. None: it is not to be erased,
    /// or somebody else has it at hand.
    async fn erase(&self, conversation: ConversationId, limit: u32) -> Result<Option<Erased>>;
    /// How much [`Store::erase`] has still to do, now for what was deleted at `before` or earlier, and later. Counts all.
    async fn erasures(&self, before: Timestamp) -> Result<Erasures>;
    /// Ends all connections; later calls fail with [`StoreError::Unavailable`].
    async fn close(&self);

    // ---- people

    /// Finds or makes the org with this slug (name = slug when made).
    async fn ensure_org(&self, slug: &str) -> Result<OrgId>;
    /// Makes a user. [`Conflict::Username`] when the name is taken in the org, whatever its case.
    async fn create_user(&self, user: NewUser) -> Result<User>;
    /// Finds the user with this `external_id` in the org or makes them, safely from many nodes at once. The
    /// username is made unique by a suffix, never a reason to refuse. Name, picture and role follow the token
    /// where the token has them.
    async fn upsert_external_user(&self, user: ExternalUser) -> Result<User>;
    /// One user, whatever their org; callers check the org.
    async fn user(&self, id: UserId) -> Result<Option<User>>;
    /// Those of `ids` that exist in the org, in no particular order.
    async fn users(&self, org: OrgId, ids: &[UserId]) -> Result<Vec<User>>;
    /// The user with this name (any case), with their password hash (none: cannot log in).
    async fn credentials(&self, org: OrgId, username: &str) -> Result<Option<(User, Option<String>)>>;
    /// Changes a profile. `None`: no such user.
    async fn update_profile(&self, id: UserId, patch: &ProfilePatch) -> Result<Option<User>>;
    // ---- sessions

    /// Opens a session.
    async fn create_session(&self, session: NewSession) -> Result<()>;
    /// Replaces a refresh token, given both hashes; finds out when an old one is used again, and then revokes
    /// the session (moving the user's feed).
    async fn rotate_session(
        &self,
        old_hash: &[u8],
        new_hash: &[u8],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Rotation>;
    /// The user's sessions that still count, newest first.
    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<SessionRecord>>;
    /// Revokes one session of the user (or all: `None`), moving their feed. `None` when there was nothing to revoke.
    async fn revoke_sessions(
        &self,
        user: UserId,
        session: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Option<UserSeq>>;

    // ---- conversations: writing

    /// Makes a conversation with its first participants and its first system message (seq 1), moving each
    /// participant's feed. When `direct_key` or `(creator, idempotency_key)` exists, nothing is written and the
    /// existing one is returned with `created: false`. [`Conflict::UnknownUser`] when a participant is not in the org.
    async fn create_conversation(&self, new: NewConversation) -> Result<CreatedConversation>;
    /// Does durable changes of conversations, all in one transaction: locks the conversations' rows in id order,
    /// **then** reads what `scope` names in a statement that starts after the lock is held, calls `decide`,
    /// writes what it says, numbers feeds (users locked by id), commits. Serialisation failures and deadlocks are
    /// retried inside. When [`StoreError::Unavailable`] comes back, the commit may have happened.
    async fn change(&self, scope: &Scope, decide: Decide<'_>) -> Result<Committed>;
    /// Moves participants' markers forward (never back), clamped to the head; `read` implies `delivered`, which is not
    /// kept above 100 participants unless it comes with `read`. One statement however many rows; each (user,
    /// conversation) at most once. An answer per row, in order; `None`: not a participant.
    async fn mark(&self, rows: &[MarkRow]) -> Result<Marks>;

    // ---- conversations: reading. Every read that takes a viewer shows them only what they may see.

    /// What the viewer is to the conversation; `None` when it is not there or in another org.
    async fn access(&self, viewer: UserId, conversation: ConversationId) -> Result<Option<Access>>;
    /// In which conversation a message is; `None` when there is none.
    async fn locate(&self, message: MessageId) -> Result<Option<ConversationId>>;
    /// The conversation as the viewer sees it; `None` when they neither take part nor is it public in their org.
    async fn conversation(&self, viewer: UserId, id: ConversationId) -> Result<Option<Conversation>>;
    /// The viewer's conversations, last activity first, in a bounded number of statements. `cursor` is the
    /// `next_cursor` of the page before; [`StoreError::BadCursor`] when it is not one. `other_presence` is left empty.
    async fn conversations(
        &self,
        viewer: UserId,
        filter: &ConversationFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Conversation>>;
    /// Public conversations of the org whose title contains `query` (any case), last activity first.
    async fn public_conversations(
        &self,
        viewer: UserId,
        query: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Conversation>>;
    /// Active participants whose username or display name begins with `query` (any case; all of them when it is empty)
    /// by join time, as the viewer sees them (`blocked`).
    async fn participants(
        &self,
        viewer: UserId,
        conversation: ConversationId,
        query: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Participant>>;
    /// One active participant, as the viewer sees them.
    async fn participant(
        &self,
        viewer: UserId,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<Option<Participant>>;
    /// Messages of a window, ascending by seq, at most `limit`; empty for a viewer who does not take part.
    async fn history(
        &self,
        viewer: UserId,
        conversation: ConversationId,
        window: HistoryWindow,
        limit: u32,
    ) -> Result<Vec<Message>>;
    // Reads with a viewer fill `mine` of reactions; reads without one leave it absent.
    /// One message; `None` when it is not there or the viewer may not see it.
    async fn message(&self, viewer: UserId, id: MessageId) -> Result<Option<Message>>;

    // ---- following: what a gateway needs so that nothing is missed

    /// What was changed after a cursor, and the head read in the same snapshot. With a viewer: `None` unless they
    /// take part now, and messages from before their `access_since_seq` are left out (the cursor moves all the
    /// same). Without: the node's own gap fill, everything.
    async fn changes(
        &self,
        viewer: Option<UserId>,
        conversation: ConversationId,
        after: Seq,
        limit: u32,
    ) -> Result<Option<Changes>>;
    /// The first page of [`Store::changes`] for each of these cursors (≤ [`CATCH_UP_CURSORS`] are looked at), in a
    /// number of statements that does not grow with them, all in one snapshot. At most `limit` changes of each and
    /// [`CATCH_UP_CHANGES`] in all: where that leaves nothing for a conversation, its page is empty and says that there
    /// is `more` (`to` = `from`). The first with something new always gets some. In the order of the cursors;
    /// conversations that the viewer does not take part in are left out.
    async fn catch_up(&self, viewer: UserId, cursors: &[(ConversationId, Seq)], limit: u32) -> Result<Vec<Missed>> {
        only(self.catch_up_of(&[(viewer, cursors.to_vec())], limit).await?)
    }
    /// The conversations the user takes part in, most recently active first, with heads and the head of their
    /// feed, in one snapshot.
    async fn memberships(&self, user: UserId, limit: u32) -> Result<Memberships> {
        only(self.memberships_of(&[user], limit).await?)
    }
    /// The conversations that changed after a watermark, with the cursors to replay them from, none of them more than
    /// `limit` behind its head: of those that the user takes part in now or took part in at `user_seq` of their feed,
    /// also when they were deleted. That they came or went meanwhile is [`Store::feed`]'s to tell.
    async fn changed_since(&self, user: UserId, user_seq: UserSeq, since: &Watermark, limit: u32) -> Result<Since>;
    /// Heads of conversations, batched (≤ 2,000), with the epoch. Unknown ids are left out.
    async fn heads(&self, ids: &[ConversationId]) -> Result<Heads>;
    /// A conversation's head, and those of `users` who take part at it, in one snapshot. `None` for an unknown id.
    async fn members(&self, conversation: ConversationId, users: &[UserId]) -> Result<Option<Members>>;
    /// Heads of users' feeds, batched (≤ 2,000). Unknown ids are left out.
    async fn feed_heads(&self, ids: &[UserId]) -> Result<Vec<(UserId, UserSeq)>>;
    /// What moved a user's feed after a cursor, in its present state, ascending by `user_seq`, and the head in
    /// the same snapshot.
    async fn feed(&self, user: UserId, after: UserSeq) -> Result<Feed>;
    /// Markers a resume tells: the user's own, and those of all active participants in conversations of ≤ 100,
    /// for those of `conversations` that the user takes part in.
    async fn receipts(&self, user: UserId, conversations: &[ConversationId]) -> Result<Vec<Receipt>> {
        only(self.receipts_of(&[(user, conversations.to_vec())]).await?)
    }
}

/// The answer to who asked alone.
fn only<T>(answers: Vec<T>) -> Result<T> {
    answers.into_iter().next().ok_or_else(|| StoreError::Internal("a question without an answer".into()))
}
