//! Searching texts by the full text index (FTS5): every word at the beginning of one of the text's words. What is
//! written without spaces is one word to it.
//!
//! A page is two statements (which texts, the messages) and what the loader adds, however long it is. The index gives
//! matches newest first; of more than [`RANKED`] that the viewer may see, the older ones are not found by relevance.

use protocol::{Message, MessageId, Page, SearchHit, SearchOrder, Timestamp, UserId};
use sqlx::{Database, Sqlite, SqliteConnection, query::QueryAs};
use uuid::Uuid;

use super::super::{
    codec::{Text, id_list, time},
    error::Db,
    load, pages,
    rows::{MessageRow, select_messages},
};
use crate::{
    IdMap, MessageSearch, Result,
    cursor::{self, List},
    snippet::snippet,
};

/// How many matches, the newest, are put in order by how well they fit: each costs a look at its counts of words.
const RANKED: i64 = 2_000;
/// How deep the list goes that is ordered by how well its items fit.
const BEST_DEPTH: i64 = 1_000;

/// What orders a text (its place in the index, which grows with each new text, or its time or seq), and its id.
type Found = (i64, Uuid);

/// Texts that match `?2` and that the viewer `?1` may see. The index leads, so that a limit ends the work.
macro_rules! found {
    () => {
        "from messages_fts cross join messages m on m.doc = messages_fts.rowid \
         cross join participants p on p.conversation_id = m.conversation_id and p.user_id = ?1 and p.left_at is null \
         cross join conversations c on c.id = m.conversation_id and c.deleted_at is null \
         where messages_fts match ?2 and m.seq > p.access_since_seq \
         and (?3 is null or m.conversation_id = ?3) and (?4 is null or c.kind = ?4) \
         and (?5 is null or m.sender_id = ?5) and (?6 is null or m.created_at < ?6) \
         and (?7 is null or m.created_at >= ?7) and (not ?8 or m.attachments is not null) "
    };
}

/// Texts that the viewer `?1` may see and that fit the other parameters of [`found`], without `?2`.
macro_rules! listed {
    ($index:literal) => {
        concat!(
            "from participants p cross join conversations c on c.id = p.conversation_id and c.deleted_at is null \
             cross join messages m ",
            $index,
            " on m.conversation_id = p.conversation_id and m.seq > p.access_since_seq \
             where p.user_id = ?1 and p.left_at is null and m.kind = 'text' and m.deleted_at is null \
             and (?3 is null or p.conversation_id = ?3) and (?4 is null or c.kind = ?4) \
             and (?5 is null or m.sender_id = ?5) and (?6 is null or m.created_at < ?6) \
             and (?7 is null or m.created_at >= ?7) and (not ?8 or m.attachments is not null) "
        )
    };
}

/// A query of [`found`] texts.
type FoundQuery<'q> = QueryAs<'q, Sqlite, Found, <Sqlite as Database>::Arguments>;

/// What `?1` to `?8` of [`found`] stand for.
struct Filter<'a> {
    viewer: UserId,
    search: &'a MessageSearch,
    /// What the index is asked.
    words: String,
}

impl<'a> Filter<'a> {
    fn new(viewer: UserId, search: &'a MessageSearch) -> Self {
        // Quoted, nothing in a word is syntax; the index splits it as it split the texts.
        let words = search.words.iter().filter(|word| word.contains(char::is_alphanumeric));
        let quoted: Vec<String> = words.map(|word| format!("\"{}\"*", word.replace('"', "\"\""))).collect();
        Self { viewer, search, words: quoted.join(" ") }
    }

    fn bind<'q>(&self, query: FoundQuery<'q>) -> FoundQuery<'q> {
        query
            .bind(self.viewer.0)
            .bind(self.words.clone())
            .bind(self.search.conversation.map(|id| id.0))
            .bind(self.search.kind.map(Text::text))
            .bind(self.search.sender.map(|id| id.0))
            .bind(self.search.before.map(Timestamp::unix_millis))
            .bind(self.search.after.map(Timestamp::unix_millis))
            .bind(self.search.has_attachment)
    }
}

/// Inside a read transaction.
pub(super) async fn search(
    conn: &mut SqliteConnection,
    viewer: UserId,
    search: &MessageSearch,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<SearchHit>> {
    let filter = Filter::new(viewer, search);
    let Page { items: found, next_cursor } = if search.words.is_empty() {
        match search.conversation {
            _ if search.has_attachment => attached(conn, &filter, cursor, limit).await?,
            Some(_) => here(conn, &filter, cursor, limit).await?,
            None => Page { items: Vec::new(), next_cursor: None },
        }
    } else if filter.words.is_empty() {
        Page { items: Vec::new(), next_cursor: None }
    } else {
        match search.order {
            SearchOrder::Newest => newest(conn, &filter, cursor, limit).await?,
            SearchOrder::Relevance => best(conn, &filter, cursor, limit).await?,
        }
    };
    if found.is_empty() {
        return Ok(Page { items: Vec::new(), next_cursor });
    }
    let rows: Vec<MessageRow> =
        sqlx::query_as(select_messages!("json_each(?) j cross join", "on m.id = unhex(j.value)"))
            .bind(id_list(found.iter().map(|(_, id)| *id)))
            .fetch_all(&mut *conn)
            .await
            .db()?;
    let messages = load::messages(conn, rows, Some(viewer)).await?;
    let mut messages: IdMap<MessageId, Message> = messages.into_iter().map(|message| (message.id, message)).collect();
    let items = found
        .into_iter()
        .filter_map(|(_, id)| {
            let message = messages.remove(&MessageId(id))?;
            Some(SearchHit { snippet: snippet(&message.content, &search.words), message })
        })
        .collect();
    Ok(Page { items, next_cursor })
}

/// By place in the index: the order in which the texts came.
async fn newest(
    conn: &mut SqliteConnection,
    filter: &Filter<'_>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Found>> {
    let before = pages::place(List::SearchNewest, cursor)?;
    let query = sqlx::query_as(concat!(
        "select messages_fts.rowid, m.id ",
        found!(),
        "and messages_fts.rowid < ?9 order by messages_fts.rowid desc limit ?10"
    ));
    let rows =
        filter.bind(query).bind(before.unwrap_or(i64::MAX)).bind(pages::rows(limit)).fetch_all(conn).await.db()?;
    page_by_place(rows, limit)
}

/// A page of rows that begin with the place to go on after.
fn page_by_place(mut items: Vec<Found>, limit: u32) -> Result<Page<Found>> {
    let more = pages::cut(&mut items, limit);
    let next_cursor =
        items.last().filter(|_| more).map(|(place, _)| pages::after_place(List::SearchNewest, *place)).transpose()?;
    Ok(Page { items, next_cursor })
}

/// What has attachments, by time and id, without words.
async fn attached(
    conn: &mut SqliteConnection,
    filter: &Filter<'_>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Found>> {
    let (at, id) = pages::keyset(List::SearchNewest, cursor)?;
    // Said once more without the parameter: only then their index may be used.
    let query = sqlx::query_as(concat!(
        "select m.created_at, m.id ",
        listed!("indexed by messages_attachments"),
        "and m.attachments is not null and (?9 is null or (m.created_at, m.id) < (?9, ?10)) \
         order by m.created_at desc, m.id desc limit ?11"
    ));
    let mut items: Vec<Found> =
        filter.bind(query).bind(at).bind(id).bind(pages::rows(limit)).fetch_all(conn).await.db()?;
    let more = pages::cut(&mut items, limit);
    let next_cursor = match items.last() {
        Some((at, id)) if more => Some(cursor::encode(List::SearchNewest, time(*at)?, *id)),
        _ => None,
    };
    Ok(Page { items, next_cursor })
}

/// One conversation's, by seq, without words.
async fn here(
    conn: &mut SqliteConnection,
    filter: &Filter<'_>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Found>> {
    let before = pages::place(List::SearchNewest, cursor)?;
    // Said once more without a condition: of one participant's row the order is the index's, and nothing is sorted.
    let query = sqlx::query_as(concat!(
        "select m.seq, m.id ",
        listed!(""),
        "and p.conversation_id = ?3 and m.seq < ?9 order by m.seq desc limit ?10"
    ));
    let rows =
        filter.bind(query).bind(before.unwrap_or(i64::MAX)).bind(pages::rows(limit)).fetch_all(conn).await.db()?;
    page_by_place(rows, limit)
}

/// By how many came before.
async fn best(
    conn: &mut SqliteConnection,
    filter: &Filter<'_>,
    cursor: Option<&str>,
    limit: u32,
) -> Result<Page<Found>> {
    let before = pages::place(List::SearchBest, cursor)?.unwrap_or(0);
    if before >= BEST_DEPTH {
        return Ok(Page { items: Vec::new(), next_cursor: None });
    }
    let query = sqlx::query_as(concat!(
        "select doc, id from (select messages_fts.rowid as doc, m.id as id, bm25(messages_fts) as fit ",
        found!(),
        "order by messages_fts.rowid desc limit ?9) order by fit, doc desc limit ?10 offset ?11"
    ));
    let mut items: Vec<Found> =
        filter.bind(query).bind(RANKED).bind(pages::rows(limit)).bind(before).fetch_all(conn).await.db()?;
    let more = pages::cut(&mut items, limit);
    let after = before + items.len() as i64;
    let next_cursor = (more && after < BEST_DEPTH).then(|| pages::after_place(List::SearchBest, after)).transpose()?;
    Ok(Page { items, next_cursor })
}
