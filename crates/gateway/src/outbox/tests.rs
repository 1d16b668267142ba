//! What is dropped, what closes, and what wakes whom.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use proptest::prelude::*;

use super::*;

fn outbox(events: usize) -> Outbox {
    Outbox::new(OutboxLimits { bytes: 1_000, events })
}

#[test]
fn ephemeral_frames_go_first_and_durable_ones_never_silently() {
    let outbox = outbox(3);
    outbox.push("typing".into(), Class::Ephemeral);
    outbox.push("a".into(), Class::Durable);
    outbox.push("b".into(), Class::Durable);
    outbox.push("receipt".into(), Class::Ephemeral);
    outbox.push("c".into(), Class::Durable);
    let taken = outbox.take(usize::MAX);
    assert_eq!((taken.frames, taken.close), (vec!["a".into(), "b".into(), "c".into()], None));
    assert!(taken.is_all);
    assert_eq!(outbox.dropped(), 2);
}

#[test]
fn too_many_durable_frames_close_the_connection_with_a_resumable_code() {
    let outbox = outbox(2);
    for text in ["a", "b", "c", "d"] {
        outbox.push(text.into(), Class::Durable);
    }
    let taken = outbox.take(usize::MAX);
    assert_eq!((taken.frames, taken.close), (vec![], Some(CloseCode::SlowConsumer)));
    assert!(!taken.is_all, "what was dropped was not taken");
}

#[test]
fn bytes_are_bounded_too_but_one_large_frame_passes() {
    let outbox = outbox(100);
    outbox.push("x".repeat(5_000).into(), Class::Durable);
    assert_eq!(outbox.take(1).frames.len(), 1);
    for _ in 0..3 {
        outbox.push("x".repeat(500).into(), Class::Durable);
    }
    assert_eq!(outbox.take(usize::MAX).close, Some(CloseCode::SlowConsumer));
}

#[test]
fn a_large_page_for_who_has_room_does_not_end_them() {
    let outbox = outbox(10);
    outbox.push("connected".into(), Class::Durable);
    outbox.push("x".repeat(5_000).into(), Class::Durable);
    // Nor does what comes after it, written or not.
    outbox.push("reply".into(), Class::Durable);
    let taken = outbox.take(usize::MAX);
    assert_eq!((taken.frames.len(), taken.close), (3, None));
    outbox.push("event".into(), Class::Durable);
    outbox.push("event".into(), Class::Durable);
    assert_eq!(outbox.take(usize::MAX).close, None);
}

#[tokio::test]
async fn what_waited_before_a_close_is_written_first() {
    let outbox = outbox(10);
    outbox.push("bye".into(), Class::Durable);
    outbox.close(CloseCode::GoingAway);
    outbox.close(CloseCode::Internal);
    outbox.push("late".into(), Class::Durable);
    outbox.ready().await;
    let taken = outbox.take(usize::MAX);
    assert_eq!((taken.frames, taken.close), (vec!["bye".into()], Some(CloseCode::GoingAway)));
    assert!(!taken.is_all, "a frame came too late");
    assert_eq!(outbox.closed().await, CloseCode::GoingAway);
}

#[tokio::test]
async fn who_waits_for_room_gets_it_when_something_was_written_and_is_sent_home_at_the_end() {
    let outbox = Arc::new(outbox(10));
    outbox.push("x".repeat(600).into(), Class::Durable);
    let wait = || {
        let outbox = Arc::clone(&outbox);
        tokio::spawn(async move { outbox.room().await })
    };
    // Two of them: a wake-up must not be used up by the first.
    let (one, two) = (wait(), wait());
    tokio::task::yield_now().await;
    assert_eq!(outbox.take(usize::MAX).frames.len(), 1);
    tokio::task::yield_now().await;
    assert!(!one.is_finished() && !two.is_finished(), "what is being written still counts");
    outbox.written(true);
    assert!(one.await.unwrap() && two.await.unwrap());
    outbox.push("x".repeat(600).into(), Class::Durable);
    let overflowed = wait();
    tokio::task::yield_now().await;
    outbox.push("x".repeat(600).into(), Class::Durable);
    assert!(!overflowed.await.unwrap());
}

#[test]
fn who_waits_for_frames_is_woken_once_and_who_waits_for_the_end_by_nothing_else() {
    struct Count(AtomicUsize);
    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let outbox = outbox(10);
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let waker = Waker::from(Arc::clone(&count));
    let mut context = Context::from_waker(&waker);
    let woken = || count.0.swap(0, Ordering::SeqCst);

    assert!(!outbox.poll(&context).writes);
    outbox.push("a".into(), Class::Durable);
    outbox.push("b".into(), Class::Durable);
    assert_eq!(woken(), 1, "it has not come yet, and will find both");
    let waiting = outbox.poll(&context);
    assert!(waiting.writes && waiting.is_roomy);
    outbox.take(usize::MAX);

    let mut closed = pin!(outbox.closed());
    assert!(closed.as_mut().poll(&mut context).is_pending());
    outbox.push("c".into(), Class::Durable);
    assert_eq!(woken(), 0, "it writes, and comes back for this by itself");
    outbox.close(CloseCode::GoingAway);
    assert_eq!(woken(), 1);
    assert_eq!(closed.as_mut().poll(&mut context), Poll::Ready(CloseCode::GoingAway));
}

/// What somebody does with an outbox.
#[derive(Debug, Clone)]
enum Step {
    Push(usize, Class),
    Take(usize),
    Written,
}

fn step() -> impl Strategy<Value = Step> {
    let push = |class| (0..600_usize).prop_map(move |bytes| Step::Push(bytes, class));
    prop_oneof![
        6 => push(Class::Durable),
        3 => push(Class::Ephemeral),
        2 => (1..2_000_usize).prop_map(Step::Take),
        2 => Just(Step::Written),
    ]
}

proptest! {
    /// Durable frames come out in order and whole, or the connection ends with a code that resumes and what came
    /// out is a beginning of what was put in; the bounds hold at every moment; nothing durable is lost while
    /// something ephemeral waits.
    #[test]
    fn durable_frames_come_out_in_order_or_the_connection_is_closed(
        steps in proptest::collection::vec(step(), 0..300),
        bytes in 200..4_000_usize,
        events in 1..40_usize,
    ) {
        let limits = OutboxLimits { bytes, events };
        let outbox = Outbox::new(limits);
        let (mut put, mut taken, mut ephemeral) = (Vec::new(), Vec::new(), (0_u64, 0_u64));
        let mut number = 0;
        for step in steps {
            let was_open = outbox.state.lock().close.is_none();
            match step {
                Step::Push(size, class) => {
                    number += 1;
                    let kind = if class == Class::Durable { 'd' } else { 'e' };
                    let frame = format!("{kind}{number}:{}", "x".repeat(size));
                    if was_open {
                        if class == Class::Durable { put.push(frame.clone()) } else { ephemeral.0 += 1 }
                    }
                    outbox.push(frame.into(), class);
                }
                Step::Take(most) => {
                    for frame in outbox.take(most).frames {
                        if frame.starts_with('d') { taken.push(frame.to_string()) } else { ephemeral.1 += 1 }
                    }
                }
                Step::Written => drop(outbox.written(true)),
            }
            let state = outbox.state.lock();
            let waits: usize = state.queue.iter().map(|(frame, _)| limits.cost(frame)).sum();
            prop_assert_eq!(state.bytes, waits);
            prop_assert!(state.queue.len() <= events);
            // One frame may pass the bound, when half of it was free.
            let last = state.queue.back().map_or(0, |(frame, _)| limits.cost(frame));
            let before = waits - last;
            prop_assert!(waits <= bytes || before <= bytes / 2, "{} and {} of {}", before, last, bytes);
            if let Some(code) = state.close {
                prop_assert_eq!(code, CloseCode::SlowConsumer);
                prop_assert!(state.queue.is_empty(), "a closed outbox holds memory");
                if was_open {
                    // What did not fit was durable, and no ephemeral frame stood in its way.
                    prop_assert!(put.len() > taken.len());
                }
            }
        }
        let rest = outbox.take(usize::MAX);
        let is_closed = rest.close.is_some();
        for frame in rest.frames {
            if frame.starts_with('d') { taken.push(frame.to_string()) } else { ephemeral.1 += 1 }
        }
        if is_closed {
            prop_assert!(put.starts_with(&taken));
        } else {
            prop_assert_eq!(&taken, &put);
            prop_assert_eq!(outbox.dropped(), ephemeral.0 - ephemeral.1);
        }
    }
}
