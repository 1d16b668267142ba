//! Deadlines that all lie equally far ahead, so that a queue keeps them in order without a heap or a timer each.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// What falls due, in order.
#[derive(Debug)]
pub(super) struct Deadlines<T> {
    after: Duration,
    queue: VecDeque<(Instant, T)>,
}

impl<T> Deadlines<T> {
    pub(super) fn new(after: Duration) -> Self {
        Self { after, queue: VecDeque::new() }
    }

    /// It falls due after the time that was set.
    pub(super) fn push(&mut self, now: Instant, what: T) {
        self.queue.push_back((now + self.after, what));
    }

    /// How long until something falls due.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.queue.front().map(|(due, _)| due.saturating_duration_since(now))
    }

    /// Something that is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<T> {
        self.queue.pop_front_if(|(due, _)| *due <= now).map(|(_, what)| what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_fall_due_in_order_and_not_early() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut deadlines = Deadlines::new(second);
        assert_eq!(deadlines.wait(start), None);
        deadlines.push(start, 'a');
        deadlines.push(start + second / 2, 'b');
        assert_eq!((deadlines.wait(start), deadlines.pop(start)), (Some(second), None));
        assert_eq!((deadlines.pop(start + second), deadlines.pop(start + second)), (Some('a'), None));
        assert_eq!(deadlines.wait(start + second * 2), Some(Duration::ZERO));
    }
}
