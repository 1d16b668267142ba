//! Keyset pages: each item once, whatever moves meanwhile; edges; cursors that are none.

use std::{collections::HashSet, sync::Arc};

use protocol::{ConversationId, ConversationKind, HistoryWindow, Role, Seq, User};
use store::{NewConversation, Store, StoreError};

use super::{
    op::Op,
    world::{Mark, World, tally},
};

async fn page(world: &World, viewer: &User, id: ConversationId, window: HistoryWindow, limit: u32) -> Vec<Seq> {
    let page = world.store.history(viewer.id, id, window, limit).await.unwrap();
    page.into_iter().map(|message| message.seq).collect()
}

/// Ascending, the nearest ones, at most `limit`. (`around`: what a side gets is the backend's to say.)
pub async fn history_windows_hold_at_the_edges(store: Arc<dyn Store>) {
    use HistoryWindow::{After, Around, Before, Latest};
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let batch: Vec<Op> = (2..=10).map(|i| Op::send(group, &ada, &format!("{i}"))).collect();
    world.apply(&batch).await;
    let cases: [(HistoryWindow, u32, &[Seq]); 13] = [
        (Latest, 3, &[8, 9, 10]),
        (Latest, 1, &[10]),
        (Latest, 100, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
        (Before(5), 2, &[3, 4]),
        (Before(5), 100, &[1, 2, 3, 4]),
        (Before(1), 5, &[]),
        (Before(0), 5, &[]),
        (Before(11), 2, &[9, 10]),
        (Before(1_000), 2, &[9, 10]),
        (After(0), 2, &[1, 2]),
        (After(8), 5, &[9, 10]),
        (After(10), 5, &[]),
        (Around(5), 1, &[5]),
    ];
    for (window, limit, expected) in cases {
        assert_eq!(page(&world, &ada, group, window, limit).await, expected, "{window:?} {limit}");
    }
    for (seq, limit) in [(5, 5), (5, 4), (1, 5), (10, 5), (2, 100), (5, 2)] {
        let seen = page(&world, &ada, group, Around(seq), limit).await;
        assert!(seen.contains(&seq) && seen.len() <= limit as usize, "around {seq}, {limit}: {seen:?}");
        assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 1), "around {seq}, {limit}: {seen:?}");
    }
    let middle = page(&world, &ada, group, Around(5), 5).await;
    assert!(middle.contains(&4) && middle.contains(&6), "both sides: {middle:?}");
    let all = page(&world, &ada, group, Around(5), 100).await;
    assert_eq!(all.len(), 10);
}

/// Backwards and forwards.
pub async fn history_read_page_by_page_shows_each_message_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let batch: Vec<Op> = (0..22).map(|i| Op::send(group, &ada, &format!("{i}"))).collect();
    world.apply(&batch).await;
    // An edit takes a seq of its own, so that places have holes while changes have none.
    let some = world.history(&ada, group).await[5].id;
    world.apply(&[Op::Edit(group, some, "edited".into())]).await;
    world.send(group, &ada, "last").await;
    let expected: Vec<Seq> = (1..=23).chain([25]).collect();

    let (mut seen, mut window) = (Vec::new(), HistoryWindow::Latest);
    loop {
        let mut seqs = page(&world, &ada, group, window, 5).await;
        let Some(first) = seqs.first() else { break };
        window = HistoryWindow::Before(*first);
        seqs.append(&mut seen);
        seen = seqs;
    }
    assert_eq!(seen, expected);
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let seqs = page(&world, &ada, group, HistoryWindow::After(after), 5).await;
        let Some(last) = seqs.last() else { break };
        after = *last;
        seen.extend(seqs);
    }
    assert_eq!(seen, expected);
}

/// From any cursor, in any page size; each changed message once.
pub async fn changes_read_page_by_page_reach_the_head(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let mut ids = Vec::new();
    for i in 0..10 {
        ids.push(world.send(group, &ada, &format!("{i}")).await.id);
    }
    for i in [2, 5, 2] {
        world.apply(&[Op::Edit(group, ids[i], "edited".into())]).await;
    }
    world.apply(&[Op::Delete(group, ids[9])]).await;
    let head = world.head(group).await;
    assert_eq!(head, 15);
    for limit in [1, 2, 3, 7, 100] {
        for start in 0..=head {
            let (mut cursor, mut seen) = (start, HashSet::new());
            loop {
                let page = world.store.changes(Some(ada.id), group, cursor, limit).await.unwrap().unwrap();
                assert_eq!((page.from, page.conversation_id), (cursor, group));
                assert!(page.changes.len() <= limit as usize);
                for change in &page.changes {
                    assert!(change.seq > cursor && change.seq <= page.to && change.seq == change.data.changed_seq);
                    assert!(seen.insert(change.data.id), "twice: {change:?}");
                    cursor = change.seq;
                }
                cursor = page.to;
                if !page.more {
                    break;
                }
            }
            assert_eq!(cursor, head, "from {start} by {limit}");
            if start == 0 {
                assert_eq!(seen.len(), 11);
            }
        }
    }
    let fill = world.store.changes(None, ConversationId::generate(), 0, 10).await.unwrap();
    assert_eq!(fill, None);
}

/// What moves to the top while somebody scrolls may be missed there, nothing else may.
pub async fn the_list_of_conversations_loses_none_while_activity_moves(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let mut groups = Vec::new();
    for _ in 0..12 {
        groups.push(world.group(&[&ada]).await);
    }
    groups.reverse();
    let first = world.list(ada.id, None, 5).await.unwrap();
    assert_eq!(first.items.iter().map(|item| item.id).collect::<Vec<_>>(), groups[..5], "last activity first");
    // One that was seen and one that was not move to the top; one that was not seen is left.
    world.send(groups[1], &ada, "again").await;
    world.send(groups[8], &ada, "again").await;
    world.apply(&[Op::Leave(groups[9], ada.clone())]).await;
    let mut seen: Vec<ConversationId> = first.items.iter().map(|item| item.id).collect();
    let mut cursor = first.next_cursor;
    while let Some(next) = cursor {
        let page = world.list(ada.id, Some(&next), 5).await.unwrap();
        seen.extend(page.items.iter().map(|item| item.id));
        cursor = page.next_cursor;
    }
    let tally = tally(seen);
    for (i, group) in groups.iter().enumerate() {
        let times = tally.get(group).copied().unwrap_or(0);
        match i {
            8 => assert!(times <= 1),
            9 => assert_eq!(times, 0),
            _ => assert_eq!(times, 1, "conversation {i}"),
        }
    }
    let top = world.list(ada.id, None, 2).await.unwrap().items;
    assert_eq!((top[0].id, top[1].id), (groups[8], groups[1]));
    assert_eq!(top[0].last_message.as_ref().map(|message| message.content.as_str()), Some("again"));
}

/// A tie is broken by the id.
pub async fn conversations_with_the_same_activity_are_listed_once_each(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let now = world.now();
    let mut made = HashSet::new();
    for i in 0..7 {
        let kind = if i % 2 == 0 { ConversationKind::Group } else { ConversationKind::Direct };
        let new = NewConversation { now, ..world.new_conversation(kind, &[&ada, &bob]) };
        made.insert(world.create(new).await.id);
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.list(ada.id, cursor.as_deref(), 2).await.unwrap();
        for item in &page.items {
            let other = (item.kind == ConversationKind::Direct).then_some(bob.id);
            assert_eq!(item.other.as_ref().map(|other| other.id), other);
        }
        seen.extend(page.items.into_iter().map(|item| item.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 7);
    assert_eq!(seen.into_iter().collect::<HashSet<_>>(), made);
}

/// Titles contain the query; groups are not in the lobby.
pub async fn the_lobby_is_searched_in_any_case_page_by_page(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let titles = ["Élan vital", "the ÉLAN club", "100% élan_", "Boats", "élan, again"];
    let mut rooms = Vec::new();
    for title in titles {
        let new =
            NewConversation { title: Some(title.into()), ..world.new_conversation(ConversationKind::Public, &[&ada]) };
        rooms.push(world.create(new).await.id);
    }
    world.group(&[&ada]).await;
    let find = async |query: &str, limit: u32| {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let page = world.store.public_conversations(bob.id, query, cursor.as_deref(), limit).await.unwrap();
            assert!(page.items.len() <= limit as usize);
            seen.extend(page.items.into_iter().map(|item| item.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen.len(), seen.iter().collect::<HashSet<_>>().len(), "each once");
        seen.into_iter().collect::<HashSet<_>>()
    };
    let elan = HashSet::from([rooms[0], rooms[1], rooms[2], rooms[4]]);
    for query in ["élan", "ÉLAN", "Élan"] {
        assert_eq!(find(query, 2).await, elan, "{query}");
    }
    assert_eq!(find("", 2).await, rooms.iter().copied().collect());
    assert_eq!(find("0%", 50).await, HashSet::from([rooms[2]]), "a query is text, not a pattern");
    assert_eq!(find("n_", 50).await, HashSet::from([rooms[2]]), "a query is text, not a pattern");
    assert_eq!(find("\\", 50).await, HashSet::new());
    assert_eq!(find("nothing like it", 50).await, HashSet::new());
}

/// Many join at the same moment; some leave.
pub async fn participants_are_listed_by_join_time_once_each(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut people = Vec::new();
    for i in 0..9 {
        people.push(world.user(&format!("user{i}")).await);
    }
    let group = world.group(&people.iter().take(6).collect::<Vec<_>>()).await;
    world.apply(&[Op::Join(group, people[6].clone(), Role::Admin)]).await;
    world.apply(&[Op::Join(group, people[7].clone(), Role::Member), Op::Leave(group, people[2].clone())]).await;
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.store.participants(people[0].id, group, "", cursor.as_deref(), 2).await.unwrap();
        seen.extend(page.items);
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert!(seen.windows(2).all(|pair| pair[0].joined_at <= pair[1].joined_at));
    let names: HashSet<_> = seen.iter().map(|item| item.user.username.as_str()).collect();
    assert_eq!(names, HashSet::from(["user0", "user1", "user3", "user4", "user5", "user6", "user7"]));
    assert_eq!(seen.len(), 7);
    assert_eq!((seen[5].user.id, seen[5].role), (people[6].id, Role::Admin));
    assert_eq!(seen.iter().filter(|item| item.role == Role::Owner).count(), 1);
}

/// By the beginning of the username or the display name in any case, page by page; a query is text, not a pattern.
pub async fn participants_are_found_by_the_beginning_of_their_names(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let mut people = Vec::new();
    for name in ["anna", "Anton", "bert", "ana_x", "anders"] {
        people.push(world.user(name).await);
    }
    let group = world.group(&people.iter().take(4).collect::<Vec<_>>()).await;
    let viewer = people[2].id;
    let find = async |query: &str| {
        let (mut names, mut cursor) = (HashSet::new(), None);
        loop {
            let page = world.store.participants(viewer, group, query, cursor.as_deref(), 1).await.unwrap();
            assert!(page.items.len() <= 1);
            names.extend(page.items.into_iter().map(|item| item.user.id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return names;
            }
        }
    };
    let of = |places: &[usize]| places.iter().map(|place| people[*place].id).collect::<HashSet<_>>();
    assert_eq!(find("").await, of(&[0, 1, 2, 3]));
    assert_eq!(find("AN").await, of(&[0, 1, 3]), "who does not take part is not found");
    assert_eq!(find("anT").await, of(&[1]));
    let shown: String = people[2].display_name.chars().take(3).collect();
    assert!(find(&shown.to_uppercase()).await.contains(&viewer));
    for nobody in ["nna", "an%", "a_", "\\", "annaa"] {
        assert_eq!(find(nobody).await, HashSet::new(), "{nobody}");
    }
}

/// Opaque to clients, refused when made up or taken from another list.
pub async fn a_cursor_that_is_none_is_refused(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let mut group = world.group(&[&ada]).await;
    for _ in 0..2 {
        group = world.create(world.new_conversation(ConversationKind::Public, &[&ada])).await.id;
    }
    let own = world.list(ada.id, None, 1).await.unwrap().next_cursor.unwrap();
    let lobby = world.store.public_conversations(ada.id, "", None, 1).await.unwrap().next_cursor.unwrap();
    let long = "A".repeat(10_000);
    let bad = |result: &Result<(), StoreError>| matches!(result, Err(StoreError::BadCursor));
    for cursor in ["", "1", "null", "ä", "AAAA", "' or 1=1", &long] {
        assert!(bad(&world.list(ada.id, Some(cursor), 5).await.map(drop)), "{cursor}");
        assert!(bad(&world.store.public_conversations(ada.id, "", Some(cursor), 5).await.map(drop)), "{cursor}");
        assert!(bad(&world.store.participants(ada.id, group, "", Some(cursor), 5).await.map(drop)), "{cursor}");
    }
    assert!(bad(&world.list(ada.id, Some(&lobby), 5).await.map(drop)));
    assert!(bad(&world.store.public_conversations(ada.id, "", Some(&own), 5).await.map(drop)));
    assert!(bad(&world.store.participants(ada.id, group, "", Some(&own), 5).await.map(drop)));
    assert_eq!(world.list(ada.id, Some(&own), 5).await.unwrap().items.len(), 2);
}

/// Numbers from outside that no counter ever reaches.
pub async fn the_greatest_numbers_do_no_harm(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    world.send(group, &ada, "hello").await;
    for huge in [u64::MAX, u64::MAX - 1, i64::MAX as u64, i64::MAX as u64 + 1, u64::from(u32::MAX)] {
        assert_eq!(page(&world, &ada, group, HistoryWindow::Before(huge), 5).await, [1, 2]);
        assert_eq!(page(&world, &ada, group, HistoryWindow::After(huge), 5).await, Vec::<Seq>::new());
        let around = page(&world, &ada, group, HistoryWindow::Around(huge), 4).await;
        assert!(around.iter().all(|seq| *seq <= 2));
        for viewer in [None, Some(ada.id)] {
            let changes = world.store.changes(viewer, group, huge, 5).await.unwrap().unwrap();
            assert!(changes.changes.is_empty() && !changes.more);
            assert_eq!(changes.from, huge);
        }
        let feed = world.store.feed(ada.id, huge).await.unwrap();
        assert!(feed.items.is_empty());
        let marked = world.mark(ada.id, group, Mark::Delivered(huge)).await.unwrap();
        assert_eq!(marked.delivered_seq, 2);
        let marked = world.mark(ada.id, group, Mark::Read(huge)).await.unwrap();
        assert_eq!(marked.read_seq, 2);
    }
    assert_eq!(page(&world, &ada, group, HistoryWindow::Latest, u32::MAX).await, [1, 2]);
    assert_eq!(world.list(ada.id, None, u32::MAX).await.unwrap().items.len(), 1);
    assert_eq!(world.store.memberships(ada.id, u32::MAX).await.unwrap().items.len(), 1);
    assert_eq!(world.store.changes(None, group, 0, u32::MAX).await.unwrap().unwrap().changes.len(), 2);
}
