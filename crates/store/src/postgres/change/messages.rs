//! Writes new messages, the conversations' heads and the senders' markers; tells what was made.

use protocol::{Attachment, ConversationId, Mention, Message, MessageId, MessageKind, Sender, UserId};
use sqlx::{PgConnection, types::Json};

use super::{
    super::{
        fault::Outcome,
        values::{Word, fold, int, small_int},
    },
    mentions,
    read::by_ids,
};
use crate::{IdMap, IdSet, InsertMessage, Locked, StoreError, WriteConversation, Writes};

/// Inserts the messages, moves the heads of their conversations and the markers of their senders: three tables,
/// one round trip.
pub(super) async fn insert(tx: &mut PgConnection, writes: &Writes) -> Outcome<()> {
    let inserts = &writes.inserts;
    let heads: Vec<(&ConversationId, &WriteConversation)> = writes.conversations.iter().collect();
    if inserts.is_empty() && heads.is_empty() {
        return Ok(());
    }
    let markers = own_newest(inserts);
    sqlx::query(
        "WITH this AS (SELECT pg_current_xact_id()::text::bigint AS number),
         inserted AS (
             INSERT INTO messages (id, conversation_id, seq, changed_seq, number, sender_id, kind, content, system,
                                   reply_to_id, client_id, fingerprint, created_at, thread_root_id, mentions,
                                   attachments, changed_in)
             SELECT id, conversation_id, seq, seq, number, sender_id, kind, content, system, reply_to_id, client_id,
                    fingerprint, created_at, thread_root_id, mentions, attachments, (SELECT number FROM this)
             FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::uuid[], $6::text[], $7::text[],
                         $8::jsonb[], $9::uuid[], $10::text[], $11::bytea[], $12::timestamptz[], $21::uuid[],
                         $22::jsonb[], $23::jsonb[])
                  AS k (id, conversation_id, seq, number, sender_id, kind, content, system, reply_to_id, client_id,
                        fingerprint, created_at, thread_root_id, mentions, attachments)),
         marked AS (
             UPDATE participants p
             SET read_seq = greatest(p.read_seq, k.seq), read_number = greatest(p.read_number, k.number),
                 delivered_seq = greatest(p.delivered_seq, k.seq), markers_changed_at = now(),
                 last_sent_at = greatest(p.last_sent_at, k.sent_at)
             FROM unnest($13::uuid[], $14::uuid[], $15::bigint[], $16::bigint[], $24::timestamptz[])
                  AS k (conversation_id, user_id, seq, number, sent_at)
             WHERE p.conversation_id = k.conversation_id AND p.user_id = k.user_id)
         UPDATE conversations c
         SET last_seq = k.last_seq, last_number = k.last_number,
             last_activity_at = coalesce(k.last_activity_at, c.last_activity_at),
             changed_in = (SELECT number FROM this)
         FROM unnest($17::uuid[], $18::bigint[], $19::bigint[], $20::timestamptz[])
              AS k (id, last_seq, last_number, last_activity_at)
         WHERE c.id = k.id",
    )
    .bind(column(inserts, |i| i.id.0))
    .bind(column(inserts, |i| i.conversation_id.0))
    .bind(column(inserts, |i| int(i.seq)))
    .bind(column(inserts, |i| int(i.number)))
    .bind(column(inserts, |i| i.sender_id.0))
    .bind(column(inserts, |i| kind(i).word()))
    .bind(inserts.iter().map(|i| i.content.as_str()).collect::<Vec<_>>())
    .bind(inserts.iter().map(|i| i.system.as_ref().map(Json)).collect::<Vec<_>>())
    .bind(column(inserts, |i| i.reply_to_id.map(|id| id.0)))
    .bind(inserts.iter().map(|i| i.client_id.as_deref()).collect::<Vec<_>>())
    .bind(inserts.iter().map(|i| i.fingerprint.as_slice()).collect::<Vec<_>>())
    .bind(column(inserts, |i| i.created_at.get()))
    .bind(column(&markers, |i| i.conversation_id.0))
    .bind(column(&markers, |i| i.sender_id.0))
    .bind(column(&markers, |i| int(i.seq)))
    .bind(column(&markers, |i| int(i.number)))
    .bind(column(&heads, |(id, _)| id.0))
    .bind(column(&heads, |(_, head)| int(head.last_seq)))
    .bind(column(&heads, |(_, head)| int(head.last_number)))
    .bind(column(&heads, |(_, head)| head.last_activity_at.map(protocol::Timestamp::get)))
    .bind(column(inserts, |i| i.thread_root_id.map(|id| id.0)))
    .bind(column(inserts, |i| mentions::column(&i.mentions)))
    .bind(inserts.iter().map(attachments).collect::<Vec<_>>())
    .bind(column(&markers, |i| i.created_at.get()))
    .execute(tx)
    .await?;
    Ok(())
}

fn column<T, V>(rows: &[T], value: impl Fn(&T) -> V) -> Vec<V> {
    rows.iter().map(value).collect()
}

fn attachments(insert: &InsertMessage) -> Option<Json<&[Attachment]>> {
    (!insert.attachments.is_empty()).then_some(Json(insert.attachments.as_slice()))
}

fn kind(insert: &InsertMessage) -> MessageKind {
    if insert.system.is_some() { MessageKind::System } else { MessageKind::Text }
}

/// The newest message of each sender in each conversation: their markers move to it. What the conversation says of
/// itself does not count: who adds somebody has not thereby read what is there.
fn own_newest(inserts: &[InsertMessage]) -> Vec<&InsertMessage> {
    let mut newest: IdMap<(ConversationId, UserId), &InsertMessage> = IdMap::default();
    for insert in inserts.iter().filter(|insert| insert.system.is_none()) {
        let entry = newest.entry((insert.conversation_id, insert.sender_id)).or_insert(insert);
        if insert.seq > entry.seq {
            *entry = insert;
        }
    }
    let mut newest: Vec<&InsertMessage> = newest.into_values().collect();
    // As where markers are moved by their owners: always in the same order, so that nobody waits in a circle.
    newest.sort_unstable_by_key(|insert| (insert.conversation_id, insert.sender_id));
    newest
}

/// What else changes of conversations. Rare, so one statement each.
pub(super) async fn patch_conversations(tx: &mut PgConnection, writes: &Writes) -> Outcome<()> {
    for (id, write) in &writes.conversations {
        let is_plain = write.access_seq.is_none()
            && write.patch.is_none()
            && write.pin_count.is_none()
            && write.archived_at.is_none()
            && write.deleted_at.is_none();
        if is_plain {
            continue;
        }
        let patch = write.patch.clone().unwrap_or_default();
        sqlx::query(
            "UPDATE conversations SET
                 access_seq = greatest(access_seq, coalesce($2, access_seq)),
                 title = coalesce($3, title),
                 title_key = coalesce($4, title_key),
                 description = CASE WHEN $5 THEN $6 ELSE description END,
                 avatar_url = CASE WHEN $7 THEN $8 ELSE avatar_url END,
                 posting = coalesce($9, posting),
                 archived_at = CASE WHEN $10 THEN $11 ELSE archived_at END,
                 deleted_at = coalesce($12, deleted_at),
                 slow_mode_seconds = coalesce($13, slow_mode_seconds),
                 pin_count = coalesce($14, pin_count),
                 direct_key = CASE WHEN $12 IS NULL THEN direct_key END
             WHERE id = $1",
        )
        .bind(id.0)
        .bind(write.access_seq.map(int))
        .bind(&patch.title)
        .bind(patch.title.as_deref().map(fold))
        .bind(patch.description.is_some())
        .bind(patch.description.as_ref().and_then(Option::as_ref))
        .bind(patch.avatar_url.is_some())
        .bind(patch.avatar_url.as_ref().and_then(Option::as_ref))
        .bind(patch.posting.map(Word::word))
        .bind(write.archived_at.is_some())
        .bind(write.archived_at.flatten().map(protocol::Timestamp::get))
        .bind(write.deleted_at.map(protocol::Timestamp::get))
        .bind(patch.slow_mode_seconds.map(small_int))
        .bind(write.pin_count.map(small_int))
        .execute(&mut *tx)
        .await?;
    }
    Ok(())
}

/// Every message that was inserted or updated, as it is now. A new message is known without asking: its sender, and
/// whom it mentions, were read under the lock. What changed, or quotes another, is read back.
pub(super) async fn present(
    tx: &mut PgConnection,
    locked: &Locked,
    writes: &Writes,
) -> Outcome<IdMap<MessageId, Message>> {
    let updated: IdSet<MessageId> = writes.updates.iter().map(|update| update.id).collect();
    let mut present = IdMap::default();
    present.reserve(writes.inserts.len() + updated.len());
    let mut ask: Vec<MessageId> = updated.iter().copied().collect();
    for insert in writes.inserts.iter().filter(|insert| !updated.contains(&insert.id)) {
        match plain(insert, locked) {
            Some(message) => {
                present.insert(message.id, message);
            }
            None => ask.push(insert.id),
        }
    }
    let conversations: Vec<ConversationId> = locked.conversations.keys().copied().collect();
    for message in by_ids(tx, &ask, &conversations).await? {
        present.insert(message.id, message);
    }
    if ask.iter().all(|id| present.contains_key(id)) {
        Ok(present)
    } else {
        Err(StoreError::Refused("a message that a decision changes is not there".into()).into())
    }
}

fn plain(insert: &InsertMessage, locked: &Locked) -> Option<Message> {
    if insert.reply_to_id.is_some() {
        return None;
    }
    let sender = Sender::from(locked.users.get(&insert.sender_id)?);
    let mut mentions = Vec::with_capacity(insert.mentions.len());
    for mention in &insert.mentions {
        let user = match &mention.user {
            Some(user) => Some(Sender::from(locked.users.get(user)?)),
            None => None,
        };
        mentions.push(Mention { offset: mention.offset, length: mention.length, user });
    }
    Some(Message {
        id: insert.id,
        conversation_id: insert.conversation_id,
        seq: insert.seq,
        changed_seq: insert.seq,
        number: insert.number,
        kind: kind(insert),
        sender,
        content: insert.content.clone(),
        system: insert.system.clone(),
        client_id: insert.client_id.clone(),
        reply_to: None,
        thread_root_id: insert.thread_root_id,
        thread: None,
        mentions,
        attachments: insert.attachments.clone(),
        reactions: Vec::new(),
        pinned_at: None,
        edited_at: None,
        deleted_at: None,
        created_at: insert.created_at,
    })
}
