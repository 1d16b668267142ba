//! One socket: its bytes in, its frames out, and how far its life has come. Small, because idle ones are counted.

use std::{
    io::{self, ErrorKind, Read},
    net::Shutdown,
    rc::Rc,
};

use mio::net::TcpStream;

use super::outbox::{Flushed, Outbox};

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its request is not whole.
    Asking,
    /// Frames go both ways.
    Open,
    /// Its last frame waits or is written. What it still says is thrown away until it hangs up: closing over unread
    /// bytes would reset the connection, and the last frame could be lost.
    Leaving,
    /// To be forgotten at the end of this turn.
    Gone,
}

/// A client.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// Tells it from others that had its place in the table.
    pub(super) serial: u64,
    pub(super) stage: Stage,
    /// In rising order.
    pub(super) rooms: Vec<u64>,
    /// Bytes of a frame or request that is not whole.
    rest: Vec<u8>,
    outbox: Outbox,
    /// The kernel takes no more until epoll says so.
    full: bool,
    /// It is on the list of those to write to in this turn.
    pub(super) listed: bool,
}

/// What reading gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// So many bytes, and whether there may be more.
    Bytes(usize, bool),
    Nothing,
    End,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, serial: u64) -> Self {
        Self {
            stream,
            serial,
            stage: Stage::Asking,
            rooms: Vec::new(),
            rest: Vec::new(),
            outbox: Outbox::default(),
            full: false,
            listed: false,
        }
    }

    /// Reads once.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        loop {
            return match self.stream.read(buffer) {
                Ok(0) => Ok(Got::End),
                // Less than there was room for: epoll(7) promises a new event for what comes later.
                Ok(size) => Ok(Got::Bytes(size, size == buffer.len())),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Got::Nothing),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }

    /// What was kept, and these bytes behind it: none when nothing was kept, and they need no copy.
    pub(super) fn behind_rest(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.rest.is_empty() {
            return None;
        }
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        Some(all)
    }

    /// Keeps what is not whole. An empty rest holds no memory.
    pub(super) fn keep(&mut self, rest: Vec<u8>) {
        self.rest = rest;
    }

    /// One more frame to write; `false` when more than `most` bytes wait: then it reads too slowly, and is gone.
    pub(super) fn push(&mut self, frame: Rc<[u8]>, most: usize) -> bool {
        let fits = self.outbox.push(frame) <= most;
        if !fits {
            self.stage = Stage::Gone;
        }
        fits
    }

    /// The kernel takes bytes again; whether some wait.
    pub(super) fn writable(&mut self) -> bool {
        self.full = false;
        !self.outbox.is_empty()
    }

    /// Writes what waits, as far as the kernel takes it; after the last frame of one that leaves, says so.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        if self.full {
            return Ok(());
        }
        match self.outbox.flush(&mut self.stream)? {
            Flushed::Full => self.full = true,
            Flushed::Whole if self.stage == Stage::Leaving => self.stream.shutdown(Shutdown::Write)?,
            Flushed::Whole => {}
        }
        Ok(())
    }
}
