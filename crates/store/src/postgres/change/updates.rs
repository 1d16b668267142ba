//! Writes changes of messages: edits, deletions, pins, reactions. However many changes, a few statements, each only
//! where some change needs it; several changes of one message come to its last state.

use std::collections::BTreeMap;

use protocol::{ConversationId, MessageId, Timestamp, UserId};
use sqlx::PgConnection;
use uuid::Uuid;

use super::{
    super::{fault::Outcome, values::int},
    mentions,
    reactions::{self, Last},
};
use crate::{IdMap, Locked, MessageUpdate, StoreError, StoredMention, UpdateMessage};

/// Whether a message is pinned after the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pin {
    AsItWas,
    Since(Timestamp),
    Off,
}

impl Pin {
    fn since(self) -> Option<Timestamp> {
        if let Self::Since(at) = self { Some(at) } else { None }
    }
}

/// What several changes of one message, in order, come to.
struct Sum<'a> {
    id: MessageId,
    conversation: ConversationId,
    changed_seq: u64,
    /// Text and mentions after the last edit; none: as they were.
    content: Option<(&'a str, &'a [StoredMention])>,
    edited_at: Option<Timestamp>,
    deleted_at: Option<Timestamp>,
    pin: Pin,
    /// Whether a reaction is there at the end, and since which change.
    reactions: BTreeMap<(UserId, &'a str), Option<(u64, Timestamp)>>,
    /// Each edit's seq and time, and the text that it replaced (none: the stored one).
    replaced: Vec<(u64, Timestamp, Option<&'a str>)>,
}

/// Applies the changes.
pub(super) async fn update(tx: &mut PgConnection, locked: &Locked, updates: &[UpdateMessage]) -> Outcome<()> {
    if updates.is_empty() {
        return Ok(());
    }
    let sums = sum(updates);
    keep_history(tx, &sums).await?;
    mentions::forget(tx, &mentioned_before(&sums, locked)).await?;
    erase(tx, &sums).await?;
    let moved = reactions::write(tx, &last_reactions(&sums)).await?;
    write(tx, &sums, &moved).await?;
    let mentioned: Vec<_> = sums.iter().filter_map(|sum| sum.content.map(|(_, mentions)| (sum.id, mentions))).collect();
    mentions::note(tx, &mentioned).await
}

fn sum(updates: &[UpdateMessage]) -> Vec<Sum<'_>> {
    let mut places: IdMap<MessageId, usize> = IdMap::default();
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
                pin: Pin::AsItWas,
                reactions: BTreeMap::new(),
                replaced: Vec::new(),
            });
            sums.len() - 1
        });
        if let Some(sum) = sums.get_mut(place) {
            add(sum, update);
        }
    }
    sums
}

fn add<'a>(sum: &mut Sum<'a>, update: &'a UpdateMessage) {
    sum.changed_seq = update.changed_seq;
    // What is deleted stays deleted.
    if sum.deleted_at.is_some() {
        return;
    }
    match &update.update {
        MessageUpdate::Edit { content, mentions } => {
            sum.replaced.push((update.changed_seq, update.at, sum.content.map(|(text, _)| text)));
            sum.content = Some((content, mentions));
            sum.edited_at = Some(update.at);
        }
        MessageUpdate::Pin(true) => sum.pin = Pin::Since(update.at),
        MessageUpdate::Pin(false) => sum.pin = Pin::Off,
        MessageUpdate::React { user, emoji } => {
            sum.reactions.insert((*user, emoji), Some((update.changed_seq, update.at)));
        }
        MessageUpdate::Unreact { user, emoji } => {
            sum.reactions.insert((*user, emoji), None);
        }
        MessageUpdate::Delete => {
            sum.deleted_at = Some(update.at);
            sum.content = None;
            sum.pin = Pin::Off;
            sum.reactions.clear();
            sum.replaced.clear();
        }
    }
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

/// Messages whose mentions go: they are edited or deleted, and had some (or may have had).
fn mentioned_before(sums: &[Sum<'_>], locked: &Locked) -> Vec<MessageId> {
    sums.iter()
        .filter(|sum| sum.content.is_some() || sum.deleted_at.is_some())
        .filter(|sum| locked.messages.get(&sum.id).is_none_or(|message| !message.mentions.is_empty()))
        .map(|sum| sum.id)
        .collect()
}

/// A deleted message leaves no earlier text and no reaction behind.
async fn erase(tx: &mut PgConnection, sums: &[Sum<'_>]) -> Outcome<()> {
    let deleted: Vec<Uuid> = sums.iter().filter(|sum| sum.deleted_at.is_some()).map(|sum| sum.id.0).collect();
    if deleted.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "WITH gone AS (SELECT conversation_id, seq FROM messages WHERE id = ANY($1)),
         reactions AS (
             DELETE FROM reactions r USING gone g WHERE r.conversation_id = g.conversation_id AND r.seq = g.seq)
         DELETE FROM message_edits e USING gone g WHERE e.conversation_id = g.conversation_id AND e.seq = g.seq",
    )
    .bind(deleted)
    .execute(tx)
    .await?;
    Ok(())
}

fn last_reactions<'a>(sums: &[Sum<'a>]) -> Vec<Last<'a>> {
    sums.iter()
        .flat_map(|sum| {
            sum.reactions.iter().map(|((user, emoji), last)| match last {
                Some((seq, at)) => Last::Added(sum.id, *user, emoji, *seq, *at),
                None => Last::Removed(sum.id, *user, emoji),
            })
        })
        .collect()
}

async fn write(tx: &mut PgConnection, sums: &[Sum<'_>], reactions: &IdMap<MessageId, i64>) -> Outcome<()> {
    let written = sqlx::query(
        "UPDATE messages m SET
             changed_seq = k.changed_seq,
             changed_in = (SELECT pg_current_xact_id()::text::bigint),
             content = CASE WHEN k.deleted_at IS NOT NULL OR m.deleted_at IS NOT NULL THEN ''
                            ELSE coalesce(k.content, m.content) END,
             mentions = CASE WHEN k.deleted_at IS NOT NULL OR m.deleted_at IS NOT NULL THEN NULL
                             WHEN k.content IS NOT NULL THEN k.mentions ELSE m.mentions END,
             attachments = CASE WHEN k.deleted_at IS NULL THEN m.attachments END,
             pinned_at = CASE WHEN k.deleted_at IS NOT NULL OR m.deleted_at IS NOT NULL THEN NULL
                              WHEN k.pins THEN k.pinned_at ELSE m.pinned_at END,
             reaction_count = CASE WHEN k.deleted_at IS NULL THEN m.reaction_count + k.reactions ELSE 0 END,
             edited_at = coalesce(k.edited_at, m.edited_at),
             deleted_at = coalesce(m.deleted_at, k.deleted_at)
         FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::timestamptz[], $6::timestamptz[],
                     $7::jsonb[], $8::boolean[], $9::timestamptz[], $10::integer[])
              AS k (id, conversation_id, changed_seq, content, edited_at, deleted_at, mentions, pins, pinned_at,
                    reactions)
         WHERE m.id = k.id AND m.conversation_id = k.conversation_id",
    )
    .bind(sums.iter().map(|sum| sum.id.0).collect::<Vec<_>>())
    .bind(sums.iter().map(|sum| sum.conversation.0).collect::<Vec<_>>())
    .bind(sums.iter().map(|sum| int(sum.changed_seq)).collect::<Vec<_>>())
    .bind(sums.iter().map(|sum| sum.content.map(|(text, _)| text)).collect::<Vec<_>>())
    .bind(sums.iter().map(|sum| sum.edited_at.map(Timestamp::get)).collect::<Vec<_>>())
    .bind(sums.iter().map(|sum| sum.deleted_at.map(Timestamp::get)).collect::<Vec<_>>())
    .bind(sums.iter().map(|sum| sum.content.and_then(|(_, list)| mentions::column(list))).collect::<Vec<_>>())
    .bind(sums.iter().map(|sum| sum.pin != Pin::AsItWas).collect::<Vec<_>>())
    .bind(sums.iter().map(|sum| sum.pin.since().map(Timestamp::get)).collect::<Vec<_>>())
    .bind(sums.iter().map(|sum| moved(reactions, sum.id)).collect::<Vec<i32>>())
    .execute(tx)
    .await?
    .rows_affected();
    if written == sums.len() as u64 {
        Ok(())
    } else {
        Err(StoreError::Refused("a message that a decision changes is not there".into()).into())
    }
}

fn moved(reactions: &IdMap<MessageId, i64>, id: MessageId) -> i32 {
    let moved = reactions.get(&id).copied().unwrap_or(0);
    // A batch is thousands of changes at most.
    i32::try_from(moved).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_of_one_message_in_one_batch_come_to_the_last_state() {
        let (id, conversation_id) = (MessageId::generate(), ConversationId::generate());
        let at = |millis| Timestamp::from_unix_millis(millis).unwrap();
        let change = |changed_seq, update| UpdateMessage {
            id,
            conversation_id,
            changed_seq,
            update,
            at: at(i64::try_from(changed_seq).unwrap()),
        };
        let edit = |changed_seq, content: &str| {
            change(changed_seq, MessageUpdate::Edit { content: content.into(), mentions: Vec::new() })
        };
        let mut updates = vec![edit(5, "b"), edit(6, "c")];
        let sums = sum(&updates);
        assert_eq!((sums[0].changed_seq, sums[0].content), (6, Some(("c", [].as_slice()))));
        assert_eq!(sums[0].replaced, vec![(5, at(5), None), (6, at(6), Some("b"))]);

        let (user, emoji) = (UserId::generate(), "👍".to_owned());
        updates.push(change(7, MessageUpdate::Pin(true)));
        updates.push(change(8, MessageUpdate::React { user, emoji: emoji.clone() }));
        updates.push(change(9, MessageUpdate::Unreact { user, emoji: emoji.clone() }));
        updates.push(change(10, MessageUpdate::React { user, emoji: emoji.clone() }));
        let sums = sum(&updates);
        assert_eq!((sums[0].changed_seq, sums[0].pin), (10, Pin::Since(at(7))));
        assert_eq!(sums[0].reactions[&(user, emoji.as_str())], Some((10, at(10))));

        updates.push(change(11, MessageUpdate::Delete));
        updates.push(edit(12, "d"));
        let sums = sum(&updates);
        assert_eq!((sums[0].changed_seq, sums[0].content, sums[0].deleted_at), (12, None, Some(at(11))));
        assert_eq!(sums[0].pin, Pin::Off);
        assert!(sums[0].replaced.is_empty() && sums[0].reactions.is_empty());
    }
}
