//! How far a message got.

use protocol::{MessageId, MessageReceipt, MessageReceipts, Page, ReceiptState, Timestamp, UserId};
use sqlx::SqliteConnection;

use super::{
    super::{
        codec::{from_db, time},
        error::Db,
        pages,
        senders::{SenderRow, sender_columns},
    },
    place,
};
use crate::{Result, cursor::List};

/// Above so many participants `delivered` is not kept: what was kept when they were fewer says nothing.
const DELIVERED_UP_TO: i64 = 100;

/// `p` are participants of the conversation `?1` who may see the place `?2` and did not send it (`?3`).
macro_rules! who_sees_it {
    () => {
        "from participants p join conversations c on c.id = p.conversation_id where p.conversation_id = ?1 \
         and p.left_at is null and p.access_since_seq < ?2 and p.user_id <> ?3 "
    };
}

/// Whether it was read, and whether it was delivered, as far as is known: `?4` is [`DELIVERED_UP_TO`].
macro_rules! how_far {
    () => {
        "p.read_seq >= ?2 as seen, (p.read_seq >= ?2 or (c.participant_count <= ?4 and p.delivered_seq >= ?2)) as got "
    };
}

pub(super) async fn of_message(
    conn: &mut SqliteConnection,
    viewer: UserId,
    message: MessageId,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Option<MessageReceipts>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        #[sqlx(flatten)]
        user: SenderRow,
        joined_at: i64,
        seen: bool,
        got: bool,
    }
    let (at, id) = pages::keyset(List::Receipts, cursor)?;
    let Some(place) = place(conn, viewer, message).await? else { return Ok(None) };
    let (all, read, delivered): (i64, i64, i64) = sqlx::query_as(concat!(
        "select count(*), coalesce(sum(seen), 0), coalesce(sum(got), 0) from (select ",
        how_far!(),
        who_sees_it!(),
        ")"
    ))
    .bind(place.conversation_id)
    .bind(place.seq)
    .bind(place.sender_id)
    .bind(DELIVERED_UP_TO)
    .fetch_one(&mut *conn)
    .await
    .db()?;
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "select ",
        sender_columns!(),
        ", j.joined_at, j.seen, j.got from (select p.user_id, p.joined_at, ",
        how_far!(),
        who_sees_it!(),
        "and (?5 is null or (p.joined_at, p.user_id) > (?5, ?6)) order by p.joined_at, p.user_id limit ?7) j \
         join users s on s.id = j.user_id order by j.joined_at, j.user_id"
    ))
    .bind(place.conversation_id)
    .bind(place.seq)
    .bind(place.sender_id)
    .bind(DELIVERED_UP_TO)
    .bind(at)
    .bind(id)
    .bind(pages::rows(limit))
    .fetch_all(conn)
    .await
    .db()?;
    let receipts = rows
        .into_iter()
        .map(|row| {
            let state = match (row.seen, row.got) {
                (true, _) => ReceiptState::Read,
                (false, true) => ReceiptState::Delivered,
                (false, false) => ReceiptState::Sent,
            };
            Ok((time(row.joined_at)?, MessageReceipt { user: row.user.into_sender(), state }))
        })
        .collect::<Result<Vec<(Timestamp, MessageReceipt)>>>()?;
    let Page { items, next_cursor } =
        pages::page(receipts, limit, List::Receipts, |(joined, receipt)| (*joined, receipt.user.id.0));
    Ok(Some(MessageReceipts {
        items: items.into_iter().map(|(_, receipt)| receipt).collect(),
        next_cursor,
        read_count: from_db(read),
        delivered_count: from_db(delivered),
        participant_count: from_db(all),
    }))
}
