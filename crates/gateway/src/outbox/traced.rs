//! The spans of frames that wait for one socket. Where no trace is recorded, a pointer that is null.

use tracing::Span;

/// Most frames of one connection that are traced at once: those that come while so many wait are not.
const MOST: usize = 16;

/// A span for some of the frames that wait, or were taken to be written. Dropped, they end.
#[derive(Debug, Default)]
pub(crate) struct Writes(Option<Box<Waiting>>);

/// Each with how many frames go up to its own, in their order.
#[derive(Debug, Default)]
struct Waiting(Vec<(usize, Span)>);

impl Writes {
    /// That of the frame at this place, counted from 1, behind all the others.
    pub(super) fn add(&mut self, place: usize, span: Span) {
        let Waiting(waiting) = &mut **self.0.get_or_insert_default();
        if waiting.len() < MOST {
            waiting.push((place, span));
        }
    }

    /// Those of the first so many frames, which are taken out; the others move up.
    pub(super) fn take(&mut self, frames: usize) -> Self {
        let Some(waiting) = &mut self.0 else { return Self::default() };
        let taken: Vec<_> = waiting.0.extract_if(.., |(place, _)| *place <= frames).collect();
        waiting.0.iter_mut().for_each(|(place, _)| *place -= frames);
        if waiting.0.is_empty() {
            self.0 = None;
        }
        Self((!taken.is_empty()).then(|| Box::new(Waiting(taken))))
    }

    /// Frames are about to be dropped from between: where each will be. Only others than those that have a span.
    pub(super) fn keep(&mut self, place: impl Fn(usize) -> usize) {
        if let Some(waiting) = &mut self.0 {
            waiting.0.iter_mut().for_each(|(now, _)| *now = place(*now));
        }
    }

    /// They are with the kernel.
    pub(crate) fn written(self) {
        for (_, span) in self.0.iter().flat_map(|waiting| &waiting.0) {
            span.record("written", true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(writes: &Writes) -> Vec<usize> {
        writes.0.iter().flat_map(|waiting| &waiting.0).map(|(place, _)| *place).collect()
    }

    #[test]
    fn a_span_goes_with_its_frame() {
        let mut writes = Writes::default();
        for place in [2, 3, 7] {
            writes.add(place, Span::none());
        }
        assert_eq!(places(&writes.take(1)), [0_usize; 0]);
        assert_eq!(places(&writes), [1, 2, 6]);
        // The third and the fourth frame go.
        writes.keep(|place| place.min(2) + place.saturating_sub(4));
        assert_eq!(places(&writes.take(2)), [1, 2]);
        assert_eq!(places(&writes.take(2)), [2]);
        assert!(writes.0.is_none(), "nothing is kept for what comes");
    }

    #[test]
    fn a_connection_has_few_of_them_and_none_costs_a_pointer() {
        let mut writes = Writes::default();
        (1..=100).for_each(|place| writes.add(place, Span::none()));
        assert_eq!(places(&writes.take(100)).len(), MOST);
        assert_eq!(size_of::<Writes>(), size_of::<usize>());
    }
}
