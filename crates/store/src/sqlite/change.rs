//! Durable changes of conversations: what `scope` names is read inside `begin immediate`, so that nothing else
//! writes meanwhile (the one writer is the lock), then what `decide` says is written row by row.

use std::collections::{BTreeSet, HashMap};

use protocol::{
    ConversationId, ConversationKind, History, Message, MessageId, OrgId, Posting, Role, Seq, UserId, UserSeq,
};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    codec::{Text, fold, from_db, id_list, id_pairs, id_pairs_with_text, time_opt, to_db},
    error::{Db, refused},
    rows::{MessageRow, select_messages},
    users,
};
use crate::{
    Committed, InsertMessage, Locked, LockedConversation, LockedParticipant, MessageUpdate, ParticipantWrite, Result,
    Scope, StoreError, StoredMessage, UpdateMessage, WriteConversation, WriteParticipant, Writes,
};

/// Reads what `scope` names. Inside a write transaction.
pub(super) async fn read(conn: &mut SqliteConnection, scope: &Scope) -> Result<Locked> {
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
    Ok(Locked { conversations, participants, by_client_id, messages, users })
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
            let row = LockedParticipant { role: Role::parse(&role)?, active, access_since_seq: from_db(since) };
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

/// Messages by id, in no particular order; unknown ids are left out.
pub(super) async fn read_messages(
    conn: &mut SqliteConnection,
    ids: impl IntoIterator<Item = Uuid>,
) -> Result<Vec<Message>> {
    let rows: Vec<MessageRow> =
        sqlx::query_as(concat!(select_messages!(), "where m.id in (select unhex(value) from json_each(?))"))
            .bind(id_list(ids))
            .fetch_all(conn)
            .await
            .db()?;
    rows.into_iter().map(MessageRow::into_message).collect()
}

/// Writes what was decided and reads back what it made. Inside the same transaction as [`read`].
pub(super) async fn write(conn: &mut SqliteConnection, locked: &Locked, writes: &Writes) -> Result<Committed> {
    let mut touched: BTreeSet<MessageId> = BTreeSet::new();
    for message in &writes.inserts {
        insert_message(conn, message).await?;
        touched.insert(message.id);
    }
    for update in &writes.updates {
        update_message(conn, update).await?;
        touched.insert(update.id);
    }
    let mut feeds = Vec::new();
    let mut regrouped: BTreeSet<ConversationId> = BTreeSet::new();
    for write in &writes.participants {
        if let Some(user_seq) = write_participant(conn, locked, writes, write).await? {
            feeds.push((write.conversation_id, write.user_id, user_seq));
        }
        regrouped.insert(write.conversation_id);
    }
    move_own_markers(conn, &writes.inserts).await?;
    for (id, conversation) in &writes.conversations {
        write_conversation(conn, *id, conversation).await?;
    }
    for id in regrouped {
        recount(conn, id).await?;
    }
    let messages = match touched.is_empty() {
        true => Vec::new(),
        false => read_messages(conn, touched.into_iter().map(|id| id.0)).await?,
    };
    Ok(Committed { messages: messages.into_iter().map(|message| (message.id, message)).collect(), feeds })
}

/// Inserts one message. Inside a write transaction.
pub(super) async fn insert_message(conn: &mut SqliteConnection, message: &InsertMessage) -> Result<()> {
    let system = message.system.as_ref().map(serde_json::to_string).transpose();
    sqlx::query(
        "insert into messages (conversation_id, seq, changed_seq, id, number, sender_id, kind, content, system, \
         reply_to_id, client_id, fingerprint, created_at) values (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )
    .bind(message.conversation_id.0)
    .bind(to_db(message.seq))
    .bind(message.id.0)
    .bind(to_db(message.number))
    .bind(message.sender_id.0)
    .bind(if message.system.is_some() { "system" } else { "text" })
    .bind(&message.content)
    .bind(system.map_err(|e| StoreError::Refused(Box::new(e)))?)
    .bind(message.reply_to_id.map(|id| id.0))
    .bind(&message.client_id)
    .bind(&message.fingerprint)
    .bind(message.created_at.unix_millis())
    .execute(conn)
    .await
    .db()?;
    Ok(())
}

async fn update_message(conn: &mut SqliteConnection, update: &UpdateMessage) -> Result<()> {
    let (id, place) = (update.id.0, update.conversation_id.0);
    let (seq, at) = (to_db(update.changed_seq), update.at.unix_millis());
    let done = match &update.update {
        MessageUpdate::Edit { content } => {
            sqlx::query(
                "insert into message_edits (conversation_id, seq, changed_seq, content, replaced_at) \
                 select conversation_id, seq, ?3, content, ?4 from messages where id = ?1 and conversation_id = ?2",
            )
            .bind(id)
            .bind(place)
            .bind(seq)
            .bind(at)
            .execute(&mut *conn)
            .await
            .db()?;
            sqlx::query(
                "update messages set changed_seq = ?3, edited_at = ?4, content = ?5 \
                 where id = ?1 and conversation_id = ?2",
            )
            .bind(id)
            .bind(place)
            .bind(seq)
            .bind(at)
            .bind(content)
            .execute(conn)
            .await
            .db()?
        }
        MessageUpdate::Delete => {
            sqlx::query(
                "delete from message_edits where (conversation_id, seq) in \
                 (select conversation_id, seq from messages where id = ? and conversation_id = ?)",
            )
            .bind(id)
            .bind(place)
            .execute(&mut *conn)
            .await
            .db()?;
            sqlx::query(
                "update messages set changed_seq = ?3, deleted_at = ?4, content = '' \
                 where id = ?1 and conversation_id = ?2",
            )
            .bind(id)
            .bind(place)
            .bind(seq)
            .bind(at)
            .execute(conn)
            .await
            .db()?
        }
    };
    if done.rows_affected() == 1 { Ok(()) } else { Err(refused("an update of a message that is not there")) }
}

/// Writes a participant's row; the feed's new head when it moved.
async fn write_participant(
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

/// Who sends has read what came before: their markers move to their own newest message.
async fn move_own_markers(conn: &mut SqliteConnection, inserts: &[InsertMessage]) -> Result<()> {
    let mut newest: HashMap<(ConversationId, UserId), &InsertMessage> = HashMap::new();
    for message in inserts {
        let own = newest.entry((message.conversation_id, message.sender_id)).or_insert(message);
        if message.seq > own.seq {
            *own = message;
        }
    }
    for ((conversation, user), message) in newest {
        sqlx::query(
            "update participants set read_seq = max(read_seq, ?3), read_number = max(read_number, ?4), \
             delivered_seq = max(delivered_seq, ?3), markers_changed_at = ?5 \
             where conversation_id = ?1 and user_id = ?2 and left_at is null and read_seq < ?3",
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

async fn write_conversation(conn: &mut SqliteConnection, id: ConversationId, write: &WriteConversation) -> Result<()> {
    let patch = write.patch.clone().unwrap_or_default();
    let done = sqlx::query(
        "update conversations set last_seq = ?2, last_number = ?3, access_seq = coalesce(?4, access_seq), \
         last_activity_at = coalesce(?5, last_activity_at), title = coalesce(?6, title), \
         title_key = coalesce(?7, title_key), description = case when ?8 then ?9 else description end, \
         avatar_url = case when ?10 then ?11 else avatar_url end, posting = coalesce(?12, posting), \
         archived_at = case when ?13 then ?14 else archived_at end, deleted_at = coalesce(?15, deleted_at), \
         direct_key = case when ?15 is null then direct_key end where id = ?1",
    )
    .bind(id.0)
    .bind(to_db(write.last_seq))
    .bind(to_db(write.last_number))
    .bind(write.access_seq.map(to_db))
    .bind(write.last_activity_at.map(|at| at.unix_millis()))
    .bind(&patch.title)
    .bind(patch.title.as_deref().map(fold))
    .bind(patch.description.is_some())
    .bind(patch.description.flatten())
    .bind(patch.avatar_url.is_some())
    .bind(patch.avatar_url.flatten())
    .bind(patch.posting.map(Text::text))
    .bind(write.archived_at.is_some())
    .bind(write.archived_at.flatten().map(|at| at.unix_millis()))
    .bind(write.deleted_at.map(|at| at.unix_millis()))
    .execute(conn)
    .await
    .db()?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(refused("a change of a conversation that is not there")) }
}

/// Counts the active participants anew.
async fn recount(conn: &mut SqliteConnection, id: ConversationId) -> Result<()> {
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
