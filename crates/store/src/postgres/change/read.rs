//! Takes the locks, and reads what a decision needs.

use protocol::{ConversationId, ConversationKind, MessageId, NotificationPreferences, Notify, OrgId, UserId};
use sqlx::{FromRow, PgConnection};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::{
    columns::Columns,
    details,
    fault::Outcome,
    rows::{MessageRow, UserRow, blocked, message_columns, message_joins, user_columns},
    values::{Word, count, moment, small},
};
use crate::{IdSet, Locked, LockedConversation, LockedParticipant, Scope, StoredMessage};

/// Locks the conversations of the scope, then reads the rest of it.
pub(super) async fn locked(tx: &mut PgConnection, scope: &Scope) -> Outcome<Locked> {
    let mut locked = Locked::default();
    conversations(tx, scope, &mut locked).await?;
    messages(tx, scope, &mut locked).await?;
    let told = if scope.notifies { senders(tx, &locked).await? } else { Vec::new() };
    let mut participants = scope.participants.clone();
    participants.extend(told.iter().copied());
    let mut users: IdSet<UserId> = scope.users.iter().chain(told.iter().map(|(_, user)| user)).copied().collect();
    let said = self::participants(tx, &participants, &scope.client_ids, &users, &mut locked).await?;
    if !said.is_empty() {
        by_client_id(tx, &said, &mut locked).await?;
    }
    users.retain(|user| !locked.users.contains_key(user));
    self::users(tx, &users, &mut locked).await?;
    reactions(tx, scope, &mut locked).await?;
    if scope.notifies {
        let users: Vec<UserId> =
            scope.users.iter().copied().chain(participants.iter().map(|(_, user)| *user)).collect();
        preferences(tx, &users, &mut locked).await?;
        blocks(tx, &users, &mut locked).await?;
    }
    Ok(locked)
}

/// Who may be notified because a named message is theirs, or the root of its thread is.
async fn senders(tx: &mut PgConnection, locked: &Locked) -> Outcome<Vec<(ConversationId, UserId)>> {
    let messages = &locked.messages;
    let mut senders: Vec<_> = messages.values().map(|message| (message.conversation_id, message.sender.id)).collect();
    let roots = messages.values().filter_map(|message| message.thread_root_id);
    let roots: Vec<Uuid> = roots.filter(|root| !messages.contains_key(root)).map(|root| root.0).collect();
    if roots.is_empty() {
        return Ok(senders);
    }
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as("SELECT conversation_id, sender_id FROM messages WHERE id = ANY($1)")
        .bind(roots)
        .fetch_all(tx)
        .await?;
    senders.extend(rows.into_iter().map(|(conversation, sender)| (ConversationId(conversation), UserId(sender))));
    Ok(senders)
}

/// The row that comes back from a lock is the newest one, even when the lock had to be waited for.
async fn conversations(tx: &mut PgConnection, scope: &Scope, locked: &mut Locked) -> Outcome<()> {
    let rows = sqlx::query(
        "SELECT id, org_id, kind, title, description, avatar_url, posting, history, last_seq, last_number, access_seq,
                participant_count, owner_count, slow_mode_seconds, pin_count, archived_at, deleted_at,
                (SELECT epoch FROM meta WHERE singleton) AS epoch
         FROM conversations WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE",
    )
    .bind(scope.conversations.iter().map(|id| id.0).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    for row in &rows {
        let mut columns = Columns::of(row);
        let id = ConversationId(columns.take("id")?);
        let conversation = LockedConversation {
            org_id: OrgId(columns.take("org_id")?),
            kind: columns.word("kind")?,
            title: columns.take("title")?,
            description: columns.take("description")?,
            avatar_url: columns.take("avatar_url")?,
            posting: columns.word("posting")?,
            history: columns.word("history")?,
            last_seq: count(columns.take("last_seq")?),
            last_number: count(columns.take("last_number")?),
            access_seq: count(columns.take("access_seq")?),
            participant_count: count(columns.take("participant_count")?),
            owner_count: count(columns.take("owner_count")?),
            slow_mode_seconds: small(columns.take("slow_mode_seconds")?),
            pin_count: small(columns.take("pin_count")?),
            archived_at: moment(columns.take("archived_at")?),
            deleted_at: moment(columns.take("deleted_at")?),
            // Read after the lock, with the participants.
            blocked: false,
        };
        locked.conversations.insert(id, conversation);
        if locked.epoch.is_empty() {
            locked.epoch = columns.take("epoch")?;
        }
    }
    Ok(())
}

/// What is looked for of one user in one conversation.
struct Key<'a> {
    conversation: ConversationId,
    user: Option<UserId>,
    is_direct: bool,
    client_id: Option<&'a str>,
}

/// A send, by conversation, sender and client id.
type Send = (ConversationId, UserId, String);

/// In one round trip, however many: participants' rows, those of them who are among `users` as users too, whether one
/// of the two in a direct conversation blocked the other (for any of its participants, be there such a row or not), and
/// which of the sends are there already.
async fn participants(
    tx: &mut PgConnection,
    wanted: &[(ConversationId, UserId)],
    sends: &[Send],
    users: &IdSet<UserId>,
    locked: &mut Locked,
) -> Outcome<Vec<Send>> {
    let keys = keys(wanted, sends, locked);
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    // LIMIT 1 keeps the planner at one look-up per key.
    let rows = sqlx::query(concat!(
        "SELECT k.conversation_id, CASE WHEN k.direct THEN ",
        blocked!("k.conversation_id"),
        " ELSE false END AS blocked, u.id IS NOT NULL AS known, coalesce(m.said, false) AS said, k.client_id, p.user_id,
                p.role, p.left_at IS NULL AS active, p.access_since_seq, p.last_sent_at, p.notify, p.muted_until, ",
        user_columns!(),
        " FROM unnest($1::uuid[], $2::uuid[], $3::boolean[], $4::text[])
               AS k (conversation_id, user_id, direct, client_id)
         LEFT JOIN LATERAL (
             SELECT * FROM participants p
             WHERE p.conversation_id = k.conversation_id AND p.user_id = k.user_id LIMIT 1) p ON true
         LEFT JOIN LATERAL (SELECT * FROM users u WHERE u.id = k.user_id LIMIT 1) u ON true
         LEFT JOIN LATERAL (
             SELECT true AS said FROM messages m
             WHERE m.conversation_id = k.conversation_id AND m.sender_id = k.user_id AND m.client_id = k.client_id
             LIMIT 1) m ON true"
    ))
    .bind(keys.iter().map(|key| key.conversation.0).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.user.map(|user| user.0)).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.is_direct).collect::<Vec<_>>())
    .bind(keys.iter().map(|key| key.client_id).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    let mut said = Vec::new();
    for row in &rows {
        let mut columns = Columns::of(row);
        let id = ConversationId(columns.take("conversation_id")?);
        let blocked: bool = columns.take("blocked")?;
        if let Some(conversation) = locked.conversations.get_mut(&id) {
            conversation.blocked |= blocked;
        }
        let (known, there, client_id): (bool, bool, Option<String>) =
            (columns.take("known")?, columns.take("said")?, columns.take("client_id")?);
        if known {
            let user = UserRow::from_row(row)?.user();
            if let Some(client_id) = client_id.filter(|_| there) {
                said.push((id, user.id, client_id));
            }
            if users.contains(&user.id) {
                locked.users.insert(user.id, user);
            }
        }
        let Some(user) = columns.take("user_id")? else { continue };
        let participant = LockedParticipant {
            role: columns.word("role")?,
            active: columns.take("active")?,
            access_since_seq: count(columns.take("access_since_seq")?),
            last_sent_at: moment(columns.take("last_sent_at")?),
            notify: columns.word("notify")?,
            muted_until: moment(columns.take("muted_until")?),
        };
        locked.participants.insert((id, UserId(user)), participant);
    }
    Ok(said)
}

/// One for each participant, or for each of their sends; one for each direct conversation at least.
fn keys<'a>(wanted: &[(ConversationId, UserId)], sends: &'a [Send], locked: &Locked) -> Vec<Key<'a>> {
    let is_direct =
        |id: &ConversationId| locked.conversations.get(id).is_some_and(|row| row.kind == ConversationKind::Direct);
    let key = |conversation, user, client_id| {
        let is_direct = is_direct(&conversation);
        Key { conversation, user: Some(user), is_direct, client_id }
    };
    let mut keys: Vec<Key<'_>> = sends.iter().map(|(id, user, name)| key(*id, *user, Some(name.as_str()))).collect();
    let named: IdSet<_> = sends.iter().map(|(id, user, _)| (*id, *user)).collect();
    keys.extend(wanted.iter().filter(|pair| !named.contains(pair)).map(|(id, user)| key(*id, *user, None)));
    let looked_at: IdSet<ConversationId> = keys.iter().map(|key| key.conversation).collect();
    for id in locked.conversations.keys().filter(|id| is_direct(id) && !looked_at.contains(id)) {
        keys.push(Key { conversation: *id, user: None, is_direct: true, client_id: None });
    }
    keys
}

async fn by_client_id(tx: &mut PgConnection, sends: &[Send], locked: &mut Locked) -> Outcome<()> {
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
    .bind(sends.iter().map(|(conversation, _, _)| conversation.0).collect::<Vec<_>>())
    .bind(sends.iter().map(|(_, sender, _)| sender.0).collect::<Vec<_>>())
    .bind(sends.iter().map(|(_, _, client_id)| client_id.as_str()).collect::<Vec<_>>())
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

async fn users(tx: &mut PgConnection, ids: &IdSet<UserId>, locked: &mut Locked) -> Outcome<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let rows: Vec<UserRow> = sqlx::query_as(concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = ANY($1)"))
        .bind(ids.iter().map(|id| id.0).collect::<Vec<_>>())
        .fetch_all(tx)
        .await?;
    for row in rows {
        let user = row.user();
        locked.users.insert(user.id, user);
    }
    Ok(())
}

async fn reactions(tx: &mut PgConnection, scope: &Scope, locked: &mut Locked) -> Outcome<()> {
    if scope.reactions.is_empty() {
        return Ok(());
    }
    let rows: Vec<(Uuid, Uuid, String)> = sqlx::query_as(
        "SELECT k.id, k.user_id, k.emoji
         FROM unnest($1::uuid[], $2::uuid[], $3::text[]) AS k (id, user_id, emoji)
         JOIN messages m ON m.id = k.id AND m.conversation_id = ANY($4)
         JOIN reactions r ON r.conversation_id = m.conversation_id AND r.seq = m.seq AND r.emoji = k.emoji
                         AND r.user_id = k.user_id",
    )
    .bind(scope.reactions.iter().map(|(id, _, _)| id.0).collect::<Vec<_>>())
    .bind(scope.reactions.iter().map(|(_, user, _)| user.0).collect::<Vec<_>>())
    .bind(scope.reactions.iter().map(|(_, _, emoji)| emoji.as_str()).collect::<Vec<_>>())
    .bind(scope.conversations.iter().map(|id| id.0).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    locked.reactions.extend(rows.into_iter().map(|(id, user, emoji)| (MessageId(id), UserId(user), emoji)));
    Ok(())
}

async fn preferences(tx: &mut PgConnection, users: &[UserId], locked: &mut Locked) -> Outcome<()> {
    let rows: Vec<(Uuid, String, Option<OffsetDateTime>)> =
        sqlx::query_as("SELECT user_id, notify, muted_until FROM notification_preferences WHERE user_id = ANY($1)")
            .bind(users.iter().map(|id| id.0).collect::<Vec<_>>())
            .fetch_all(tx)
            .await?;
    for (user, notify, muted_until) in rows {
        let wanted = NotificationPreferences { notify: Notify::of(&notify)?, muted_until: moment(muted_until) };
        locked.preferences.insert(UserId(user), wanted);
    }
    Ok(())
}

async fn blocks(tx: &mut PgConnection, users: &[UserId], locked: &mut Locked) -> Outcome<()> {
    let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(
        "SELECT user_id, blocked_id FROM blocks WHERE user_id = ANY($1) AND blocked_id = ANY($1) AND active",
    )
    .bind(users.iter().map(|id| id.0).collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    locked.blocks.extend(rows.into_iter().map(|(user, blocked)| (UserId(user), UserId(blocked))));
    Ok(())
}
