//! When people were last there, and who may know. Who is there now is not in the store.

use protocol::{Timestamp, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::super::{
    codec::{id_list, time_opt},
    error::Db,
};
use crate::{Result, Seen};

/// Conversations of more participants make nobody a contact: what their people do would be told to too many.
const CONTACTS_OF: i64 = 1_000;
/// At most so many participants' rows are looked at for contacts, those of the smallest conversations first.
const CONTACTS_LOOKED_AT: i64 = 50_000;

/// Inside a write transaction. Users that are not there are passed over.
pub(super) async fn note(conn: &mut SqliteConnection, seen: &[Seen]) -> Result<()> {
    let seen: Vec<(String, i64)> = seen
        .iter()
        .filter_map(|seen| Some((seen.user_id.0.simple().to_string(), seen.last_seen_at.map(Timestamp::unix_millis)?)))
        .collect();
    sqlx::query(
        "insert into last_seen (user_id, at) \
         select u.id, max(j.value ->> 1) from json_each(?) j join users u on u.id = unhex(j.value ->> 0) \
         where true group by u.id on conflict (user_id) do update set at = max(at, excluded.at)",
    )
    .bind(serde_json::json!(seen).to_string())
    .execute(conn)
    .await
    .db()?;
    Ok(())
}

/// No block between the viewer `?1` and the user `u`.
macro_rules! unblocked {
    () => {
        "not exists (select 1 from blocks b where b.user_id = ?1 and b.blocked_id = u.id and b.active) \
         and not exists (select 1 from blocks b where b.user_id = u.id and b.blocked_id = ?1 and b.active)"
    };
}

pub(super) async fn visible(conn: &mut SqliteConnection, viewer: UserId, ids: &[UserId]) -> Result<Vec<Seen>> {
    let rows = sqlx::query_as(concat!(
        "select u.id, l.at from (select distinct unhex(value) as id from json_each(?2)) j \
         join users u on u.id = j.id left join last_seen l on l.user_id = u.id \
         where u.id = ?1 or (exists (select 1 from participants me \
         join conversations c on c.id = me.conversation_id and c.deleted_at is null \
         join participants p on p.conversation_id = c.id and p.user_id = u.id and p.left_at is null \
         where me.user_id = ?1 and me.left_at is null) and ",
        unblocked!(),
        ")"
    ))
    .bind(viewer.0)
    .bind(id_list(ids.iter().map(|id| id.0)))
    .fetch_all(conn)
    .await
    .db()?;
    seen(rows)
}

/// Those who were there last come first: they are the likeliest to be there now. (`limit -1`: without a limit, SQLite
/// takes the order of a subquery for meaningless.)
pub(super) async fn contacts(conn: &mut SqliteConnection, viewer: UserId, limit: u32) -> Result<Vec<Seen>> {
    let rows = sqlx::query_as(concat!(
        "select u.id, l.at from (select distinct user_id as id from (select p.user_id from ( \
         select c.id from participants me join conversations c on c.id = me.conversation_id and c.deleted_at is null \
         and c.participant_count <= ?2 where me.user_id = ?1 and me.left_at is null \
         order by c.participant_count, c.id limit -1) near cross join participants p on p.conversation_id = near.id \
         and p.left_at is null and p.user_id <> ?1 limit ?3)) j \
         join users u on u.id = j.id left join last_seen l on l.user_id = u.id where ",
        unblocked!(),
        " order by l.at desc, u.id limit ?4"
    ))
    .bind(viewer.0)
    .bind(CONTACTS_OF)
    .bind(CONTACTS_LOOKED_AT)
    .bind(i64::from(limit))
    .fetch_all(conn)
    .await
    .db()?;
    seen(rows)
}

fn seen(rows: Vec<(Uuid, Option<i64>)>) -> Result<Vec<Seen>> {
    rows.into_iter().map(|(id, at)| Ok(Seen { user_id: UserId(id), last_seen_at: time_opt(at)? })).collect()
}
