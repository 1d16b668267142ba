//! Postgres: the truth of a cluster. All its SQL is in this folder, one subject a file; every statement is
//! checked when it runs (docs/adr/0003-runtime-checked-sql.md).
//!
//! Connects when first used, so that a node starts while Postgres is down; each call then fails within a few
//! seconds with [`StoreError::Unavailable`] and succeeds again within a second of Postgres' return ([`away`]).

mod arrivals;
mod away;
mod change;
mod columns;
mod config;
mod conversations;
mod create;
mod details;
mod diagnosis;
mod doubt;
mod erase;
mod estimate;
mod fault;
mod feed;
mod follow;
mod history;
mod inbox;
mod keyset;
mod library;
mod markers;
mod numbers;
mod operator;
mod own_feed;
mod participants;
mod people;
mod pool;
mod relations;
mod resume;
mod retry;
mod rows;
mod schema;
mod search;
mod sessions;
mod values;

use std::{future::Future, time::Duration};

use async_trait::async_trait;
use protocol::{
    Changes, Conversation, ConversationFilter, ConversationId, HistoryWindow, Message, MessageId, OrgId, Page,
    Participant, ProfilePatch, Seq, SessionId, Timestamp, User, UserId, UserSeq,
};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

pub use config::PostgresConfig;
pub use diagnosis::Diagnosis;
pub use pool::PoolStats;

use crate::{
    Access, Committed, CreatedConversation, Decide, Erased, Erasures, ExternalUser, Feed, Heads, MarkRow, Marks,
    Members, NewConversation, NewEpoch, NewSession, NewUser, Result, Rotation, Scope, SessionRecord, Since, Store,
    StoreError, StoreHealth, Watermark,
};
use away::Away;
use doubt::Doubt;
use fault::Outcome;
use pool::Pool;

/// A call that takes longer may wait for somebody who is gone.
const SLOW: Duration = Duration::from_secs(1);

/// Who asks for the state wants it soon: a search that has just begun may end by then.
const HEALTH: Duration = Duration::from_millis(750);

/// A store in Postgres (13 or later). Cheap to clone; clones share the connections.
#[derive(Clone)]
pub struct PostgresStore {
    pool: Pool,
    config: PostgresConfig,
    doubt: Doubt,
    away: Away,
}

impl PostgresStore {
    /// Makes a store without connecting yet; must be called inside a tokio runtime. Fails only when the URL
    /// cannot be read ([`PostgresConfig::check`] says so in words for an operator).
    pub fn connect(config: PostgresConfig) -> Result<Self> {
        let internal = |reason: String| StoreError::Internal(reason.into());
        let away = Away::new(config.connect_options().map_err(internal)?);
        let doubt = Doubt::new();
        let pool = Pool::new(config.clone(), doubt.clone(), away.clone()).map_err(internal)?;
        Ok(Self { pool, config, doubt, away })
    }

    /// How its connections are used now.
    pub fn pool_stats(&self) -> PoolStats {
        self.pool.stats()
    }

    /// What an operator should know of this database; one query.
    pub async fn diagnose(&self) -> Result<Diagnosis> {
        self.call(|| async { diagnosis::of(&self.pool.get()).await }).await
    }

    /// Sets numbers of transactions that another server counted to 0 ([`numbers`]), and says of how many conversations
    /// and messages. Looks at the conversations alone where there are none, else at every message.
    async fn clear_foreign_numbers(&self) -> Result<u64> {
        let mut place = Some(Uuid::nil());
        let mut is_foreign = false;
        while let Some(after) = place.filter(|_| !is_foreign) {
            let step = self.call(|| async { numbers::look(&self.pool.get(), after).await }).await?;
            (place, is_foreign) = (step.next, step.foreign > 0);
        }
        let mut cleared = 0;
        let mut place = is_foreign.then(|| (Uuid::nil(), 0));
        while let Some(after) = place {
            let step = self.call(|| async { numbers::clear_messages(&self.pool.get(), after).await }).await?;
            (place, cleared) = (step.next, cleared + step.foreign);
        }
        let mut place = is_foreign.then(Uuid::nil);
        while let Some(after) = place {
            let step = self.call(|| async { numbers::clear_conversations(&self.pool.get(), after).await }).await?;
            (place, cleared) = (step.next, cleared + step.foreign);
        }
        Ok(cleared)
    }

    /// Runs a call to its end or to the deadline, again where the database asks for it: what failed so wrote nothing.
    /// While Postgres is away it waits for it, as long as for a connection.
    async fn call<T, F>(&self, call: impl Fn() -> F + Send) -> Result<T>
    where
        F: Future<Output = Outcome<T>> + Send,
    {
        self.call_after(self.config.acquire_timeout, call).await
    }

    /// The same, with another time to wait while Postgres is away.
    async fn call_after<T, F>(&self, most: Duration, call: impl Fn() -> F + Send) -> Result<T>
    where
        F: Future<Output = Outcome<T>> + Send,
    {
        let deadline = Instant::now() + self.config.call_timeout;
        let stay = self.away.over(most).await.map_err(|reason| StoreError::Unavailable(reason.into()))?;
        let ended_by_an_outage = async {
            let slow = async {
                tokio::time::sleep(SLOW).await;
                self.pool.suspect();
            };
            tokio::join!(slow, stay.outlived());
        };
        let mut working = std::pin::pin!(retry::retried(call));
        let cut_short = self.doubt.if_cut_short();
        let _call = self.pool.call();
        let outcome = tokio::select! {
            // What is done is done, also at the last moment.
            biased;
            outcome = timeout_at(deadline, &mut working) => outcome.map_err(|late| {
                self.pool.suspect();
                StoreError::Unavailable(late.into())
            })?,
            () = ended_by_an_outage => {
                return Err(StoreError::Unavailable("Postgres went away during the call".into()));
            }
        };
        cut_short.done();
        outcome.map_err(|fault| {
            if fault.is_of_the_connection() {
                self.doubt.raise();
                self.pool.suspect();
            } else if fault.is_for_want_of_a_connection() {
                self.pool.had_no_place();
                self.pool.suspect();
            }
            fault.into()
        })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn migrate(&self) -> Result<()> {
        // No deadline: it may wait for another node that migrates, or copy a large table.
        schema::migrate(&self.config).await.map_err(StoreError::from)
    }

    async fn health(&self) -> Result<StoreHealth> {
        self.call_after(HEALTH, || async { schema::health(&self.pool.get(), &self.config).await }).await
    }

    async fn new_epoch(&self) -> Result<NewEpoch> {
        // First: whoever is told to begin anew begins after it, and an interruption leaves the old epoch in place.
        let cleared = self.clear_foreign_numbers().await?;
        self.call(|| async { schema::new_epoch(&self.pool.get(), cleared).await }).await
    }

    async fn messages_stored(&self) -> Result<Option<u64>> {
        self.call(|| async { estimate::messages(&self.pool.get()).await }).await
    }

    async fn to_erase(&self, before: Timestamp, limit: u32) -> Result<Vec<ConversationId>> {
        self.call(|| async { erase::due(&self.pool.get(), before, limit).await }).await
    }

    async fn erase(&self, conversation: ConversationId, limit: u32) -> Result<Option<Erased>> {
        self.call(|| async { erase::step(&self.pool.get(), conversation, limit).await }).await
    }

    async fn erasures(&self, before: Timestamp) -> Result<Erasures> {
        self.call(|| async { erase::count_all(&self.pool.get(), before).await }).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }

    async fn ensure_org(&self, slug: &str) -> Result<OrgId> {
        self.call(|| async { people::ensure_org(&self.pool.get(), slug).await }).await
    }

    async fn create_user(&self, user: NewUser) -> Result<User> {
        self.call(|| async { people::create(&self.pool.get(), &user).await }).await
    }

    async fn upsert_external_user(&self, user: ExternalUser) -> Result<User> {
        self.call(|| async { people::upsert_external(&self.pool.get(), &user).await }).await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>> {
        self.call(|| async { people::one(&self.pool.get(), id).await }).await
    }

    async fn users(&self, org: OrgId, ids: &[UserId]) -> Result<Vec<User>> {
        self.call(|| async { people::some(&self.pool.get(), org, ids).await }).await
    }

    async fn credentials(&self, org: OrgId, username: &str) -> Result<Option<(User, Option<String>)>> {
        self.call(|| async { people::credentials(&self.pool.get(), org, username).await }).await
    }

    async fn update_profile(&self, id: UserId, patch: &ProfilePatch) -> Result<Option<User>> {
        self.call(|| async { people::update_profile(&self.pool.get(), id, patch).await }).await
    }

    async fn create_session(&self, session: NewSession) -> Result<()> {
        self.call(|| async { sessions::create(&self.pool.get(), &session).await }).await
    }

    async fn rotate_session(
        &self,
        old_hash: &[u8],
        new_hash: &[u8],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Rotation> {
        self.call(|| async { sessions::rotate(&self.pool.get(), old_hash, new_hash, expires_at, now).await }).await
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<SessionRecord>> {
        self.call(|| async { sessions::list(&self.pool.get(), user, now).await }).await
    }

    async fn revoke_sessions(
        &self,
        user: UserId,
        session: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Option<UserSeq>> {
        self.call(|| async { sessions::revoke(&self.pool.get(), user, session, now).await }).await
    }

    async fn create_conversation(&self, new: NewConversation) -> Result<CreatedConversation> {
        self.call(|| async { create::create(&self.pool.get(), &new).await }).await
    }

    async fn change(&self, scope: &Scope, decide: Decide<'_>) -> Result<Committed> {
        self.call(|| async { change::change(&self.pool.get(), scope, decide).await }).await
    }

    async fn mark(&self, rows: &[MarkRow]) -> Result<Marks> {
        self.call(|| async { markers::mark(&self.pool.get(), rows).await }).await
    }

    async fn access(&self, viewer: UserId, conversation: ConversationId) -> Result<Option<Access>> {
        self.call(|| async { participants::access(&self.pool.get(), viewer, conversation).await }).await
    }

    async fn locate(&self, message: MessageId) -> Result<Option<ConversationId>> {
        self.call(|| async { history::locate(&self.pool.get(), message).await }).await
    }

    async fn conversation(&self, viewer: UserId, id: ConversationId) -> Result<Option<Conversation>> {
        self.call(|| async { conversations::one(&self.pool.get(), viewer, id).await }).await
    }

    async fn conversations(
        &self,
        viewer: UserId,
        filter: &ConversationFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Conversation>> {
        self.call(|| async { conversations::of_user(&self.pool.get(), viewer, filter, cursor, limit).await }).await
    }

    async fn public_conversations(
        &self,
        viewer: UserId,
        query: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Conversation>> {
        self.call(|| async { conversations::public(&self.pool.get(), viewer, query, cursor, limit).await }).await
    }

    async fn participant(
        &self,
        viewer: UserId,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<Option<Participant>> {
        self.call(|| async { participants::one(&self.pool.get(), viewer, conversation, user).await }).await
    }

    async fn participants(
        &self,
        viewer: UserId,
        conversation: ConversationId,
        query: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Participant>> {
        self.call(|| async { participants::list(&self.pool.get(), viewer, conversation, query, cursor, limit).await })
            .await
    }

    async fn history(
        &self,
        viewer: UserId,
        conversation: ConversationId,
        window: HistoryWindow,
        limit: u32,
    ) -> Result<Vec<Message>> {
        self.call(|| async { history::window(&self.pool.get(), viewer, conversation, window, limit).await }).await
    }

    async fn message(&self, viewer: UserId, id: MessageId) -> Result<Option<Message>> {
        self.call(|| async { history::message(&self.pool.get(), viewer, id).await }).await
    }

    async fn changes(
        &self,
        viewer: Option<UserId>,
        conversation: ConversationId,
        after: Seq,
        limit: u32,
    ) -> Result<Option<Changes>> {
        self.call(|| async { follow::changes(&self.pool.get(), viewer, conversation, after, limit).await }).await
    }

    async fn changed_since(&self, user: UserId, user_seq: UserSeq, since: &Watermark, limit: u32) -> Result<Since> {
        self.call(|| async { resume::changed_since(&self.pool.get(), user, user_seq, since, limit).await }).await
    }

    async fn heads(&self, ids: &[ConversationId]) -> Result<Heads> {
        self.call(|| async { follow::heads(&self.pool.get(), ids).await }).await
    }

    async fn members(&self, conversation: ConversationId, users: &[UserId]) -> Result<Option<Members>> {
        self.call(|| async { follow::members(&self.pool.get(), conversation, users).await }).await
    }

    async fn feed_heads(&self, ids: &[UserId]) -> Result<Vec<(UserId, UserSeq)>> {
        self.call(|| async { follow::feed_heads(&self.pool.get(), ids).await }).await
    }

    async fn feed(&self, user: UserId, after: UserSeq) -> Result<Feed> {
        self.call(|| async { feed::after(&self.pool.get(), user, after).await }).await
    }
}
