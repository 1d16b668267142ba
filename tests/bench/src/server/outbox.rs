//! What waits to be written to one socket: frames that are shared with others, written many at a time.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, IoSlice, Write},
    rc::Rc,
};

/// Frames of one `writev`. The kernel takes 1,024; past some dozens the call itself costs nothing beside the copying.
const SLICES: usize = 64;

/// Frames in their order.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    frames: VecDeque<Rc<[u8]>>,
    /// Bytes of the first one that are written.
    written: usize,
    /// Bytes that wait.
    waiting: usize,
}

/// How a write ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flushed {
    /// Nothing waits any more.
    Whole,
    /// The kernel's buffer is full: epoll will tell when it is not.
    Full,
}

impl Outbox {
    /// One more frame; the bytes that wait now.
    pub(super) fn push(&mut self, frame: Rc<[u8]>) -> usize {
        self.waiting += frame.len();
        self.frames.push_back(frame);
        self.waiting
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self, to: &mut impl Write) -> io::Result<Flushed> {
        while !self.frames.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut count = 0;
            let mut offered = 0;
            for (slice, frame) in slices.iter_mut().zip(&self.frames) {
                let from = if count == 0 { self.written } else { 0 };
                *slice = IoSlice::new(&frame[from..]);
                offered += frame.len() - from;
                count += 1;
            }
            match to.write_vectored(&slices[..count]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.advance(written);
                    // Less than was offered: epoll(7) promises a new event, and another call would only say so.
                    if written < offered {
                        return Ok(Flushed::Full);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Flushed::Full),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // A burst's room is given back; a few frames' is kept.
        if self.frames.capacity() > SLICES {
            self.frames = VecDeque::new();
        }
        Ok(Flushed::Whole)
    }

    fn advance(&mut self, written: usize) {
        self.waiting -= written;
        self.written += written;
        while let Some(first) = self.frames.front().filter(|first| first.len() <= self.written) {
            self.written -= first.len();
            self.frames.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes per call, in turn; after that it would block.
    struct Slow {
        takes: Vec<usize>,
        got: Vec<u8>,
    }

    impl Write for Slow {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            unreachable!("the outbox writes vectors")
        }

        fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
            if self.takes.is_empty() {
                return Err(ErrorKind::WouldBlock.into());
            }
            let all: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
            let taken = self.takes.remove(0).min(all.len());
            self.got.extend_from_slice(&all[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn every_byte_is_written_once_wherever_the_kernel_stops() {
        for stop in 0..=12 {
            let mut outbox = Outbox::default();
            for frame in ["one", "", "three", "four"] {
                outbox.push(frame.as_bytes().into());
            }
            let mut slow = Slow { takes: vec![stop.max(1)], got: Vec::new() };
            let whole = stop == 12;
            assert_eq!(outbox.flush(&mut slow).unwrap() == Flushed::Whole, whole, "{stop}");
            outbox.push(b"!".as_slice().into());
            slow.takes = vec![1_000, 1_000];
            assert_eq!(outbox.flush(&mut slow).unwrap(), Flushed::Whole);
            assert_eq!(slow.got, b"onethreefour!");
            assert!(outbox.is_empty() && outbox.waiting == 0 && outbox.written == 0);
        }
    }

    #[test]
    fn more_frames_than_one_call_takes_are_written_in_their_order() {
        let mut outbox = Outbox::default();
        let frames: Vec<[u8; 2]> = (0..1_000_u16).map(u16::to_be_bytes).collect();
        let waiting = frames.iter().map(|frame| outbox.push(frame.as_slice().into())).last();
        assert_eq!(waiting, Some(2_000));
        let mut slow = Slow { takes: vec![usize::MAX; 16], got: Vec::new() };
        assert_eq!(outbox.flush(&mut slow).unwrap(), Flushed::Whole);
        assert_eq!(slow.got, frames.concat());
    }
}
