//! Writes who takes part: participants' rows, and the counts on their conversations.

use protocol::{ConversationId, Role, UserId, UserSeq};
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    super::{
        fault::Outcome,
        values::{Word, int},
    },
    Feeds,
};
use crate::{IdMap, Locked, ParticipantWrite, WriteParticipant, Writes};

pub(super) type Key = (ConversationId, UserId);

/// A participant's row as a batch leaves it.
#[derive(Clone)]
pub(super) struct State {
    role: Role,
    joined_at: OffsetDateTime,
    left_at: Option<OffsetDateTime>,
    access_since_seq: i64,
    read_seq: i64,
    read_number: i64,
    delivered_seq: i64,
    /// Places in the user's feed: of the row's last change, and of the last time they came or went.
    user_seq: i64,
    member_user_seq: i64,
}

impl State {
    /// What this row adds to the counts: participants, owners.
    fn weight(&self) -> (i64, i64) {
        let active = self.left_at.is_none();
        (i64::from(active), i64::from(active && self.role == Role::Owner))
    }
}

#[derive(FromRow)]
struct ParticipantRow {
    conversation_id: Uuid,
    user_id: Uuid,
    role: String,
    joined_at: OffsetDateTime,
    left_at: Option<OffsetDateTime>,
    access_since_seq: i64,
    read_seq: i64,
    read_number: i64,
    delivered_seq: i64,
    user_seq: i64,
    member_user_seq: i64,
}

/// Writes participants' rows, the counts of their conversations, and numbers each coming and going in its user's
/// feed, in the order of the batch.
pub(super) async fn write(
    tx: &mut PgConnection,
    locked: &Locked,
    writes: &Writes,
    before: &IdMap<Key, State>,
    feeds: &mut Feeds,
) -> Outcome<Vec<(ConversationId, UserId, UserSeq)>> {
    if writes.participants.is_empty() {
        return Ok(Vec::new());
    }
    let mut moved = Vec::with_capacity(writes.participants.len());
    let mut after = before.clone();
    for write in &writes.participants {
        apply(&mut after, write, number_at(locked, writes, write));
        if !moves_feed(write) {
            continue;
        }
        let user_seq = feeds.next(write.user_id)?;
        moved.push((write.conversation_id, write.user_id, user_seq));
        if let Some(state) = after.get_mut(&(write.conversation_id, write.user_id)) {
            state.user_seq = int(user_seq);
            state.member_user_seq = int(user_seq);
        }
    }
    upsert(tx, &after).await?;
    move_counts(tx, before, &after).await?;
    Ok(moved)
}

/// Whether the user comes or goes.
pub(super) fn moves_feed(write: &WriteParticipant) -> bool {
    !matches!(write.write, ParticipantWrite::Role(_))
}

/// The rows as they are. Under the conversation's lock nobody else comes or goes, but markers and settings move: those
/// rows are locked too, before feeds, as everywhere.
pub(super) async fn read(tx: &mut PgConnection, writes: &[WriteParticipant]) -> Outcome<IdMap<Key, State>> {
    if writes.is_empty() {
        return Ok(IdMap::default());
    }
    let rows: Vec<ParticipantRow> = sqlx::query_as(
        "SELECT conversation_id, user_id, role, joined_at, left_at, access_since_seq, read_seq, read_number,
                delivered_seq, user_seq, member_user_seq
         FROM participants
         WHERE (conversation_id, user_id) IN (SELECT * FROM unnest($1::uuid[], $2::uuid[]))
         ORDER BY conversation_id, user_id FOR NO KEY UPDATE",
    )
    .bind(writes.iter().map(|write| write.conversation_id.0).collect::<Vec<_>>())
    .bind(writes.iter().map(|write| write.user_id.0).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            let state = State {
                role: Role::of(&row.role)?,
                joined_at: row.joined_at,
                left_at: row.left_at,
                access_since_seq: row.access_since_seq,
                read_seq: row.read_seq,
                read_number: row.read_number,
                delivered_seq: row.delivered_seq,
                user_seq: row.user_seq,
                member_user_seq: row.member_user_seq,
            };
            Ok(((ConversationId(row.conversation_id), UserId(row.user_id)), state))
        })
        .collect()
}

/// The conversation's last number at this change: of the newest message of the batch at or before it.
fn number_at(locked: &Locked, writes: &Writes, write: &WriteParticipant) -> i64 {
    let before = locked.conversations.get(&write.conversation_id).map_or(0, |conversation| conversation.last_number);
    let in_batch = writes
        .inserts
        .iter()
        .filter(|insert| insert.conversation_id == write.conversation_id && insert.seq <= write.seq)
        .map(|insert| insert.number)
        .max();
    int(in_batch.unwrap_or(before).max(before))
}

fn apply(rows: &mut IdMap<Key, State>, write: &WriteParticipant, number: i64) {
    let key = (write.conversation_id, write.user_id);
    match write.write {
        ParticipantWrite::Join { role, access_since_seq } => {
            let head = int(write.seq);
            let joined = State {
                role,
                joined_at: write.at.get(),
                left_at: None,
                access_since_seq: int(access_since_seq),
                read_seq: head,
                read_number: number,
                delivered_seq: head,
                user_seq: 0,
                member_user_seq: 0,
            };
            rows.insert(key, joined);
        }
        ParticipantWrite::Leave => {
            if let Some(state) = rows.get_mut(&key) {
                state.left_at.get_or_insert(write.at.get());
            }
        }
        ParticipantWrite::Role(role) => {
            if let Some(state) = rows.get_mut(&key) {
                state.role = role;
            }
        }
    }
}

async fn upsert(tx: &mut PgConnection, rows: &IdMap<Key, State>) -> Outcome<()> {
    let rows: Vec<(&Key, &State)> = rows.iter().collect();
    sqlx::query(
        "INSERT INTO participants (conversation_id, user_id, role, joined_at, left_at, access_since_seq,
                                   read_seq, read_number, delivered_seq, user_seq, member_user_seq)
         SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bigint[],
                              $7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[])
         ON CONFLICT (conversation_id, user_id) DO UPDATE SET
             role = excluded.role, joined_at = excluded.joined_at, left_at = excluded.left_at,
             access_since_seq = excluded.access_since_seq, read_seq = excluded.read_seq,
             read_number = excluded.read_number, delivered_seq = excluded.delivered_seq,
             user_seq = excluded.user_seq, member_user_seq = excluded.member_user_seq",
    )
    .bind(rows.iter().map(|(key, _)| key.0.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|(key, _)| key.1.0).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, state)| state.role.word()).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, state)| state.joined_at).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, state)| state.left_at).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, state)| state.access_since_seq).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, state)| state.read_seq).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, state)| state.read_number).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, state)| state.delivered_seq).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, state)| state.user_seq).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, state)| state.member_user_seq).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn move_counts(tx: &mut PgConnection, before: &IdMap<Key, State>, after: &IdMap<Key, State>) -> Outcome<()> {
    let mut moves: IdMap<ConversationId, (i64, i64)> = IdMap::default();
    for (key, state) in after {
        let (participants, owners) = state.weight();
        let (had_participants, had_owners) = before.get(key).map_or((0, 0), State::weight);
        let entry = moves.entry(key.0).or_default();
        entry.0 += participants - had_participants;
        entry.1 += owners - had_owners;
    }
    moves.retain(|_, delta| *delta != (0, 0));
    if moves.is_empty() {
        return Ok(());
    }
    let moves: Vec<(ConversationId, (i64, i64))> = moves.into_iter().collect();
    sqlx::query(
        "UPDATE conversations c
         SET participant_count = c.participant_count + k.participants, owner_count = c.owner_count + k.owners
         FROM unnest($1::uuid[], $2::bigint[], $3::bigint[]) AS k (id, participants, owners) WHERE c.id = k.id",
    )
    .bind(moves.iter().map(|(id, _)| id.0).collect::<Vec<_>>())
    .bind(moves.iter().map(|(_, delta)| delta.0).collect::<Vec<_>>())
    .bind(moves.iter().map(|(_, delta)| delta.1).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
