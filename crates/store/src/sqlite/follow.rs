//! What a gateway needs so that nothing is missed: memberships, heads, feeds, receipts; and moving markers.

use std::collections::HashMap;

use protocol::{Conversation, ConversationId, Receipt, Seq, SessionId, UserId, UserSeq};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    codec::{from_db, id_list, to_db},
    error::Db,
    views,
};
use crate::{Feed, FeedChange, FeedItem, Mark, Marked, Membership, Memberships, Result};

/// Most participants of a conversation whose markers a resume tells.
const RECEIPTS_MAX: i64 = 100;

async fn feed_head(conn: &mut SqliteConnection, user: UserId) -> Result<UserSeq> {
    let seq: Option<i64> =
        sqlx::query_scalar("select feed_seq from users where id = ?").bind(user.0).fetch_optional(conn).await.db()?;
    Ok(seq.map_or(0, from_db))
}

/// Inside a read transaction.
pub(super) async fn memberships(conn: &mut SqliteConnection, user: UserId, limit: u32) -> Result<Memberships> {
    let epoch = views::epoch(conn).await?;
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
    Ok(Memberships { epoch, user_seq, items })
}

pub(super) async fn heads(conn: &mut SqliteConnection, ids: &[ConversationId]) -> Result<Vec<(ConversationId, Seq)>> {
    let rows: Vec<(Uuid, i64)> =
        sqlx::query_as("select id, last_seq from conversations where id in (select unhex(value) from json_each(?))")
            .bind(id_list(ids.iter().map(|id| id.0)))
            .fetch_all(conn)
            .await
            .db()?;
    Ok(rows.into_iter().map(|(id, seq)| (ConversationId(id), from_db(seq))).collect())
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

/// Inside a read transaction.
pub(super) async fn feed(conn: &mut SqliteConnection, user: UserId, after: UserSeq) -> Result<Feed> {
    let user_seq = feed_head(conn, user).await?;
    let after = to_db(after);
    let moves: Vec<(i64, Uuid, bool)> = sqlx::query_as(
        "select member_user_seq, conversation_id, left_at is null from participants \
         where user_id = ? and member_user_seq > ?",
    )
    .bind(user.0)
    .bind(after)
    .fetch_all(&mut *conn)
    .await
    .db()?;
    let joined: Vec<ConversationId> =
        moves.iter().filter(|(_, _, active)| *active).map(|(_, id, _)| ConversationId(*id)).collect();
    let mut shown: HashMap<ConversationId, Conversation> =
        views::many(conn, user, &joined).await?.into_iter().map(|shown| (shown.id, shown)).collect();
    let mut items: Vec<FeedItem> = Vec::with_capacity(moves.len());
    for (seq, id, active) in moves {
        let id = ConversationId(id);
        // Deleted for all: theirs no longer, though the row says that they take part.
        let change = match shown.remove(&id).filter(|_| active) {
            Some(conversation) => FeedChange::Joined(Box::new(conversation)),
            None => FeedChange::Left(id),
        };
        items.push(FeedItem { user_seq: from_db(seq), change });
    }
    let revoked: Vec<(i64, Uuid)> =
        sqlx::query_as("select user_seq, id from sessions where user_id = ? and user_seq > ?")
            .bind(user.0)
            .bind(after)
            .fetch_all(&mut *conn)
            .await
            .db()?;
    items.extend(
        revoked
            .into_iter()
            .map(|(seq, id)| FeedItem { user_seq: from_db(seq), change: FeedChange::SessionRevoked(SessionId(id)) }),
    );
    let disabled: Option<(i64, bool)> = sqlx::query_as(
        "select disabled_user_seq, disabled_at is not null from users where id = ? and disabled_user_seq > ?",
    )
    .bind(user.0)
    .bind(after)
    .fetch_optional(conn)
    .await
    .db()?;
    items.extend(
        disabled.map(|(seq, disabled)| FeedItem { user_seq: from_db(seq), change: FeedChange::Disabled(disabled) }),
    );
    items.sort_by_key(|item| item.user_seq);
    Ok(Feed { user_seq, items })
}

pub(super) async fn receipts(
    conn: &mut SqliteConnection,
    user: UserId,
    conversations: &[ConversationId],
) -> Result<Vec<Receipt>> {
    let rows: Vec<(Uuid, Uuid, i64, i64)> = sqlx::query_as(
        "select p.conversation_id, p.user_id, p.delivered_seq, p.read_seq from participants me \
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
        .map(|(conversation, user, delivered_seq, read_seq)| Receipt {
            read_number: 0,
            conversation_id: ConversationId(conversation),
            user_id: UserId(user),
            delivered_seq: from_db(delivered_seq),
            read_seq: from_db(read_seq),
        })
        .collect())
}

/// Moves a participant's markers. Inside a write transaction.
pub(super) async fn mark(
    conn: &mut SqliteConnection,
    user: UserId,
    conversation: ConversationId,
    mark: Mark,
) -> Result<Option<Marked>> {
    let row: Option<(i64, i64, i64, i64)> = sqlx::query_as(
        "select p.read_seq, p.delivered_seq, c.last_seq, c.participant_count from participants p \
         join conversations c on c.id = p.conversation_id and c.deleted_at is null \
         where p.conversation_id = ? and p.user_id = ? and p.left_at is null",
    )
    .bind(conversation.0)
    .bind(user.0)
    .fetch_optional(&mut *conn)
    .await
    .db()?;
    let Some((read, delivered, head, count)) = row else { return Ok(None) };
    let (wanted_read, wanted_delivered) = match mark {
        Mark::Read(seq) => (to_db(seq).min(head), to_db(seq).min(head)),
        Mark::Delivered(seq) => (0, to_db(seq).min(head)),
    };
    let (new_read, new_delivered) = (wanted_read.max(read), wanted_delivered.max(delivered));
    let moved = (new_read, new_delivered) != (read, delivered);
    if moved {
        sqlx::query(
            "update participants set read_seq = ?3, delivered_seq = ?4, \
             markers_changed_at = cast(unixepoch('subsec') * 1000 as integer), \
             read_number = max(read_number, coalesce((select number from messages where conversation_id = ?1 \
             and seq <= ?3 order by seq desc limit 1), 0)) where conversation_id = ?1 and user_id = ?2",
        )
        .bind(conversation.0)
        .bind(user.0)
        .bind(new_read)
        .bind(new_delivered)
        .execute(conn)
        .await
        .db()?;
    }
    Ok(Some(Marked {
        read_number: 0,
        delivered_seq: from_db(new_delivered),
        read_seq: from_db(new_read),
        moved,
        participant_count: from_db(count),
    }))
}
