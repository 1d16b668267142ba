//! Reads what a decision needs, inside the transaction that will write it.

use std::collections::HashMap;

use protocol::{ConversationId, ConversationKind, History, OrgId, Posting, Role, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    super::{
        codec::{Text, from_db, id_list, id_pairs, id_pairs_with_text, time_opt},
        error::Db,
        rows::{MessageRow, select_messages},
        users,
    },
    messages::read_messages,
};
use crate::{Locked, LockedConversation, LockedParticipant, Result, Scope, StoredMessage};

/// Reads what `scope` names. Inside a write transaction.
pub(in super::super) async fn read(conn: &mut SqliteConnection, scope: &Scope) -> Result<Locked> {
    let conversations = conversations(conn, &scope.conversations).await?;
    let participants = match scope.participants.as_slice() {
        [] => HashMap::new(),
        pairs => participants(conn, pairs).await?,
    };
    let by_client_id = match scope.client_ids.as_slice() {
        [] => HashMap::new(),
        sends => by_client_id(conn, sends).await?,
    };
    let mut messages = HashMap::new();
    if !scope.messages.is_empty() {
        for message in read_messages(conn, scope.messages.iter().map(|id| id.0)).await? {
            if conversations.contains_key(&message.conversation_id) {
                messages.insert(message.id, message);
            }
        }
    }
    let users = match scope.users.as_slice() {
        [] => Vec::new(),
        ids => users::many(conn, None, ids).await?,
    };
    let users = users.into_iter().map(|user| (user.id, user)).collect();
    Ok(Locked { conversations, participants, by_client_id, messages, users, ..Locked::default() })
}

async fn conversations(
    conn: &mut SqliteConnection,
    ids: &[ConversationId],
) -> Result<HashMap<ConversationId, LockedConversation>> {
    #[derive(sqlx::FromRow)]
    struct Row {
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
        archived_at: Option<i64>,
        deleted_at: Option<i64>,
    }
    let rows: Vec<Row> = sqlx::query_as(
        "select id, org_id, kind, title, posting, history, last_seq, last_number, access_seq, participant_count, \
         owner_count, archived_at, deleted_at from conversations where id in (select unhex(value) from json_each(?))",
    )
    .bind(id_list(ids.iter().map(|id| id.0)))
    .fetch_all(conn)
    .await
    .db()?;
    rows.into_iter()
        .map(|row| {
            let locked = LockedConversation {
                org_id: OrgId(row.org_id),
                kind: ConversationKind::parse(&row.kind)?,
                title: row.title,
                posting: Posting::parse(&row.posting)?,
                history: History::parse(&row.history)?,
                last_seq: from_db(row.last_seq),
                last_number: from_db(row.last_number),
                access_seq: from_db(row.access_seq),
                participant_count: from_db(row.participant_count),
                owner_count: from_db(row.owner_count),
                archived_at: time_opt(row.archived_at)?,
                deleted_at: time_opt(row.deleted_at)?,
                slow_mode_seconds: 0,
                pin_count: 0,
                blocked: false,
            };
            Ok((ConversationId(row.id), locked))
        })
        .collect()
}

async fn participants(
    conn: &mut SqliteConnection,
    pairs: &[(ConversationId, UserId)],
) -> Result<HashMap<(ConversationId, UserId), LockedParticipant>> {
    let rows: Vec<(Uuid, Uuid, String, bool, i64)> = sqlx::query_as(
        "select p.conversation_id, p.user_id, p.role, p.left_at is null, p.access_since_seq \
         from json_each(?) j join participants p \
         on p.conversation_id = unhex(j.value ->> 0) and p.user_id = unhex(j.value ->> 1)",
    )
    .bind(id_pairs(pairs.iter().map(|(conversation, user)| (conversation.0, user.0))))
    .fetch_all(conn)
    .await
    .db()?;
    rows.into_iter()
        .map(|(conversation, user, role, active, since)| {
            let row = LockedParticipant {
                role: Role::parse(&role)?,
                active,
                access_since_seq: from_db(since),
                last_sent_at: None,
                notify: protocol::Notify::All,
                muted_until: None,
            };
            Ok(((ConversationId(conversation), UserId(user)), row))
        })
        .collect()
}

async fn by_client_id(
    conn: &mut SqliteConnection,
    sends: &[(ConversationId, UserId, String)],
) -> Result<HashMap<(ConversationId, UserId, String), StoredMessage>> {
    let rows: Vec<MessageRow> = sqlx::query_as(select_messages!(
        "json_each(?) j join",
        "on m.conversation_id = unhex(j.value ->> 0) and m.sender_id = unhex(j.value ->> 1) \
         and m.client_id = j.value ->> 2"
    ))
    .bind(id_pairs_with_text(sends.iter().map(|(conversation, user, id)| (conversation.0, user.0, id.as_str()))))
    .fetch_all(conn)
    .await
    .db()?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in rows {
        let stored = row.into_stored()?;
        if let Some(client_id) = stored.message.client_id.clone() {
            found.insert((stored.message.conversation_id, stored.message.sender.id, client_id), stored);
        }
    }
    Ok(found)
}
