//! Commands that wait for their answer: messages until they have one, however often the connection breaks; others once.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::OwnedSemaphorePermit;

use crate::ledger::{Key, Room};

/// A message that is under way.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) room: Arc<Room>,
    pub(super) key: Key,
    pub(super) client_id: String,
    pub(super) content: String,
    /// Given back with the message, however it ends.
    pub(super) _permit: Option<OwnedSemaphorePermit>,
}

/// A command without an answer.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) intended: u64,
    /// None: a command that is not said again.
    pub(super) message: Option<Message>,
    /// When it is said again if nothing comes; none: it waits for a connection.
    again: Option<Instant>,
}

/// All of a device, by the number that is their `ref`.
#[derive(Debug, Default)]
pub(super) struct Pending {
    next: u64,
    waiting: HashMap<u64, Waiting>,
}

impl Pending {
    /// A message is said now: its `ref`.
    pub(super) fn message(&mut self, intended: u64, message: Message, patience: Duration) -> (u64, &Message) {
        let reference = self.command(intended, patience);
        let waiting = self.waiting.entry(reference).or_insert_with(|| unreachable!("it was put there just now"));
        (reference, waiting.message.insert(message))
    }

    /// Another command is said now: its `ref`.
    pub(super) fn command(&mut self, intended: u64, patience: Duration) -> u64 {
        self.next += 1;
        let again = Some(Instant::now() + patience);
        self.waiting.insert(self.next, Waiting { intended, message: None, again });
        self.next
    }

    /// Messages that wait.
    pub(super) fn messages(&self) -> usize {
        self.waiting.values().filter(|waiting| waiting.message.is_some()).count()
    }

    /// Nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// It is answered, one way or the other.
    pub(super) fn answered(&mut self, reference: u64) -> Option<Waiting> {
        self.waiting.remove(&reference)
    }

    /// It was refused for now: it is said again after that time.
    pub(super) fn later(&mut self, reference: u64, mut what: Waiting, after: Duration) {
        what.again = Some(Instant::now() + after);
        self.waiting.insert(reference, what);
    }

    /// The connection is gone: messages are said again on the next one, other commands are forgotten. How many were.
    pub(super) fn broken(&mut self) -> usize {
        let before = self.waiting.len();
        self.waiting.retain(|_, waiting| waiting.message.is_some());
        for waiting in self.waiting.values_mut() {
            waiting.again = None;
        }
        before - self.waiting.len()
    }

    /// What is to be said again now, in the order in which it was said first. `live`: also what waited for a
    /// connection. Commands that are no messages and got no answer are given up: how many.
    pub(super) fn due(&mut self, patience: Duration, live: bool) -> (Vec<(u64, &Message)>, usize) {
        let now = Instant::now();
        let before = self.waiting.len();
        let due = |waiting: &Waiting| waiting.again.map_or(live, |again| again <= now);
        self.waiting.retain(|_, waiting| waiting.message.is_some() || !due(waiting));
        let given_up = before - self.waiting.len();
        let mut again = Vec::new();
        for (reference, waiting) in &mut self.waiting {
            if due(waiting) {
                waiting.again = Some(now + patience);
                again.extend(waiting.message.as_ref().map(|message| (*reference, message)));
            }
        }
        again.sort_unstable_by_key(|(reference, _)| *reference);
        (again, given_up)
    }
}
