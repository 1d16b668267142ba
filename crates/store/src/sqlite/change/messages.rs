//! Messages: inserted, changed, read back. All inside a write transaction.

use protocol::Message;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::super::{
    codec::{id_list, to_db},
    error::{Db, refused},
    rows::{MessageRow, select_messages},
};
use crate::{InsertMessage, MessageUpdate, Result, StoreError, UpdateMessage};

/// Inserts one message. Inside a write transaction.
pub(in super::super) async fn insert_message(conn: &mut SqliteConnection, message: &InsertMessage) -> Result<()> {
    let system = message.system.as_ref().map(serde_json::to_string).transpose();
    sqlx::query(
        "insert into messages (conversation_id, seq, changed_seq, id, number, sender_id, kind, content, system, \
         reply_to_id, client_id, fingerprint, created_at) \
         values (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
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
    .execute(conn)
    .await
    .db()?;
    Ok(())
}

pub(super) async fn update_message(conn: &mut SqliteConnection, update: &UpdateMessage) -> Result<()> {
    let (id, place) = (update.id.0, update.conversation_id.0);
    let (seq, at) = (to_db(update.changed_seq), update.at.unix_millis());
    let done = match &update.update {
        MessageUpdate::Pin(_) | MessageUpdate::React { .. } | MessageUpdate::Unreact { .. } => {
            return Err(crate::StoreError::Internal("not there yet".into()));
        }
        MessageUpdate::Edit { content, .. } => {
            sqlx::query(
                "insert into message_edits (conversation_id, seq, changed_seq, content, replaced_at) \
                 select conversation_id, seq, ?3, content, ?4 from messages where id = ?1 and conversation_id = ?2",
            )
            .bind(id)
            .bind(place)
            .bind(seq)
            .bind(at)
            .execute(&mut *conn)
            .await
            .db()?;
            sqlx::query(
                "update messages set changed_seq = ?3, edited_at = ?4, content = ?5 \
                 where id = ?1 and conversation_id = ?2",
            )
            .bind(id)
            .bind(place)
            .bind(seq)
            .bind(at)
            .bind(content)
            .execute(conn)
            .await
            .db()?
        }
        MessageUpdate::Delete => {
            sqlx::query(
                "delete from message_edits where (conversation_id, seq) in \
                 (select conversation_id, seq from messages where id = ? and conversation_id = ?)",
            )
            .bind(id)
            .bind(place)
            .execute(&mut *conn)
            .await
            .db()?;
            sqlx::query(
                "update messages set changed_seq = ?3, deleted_at = ?4, content = '' \
                 where id = ?1 and conversation_id = ?2",
            )
            .bind(id)
            .bind(place)
            .bind(seq)
            .bind(at)
            .execute(conn)
            .await
            .db()?
        }
    };
    if done.rows_affected() == 1 { Ok(()) } else { Err(refused("an update of a message that is not there")) }
}

/// Messages by id, in no particular order; unknown ids are left out.
pub(in super::super) async fn read_messages(
    conn: &mut SqliteConnection,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<Vec<Message>> {
    let rows: Vec<MessageRow> =
        sqlx::query_as(concat!(select_messages!(), "where m.id in (select unhex(value) from json_each(?))"))
            .bind(id_list(ids))
            .fetch_all(conn)
            .await
            .db()?;
    rows.into_iter().map(MessageRow::into_message).collect()
}
