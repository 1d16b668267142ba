//! The embedded store: SQLite in a data directory, for one process that needs nothing else installed.
//!
//! Promises what the trait promises: a call that wrote returns after its commit is on disk (WAL, `synchronous=FULL`,
//! unless it is opened to forget: [`SqliteConfig::durable`]). One connection writes, in `begin immediate` transactions:
//! it is the lock that Postgres has in its rows. Others read, each call in one snapshot. It is no store for a second
//! process: the lock file refuses it.

mod arrivals;
mod change;
mod codec;
mod config;
mod create;
mod erase;
mod error;
mod feed;
mod follow;
mod inbox;
mod library;
mod load;
mod lock;
mod markers;
mod messages;
mod operator;
mod pages;
mod participants;
mod people;
mod resume;
mod rows;
mod senders;
mod sessions;
#[cfg(test)]
mod tests;
mod users;
mod views;

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use protocol::{
    Changes, Conversation, ConversationFilter, ConversationId, HistoryWindow, Message, MessageId, OrgId, Page,
    Participant, ProfilePatch, Seq, SessionId, Timestamp, User, UserId, UserSeq,
};
use sqlx::{
    Sqlite, SqlitePool, Transaction,
    migrate::Migrator,
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub use config::SqliteConfig;

use self::error::Db;
use crate::{
    Access, Committed, CreatedConversation, Decide, Erased, Erasures, ExternalUser, Feed, Heads, MarkRow, Marks,
    Members, NewConversation, NewEpoch, NewSession, NewUser, Result, Rotation, Scope, SessionRecord, Since, Store,
    StoreError, StoreHealth, Watermark,
};

static MIGRATOR: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// See the module.
pub struct SqliteStore {
    /// One connection, so that whoever has it is the only writer.
    writer: SqlitePool,
    /// Connections that cannot write.
    readers: SqlitePool,
    /// Given back by [`Store::close`], or by the kernel when the process ends.
    lock: Mutex<Option<lock::DirLock>>,
}

impl SqliteStore {
    /// The database's file in a data directory. With what stands beside it (`-wal`) it is all there is to copy; a copy
    /// is opened like the original.
    pub fn file(dir: &Path) -> PathBuf {
        dir.join("starling.db")
    }

    /// Opens the data directory. [`StoreError::Locked`] when another process (or store) has it open;
    /// [`StoreError::Unavailable`] when it cannot be made or read. Does not migrate.
    pub async fn open(config: SqliteConfig) -> Result<Self> {
        let lock = lock::take(&config.dir)?;
        let options = SqliteConnectOptions::new()
            .filename(Self::file(&config.dir))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(if config.durable { SqliteSynchronous::Full } else { SqliteSynchronous::Off })
            .foreign_keys(true)
            .busy_timeout(config.busy_timeout);
        // What is erased is overwritten in its page, and not merely let go.
        let writer = options.clone().pragma("secure_delete", "on");
        let writer = pool(1, config.busy_timeout).connect_with(writer).await.db()?;
        let readers =
            pool(config.readers.max(1), config.busy_timeout).connect_lazy_with(options.pragma("query_only", "on"));
        Ok(Self { writer, readers, lock: Mutex::new(Some(lock)) })
    }

    /// A connection for a read that is one statement.
    async fn reader(&self) -> Result<PoolConnection<Sqlite>> {
        self.readers.acquire().await.db()
    }

    /// One snapshot for a read that is several statements.
    async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>> {
        self.readers.begin().await.db()
    }

    /// The writer, with the write lock held from the first statement on. Dropped without a commit, it rolls back.
    async fn write(&self) -> Result<Transaction<'static, Sqlite>> {
        const BEGIN: &str = "begin immediate";
        match self.writer.begin_with(BEGIN).await {
            // After some failures (a full disk) SQLite rolls back by itself. The driver's own rollback then fails,
            // and it would believe for ever that it is inside a transaction: that connection is given up.
            Err(sqlx::Error::InvalidSavePointStatement) => {
                self.writer.acquire().await.db()?.close().await.db()?;
                self.writer.begin_with(BEGIN).await.db()
            }
            begun => begun.db(),
        }
    }
}

/// Connections live as long as the pool: there is no server that could end them.
fn pool(size: u32, acquire_timeout: Duration) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(size)
        .acquire_timeout(acquire_timeout)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire(false)
}

#[async_trait]
impl Store for SqliteStore {
    async fn migrate(&self) -> Result<()> {
        MIGRATOR.run(&self.writer).await.map_err(|error| match error {
            sqlx::migrate::MigrateError::Execute(error) => error::translate(error),
            other => StoreError::Schema(format!("the migrations do not fit this database: {other}")),
        })
    }

    async fn health(&self) -> Result<StoreHealth> {
        let mut tx = self.snapshot().await?;
        let version: String = sqlx::query_scalar("select sqlite_version()").fetch_one(&mut *tx).await.db()?;
        let version = format!("SQLite {version}");
        let known: i64 =
            sqlx::query_scalar("select count(*) from sqlite_master where type = 'table' and name = '_sqlx_migrations'")
                .fetch_one(&mut *tx)
                .await
                .db()?;
        if known == 0 {
            return Ok(StoreHealth {
                migrated: false,
                epoch: String::new(),
                version,
                read_only: None,
                out_of_reach: Vec::new(),
            });
        }
        let applied: Vec<i64> =
            sqlx::query_scalar("select version from _sqlx_migrations where success").fetch_all(&mut *tx).await.db()?;
        let applied: HashSet<i64> = applied.into_iter().collect();
        let migrated = MIGRATOR.iter().all(|migration| applied.contains(&migration.version));
        let epoch = if migrated { views::epoch(&mut tx).await? } else { String::new() };
        Ok(StoreHealth { migrated, epoch, version, read_only: None, out_of_reach: Vec::new() })
    }

    async fn new_epoch(&self) -> Result<NewEpoch> {
        let mut tx = self.write().await?;
        let epoch = follow::new_epoch(&mut tx).await?;
        tx.commit().await.db()?;
        Ok(epoch)
    }

    async fn messages_stored(&self) -> Result<Option<u64>> {
        // Rows are numbered as they come, and none is ever taken out.
        let last: Option<i64> =
            sqlx::query_scalar("select max(rowid) from messages").fetch_one(&mut *self.reader().await?).await.db()?;
        Ok(Some(last.map_or(0, codec::from_db)))
    }

    async fn to_erase(&self, before: Timestamp, limit: u32) -> Result<Vec<ConversationId>> {
        erase::due(&mut *self.reader().await?, before, limit).await
    }

    async fn erase(&self, conversation: ConversationId, limit: u32) -> Result<Option<Erased>> {
        let mut tx = self.write().await?;
        let erased = erase::step(&mut tx, conversation, limit).await?;
        tx.commit().await.db()?;
        Ok(erased)
    }

    async fn erasures(&self, before: Timestamp) -> Result<Erasures> {
        erase::count_all(&mut *self.reader().await?, before).await
    }

    async fn close(&self) {
        // The writer last: the last connection to go moves the WAL into the database file.
        self.readers.close().await;
        self.writer.close().await;
        if let Ok(mut lock) = self.lock.lock() {
            lock.take();
        }
    }

    async fn ensure_org(&self, slug: &str) -> Result<OrgId> {
        if let Some(id) = users::org(&mut *self.reader().await?, slug).await? {
            return Ok(id);
        }
        let mut tx = self.write().await?;
        let id = users::ensure_org(&mut tx, slug).await?;
        tx.commit().await.db()?;
        Ok(id)
    }

    async fn create_user(&self, user: NewUser) -> Result<User> {
        let mut tx = self.write().await?;
        let user = users::create(&mut tx, &user).await?;
        tx.commit().await.db()?;
        Ok(user)
    }

    async fn upsert_external_user(&self, user: ExternalUser) -> Result<User> {
        let mut tx = self.write().await?;
        let user = users::upsert_external(&mut tx, &user).await?;
        tx.commit().await.db()?;
        Ok(user)
    }

    async fn user(&self, id: UserId) -> Result<Option<User>> {
        users::one(&mut *self.reader().await?, id).await
    }

    async fn users(&self, org: OrgId, ids: &[UserId]) -> Result<Vec<User>> {
        users::many(&mut *self.reader().await?, Some(org), ids).await
    }

    async fn credentials(&self, org: OrgId, username: &str) -> Result<Option<(User, Option<String>)>> {
        users::credentials(&mut *self.reader().await?, org, username).await
    }

    async fn update_profile(&self, id: UserId, patch: &ProfilePatch) -> Result<Option<User>> {
        let mut tx = self.write().await?;
        let user = users::update_profile(&mut tx, id, patch).await?;
        tx.commit().await.db()?;
        Ok(user)
    }

    async fn create_session(&self, session: NewSession) -> Result<()> {
        let mut tx = self.write().await?;
        sessions::create(&mut tx, &session).await?;
        tx.commit().await.db()
    }

    async fn rotate_session(
        &self,
        old_hash: &[u8],
        new_hash: &[u8],
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<Rotation> {
        let mut tx = self.write().await?;
        let rotation = sessions::rotate(&mut tx, old_hash, new_hash, expires_at, now).await?;
        tx.commit().await.db()?;
        Ok(rotation)
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<SessionRecord>> {
        sessions::list(&mut *self.reader().await?, user, now).await
    }

    async fn revoke_sessions(
        &self,
        user: UserId,
        session: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Option<UserSeq>> {
        let mut tx = self.write().await?;
        let seq = sessions::revoke(&mut tx, user, session, now).await?;
        tx.commit().await.db()?;
        Ok(seq)
    }

    async fn create_conversation(&self, new: NewConversation) -> Result<CreatedConversation> {
        let mut tx = self.write().await?;
        let created = create::create(&mut tx, &new).await?;
        tx.commit().await.db()?;
        Ok(created)
    }

    async fn change(&self, scope: &Scope, decide: Decide<'_>) -> Result<Committed> {
        let mut tx = self.write().await?;
        let locked = change::read(&mut tx, scope).await?;
        let writes = decide(&locked);
        if writes.is_empty() {
            return Ok(Committed::default());
        }
        let committed = change::write(&mut tx, &locked, &writes).await?;
        tx.commit().await.db()?;
        Ok(committed)
    }

    async fn mark(&self, rows: &[MarkRow]) -> Result<Marks> {
        let mut tx = self.write().await?;
        let marked = markers::mark(&mut tx, rows).await?;
        tx.commit().await.db()?;
        Ok(marked)
    }

    async fn access(&self, viewer: UserId, conversation: ConversationId) -> Result<Option<Access>> {
        participants::access(&mut *self.reader().await?, viewer, conversation).await
    }

    async fn locate(&self, message: MessageId) -> Result<Option<ConversationId>> {
        messages::locate(&mut *self.reader().await?, message).await
    }

    async fn conversation(&self, viewer: UserId, id: ConversationId) -> Result<Option<Conversation>> {
        views::one(&mut *self.snapshot().await?, viewer, id).await
    }

    async fn conversations(
        &self,
        viewer: UserId,
        filter: &ConversationFilter,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Conversation>> {
        views::mine(&mut *self.snapshot().await?, viewer, filter, cursor, limit).await
    }

    async fn public_conversations(
        &self,
        viewer: UserId,
        query: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Conversation>> {
        views::lobby(&mut *self.snapshot().await?, viewer, query, cursor, limit).await
    }

    async fn participant(
        &self,
        viewer: UserId,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<Option<Participant>> {
        participants::one(&mut *self.reader().await?, viewer, conversation, user).await
    }

    async fn participants(
        &self,
        viewer: UserId,
        conversation: ConversationId,
        query: &str,
        cursor: Option<&str>,
        limit: u32,
    ) -> Result<Page<Participant>> {
        participants::list(&mut *self.reader().await?, viewer, conversation, query, cursor, limit).await
    }

    async fn history(
        &self,
        viewer: UserId,
        conversation: ConversationId,
        window: HistoryWindow,
        limit: u32,
    ) -> Result<Vec<Message>> {
        messages::history(&mut *self.snapshot().await?, viewer, conversation, window, limit).await
    }

    async fn message(&self, viewer: UserId, id: MessageId) -> Result<Option<Message>> {
        messages::one(&mut *self.snapshot().await?, viewer, id).await
    }

    async fn changes(
        &self,
        viewer: Option<UserId>,
        conversation: ConversationId,
        after: Seq,
        limit: u32,
    ) -> Result<Option<Changes>> {
        messages::changes(&mut *self.snapshot().await?, viewer, conversation, after, limit).await
    }

    async fn changed_since(&self, user: UserId, user_seq: UserSeq, since: &Watermark, limit: u32) -> Result<Since> {
        resume::changed_since(&mut *self.snapshot().await?, user, user_seq, since, limit).await
    }

    async fn heads(&self, ids: &[ConversationId]) -> Result<Heads> {
        follow::heads(&mut *self.snapshot().await?, ids).await
    }

    async fn members(&self, conversation: ConversationId, users: &[UserId]) -> Result<Option<Members>> {
        follow::members(&mut *self.snapshot().await?, conversation, users).await
    }

    async fn feed_heads(&self, ids: &[UserId]) -> Result<Vec<(UserId, UserSeq)>> {
        follow::feed_heads(&mut *self.reader().await?, ids).await
    }

    async fn feed(&self, user: UserId, after: UserSeq) -> Result<Feed> {
        feed::feed(&mut *self.snapshot().await?, user, after).await
    }
}
