//! Takes the locks, and reads what a decision needs.

use protocol::{ConversationId, ConversationKind, History, MessageId, OrgId, Posting, Role, UserId};
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::{
    details,
    fault::Outcome,
    rows::{MessageRow, UserRow, message_columns, message_joins, user_columns},
    values::{Word, count, moment},
};
use crate::{Locked, LockedConversation, LockedParticipant, Scope, StoredMessage};

/// Locks the conversations of the scope, then reads the rest of it.
pub(super) async fn locked(tx: &mut PgConnection, scope: &Scope) -> Outcome<Locked> {
    let mut locked = Locked::default();
    conversations(tx, scope, &mut locked).await?;
    participants(tx, scope, &mut locked).await?;
    by_client_id(tx, scope, &mut locked).await?;
    messages(tx, scope, &mut locked).await?;
    users(tx, scope, &mut locked).await?;
    Ok(locked)
}

#[derive(FromRow)]
struct ConversationRow {
    id: Uuid,
    org_id: Uuid,
    kind: String,
    title: Option<String>,
    posting: String,
    history: String,
    last_seq: i64,
    last_number: i64,
    access_seq: i64,
    participant_count: i64,
    owner_count: i64,
    archived_at: Option<OffsetDateTime>,
    deleted_at: Option<OffsetDateTime>,
}

/// The row that comes back from a lock is the newest one, even when the lock had to be waited for.
async fn conversations(tx: &mut PgConnection, scope: &Scope, locked: &mut Locked) -> Outcome<()> {
    let rows: Vec<ConversationRow> = sqlx::query_as(
        "SELECT id, org_id, kind, title, posting, history, last_seq, last_number, access_seq, participant_count,
                owner_count, archived_at, deleted_at
         FROM conversations WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(scope.conversations.iter().map(|id| id.0).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    for row in rows {
        let conversation = LockedConversation {
            org_id: OrgId(row.org_id),
            kind: ConversationKind::of(&row.kind)?,
            title: row.title,
            posting: Posting::of(&row.posting)?,
            history: History::of(&row.history)?,
            last_seq: count(row.last_seq),
            last_number: count(row.last_number),
            access_seq: count(row.access_seq),
            participant_count: count(row.participant_count),
            owner_count: count(row.owner_count),
            archived_at: moment(row.archived_at),
            deleted_at: moment(row.deleted_at),
            slow_mode_seconds: 0,
            pin_count: 0,
            blocked: false,
        };
        locked.conversations.insert(ConversationId(row.id), conversation);
    }
    Ok(())
}

async fn participants(tx: &mut PgConnection, scope: &Scope, locked: &mut Locked) -> Outcome<()> {
    if scope.participants.is_empty() {
        return Ok(());
    }
    let (conversations, users): (Vec<Uuid>, Vec<Uuid>) = scope.participants.iter().map(|(c, u)| (c.0, u.0)).unzip();
    // LIMIT 1 keeps the planner at one look-up per key.
    let rows: Vec<(Uuid, Uuid, String, bool, i64)> = sqlx::query_as(
        "SELECT p.conversation_id, p.user_id, p.role, p.left_at IS NULL, p.access_since_seq
         FROM unnest($1::uuid[], $2::uuid[]) AS k (conversation_id, user_id)
         CROSS JOIN LATERAL (
             SELECT * FROM participants p
             WHERE p.conversation_id = k.conversation_id AND p.user_id = k.user_id LIMIT 1) p",
    )
    .bind(conversations)
    .bind(users)
    .fetch_all(tx)
    .await?;
    for (conversation, user, role, active, access_since_seq) in rows {
        let participant = LockedParticipant {
            role: Role::of(&role)?,
            active,
            access_since_seq: count(access_since_seq),
            last_sent_at: None,
            notify: protocol::Notify::All,
            muted_until: None,
        };
        locked.participants.insert((ConversationId(conversation), UserId(user)), participant);
    }
    Ok(())
}

async fn by_client_id(tx: &mut PgConnection, scope: &Scope, locked: &mut Locked) -> Outcome<()> {
    if scope.client_ids.is_empty() {
        return Ok(());
    }
    let rows: Vec<MessageRow> = sqlx::query_as(concat!(
        "SELECT ",
        message_columns!(),
        " FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS k (conversation_id, sender_id, client_id)
          CROSS JOIN LATERAL (
              SELECT * FROM messages m
              WHERE m.conversation_id = k.conversation_id AND m.sender_id = k.sender_id
                AND m.client_id = k.client_id LIMIT 1) m",
        message_joins!()
    ))
    .bind(scope.client_ids.iter().map(|(conversation, _, _)| conversation.0).collect::<Vec<_>>())
    .bind(scope.client_ids.iter().map(|(_, sender, _)| sender.0).collect::<Vec<_>>())
    .bind(scope.client_ids.iter().map(|(_, _, client_id)| client_id.as_str()).collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    let fingerprints: Vec<Vec<u8>> = rows.iter().map(|row| row.fingerprint.clone()).collect();
    let messages = details::messages(tx, rows, None).await?;
    for (message, fingerprint) in messages.into_iter().zip(fingerprints) {
        if let Some(client_id) = message.client_id.clone() {
            let key = (message.conversation_id, message.sender.id, client_id);
            locked.by_client_id.insert(key, StoredMessage { message, fingerprint });
        }
    }
    Ok(())
}

async fn messages(tx: &mut PgConnection, scope: &Scope, locked: &mut Locked) -> Outcome<()> {
    for message in by_ids(tx, &scope.messages, &scope.conversations).await? {
        locked.messages.insert(message.id, message);
    }
    Ok(())
}

/// Those of the messages that are in one of the conversations.
pub(super) async fn by_ids(
    tx: &mut PgConnection,
    ids: &[MessageId],
    conversations: &[ConversationId],
) -> Outcome<Vec<protocol::Message>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows: Vec<MessageRow> = sqlx::query_as(concat!(
        "SELECT ",
        message_columns!(),
        " FROM unnest($1::uuid[]) AS k (id)
          CROSS JOIN LATERAL (SELECT * FROM messages m WHERE m.id = k.id LIMIT 1) m",
        message_joins!(),
        "WHERE m.conversation_id = ANY($2)"
    ))
    .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
    .bind(conversations.iter().map(|id| id.0).collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    details::messages(tx, rows, None).await
}

async fn users(tx: &mut PgConnection, scope: &Scope, locked: &mut Locked) -> Outcome<()> {
    if scope.users.is_empty() {
        return Ok(());
    }
    let rows: Vec<UserRow> = sqlx::query_as(concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = ANY($1)"))
        .bind(scope.users.iter().map(|id| id.0).collect::<Vec<_>>())
        .fetch_all(tx)
        .await?;
    for row in rows {
        let user = row.user()?;
        locked.users.insert(user.id, user);
    }
    Ok(())
}
