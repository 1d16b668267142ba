//! Messages that belong to others: a thread's replies, a conversation's pins, what a message said before.

use protocol::{ConversationId, Message, MessageId, MessageVersion, Seq, UserId};
use sqlx::SqliteConnection;

use super::{
    super::{
        codec::{time, to_db},
        error::Db,
        load, messages,
        rows::{MessageRow, select_messages},
        views::readable_since,
    },
    place,
};
use crate::Result;

/// Replies come after their root, so whoever sees the root sees them.
pub(super) async fn thread(
    conn: &mut SqliteConnection,
    viewer: UserId,
    root: MessageId,
    after: Seq,
    limit: u32,
) -> Result<Option<(Message, Vec<Message>)>> {
    let Some(root) = messages::one(conn, viewer, root).await? else { return Ok(None) };
    let rows: Vec<MessageRow> = sqlx::query_as(concat!(
        select_messages!(),
        "where m.conversation_id = ? and m.thread_root_id = ? and m.seq > ? order by m.seq limit ?"
    ))
    .bind(root.conversation_id.0)
    .bind(root.id.0)
    .bind(to_db(after))
    .bind(i64::from(limit.max(1)))
    .fetch_all(&mut *conn)
    .await
    .db()?;
    let replies = load::messages(conn, rows, Some(viewer)).await?;
    Ok(Some((root, replies)))
}

/// All of them: there is a limit on how many may be pinned. (`+m.seq`: else the messages are gone through instead of
/// the pins.)
pub(super) async fn pins(
    conn: &mut SqliteConnection,
    viewer: UserId,
    conversation: ConversationId,
) -> Result<Vec<Message>> {
    let Some(since) = readable_since(conn, viewer, conversation).await? else { return Ok(Vec::new()) };
    let rows: Vec<MessageRow> = sqlx::query_as(concat!(
        select_messages!(),
        "where m.conversation_id = ? and m.pinned_at is not null and +m.seq > ? order by m.pinned_at desc, m.seq desc"
    ))
    .bind(conversation.0)
    .bind(to_db(since))
    .fetch_all(&mut *conn)
    .await
    .db()?;
    load::messages(conn, rows, Some(viewer)).await
}

pub(super) async fn versions(
    conn: &mut SqliteConnection,
    viewer: UserId,
    message: MessageId,
) -> Result<Option<Vec<MessageVersion>>> {
    let Some(place) = place(conn, viewer, message).await? else { return Ok(None) };
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select content, replaced_at from message_edits where conversation_id = ? and seq = ? order by changed_seq",
    )
    .bind(place.conversation_id)
    .bind(place.seq)
    .fetch_all(conn)
    .await
    .db()?;
    let version = |(content, at)| Ok(MessageVersion { content, replaced_at: time(at)? });
    rows.into_iter().map(version).collect::<Result<_>>().map(Some)
}
