//! What moved a user's feed after a cursor, each thing in its present state. All inside one read transaction.

use protocol::{
    Conversation, ConversationId, NotificationPreferences, Notify, Preferences, SessionId, UserId, UserSeq,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    codec::{Text, from_db, time_opt, to_db},
    error::Db,
    follow::feed_head,
    inbox::{NotificationRow, select_notifications},
    views,
};
use crate::{Feed, FeedChange, FeedItem, IdMap, Result};

/// Inside a read transaction.
pub(super) async fn feed(conn: &mut SqliteConnection, user: UserId, after: UserSeq) -> Result<Feed> {
    let user_seq = feed_head(conn, user).await?;
    let after = to_db(after);
    let mut items = memberships(conn, user, after).await?;
    items.extend(preferences(conn, user, after).await?);
    items.extend(notification_preferences(conn, user, after).await?);
    items.extend(notifications(conn, user, after).await?);
    items.extend(blocks(conn, user, after).await?);
    items.extend(sessions(conn, user, after).await?);
    items.extend(disabled(conn, user, after).await?);
    items.sort_by_key(|item| item.user_seq);
    Ok(Feed { user_seq, items })
}

fn item(user_seq: i64, change: FeedChange) -> FeedItem {
    FeedItem { user_seq: from_db(user_seq), change }
}

async fn memberships(conn: &mut SqliteConnection, user: UserId, after: i64) -> Result<Vec<FeedItem>> {
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
    let mut shown: IdMap<ConversationId, Conversation> = if joined.is_empty() {
        IdMap::default()
    } else {
        views::many(conn, user, &joined).await?.into_iter().map(|shown| (shown.id, shown)).collect()
    };
    let items = moves.into_iter().map(|(seq, id, active)| {
        let id = ConversationId(id);
        // Deleted for all: theirs no longer, though the row says that they take part.
        let change = match shown.remove(&id).filter(|_| active) {
            Some(conversation) => FeedChange::Joined(Box::new(conversation)),
            None => FeedChange::Left(id),
        };
        item(seq, change)
    });
    Ok(items.collect())
}

/// Settings that changed since; who joined since gets them with the conversation.
async fn preferences(conn: &mut SqliteConnection, user: UserId, after: i64) -> Result<Vec<FeedItem>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        user_seq: i64,
        conversation_id: Uuid,
        notify: String,
        muted_until: Option<i64>,
        pinned_at: Option<i64>,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "select p.user_seq, p.conversation_id, p.notify, p.muted_until, p.pinned_at from participants p \
         join conversations c on c.id = p.conversation_id and c.deleted_at is null \
         where p.user_id = ?1 and p.user_seq > ?2 and p.member_user_seq <= ?2 and p.left_at is null",
    )
    .bind(user.0)
    .bind(after)
    .fetch_all(conn)
    .await
    .db()?;
    rows.into_iter()
        .map(|row| {
            let preferences = Preferences {
                conversation_id: ConversationId(row.conversation_id),
                notify: Notify::parse(&row.notify)?,
                muted_until: time_opt(row.muted_until)?,
                pinned_at: time_opt(row.pinned_at)?,
            };
            Ok(item(row.user_seq, FeedChange::Preferences(preferences)))
        })
        .collect()
}

async fn notification_preferences(conn: &mut SqliteConnection, user: UserId, after: i64) -> Result<Option<FeedItem>> {
    let row: Option<(i64, String, Option<i64>)> = sqlx::query_as(
        "select user_seq, notify, muted_until from notification_preferences where user_id = ? and user_seq > ?",
    )
    .bind(user.0)
    .bind(after)
    .fetch_optional(conn)
    .await
    .db()?;
    row.map(|(seq, notify, muted_until)| {
        let preferences =
            NotificationPreferences { notify: Notify::parse(&notify)?, muted_until: time_opt(muted_until)? };
        Ok(item(seq, FeedChange::NotificationPreferences(preferences)))
    })
    .transpose()
}

async fn notifications(conn: &mut SqliteConnection, user: UserId, after: i64) -> Result<Vec<FeedItem>> {
    let rows: Vec<NotificationRow> =
        sqlx::query_as(concat!(select_notifications!(), "where n.user_id = ? and n.user_seq > ?"))
            .bind(user.0)
            .bind(after)
            .fetch_all(conn)
            .await
            .db()?;
    rows.into_iter()
        .map(|row| {
            let notification = row.into_notification()?;
            Ok(FeedItem { user_seq: notification.user_seq, change: FeedChange::Notification(Box::new(notification)) })
        })
        .collect()
}

async fn blocks(conn: &mut SqliteConnection, user: UserId, after: i64) -> Result<Vec<FeedItem>> {
    let rows: Vec<(i64, Uuid, bool)> =
        sqlx::query_as("select user_seq, blocked_id, active from blocks where user_id = ? and user_seq > ?")
            .bind(user.0)
            .bind(after)
            .fetch_all(conn)
            .await
            .db()?;
    Ok(rows.into_iter().map(|(seq, other, active)| item(seq, FeedChange::Blocked(UserId(other), active))).collect())
}

async fn sessions(conn: &mut SqliteConnection, user: UserId, after: i64) -> Result<Vec<FeedItem>> {
    let rows: Vec<(i64, Uuid)> = sqlx::query_as("select user_seq, id from sessions where user_id = ? and user_seq > ?")
        .bind(user.0)
        .bind(after)
        .fetch_all(conn)
        .await
        .db()?;
    Ok(rows.into_iter().map(|(seq, id)| item(seq, FeedChange::SessionRevoked(SessionId(id)))).collect())
}

async fn disabled(conn: &mut SqliteConnection, user: UserId, after: i64) -> Result<Option<FeedItem>> {
    let row: Option<(i64, bool)> = sqlx::query_as(
        "select disabled_user_seq, disabled_at is not null from users where id = ? and disabled_user_seq > ?",
    )
    .bind(user.0)
    .bind(after)
    .fetch_optional(conn)
    .await
    .db()?;
    Ok(row.map(|(seq, disabled)| item(seq, FeedChange::Disabled(disabled))))
}
