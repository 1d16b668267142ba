//! Users and sessions.

use protocol::{Timestamp, UserId};
use sqlx::{FromRow, PgPool, Row};
use uuid::Uuid;

use super::{
    super::{
        fault::Outcome,
        rows::{UserRow, user_columns},
    },
    at,
};
use crate::{Arrived, SessionState, Who};

pub(super) async fn arrived(pool: &PgPool, who: &[Who], now: Timestamp) -> Outcome<Vec<Arrived>> {
    let mut users = Vec::with_capacity(who.len());
    let (mut sessions, mut orgs, mut externals) = (users.clone(), users.clone(), Vec::with_capacity(who.len()));
    for who in who {
        let (user, session, org, external) = match who {
            Who::User(user, session) => (Some(user.0), session.map(|id| id.0), None, None),
            Who::External(org, external) => (None, None, Some(org.0), Some(external.as_str())),
        };
        users.push(user);
        sessions.push(session);
        orgs.push(org);
        externals.push(external);
    }
    // Two look-ups by an index each, of which one finds nothing: an OR would read the table.
    let rows = sqlx::query(concat!(
        "SELECT k.place, u.id IS NOT NULL AS known, s.user_id AS session_user,
                coalesce(s.revoked_at IS NULL AND s.expires_at > $5, false) AS active, ",
        user_columns!(),
        " FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[]) WITH ORDINALITY
               AS k (user_id, session_id, org_id, external_id, place)
          LEFT JOIN LATERAL (
              (SELECT * FROM users WHERE id = k.user_id
               UNION ALL
               SELECT * FROM users WHERE org_id = k.org_id AND external_id = k.external_id) LIMIT 1) u ON true
          LEFT JOIN LATERAL (SELECT * FROM sessions WHERE id = k.session_id LIMIT 1) s ON true"
    ))
    .bind(users)
    .bind(sessions)
    .bind(orgs)
    .bind(externals)
    .bind(now.get())
    .fetch_all(pool)
    .await?;
    let mut arrived = vec![Arrived { user: None, session: None }; who.len()];
    for row in rows {
        // Counted from 1. Put where it belongs: who is who must not rest on the order of rows.
        let Some(arrived) = at(&mut arrived, row.try_get::<i64, _>("place")? - 1) else { continue };
        if row.try_get("known")? {
            arrived.user = Some(UserRow::from_row(&row)?.user());
        }
        let (of, active): (Option<Uuid>, bool) = (row.try_get("session_user")?, row.try_get("active")?);
        arrived.session = of.map(|user| SessionState { user_id: UserId(user), active });
    }
    Ok(arrived)
}
