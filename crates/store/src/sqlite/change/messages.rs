//! Messages: inserted (with the thread and the mentions they move), and read back. All inside a write transaction.

use std::collections::BTreeSet;

use protocol::{Message, MessageId, THREAD_REPLIERS_SHOWN, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::super::{
    codec::{id_list, to_db},
    error::{Db, refused},
    load,
    rows::{MessageRow, json_from_db, json_to_db, mentions_to_db, select_messages},
};
use crate::{InsertMessage, Result, StoreError, StoredMention};

/// Inserts one message. Inside a write transaction.
pub(in super::super) async fn insert_message(conn: &mut SqliteConnection, message: &InsertMessage) -> Result<()> {
    let system = message.system.as_ref().map(serde_json::to_string).transpose();
    sqlx::query(
        "insert into messages (conversation_id, seq, changed_seq, id, number, sender_id, kind, content, system, \
         reply_to_id, client_id, fingerprint, created_at, thread_root_id, mentions, attachments, changed_in, doc) \
         values (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
         (select changes from meta), case when ?6 = 'text' \
         then (select coalesce(max(doc), 0) + 1 from messages where doc is not null) end)",
    )
    .bind(message.conversation_id.0)
    .bind(to_db(message.seq))
    .bind(message.id.0)
    .bind(to_db(message.number))
    .bind(message.sender_id.0)
    .bind(if message.system.is_some() { "system" } else { "text" })
    .bind(&message.content)
    .bind(system.map_err(|e| StoreError::Refused(Box::new(e)))?)
    .bind(message.reply_to_id.map(|id| id.0))
    .bind(&message.client_id)
    .bind(&message.fingerprint)
    .bind(message.created_at.unix_millis())
    .bind(message.thread_root_id.map(|id| id.0))
    .bind(mentions_to_db(&message.mentions)?)
    .bind(json_to_db(&message.attachments)?)
    .execute(&mut *conn)
    .await
    .db()?;
    insert_mentions(conn, message.conversation_id.0, to_db(message.seq), message.sender_id, &message.mentions).await?;
    match message.thread_root_id {
        Some(root) => count_reply(conn, root, message).await,
        None => Ok(()),
    }
}

/// The rows that badges count: each mentioned user once, everybody as the nil id, senders themselves not at all.
pub(super) async fn insert_mentions(
    conn: &mut SqliteConnection,
    conversation: Uuid,
    seq: i64,
    sender: UserId,
    mentions: &[StoredMention],
) -> Result<()> {
    let users = mentioned(mentions);
    let users = users.into_iter().filter(|user| *user != sender.0);
    for user in users {
        sqlx::query("insert into mentions (user_id, conversation_id, seq) values (?, ?, ?)")
            .bind(user)
            .bind(conversation)
            .bind(seq)
            .execute(&mut *conn)
            .await
            .db()?;
    }
    Ok(())
}

/// Removes what [`insert_mentions`] made of the same list.
pub(in super::super) async fn delete_mentions(
    conn: &mut SqliteConnection,
    conversation: Uuid,
    seq: i64,
    mentions: &[StoredMention],
) -> Result<()> {
    for user in mentioned(mentions) {
        sqlx::query("delete from mentions where user_id = ? and conversation_id = ? and seq = ?")
            .bind(user)
            .bind(conversation)
            .bind(seq)
            .execute(&mut *conn)
            .await
            .db()?;
    }
    Ok(())
}

fn mentioned(mentions: &[StoredMention]) -> BTreeSet<Uuid> {
    mentions.iter().map(|mention| mention.user.map_or(Uuid::nil(), |user| user.0)).collect()
}

/// Counts a reply at the root of its thread. No change of the root: its `changed_seq` stays.
async fn count_reply(conn: &mut SqliteConnection, root: MessageId, reply: &InsertMessage) -> Result<()> {
    let before: Option<Option<String>> =
        sqlx::query_scalar("select last_repliers from messages where id = ? and conversation_id = ?")
            .bind(root.0)
            .bind(reply.conversation_id.0)
            .fetch_optional(&mut *conn)
            .await
            .db()?;
    let before = before.ok_or_else(|| refused("a reply in a thread that is not there"))?;
    let before: Vec<Uuid> = json_from_db(before.as_deref(), "last repliers")?;
    let mut repliers = vec![reply.sender_id.0];
    repliers.extend(before.into_iter().filter(|user| *user != reply.sender_id.0).take(THREAD_REPLIERS_SHOWN - 1));
    sqlx::query(
        "update messages set reply_count = reply_count + 1, last_reply_seq = ?3, last_reply_at = ?4, \
         last_repliers = ?5 where id = ?1 and conversation_id = ?2",
    )
    .bind(root.0)
    .bind(reply.conversation_id.0)
    .bind(to_db(reply.seq))
    .bind(reply.created_at.unix_millis())
    .bind(json_to_db(&repliers)?)
    .execute(conn)
    .await
    .db()?;
    Ok(())
}

/// Messages by id, in no particular order; unknown ids are left out.
pub(in super::super) async fn read_messages(
    conn: &mut SqliteConnection,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<Vec<Message>> {
    let rows: Vec<MessageRow> =
        sqlx::query_as(concat!(select_messages!(), "where m.id in (select unhex(value) from json_each(?))"))
            .bind(id_list(ids))
            .fetch_all(&mut *conn)
            .await
            .db()?;
    load::messages(conn, rows, None).await
}
