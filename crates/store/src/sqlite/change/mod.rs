//! Durable changes of conversations: what `scope` names is read inside `begin immediate`, so that nothing else
//! writes meanwhile (the one writer is the lock), then what `decide` says is written row by row.

mod members;
mod messages;
mod notifications;
mod people;
mod read;
mod updates;

use std::collections::BTreeSet;

use protocol::{ConversationId, MessageId, Timestamp};
use sqlx::SqliteConnection;

use self::{
    members::{move_own_markers, recount, write_participant},
    updates::update_message,
};
pub(super) use self::{
    messages::{delete_mentions, insert_message, read_messages},
    notifications::notify,
    people::ParticipantRow,
    read::{blocked, read},
};
use super::{
    codec::{Text, fold, to_db},
    error::{Db, refused},
};
use crate::{Committed, Locked, Result, WriteConversation, Writes};

/// Writes what was decided and reads back what it made. Inside the same transaction as [`read`].
pub(super) async fn write(conn: &mut SqliteConnection, locked: &Locked, writes: &Writes) -> Result<Committed> {
    begin_change(conn).await?;
    let mut touched: BTreeSet<MessageId> = BTreeSet::new();
    for message in &writes.inserts {
        insert_message(conn, message).await?;
        touched.insert(message.id);
    }
    for update in &writes.updates {
        update_message(conn, update).await?;
        touched.insert(update.id);
    }
    let mut feeds = Vec::new();
    let mut regrouped: BTreeSet<ConversationId> = BTreeSet::new();
    for write in &writes.participants {
        if let Some(user_seq) = write_participant(conn, locked, writes, write).await? {
            feeds.push((write.conversation_id, write.user_id, user_seq));
        }
        regrouped.insert(write.conversation_id);
    }
    move_own_markers(conn, &writes.inserts).await?;
    for (id, conversation) in &writes.conversations {
        write_conversation(conn, *id, conversation).await?;
    }
    for id in regrouped {
        recount(conn, id).await?;
    }
    for notification in &writes.notifications {
        if let Some(user_seq) = notify(conn, notification).await? {
            feeds.push((notification.conversation_id, notification.user_id, user_seq));
        }
    }
    let messages =
        if touched.is_empty() { Vec::new() } else { read_messages(conn, touched.into_iter().map(|id| id.0)).await? };
    Ok(Committed { messages: messages.into_iter().map(|message| (message.id, message)).collect(), feeds })
}

/// Counts the transaction: what it writes after this is `changed_in` it.
pub(super) async fn begin_change(conn: &mut SqliteConnection) -> Result<()> {
    sqlx::query("update meta set changes = changes + 1").execute(conn).await.db()?;
    Ok(())
}

async fn write_conversation(conn: &mut SqliteConnection, id: ConversationId, write: &WriteConversation) -> Result<()> {
    let patch = write.patch.clone().unwrap_or_default();
    let done = sqlx::query(
        "update conversations set changed_in = (select changes from meta), last_seq = ?2, last_number = ?3, \
         access_seq = coalesce(?4, access_seq), \
         last_activity_at = coalesce(?5, last_activity_at), title = coalesce(?6, title), \
         title_key = coalesce(?7, title_key), description = case when ?8 then ?9 else description end, \
         avatar_url = case when ?10 then ?11 else avatar_url end, posting = coalesce(?12, posting), \
         archived_at = case when ?13 then ?14 else archived_at end, deleted_at = coalesce(?15, deleted_at), \
         direct_key = case when ?15 is null then direct_key end, \
         slow_mode_seconds = coalesce(?16, slow_mode_seconds), pin_count = coalesce(?17, pin_count) where id = ?1",
    )
    .bind(id.0)
    .bind(to_db(write.last_seq))
    .bind(to_db(write.last_number))
    .bind(write.access_seq.map(to_db))
    .bind(write.last_activity_at.map(Timestamp::unix_millis))
    .bind(&patch.title)
    .bind(patch.title.as_deref().map(fold))
    .bind(patch.description.is_some())
    .bind(patch.description.flatten())
    .bind(patch.avatar_url.is_some())
    .bind(patch.avatar_url.flatten())
    .bind(patch.posting.map(Text::text))
    .bind(write.archived_at.is_some())
    .bind(write.archived_at.flatten().map(Timestamp::unix_millis))
    .bind(write.deleted_at.map(Timestamp::unix_millis))
    .bind(patch.slow_mode_seconds)
    .bind(write.pin_count)
    .execute(conn)
    .await
    .db()?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(refused("a change of a conversation that is not there")) }
}
