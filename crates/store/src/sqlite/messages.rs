//! Reading messages: one, a window of the history, what changed after a cursor.

use protocol::{Change, Changes, ChangesTag, ConversationId, HistoryWindow, Message, MessageId, Seq, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    codec::{from_db, to_db},
    error::Db,
    load,
    rows::{MessageRow, select_messages},
    views::readable_since,
};
use crate::Result;

pub(super) async fn locate(conn: &mut SqliteConnection, message: MessageId) -> Result<Option<ConversationId>> {
    let id: Option<Uuid> = sqlx::query_scalar("select conversation_id from messages where id = ?")
        .bind(message.0)
        .fetch_optional(conn)
        .await
        .db()?;
    Ok(id.map(ConversationId))
}

pub(super) async fn one(conn: &mut SqliteConnection, viewer: UserId, id: MessageId) -> Result<Option<Message>> {
    let row: Option<MessageRow> = sqlx::query_as(concat!(
        select_messages!(),
        "join participants p on p.conversation_id = m.conversation_id and p.user_id = ? and p.left_at is null \
         join conversations c on c.id = m.conversation_id and c.deleted_at is null \
         where m.id = ? and m.seq > p.access_since_seq"
    ))
    .bind(viewer.0)
    .bind(id.0)
    .fetch_optional(&mut *conn)
    .await
    .db()?;
    load::message(conn, row, Some(viewer)).await
}

/// Inside a read transaction. Around a seq, a side that is short leaves its room to the other.
pub(super) async fn history(
    conn: &mut SqliteConnection,
    viewer: UserId,
    conversation: ConversationId,
    window: HistoryWindow,
    limit: u32,
) -> Result<Vec<Message>> {
    let Some(since) = readable_since(conn, viewer, conversation).await? else { return Ok(Vec::new()) };
    let limit = limit.max(1) as usize;
    let rows = match window {
        HistoryWindow::Latest => older(conn, conversation, since, Seq::MAX, limit).await?,
        HistoryWindow::Before(seq) => older(conn, conversation, since, seq, limit).await?,
        HistoryWindow::After(seq) => newer(conn, conversation, since.max(seq), limit).await?,
        HistoryWindow::Around(seq) => {
            let mut before = older(conn, conversation, since, seq, limit).await?;
            let mut after = newer(conn, conversation, since.max(seq.saturating_sub(1)), limit).await?;
            after.truncate(limit.saturating_sub(before.len()).max(limit.div_ceil(2)));
            before.drain(..before.len().saturating_sub(limit - after.len()));
            before.append(&mut after);
            before
        }
    };
    load::messages(conn, rows, Some(viewer)).await
}

/// The nearest messages with `since < seq < before`, ascending.
async fn older(
    conn: &mut SqliteConnection,
    conversation: ConversationId,
    since: Seq,
    before: Seq,
    limit: usize,
) -> Result<Vec<MessageRow>> {
    let mut rows: Vec<MessageRow> = sqlx::query_as(concat!(
        select_messages!(),
        "where m.conversation_id = ? and m.seq > ? and m.seq < ? order by m.seq desc limit ?"
    ))
    .bind(conversation.0)
    .bind(to_db(since))
    .bind(to_db(before))
    .bind(limit as i64)
    .fetch_all(conn)
    .await
    .db()?;
    rows.reverse();
    Ok(rows)
}

/// The nearest messages with `seq > after`, ascending.
async fn newer(
    conn: &mut SqliteConnection,
    conversation: ConversationId,
    after: Seq,
    limit: usize,
) -> Result<Vec<MessageRow>> {
    sqlx::query_as(concat!(select_messages!(), "where m.conversation_id = ? and m.seq > ? order by m.seq limit ?"))
        .bind(conversation.0)
        .bind(to_db(after))
        .bind(limit as i64)
        .fetch_all(conn)
        .await
        .db()
}

/// Inside a read transaction, so that the head belongs to the same snapshot as the changes.
pub(super) async fn changes(
    conn: &mut SqliteConnection,
    viewer: Option<UserId>,
    conversation: ConversationId,
    after: Seq,
    limit: u32,
) -> Result<Option<Changes>> {
    let since = match viewer {
        None => 0,
        Some(viewer) => match readable_since(conn, viewer, conversation).await? {
            Some(since) => since,
            None => return Ok(None),
        },
    };
    let head: Option<i64> = sqlx::query_scalar("select last_seq from conversations where id = ?")
        .bind(conversation.0)
        .fetch_optional(&mut *conn)
        .await
        .db()?;
    let Some(head) = head.map(from_db) else { return Ok(None) };
    let limit = limit.max(1) as usize;
    let mut rows: Vec<MessageRow> = sqlx::query_as(concat!(
        select_messages!(),
        "where m.conversation_id = ? and m.changed_seq > ? and m.seq > ? order by m.changed_seq limit ?"
    ))
    .bind(conversation.0)
    .bind(to_db(after))
    .bind(to_db(since))
    .bind(limit as i64 + 1)
    .fetch_all(&mut *conn)
    .await
    .db()?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let changes: Vec<Change> =
        load::messages(conn, rows, viewer).await?.into_iter().map(|message| Change::of(message, after)).collect();
    let to = changes.last().filter(|_| more).map_or(head, |change| change.seq);
    Ok(Some(Changes { tag: ChangesTag::Changes, conversation_id: conversation, from: after, to, more, changes }))
}
