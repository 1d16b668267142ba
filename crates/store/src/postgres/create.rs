//! Makes conversations.

use protocol::{ConversationId, Message, MessageKind, Role, Sender, UserId, UserSeq};
use sqlx::{PgConnection, PgPool, types::Json};
use uuid::Uuid;

use super::{
    change::{Feeds, write_notifications},
    fault::{Fault, Outcome},
    rows::{UserRow, user_columns},
    values::{Word, fold, int, small_int},
};
use crate::{Conflict, CreatedConversation, IdMap, NewConversation, StoreError};

/// Makes a conversation, or finds the one that this request or this pair of people made before.
pub(super) async fn create(pool: &PgPool, new: &NewConversation) -> Outcome<CreatedConversation> {
    let mut tx = pool.begin().await?;
    // Two that open the same direct conversation at once: the second waits here for the first.
    if !insert_conversation(&mut tx, new).await? {
        let existing = existing(&mut tx, new).await?;
        tx.rollback().await?;
        return Ok(existing);
    }
    let sender = sender(&mut tx, new).await?;
    let users: Vec<UserId> = new.participants.iter().map(|(user, _)| *user).collect();
    let told = new.notifications.iter().map(|notification| notification.user_id);
    let mut feeds = Feeds::lock(&mut tx, &users.iter().copied().chain(told).collect::<Vec<_>>()).await?;
    let places = users.iter().map(|user| feeds.next(*user)).collect::<Outcome<Vec<_>>>()?;
    let user_seqs: Vec<i64> = places.iter().copied().map(int).collect();
    let mut heads: IdMap<UserId, UserSeq> = users.into_iter().zip(places).collect();
    let told = write_notifications(&mut tx, &mut feeds, &new.notifications).await?;
    heads.extend(told.into_iter().map(|(notification, place)| (notification.user_id, place)));
    feeds.save(&mut tx).await?;
    insert_participants(&mut tx, new, &user_seqs).await?;
    insert_message(&mut tx, new).await?;
    tx.commit().await?;
    Ok(CreatedConversation {
        id: new.id,
        created: true,
        fingerprint: new.fingerprint.clone(),
        message: Some(first_message(new, sender)),
        feeds: heads.into_iter().collect(),
    })
}

async fn insert_conversation(tx: &mut PgConnection, new: &NewConversation) -> Outcome<bool> {
    let owners = new.participants.iter().filter(|(_, role)| *role == Role::Owner).count();
    let inserted = sqlx::query(
        "INSERT INTO conversations (id, org_id, kind, title, title_key, description, avatar_url, subject, direct_key,
             creator_id, idempotency_key, fingerprint, posting, history, last_seq, last_number, access_seq,
             participant_count, owner_count, last_activity_at, created_at, slow_mode_seconds, changed_in)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1, 0, 1, $15, $16, $17, $17, $18,
                 pg_current_xact_id()::text::bigint)
         ON CONFLICT DO NOTHING",
    )
    .bind(new.id.0)
    .bind(new.org_id.0)
    .bind(new.kind.word())
    .bind(&new.title)
    .bind(new.title.as_deref().map(fold))
    .bind(&new.description)
    .bind(&new.avatar_url)
    .bind(new.subject.as_ref().map(Json))
    .bind(&new.direct_key)
    .bind(new.creator.0)
    .bind(&new.idempotency_key)
    .bind(&new.fingerprint)
    .bind(new.posting.word())
    .bind(new.history.word())
    .bind(int(new.participants.len() as u64))
    .bind(int(owners as u64))
    .bind(new.now.get())
    .bind(small_int(new.slow_mode_seconds))
    .execute(tx)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The conversation that was in the way: the one of the same request before the one of the same pair.
async fn existing(tx: &mut PgConnection, new: &NewConversation) -> Outcome<CreatedConversation> {
    let found: Option<(Uuid, Vec<u8>)> = sqlx::query_as(
        "SELECT id, fingerprint FROM conversations
         WHERE (creator_id = $1 AND idempotency_key = $2) OR (org_id = $3 AND direct_key = $4)
         ORDER BY (creator_id = $1 AND idempotency_key = $2) IS TRUE DESC LIMIT 1",
    )
    .bind(new.creator.0)
    .bind(&new.idempotency_key)
    .bind(new.org_id.0)
    .bind(&new.direct_key)
    .fetch_optional(tx)
    .await?;
    // None: only the id was in the way.
    let (id, fingerprint) = found.ok_or(StoreError::Refused("another conversation has this id".into()))?;
    Ok(CreatedConversation { id: ConversationId(id), created: false, fingerprint, message: None, feeds: Vec::new() })
}

/// Checks that every participant is in the org, and tells who makes the conversation.
async fn sender(tx: &mut PgConnection, new: &NewConversation) -> Outcome<Sender> {
    let ids: Vec<Uuid> = new.participants.iter().map(|(user, _)| user.0).collect();
    let known: i64 = sqlx::query_scalar("SELECT count(*) FROM users WHERE id = ANY($1) AND org_id = $2")
        .bind(&ids)
        .bind(new.org_id.0)
        .fetch_one(&mut *tx)
        .await?;
    if known != int(ids.len() as u64) {
        return Err(StoreError::Conflict(Conflict::UnknownUser).into());
    }
    let row: Option<UserRow> =
        sqlx::query_as(concat!("SELECT ", user_columns!(), " FROM users u WHERE u.id = $1 AND u.org_id = $2"))
            .bind(new.creator.0)
            .bind(new.org_id.0)
            .fetch_optional(tx)
            .await?;
    let user = row.ok_or(Fault::Store(StoreError::Conflict(Conflict::UnknownUser)))?.user();
    Ok(Sender::from(&user))
}

async fn insert_participants(tx: &mut PgConnection, new: &NewConversation, user_seqs: &[i64]) -> Outcome<()> {
    sqlx::query(
        "INSERT INTO participants (conversation_id, user_id, role, joined_at, access_since_seq, read_seq, read_number,
                                   delivered_seq, user_seq, member_user_seq)
         SELECT $1, k.user_id, k.role, $2, 0, 1, 0, 1, k.user_seq, k.user_seq
         FROM unnest($3::uuid[], $4::text[], $5::bigint[]) AS k (user_id, role, user_seq)",
    )
    .bind(new.id.0)
    .bind(new.now.get())
    .bind(new.participants.iter().map(|(user, _)| user.0).collect::<Vec<_>>())
    .bind(new.participants.iter().map(|(_, role)| role.word()).collect::<Vec<_>>())
    .bind(user_seqs)
    .execute(tx)
    .await?;
    Ok(())
}

async fn insert_message(tx: &mut PgConnection, new: &NewConversation) -> Outcome<()> {
    sqlx::query(
        "INSERT INTO messages (id, conversation_id, seq, changed_seq, number, sender_id, kind, content, system,
                               fingerprint, created_at, changed_in)
         VALUES ($1, $2, 1, 1, 0, $3, 'system', '', $4, $5, $6, pg_current_xact_id()::text::bigint)",
    )
    .bind(new.message_id.0)
    .bind(new.id.0)
    .bind(new.creator.0)
    .bind(Json(&new.system))
    .bind(&new.fingerprint)
    .bind(new.now.get())
    .execute(tx)
    .await?;
    Ok(())
}

fn first_message(new: &NewConversation, sender: Sender) -> Message {
    Message {
        id: new.message_id,
        conversation_id: new.id,
        seq: 1,
        changed_seq: 1,
        number: 0,
        kind: MessageKind::System,
        sender,
        content: String::new(),
        system: Some(new.system.clone()),
        client_id: None,
        reply_to: None,
        thread_root_id: None,
        thread: None,
        mentions: Vec::new(),
        attachments: Vec::new(),
        reactions: Vec::new(),
        pinned_at: None,
        edited_at: None,
        deleted_at: None,
        created_at: new.now,
    }
}
