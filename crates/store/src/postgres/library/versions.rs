//! What messages said before they were edited. A deleted message has no history left.

use protocol::{MessageId, MessageVersion, Timestamp, UserId};
use sqlx::PgPool;
use time::OffsetDateTime;

use super::{
    super::{conversations::SNAPSHOT, fault::Outcome},
    place,
};

/// What a message said before each edit, oldest first.
pub(super) async fn versions(
    pool: &PgPool,
    viewer: UserId,
    message: MessageId,
) -> Outcome<Option<Vec<MessageVersion>>> {
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let Some(place) = place(&mut tx, viewer, message).await? else { return Ok(None) };
    let rows: Vec<(String, OffsetDateTime)> = sqlx::query_as(
        "SELECT content, replaced_at FROM message_edits WHERE conversation_id = $1 AND seq = $2 ORDER BY changed_seq",
    )
    .bind(place.conversation_id)
    .bind(place.seq)
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let version = |(content, at)| MessageVersion { content, replaced_at: Timestamp::new(at) };
    Ok(Some(rows.into_iter().map(version).collect()))
}
