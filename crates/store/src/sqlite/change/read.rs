//! Reads what a decision needs, inside the transaction that will write it.

use std::collections::{BTreeSet, HashMap, HashSet};

use protocol::{ConversationId, ConversationKind, History, Message, MessageId, OrgId, Posting, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    super::{
        codec::{Text, from_db, id_list, id_pairs_with_text, time_opt},
        error::Db,
        load,
        rows::{MessageRow, select_messages},
        users,
    },
    messages::read_messages,
    people,
};
use crate::{IdMap, Locked, LockedConversation, Result, Scope, StoredMessage};

/// Whether one of the two of a direct conversation `c` blocked the other.
macro_rules! blocked {
    () => {
        "case when c.kind = 'direct' then exists (select 1 from participants a \
         join blocks b on b.user_id = a.user_id and b.active \
         join participants o on o.conversation_id = a.conversation_id and o.user_id = b.blocked_id \
         where a.conversation_id = c.id) else 0 end"
    };
}
pub(in super::super) use blocked;

/// Reads what `scope` names. Inside a write transaction. What nobody asks for costs no statement.
pub(in super::super) async fn read(conn: &mut SqliteConnection, scope: &Scope) -> Result<Locked> {
    let mut locked = Locked::default();
    conversations(conn, &scope.conversations, &mut locked).await?;
    if !scope.messages.is_empty() {
        locked.messages = messages(conn, scope, &locked).await?;
    }
    let mut pairs: BTreeSet<(ConversationId, UserId)> = scope.participants.iter().copied().collect();
    let mut named: BTreeSet<UserId> = scope.users.iter().copied().collect();
    if scope.notifies {
        for message in locked.messages.values() {
            named.insert(message.sender.id);
            pairs.insert((message.conversation_id, message.sender.id));
        }
        let told: BTreeSet<UserId> = named.iter().copied().chain(pairs.iter().map(|(_, user)| *user)).collect();
        if !told.is_empty() {
            locked.preferences = people::preferences(conn, &told).await?;
            locked.blocks = people::blocks(conn, &told).await?;
        }
    }
    if !pairs.is_empty() {
        locked.participants = people::participants(conn, pairs).await?;
    }
    if !named.is_empty() {
        let named: Vec<UserId> = named.into_iter().collect();
        locked.users = users::many(conn, None, &named).await?.into_iter().map(|user| (user.id, user)).collect();
    }
    if !scope.client_ids.is_empty() {
        locked.by_client_id = by_client_id(conn, &scope.client_ids).await?;
    }
    if !scope.reactions.is_empty() {
        locked.reactions = reactions(conn, &scope.reactions).await?;
    }
    Ok(locked)
}

/// Messages of the scope; where somebody may be notified, the roots of their threads as well.
async fn messages(conn: &mut SqliteConnection, scope: &Scope, locked: &Locked) -> Result<IdMap<MessageId, Message>> {
    let mut found = IdMap::default();
    let mut wanted: Vec<MessageId> = scope.messages.clone();
    while !wanted.is_empty() {
        let messages = read_messages(conn, wanted.iter().map(|id| id.0)).await?;
        let here = messages.into_iter().filter(|message| locked.conversations.contains_key(&message.conversation_id));
        let roots: Vec<MessageId> = here
            .filter_map(|message| {
                let root = message.thread_root_id.filter(|_| scope.notifies);
                found.insert(message.id, message);
                root
            })
            .collect();
        // A root is in no thread: the second round is the last.
        wanted = roots.into_iter().filter(|root| !found.contains_key(root)).collect();
    }
    Ok(found)
}

async fn conversations(conn: &mut SqliteConnection, ids: &[ConversationId], locked: &mut Locked) -> Result<()> {
    #[derive(sqlx::FromRow)]
    struct Row {
        id: Uuid,
        org_id: Uuid,
        kind: String,
        title: Option<String>,
        description: Option<String>,
        avatar_url: Option<String>,
        posting: String,
        history: String,
        last_seq: i64,
        last_number: i64,
        access_seq: i64,
        participant_count: i64,
        owner_count: i64,
        slow_mode_seconds: u32,
        pin_count: u32,
        blocked: bool,
        archived_at: Option<i64>,
        deleted_at: Option<i64>,
        epoch: String,
    }
    let rows: Vec<Row> = sqlx::query_as(concat!(
        "select c.id, c.org_id, c.kind, c.title, c.description, c.avatar_url, c.posting, c.history, c.last_seq, \
         c.last_number, c.access_seq, \
         c.participant_count, c.owner_count, c.slow_mode_seconds, c.pin_count, c.archived_at, c.deleted_at, ",
        blocked!(),
        " as blocked, (select epoch from meta) as epoch from conversations c where c.id in (select unhex(value) from json_each(?))"
    ))
    .bind(id_list(ids.iter().map(|id| id.0)))
    .fetch_all(conn)
    .await
    .db()?;
    for row in rows {
        let conversation = LockedConversation {
            org_id: OrgId(row.org_id),
            kind: ConversationKind::parse(&row.kind)?,
            title: row.title,
            description: row.description,
            avatar_url: row.avatar_url,
            posting: Posting::parse(&row.posting)?,
            history: History::parse(&row.history)?,
            last_seq: from_db(row.last_seq),
            last_number: from_db(row.last_number),
            access_seq: from_db(row.access_seq),
            participant_count: from_db(row.participant_count),
            owner_count: from_db(row.owner_count),
            slow_mode_seconds: row.slow_mode_seconds,
            pin_count: row.pin_count,
            blocked: row.blocked,
            archived_at: time_opt(row.archived_at)?,
            deleted_at: time_opt(row.deleted_at)?,
        };
        locked.conversations.insert(ConversationId(row.id), conversation);
        locked.epoch = row.epoch;
    }
    Ok(())
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
    .fetch_all(&mut *conn)
    .await
    .db()?;
    let mut found = HashMap::with_capacity(rows.len());
    for stored in load::stored(conn, rows, None).await? {
        if let Some(client_id) = stored.message.client_id.clone() {
            found.insert((stored.message.conversation_id, stored.message.sender.id, client_id), stored);
        }
    }
    Ok(found)
}

/// Those of the wanted reactions that are there.
async fn reactions(
    conn: &mut SqliteConnection,
    wanted: &[(MessageId, UserId, String)],
) -> Result<HashSet<(MessageId, UserId, String)>> {
    let rows: Vec<(Uuid, Uuid, String)> = sqlx::query_as(
        "select m.id, r.user_id, r.emoji from json_each(?) j join messages m on m.id = unhex(j.value ->> 0) \
         join reactions r on r.conversation_id = m.conversation_id and r.seq = m.seq \
         and r.emoji = j.value ->> 2 and r.user_id = unhex(j.value ->> 1)",
    )
    .bind(id_pairs_with_text(wanted.iter().map(|(message, user, emoji)| (message.0, user.0, emoji.as_str()))))
    .fetch_all(conn)
    .await
    .db()?;
    Ok(rows.into_iter().map(|(message, user, emoji)| (MessageId(message), UserId(user), emoji)).collect())
}
