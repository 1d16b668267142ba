//! Searching for and in odd texts: what could be syntax to the index, long words, writing without spaces or letters.

use protocol::{
    ConversationId, ConversationKind, History, MessageId, Posting, Role, SearchHit, SearchOrder, Sender, SystemChange,
    Timestamp, UserId,
};
use tempfile::TempDir;

use crate::{
    InsertMessage, Library, Locked, MessageSearch, NewConversation, NewUser, Scope, Store, StoreError,
    WriteConversation, Writes,
    sqlite::{SqliteConfig, SqliteStore},
};

/// A store with one user in one group.
struct World {
    store: SqliteStore,
    ada: UserId,
    group: ConversationId,
    _dir: TempDir,
}

fn at(second: u64) -> Timestamp {
    Timestamp::from_unix_millis(1_795_000_000_000 + second as i64 * 1_000).unwrap()
}

impl World {
    async fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let store = SqliteStore::open(SqliteConfig::new(dir.path())).await.unwrap();
        store.migrate().await.unwrap();
        let org_id = store.ensure_org("acme").await.unwrap();
        let new = NewUser {
            id: UserId::generate(),
            org_id,
            username: "ada".into(),
            display_name: "Ada".into(),
            password_hash: None,
            guest: false,
            now: at(0),
        };
        let user = store.create_user(new).await.unwrap();
        let new = NewConversation {
            id: ConversationId::generate(),
            org_id,
            kind: ConversationKind::Group,
            creator: user.id,
            title: Some("odd texts".into()),
            description: None,
            avatar_url: None,
            subject: None,
            posting: Posting::Everyone,
            history: History::All,
            slow_mode_seconds: 0,
            direct_key: None,
            participants: vec![(user.id, Role::Owner)],
            message_id: MessageId::generate(),
            system: SystemChange::ConversationCreated { users: vec![Sender::from(&user)] },
            notifications: Vec::new(),
            idempotency_key: None,
            fingerprint: Vec::new(),
            now: at(0),
        };
        let group = store.create_conversation(new).await.unwrap().id;
        Self { store, ada: user.id, group, _dir: dir }
    }

    async fn say(&self, content: &str) {
        let (group, ada, id) = (self.group, self.ada, MessageId::generate());
        let scope = Scope { conversations: vec![group], users: vec![ada], ..Scope::default() };
        let decide = |locked: &Locked| {
            let head = &locked.conversations[&group];
            let (seq, number) = (head.last_seq + 1, head.last_number + 1);
            let message = InsertMessage {
                id,
                conversation_id: group,
                seq,
                number,
                sender_id: ada,
                content: content.to_owned(),
                system: None,
                reply_to_id: None,
                thread_root_id: None,
                mentions: Vec::new(),
                attachments: Vec::new(),
                client_id: None,
                fingerprint: Vec::new(),
                created_at: at(seq),
            };
            let head = WriteConversation { last_seq: seq, last_number: number, ..WriteConversation::default() };
            Writes { inserts: vec![message], conversations: [(group, head)].into_iter().collect(), ..Writes::default() }
        };
        self.store.change(&scope, &decide).await.unwrap();
    }

    /// What a search for these words finds, newest first.
    async fn hits(&self, words: &[&str]) -> Vec<SearchHit> {
        self.store.search(self.ada, &search(words, SearchOrder::Newest), None, 100).await.unwrap().items
    }

    async fn texts(&self, words: &[&str]) -> Vec<String> {
        self.hits(words).await.into_iter().map(|hit| hit.message.content).collect()
    }

    /// The snippet of the only text that is found, highlights in brackets.
    async fn snippet(&self, words: &[&str]) -> String {
        let mut hits = self.hits(words).await;
        let hit = hits.pop().unwrap();
        assert!(hits.is_empty());
        let mark = |part: protocol::SnippetPart| if part.highlighted { format!("[{}]", part.text) } else { part.text };
        hit.snippet.into_iter().map(mark).collect()
    }
}

fn search(words: &[&str], order: SearchOrder) -> MessageSearch {
    MessageSearch {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        conversation: None,
        kind: None,
        sender: None,
        before: None,
        after: None,
        has_attachment: false,
        order,
    }
}

#[tokio::test]
async fn nothing_in_a_word_is_syntax() {
    let world = World::new().await;
    world.say("to be AND not OR near content").await;
    for word in ["and", "or", "not", "near", "content", "AND", "NEAR"] {
        assert_eq!(world.texts(&[word]).await.len(), 1, "{word}");
    }
    let odd =
        ["\"", "\"\"", "a\"b", "(", ")", "*", "^", "-", "+", ":", "content:to", "{a b}:", "NEAR(a b)", ";", "%", "'"];
    for word in odd.into_iter().chain(["\\", "", " ", "?1", "\u{FDD0}", "\u{E000}", "\u{FEFF}", "\u{202E}"]) {
        for order in [SearchOrder::Newest, SearchOrder::Relevance] {
            let found = world.store.search(world.ada, &search(&[word], order), None, 10).await.unwrap();
            assert!(found.items.is_empty(), "{word}");
            world.store.search(world.ada, &search(&[word, "be"], order), None, 10).await.unwrap();
        }
    }
    assert!(world.texts(&[]).await.is_empty(), "no words find nothing");
}

#[tokio::test]
async fn words_are_prefixes_in_any_case_and_order_and_all_must_be_there() {
    let world = World::new().await;
    world.say("Größe ΟΔΟΣ Straße №5 x2y über").await;
    for words in [["größ", "οδοσ"], ["οδος", "GRÖSSE"], ["STRAẞE", "5"], ["x2", "ÜB"], ["x2y", "strass"]]
    {
        let expected = usize::from(!words.contains(&"GRÖSSE") && !words.contains(&"strass"));
        assert_eq!(world.texts(&words).await.len(), expected, "{words:?}");
    }
    assert!(world.texts(&["uber"]).await.is_empty(), "a letter with a mark is a letter of its own");
    assert!(world.texts(&["ber"]).await.is_empty(), "the middle of a word is not found");
    assert!(world.texts(&["über", "missing"]).await.is_empty());
}

#[tokio::test]
async fn writing_without_spaces_is_found_by_its_beginning() {
    let world = World::new().await;
    world.say("東京都に住んでいます。天気がいい").await;
    world.say("สวัสดีครับ").await;
    world.say("नमस्ते दुनिया").await;
    for word in ["東京", "東京都に住んでいます", "天気", "สวัส", "नमस्ते", "नम", "दुनिया"]
    {
        assert_eq!(world.texts(&[word]).await.len(), 1, "{word}");
    }
    assert!(world.texts(&["京都"]).await.is_empty());
    assert_eq!(world.snippet(&["天気"]).await, "東京都に住んでいます。[天気がいい]");
}

#[tokio::test]
async fn emoji_stand_between_words_and_are_shown() {
    let world = World::new().await;
    world.say("👩‍👩‍👧 party🎉time at 5️⃣ 🇩🇪").await;
    world.say("🎉🎉🎉").await;
    assert_eq!(world.snippet(&["party", "time"]).await, "👩‍👩‍👧 [party]🎉[time] at 5️⃣ 🇩🇪");
    assert_eq!(world.texts(&["5"]).await.len(), 1);
    assert!(world.texts(&["🎉"]).await.is_empty(), "no letter, no word");
}

#[tokio::test]
async fn very_long_words_are_found_and_their_snippets_stay_short() {
    let world = World::new().await;
    world.say(&format!("{} needle", "x".repeat(3_990))).await;
    world.say(&"汉".repeat(4_000)).await;
    world.say(&"a b ".repeat(1_000)).await;
    for word in ["x".repeat(120), "x".repeat(3_990), "汉".repeat(120), "needle".into(), "a".into()] {
        let hits = world.hits(&[&word]).await;
        assert_eq!(hits.len(), 1, "{word}");
        let shown: String = hits[0].snippet.iter().map(|part| part.text.as_str()).collect();
        assert!(shown.chars().count() <= 310, "{shown}");
        assert!(hits[0].snippet.iter().any(|part| part.highlighted), "{shown}");
    }
    assert!(world.texts(&["x".repeat(3_991).as_str()]).await.is_empty());
    let many = ["a"; 16];
    assert_eq!(world.texts(&many).await.len(), 1);
}

#[tokio::test]
async fn a_text_may_have_the_marks_of_snippets_and_line_ends() {
    let world = World::new().await;
    world.say("one\u{FDD0}two\u{FDD1} three").await;
    world.say("four\n\tfive\u{E000} <b>six</b> \u{202E}seven").await;
    assert_eq!(world.snippet(&["three"]).await, "one\u{FDD0}two\u{FDD1} [three]");
    assert_eq!(world.snippet(&["six"]).await, "four\n\tfive\u{E000} <b>[six]</b> \u{202E}seven");
}

#[tokio::test]
async fn both_orders_show_each_text_once_page_by_page_and_keep_to_their_cursors() {
    let world = World::new().await;
    for n in 0..7 {
        world.say(&format!("word {}", "filler ".repeat(n % 3))).await;
    }
    let mut cursors = Vec::new();
    for order in [SearchOrder::Newest, SearchOrder::Relevance] {
        let (mut seqs, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = world.store.search(world.ada, &search(&["word"], order), cursor.as_deref(), 3).await.unwrap();
            seqs.extend(page.items.iter().map(|hit| hit.message.seq));
            cursor = page.next_cursor;
            match &cursor {
                Some(next) => cursors.push((order, next.clone())),
                None => break,
            }
        }
        let expected = if order == SearchOrder::Newest { [8, 7, 6, 5, 4, 3, 2] } else { [8, 5, 2, 6, 3, 7, 4] };
        assert_eq!(seqs, expected, "{order:?}");
    }
    for (order, cursor) in cursors {
        let other = if order == SearchOrder::Newest { SearchOrder::Relevance } else { SearchOrder::Newest };
        let refused = world.store.search(world.ada, &search(&["word"], other), Some(&cursor), 3).await;
        assert!(matches!(refused, Err(StoreError::BadCursor)), "{order:?}");
    }
}
