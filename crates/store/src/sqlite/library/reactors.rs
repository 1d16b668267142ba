//! Who reacted to a message, by time.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use protocol::{MessageId, Page, Reactor, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    super::{
        codec::time,
        error::Db,
        pages,
        senders::{SenderRow, sender_columns},
    },
    place,
};
use crate::{
    Result, StoreError,
    cursor::{self, List},
};

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
        created_at: i64,
    }
    let (at, id, last) = after(cursor)?;
    let Some(place) = place(conn, viewer, message).await? else { return Ok(None) };
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "select ",
        sender_columns!(),
        ", r.emoji, r.created_at from reactions r join users s on s.id = r.user_id \
         where r.conversation_id = ?1 and r.seq = ?2 and (?3 is null or r.emoji = ?3) \
         and (?4 is null or (r.created_at, r.user_id, r.emoji) > (?4, ?5, ?6)) \
         order by r.created_at, r.user_id, r.emoji limit ?7"
    ))
    .bind(place.conversation_id)
    .bind(place.seq)
    .bind(emoji)
    .bind(at)
    .bind(id)
    .bind(last)
    .bind(pages::rows(limit))
    .fetch_all(conn)
    .await
    .db()?;
    let mut items = rows
        .into_iter()
        .map(|row| Ok(Reactor { user: row.user.into_sender(), emoji: row.emoji, created_at: time(row.created_at)? }))
        .collect::<Result<Vec<_>>>()?;
    let more = pages::cut(&mut items, limit);
    let next_cursor = items.last().filter(|_| more).map(encode);
    Ok(Some(Page { items, next_cursor }))
}

/// Bytes before the first `.` are a cursor as all are; the emoji after it tells apart what one user did in one
/// millisecond.
fn encode(last: &Reactor) -> String {
    let place = cursor::encode(List::Reactors, last.created_at, last.user.id.0);
    format!("{place}.{}", URL_SAFE_NO_PAD.encode(&last.emoji))
}

fn after(cursor: Option<&str>) -> Result<(Option<i64>, Option<Uuid>, Option<String>)> {
    let Some((place, emoji)) = cursor.map(|text| text.split_once('.').ok_or(StoreError::BadCursor)).transpose()? else {
        return Ok((None, None, None));
    };
    let (at, id) = cursor::decode(List::Reactors, place)?;
    let emoji = URL_SAFE_NO_PAD.decode(emoji).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    Ok((Some(at.unix_millis()), Some(id), Some(emoji.ok_or(StoreError::BadCursor)?)))
}
