//! When more comes to a lane than it can write.
//!
//! A queue that is long for a moment is a burst; one that stays long is too much load, and makes everybody wait who
//! joins it. What tells them apart is how long those waited that are taken from it, over time. The longest wait more
//! than [`TARGET`] for [`INTERVAL`] on end, and each time more left behind than the next transaction takes: the lane is
//! congested. From then on, who would come behind a whole transaction of others is refused at once, until nobody had to
//! be for [`INTERVAL`]. Waiting alone does not count: where the next transaction takes all that waits, they are slow,
//! and refusing somebody would not help the others.
//!
//! The two times are those of CoDel (RFC 8289), and so is the exemption; what differs is that new changes are refused,
//! and none that was accepted is given up for it.

use std::time::Duration;

use tokio::time::Instant;

/// So long a change may wait for its transaction.
pub(super) const TARGET: Duration = Duration::from_millis(250);
/// A time in which a burst is over.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);

/// One lane's. See the module.
#[derive(Default)]
pub(super) struct Congestion {
    /// Since when the longest wait of what was taken has been too long each time.
    above: Option<Instant>,
    /// It is congested: when somebody was refused last, or it began.
    refused: Option<Instant>,
}

/// What taking something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Begins,
    Ends,
}

impl Congestion {
    /// Something was taken just now: how long the first of it had waited, and whether more is left behind than is taken
    /// next time.
    pub(super) fn took(&mut self, waited: Duration, leaves: bool) -> Option<Turn> {
        if self.refused.is_some() {
            return self.rested();
        }
        if waited <= TARGET || !leaves {
            self.above = None;
            return None;
        }
        let now = Instant::now();
        let above = *self.above.get_or_insert(now);
        let begins = now.duration_since(above) >= INTERVAL;
        self.refused = begins.then_some(now);
        begins.then_some(Turn::Begins)
    }

    /// Ends it when nobody was refused for long enough.
    pub(super) fn rested(&mut self) -> Option<Turn> {
        let ends = self.refused.is_some_and(|refused| refused.elapsed() >= INTERVAL);
        if ends {
            *self = Self::default();
        }
        ends.then_some(Turn::Ends)
    }

    /// Whether a change is refused that comes now, behind more than one transaction takes.
    pub(super) fn refuses(&mut self) -> bool {
        let refused = self.refused.as_mut().filter(|refused| refused.elapsed() < INTERVAL);
        refused.map(|refused| *refused = Instant::now()).is_some()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const LONG: Duration = Duration::from_millis(251);
    const STEP: Duration = Duration::from_millis(100);

    /// Takes what waited so long every tenth of a second, and leaves some: what that changed, when.
    async fn take(lane: &mut Congestion, waited: Duration, times: usize) -> Vec<(usize, Turn)> {
        let mut turns = Vec::new();
        for n in 0..times {
            turns.extend(lane.took(waited, true).map(|turn| (n, turn)));
            advance(STEP).await;
        }
        turns
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_not_too_much_and_what_lasts_is() {
        let mut lane = Congestion::default();
        assert_eq!(take(&mut lane, LONG, 5).await, []);
        assert!(!lane.refuses(), "a burst of half a second");
        assert_eq!(take(&mut lane, TARGET, 1).await, []);
        assert_eq!(take(&mut lane, LONG, 6).await, [(5, Turn::Begins)]);
        assert!(lane.refuses());
    }

    #[tokio::test(start_paused = true)]
    async fn transactions_that_are_slow_and_take_all_that_waits_are_not_too_much() {
        let mut lane = Congestion::default();
        for _ in 0..100 {
            assert_eq!(lane.took(LONG * 4, false), None);
            advance(LONG * 4).await;
        }
        assert!(!lane.refuses());
    }

    #[tokio::test(start_paused = true)]
    async fn it_lasts_as_long_as_somebody_is_refused() {
        let mut lane = Congestion::default();
        take(&mut lane, LONG, 6).await;
        for _ in 0..10 {
            assert!(lane.refuses());
            assert_eq!(take(&mut lane, STEP, 4).await, []);
        }
        assert_eq!(take(&mut lane, STEP, 3).await, [(1, Turn::Ends)]);
        assert!(!lane.refuses());
        assert_eq!(take(&mut lane, LONG, 5).await, [], "it begins as it did at first");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_over_also_where_nothing_comes_any_more() {
        let mut lane = Congestion::default();
        take(&mut lane, LONG, 6).await;
        assert!(lane.refuses());
        advance(INTERVAL.saturating_sub(STEP)).await;
        assert_eq!(lane.rested(), None);
        advance(STEP).await;
        assert!(!lane.refuses(), "what comes long after is not refused for what was");
        assert_eq!((lane.rested(), lane.rested()), (Some(Turn::Ends), None));
    }
}
