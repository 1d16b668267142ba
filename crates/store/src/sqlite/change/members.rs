//! Participants' rows: who comes, goes or gets a role, and what a sender's own message moves there.

use protocol::{ConversationId, Seq, UserId, UserSeq};
use sqlx::SqliteConnection;

use super::super::{
    codec::{Text, to_db},
    error::{Db, refused},
    users,
};
use crate::{IdMap, InsertMessage, Locked, ParticipantWrite, Result, WriteParticipant, Writes};

/// Writes a participant's row; the feed's new head when it moved.
pub(super) async fn write_participant(
    conn: &mut SqliteConnection,
    locked: &Locked,
    writes: &Writes,
    write: &WriteParticipant,
) -> Result<Option<UserSeq>> {
    let (conversation, user) = (write.conversation_id.0, write.user_id.0);
    match &write.write {
        ParticipantWrite::Join { role, access_since_seq } => {
            let user_seq = users::move_feed(conn, write.user_id).await?;
            sqlx::query(
                "insert into participants (conversation_id, user_id, role, joined_at, access_since_seq, read_seq, \
                 read_number, delivered_seq, markers_changed_at, user_seq, member_user_seq) \
                 values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?6, ?4, ?8, ?8) \
                 on conflict (conversation_id, user_id) do update set role = excluded.role, \
                 joined_at = excluded.joined_at, left_at = null, access_since_seq = excluded.access_since_seq, \
                 read_seq = excluded.read_seq, read_number = excluded.read_number, \
                 delivered_seq = excluded.delivered_seq, markers_changed_at = excluded.markers_changed_at, \
                 user_seq = excluded.user_seq, member_user_seq = excluded.member_user_seq",
            )
            .bind(conversation)
            .bind(user)
            .bind(role.text())
            .bind(write.at.unix_millis())
            .bind(to_db(*access_since_seq))
            .bind(to_db(write.seq))
            .bind(to_db(number_at(locked, writes, write.conversation_id, write.seq)))
            .bind(to_db(user_seq))
            .execute(conn)
            .await
            .db()?;
            Ok(Some(user_seq))
        }
        ParticipantWrite::Leave => {
            let user_seq = users::move_feed(conn, write.user_id).await?;
            let done = sqlx::query(
                "update participants set left_at = ?3, user_seq = ?4, member_user_seq = ?4 \
                 where conversation_id = ?1 and user_id = ?2",
            )
            .bind(conversation)
            .bind(user)
            .bind(write.at.unix_millis())
            .bind(to_db(user_seq))
            .execute(conn)
            .await
            .db()?;
            if done.rows_affected() == 1 { Ok(Some(user_seq)) } else { Err(refused("nobody is there to leave")) }
        }
        ParticipantWrite::Role(role) => {
            let done = sqlx::query("update participants set role = ? where conversation_id = ? and user_id = ?")
                .bind(role.text())
                .bind(conversation)
                .bind(user)
                .execute(conn)
                .await
                .db()?;
            if done.rows_affected() == 1 { Ok(None) } else { Err(refused("nobody is there to get a role")) }
        }
    }
}

/// The conversation's number at `seq`, where the batch itself may have moved it.
fn number_at(locked: &Locked, writes: &Writes, conversation: ConversationId, seq: Seq) -> u64 {
    let before = locked.conversations.get(&conversation).map_or(0, |row| row.last_number);
    writes
        .inserts
        .iter()
        .filter(|message| message.conversation_id == conversation && message.seq <= seq)
        .map(|message| message.number)
        .max()
        .map_or(before, |number| number.max(before))
}

/// Who sends has read what came before: their markers move to their own newest message, and slow mode counts from it.
/// What the conversation says of itself does not count: who adds somebody has not thereby read what is there.
pub(super) async fn move_own_markers(conn: &mut SqliteConnection, inserts: &[InsertMessage]) -> Result<()> {
    let mut newest: IdMap<(ConversationId, UserId), &InsertMessage> = IdMap::default();
    for message in inserts.iter().filter(|message| message.system.is_none()) {
        let own = newest.entry((message.conversation_id, message.sender_id)).or_insert(message);
        if message.seq > own.seq {
            *own = message;
        }
    }
    for ((conversation, user), message) in newest {
        sqlx::query(
            "update participants set read_seq = max(read_seq, ?3), read_number = max(read_number, ?4), \
             delivered_seq = max(delivered_seq, ?3), markers_changed_at = ?5, last_sent_at = ?5 \
             where conversation_id = ?1 and user_id = ?2 and left_at is null",
        )
        .bind(conversation.0)
        .bind(user.0)
        .bind(to_db(message.seq))
        .bind(to_db(message.number))
        .bind(message.created_at.unix_millis())
        .execute(&mut *conn)
        .await
        .db()?;
    }
    Ok(())
}

/// Counts the active participants anew.
pub(super) async fn recount(conn: &mut SqliteConnection, id: ConversationId) -> Result<()> {
    sqlx::query(
        "update conversations set (participant_count, owner_count) = (select count(*), \
         count(*) filter (where role = 'owner') from participants where conversation_id = ?1 and left_at is null) \
         where id = ?1",
    )
    .bind(id.0)
    .execute(conn)
    .await
    .db()?;
    Ok(())
}
