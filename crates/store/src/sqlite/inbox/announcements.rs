//! Announcements: stored once for an org, in places that are dense from 1, with one marker for each reader.

use protocol::{Announcement, AnnouncementId, AnnouncementList, OrgId, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::super::{
    codec::{from_db, id_list, time, to_db},
    error::{Db, refused},
    pages,
    people::audit,
    senders::{SenderRow, sender_columns},
};
use crate::{Announced, NewAnnouncement, NewAudit, Result, cursor::List};

/// Columns and tables of [`AnnouncementRow`], of `announcements a`: what comes next is `where`.
macro_rules! select_announcements {
    () => {
        concat!(
            "select a.id, a.seq, ",
            sender_columns!(),
            ", a.title, a.content, a.url, a.created_at, a.fingerprint from announcements a \
             join users s on s.id = a.author_id "
        )
    };
}

#[derive(sqlx::FromRow)]
struct AnnouncementRow {
    id: Uuid,
    seq: i64,
    #[sqlx(flatten)]
    author: SenderRow,
    title: String,
    content: String,
    url: Option<String>,
    created_at: i64,
    fingerprint: Vec<u8>,
}

impl AnnouncementRow {
    fn into_announcement(self) -> Result<Announcement> {
        Ok(Announcement {
            id: AnnouncementId(self.id),
            seq: from_db(self.seq),
            author: self.author.into_sender(),
            title: self.title,
            content: self.content,
            url: self.url,
            created_at: time(self.created_at)?,
        })
    }
}

/// Inside a write transaction: nobody else takes the place or the key meanwhile.
pub(super) async fn make(conn: &mut SqliteConnection, new: &NewAnnouncement, audit: &NewAudit) -> Result<Announced> {
    if let Some(key) = &new.idempotency_key {
        let row: Option<AnnouncementRow> =
            sqlx::query_as(concat!(select_announcements!(), "where a.author_id = ? and a.idempotency_key = ?"))
                .bind(new.author.0)
                .bind(key)
                .fetch_optional(&mut *conn)
                .await
                .db()?;
        if let Some(row) = row {
            return announced(row, false);
        }
    }
    let seq: Option<i64> = sqlx::query_scalar(
        "update orgs set announcement_seq = announcement_seq + 1 where id = ? returning announcement_seq",
    )
    .bind(new.org_id.0)
    .fetch_optional(&mut *conn)
    .await
    .db()?;
    let seq = seq.ok_or_else(|| refused("the org of an announcement is not there"))?;
    sqlx::query(
        "insert into announcements (org_id, seq, id, author_id, title, content, url, idempotency_key, fingerprint, \
         created_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(new.org_id.0)
    .bind(seq)
    .bind(new.id.0)
    .bind(new.author.0)
    .bind(&new.title)
    .bind(&new.content)
    .bind(&new.url)
    .bind(&new.idempotency_key)
    .bind(&new.fingerprint)
    .bind(new.now.unix_millis())
    .execute(&mut *conn)
    .await
    .db()?;
    audit::add(conn, audit).await?;
    let row = sqlx::query_as(concat!(select_announcements!(), "where a.org_id = ? and a.seq = ?"))
        .bind(new.org_id.0)
        .bind(seq)
        .fetch_one(conn)
        .await
        .db()?;
    announced(row, true)
}

fn announced(mut row: AnnouncementRow, created: bool) -> Result<Announced> {
    let fingerprint = std::mem::take(&mut row.fingerprint);
    Ok(Announced { announcement: row.into_announcement()?, created, fingerprint })
}

/// Inside a read transaction. By place, not by time: two clocks may differ.
pub(super) async fn list(
    conn: &mut SqliteConnection,
    org: OrgId,
    user: UserId,
    cursor: Option<&str>,
    limit: u32,
) -> Result<AnnouncementList> {
    let before = pages::place(List::Announcements, cursor)?;
    let rows: Vec<AnnouncementRow> = sqlx::query_as(concat!(
        select_announcements!(),
        "where a.org_id = ?1 and a.seq < ?2 order by a.seq desc limit ?3"
    ))
    .bind(org.0)
    .bind(before.unwrap_or(i64::MAX))
    .bind(pages::rows(limit))
    .fetch_all(&mut *conn)
    .await
    .db()?;
    let mut items = rows.into_iter().map(AnnouncementRow::into_announcement).collect::<Result<Vec<_>>>()?;
    let more = pages::cut(&mut items, limit);
    let next_cursor = items
        .last()
        .filter(|_| more)
        .map(|last| pages::after_place(List::Announcements, to_db(last.seq)))
        .transpose()?;
    let read_seq = marker(conn, org, user).await?;
    Ok(AnnouncementList { items, next_cursor, read_seq })
}

async fn marker(conn: &mut SqliteConnection, org: OrgId, user: UserId) -> Result<u64> {
    let seq: Option<i64> = sqlx::query_scalar(
        "select r.seq from announcement_reads r join users u on u.id = r.user_id and u.org_id = ? where r.user_id = ?",
    )
    .bind(org.0)
    .bind(user.0)
    .fetch_optional(conn)
    .await
    .db()?;
    Ok(seq.map_or(0, from_db))
}

pub(super) async fn after(
    conn: &mut SqliteConnection,
    org: OrgId,
    after: u64,
    limit: u32,
) -> Result<Vec<Announcement>> {
    let rows: Vec<AnnouncementRow> =
        sqlx::query_as(concat!(select_announcements!(), "where a.org_id = ? and a.seq > ? order by a.seq limit ?"))
            .bind(org.0)
            .bind(to_db(after))
            .bind(i64::from(limit.max(1)))
            .fetch_all(conn)
            .await
            .db()?;
    rows.into_iter().map(AnnouncementRow::into_announcement).collect()
}

pub(super) async fn heads(conn: &mut SqliteConnection, orgs: &[OrgId]) -> Result<Vec<(OrgId, u64)>> {
    let rows: Vec<(Uuid, i64)> =
        sqlx::query_as("select id, announcement_seq from orgs where id in (select unhex(value) from json_each(?))")
            .bind(id_list(orgs.iter().map(|org| org.0)))
            .fetch_all(conn)
            .await
            .db()?;
    Ok(rows.into_iter().map(|(id, seq)| (OrgId(id), from_db(seq))).collect())
}

/// Inside a write transaction. Only a reader of the org has a marker.
pub(super) async fn read(conn: &mut SqliteConnection, org: OrgId, user: UserId, seq: u64) -> Result<u64> {
    sqlx::query(
        "insert into announcement_reads (user_id, seq) select u.id, min(?3, o.announcement_seq) \
         from users u join orgs o on o.id = u.org_id where u.id = ?2 and o.id = ?1 \
         on conflict (user_id) do update set seq = excluded.seq where excluded.seq > seq",
    )
    .bind(org.0)
    .bind(user.0)
    .bind(to_db(seq))
    .execute(&mut *conn)
    .await
    .db()?;
    marker(conn, org, user).await
}
