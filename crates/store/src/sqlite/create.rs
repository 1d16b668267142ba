//! Making a conversation. Runs inside a write transaction, so that whoever asks second finds what the first made.

use std::collections::BTreeMap;

use protocol::{ConversationId, Role, UserId, UserSeq};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    change::{begin_change, insert_message, notify, read_messages},
    codec::{Text, fold, to_db},
    error::{Db, corrupt},
    users,
};
use crate::{Conflict, CreatedConversation, IdSet, InsertMessage, NewConversation, Result, StoreError};

pub(super) async fn create(conn: &mut SqliteConnection, new: &NewConversation) -> Result<CreatedConversation> {
    if let Some((id, fingerprint)) = existing(conn, new).await? {
        let id = ConversationId(id);
        return Ok(CreatedConversation { id, created: false, fingerprint, message: None, feeds: Vec::new() });
    }
    let mut people: IdSet<UserId> = new.participants.iter().map(|(user, _)| *user).collect();
    people.insert(new.creator);
    let ids: Vec<UserId> = people.into_iter().collect();
    if users::many(conn, Some(new.org_id), &ids).await?.len() != ids.len() {
        return Err(StoreError::Conflict(Conflict::UnknownUser));
    }
    begin_change(conn).await?;
    insert_conversation(conn, new).await?;
    let first = InsertMessage {
        id: new.message_id,
        conversation_id: new.id,
        seq: 1,
        number: 0,
        sender_id: new.creator,
        content: String::new(),
        system: Some(new.system.clone()),
        reply_to_id: None,
        thread_root_id: None,
        mentions: Vec::new(),
        attachments: Vec::new(),
        client_id: None,
        fingerprint: new.fingerprint.clone(),
        created_at: new.now,
    };
    insert_message(conn, &first).await?;
    let mut feeds: BTreeMap<UserId, UserSeq> = BTreeMap::new();
    for (user, role) in &new.participants {
        feeds.insert(*user, insert_participant(conn, new, *user, *role).await?);
    }
    for notification in &new.notifications {
        if let Some(user_seq) = notify(conn, notification).await? {
            feeds.insert(notification.user_id, user_seq);
        }
    }
    let message = read_messages(conn, [new.message_id.0]).await?.into_iter().next();
    let message = message.ok_or_else(|| corrupt("a conversation without its first message"))?;
    Ok(CreatedConversation {
        id: new.id,
        created: true,
        fingerprint: new.fingerprint.clone(),
        message: Some(message),
        feeds: feeds.into_iter().collect(),
    })
}

async fn existing(conn: &mut SqliteConnection, new: &NewConversation) -> Result<Option<(Uuid, Vec<u8>)>> {
    // A key that is null equals nothing. The same request comes before the same pair.
    sqlx::query_as(
        "select id, fingerprint from conversations \
         where (creator_id = ?3 and idempotency_key = ?4) or (org_id = ?1 and direct_key = ?2) \
         order by (creator_id = ?3 and idempotency_key = ?4) is true desc limit 1",
    )
    .bind(new.org_id.0)
    .bind(&new.direct_key)
    .bind(new.creator.0)
    .bind(&new.idempotency_key)
    .fetch_optional(conn)
    .await
    .db()
}

async fn insert_conversation(conn: &mut SqliteConnection, new: &NewConversation) -> Result<()> {
    let subject = new.subject.as_ref().map(serde_json::to_string).transpose();
    let owners = new.participants.iter().filter(|(_, role)| *role == Role::Owner).count();
    sqlx::query(
        "insert into conversations (id, org_id, kind, title, title_key, description, avatar_url, subject, posting, \
         history, direct_key, creator_id, idempotency_key, fingerprint, last_seq, last_number, access_seq, \
         participant_count, owner_count, last_activity_at, created_at, slow_mode_seconds, changed_in) \
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 0, 1, ?, ?, ?17, ?17, ?18, \
         (select changes from meta))",
    )
    .bind(new.id.0)
    .bind(new.org_id.0)
    .bind(new.kind.text())
    .bind(&new.title)
    .bind(new.title.as_deref().map(fold))
    .bind(&new.description)
    .bind(&new.avatar_url)
    .bind(subject.map_err(|e| StoreError::Refused(Box::new(e)))?)
    .bind(new.posting.text())
    .bind(new.history.text())
    .bind(&new.direct_key)
    .bind(new.creator.0)
    .bind(&new.idempotency_key)
    .bind(&new.fingerprint)
    .bind(new.participants.len() as i64)
    .bind(owners as i64)
    .bind(new.now.unix_millis())
    .bind(new.slow_mode_seconds)
    .execute(conn)
    .await
    .db()?;
    Ok(())
}

async fn insert_participant(
    conn: &mut SqliteConnection,
    new: &NewConversation,
    user: UserId,
    role: Role,
) -> Result<UserSeq> {
    let user_seq = users::move_feed(conn, user).await?;
    sqlx::query(
        "insert into participants (conversation_id, user_id, role, joined_at, access_since_seq, read_seq, \
         read_number, delivered_seq, markers_changed_at, user_seq, member_user_seq) \
         values (?1, ?2, ?3, ?4, 0, 1, 0, 1, ?4, ?5, ?5)",
    )
    .bind(new.id.0)
    .bind(user.0)
    .bind(role.text())
    .bind(new.now.unix_millis())
    .bind(to_db(user_seq))
    .execute(conn)
    .await
    .db()?;
    Ok(user_seq)
}
