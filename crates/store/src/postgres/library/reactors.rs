//! Who reacted to a message, page by page: a message itself names only the first of them.

use protocol::{MessageId, Page, Reactor, Sender, Timestamp, UserId};
use sqlx::{FromRow, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    super::{conversations::SNAPSHOT, fault::Outcome, keyset, values::count},
    place,
};
use crate::cursor::List;

#[derive(FromRow)]
struct ReactorRow {
    emoji: String,
    changed_seq: i64,
    created_at: OffsetDateTime,
    id: Uuid,
    username: String,
    display_name: String,
    avatar_url: Option<String>,
}

impl ReactorRow {
    fn reactor(self) -> Reactor {
        let Self { id, username, display_name, avatar_url, .. } = self;
        Reactor {
            user: Sender { id: UserId(id), username, display_name, avatar_url },
            emoji: self.emoji,
            created_at: Timestamp::new(self.created_at),
        }
    }
}

/// A page of reactions, first come first. Changes order them, not clocks: each came with a seq of its own.
pub(super) async fn reactors(
    pool: &PgPool,
    viewer: UserId,
    message: MessageId,
    emoji: Option<&str>,
    cursor: Option<&str>,
    limit: u32,
) -> Outcome<Option<Page<Reactor>>> {
    let after = keyset::place(List::Reactors, cursor)?;
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let Some(place) = place(&mut tx, viewer, message).await? else { return Ok(None) };
    let mut rows: Vec<ReactorRow> = sqlx::query_as(
        "SELECT r.emoji, r.changed_seq, r.created_at, u.id, u.username, u.display_name, u.avatar_url
         FROM reactions r JOIN users u ON u.id = r.user_id
         WHERE r.conversation_id = $1 AND r.seq = $2 AND ($3::text IS NULL OR r.emoji = $3) AND r.changed_seq > $4
         ORDER BY r.changed_seq LIMIT $5",
    )
    .bind(place.conversation_id)
    .bind(place.seq)
    .bind(emoji)
    .bind(after.unwrap_or(0))
    .bind(keyset::ask(limit))
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    let more = keyset::cut(&mut rows, limit);
    let next_cursor = rows
        .last()
        .filter(|_| more)
        .map(|last| keyset::after_place(List::Reactors, count(last.changed_seq)))
        .transpose()?;
    Ok(Some(Page { items: rows.into_iter().map(ReactorRow::reactor).collect(), next_cursor }))
}
