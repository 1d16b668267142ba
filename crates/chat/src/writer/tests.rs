//! The writer over the real embedded store and the in-process bus.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU32, Ordering},
};

use async_trait::async_trait;
use protocol::{ConversationId, ConversationKind, HistoryWindow, MessageId, UserId};
use store::{Committed, Decide, Scope, Store, StoreError};
use tokio::task::JoinSet;

use super::{
    commit::{Commit, Committer},
    *,
};
use crate::{
    Caller, Env, WriterConfig,
    change::{Kind, NewMessage},
    fingerprint,
    mentions::Mentions,
    testing::{World, code, text},
};

fn send(conversation: ConversationId, actor: UserId, content: &str) -> Request {
    let fingerprint = fingerprint::send(&text(content, None)).unwrap();
    let new = NewMessage { content: content.into(), fingerprint, ..NewMessage::default() };
    Request::new(conversation, actor, Kind::Send(Box::new(new)))
}

async fn group(world: &World) -> (Caller, Caller, ConversationId) {
    let (ann, ben) = (world.user("ann").await, world.user("ben").await);
    let room = world.room(ConversationKind::Group, &ann, &[&ben]).await;
    (ann, ben, room)
}

#[tokio::test]
async fn what_many_send_at_once_is_committed_in_few_batches_with_dense_places() {
    let world = World::start().await;
    let (ann, ben, room) = group(&world).await;
    let mut sends = JoinSet::new();
    for number in 0..200 {
        let (chat, who) = (world.chat.clone(), if number % 2 == 0 { ann.clone() } else { ben.clone() });
        sends.spawn(async move { chat.send(&who, room, text(&format!("{number}"), None)).await.unwrap().0 });
    }
    let sent = sends.join_all().await;
    let places: BTreeSet<_> = sent.iter().map(|message| message.seq).collect();
    assert!(places.iter().copied().eq(2..=201), "{places:?}");
    let numbers: BTreeSet<_> = sent.iter().map(|message| message.number).collect();
    assert!(numbers.iter().copied().eq(1..=200), "{numbers:?}");
    let batches = world.chat.inner.writer.metrics.batch_size.get_sample_count();
    assert!(batches < 100, "200 changes took {batches} batches");
    let page = world.chat.history(&ben, room, HistoryWindow::Latest, Some(100)).await.unwrap();
    assert_eq!(page.items.last().map(|message| message.seq), Some(201));
}

#[tokio::test]
async fn one_message_that_cannot_be_stored_fails_alone() {
    let world = World::start().await;
    let (ann, _, room) = group(&world).await;
    let taken = world.say(&ann, room, "first").await.id;
    let mut sends = JoinSet::new();
    for number in 0..60 {
        let mut request = send(room, ann.user.id, &format!("{number}"));
        if number == 37 {
            // The database refuses a second message of one id.
            request.message_id = taken;
        }
        let chat = world.chat.clone();
        sends.spawn(async move { (number, chat.inner.writer.submit(request).await) });
    }
    for (number, answer) in sends.join_all().await {
        assert_eq!(answer.is_err(), number == 37, "{number}: {answer:?}");
    }
    let page = world.chat.history(&ann, room, HistoryWindow::Latest, Some(100)).await.unwrap();
    assert_eq!(page.items.last().map(|message| (message.seq, message.number)), Some((61, 60)));
}

#[tokio::test]
async fn one_client_id_sent_many_times_at_once_is_one_message() {
    let world = World::start().await;
    let (ann, _, room) = group(&world).await;
    let mut sends = JoinSet::new();
    for _ in 0..30 {
        let (chat, ann) = (world.chat.clone(), ann.clone());
        sends.spawn(async move { chat.send(&ann, room, text("once", Some("c-1"))).await.unwrap() });
    }
    let answers = sends.join_all().await;
    assert_eq!(answers.iter().filter(|(_, new)| *new).count(), 1);
    let ids: BTreeSet<_> = answers.iter().map(|(message, _)| message.id).collect();
    assert_eq!(ids.len(), 1);
    let other = world.chat.send(&ann, room, text("twice", Some("c-1"))).await;
    assert_eq!(code(other), ErrorCode::IdempotencyConflict);
    assert_eq!(world.say(&ann, room, "next").await.seq, 3, "a duplicate takes no place");
}

#[tokio::test]
async fn every_change_is_published_in_order_and_a_removal_says_who_is_out() {
    let mut world = World::start().await;
    let (ann, ben, room) = group(&world).await;
    world.listen(Topic::Conversation(room)).await;
    let message = world.say(&ben, room, "a").await;
    world.chat.edit(&ben, message.id, protocol::EditMessage { content: "b".into(), mentions: None }).await.unwrap();
    world.chat.delete(&ann, message.id).await.unwrap();
    world.chat.remove_participant(&ann, room, ben.user.id).await.unwrap();
    let expected = [("message.created", 2), ("message.updated", 2), ("message.deleted", 2), ("message.created", 5)];
    for (seq, (kind, place)) in (2..).zip(expected) {
        let (event, frame) = world.heard_event().await;
        assert_eq!((event.seq, event.place), (Some(seq), Some(place)), "{frame}");
        assert_eq!((frame["type"].as_str(), frame["seq"].as_u64()), (Some(kind), Some(seq)));
        assert_eq!(frame["conversation_id"], room.to_string());
        assert_eq!(event.removed, if seq == 5 { vec![ben.user.id] } else { Vec::new() });
    }
}

#[tokio::test]
async fn a_retry_publishes_its_message_again() {
    let mut world = World::start().await;
    let (ann, _, room) = group(&world).await;
    world.listen(Topic::Conversation(room)).await;
    for _ in 0..2 {
        world.chat.send(&ann, room, text("a", Some("1"))).await.unwrap();
        let (event, frame) = world.heard_event().await;
        assert_eq!((event.seq, frame["data"]["content"].as_str()), (Some(2), Some("a")));
    }
}

#[tokio::test]
async fn beyond_the_queue_a_change_is_refused_with_a_time_to_try_again() {
    let world = World::with_writer(WriterConfig { lanes: 1, max_batch: 1, queue: 3, remembered: 10 }).await;
    let (ann, _, room) = group(&world).await;
    // On one thread all of them are queued before the lane runs.
    let requests = (0..8).map(|number| send(room, ann.user.id, &format!("{number}")));
    let mut answers = JoinSet::new();
    for request in requests {
        let chat = world.chat.clone();
        answers.spawn(async move { chat.inner.writer.submit(request).await });
    }
    let answers = answers.join_all().await;
    let refused: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(!refused.is_empty() && refused.len() <= 5, "{answers:?}");
    for error in &refused {
        assert_eq!((error.code, error.retry_after_ms), (ErrorCode::Overloaded, Some(OVERLOADED_RETRY_MS)));
    }
    let committed = (answers.len() - refused.len()) as u64;
    assert_eq!(world.say(&ann, room, "after").await.number, committed + 1);
    assert_eq!(world.chat.inner.writer.metrics.queue.get(), 0);
}

#[tokio::test]
async fn at_the_end_what_was_taken_is_committed_and_published_and_new_changes_are_refused() {
    let mut world = World::start().await;
    let (ann, _, room) = group(&world).await;
    world.listen(Topic::Conversation(room)).await;
    let mut sends = JoinSet::new();
    for number in 0..20 {
        let request = send(room, ann.user.id, &format!("{number}"));
        let chat = world.chat.clone();
        sends.spawn(async move { chat.inner.writer.submit(request).await });
    }
    tokio::task::yield_now().await;
    tokio::time::timeout(Duration::from_secs(20), world.chat.shutdown()).await.expect("the writer did not end");
    let answers = sends.join_all().await;
    assert!(answers.iter().all(std::result::Result::is_ok), "{answers:?}");
    for seq in 2..22 {
        assert_eq!(world.heard_event().await.0.seq, Some(seq));
    }
    let late = world.chat.send(&ann, room, text("late", None)).await.unwrap_err();
    assert_eq!((late.code, late.retry_after_ms.is_some()), (ErrorCode::Unavailable, true));
}

#[tokio::test]
async fn without_a_store_a_change_is_unavailable_and_the_lane_goes_on() {
    let world = World::start().await;
    let (ann, _, room) = group(&world).await;
    world.store.close().await;
    for _ in 0..2 {
        let error = world.chat.inner.writer.submit(send(room, ann.user.id, "a")).await.unwrap_err();
        assert_eq!((error.code, error.retry_after_ms.is_some()), (ErrorCode::Unavailable, true), "{error:?}");
    }
}

/// The real store, but the answers of its next commits are lost.
struct LosesAnswers {
    store: Arc<dyn Store>,
    left: AtomicU32,
}

#[async_trait]
impl Commit for LosesAnswers {
    async fn commit(&self, scope: &Scope, decide: Decide<'_>) -> store::Result<Committed> {
        let committed = self.store.change(scope, decide).await?;
        if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
            return Err(StoreError::Unavailable("the connection was lost after the commit".into()));
        }
        Ok(committed)
    }
}

/// Commits these as one batch whose first `lost` answers are lost.
async fn commit(world: &World, lost: u32, requests: Vec<Request>) -> Vec<Result<Done>> {
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let tasks = TaskTracker::new();
    let journal = Arc::new(Journal::remembering(10));
    let committer = Committer {
        lane: 0,
        journal: Arc::clone(&journal),
        store: Arc::new(LosesAnswers { store: Arc::clone(&world.store), left: AtomicU32::new(lost) }),
        env: Env::system(),
        limits: Arc::new(protocol::Limits::default()),
        publisher: Publisher::start(
            Arc::clone(&world.bus),
            &journal,
            metrics.clone(),
            &Env::system(),
            &Arc::new(Outage::new(QUIET)),
            &tasks,
            None,
        ),
        metrics,
        outage: Arc::new(Outage::new(QUIET)),
    };
    let (jobs, answers): (Vec<_>, Vec<_>) = requests
        .into_iter()
        .map(|request| {
            let (reply, answer) = oneshot::channel();
            (Job { request, reply, queued_at: Instant::now(), trace: None, _place: None }, answer)
        })
        .unzip();
    committer.commit(jobs).await;
    let mut done = Vec::new();
    for answer in answers {
        done.push(answer.await.unwrap());
    }
    done
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_not_done_twice() {
    let world = World::start().await;
    let (ann, ben, room) = group(&world).await;
    let (cat, title) = (world.user("cat").await, Some("renamed".to_owned()));
    let (old, liked) = (world.say(&ann, room, "old").await, world.say(&ann, room, "liked").await);
    let patch = protocol::ConversationPatch { title, ..protocol::ConversationPatch::default() };
    let of_ann = |kind| Request::new(room, ann.user.id, kind);
    let requests = vec![
        send(room, ann.user.id, "a"),
        send(room, ben.user.id, "b"),
        of_ann(Kind::Delete { message: old.id }),
        of_ann(Kind::Update { patch }),
        of_ann(Kind::RemoveParticipant { user: ben.user.id }),
        of_ann(Kind::AddParticipants { users: vec![cat.user.id] }),
        of_ann(Kind::React { message: liked.id, emoji: "👍".into(), add: true }),
        of_ann(Kind::Pin { message: liked.id, pinned: true }),
    ];
    let ids: Vec<MessageId> = requests.iter().map(|request| request.message_id).collect();
    let answers = commit(&world, 1, requests).await;
    for (number, answer) in answers.iter().enumerate() {
        let done = answer.as_ref().unwrap();
        let message = done.message.as_ref().unwrap();
        let changed = match number {
            2 => Some(old.id),
            6 | 7 => Some(liked.id),
            _ => None,
        };
        assert_eq!((message.id, done.new), (changed.unwrap_or(ids[number]), changed.is_none()), "{number}");
    }
    let history = world.chat.history(&ann, room, HistoryWindow::Latest, None).await.unwrap();
    assert_eq!(history.items.last().map(|message| message.seq), Some(9));
    assert_eq!(history.items.len(), 8, "seq 6 is the deletion, not a message of its own");
    let liked = world.chat.message(&ann, liked.id).await.unwrap();
    assert_eq!((liked.changed_seq, liked.reactions[0].count, liked.pinned_at.is_some()), (11, 1, true));
}

#[tokio::test]
async fn two_changes_of_one_message_in_one_batch_are_two_events_each_in_its_own_state() {
    let mut world = World::start().await;
    let (ann, _, room) = group(&world).await;
    let old = world.say(&ann, room, "a").await;
    world.listen(Topic::Conversation(room)).await;
    let of_ann = |kind| Request::new(room, ann.user.id, kind);
    let edit =
        |content: &str| of_ann(Kind::Edit { message: old.id, content: content.into(), mentions: Mentions::default() });
    let like = of_ann(Kind::React { message: old.id, emoji: "👍".into(), add: true });
    let batch = vec![edit("b"), like, edit("c"), of_ann(Kind::Delete { message: old.id })];
    let answers = commit(&world, 0, batch).await;
    let expected = [
        ("message.updated", "b", 0),
        ("reaction.added", "b", 1),
        ("message.updated", "c", 1),
        ("message.deleted", "", 0),
    ];
    for ((seq, answer), (kind, content, reactions)) in (3..).zip(answers).zip(expected) {
        let message = answer.unwrap().message.unwrap();
        let state = (message.changed_seq, message.content.as_str(), message.reactions.len());
        assert_eq!(state, (seq, content, reactions));
        let (event, mut frame) = world.heard_event().await;
        assert_eq!((event.seq, frame["type"].as_str()), (Some(seq), Some(kind)));
        let reaction = frame["data"].as_object_mut().unwrap().remove("reaction");
        assert_eq!(reaction.is_some(), kind == "reaction.added");
        assert_eq!(frame["data"], serde_json::to_value(&message).unwrap());
    }
}

#[tokio::test]
async fn when_answers_stay_lost_the_callers_hear_unavailable_and_their_retry_finds_the_message() {
    let world = World::start().await;
    let (ann, _, room) = group(&world).await;
    let mut request = send(room, ann.user.id, "a");
    if let Kind::Send(new) = &mut request.kind {
        new.client_id = Some("c-1".into());
    }
    let answers = commit(&world, 99, vec![request.clone(), send(room, ann.user.id, "b")]).await;
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!((error.code, error.retry_after_ms.is_some()), (ErrorCode::Unavailable, true));
    }
    let (found, new) = world.chat.send(&ann, room, text("a", Some("c-1"))).await.unwrap();
    assert_eq!((found.id, new), (request.message_id, false));
}

/// A store that takes a tenth of a second to refuse one change.
struct Slow;

#[async_trait]
impl Commit for Slow {
    async fn commit(&self, _: &Scope, _: Decide<'_>) -> store::Result<Committed> {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Err(StoreError::Refused("slow".into()))
    }
}

/// One lane over it.
fn slow_writer(metrics: &Metrics) -> Writer {
    let (env, tasks) = (Env::system(), TaskTracker::new());
    let bus: Arc<dyn bus::Bus> = Arc::new(bus::local::LocalBus::start());
    let (closing, closed) = watch::channel(false);
    let silence = Arc::new(Outage::new(QUIET));
    let journal = Arc::new(Journal::remembering(10));
    let publisher = Publisher::start(bus, &journal, metrics.clone(), &env, &silence, &tasks, None);
    let places = Places::new(1, 1);
    let (sender, receiver) = mpsc::channel(100);
    let lane = Lane {
        number: 0,
        store: Arc::new(Slow),
        env: env.clone(),
        limits: Arc::new(protocol::Limits::default()),
        places: Arc::clone(&places),
        publisher: publisher.clone(),
        max_batch: 1,
        metrics: metrics.clone(),
        journal: Arc::clone(&journal),
        outage: silence,
    };
    env.spawn(tasks.track_future(lane.run(receiver, closed)));
    let metrics = metrics.clone();
    Writer { lanes: vec![sender], places, full: 1, aside: publisher, closing, tasks, journal, env, metrics }
}

#[tokio::test(start_paused = true)]
async fn where_more_comes_than_can_be_written_who_would_only_wait_is_refused_at_once_until_it_is_over() {
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let writer = Arc::new(slow_writer(&metrics));
    let (room, ann) = (ConversationId::generate(), UserId::generate());
    let submit = || {
        let (writer, request) = (Arc::clone(&writer), send(room, ann, "a"));
        async move { writer.submit(request).await.unwrap_err() }
    };
    let mut burst = JoinSet::new();
    (0..20).for_each(|_| drop(burst.spawn(submit())));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(metrics.congested.get(), 1);
    let asked = Instant::now();
    let error = submit().await;
    assert_eq!((error.code, asked.elapsed()), (ErrorCode::Overloaded, Duration::ZERO));
    assert!(error.retry_after_ms.is_some_and(|after| (1_000..3_000).contains(&after)), "{error:?}");
    // What was accepted is written, each in its turn.
    assert!(burst.join_all().await.iter().all(|error| error.code != ErrorCode::Overloaded));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_ne!(submit().await.code, ErrorCode::Overloaded);
    assert_eq!(metrics.congested.get(), 0);
}
