//! What a gateway needs so that nothing is missed: memberships, heads, receipts. Feeds and markers have files of their
//! own.

use protocol::{ConversationId, Receipt, UserId, UserSeq};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    codec::{from_db, id_list},
    error::Db,
    views,
};
use crate::{Heads, Members, Membership, Memberships, NewEpoch, Result, Watermark};

/// Most participants of a conversation whose markers a resume tells.
const RECEIPTS_MAX: i64 = 100;

/// Where a user's feed is; 0 for one who is not there.
pub(super) async fn feed_head(conn: &mut SqliteConnection, user: UserId) -> Result<UserSeq> {
    let seq: Option<i64> =
        sqlx::query_scalar("select feed_seq from users where id = ?").bind(user.0).fetch_optional(conn).await.db()?;
    Ok(seq.map_or(0, from_db))
}

/// The epoch, and what can be seen now.
pub(super) async fn now(conn: &mut SqliteConnection) -> Result<(String, Watermark)> {
    let (epoch, changes): (String, i64) =
        sqlx::query_as("select epoch, changes from meta").fetch_one(conn).await.db()?;
    Ok((epoch, Watermark::new(from_db(changes) + 1, &[])))
}

/// Gives the database another epoch.
pub(super) async fn new_epoch(conn: &mut SqliteConnection) -> Result<NewEpoch> {
    let old = views::epoch(conn).await?;
    let new = sqlx::query_scalar("update meta set epoch = lower(hex(randomblob(16))) returning epoch")
        .fetch_one(conn)
        .await
        .db()?;
    // Its numbers are its own, wherever the file is.
    Ok(NewEpoch { old, new, cleared: 0 })
}

/// Inside a read transaction.
pub(super) async fn memberships(conn: &mut SqliteConnection, user: UserId, limit: u32) -> Result<Memberships> {
    let (epoch, watermark) = now(conn).await?;
    let user_seq = feed_head(conn, user).await?;
    let rows: Vec<(Uuid, i64, i64)> = sqlx::query_as(
        "select c.id, c.last_seq, p.access_since_seq from participants p \
         join conversations c on c.id = p.conversation_id and c.deleted_at is null \
         where p.user_id = ? and p.left_at is null order by c.last_activity_at desc, c.id desc limit ?",
    )
    .bind(user.0)
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await
    .db()?;
    let items = rows
        .into_iter()
        .map(|(id, last_seq, since)| Membership {
            conversation_id: ConversationId(id),
            last_seq: from_db(last_seq),
            access_since_seq: from_db(since),
        })
        .collect();
    Ok(Memberships { epoch, user_seq, watermark, items })
}

/// Inside a read transaction.
pub(super) async fn heads(conn: &mut SqliteConnection, ids: &[ConversationId]) -> Result<Heads> {
    let (epoch, watermark) = now(conn).await?;
    let rows: Vec<(Uuid, i64)> =
        sqlx::query_as("select id, last_seq from conversations where id in (select unhex(value) from json_each(?))")
            .bind(id_list(ids.iter().map(|id| id.0)))
            .fetch_all(conn)
            .await
            .db()?;
    let items = rows.into_iter().map(|(id, seq)| (ConversationId(id), from_db(seq))).collect();
    Ok(Heads { epoch, watermark, items })
}

/// Inside a read transaction.
pub(super) async fn members(
    conn: &mut SqliteConnection,
    conversation: ConversationId,
    users: &[UserId],
) -> Result<Option<Members>> {
    let head: Option<(i64, bool)> =
        sqlx::query_as("select last_seq, deleted_at is not null from conversations where id = ?")
            .bind(conversation.0)
            .fetch_optional(&mut *conn)
            .await
            .db()?;
    let Some((head, is_deleted)) = head else { return Ok(None) };
    let members: Vec<(Uuid, i64)> = sqlx::query_as(
        "select p.user_id, p.access_since_seq from participants p \
         join conversations c on c.id = p.conversation_id and c.deleted_at is null \
         where p.conversation_id = ? and p.left_at is null \
         and p.user_id in (select unhex(value) from json_each(?))",
    )
    .bind(conversation.0)
    .bind(id_list(users.iter().map(|id| id.0)))
    .fetch_all(conn)
    .await
    .db()?;
    let access_since_seq = members.into_iter().map(|(user, since)| (UserId(user), from_db(since))).collect();
    Ok(Some(Members { last_seq: from_db(head), is_deleted, access_since_seq }))
}

pub(super) async fn feed_heads(conn: &mut SqliteConnection, ids: &[UserId]) -> Result<Vec<(UserId, UserSeq)>> {
    let rows: Vec<(Uuid, i64)> =
        sqlx::query_as("select id, feed_seq from users where id in (select unhex(value) from json_each(?))")
            .bind(id_list(ids.iter().map(|id| id.0)))
            .fetch_all(conn)
            .await
            .db()?;
    Ok(rows.into_iter().map(|(id, seq)| (UserId(id), from_db(seq))).collect())
}

pub(super) async fn receipts(
    conn: &mut SqliteConnection,
    user: UserId,
    conversations: &[ConversationId],
) -> Result<Vec<Receipt>> {
    let rows: Vec<(Uuid, Uuid, i64, i64, i64)> = sqlx::query_as(
        "select p.conversation_id, p.user_id, p.delivered_seq, p.read_seq, p.read_number from participants me \
         join conversations c on c.id = me.conversation_id and c.deleted_at is null \
         join participants p on p.conversation_id = me.conversation_id and p.left_at is null \
         and (p.user_id = ?1 or c.participant_count <= ?2) \
         where me.user_id = ?1 and me.left_at is null \
         and me.conversation_id in (select unhex(value) from json_each(?3))",
    )
    .bind(user.0)
    .bind(RECEIPTS_MAX)
    .bind(id_list(conversations.iter().map(|id| id.0)))
    .fetch_all(conn)
    .await
    .db()?;
    Ok(rows
        .into_iter()
        .map(|(conversation, user, delivered_seq, read_seq, read_number)| Receipt {
            conversation_id: ConversationId(conversation),
            user_id: UserId(user),
            delivered_seq: from_db(delivered_seq),
            read_seq: from_db(read_seq),
            read_number: from_db(read_number),
        })
        .collect())
}
