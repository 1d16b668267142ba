//! Writes edits and deletions of messages.

use std::collections::HashMap;

use protocol::{ConversationId, MessageId, Timestamp};
use sqlx::PgConnection;
use uuid::Uuid;

use super::super::{fault::Outcome, values::int};
use crate::{MessageUpdate, StoreError, UpdateMessage};

/// What several changes of one message, in order, come to.
struct Sum<'a> {
    id: MessageId,
    conversation: ConversationId,
    changed_seq: u64,
    /// The text after the last edit; none: as it was.
    content: Option<&'a str>,
    edited_at: Option<Timestamp>,
    deleted_at: Option<Timestamp>,
    /// Each edit's seq and time, and the text that it replaced (none: the stored one).
    replaced: Vec<(u64, Timestamp, Option<&'a str>)>,
}

/// Applies the changes: history of what was edited, then the new state, each in one statement.
pub(super) async fn update(tx: &mut PgConnection, updates: &[UpdateMessage]) -> Outcome<()> {
    if updates.is_empty() {
        return Ok(());
    }
    let sums = sum(updates);
    keep_history(tx, &sums).await?;
    write(tx, &sums).await?;
    erase_history(tx, &sums).await
}

fn sum(updates: &[UpdateMessage]) -> Vec<Sum<'_>> {
    let mut places: HashMap<MessageId, usize> = HashMap::new();
    let mut sums: Vec<Sum<'_>> = Vec::new();
    for update in updates {
        let place = *places.entry(update.id).or_insert_with(|| {
            sums.push(Sum {
                id: update.id,
                conversation: update.conversation_id,
                changed_seq: 0,
                content: None,
                edited_at: None,
                deleted_at: None,
                replaced: Vec::new(),
            });
            sums.len() - 1
        });
        let Some(sum) = sums.get_mut(place) else { continue };
        sum.changed_seq = update.changed_seq;
        match &update.update {
            // What is deleted stays deleted.
            MessageUpdate::Edit { .. } if sum.deleted_at.is_some() => {}
            MessageUpdate::Pin(_) | MessageUpdate::React { .. } | MessageUpdate::Unreact { .. } => {}
            MessageUpdate::Edit { content, .. } => {
                sum.replaced.push((update.changed_seq, update.at, sum.content));
                sum.content = Some(content);
                sum.edited_at = Some(update.at);
            }
            MessageUpdate::Delete => {
                sum.deleted_at.get_or_insert(update.at);
                sum.content = None;
                sum.replaced.clear();
            }
        }
    }
    sums
}

/// Keeps the text before each edit. A message that is deleted keeps none.
async fn keep_history(tx: &mut PgConnection, sums: &[Sum<'_>]) -> Outcome<()> {
    let edits: Vec<_> = sums
        .iter()
        .flat_map(|sum| sum.replaced.iter().map(move |(seq, at, text)| (sum.id.0, int(*seq), at.get(), *text)))
        .collect();
    if edits.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO message_edits (conversation_id, seq, changed_seq, content, replaced_at)
         SELECT m.conversation_id, m.seq, k.changed_seq, coalesce(k.content, m.content), k.replaced_at
         FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::text[])
              AS k (id, changed_seq, replaced_at, content)
         JOIN messages m ON m.id = k.id
         WHERE m.deleted_at IS NULL",
    )
    .bind(edits.iter().map(|edit| edit.0).collect::<Vec<_>>())
    .bind(edits.iter().map(|edit| edit.1).collect::<Vec<_>>())
    .bind(edits.iter().map(|edit| edit.2).collect::<Vec<_>>())
    .bind(edits.iter().map(|edit| edit.3).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

async fn write(tx: &mut PgConnection, sums: &[Sum<'_>]) -> Outcome<()> {
    let ids: Vec<Uuid> = sums.iter().map(|sum| sum.id.0).collect();
    let written = sqlx::query(
        "UPDATE messages m SET
             changed_seq = k.changed_seq,
             content = CASE WHEN k.deleted_at IS NOT NULL OR m.deleted_at IS NOT NULL THEN ''
                            ELSE coalesce(k.content, m.content) END,
             edited_at = coalesce(k.edited_at, m.edited_at),
             deleted_at = coalesce(m.deleted_at, k.deleted_at)
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[])
              AS k (id, conversation_id, changed_seq, content, edited_at, deleted_at)
         WHERE m.id = k.id AND m.conversation_id = k.conversation_id",
    )
    .bind(&ids)
    .bind(sums.iter().map(|sum| sum.conversation.0).collect::<Vec<_>>())
    .bind(sums.iter().map(|sum| int(sum.changed_seq)).collect::<Vec<_>>())
    .bind(sums.iter().map(|sum| sum.content).collect::<Vec<_>>())
    .bind(sums.iter().map(|sum| sum.edited_at.map(Timestamp::get)).collect::<Vec<_>>())
    .bind(sums.iter().map(|sum| sum.deleted_at.map(Timestamp::get)).collect::<Vec<_>>())
    .execute(tx)
    .await?
    .rows_affected();
    if written == ids.len() as u64 {
        Ok(())
    } else {
        Err(StoreError::Refused("a message that a decision changes is not there".into()).into())
    }
}

/// A deleted message leaves no text behind.
async fn erase_history(tx: &mut PgConnection, sums: &[Sum<'_>]) -> Outcome<()> {
    let deleted: Vec<Uuid> = sums.iter().filter(|sum| sum.deleted_at.is_some()).map(|sum| sum.id.0).collect();
    if deleted.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "DELETE FROM message_edits e USING messages m
         WHERE m.id = ANY($1) AND e.conversation_id = m.conversation_id AND e.seq = m.seq",
    )
    .bind(deleted)
    .execute(tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use protocol::{ConversationId, MessageId, Timestamp};

    use super::*;

    #[test]
    fn changes_of_one_message_in_one_batch_come_to_the_last_state() {
        let (id, conversation_id) = (MessageId::generate(), ConversationId::generate());
        let at = |millis| Timestamp::from_unix_millis(millis).unwrap();
        let edit = |changed_seq, content: &str| UpdateMessage {
            id,
            conversation_id,
            changed_seq,
            update: MessageUpdate::Edit { content: content.into() },
            at: at(i64::try_from(changed_seq).unwrap()),
        };
        let mut updates = vec![edit(5, "b"), edit(6, "c")];
        let sums = sum(&updates);
        assert_eq!((sums[0].changed_seq, sums[0].content), (6, Some("c")));
        assert_eq!(sums[0].replaced, vec![(5, at(5), None), (6, at(6), Some("b"))]);

        updates.push(UpdateMessage { update: MessageUpdate::Delete, ..edit(7, "") });
        updates.push(edit(8, "d"));
        let sums = sum(&updates);
        assert_eq!((sums[0].changed_seq, sums[0].content, sums[0].deleted_at), (8, None, Some(at(7))));
        assert!(sums[0].replaced.is_empty());
    }
}
