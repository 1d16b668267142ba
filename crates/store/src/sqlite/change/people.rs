//! Whom a decision is about: participants' rows, and, where somebody may be notified, what they want to be told of and
//! whom they blocked. Inside the transaction that will write.

use std::collections::BTreeSet;

use protocol::{ConversationId, NotificationPreferences, Notify, Role, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::super::{
    codec::{Text, from_db, id_list, id_pairs, time_opt},
    error::Db,
};
use crate::{IdMap, IdSet, LockedParticipant, Result};

pub(super) async fn participants(
    conn: &mut SqliteConnection,
    pairs: impl IntoIterator<Item = (ConversationId, UserId)>,
) -> Result<IdMap<(ConversationId, UserId), LockedParticipant>> {
    #[derive(sqlx::FromRow)]
    struct Row {
        conversation_id: Uuid,
        user_id: Uuid,
        #[sqlx(flatten)]
        participant: ParticipantRow,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "select p.conversation_id, p.user_id, p.role, p.left_at is null as active, p.access_since_seq, \
         p.last_sent_at, p.notify, p.muted_until from json_each(?) j join participants p \
         on p.conversation_id = unhex(j.value ->> 0) and p.user_id = unhex(j.value ->> 1)",
    )
    .bind(id_pairs(pairs.into_iter().map(|(conversation, user)| (conversation.0, user.0))))
    .fetch_all(conn)
    .await
    .db()?;
    rows.into_iter()
        .map(|row| Ok(((ConversationId(row.conversation_id), UserId(row.user_id)), row.participant.into_locked()?)))
        .collect()
}

/// A participant as a decision sees them.
#[derive(sqlx::FromRow)]
pub(in super::super) struct ParticipantRow {
    role: String,
    active: bool,
    access_since_seq: i64,
    last_sent_at: Option<i64>,
    notify: String,
    muted_until: Option<i64>,
}

impl ParticipantRow {
    pub(in super::super) fn into_locked(self) -> Result<LockedParticipant> {
        Ok(LockedParticipant {
            role: Role::parse(&self.role)?,
            active: self.active,
            access_since_seq: from_db(self.access_since_seq),
            last_sent_at: time_opt(self.last_sent_at)?,
            notify: Notify::parse(&self.notify)?,
            muted_until: time_opt(self.muted_until)?,
        })
    }
}

/// Settings of those who have any.
pub(super) async fn preferences(
    conn: &mut SqliteConnection,
    users: &BTreeSet<UserId>,
) -> Result<IdMap<UserId, NotificationPreferences>> {
    let rows: Vec<(Uuid, String, Option<i64>)> = sqlx::query_as(
        "select user_id, notify, muted_until from notification_preferences \
         where user_id in (select unhex(value) from json_each(?))",
    )
    .bind(id_list(users.iter().map(|user| user.0)))
    .fetch_all(conn)
    .await
    .db()?;
    rows.into_iter()
        .map(|(user, notify, muted_until)| {
            let notify = Notify::parse(&notify)?;
            Ok((UserId(user), NotificationPreferences { notify, muted_until: time_opt(muted_until)? }))
        })
        .collect()
}

/// (who blocked, whom) among these.
pub(super) async fn blocks(conn: &mut SqliteConnection, users: &BTreeSet<UserId>) -> Result<IdSet<(UserId, UserId)>> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "select user_id, blocked_id from blocks where active \
         and user_id in (select unhex(value) from json_each(?1)) \
         and blocked_id in (select unhex(value) from json_each(?1))",
    )
    .bind(id_list(users.iter().map(|user| user.0)))
    .fetch_all(conn)
    .await
    .db()?;
    Ok(rows.into_iter().map(|(user, blocked)| (UserId(user), UserId(blocked))).collect())
}
