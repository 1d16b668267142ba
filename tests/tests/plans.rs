//! What reads cost in Postgres when there is much of everything: how many statements, and whether each finds its rows
//! by an index. Told by the plans that Postgres logs, never by time.
//!
//! `STARLING_PLANS=full` seeds 1,000,000 messages instead of 100,000 (`make bench` does).

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use protocol::{
    ConversationFilter, ConversationId, HistoryWindow, PRESENCE_MAX, SearchOrder, SessionId, Timestamp, UserId,
};
use starling_tests::{
    plans::{self, Statement},
    postgres::PrivatePostgres,
    seed::{self, COMMON_WORD, RARE_WORD, Seeded, Size},
};
use store::{
    Arrivals, Behind, Inbox, Library, MarkRow, MessageSearch, OrgUsersFilter, People, Scope, Store, Watermark, Who,
    Writes,
    postgres::{PostgresConfig, PostgresStore},
};

/// Tables that grow: none is ever read from its first row to its last.
const GROWING: [&str; 9] = [
    "messages",
    "participants",
    "conversations",
    "users",
    "mentions",
    "reactions",
    "notifications",
    "message_edits",
    "sessions",
];

struct World {
    server: PrivatePostgres,
    store: PostgresStore,
    marker: sqlx::PgConnection,
    seeded: Seeded,
    /// What the last call did.
    last: Vec<Statement>,
    /// What was found wrong, by call.
    wrong: BTreeMap<String, Vec<String>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_takes_a_few_statements_and_each_finds_its_rows_by_an_index() {
    check().await.unwrap_or_else(|error| panic!("{error:#}"));
}

async fn check() -> Result<()> {
    let full = std::env::var("STARLING_PLANS").is_ok_and(|value| value == "full");
    let size = if full { Size::FULL } else { Size { users: 5_000, conversations: 2_000, messages: 100_000 } };
    let server = PrivatePostgres::start_with(&plans::SETTINGS).await?;
    let store = PostgresStore::connect(PostgresConfig::new(server.url()))?;
    store.migrate().await?;
    let mut marker = seed::patient(&server.url()).await?;
    let seeded = seed::seed(&mut marker, size).await?;
    let mut world = World { server, store, marker, seeded, last: Vec::new(), wrong: BTreeMap::new() };
    world.lists().await?;
    world.messages().await?;
    world.people().await?;
    world.searches().await?;
    // Last: it takes the statistics away.
    world.arrivals().await?;
    let wrong: Vec<_> = world.wrong.iter().map(|(call, what)| format!("{call}:\n  {}", what.join("\n  "))).collect();
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

impl World {
    /// Runs a call and looks at what it did.
    async fn look<T>(&mut self, call: &str, at_most: usize, work: impl Future<Output = store::Result<T>>) -> Result<T> {
        let work = async { work.await.with_context(|| call.to_owned()) };
        let (result, statements) = plans::statements(&self.server, &mut self.marker, work).await?;
        let mut wrong = Vec::new();
        if statements.is_empty() {
            wrong.push("no statement was seen: this proves nothing".to_owned());
        }
        if statements.len() > at_most {
            let texts: Vec<_> = statements.iter().map(first_words).collect();
            wrong.push(format!("{} statements instead of {at_most}: {texts:#?}", statements.len()));
        }
        for statement in &statements {
            for table in statement.scanned().into_iter().filter(|table| GROWING.contains(table)) {
                wrong.push(format!("reads all of {table}: {}", first_words(statement)));
            }
        }
        if !wrong.is_empty() {
            self.wrong.insert(call.to_owned(), wrong);
        }
        self.last = statements;
        Ok(result)
    }

    /// The last call looked for messages by this index, besides those whose id it knew (quotes).
    fn goes_by(&mut self, index: &str) {
        let used: BTreeSet<&str> = self.last.iter().flat_map(Statement::indexes).collect();
        let others: Vec<_> = used
            .iter()
            .filter(|used| used.starts_with("messages_") && ![index, "messages_id_unique"].contains(*used))
            .collect();
        if !used.contains(index) || !others.is_empty() {
            self.wrong.entry(index.to_owned()).or_default().push(format!("used were {used:?}"));
        }
    }

    /// The last call was asked for a place deep in a list: it began there, instead of reading what is before it.
    fn begins_there(&mut self, list: &str) {
        if let Some(statement) = self.last.iter().find(|statement| statement.left_out() > 50) {
            let what = format!("reads {} rows before the page: {}", statement.left_out(), first_words(statement));
            self.wrong.entry(format!("{list}, deep")).or_default().push(what);
        }
    }

    async fn lists(&mut self) -> Result<()> {
        let (store, me) = (self.store.clone(), self.seeded.viewer);
        let filter = ConversationFilter::default();
        let page = self.look("conversations", 6, store.conversations(me, &filter, None, 50)).await?;
        ensure!(page.items.len() == 50, "the viewer has {} conversations", page.items.len());
        let next = page.next_cursor.as_deref();
        self.look("conversations, second page", 6, store.conversations(me, &filter, next, 50)).await?;
        let unread = ConversationFilter { unread: Some(true), ..filter };
        self.look("conversations, unread", 6, store.conversations(me, &unread, None, 50)).await?;
        self.look("lobby", 6, store.public_conversations(me, "conversation 1", None, 50)).await?;
        let badges = self.look("unread", 1, store.unread(me, now())).await?;
        ensure!(badges.unread_count > 0 && badges.notification_count > 0, "{badges:?}");
        self.look("notifications", 3, store.notifications(me, false, None, 50)).await?;
        let mut place = None;
        for _ in 0..8 {
            place = store.notifications(me, false, place.as_deref(), 10).await?.next_cursor;
            ensure!(place.is_some(), "few notifications");
        }
        self.look("notifications, deep", 3, store.notifications(me, false, place.as_deref(), 10)).await?;
        self.begins_there("notifications");
        self.look("unread notifications", 1, store.unread_notifications(me)).await?;
        // A few unread ones among many.
        sqlx::query("UPDATE notifications SET read_at = now() WHERE user_id = $1 AND user_seq < 98")
            .bind(me.0)
            .execute(&mut self.marker)
            .await?;
        sqlx::query("ANALYZE notifications").execute(&mut self.marker).await?;
        let page = self.look("a page of unread notifications", 3, store.notifications(me, true, None, 50)).await?;
        ensure!(page.items.len() == 3, "{} unread", page.items.len());
        self.begins_there("unread notifications");
        self.look("message notifications", 4, store.message_notifications(me, now(), 50)).await?;
        self.look("memberships", 3, store.memberships(me, 10_000)).await?;
        self.look("feed", 12, store.feed(me, 900)).await?;
        Ok(())
    }

    async fn messages(&mut self) -> Result<()> {
        let (store, me, huge, small) = (self.store.clone(), self.seeded.viewer, self.seeded.huge, self.seeded.small);
        for (name, window) in [
            ("latest", HistoryWindow::Latest),
            ("before", HistoryWindow::Before(5_000)),
            ("after", HistoryWindow::After(5_000)),
            ("around", HistoryWindow::Around(5_000)),
        ] {
            let items = self.look(&format!("history, {name}"), 4, store.history(me, huge, window, 50)).await?;
            ensure!(items.len() == 50, "{} messages", items.len());
        }
        let first = store.history(me, small, HistoryWindow::Latest, 1).await?.pop().context("a message")?;
        self.look("message", 4, store.message(me, first.id)).await?;
        self.look("changes", 5, store.changes(Some(me), huge, 5_000, 500)).await?;
        self.look("heads", 1, store.heads(&[huge, small])).await?;
        self.resumes().await?;
        self.look("thread", 5, store.thread(me, first.id, 0, 50)).await?;
        self.look("pins", 4, store.pins(me, huge)).await?;
        self.look("versions", 2, store.versions(me, first.id)).await?;
        self.look("reactors", 2, store.reactors(me, first.id, None, None, 50)).await?;
        let big = store.history(me, huge, HistoryWindow::Latest, 1).await?.pop().context("a message")?;
        self.look("message receipts of 5,000", 3, store.message_receipts(me, big.id, None, 50)).await?;
        let mut place = None;
        for _ in 0..10 {
            let page = store.message_receipts(me, big.id, place.as_deref(), 100).await?.context("the message")?;
            place = page.next_cursor;
            ensure!(place.is_some(), "few receipts");
        }
        self.look("message receipts, deep", 3, store.message_receipts(me, big.id, place.as_deref(), 50)).await?;
        self.begins_there("message receipts");
        let row = MarkRow { user_id: me, conversation_id: huge, delivered_seq: None, read_seq: Some(big.seq) };
        self.look("mark", 1, store.mark(&[row])).await?;
        self.look("receipts", 1, store.receipts(me, &[huge, small])).await?;
        Ok(())
    }

    /// Of 500 people at once: after a node's death that is one read. Nobody has looked at the tables when they were
    /// filled within minutes: without statistics too.
    async fn arrivals(&mut self) -> Result<()> {
        let store = self.store.clone();
        let users: Vec<uuid::Uuid> =
            sqlx::query_scalar("SELECT id FROM users ORDER BY id LIMIT 500").fetch_all(&mut self.marker).await?;
        let users: Vec<UserId> = users.into_iter().map(UserId).collect();
        for with in ["with", "without"] {
            let who: Vec<Who> = users.iter().map(|user| Who::User(*user, Some(SessionId::generate()))).collect();
            let arrived = self.look(&format!("500 users, {with} statistics"), 1, store.arrived(&who, now())).await?;
            ensure!(arrived.iter().all(|arrived| arrived.user.is_some()), "somebody is not known");
            let name = format!("memberships of 500, {with} statistics");
            let memberships = self.look(&name, 1, store.memberships_of(&users, 100)).await?;
            let theirs: Vec<_> = users.iter().zip(&memberships).collect();
            let ids: Vec<_> = theirs
                .iter()
                .map(|(user, theirs)| (**user, theirs.items.iter().map(|item| item.conversation_id).collect()))
                .collect();
            let name = format!("receipts of 500, {with} statistics");
            let receipts = self.look(&name, 1, store.receipts_of(&ids)).await?;
            ensure!(receipts.iter().flatten().count() > 500, "there are few receipts");
            let behind: Vec<Behind> = theirs
                .iter()
                .map(|(user, theirs)| {
                    let cursors =
                        theirs.items.iter().map(|item| (item.conversation_id, item.last_seq.saturating_sub(3)));
                    (**user, cursors.collect())
                })
                .collect();
            let pages =
                self.look(&format!("missed by 500, {with} statistics"), 3, store.catch_up_of(&behind, 50)).await?;
            ensure!(pages.iter().flatten().count() > 500, "few missed something");
            self.batch(with).await?;
            sqlx::query("DELETE FROM pg_statistic").execute(&mut self.marker).await?;
            sqlx::query("DISCARD PLANS").execute(&mut self.marker).await?;
        }
        Ok(())
    }

    /// What a batch of 500 sends reads under its locks.
    async fn batch(&mut self, with: &str) -> Result<()> {
        let store = self.store.clone();
        let rows: Vec<(uuid::Uuid, uuid::Uuid)> = sqlx::query_as(
            "SELECT DISTINCT ON (conversation_id) conversation_id, user_id FROM participants
             WHERE left_at IS NULL ORDER BY conversation_id, user_id LIMIT 500",
        )
        .fetch_all(&mut self.marker)
        .await?;
        let participants: Vec<_> = rows.into_iter().map(|(id, user)| (ConversationId(id), UserId(user))).collect();
        let scope = Scope {
            conversations: participants.iter().map(|(id, _)| *id).collect(),
            client_ids: participants.iter().map(|(id, user)| (*id, *user, "not said".to_owned())).collect(),
            users: participants.iter().map(|(_, user)| *user).collect(),
            participants,
            ..Scope::default()
        };
        let name = format!("a batch of 500, {with} statistics");
        self.look(&name, 2, store.change(&scope, &|_| Writes::default())).await?;
        Ok(())
    }

    /// Of all of the viewer's conversations at once.
    async fn resumes(&mut self) -> Result<()> {
        let (store, me) = (self.store.clone(), self.seeded.viewer);
        let all = store.memberships(me, 1_000).await?;
        let cursors: Vec<_> = all.items.iter().map(|item| (item.conversation_id, item.last_seq / 2)).collect();
        let pages = self.look("catch up", 3, store.catch_up(me, &cursors, 100)).await?;
        self.goes_by("messages_changed_seq_unique");
        ensure!(pages.len() == cursors.len(), "{} pages of {}", pages.len(), cursors.len());
        ensure!(pages.iter().any(|missed| missed.page.changes.len() > 1), "no page has changes");
        let none: Vec<_> = all.items.iter().map(|item| (item.conversation_id, item.last_seq)).collect();
        self.look("catch up, nothing new", 1, store.catch_up(me, &none, 100)).await?;
        let since = Watermark::default();
        let changed =
            self.look("changed since the beginning", 1, store.changed_since(me, all.user_seq, &since, 500)).await?;
        self.goes_by("messages_changed_seq_unique");
        ensure!(changed.items.len() == cursors.len(), "{} changed of {}", changed.items.len(), cursors.len());
        self.look("changed since now", 1, store.changed_since(me, all.user_seq, &all.watermark, 500)).await?;
        Ok(())
    }

    async fn people(&mut self) -> Result<()> {
        let (store, me, huge) = (self.store.clone(), self.seeded.viewer, self.seeded.huge);
        let page = self.look("participants of 5,000", 2, store.participants(me, huge, "", None, 100)).await?;
        ensure!(page.items.len() == 100, "{} participants", page.items.len());
        let named = store.participants(me, huge, "user 12", None, 10);
        let named = self.look("participants by name", 2, named).await?;
        ensure!(named.items.len() == 10, "{} participants have the name", named.items.len());
        let mut ids: Vec<UserId> = Vec::new();
        let mut cursor = None;
        while ids.len() < PRESENCE_MAX {
            let page = store.participants(me, huge, "", cursor.as_deref(), 100).await?;
            ids.extend(page.items.iter().map(|participant| participant.user.id));
            cursor = page.next_cursor;
        }
        ensure!(cursor.is_some(), "few participants");
        self.look("participants, deep", 2, store.participants(me, huge, "", cursor.as_deref(), 100)).await?;
        self.begins_there("participants");
        ids.truncate(PRESENCE_MAX);
        let seen = self.look("presence of 500: who may be seen", 1, store.visible(me, &ids)).await?;
        ensure!(seen.len() == PRESENCE_MAX, "{} of {} share a conversation", seen.len(), ids.len());
        self.look("contacts", 1, store.contacts(me, 2_000)).await?;
        let user = store.user(me).await?.context("the viewer")?;
        let filter = OrgUsersFilter { query: "user 12".into(), disabled: Some(false), role: None };
        self.look("directory", 1, store.org_users(user.org_id, &filter, None, 50)).await?;
        Ok(())
    }

    async fn searches(&mut self) -> Result<()> {
        let (store, me, huge) = (self.store.clone(), self.seeded.viewer, self.seeded.huge);
        let search = |words: &[&str]| MessageSearch {
            words: words.iter().map(ToString::to_string).collect(),
            conversation: None,
            kind: None,
            sender: None,
            before: None,
            after: None,
            has_attachment: false,
            order: SearchOrder::Relevance,
        };
        let rare = self.look("search, a rare word", 5, store.search(me, &search(&[RARE_WORD]), None, 20)).await?;
        ensure!(!rare.items.is_empty(), "the rare word was not found");
        let common = self.look("search, a common word", 5, store.search(me, &search(&[COMMON_WORD]), None, 20)).await?;
        ensure!(common.items.len() == 20, "{} hits", common.items.len());
        let newest = MessageSearch { order: SearchOrder::Newest, ..search(&[COMMON_WORD]) };
        self.look("search, newest first", 5, store.search(me, &newest, None, 20)).await?;
        let here = MessageSearch { conversation: Some(huge), ..search(&[COMMON_WORD, RARE_WORD]) };
        self.look("search, in one conversation", 5, store.search(me, &here, None, 20)).await?;
        let all = MessageSearch { conversation: Some(huge), ..search(&[]) };
        let page = self.look("search without words", 5, store.search(me, &all, None, 20)).await?;
        ensure!(page.items.len() == 20, "{} hits", page.items.len());
        let mine = MessageSearch { sender: Some(me), ..all };
        self.look("search by the sender alone", 5, store.search(me, &mine, None, 20)).await?;
        let files = MessageSearch { has_attachment: true, ..search(&[]) };
        self.look("search of attachments alone", 5, store.search(me, &files, None, 20)).await?;
        Ok(())
    }
}

fn now() -> Timestamp {
    Timestamp::from(time::OffsetDateTime::now_utc())
}

fn first_words(statement: &Statement) -> String {
    let words: Vec<_> = statement.text.split_whitespace().take(24).collect();
    format!("{} … by {:?}", words.join(" "), statement.indexes())
}
