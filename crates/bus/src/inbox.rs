//! The bounded queue between a bus and its one reader, for whoever implements [`Bus`](crate::Bus).
//!
//! Promises that nothing is dropped silently: after an event that found no room comes [`Incoming::Lost`], as
//! soon as there is room again. Does not wait: whoever puts events in is never held up by a slow reader.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc, mpsc::error::TrySendError},
    time::Instant,
};

use crate::Incoming;

/// Between two log lines about a reader that is too slow.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// The writing end; cheap to clone.
#[derive(Clone)]
pub struct Inbox {
    shared: Arc<Shared>,
}

struct Shared {
    queue: mpsc::Sender<Incoming>,
    /// The one reading end, until somebody takes it.
    reader: Mutex<Option<mpsc::Receiver<Incoming>>>,
    /// Something was dropped and the reader does not know yet: until it does, everything is dropped.
    owing: AtomicBool,
    owes: Notify,
    dropped: AtomicU64,
}

impl Inbox {
    /// An inbox for at most `capacity` events. Its task ends with the last clone.
    pub fn start(capacity: usize) -> Self {
        let (queue, reader) = mpsc::channel(capacity.max(1));
        let shared = Arc::new(Shared {
            queue,
            reader: Mutex::new(Some(reader)),
            owing: AtomicBool::new(false),
            owes: Notify::new(),
            dropped: AtomicU64::new(0),
        });
        Self { shared }
    }

    /// The reading end, once.
    pub fn take_reader(&self) -> Option<mpsc::Receiver<Incoming>> {
        self.shared.reader.lock().take()
    }

    /// Events that found no room.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    /// Hands an event to the reader, or drops it and owes them [`Incoming::Lost`].
    pub fn push(&self, event: Incoming) {
        if self.shared.owing.load(Ordering::SeqCst) || matches!(self.offer(event), Offered::Full) {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            self.owe();
        }
    }

    /// Tells the reader that something was lost, now or as soon as there is room.
    pub fn lost(&self) {
        if matches!(self.offer(Incoming::Lost), Offered::Full) {
            self.owe();
        }
    }

    fn offer(&self, event: Incoming) -> Offered {
        match self.shared.queue.try_send(event) {
            Err(TrySendError::Full(_)) => Offered::Full,
            // Closed: nobody reads any more, so that nothing is lost to anybody.
            Ok(()) | Err(TrySendError::Closed(_)) => Offered::Done,
        }
    }

    fn owe(&self) {
        if !self.shared.owing.swap(true, Ordering::SeqCst) {
            self.shared.owes.notify_one();
        }
    }

    /// Pays what is owed, for ever; the bus runs it beside its other work and drops it at its end.
    pub async fn pay(self) {
        let mut logged: Option<(Instant, u64)> = None;
        loop {
            self.shared.owes.notified().await;
            // A waiting permit is served before any `try_send`: `Lost` takes the first room there is.
            let Ok(room) = self.shared.queue.reserve().await else { return };
            // First the flag, then the event: what is dropped because of the flag was dropped before `Lost`.
            self.shared.owing.store(false, Ordering::SeqCst);
            room.send(Incoming::Lost);
            let dropped = self.dropped();
            if logged.is_none_or(|(at, _)| at.elapsed() > LOG_EVERY) {
                let before = logged.map_or(0, |(_, before)| before);
                tracing::warn!(dropped = dropped - before, "events came faster than they were read; some were dropped");
                logged = Some((Instant::now(), dropped));
            }
        }
    }
}

enum Offered {
    Done,
    Full,
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use protocol::ConversationId;

    use super::*;
    use crate::Topic;

    fn event(topic: Topic, n: u8) -> Incoming {
        Incoming::Event { topic, payload: Bytes::copy_from_slice(&[n]) }
    }

    #[tokio::test]
    async fn after_a_drop_comes_lost_before_anything_newer() {
        let inbox = Inbox::start(2);
        let mut reader = inbox.take_reader().unwrap();
        assert!(inbox.take_reader().is_none(), "there is one reader");
        let payer = tokio::spawn(inbox.clone().pay());
        let topic = Topic::Conversation(ConversationId::generate());
        for n in 0..5 {
            inbox.push(event(topic, n));
        }
        assert_eq!(reader.recv().await, Some(event(topic, 0)));
        assert_eq!(reader.recv().await, Some(event(topic, 1)));
        assert_eq!(reader.recv().await, Some(Incoming::Lost));
        inbox.push(event(topic, 9));
        assert_eq!(reader.recv().await, Some(event(topic, 9)));
        assert_eq!(inbox.dropped(), 3);
        payer.abort();
    }

    #[tokio::test]
    async fn lost_waits_for_room_too() {
        let inbox = Inbox::start(1);
        let mut reader = inbox.take_reader().unwrap();
        let payer = tokio::spawn(inbox.clone().pay());
        let topic = Topic::Conversation(ConversationId::generate());
        inbox.push(event(topic, 1));
        inbox.lost();
        assert_eq!(reader.recv().await, Some(event(topic, 1)));
        assert_eq!(reader.recv().await, Some(Incoming::Lost));
        payer.abort();
    }
}
