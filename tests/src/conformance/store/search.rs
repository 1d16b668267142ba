//! Searching messages: what is found, for whom, in which order, and how it is shown.

use std::sync::Arc;

use protocol::{
    Attachment, AttachmentKind, ConversationId, ConversationKind, History, Page, Role, SearchHit, SearchOrder, User,
};
use store::{MessageSearch, Store, StoreError};

use super::{Op, World};

fn words(words: &str) -> MessageSearch {
    MessageSearch {
        words: words.split(' ').map(str::to_owned).collect(),
        conversation: None,
        kind: None,
        sender: None,
        before: None,
        after: None,
        has_attachment: false,
        order: SearchOrder::Newest,
    }
}

async fn page(world: &World, viewer: &User, search: &MessageSearch) -> Page<SearchHit> {
    world.store.search(viewer.id, search, None, 50).await.unwrap()
}

/// Texts of what is found.
async fn found(world: &World, viewer: &User, search: &MessageSearch) -> Vec<String> {
    page(world, viewer, search).await.items.into_iter().map(|hit| hit.message.content).collect()
}

/// Punctuation, spaces and symbols of whatever script, emoji among them; in one word, nothing stands but letters and
/// digits.
pub async fn what_is_no_letter_and_no_digit_stands_between_words(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let between = "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~\u{a0}¡¢§©«°·»¿×÷‐–—―‘’“”„†•…‹›€ \u{2009}\u{200b}→−′≠★♥☂、。・「」《》【】\u{3000}\
                   ！（），～｜：？؟،।😀🚀";
    let within = "éßяשا日カ한5ª";
    for (n, character) in between.chars().chain(within.chars()).enumerate() {
        world.send(group, &ada, &format!("left{character}right{n}")).await;
    }
    for (n, character) in between.chars().chain(within.chars()).enumerate() {
        let texts = found(&world, &ada, &words(&format!("right{n}"))).await;
        let separate = texts.iter().any(|text| *text == format!("left{character}right{n}"));
        assert_eq!(separate, !within.contains(character), "{character:?} (U+{:04X})", character as u32);
    }
}

/// All of them, each at the beginning of a word, in any case and order, whatever stands between.
pub async fn a_message_is_found_by_the_beginnings_of_its_words(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let texts = [
        "Hello, World!",
        "write to ada@example.com",
        "https://example.org/path?q=answer",
        "a<b and c>d",
        "well-known snake_case",
        "version 3.14 of 2026-11-21",
        "“quoted” – dashed…",
        "日本語 テキスト",
        "naïve café",
    ];
    for text in texts {
        world.send(group, &ada, text).await;
    }
    for (query, expected) in [
        ("hello", vec![0]),
        ("WORLD hel", vec![0]),
        ("ello", vec![]),
        ("hello absent", vec![]),
        ("example", vec![2, 1]),
        ("com", vec![1]),
        ("answer", vec![2]),
        ("b and", vec![3]),
        ("known case", vec![4]),
        ("14", vec![5]),
        ("11 21", vec![5]),
        ("quoted dash", vec![6]),
        ("日本", vec![7]),
        ("café", vec![8]),
        ("' | !", vec![]),
        ("", vec![]),
    ] {
        let expected: Vec<&str> = expected.into_iter().map(|i: usize| texts[i]).collect();
        assert_eq!(found(&world, &ada, &words(query)).await, expected, "{query}");
    }
}

/// Nobody else's, nothing from before they came, nothing once they left or it is closed.
pub async fn only_what_the_viewer_may_see_is_found(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let eve = world.user("eve").await;
    let mut new = world.new_conversation(ConversationKind::Group, &[&ada]);
    new.history = History::SinceJoin;
    let limited = world.create(new).await.id;
    let open = world.group(&[&ada, &bob]).await;
    let room = world.create(world.new_conversation(ConversationKind::Public, &[&ada])).await.id;
    world.send(limited, &ada, "needle before").await;
    world.apply(&[Op::Join(limited, bob.clone(), Role::Member)]).await;
    world.send(limited, &ada, "needle after").await;
    world.send(open, &ada, "needle in the open").await;
    world.send(room, &ada, "needle in the room").await;
    assert_eq!(found(&world, &ada, &words("needle")).await.len(), 4);
    assert_eq!(found(&world, &bob, &words("needle")).await, ["needle in the open", "needle after"]);
    assert!(found(&world, &eve, &words("needle")).await.is_empty());
    let there = MessageSearch { conversation: Some(limited), ..words("needle") };
    assert_eq!(found(&world, &bob, &there).await, ["needle after"]);
    assert!(found(&world, &eve, &there).await.is_empty());
    world.apply(&[Op::Leave(limited, bob.clone())]).await;
    assert_eq!(found(&world, &bob, &words("needle")).await, ["needle in the open"]);
    world.apply(&[Op::Close(open, ada.clone())]).await;
    assert!(found(&world, &bob, &words("needle")).await.is_empty());
}

/// What was said before is not found any more; nor what is deleted, nor what the conversation says of itself.
pub async fn edits_and_deletes_are_found_as_they_are_now(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let message = world.send(group, &ada, "the old words").await.id;
    world.apply(&[Op::Edit(group, message, "the new words".into())]).await;
    assert!(found(&world, &ada, &words("old")).await.is_empty());
    let hit = page(&world, &ada, &words("new")).await.items.pop().unwrap();
    assert_eq!((hit.message.id, hit.message.edited_at.is_some()), (message, true));
    world.apply(&[Op::Delete(group, message)]).await;
    for query in ["old", "new", "words"] {
        assert!(found(&world, &ada, &words(query)).await.is_empty(), "{query}");
    }
}

/// Each filter alone, and all together.
pub async fn a_search_is_narrowed_by_its_filters(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let direct = world.create(world.new_conversation(ConversationKind::Direct, &[&ada, &bob])).await.id;
    world.send(group, &ada, "needle one").await;
    let middle = world.send(group, &bob, "needle two").await;
    world.apply(&[attached(direct, &bob, "needle three")]).await;
    let needle = words("needle");
    for (search, expected) in [
        (needle.clone(), "three two one"),
        (MessageSearch { conversation: Some(group), ..needle.clone() }, "two one"),
        (MessageSearch { kind: Some(ConversationKind::Direct), ..needle.clone() }, "three"),
        (MessageSearch { kind: Some(ConversationKind::Public), ..needle.clone() }, ""),
        (MessageSearch { sender: Some(bob.id), ..needle.clone() }, "three two"),
        (MessageSearch { before: Some(middle.created_at), ..needle.clone() }, "one"),
        (MessageSearch { after: Some(middle.created_at), ..needle.clone() }, "three two"),
        (MessageSearch { has_attachment: true, ..needle.clone() }, "three"),
        (MessageSearch { has_attachment: true, conversation: Some(group), ..needle.clone() }, ""),
        (MessageSearch { sender: Some(bob.id), conversation: Some(group), ..words("two") }, "two"),
    ] {
        let texts: Vec<String> =
            found(&world, &ada, &search).await.iter().map(|text| text.replace("needle ", "")).collect();
        assert_eq!(texts.join(" "), expected, "{search:?}");
    }
}

/// Newest first, page by page, in one conversation or of what has attachments; everything is not searched.
pub async fn without_words_the_filters_find(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let mut new = world.new_conversation(ConversationKind::Group, &[&ada]);
    new.history = History::SinceJoin;
    let limited = world.create(new).await.id;
    let open = world.group(&[&ada, &bob]).await;
    let foreign = world.group(&[&ada]).await;
    world.apply(&[attached(limited, &ada, "before")]).await;
    world.apply(&[Op::Join(limited, bob.clone(), Role::Member)]).await;
    // Several at one moment.
    world.apply(&[attached(limited, &ada, "one"), attached(open, &ada, "two"), attached(open, &bob, "three")]).await;
    world.send(open, &ada, "plain").await;
    world.apply(&[attached(open, &bob, "four"), attached(foreign, &ada, "foreign")]).await;
    let gone = attached(open, &bob, "gone");
    world.apply(&[gone]).await;
    let newest = MessageSearch { conversation: Some(open), words: Vec::new(), ..words("") };
    let gone = page(&world, &bob, &newest).await.items.remove(0).message;
    assert_eq!(gone.content, "gone");
    world.apply(&[Op::Delete(open, gone.id)]).await;
    let none = MessageSearch { words: Vec::new(), ..words("") };
    let files = MessageSearch { has_attachment: true, ..none.clone() };
    for (search, expected) in [
        (none.clone(), vec![]),
        (MessageSearch { sender: Some(bob.id), ..none.clone() }, vec![]),
        (MessageSearch { conversation: Some(open), ..none.clone() }, vec!["four", "plain", "three", "two"]),
        (MessageSearch { conversation: Some(limited), ..none.clone() }, vec!["one"]),
        (MessageSearch { conversation: Some(foreign), ..none.clone() }, vec![]),
        (MessageSearch { conversation: Some(open), sender: Some(ada.id), ..none.clone() }, vec!["plain", "two"]),
        (MessageSearch { conversation: Some(open), ..files.clone() }, vec!["four", "three", "two"]),
        (MessageSearch { sender: Some(bob.id), ..files.clone() }, vec!["four", "three"]),
        (MessageSearch { kind: Some(ConversationKind::Direct), ..files.clone() }, vec![]),
    ] {
        for order in [SearchOrder::Newest, SearchOrder::Relevance] {
            let search = MessageSearch { order, ..search.clone() };
            let mut texts = found(&world, &bob, &search).await;
            let mut paged: Vec<String> = Vec::new();
            let mut cursor = None;
            loop {
                let page = world.store.search(bob.id, &search, cursor.as_deref(), 1).await.unwrap();
                paged.extend(page.items.into_iter().map(|hit| hit.message.content));
                cursor = page.next_cursor;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(paged, texts, "{search:?}");
            // Those of one moment may come in either order.
            texts.sort_by_key(|text| expected.iter().position(|other| other == text));
            assert_eq!(texts, expected, "{search:?}");
        }
    }
    let mut all = found(&world, &bob, &files).await;
    assert_eq!(all.remove(0), "four");
    all.sort();
    assert_eq!(all, ["one", "three", "two"], "nothing from before they came, nothing of others");
    let refused = world.store.search(bob.id, &files, Some("nonsense"), 7).await;
    assert!(matches!(refused, Err(StoreError::BadCursor)), "{refused:?}");
}

fn attached(conversation: ConversationId, sender: &User, content: &str) -> Op {
    let mut op = Op::send(conversation, sender, content);
    if let Op::Send { attachments, .. } = &mut op {
        attachments.push(Attachment {
            kind: AttachmentKind::Document,
            url: "https://example.com/a.pdf".into(),
            name: None,
            media_type: None,
            byte_size: None,
            width: None,
            height: None,
            duration_ms: None,
            thumbnail_url: None,
        });
    }
    op
}

/// Both orders show each once, page by page; a cursor of one is none of the other's.
pub async fn a_search_is_read_page_by_page_in_either_order(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    // Several at one moment: the id decides between them.
    for i in 0..5 {
        let batch: Vec<Op> = (0..4).map(|j| Op::send(group, &ada, &format!("needle {i} {j}"))).collect();
        world.apply(&batch).await;
    }
    let mut cursors = Vec::new();
    for order in [SearchOrder::Newest, SearchOrder::Relevance] {
        let search = MessageSearch { order, ..words("needle") };
        let (mut seen, mut cursor): (Vec<SearchHit>, Option<String>) = (Vec::new(), None);
        loop {
            let page = world.store.search(ada.id, &search, cursor.as_deref(), 7).await.unwrap();
            seen.extend(page.items);
            cursor = page.next_cursor;
            let Some(cursor) = &cursor else { break };
            cursors.push((order, cursor.clone()));
        }
        let mut ids: Vec<_> = seen.iter().map(|hit| hit.message.id).collect();
        let key = |hit: &SearchHit| (hit.message.created_at, hit.message.id);
        assert!(seen.windows(2).all(|pair| key(&pair[0]) > key(&pair[1])), "all fit alike: the newest first");
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 20, "{order:?}");
    }
    for (order, cursor) in cursors {
        let other = if order == SearchOrder::Newest { SearchOrder::Relevance } else { SearchOrder::Newest };
        let refused = world.store.search(ada.id, &MessageSearch { order: other, ..words("x") }, Some(&cursor), 7).await;
        assert!(matches!(refused, Err(StoreError::BadCursor)), "{refused:?}");
    }
    let refused = world.store.search(ada.id, &words("needle"), Some("nonsense"), 7).await;
    assert!(matches!(refused, Err(StoreError::BadCursor)), "{refused:?}");
}

/// What says it more often fits better than what is newer.
pub async fn the_best_comes_first_where_relevance_orders(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    world.send(group, &ada, "needle needle needle").await;
    let filler = "and so on for a while ".repeat(10);
    world.send(group, &ada, &format!("needle {filler}")).await;
    world.send(group, &ada, &filler).await;
    let best = MessageSearch { order: SearchOrder::Relevance, ..words("needle") };
    assert_eq!(found(&world, &ada, &best).await[0], "needle needle needle");
    assert!(found(&world, &ada, &words("needle")).await[0].starts_with("needle and so on"));
}

/// The parts put together are the text, whatever it holds; what was looked for is marked.
pub async fn a_snippet_shows_what_was_looked_for(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let text = "<b>Needles</b> &amp; \u{e000} pins \u{e001}; a needle";
    let message = world.send(group, &ada, text).await;
    world.apply(&[Op::React(group, message.id, ada.clone(), "👍".into())]).await;
    let hit = page(&world, &ada, &words("needle pins")).await.items.pop().unwrap();
    let together: String = hit.snippet.iter().map(|part| part.text.as_str()).collect();
    assert_eq!(together, text);
    let marked: Vec<_> = hit.snippet.iter().filter(|part| part.highlighted).map(|part| part.text.as_str()).collect();
    assert_eq!(marked, ["Needles", "pins", "needle"]);
    assert_eq!(hit.message.reactions[0].mine, Some(true), "the message is whole");
    world.send(group, &ada, &format!("{} haystack {}", "before ".repeat(200), "after ".repeat(200))).await;
    let hit = page(&world, &ada, &words("hay")).await.items.pop().unwrap();
    let length: usize = hit.snippet.iter().map(|part| part.text.chars().count()).sum();
    assert!(length < 400, "{length}");
    assert!(hit.snippet.iter().any(|part| part.highlighted && part.text == "haystack"), "{:?}", hit.snippet);
}
