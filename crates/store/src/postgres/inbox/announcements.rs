//! Announcements: news for everybody of an org, one row each and a marker per reader. Numbered densely under the org's
//! lock, so that a node that follows an org sees a hole.

use protocol::{Announcement, AnnouncementId, AnnouncementList, OrgId, Timestamp, UserId};
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::{
    conversations::SNAPSHOT,
    details::names,
    fault::{Fault, Outcome},
    keyset,
    relations::audit,
    values::{count, int},
};
use crate::{Announced, IdSet, NewAnnouncement, NewAudit, StoreError, cursor::List};

#[derive(FromRow)]
struct AnnouncementRow {
    id: Uuid,
    seq: i64,
    author_id: Uuid,
    title: String,
    content: String,
    url: Option<String>,
    fingerprint: Vec<u8>,
    created_at: OffsetDateTime,
}

async fn announcements(tx: &mut PgConnection, rows: Vec<AnnouncementRow>) -> Outcome<Vec<Announcement>> {
    let names = names(tx, rows.iter().map(|row| row.author_id).collect::<IdSet<_>>()).await?;
    let announcement = |row: AnnouncementRow| {
        let author = names.get(&row.author_id).ok_or(Fault::internal("an announcement's author is not known"))?;
        Ok(Announcement {
            id: AnnouncementId(row.id),
            seq: count(row.seq),
            author: author.clone(),
            title: row.title,
            content: row.content,
            url: row.url,
            created_at: Timestamp::new(row.created_at),
        })
    };
    rows.into_iter().map(announcement).collect()
}

/// Makes an announcement, or finds the one that this request made before.
pub(super) async fn announce(pool: &PgPool, new: &NewAnnouncement, audit: &NewAudit) -> Outcome<Announced> {
    let mut tx = pool.begin().await?;
    let locked = sqlx::query("SELECT 1 FROM orgs WHERE id = $1 FOR NO KEY UPDATE").bind(new.org_id.0).execute(&mut *tx);
    if locked.await?.rows_affected() == 0 {
        return Err(StoreError::Refused("no such org".into()).into());
    }
    // After the lock: a retry waits for the first try and finds what it made.
    let found = made_before(&mut tx, new).await?;
    let created = found.is_none();
    let row = if let Some(row) = found {
        row
    } else {
        audit::insert(&mut tx, audit).await?;
        insert(&mut tx, new).await?
    };
    let fingerprint = row.fingerprint.clone();
    let announcement = announcements(&mut tx, vec![row]).await?.pop();
    let announcement = announcement.ok_or(Fault::internal("an announcement was not read back"))?;
    tx.commit().await?;
    Ok(Announced { announcement, created, fingerprint })
}

async fn made_before(tx: &mut PgConnection, new: &NewAnnouncement) -> Outcome<Option<AnnouncementRow>> {
    Ok(sqlx::query_as(
        "SELECT id, seq, author_id, title, content, url, fingerprint, created_at FROM announcements
         WHERE author_id = $1 AND idempotency_key = $2",
    )
    .bind(new.author.0)
    .bind(&new.idempotency_key)
    .fetch_optional(tx)
    .await?)
}

async fn insert(tx: &mut PgConnection, new: &NewAnnouncement) -> Outcome<AnnouncementRow> {
    Ok(sqlx::query_as(
        "WITH head AS (UPDATE orgs SET announcement_seq = announcement_seq + 1 WHERE id = $1
                       RETURNING announcement_seq)
         INSERT INTO announcements (org_id, seq, id, author_id, title, content, url, idempotency_key, fingerprint,
                                    created_at)
         SELECT $1, announcement_seq, $2, $3, $4, $5, $6, $7, $8, $9 FROM head
         RETURNING id, seq, author_id, title, content, url, fingerprint, created_at",
    )
    .bind(new.org_id.0)
    .bind(new.id.0)
    .bind(new.author.0)
    .bind(&new.title)
    .bind(&new.content)
    .bind(&new.url)
    .bind(&new.idempotency_key)
    .bind(&new.fingerprint)
    .bind(new.now.get())
    .fetch_one(tx)
    .await?)
}

/// A page, newest first, and the user's marker.
pub(super) async fn page(
    pool: &PgPool,
    org: OrgId,
    user: UserId,
    cursor: Option<&str>,
    limit: u32,
) -> Outcome<AnnouncementList> {
    let before = keyset::place(List::Announcements, cursor)?;
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let mut rows: Vec<AnnouncementRow> = sqlx::query_as(
        "SELECT id, seq, author_id, title, content, url, fingerprint, created_at FROM announcements
         WHERE org_id = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3",
    )
    .bind(org.0)
    .bind(before.unwrap_or(i64::MAX))
    .bind(keyset::ask(limit))
    .fetch_all(&mut *tx)
    .await?;
    let more = keyset::cut(&mut rows, limit);
    let next_cursor = rows
        .last()
        .filter(|_| more)
        .map(|last| keyset::after_place(List::Announcements, count(last.seq)))
        .transpose()?;
    let items = announcements(&mut tx, rows).await?;
    let read_seq: Option<i64> = sqlx::query_scalar(
        "SELECT r.seq FROM announcement_reads r JOIN users u ON u.id = r.user_id AND u.org_id = $1
         WHERE r.user_id = $2",
    )
    .bind(org.0)
    .bind(user.0)
    .fetch_optional(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(AnnouncementList { items, next_cursor, read_seq: read_seq.map_or(0, count) })
}

/// What came after a seq, ascending.
pub(super) async fn after(pool: &PgPool, org: OrgId, after: u64, limit: u32) -> Outcome<Vec<Announcement>> {
    let mut connection = pool.acquire().await?;
    let rows: Vec<AnnouncementRow> = sqlx::query_as(
        "SELECT id, seq, author_id, title, content, url, fingerprint, created_at FROM announcements
         WHERE org_id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
    )
    .bind(org.0)
    .bind(int(after))
    .bind(i64::from(limit.max(1)))
    .fetch_all(&mut *connection)
    .await?;
    announcements(&mut connection, rows).await
}

/// Last seqs of orgs. Unknown ones are left out.
pub(super) async fn heads(pool: &PgPool, orgs: &[OrgId]) -> Outcome<Vec<(OrgId, u64)>> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as("SELECT id, announcement_seq FROM orgs WHERE id = ANY($1)")
        .bind(orgs.iter().map(|org| org.0).collect::<Vec<_>>())
        .fetch_all(pool)
        .await?;
    Ok(rows.into_iter().map(|(id, head)| (OrgId(id), count(head))).collect())
}

/// Moves a user's marker forward, at most to the last announcement.
pub(super) async fn read(pool: &PgPool, org: OrgId, user: UserId, seq: u64) -> Outcome<u64> {
    let marker: Option<i64> = sqlx::query_scalar(
        "INSERT INTO announcement_reads AS r (user_id, seq)
         SELECT u.id, least($3, o.announcement_seq) FROM users u JOIN orgs o ON o.id = u.org_id
         WHERE u.id = $2 AND o.id = $1
         ON CONFLICT (user_id) DO UPDATE SET seq = greatest(r.seq, excluded.seq) RETURNING seq",
    )
    .bind(org.0)
    .bind(user.0)
    .bind(int(seq))
    .fetch_optional(pool)
    .await?;
    Ok(marker.map_or(0, count))
}
