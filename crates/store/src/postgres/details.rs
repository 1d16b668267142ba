//! What a message shows from other tables: names of those whom it mentions or who replied in its thread, and
//! reactions. However many messages, one statement each, and none where no message has any.

use protocol::{Mention, Message, REACTION_USERS_SHOWN, Reaction, Sender, UserId};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection};
use uuid::Uuid;

use super::{fault::Outcome, rows::MessageRow, values::count};
use crate::{IdMap, IdSet, StoredMention};

/// A mention as the column `mentions` holds it.
#[derive(Serialize, Deserialize)]
pub(super) struct MentionCell {
    #[serde(rename = "o")]
    offset: u32,
    #[serde(rename = "l")]
    length: u32,
    #[serde(rename = "u")]
    user: Option<Uuid>,
}

impl MentionCell {
    /// Who; none: everybody.
    pub(super) fn user(&self) -> Option<Uuid> {
        self.user
    }
}

impl From<&StoredMention> for MentionCell {
    fn from(mention: &StoredMention) -> Self {
        Self { offset: mention.offset, length: mention.length, user: mention.user.map(|user| user.0) }
    }
}

/// People by their id.
pub(super) type Names = IdMap<Uuid, Sender>;

/// Makes messages of all rows, in their order. With a viewer, reactions say which are theirs.
pub(super) async fn messages(
    tx: &mut PgConnection,
    rows: Vec<MessageRow>,
    viewer: Option<UserId>,
) -> Outcome<Vec<Message>> {
    messages_for(tx, rows.into_iter().map(|row| (row, viewer)).collect()).await
}

/// The same, each with its own viewer.
pub(super) async fn messages_for(
    tx: &mut PgConnection,
    rows: Vec<(MessageRow, Option<UserId>)>,
) -> Outcome<Vec<Message>> {
    let named: IdSet<Uuid> = rows.iter().flat_map(|(row, _)| row.named()).collect();
    let names = names(tx, named).await?;
    let reacted = rows.iter().map(|(row, viewer)| Some((row.reacted()?, *viewer))).collect();
    let reactions = reactions(tx, reacted).await?;
    Ok(rows.into_iter().zip(reactions).map(|((row, _), reactions)| row.message(&names, reactions)).collect())
}

/// The message of a row that may be there.
pub(super) async fn message(
    tx: &mut PgConnection,
    row: Option<MessageRow>,
    viewer: Option<UserId>,
) -> Outcome<Option<Message>> {
    Ok(messages(tx, row.into_iter().collect(), viewer).await?.pop())
}

/// The mentions of a message; one of somebody who is not known any more is left out.
pub(super) fn mentions(cells: Vec<MentionCell>, names: &Names) -> Vec<Mention> {
    let mention = |cell: MentionCell| {
        let user = match cell.user {
            Some(id) => Some(names.get(&id)?.clone()),
            None => None,
        };
        Some(Mention { offset: cell.offset, length: cell.length, user })
    };
    cells.into_iter().filter_map(mention).collect()
}

/// Names of people, in one statement.
pub(super) async fn names(tx: &mut PgConnection, ids: IdSet<Uuid>) -> Outcome<Names> {
    if ids.is_empty() {
        return Ok(Names::default());
    }
    let rows: Vec<(Uuid, String, String, Option<String>)> =
        sqlx::query_as("SELECT id, username, display_name, avatar_url FROM users WHERE id = ANY($1)")
            .bind(ids.into_iter().collect::<Vec<_>>())
            .fetch_all(tx)
            .await?;
    let sender =
        |(id, username, display_name, avatar_url)| (id, Sender { id: UserId(id), username, display_name, avatar_url });
    Ok(rows.into_iter().map(sender).collect())
}

#[derive(FromRow)]
struct ReactionRow {
    place: i64,
    emoji: String,
    users: i64,
    user_ids: Vec<Uuid>,
    mine: Option<bool>,
}

/// Where a message is, and who looks at it.
type Looked = ((Uuid, i64), Option<UserId>);

/// Of each message that has any: emoji in the order in which each was first used, with the first users of each. Changes
/// order them, not clocks.
async fn reactions(tx: &mut PgConnection, of: Vec<Option<Looked>>) -> Outcome<Vec<Vec<Reaction>>> {
    let mut reactions: Vec<Vec<Reaction>> = of.iter().map(|_| Vec::new()).collect();
    let (mut places, mut conversations, mut seqs, mut viewers) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (place, looked) in (0_i64..).zip(of) {
        let Some(((conversation, seq), viewer)) = looked else { continue };
        places.push(place);
        conversations.push(conversation);
        seqs.push(seq);
        viewers.push(viewer.map(|viewer| viewer.0));
    }
    if places.is_empty() {
        return Ok(reactions);
    }
    let rows: Vec<ReactionRow> = sqlx::query_as(
        "SELECT k.place, r.emoji, count(*) AS users, bool_or(r.user_id = k.viewer) AS mine,
                (array_agg(r.user_id ORDER BY r.changed_seq))[:$5] AS user_ids
         FROM unnest($1::bigint[], $2::uuid[], $3::bigint[], $4::uuid[]) AS k (place, conversation_id, seq, viewer)
         JOIN reactions r ON r.conversation_id = k.conversation_id AND r.seq = k.seq
         GROUP BY k.place, r.emoji
         ORDER BY min(r.changed_seq)",
    )
    .bind(places)
    .bind(conversations)
    .bind(seqs)
    .bind(viewers)
    .bind(i32::try_from(REACTION_USERS_SHOWN).unwrap_or(i32::MAX))
    .fetch_all(tx)
    .await?;
    for row in rows {
        let Some(reactions) = usize::try_from(row.place).ok().and_then(|place| reactions.get_mut(place)) else {
            continue;
        };
        reactions.push(Reaction {
            emoji: row.emoji,
            count: count(row.users),
            user_ids: row.user_ids.into_iter().map(UserId).collect(),
            mine: row.mine,
        });
    }
    Ok(reactions)
}
