//! Receipts: how they are merged, over a store that only counts and on tokio's own time, which a busy machine does not
//! stretch; and what callers and listeners notice, over the real embedded store and the in-process bus.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bus::Topic;
use parking_lot::Mutex;
use protocol::{BulkRead, ConversationId, ConversationKind, ErrorCode, ReadItem, UserId};
use store::{MarkRow, Marked, Marks, StoreError};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{
    coalescer::{Coalescer, WAITING_MAX},
    merge::{Pace, WriteMarks},
};
use crate::{
    Caller,
    envelope::UserEvent,
    metrics::Metrics,
    testing::{World, code, field},
};

/// Nothing in these tests takes longer, unless it hangs.
const DEADLINE: Duration = Duration::from_secs(20);

/// Notes what is written when. It has no heads: a marker is where it was put.
#[derive(Clone, Default)]
struct Counting(Arc<Written>);

#[derive(Default)]
struct Written {
    calls: Mutex<Vec<(Instant, Vec<MarkRow>)>>,
    takes: Mutex<Duration>,
    fails: AtomicBool,
    flying: Mutex<HashSet<(UserId, ConversationId)>>,
}

#[async_trait]
impl WriteMarks for Counting {
    async fn write_marks(&self, rows: &[MarkRow]) -> store::Result<Marks> {
        let keys = || rows.iter().map(|row| (row.user_id, row.conversation_id));
        self.0.calls.lock().push((Instant::now(), rows.to_vec()));
        assert!(keys().all(|key| self.0.flying.lock().insert(key)), "a marker is written twice at once");
        let takes = *self.0.takes.lock();
        sleep(takes).await;
        keys().for_each(|key| assert!(self.0.flying.lock().remove(&key)));
        if self.0.fails.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("down".into()));
        }
        let marked = |row: &MarkRow| Marked {
            delivered_seq: row.delivered_seq.max(row.read_seq).unwrap_or_default(),
            read_seq: row.read_seq.unwrap_or_default(),
            read_number: row.read_seq.unwrap_or_default(),
            moved: true,
            participant_count: 2,
        };
        Ok(Marks { epoch: "e".into(), items: rows.iter().map(|row| Some(marked(row))).collect() })
    }
}

impl Counting {
    fn start(&self, window: Duration) -> Arc<Coalescer> {
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let pace = Pace { window, write_within: Duration::from_secs(3) };
        Arc::new(Coalescer::start(self.clone(), Arc::new(|_, _, _| {}), pace, &crate::Env::system(), metrics))
    }

    fn calls(&self) -> Vec<(Instant, Vec<MarkRow>)> {
        self.0.calls.lock().clone()
    }
}

fn read(user_id: UserId, conversation_id: ConversationId, seq: u64) -> MarkRow {
    MarkRow { user_id, conversation_id, delivered_seq: None, read_seq: Some(seq) }
}

async fn one(coalescer: &Coalescer, row: MarkRow) -> Marked {
    coalescer.mark(vec![row]).await.unwrap().pop().unwrap().unwrap()
}

const SHORT: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn a_burst_is_one_write_now_and_one_at_the_end_of_its_second() {
    let counting = Counting::default();
    let window = Duration::from_secs(1);
    let coalescer = counting.start(window);
    let (user, room) = (UserId::generate(), ConversationId::generate());
    assert_eq!(one(&coalescer, read(user, room, 1)).await.read_seq, 1);
    let mut marks = JoinSet::new();
    for seq in 2..=500 {
        let coalescer = Arc::clone(&coalescer);
        marks.spawn(async move { one(&coalescer, read(user, room, 502 - seq)).await });
    }
    let delivered = MarkRow { delivered_seq: Some(900), read_seq: None, ..read(user, room, 0) };
    let marked = one(&coalescer, delivered).await;
    assert_eq!((marked.read_seq, marked.delivered_seq), (500, 900), "the highest of each");
    assert!(marks.join_all().await.iter().all(|marked| marked.read_seq == 500));
    let calls = counting.calls();
    assert_eq!(calls.len(), 2);
    assert!(calls[1].0 - calls[0].0 >= window);
}

#[tokio::test(start_paused = true)]
async fn however_long_somebody_goes_on_there_is_one_write_in_each_window() {
    let counting = Counting::default();
    *counting.0.takes.lock() = SHORT / 3;
    let coalescer = counting.start(SHORT);
    let (user, room) = (UserId::generate(), ConversationId::generate());
    let mut marks = JoinSet::new();
    for seq in 1..=300 {
        let coalescer = Arc::clone(&coalescer);
        marks.spawn(async move { one(&coalescer, read(user, room, seq)).await });
        sleep(Duration::from_millis(2)).await;
    }
    assert!(marks.join_all().await.iter().any(|marked| marked.read_seq == 300));
    let calls = counting.calls();
    assert!(calls.len() > 3, "{} writes", calls.len());
    assert!(calls.windows(2).all(|pair| pair[1].0 - pair[0].0 >= SHORT));
    assert!(calls.windows(2).all(|pair| pair[1].1[0].read_seq > pair[0].1[0].read_seq));
}

#[tokio::test(start_paused = true)]
async fn a_conversation_does_not_wait_for_another_and_many_users_share_a_write() {
    let counting = Counting::default();
    let coalescer = counting.start(Duration::from_secs(1));
    let (user, room) = (UserId::generate(), ConversationId::generate());
    one(&coalescer, read(user, room, 1)).await;
    let waits = tokio::spawn({
        let coalescer = Arc::clone(&coalescer);
        async move { one(&coalescer, read(user, room, 2)).await }
    });
    tokio::task::yield_now().await;
    one(&coalescer, read(user, ConversationId::generate(), 7)).await;
    assert!(!waits.is_finished());
    assert_eq!(waits.await.unwrap().read_seq, 2);

    *counting.0.takes.lock() = SHORT;
    let before = counting.calls().len();
    let mut marks = JoinSet::new();
    for _ in 0..300 {
        let coalescer = Arc::clone(&coalescer);
        marks.spawn(async move { one(&coalescer, read(UserId::generate(), room, 3)).await });
    }
    marks.join_all().await;
    let calls = counting.calls().split_off(before);
    assert!(calls.len() <= 4, "300 users took {} writes", calls.len());
    assert_eq!(calls.iter().map(|(_, rows)| rows.len()).sum::<usize>(), 300);
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_is_told_to_all_who_wait_and_is_not_tried_again_at_once() {
    let counting = Counting::default();
    counting.0.fails.store(true, Ordering::Relaxed);
    let coalescer = counting.start(SHORT);
    let row = read(UserId::generate(), ConversationId::generate(), 1);
    let error = coalescer.mark(vec![row]).await.unwrap_err();
    assert_eq!((error.code, error.retry_after_ms.is_some()), (ErrorCode::Unavailable, true));
    counting.0.fails.store(false, Ordering::Relaxed);
    one(&coalescer, row).await;
    let calls = counting.calls();
    assert!(calls[1].0 - calls[0].0 >= SHORT);
    // A write that never ends is given up.
    *counting.0.takes.lock() = Duration::from_hours(1);
    assert_eq!(code(coalescer.mark(vec![row]).await), ErrorCode::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn at_the_end_what_waits_is_written_at_once_and_nothing_new_is_taken() {
    let counting = Counting::default();
    let coalescer = counting.start(Duration::from_hours(1));
    let (user, room) = (UserId::generate(), ConversationId::generate());
    one(&coalescer, read(user, room, 1)).await;
    let mut marks = JoinSet::new();
    for seq in 2..=9 {
        let coalescer = Arc::clone(&coalescer);
        marks.spawn(async move { one(&coalescer, read(user, room, seq)).await });
    }
    tokio::task::yield_now().await;
    timeout(DEADLINE, coalescer.shutdown()).await.expect("it did not end");
    assert!(marks.join_all().await.iter().all(|marked| marked.read_seq == 9));
    assert_eq!(counting.calls().len(), 2);
    let late = coalescer.mark(vec![read(user, room, 10)]).await.unwrap_err();
    assert_eq!((late.code, late.retry_after_ms.is_some()), (ErrorCode::Unavailable, true));
}

#[tokio::test(start_paused = true)]
async fn who_waits_is_bounded() {
    let counting = Counting::default();
    *counting.0.takes.lock() = Duration::from_secs(1);
    let coalescer = counting.start(SHORT);
    let rows = || (0..100).map(|_| read(UserId::generate(), ConversationId::generate(), 1)).collect::<Vec<_>>();
    let mut marks = JoinSet::new();
    for _ in 0..WAITING_MAX / 100 + 3 {
        let (coalescer, rows) = (Arc::clone(&coalescer), rows());
        marks.spawn(async move { coalescer.mark(rows).await.map(|marked| marked.len()) });
    }
    while counting.calls().len() < 2 {
        tokio::task::yield_now().await;
    }
    *counting.0.takes.lock() = Duration::ZERO;
    let answers = marks.join_all().await;
    let overloaded = |answer: &&crate::Result<usize>| {
        answer.as_ref().is_err_and(|error| error.code == ErrorCode::Overloaded && error.retry_after_ms.is_some())
    };
    assert_eq!(answers.iter().filter(overloaded).count(), 3);
    assert_eq!(coalescer.mark(rows()).await.unwrap().len(), 100, "there is room again");
}

// ---- over the real store

async fn group(world: &World, others: usize) -> (Caller, Vec<Caller>, ConversationId) {
    let ann = world.user("ann").await;
    let mut callers = Vec::new();
    for number in 0..others {
        callers.push(world.user(&format!("user-{number}")).await);
    }
    let room = world.room(ConversationKind::Group, &ann, &callers.iter().collect::<Vec<_>>()).await;
    (ann, callers, room)
}

#[tokio::test]
async fn five_hundred_marks_of_one_user_are_at_most_two_writes_and_two_events() {
    let mut world = World::start().await;
    let (ann, others, room) = group(&world, 1).await;
    for _ in 0..20 {
        world.say(&ann, room, "a").await;
    }
    world.listen(Topic::Conversation(room)).await;
    let (mut marks, start) = (JoinSet::new(), Instant::now());
    for number in 0..500 {
        let (chat, ben) = (world.chat.clone(), others[0].clone());
        marks.spawn(async move {
            let seq = number % 22;
            let receipt = if number % 2 == 0 {
                chat.mark_read(&ben, room, seq).await.unwrap()
            } else {
                chat.mark_delivered(&ben, room, seq).await.unwrap()
            };
            assert!(receipt.delivered_seq >= seq && receipt.delivered_seq >= receipt.read_seq);
        });
    }
    marks.join_all().await;
    let writes = world.chat.inner.receipts.metrics().receipt_writes.get();
    let most = 2 + start.elapsed().as_secs();
    assert!(writes <= most, "{writes} writes, at most {most} in this time");
    let mut last = 0;
    while last < 21 {
        let (event, frame) = world.heard_event().await;
        assert_eq!((event.seq, frame["type"].as_str()), (None, Some("receipt.updated")));
        let delivered = frame["data"]["delivered_seq"].as_u64().unwrap();
        assert!(delivered >= last, "markers never go back");
        last = delivered;
    }
}

#[tokio::test]
async fn many_conversations_are_marked_in_one_call_and_strangers_are_left_out() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let (mut rooms, mut items) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        rooms.push(world.room(ConversationKind::Group, &ann, &[]).await);
    }
    let eve = world.user("eve").await;
    let foreign = world.room(ConversationKind::Group, &eve, &[]).await;
    for room in rooms.iter().chain([&foreign]) {
        items.push(ReadItem { conversation_id: *room, seq: u64::MAX });
    }
    let receipts = world.chat.mark_many(&ann, BulkRead { items: items.clone() }).await.unwrap();
    assert_eq!(receipts.iter().map(|receipt| receipt.conversation_id).collect::<Vec<_>>(), rooms);
    assert!(receipts.iter().all(|receipt| receipt.read_seq == 1 && receipt.user_id == ann.user.id));
    assert_eq!(world.chat.inner.receipts.metrics().receipt_writes.get(), 1);

    for bad in [Vec::new(), vec![items[0], items[0]], vec![items[0]; 101]] {
        assert_eq!(field(world.chat.mark_many(&ann, BulkRead { items: bad }).await), "items");
    }
    assert_eq!(code(world.chat.mark_read(&ann, foreign, 1).await), ErrorCode::NotFound);
    let public = world.room(ConversationKind::Public, &eve, &[]).await;
    assert_eq!(code(world.chat.mark_delivered(&ann, public, 1).await), ErrorCode::NotAParticipant);
}

#[tokio::test]
async fn above_a_hundred_only_the_readers_own_devices_hear_and_delivered_is_not_kept() {
    let mut world = World::start().await;
    let (_, others, room) = group(&world, 100).await;
    let ben = &others[0];
    world.listen(Topic::Conversation(room)).await;
    world.listen(Topic::User(ben.user.id)).await;
    let head = world.say(&others[1], room, "a").await.seq;
    // What the making of the group says on ben's topic may come late.
    while world.heard().await.0 != Topic::Conversation(room) {}
    let joined = world.chat.mark_delivered(ben, room, head).await.unwrap();
    assert!(joined.delivered_seq < head, "{joined:?}");
    let receipt = world.chat.mark_read(ben, room, head).await.unwrap();
    assert_eq!((receipt.read_seq, receipt.delivered_seq), (head, head));
    let frame = loop {
        let (topic, payload) = world.heard().await;
        assert_eq!(topic, Topic::User(ben.user.id), "nobody else hears");
        if let UserEvent::Frame { frame, .. } = UserEvent::decode(&payload).unwrap() {
            break frame;
        }
    };
    let frame: serde_json::Value = serde_json::from_slice(&frame).unwrap();
    assert_eq!((&frame["type"], &frame["data"]["read_seq"]), (&"receipt.updated".into(), &head.into()));
}

#[tokio::test]
async fn a_node_that_ends_writes_the_marks_that_wait() {
    let world = World::start().await;
    let (ann, others, room) = group(&world, 1).await;
    let head = world.say(&ann, room, "a").await.seq;
    world.chat.mark_read(&others[0], room, 1).await.unwrap();
    let (chat, ben) = (world.chat.clone(), others[0].clone());
    let waits = tokio::spawn(async move { chat.mark_read(&ben, room, head).await });
    tokio::task::yield_now().await;
    timeout(DEADLINE, world.chat.shutdown()).await.expect("it did not end");
    assert_eq!(waits.await.unwrap().unwrap().read_seq, head);
}
