//! Who reacted to a message, first come first: by the changes that they made, not by clocks.

use protocol::{MessageId, Page, Reactor, UserId};
use sqlx::SqliteConnection;

use super::{
    super::{
        codec::time,
        error::Db,
        pages,
        senders::{SenderRow, sender_columns},
    },
    place,
};
use crate::{Result, cursor::List};

pub(super) async fn list(
    conn: &mut SqliteConnection,
    viewer: UserId,
    message: MessageId,
    emoji: Option<&str>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Option<Page<Reactor>>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        user: SenderRow,
        emoji: String,
        changed_seq: i64,
        created_at: i64,
    }
    let after = pages::place(List::Reactors, cursor)?;
    let Some(place) = place(conn, viewer, message).await? else { return Ok(None) };
    let mut rows: Vec<Row> = sqlx::query_as(concat!(
        "select ",
        sender_columns!(),
        ", r.emoji, r.changed_seq, r.created_at from reactions r join users s on s.id = r.user_id \
         where r.conversation_id = ?1 and r.seq = ?2 and (?3 is null or r.emoji = ?3) and r.changed_seq > ?4 \
         order by r.changed_seq limit ?5"
    ))
    .bind(place.conversation_id)
    .bind(place.seq)
    .bind(emoji)
    .bind(after.unwrap_or(0))
    .bind(pages::rows(limit))
    .fetch_all(conn)
    .await
    .db()?;
    let more = pages::cut(&mut rows, limit);
    let next_cursor =
        rows.last().filter(|_| more).map(|last| pages::after_place(List::Reactors, last.changed_seq)).transpose()?;
    let items = rows
        .into_iter()
        .map(|row| Ok(Reactor { user: row.user.into_sender(), emoji: row.emoji, created_at: time(row.created_at)? }))
        .collect::<Result<Vec<_>>>()?;
    Ok(Some(Page { items, next_cursor }))
}
