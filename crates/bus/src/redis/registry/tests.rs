//! The registry by itself: one lane, then topics that follow their slots.

use protocol::ConversationId;

use super::*;

const LINGER: Duration = Duration::from_secs(5);

const LANE: Lane = 7;

fn registry(linger: Duration) -> Registry {
    let mut registry = Registry::new(linger, 200, "test:".into());
    assert_eq!(registry.place(vec![Some(LANE)]), 0);
    registry
}

fn confirm(registry: &mut Registry, batch: &Batch) {
    match batch {
        Batch::Subscribe(topics) => registry.subscribed(LANE, topics),
        Batch::Unsubscribe(topics) => assert_eq!(registry.unsubscribed(LANE, topics), 0),
    }
}

fn topics(n: usize) -> Vec<Topic> {
    (0..n).map(|_| Topic::Conversation(ConversationId::generate())).collect()
}

fn acquire(registry: &mut Registry, topics: &[Topic]) -> oneshot::Receiver<()> {
    let (done, wait) = oneshot::channel();
    registry.acquire(topics, done);
    wait
}

/// Confirms command after command until there is nothing to do.
fn settle(registry: &mut Registry, now: Instant) -> Vec<Batch> {
    std::iter::from_fn(|| {
        let batch = registry.next(LANE, now)?;
        confirm(registry, &batch);
        Some(batch)
    })
    .collect()
}

#[test]
fn calls_that_wait_together_share_commands_of_bounded_size() {
    let mut registry = registry(LINGER);
    let names = topics(500);
    let mut waits: Vec<_> = names.iter().map(|topic| acquire(&mut registry, &[*topic])).collect();
    let sizes: Vec<usize> = settle(&mut registry, Instant::now())
        .iter()
        .map(|batch| match batch {
            Batch::Subscribe(topics) => topics.len(),
            Batch::Unsubscribe(_) => panic!("nothing was released"),
        })
        .collect();
    assert_eq!(sizes, [200, 200, 100]);
    assert!(waits.iter_mut().all(|wait| wait.try_recv().is_ok()));
}

#[test]
fn a_topic_is_unsubscribed_when_its_last_reference_has_been_gone_for_the_linger() {
    let mut registry = registry(LINGER);
    let name = topics(1);
    let start = Instant::now();
    let _wait = (acquire(&mut registry, &name), acquire(&mut registry, &name));
    settle(&mut registry, start);
    registry.release(&name, start);
    assert_eq!(registry.next_linger(), None, "one reference is left");
    registry.release(&name, start);
    registry.release(&name, start);
    assert_eq!(registry.next(LANE, start + LINGER / 2), None);
    // Needed again in between, and released again: the linger starts anew.
    assert!(acquire(&mut registry, &name).try_recv().is_ok(), "it is warm");
    registry.release(&name, start + LINGER / 2);
    assert_eq!(registry.next(LANE, start + LINGER), None);
    assert_eq!(settle(&mut registry, start + LINGER * 2), [Batch::Unsubscribe(name)]);
    assert_eq!(registry.len(), 0);
}

#[test]
fn needed_again_while_the_unsubscribe_is_under_way() {
    let mut registry = registry(Duration::ZERO);
    let name = topics(1);
    let now = Instant::now();
    drop(acquire(&mut registry, &name));
    settle(&mut registry, now);
    registry.release(&name, now);
    let under_way = registry.next(LANE, now).unwrap();
    let mut wait = acquire(&mut registry, &name);
    confirm(&mut registry, &under_way);
    assert!(wait.try_recv().is_err(), "it is off now");
    assert_eq!(settle(&mut registry, now), [Batch::Subscribe(name)]);
    assert!(wait.try_recv().is_ok());
}

#[test]
fn after_a_disconnect_everything_that_is_referred_to_is_wanted_again() {
    let mut registry = registry(LINGER);
    let names = topics(3);
    let now = Instant::now();
    drop(acquire(&mut registry, &names));
    settle(&mut registry, now);
    registry.release(&names[..1], now);
    let mut during = acquire(&mut registry, &names[1..2]);
    assert!(during.try_recv().is_ok());
    registry.disconnected(LANE);
    registry.connected(LANE);
    assert_eq!(registry.owed(), 2);
    let mut after = acquire(&mut registry, &names[1..2]);
    assert!(after.try_recv().is_err());
    let batches = settle(&mut registry, now);
    let [Batch::Subscribe(again)] = batches.as_slice() else { panic!("{batches:?}") };
    assert_eq!(again.len(), 2);
    assert!(after.try_recv().is_ok());
}

#[test]
fn a_call_that_gave_up_is_remembered_and_nobody_waits_for_ever() {
    let mut registry = registry(LINGER);
    let names = topics(2);
    let now = Instant::now();
    drop(acquire(&mut registry, &names[..1]));
    let mut wait = acquire(&mut registry, &names[1..]);
    registry.release(&names[1..], now);
    settle(&mut registry, now);
    assert!(wait.try_recv().is_ok(), "released by somebody else before it was subscribed");
    assert!(registry.take_gave_up());
    assert!(!registry.take_gave_up());
}

/// Half of the slots on each of two lanes.
fn halves(first: Option<Lane>, second: Option<Lane>) -> Vec<Option<Lane>> {
    (0..slot::SLOTS).map(|slot| if slot < slot::SLOTS / 2 { first } else { second }).collect()
}

/// Confirms command after command of a lane; the topics that it subscribed.
fn subscribe_all(registry: &mut Registry, lane: Lane) -> Vec<Topic> {
    let mut all = Vec::new();
    while let Some(Batch::Subscribe(topics)) = registry.next(lane, Instant::now()) {
        registry.subscribed(lane, &topics);
        all.extend(topics);
    }
    all
}

#[test]
fn topics_are_on_the_lane_of_their_slot_and_follow_it() {
    let mut registry = Registry::new(LINGER, 200, "test:".into());
    let names = topics(400);
    let mut wait = acquire(&mut registry, &names);
    // Nobody knows yet where anything is.
    assert_eq!(registry.next(1, Instant::now()), None);
    assert_eq!(registry.place(halves(Some(1), Some(2))), 0);
    assert_eq!(registry.owed(), 400);
    let (one, two) = (subscribe_all(&mut registry, 1), subscribe_all(&mut registry, 2));
    assert!(one.len() > 100 && two.len() > 100 && one.len() + two.len() == 400);
    let slot = |topic: &Topic| slot::of(format!("test:{topic}").as_bytes());
    assert!(one.iter().all(|topic| slot(topic) < slot::SLOTS / 2));
    assert_eq!(registry.owed(), 0);
    assert!(wait.try_recv().is_ok(), "one call, two lanes");

    // A third takes over from the first; the second notices nothing.
    assert_eq!(registry.place(halves(Some(3), Some(2))), one.len());
    assert_eq!(registry.owed(), one.len());
    assert_eq!(registry.next(2, Instant::now()), None);
    registry.subscribed(1, &one);
    assert_eq!(registry.owed(), one.len(), "the old lane is not heard any more");
    assert_eq!(subscribe_all(&mut registry, 3).len(), one.len());
    assert_eq!(registry.owed(), 0);
    assert_eq!(registry.place(halves(Some(3), Some(2))), 0, "nothing moved");
}

#[test]
fn what_the_server_ends_unasked_is_wanted_again_and_owed() {
    let mut registry = registry(LINGER);
    let names = topics(3);
    let now = Instant::now();
    drop(acquire(&mut registry, &names));
    settle(&mut registry, now);
    registry.release(&names[2..], now);
    // The third was lingering: its end is no loss.
    assert_eq!(registry.unsubscribed(LANE, &names), 2);
    assert_eq!((registry.owed(), registry.len()), (2, 2));
    assert_eq!(registry.unsubscribed(LANE, &names), 0, "told twice");
    // The slot has no server for a while.
    registry.place(vec![None]);
    assert_eq!(registry.next(LANE, now), None);
    registry.release(&names[..1], now);
    assert_eq!(registry.next(LANE, now + LINGER), None);
    assert_eq!(registry.owed(), 1, "nobody needs the first any more");
    registry.place(vec![Some(LANE)]);
    assert_eq!(settle(&mut registry, now), [Batch::Subscribe(vec![names[1]])]);
    assert_eq!(registry.owed(), 0);
}

#[test]
fn a_topic_that_is_released_while_it_is_subscribed_is_given_up_in_the_end() {
    let mut registry = registry(Duration::ZERO);
    let name = topics(1);
    let now = Instant::now();
    drop(acquire(&mut registry, &name));
    let under_way = registry.next(LANE, now).unwrap();
    registry.release(&name, now);
    assert_eq!(registry.next(LANE, now), None, "one command at a time");
    confirm(&mut registry, &under_way);
    let later = now + Duration::from_secs(1);
    assert_eq!(settle(&mut registry, later), [Batch::Unsubscribe(name)]);
    assert_eq!(registry.len(), 0);
}

#[test]
fn what_is_confirmed_where_nobody_needs_it_any_more_is_left_again() {
    let mut registry = registry(LINGER);
    let name = topics(1);
    let now = Instant::now();
    drop(acquire(&mut registry, &name));
    let under_way = registry.next(LANE, now).unwrap();
    registry.release(&name, now);
    // Its slot goes elsewhere and comes back before the server looks at the command.
    registry.place(vec![Some(LANE + 1)]);
    registry.place(vec![Some(LANE)]);
    assert_eq!(registry.len(), 0);
    confirm(&mut registry, &under_way);
    assert_eq!(settle(&mut registry, now), [Batch::Unsubscribe(name)]);
}
