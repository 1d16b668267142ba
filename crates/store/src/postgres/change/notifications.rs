//! Writes notifications, each with a place in its user's feed. One that is there already (the same user, message and
//! kind) stays as it is and moves nothing.

use protocol::{MessageId, NotificationKind, UserId, UserSeq};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    super::{
        fault::Outcome,
        values::{Word, int},
    },
    Feeds,
};
use crate::{IdSet, WriteNotification};

/// Writes those that are new, under the locks of their users' feeds: nobody else writes one of theirs meanwhile.
pub(in super::super) async fn write<'a>(
    tx: &mut PgConnection,
    feeds: &mut Feeds,
    notifications: &'a [WriteNotification],
) -> Outcome<Vec<(&'a WriteNotification, UserSeq)>> {
    if notifications.is_empty() {
        return Ok(Vec::new());
    }
    let mut known = known(tx, notifications).await?;
    let mut places = Vec::with_capacity(notifications.len());
    for notification in notifications {
        if known.insert((notification.user_id, notification.message_id, notification.kind)) {
            places.push((notification, feeds.next(notification.user_id)?));
        }
    }
    insert(tx, &places).await?;
    Ok(places)
}

async fn known(
    tx: &mut PgConnection,
    notifications: &[WriteNotification],
) -> Outcome<IdSet<(UserId, MessageId, NotificationKind)>> {
    let rows: Vec<(Uuid, Uuid, String)> = sqlx::query_as(
        "SELECT n.user_id, n.message_id, n.kind
         FROM unnest($1::uuid[], $2::uuid[]) AS k (user_id, message_id)
         JOIN notifications n ON n.user_id = k.user_id AND n.message_id = k.message_id",
    )
    .bind(notifications.iter().map(|n| n.user_id.0).collect::<Vec<_>>())
    .bind(notifications.iter().map(|n| n.message_id.0).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let key = |(user, message, kind): (Uuid, Uuid, String)| {
        Ok((UserId(user), MessageId(message), NotificationKind::of(&kind)?))
    };
    rows.into_iter().map(key).collect()
}

async fn insert(tx: &mut PgConnection, places: &[(&WriteNotification, UserSeq)]) -> Outcome<()> {
    if places.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO notifications (id, user_id, user_seq, kind, conversation_id, message_id, actor_id, created_at)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::uuid[], $6::uuid[], $7::uuid[],
                              $8::timestamptz[])",
    )
    .bind(places.iter().map(|(n, _)| n.id.0).collect::<Vec<_>>())
    .bind(places.iter().map(|(n, _)| n.user_id.0).collect::<Vec<_>>())
    .bind(places.iter().map(|(_, place)| int(*place)).collect::<Vec<_>>())
    .bind(places.iter().map(|(n, _)| n.kind.word()).collect::<Vec<_>>())
    .bind(places.iter().map(|(n, _)| n.conversation_id.0).collect::<Vec<_>>())
    .bind(places.iter().map(|(n, _)| n.message_id.0).collect::<Vec<_>>())
    .bind(places.iter().map(|(n, _)| n.actor_id.0).collect::<Vec<_>>())
    .bind(places.iter().map(|(n, _)| n.at.get()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
