//! Changes of messages: edits, tombstones, pins, reactions. Each is written by itself, in the batch's order, so that
//! several of one message see each other. Inside a write transaction.

use protocol::UserId;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    super::{
        codec::to_db,
        error::{Db, refused},
        rows::{mentions_from_db, mentions_to_db},
    },
    messages::{delete_mentions, insert_mentions},
};
use crate::{MessageUpdate, Result, StoredMention, UpdateMessage};

/// The message that changes, as far as a change needs it.
struct Target {
    conversation: Uuid,
    seq: i64,
    sender: UserId,
    deleted: bool,
    mentions: Vec<StoredMention>,
}

pub(super) async fn update_message(conn: &mut SqliteConnection, update: &UpdateMessage) -> Result<()> {
    let target = target(conn, update).await?;
    let (changed_seq, at) = (to_db(update.changed_seq), update.at.unix_millis());
    if target.deleted {
        // What is deleted stays deleted, whatever else the batch says.
        return count_reactions(conn, &target, changed_seq, 0).await;
    }
    match &update.update {
        MessageUpdate::Edit { content, mentions } => edit(conn, &target, changed_seq, at, content, mentions).await,
        MessageUpdate::Delete => delete(conn, &target, changed_seq, at).await,
        MessageUpdate::Pin(pinned) => {
            sqlx::query(
                "update messages set changed_seq = ?3, changed_in = (select changes from meta), pinned_at = ?4 \
                 where conversation_id = ?1 and seq = ?2",
            )
            .bind(target.conversation)
            .bind(target.seq)
            .bind(changed_seq)
            .bind(pinned.then_some(at))
            .execute(conn)
            .await
            .db()?;
            Ok(())
        }
        MessageUpdate::React { user, emoji } => {
            let done = sqlx::query(
                "insert into reactions (conversation_id, seq, emoji, user_id, changed_seq, created_at) \
                 values (?, ?, ?, ?, ?, ?) on conflict do nothing",
            )
            .bind(target.conversation)
            .bind(target.seq)
            .bind(emoji)
            .bind(user.0)
            .bind(changed_seq)
            .bind(at)
            .execute(&mut *conn)
            .await
            .db()?;
            count_reactions(conn, &target, changed_seq, to_db(done.rows_affected())).await
        }
        MessageUpdate::Unreact { user, emoji } => {
            let done = sqlx::query(
                "delete from reactions where conversation_id = ? and seq = ? and emoji = ? and user_id = ?",
            )
            .bind(target.conversation)
            .bind(target.seq)
            .bind(emoji)
            .bind(user.0)
            .execute(&mut *conn)
            .await
            .db()?;
            count_reactions(conn, &target, changed_seq, -to_db(done.rows_affected())).await
        }
    }
}

async fn target(conn: &mut SqliteConnection, update: &UpdateMessage) -> Result<Target> {
    let row: Option<(i64, Uuid, bool, Option<String>)> = sqlx::query_as(
        "select seq, sender_id, deleted_at is not null, mentions from messages where id = ? and conversation_id = ?",
    )
    .bind(update.id.0)
    .bind(update.conversation_id.0)
    .fetch_optional(conn)
    .await
    .db()?;
    let (seq, sender, deleted, mentions) = row.ok_or_else(|| refused("an update of a message that is not there"))?;
    Ok(Target {
        conversation: update.conversation_id.0,
        seq,
        sender: UserId(sender),
        deleted,
        mentions: mentions_from_db(mentions.as_deref())?,
    })
}

async fn edit(
    conn: &mut SqliteConnection,
    target: &Target,
    changed_seq: i64,
    at: i64,
    content: &str,
    mentions: &[StoredMention],
) -> Result<()> {
    sqlx::query(
        "insert into message_edits (conversation_id, seq, changed_seq, content, replaced_at) \
         select conversation_id, seq, ?3, content, ?4 from messages where conversation_id = ?1 and seq = ?2",
    )
    .bind(target.conversation)
    .bind(target.seq)
    .bind(changed_seq)
    .bind(at)
    .execute(&mut *conn)
    .await
    .db()?;
    sqlx::query(
        "update messages set changed_seq = ?3, changed_in = (select changes from meta), edited_at = ?4, content = ?5, \
         mentions = ?6 \
         where conversation_id = ?1 and seq = ?2",
    )
    .bind(target.conversation)
    .bind(target.seq)
    .bind(changed_seq)
    .bind(at)
    .bind(content)
    .bind(mentions_to_db(mentions)?)
    .execute(&mut *conn)
    .await
    .db()?;
    delete_mentions(conn, target.conversation, target.seq, &target.mentions).await?;
    insert_mentions(conn, target.conversation, target.seq, target.sender, mentions).await
}

/// A tombstone keeps its place, its sender, its thread and the time of its last edit; all else is erased.
async fn delete(conn: &mut SqliteConnection, target: &Target, changed_seq: i64, at: i64) -> Result<()> {
    for statement in [
        "delete from message_edits where conversation_id = ? and seq = ?",
        "delete from reactions where conversation_id = ? and seq = ?",
    ] {
        sqlx::query(statement).bind(target.conversation).bind(target.seq).execute(&mut *conn).await.db()?;
    }
    delete_mentions(conn, target.conversation, target.seq, &target.mentions).await?;
    // The search index forgets the text by the table's trigger.
    sqlx::query(
        "update messages set changed_seq = ?3, changed_in = (select changes from meta), deleted_at = ?4, content = '', \
         mentions = null, attachments = null, pinned_at = null, reaction_count = 0 \
         where conversation_id = ?1 and seq = ?2",
    )
    .bind(target.conversation)
    .bind(target.seq)
    .bind(changed_seq)
    .bind(at)
    .execute(conn)
    .await
    .db()?;
    Ok(())
}

/// Moves the message's last change, and how many reactions it has.
async fn count_reactions(conn: &mut SqliteConnection, target: &Target, changed_seq: i64, by: i64) -> Result<()> {
    sqlx::query(
        "update messages set changed_seq = ?3, changed_in = (select changes from meta), \
         reaction_count = reaction_count + ?4 \
         where conversation_id = ?1 and seq = ?2",
    )
    .bind(target.conversation)
    .bind(target.seq)
    .bind(changed_seq)
    .bind(by)
    .execute(conn)
    .await
    .db()?;
    Ok(())
}
