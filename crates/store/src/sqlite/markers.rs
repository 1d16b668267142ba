//! Delivered and read markers: many moved at once, never back, never past the head.

use protocol::{ConversationId, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    codec::{from_db, to_db},
    error::Db,
};
use crate::{IdMap, MarkRow, Marked, Marks, Result};

/// Above so many participants `delivered` is not kept.
const DELIVERED_MAX: i64 = 100;

/// Where a participant's markers are, and where they go.
#[derive(sqlx::FromRow)]
struct Move {
    conversation_id: Uuid,
    user_id: Uuid,
    delivered_seq: i64,
    read_seq: i64,
    new_delivered: i64,
    new_read: i64,
    read_number: i64,
    participant_count: i64,
    epoch: String,
}

impl Move {
    fn moved(&self) -> bool {
        (self.new_delivered, self.new_read) != (self.delivered_seq, self.read_seq)
    }
}

/// Two statements however many rows, the second only when something moves. Inside a write transaction.
pub(super) async fn mark(conn: &mut SqliteConnection, rows: &[MarkRow]) -> Result<Marks> {
    let moves = moves(conn, rows).await?;
    write(conn, &moves).await?;
    let marked: IdMap<(UserId, ConversationId), Marked> = moves
        .iter()
        .map(|row| {
            let marked = Marked {
                delivered_seq: from_db(row.new_delivered),
                read_seq: from_db(row.new_read),
                read_number: from_db(row.read_number),
                moved: row.moved(),
                participant_count: from_db(row.participant_count),
            };
            ((UserId(row.user_id), ConversationId(row.conversation_id)), marked)
        })
        .collect();
    let items = rows.iter().map(|row| marked.get(&(row.user_id, row.conversation_id)).copied()).collect();
    Ok(Marks { epoch: moves.into_iter().next().map(|row| row.epoch).unwrap_or_default(), items })
}

async fn moves(conn: &mut SqliteConnection, rows: &[MarkRow]) -> Result<Vec<Move>> {
    let wanted: Vec<serde_json::Value> = rows
        .iter()
        .map(|row| {
            serde_json::json!([
                row.conversation_id.0.simple().to_string(),
                row.user_id.0.simple().to_string(),
                row.delivered_seq.map_or(0, to_db),
                row.read_seq.map_or(0, to_db),
                row.read_seq.is_some(),
            ])
        })
        .collect();
    sqlx::query_as(
        "with wanted as (select p.conversation_id, p.user_id, p.delivered_seq, p.read_seq, p.read_number, \
         c.participant_count, min(j.value ->> 3, c.last_seq) as read, \
         case when c.participant_count <= ?2 or j.value ->> 4 then min(j.value ->> 2, c.last_seq) else 0 end \
         as delivered \
         from json_each(?1) j join participants p on p.conversation_id = unhex(j.value ->> 0) \
         and p.user_id = unhex(j.value ->> 1) and p.left_at is null \
         join conversations c on c.id = p.conversation_id and c.deleted_at is null) \
         select w.conversation_id, w.user_id, w.delivered_seq, w.read_seq, w.participant_count, \
         max(w.delivered_seq, w.delivered, w.read) as new_delivered, max(w.read_seq, w.read) as new_read, \
         case when w.read <= w.read_seq then w.read_number else max(w.read_number, coalesce(( \
         select m.number from messages m where m.conversation_id = w.conversation_id and m.seq <= w.read \
         order by m.seq desc limit 1), 0)) end as read_number, (select epoch from meta) as epoch from wanted w",
    )
    .bind(serde_json::Value::Array(wanted).to_string())
    .bind(DELIVERED_MAX)
    .fetch_all(conn)
    .await
    .db()
}

async fn write(conn: &mut SqliteConnection, moves: &[Move]) -> Result<()> {
    let moved: Vec<serde_json::Value> = moves
        .iter()
        .filter(|row| row.moved())
        .map(|row| {
            serde_json::json!([
                row.conversation_id.simple().to_string(),
                row.user_id.simple().to_string(),
                row.new_delivered,
                row.new_read,
                row.read_number,
            ])
        })
        .collect();
    if moved.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update participants set delivered_seq = j.value ->> 2, read_seq = j.value ->> 3, \
         read_number = j.value ->> 4, markers_changed_at = cast(unixepoch('subsec') * 1000 as integer) \
         from json_each(?) j where participants.conversation_id = unhex(j.value ->> 0) \
         and participants.user_id = unhex(j.value ->> 1)",
    )
    .bind(serde_json::Value::Array(moved).to_string())
    .execute(conn)
    .await
    .db()?;
    Ok(())
}
