//! Whom a message of a conversation can mention.

use protocol::{ConversationId, User, UserId};
use sqlx::SqliteConnection;

use super::super::{
    codec::{fold, id_list},
    error::Db,
    rows::{UserRow, user_columns},
};
use crate::Result;

/// Starts from the names and ids, of which there are few, not from the participants.
pub(super) async fn mentionable(
    conn: &mut SqliteConnection,
    conversation: ConversationId,
    usernames: &[String],
    ids: &[UserId],
) -> Result<Vec<User>> {
    let names: Vec<String> = usernames.iter().map(|name| fold(name)).collect();
    let rows: Vec<UserRow> = sqlx::query_as(concat!(
        "select ",
        user_columns!(),
        " from (select u.id from json_each(?2) j cross join users u on u.username_key = j.value \
         and u.org_id = (select org_id from conversations where id = ?1) \
         union select unhex(value) from json_each(?3)) named \
         cross join participants p on p.conversation_id = ?1 and p.user_id = named.id and p.left_at is null \
         join users u on u.id = p.user_id"
    ))
    .bind(conversation.0)
    .bind(serde_json::json!(names).to_string())
    .bind(id_list(ids.iter().map(|id| id.0)))
    .fetch_all(conn)
    .await
    .db()?;
    rows.into_iter().map(UserRow::into_user).collect()
}
