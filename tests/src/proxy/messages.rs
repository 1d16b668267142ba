//! Faults of Redis' messages: of what clients publish, or of what the server pushes to subscribers.
//!
//! Promises that everything else passes as it is and in its order, and that a client gets one answer for each
//! command, of the kind that it expects: a dropped PUBLISH goes where nobody listens, a repeated one is made a script
//! that publishes twice. What is not understood passes unseen from there on.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::resp;

/// A message that nothing comes after is held back no longer.
const HOLD: Duration = Duration::from_millis(50);
/// Before the channel of a dropped message.
const NOWHERE: &[u8] = b"nobody-listens:";
const TWICE: &[u8] = b"redis.call('PUBLISH', ARGV[1], ARGV[2]) return redis.call('PUBLISH', ARGV[1], ARGV[2])";

/// Which messages suffer what; 0 is never, and the first that applies counts. A place in the count is one of the
/// messages that `only` names, from the moment that the faults are set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MessageFaults {
    /// Each n-th is lost; who published it is told that nobody heard it.
    pub drop_every: u64,
    /// Each n-th comes twice.
    pub duplicate_every: u64,
    /// Each n-th comes after the next one of its channel, or 50 ms late when there is none.
    pub reorder_every: u64,
    /// Only channels whose name contains this; empty: all.
    pub only: &'static str,
}

/// What is decided of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    Drop,
    Duplicate,
    Hold,
}

/// Counts of messages.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MessageCounts {
    pub(super) seen: u64,
    pub(super) dropped: u64,
    pub(super) duplicated: u64,
    pub(super) reordered: u64,
}

/// The faults of one direction, and their count.
#[derive(Debug, Default)]
pub(super) struct Messages {
    faults: MessageFaults,
    place: u64,
    counts: MessageCounts,
}

impl Messages {
    pub(super) fn set(&mut self, faults: MessageFaults) {
        (self.faults, self.place) = (faults, 0);
    }

    pub(super) fn counts(&self) -> MessageCounts {
        self.counts
    }

    fn decide(&mut self, channel: &[u8]) -> Verdict {
        self.counts.seen += 1;
        let only = self.faults.only.as_bytes();
        if !only.is_empty() && !channel.windows(only.len()).any(|window| window == only) {
            return Verdict::Pass;
        }
        self.place += 1;
        let meets = |every: u64| every > 0 && self.place.is_multiple_of(every);
        if meets(self.faults.drop_every) {
            self.counts.dropped += 1;
            Verdict::Drop
        } else if meets(self.faults.duplicate_every) {
            self.counts.duplicated += 1;
            Verdict::Duplicate
        } else if meets(self.faults.reorder_every) {
            self.counts.reordered += 1;
            Verdict::Hold
        } else {
            Verdict::Pass
        }
    }
}

/// Where messages are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// `PUBLISH`, of a client.
    Publish,
    /// `message`, to a subscriber.
    Push,
}

/// One direction of one connection.
pub(super) struct Filter<'a> {
    side: Side,
    messages: &'a Mutex<Messages>,
    buffer: BytesMut,
    held: Option<(Bytes, Instant)>,
    /// Something was not understood.
    blind: bool,
}

impl<'a> Filter<'a> {
    pub(super) fn new(side: Side, messages: &'a Mutex<Messages>) -> Self {
        Self { side, messages, buffer: BytesMut::new(), held: None, blind: false }
    }

    /// What passes now.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> Bytes {
        self.buffer.extend_from_slice(bytes);
        let mut out = BytesMut::new();
        while !self.blind {
            match resp::value(&self.buffer) {
                Ok(Some(length)) => {
                    let value = self.buffer.split_to(length).freeze();
                    self.value(value, &mut out);
                }
                Ok(None) => return out.freeze(),
                Err(resp::Malformed) => self.blind = true,
            }
        }
        out.extend_from_slice(&self.end());
        out.freeze()
    }

    /// When what is held back must go.
    pub(super) fn due(&self) -> Option<Instant> {
        self.held.as_ref().map(|(_, until)| *until)
    }

    /// What was held back.
    pub(super) fn release(&mut self) -> Bytes {
        self.held.take().map(|(value, _)| value).unwrap_or_default()
    }

    /// All that is left.
    pub(super) fn end(&mut self) -> Bytes {
        let mut rest = BytesMut::from(&self.release()[..]);
        rest.extend_from_slice(&self.buffer.copy_to_bytes(self.buffer.len()));
        rest.freeze()
    }

    fn value(&mut self, value: Bytes, out: &mut BytesMut) {
        let message = resp::three(&value).filter(|[word, ..]| match self.side {
            Side::Publish => word.eq_ignore_ascii_case(b"PUBLISH"),
            Side::Push => *word == b"message",
        });
        let Some([word, channel, payload]) = message else {
            // Answers come in the order of commands: nothing else may overtake what is held.
            out.extend_from_slice(&self.release());
            out.extend_from_slice(&value);
            return;
        };
        let follows = self.held.as_ref().is_some_and(|(held, _)| resp::three(held).is_some_and(|h| h[1] == channel));
        let verdict = self.messages.lock().decide(channel);
        match (verdict, self.side) {
            (Verdict::Hold, _) if self.held.is_none() => {
                self.held = Some((value, Instant::now() + HOLD));
                return;
            }
            (Verdict::Pass | Verdict::Hold, _) => out.extend_from_slice(&value),
            (Verdict::Drop, Side::Push) => {}
            (Verdict::Drop, Side::Publish) => {
                out.extend_from_slice(&resp::command(&[word, &[NOWHERE, channel].concat(), payload]));
            }
            (Verdict::Duplicate, Side::Push) => {
                out.extend_from_slice(&value);
                out.extend_from_slice(&value);
            }
            (Verdict::Duplicate, Side::Publish) => {
                out.extend_from_slice(&resp::command(&[b"EVAL", TWICE, b"0", channel, payload]));
            }
        }
        // After one that nobody hears it would not be late.
        if follows && verdict != Verdict::Drop {
            out.extend_from_slice(&self.release());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn publish(channel: &str, payload: &str) -> Vec<u8> {
        resp::command(&[b"PUBLISH", channel.as_bytes(), payload.as_bytes()])
    }

    fn push(payload: &str) -> Vec<u8> {
        resp::command(&[b"message", b"c", payload.as_bytes()])
    }

    fn with(faults: MessageFaults) -> Mutex<Messages> {
        let messages = Mutex::new(Messages::default());
        messages.lock().set(faults);
        messages
    }

    /// All that comes out, when the stream comes in pieces of these lengths.
    fn through(side: Side, faults: MessageFaults, stream: &[u8], cuts: &[usize]) -> Vec<u8> {
        let messages = with(faults);
        let mut filter = Filter::new(side, &messages);
        let (mut out, mut rest) = (Vec::new(), stream);
        let mut cuts = cuts.iter().cycle();
        while !rest.is_empty() {
            let (piece, more) = rest.split_at((*cuts.next().unwrap_or(&1)).clamp(1, rest.len()));
            out.extend_from_slice(&filter.pass(piece));
            rest = more;
        }
        out.extend_from_slice(&filter.end());
        out
    }

    fn faults(drop_every: u64, duplicate_every: u64, reorder_every: u64) -> MessageFaults {
        MessageFaults { drop_every, duplicate_every, reorder_every, only: "" }
    }

    #[test]
    fn pushed_messages_are_dropped_repeated_and_swapped() {
        let stream = ["1", "2", "3", "4", "5"].map(push).concat();
        let out = |faults| through(Side::Push, faults, &stream, &[7]);
        assert_eq!(out(faults(2, 0, 0)), ["1", "3", "5"].map(push).concat());
        assert_eq!(out(faults(0, 2, 0)), ["1", "2", "2", "3", "4", "4", "5"].map(push).concat());
        assert_eq!(out(faults(0, 0, 2)), ["1", "3", "2", "5", "4"].map(push).concat());
        assert_eq!(out(MessageFaults { only: "other", ..faults(1, 0, 0) }), stream);
    }

    #[test]
    fn a_publish_keeps_one_answer_whatever_becomes_of_it() {
        let stream = [publish("c", "1"), publish("c", "2")].concat();
        let out = through(Side::Publish, faults(2, 0, 0), &stream, &[3]);
        assert_eq!(out, [publish("c", "1"), publish("nobody-listens:c", "2")].concat());
        let out = through(Side::Publish, faults(0, 2, 0), &stream, &[3]);
        let twice = resp::command(&[b"EVAL", TWICE, b"0", b"c", b"2"]);
        assert_eq!(out, [publish("c", "1"), twice].concat());
    }

    #[test]
    fn a_publish_that_is_held_back_lets_its_own_channel_and_no_other_command_pass() {
        let ping = resp::command(&[b"PING"]);
        let stream =
            [publish("a", "1"), publish("b", "2"), publish("a", "3"), publish("a", "4"), ping.clone()].concat();
        let out = through(Side::Publish, faults(0, 0, 1), &stream, &[1_000]);
        let expected = [publish("b", "2"), publish("a", "3"), publish("a", "1"), publish("a", "4"), ping];
        assert_eq!(out, expected.concat());
        let messages = with(faults(0, 0, 1));
        let mut filter = Filter::new(Side::Publish, &messages);
        assert!(filter.pass(&publish("a", "1")).is_empty() && filter.due().is_some());
        assert_eq!(filter.release(), publish("a", "1"));
        assert_eq!(filter.due(), None);
    }

    #[test]
    fn what_is_not_understood_passes_from_there_on() {
        let stream = [publish("c", "1"), b"PING\r\n".to_vec(), publish("c", "2")].concat();
        let out = through(Side::Publish, faults(2, 0, 1), &stream, &[5]);
        assert_eq!(out, stream);
    }

    proptest! {
        #[test]
        fn without_faults_every_stream_passes_as_it_is(
            stream in prop::collection::vec(any::<u8>(), 0..200),
            commands in prop::collection::vec((0..4_usize, ".{0,20}"), 0..12),
            cuts in prop::collection::vec(1..60_usize, 1..8),
        ) {
            let commands = commands.iter().map(|(kind, text)| match kind {
                0 => publish("c", text),
                1 => push(text),
                2 => resp::command(&[b"SET", text.as_bytes(), b"1", b"PX"]),
                _ => b"+OK\r\n".to_vec(),
            });
            let stream = [commands.collect::<Vec<_>>().concat(), stream].concat();
            for side in [Side::Publish, Side::Push] {
                prop_assert_eq!(&through(side, MessageFaults::default(), &stream, &cuts), &stream);
            }
        }

        #[test]
        fn the_same_comes_out_however_the_stream_is_cut(
            texts in prop::collection::vec("[ab]:.{0,20}", 0..20),
            cuts in prop::collection::vec(1..60_usize, 1..8),
            every in (0..4_u64, 0..4_u64, 0..4_u64),
        ) {
            let stream: Vec<u8> = texts.iter().flat_map(|text| publish(&text[..1], text)).collect();
            let faults = faults(every.0, every.1, every.2);
            let whole = through(Side::Publish, faults, &stream, &[stream.len().max(1)]);
            prop_assert_eq!(through(Side::Publish, faults, &stream, &cuts), whole);
        }
    }
}
