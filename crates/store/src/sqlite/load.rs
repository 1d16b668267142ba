//! Makes whole messages of a page of rows: names of who is mentioned and who replied, and reactions. At most one
//! statement for each of the two, however long the page, and none where no row needs it.

use std::collections::BTreeSet;

use protocol::{Mention, Message, REACTION_USERS_SHOWN, Reaction, Sender, Thread, UserId};
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{
    codec::{from_db, id_list, time},
    error::Db,
    rows::{MessageRow, json_from_db, mentions_from_db},
};
use crate::{IdMap, Result, StoredMention, StoredMessage};

/// Messages of `rows`, in their order. With a viewer, `mine` of the reactions is theirs; without one it is absent.
pub(super) async fn messages(
    conn: &mut SqliteConnection,
    rows: Vec<MessageRow>,
    viewer: Option<UserId>,
) -> Result<Vec<Message>> {
    Ok(stored(conn, rows, viewer).await?.into_iter().map(|stored| stored.message).collect())
}

/// One message, the same way.
pub(super) async fn message(
    conn: &mut SqliteConnection,
    row: Option<MessageRow>,
    viewer: Option<UserId>,
) -> Result<Option<Message>> {
    Ok(messages(conn, row.into_iter().collect(), viewer).await?.pop())
}

/// Messages with the fingerprints of the requests that made them.
pub(super) async fn stored(
    conn: &mut SqliteConnection,
    rows: Vec<MessageRow>,
    viewer: Option<UserId>,
) -> Result<Vec<StoredMessage>> {
    let extras = rows.iter().map(Extra::of).collect::<Result<Vec<_>>>()?;
    let names = names(conn, &extras).await?;
    let mut reactions = reactions(conn, &rows, viewer).await?;
    let mut messages = Vec::with_capacity(rows.len());
    for (mut row, extra) in rows.into_iter().zip(extras) {
        let place = (row.conversation_id, row.seq);
        let thread = extra.thread(&row, &names)?;
        let fingerprint = std::mem::take(&mut row.fingerprint);
        let mut message = row.into_bare()?;
        message.thread = thread;
        message.mentions = extra.mentions(&names);
        message.reactions = reactions.remove(&place).unwrap_or_default();
        messages.push(StoredMessage { message, fingerprint });
    }
    Ok(messages)
}

/// What a row says by ids.
struct Extra {
    mentions: Vec<StoredMention>,
    repliers: Vec<Uuid>,
}

impl Extra {
    fn of(row: &MessageRow) -> Result<Self> {
        Ok(Self {
            mentions: mentions_from_db(row.mentions.as_deref())?,
            repliers: json_from_db(row.last_repliers.as_deref(), "last repliers")?,
        })
    }

    /// A range of somebody who is not there is left out: null would say everybody.
    fn mentions(&self, names: &IdMap<Uuid, Sender>) -> Vec<Mention> {
        self.mentions
            .iter()
            .filter_map(|mention| {
                let user = match mention.user {
                    None => None,
                    Some(id) => Some(names.get(&id.0)?.clone()),
                };
                Some(Mention { offset: mention.offset, length: mention.length, user })
            })
            .collect()
    }

    fn thread(&self, row: &MessageRow, names: &IdMap<Uuid, Sender>) -> Result<Option<Thread>> {
        let (Some(seq), Some(at)) = (row.last_reply_seq, row.last_reply_at) else { return Ok(None) };
        Ok(Some(Thread {
            reply_count: from_db(row.reply_count),
            last_reply_seq: from_db(seq),
            last_reply_at: time(at)?,
            last_repliers: self.repliers.iter().filter_map(|id| names.get(id).cloned()).collect(),
        }))
    }
}

async fn names(conn: &mut SqliteConnection, extras: &[Extra]) -> Result<IdMap<Uuid, Sender>> {
    let ids: BTreeSet<Uuid> = extras
        .iter()
        .flat_map(|extra| {
            let mentioned = extra.mentions.iter().filter_map(|mention| mention.user.map(|user| user.0));
            mentioned.chain(extra.repliers.iter().copied())
        })
        .collect();
    if ids.is_empty() {
        return Ok(IdMap::default());
    }
    let rows: Vec<(Uuid, String, String, Option<String>)> = sqlx::query_as(
        "select id, username, display_name, avatar_url from users where id in (select unhex(value) from json_each(?))",
    )
    .bind(id_list(ids))
    .fetch_all(conn)
    .await
    .db()?;
    Ok(rows
        .into_iter()
        .map(|(id, username, display_name, avatar_url)| {
            (id, Sender { id: UserId(id), username, display_name, avatar_url })
        })
        .collect())
}

/// Reactions by the message's place, each emoji with the first of those who used it. Changes order them, not clocks.
async fn reactions(
    conn: &mut SqliteConnection,
    rows: &[MessageRow],
    viewer: Option<UserId>,
) -> Result<IdMap<(Uuid, i64), Vec<Reaction>>> {
    let ids: Vec<Uuid> = rows.iter().filter(|row| row.reaction_count > 0).map(|row| row.id).collect();
    if ids.is_empty() {
        return Ok(IdMap::default());
    }
    let rows: Vec<(Uuid, i64, String, Uuid, i64, bool)> = sqlx::query_as(
        "select conversation_id, seq, emoji, user_id, used, mine from ( \
         select r.conversation_id, r.seq, r.emoji, r.user_id, \
         count(*) over emojis as used, min(r.changed_seq) over emojis as first_used, \
         max(r.user_id is ?2) over emojis as mine, \
         row_number() over (partition by r.conversation_id, r.seq, r.emoji order by r.changed_seq) as place \
         from json_each(?1) j join messages m on m.id = unhex(j.value) \
         join reactions r on r.conversation_id = m.conversation_id and r.seq = m.seq \
         window emojis as (partition by r.conversation_id, r.seq, r.emoji)) \
         where place <= ?3 order by conversation_id, seq, first_used, place",
    )
    .bind(id_list(ids))
    .bind(viewer.map(|viewer| viewer.0))
    .bind(REACTION_USERS_SHOWN as i64)
    .fetch_all(conn)
    .await
    .db()?;
    let mut found: IdMap<(Uuid, i64), Vec<Reaction>> = IdMap::default();
    for (conversation, seq, emoji, user, used, mine) in rows {
        let reactions = found.entry((conversation, seq)).or_default();
        match reactions.last_mut().filter(|last| last.emoji == emoji) {
            Some(reaction) => reaction.user_ids.push(UserId(user)),
            None => reactions.push(Reaction {
                emoji,
                count: from_db(used),
                user_ids: vec![UserId(user)],
                mine: viewer.map(|_| mine),
            }),
        }
    }
    Ok(found)
}
