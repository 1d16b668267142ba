//! Full-text search in the viewer's own conversations.
//!
//! Two statements find a page: which conversations, then what in them. The second reads `messages` alone, by the index
//! of words, by that of the conversations or by both together, as the planner's counts say; how far each viewer may
//! look back is checked on what is found. Words are those of `search_words` in the migration: runs of letters and
//! digits, in any case (letters beyond ASCII: as far as the database's locale knows their case). Without words the
//! second statement is another: one conversation's texts by their seq, or those with attachments by an index of them.

use protocol::{ConversationId, Page, SearchHit, SearchOrder, UserId};
use sqlx::{FromRow, PgConnection, PgPool};
use time::OffsetDateTime;
use uuid::Uuid;

use super::super::{
    details,
    fault::Outcome,
    keyset::{self, older},
    rows::{MessageRow, message_columns, message_joins},
    values::{Word, count, fold},
};
use crate::{MessageSearch, cursor::List, snippet::snippet};

/// Ranking reads every text that it compares: of more matches than this, the newest are ranked, and that is all that a
/// ranked list shows. What is further down is better found by another word.
const RANKED: i64 = 1_000;

/// As [`super::super::conversations::SNAPSHOT`]; and what a viewer may not see is told by a hash, where elsewhere in
/// this store loops are the safer choice. Planned for its values each time: what is cheap for a rare word takes seconds
/// for one that half of the messages have.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
                        SET LOCAL enable_hashjoin = on; SET LOCAL plan_cache_mode = force_custom_plan";

/// Where the viewer may look.
#[derive(Default)]
struct Mine {
    conversations: Vec<Uuid>,
    /// The seq that the viewer sees each of them from, beginning after it.
    seqs: Vec<i64>,
    /// Those of them that the viewer sees from a seq on, and that seq.
    limited: Vec<Uuid>,
    since: Vec<i64>,
}

/// A page of what was found.
pub(super) async fn search(
    pool: &PgPool,
    viewer: UserId,
    search: &MessageSearch,
    cursor: Option<&str>,
    limit: u32,
) -> Outcome<Page<SearchHit>> {
    let limit = limit.max(1);
    if search.words.is_empty() {
        return listed(pool, viewer, search, cursor, limit).await;
    }
    let from = From::parse(search.order, cursor)?;
    let words = words(&search.words);
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let mine = mine(&mut tx, viewer, search).await?;
    if words.is_empty() || mine.conversations.is_empty() || from.offset >= RANKED {
        return Ok(Page { items: Vec::new(), next_cursor: None });
    }
    let mut rows = found(&mut tx, search, &mine, &words, &from, limit).await?;
    let next_cursor = next(search.order, &from, &mut rows, limit)?;
    let items = hits(&mut tx, viewer, rows, &words).await?;
    tx.commit().await?;
    Ok(Page { items, next_cursor })
}

async fn hits(tx: &mut PgConnection, viewer: UserId, rows: Vec<FoundRow>, words: &[String]) -> Outcome<Vec<SearchHit>> {
    let messages = rows.into_iter().map(|row| row.message).collect();
    let messages = details::messages(tx, messages, Some(viewer)).await?;
    let hit = |message: protocol::Message| SearchHit { snippet: snippet(&message.content, words), message };
    Ok(messages.into_iter().map(hit).collect())
}

/// A page of what the filters alone find, newest first.
async fn listed(
    pool: &PgPool,
    viewer: UserId,
    search: &MessageSearch,
    cursor: Option<&str>,
    limit: u32,
) -> Outcome<Page<SearchHit>> {
    let (at, id) = keyset::at(List::SearchNewest, cursor)?;
    let mut tx = pool.begin_with(SNAPSHOT).await?;
    let mine = mine(&mut tx, viewer, search).await?;
    if mine.conversations.is_empty() || !(search.has_attachment || search.conversation.is_some()) {
        return Ok(Page { items: Vec::new(), next_cursor: None });
    }
    // Planned each time, as FOUND is.
    let query = sqlx::query_as(if search.has_attachment { ATTACHED } else { HERE }).persistent(false);
    let query = query
        .bind(&mine.conversations)
        .bind(&mine.seqs)
        .bind(search.sender.map(|sender| sender.0))
        .bind(search.before.map(protocol::Timestamp::get))
        .bind(search.after.map(protocol::Timestamp::get))
        .bind(keyset::ask(limit));
    let (mut rows, next_cursor): (Vec<FoundRow>, _);
    if search.has_attachment {
        rows = query.bind(at).bind(id).fetch_all(&mut *tx).await?;
        next_cursor = keyset::next_at(&mut rows, limit, List::SearchNewest, |row| (row.found_at, row.found_id));
    } else {
        rows = query.bind(keyset::place(List::SearchNewest, cursor)?).fetch_all(&mut *tx).await?;
        let more = keyset::cut(&mut rows, limit);
        let last = rows.last().filter(|_| more).map(|row| count(row.found_seq));
        next_cursor = last.map(|seq| keyset::after_place(List::SearchNewest, seq)).transpose()?;
    }
    let items = hits(&mut tx, viewer, rows, &[]).await?;
    tx.commit().await?;
    Ok(Page { items, next_cursor })
}

/// Where a page begins: newest first after a time and id, best first after so many.
#[derive(Default)]
struct From {
    at: Option<OffsetDateTime>,
    id: Option<Uuid>,
    offset: i64,
}

impl From {
    fn parse(order: SearchOrder, cursor: Option<&str>) -> Outcome<Self> {
        Ok(match order {
            SearchOrder::Newest => {
                let (at, id) = keyset::at(List::SearchNewest, cursor)?;
                Self { at, id, offset: 0 }
            }
            SearchOrder::Relevance => {
                let offset = keyset::place(List::SearchBest, cursor)?.unwrap_or(0);
                Self { at: None, id: None, offset }
            }
        })
    }
}

/// What a query may hold: letters and digits, folded. Whatever came from outside, nothing else gets into a `tsquery`.
fn words(words: &[String]) -> Vec<String> {
    let plain = |word: &String| fold(word).chars().filter(|c| c.is_alphanumeric()).collect::<String>();
    words.iter().map(plain).filter(|word| !word.is_empty()).collect()
}

/// All the words, each at the beginning of a word.
fn query(words: &[String]) -> String {
    words.iter().map(|word| format!("'{word}':*")).collect::<Vec<_>>().join(" & ")
}

async fn mine(tx: &mut PgConnection, viewer: UserId, search: &MessageSearch) -> Outcome<Mine> {
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(
        "SELECT p.conversation_id, p.access_since_seq
         FROM participants p JOIN conversations c ON c.id = p.conversation_id AND c.deleted_at IS NULL
         WHERE p.user_id = $1 AND p.left_at IS NULL
           AND ($2::uuid IS NULL OR p.conversation_id = $2) AND ($3::text IS NULL OR c.kind = $3)",
    )
    .bind(viewer.0)
    .bind(search.conversation.map(|ConversationId(id)| id))
    .bind(search.kind.map(Word::word))
    .fetch_all(tx)
    .await?;
    let mut mine = Mine::default();
    for (id, since) in rows {
        mine.conversations.push(id);
        mine.seqs.push(since);
        if since > 0 {
            mine.limited.push(id);
            mine.since.push(since);
        }
    }
    Ok(mine)
}

#[derive(FromRow)]
struct FoundRow {
    #[sqlx(flatten)]
    message: MessageRow,
    found_at: OffsetDateTime,
    found_id: Uuid,
    found_seq: i64,
}

/// Of each conversation in `$1` the newest texts after its seq in `$2`, and of all those the newest.
macro_rules! listed {
    ($more:expr, $newest:literal, $newest_of_all:literal) => {
        concat!(
            "WITH best AS MATERIALIZED (
                 SELECT f.* FROM unnest($1::uuid[], $2::bigint[]) AS c (id, since)
                 CROSS JOIN LATERAL (
                     SELECT m.conversation_id, m.seq, m.id, m.created_at FROM messages m
                     WHERE m.conversation_id = c.id AND m.seq > c.since AND m.kind = 'text' AND m.deleted_at IS NULL
                       AND ($3::uuid IS NULL OR m.sender_id = $3)
                       AND ($4::timestamptz IS NULL OR m.created_at < $4)
                       AND ($5::timestamptz IS NULL OR m.created_at >= $5) ",
            $more,
            " ORDER BY ",
            $newest,
            " LIMIT $6) f ORDER BY ",
            $newest_of_all,
            " LIMIT $6)
             SELECT f.created_at AS found_at, f.id AS found_id, f.seq AS found_seq, ",
            message_columns!(),
            " FROM best f JOIN messages m ON m.conversation_id = f.conversation_id AND m.seq = f.seq",
            message_joins!(),
            "ORDER BY ",
            $newest_of_all
        )
    };
}

/// Those with attachments, after a time `$7` and id `$8`.
const ATTACHED: &str = listed!(
    concat!("AND m.attachments IS NOT NULL AND ", older!("m.created_at", "m.id", "$7", "$8")),
    "m.created_at DESC, m.id DESC",
    "f.created_at DESC, f.id DESC"
);

/// Those of one conversation, before the seq `$7`.
const HERE: &str = listed!("AND m.seq < coalesce($7, 9223372036854775807)", "m.seq DESC", "f.seq DESC");

const FOUND: &str = concat!(
    "WITH found AS MATERIALIZED (
         SELECT m.conversation_id, m.seq, m.id, m.created_at, m.content FROM messages m
         WHERE m.conversation_id = ANY($1) AND m.kind = 'text' AND m.deleted_at IS NULL
           AND search_words(m.content) @@ to_tsquery('simple', $4)
           AND ($5::uuid IS NULL OR m.sender_id = $5)
           AND ($6::timestamptz IS NULL OR m.created_at < $6)
           AND ($7::timestamptz IS NULL OR m.created_at >= $7)
           AND (NOT $8 OR jsonb_array_length(m.attachments) > 0)
           AND ",
    older!("m.created_at", "m.id", "$9", "$10"),
    "AND NOT EXISTS (SELECT 1 FROM unnest($2::uuid[], $3::bigint[]) AS s (conversation_id, seq)
                           WHERE s.conversation_id = m.conversation_id AND m.seq <= s.seq)
         ORDER BY m.created_at DESC, m.id DESC LIMIT $11),
     best AS MATERIALIZED (
         SELECT f.conversation_id, f.seq, f.id, f.created_at,
                CASE WHEN $12 THEN ts_rank(search_words(f.content), to_tsquery('simple', $4), 1) ELSE 0 END AS rank
         FROM found f ORDER BY rank DESC, f.created_at DESC, f.id DESC LIMIT $13 OFFSET $14)
     SELECT best.created_at AS found_at, best.id AS found_id, best.seq AS found_seq, ",
    message_columns!(),
    " FROM best JOIN messages m ON m.conversation_id = best.conversation_id AND m.seq = best.seq",
    message_joins!(),
    "ORDER BY best.rank DESC, best.created_at DESC, best.id DESC"
);

async fn found(
    tx: &mut PgConnection,
    search: &MessageSearch,
    mine: &Mine,
    words: &[String],
    from: &From,
    limit: u32,
) -> Outcome<Vec<FoundRow>> {
    let ranked = search.order == SearchOrder::Relevance;
    let candidates = if ranked { RANKED } else { keyset::ask(limit) };
    Ok(sqlx::query_as(FOUND)
        .bind(&mine.conversations)
        .bind(&mine.limited)
        .bind(&mine.since)
        .bind(query(words))
        .bind(search.sender.map(|sender| sender.0))
        .bind(search.before.map(protocol::Timestamp::get))
        .bind(search.after.map(protocol::Timestamp::get))
        .bind(search.has_attachment)
        .bind(from.at)
        .bind(from.id)
        .bind(candidates)
        .bind(ranked)
        .bind(keyset::ask(limit))
        .bind(from.offset)
        .fetch_all(tx)
        .await?)
}

fn next(order: SearchOrder, from: &From, rows: &mut Vec<FoundRow>, limit: u32) -> Outcome<Option<String>> {
    if order == SearchOrder::Newest {
        return Ok(keyset::next_at(rows, limit, List::SearchNewest, |row| (row.found_at, row.found_id)));
    }
    let more = keyset::cut(rows, limit);
    let shown = from.offset + i64::from(limit);
    if !more || shown >= RANKED {
        return Ok(None);
    }
    keyset::after_place(List::SearchBest, count(shown)).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_letters_and_digits_gets_into_a_query() {
        let nasty = ["O'Brien\\", "a&b|!c", ":*", "ÖL", "日本", ""].map(str::to_owned);
        assert_eq!(query(&words(&nasty)), "'obrien':* & 'abc':* & 'öl':* & '日本':*");
    }
}
