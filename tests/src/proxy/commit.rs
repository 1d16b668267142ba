//! Breaks a Postgres connection at a COMMIT: the one moment at which a client cannot know what became of its work.
//!
//! Knows just enough of the wire (version 3, without TLS) to find a COMMIT, as a simple query or as a prepared
//! statement. Everything else passes as it is; what is not understood passes unseen from there on.

use std::{
    collections::HashSet,
    io,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use bytes::{Buf, Bytes, BytesMut};
use parking_lot::Mutex;

/// Codes of the requests that have no type byte and after which another one comes.
const TLS_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;
/// A first packet that is longer is none.
const FIRST_PACKET: usize = 10_000;
/// A message that is longer is none.
const MESSAGE: usize = 1024 * 1024 * 1024;

/// What happens at the COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFault {
    /// The server commits; its answer is thrown away and the connection cut.
    AnswerLost,
    /// The same, and from that moment the proxy is [down](super::Proxy::down), so that nobody can ask what became
    /// of it before [`Proxy::heal`](super::Proxy::heal).
    AnswerLostAndDown,
    /// The connection is cut before the COMMIT reaches the server, which rolls back.
    NeverSent,
}

/// Counts of COMMITs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CommitCounts {
    pub(super) seen: u64,
    pub(super) broken: u64,
}

/// The COMMITs of all connections of a proxy.
#[derive(Debug, Default)]
pub(super) struct Commits {
    armed: Option<(u64, CommitFault)>,
    counts: CommitCounts,
}

impl Commits {
    pub(super) fn arm(&mut self, fault: Option<(u64, CommitFault)>) {
        self.armed = fault.map(|(nth, fault)| (nth.max(1), fault));
    }

    pub(super) fn counts(&self) -> CommitCounts {
        self.counts
    }

    /// One more; what is to become of it.
    fn meet(&mut self) -> Option<CommitFault> {
        self.counts.seen += 1;
        let (left, fault) = self.armed.take()?;
        if left > 1 {
            self.armed = Some((left - 1, fault));
            return None;
        }
        self.counts.broken += 1;
        Some(fault)
    }
}

/// What one connection is about to lose.
#[derive(Debug, Default)]
pub(super) struct Losing {
    /// A COMMIT was forwarded whose answer must not pass.
    answer: AtomicBool,
    /// And then the proxy goes down.
    down: AtomicBool,
}

impl Losing {
    /// Whether the proxy is to go down, now that the connection has ended.
    pub(super) fn goes_down(&self) -> bool {
        self.down.load(Relaxed)
    }
}

/// Where a client is in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Packets without a type.
    Start,
    Messages,
    /// Something was not understood.
    Blind,
}

/// What a client sends on one connection.
pub(super) struct Requests<'a> {
    commits: &'a Mutex<Commits>,
    losing: &'a Losing,
    stage: Stage,
    buffer: BytesMut,
    /// Prepared statements that are COMMITs, and portals of them.
    statements: HashSet<Bytes>,
    portals: HashSet<Bytes>,
}

impl<'a> Requests<'a> {
    pub(super) fn new(commits: &'a Mutex<Commits>, losing: &'a Losing) -> Self {
        let (statements, portals) = Default::default();
        Self { commits, losing, stage: Stage::Start, buffer: BytesMut::new(), statements, portals }
    }

    /// What passes now; an error cuts the connection.
    pub(super) fn pass(&mut self, bytes: &[u8]) -> io::Result<Bytes> {
        self.buffer.extend_from_slice(bytes);
        let mut out = BytesMut::new();
        loop {
            let (typed, most) = match self.stage {
                Stage::Start => (0, FIRST_PACKET),
                Stage::Messages => (1, MESSAGE),
                Stage::Blind => break,
            };
            let Some(mut head) = self.buffer.get(typed..typed + 4) else { return Ok(out.freeze()) };
            let length = head.get_u32() as usize;
            if !(4..=most).contains(&length) {
                self.stage = Stage::Blind;
                break;
            }
            if self.buffer.len() < typed + length {
                return Ok(out.freeze());
            }
            let packet = self.buffer.split_to(typed + length).freeze();
            if self.stage == Stage::Start {
                let code = packet.get(4..8).map(|mut code| code.get_u32());
                if !matches!(code, Some(TLS_REQUEST | GSS_REQUEST)) {
                    self.stage = Stage::Messages;
                }
            } else if self.is_commit(packet[0], packet.slice(5..)) {
                match self.commits.lock().meet() {
                    None => {}
                    Some(CommitFault::NeverSent) => return Err(cut()),
                    Some(fault) => {
                        self.losing.down.store(fault == CommitFault::AnswerLostAndDown, Relaxed);
                        self.losing.answer.store(true, Relaxed);
                    }
                }
            }
            out.extend_from_slice(&packet);
        }
        out.extend_from_slice(&self.end());
        Ok(out.freeze())
    }

    /// All that is left.
    pub(super) fn end(&mut self) -> Bytes {
        self.buffer.split().freeze()
    }

    fn is_commit(&mut self, kind: u8, mut body: Bytes) -> bool {
        match kind {
            b'Q' => says_commit(&text(&mut body)),
            b'P' => {
                let (statement, sql) = (text(&mut body), text(&mut body));
                note(&mut self.statements, statement, says_commit(&sql));
                false
            }
            b'B' => {
                let (portal, statement) = (text(&mut body), text(&mut body));
                let commits = self.statements.contains(&statement);
                note(&mut self.portals, portal, commits);
                false
            }
            b'E' => self.portals.contains(&text(&mut body)),
            _ => false,
        }
    }
}

/// What the server answers on one connection.
pub(super) struct Answers<'a> {
    losing: &'a Losing,
    swallowed: BytesMut,
}

impl<'a> Answers<'a> {
    pub(super) fn new(losing: &'a Losing) -> Self {
        Self { losing, swallowed: BytesMut::new() }
    }

    /// What passes now; an error cuts the connection: when the answer to the COMMIT is here, it is done.
    pub(super) fn pass(&mut self, bytes: BytesMut) -> io::Result<Bytes> {
        if !self.losing.answer.load(Relaxed) {
            return Ok(bytes.freeze());
        }
        self.swallowed.extend_from_slice(&bytes);
        let answered = |word: &[u8]| self.swallowed.windows(word.len()).any(|window| window == word);
        if answered(b"COMMIT\0") || answered(b"ROLLBACK\0") { Err(cut()) } else { Ok(Bytes::new()) }
    }
}

fn cut() -> io::Error {
    io::ErrorKind::ConnectionAborted.into()
}

/// Takes a text that ends with 0.
fn text(body: &mut Bytes) -> Bytes {
    let end = body.iter().position(|byte| *byte == 0).unwrap_or(body.len());
    let text = body.split_to(end);
    body.advance(body.len().min(1));
    text
}

fn says_commit(sql: &[u8]) -> bool {
    let sql = sql.trim_ascii();
    sql.strip_suffix(b";").unwrap_or(sql).trim_ascii().eq_ignore_ascii_case(b"COMMIT")
}

fn note(names: &mut HashSet<Bytes>, name: Bytes, commits: bool) {
    if commits {
        names.insert(name);
    } else {
        names.remove(&name);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn first(code: u32, rest: &[u8]) -> Vec<u8> {
        [&(rest.len() as u32 + 8).to_be_bytes()[..], &code.to_be_bytes(), rest].concat()
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
    }

    fn start() -> Vec<u8> {
        [first(TLS_REQUEST, b""), first(196_608, b"user\0starling\0\0")].concat()
    }

    /// How many COMMITs are seen of a stream that comes in pieces of this length, which must pass as it is.
    fn seen(stream: &[u8], piece: usize) -> u64 {
        let (commits, losing) = (Mutex::default(), Losing::default());
        let mut requests = Requests::new(&commits, &losing);
        let mut out = Vec::new();
        for piece in stream.chunks(piece) {
            out.extend_from_slice(&requests.pass(piece).unwrap());
        }
        out.extend_from_slice(&requests.end());
        assert_eq!(out, stream);
        commits.lock().counts().seen
    }

    fn conversation() -> Vec<u8> {
        let not = [message(b'Q', b"COMMIT PREPARED 'x'\0"), message(b'Q', b"SELECT 'COMMIT'\0"), message(b'S', b"")];
        let simple = [message(b'Q', b"BEGIN\0"), message(b'Q', b"COMMIT\0"), message(b'Q', b" commit; \0")];
        let prepared = [
            message(b'P', b"s1\0COMMIT\0\0\0"),
            message(b'B', b"\0s1\0\0\0\0\0\0\0"),
            message(b'E', b"\0\0\0\0\0"),
            message(b'P', b"s2\0SELECT 1\0\0\0"),
            message(b'B', b"\0s2\0\0\0\0\0\0\0"),
            message(b'E', b"\0\0\0\0\0"),
        ];
        [start(), not.concat(), simple.concat(), prepared.concat()].concat()
    }

    #[test]
    fn commits_are_found_simple_and_prepared_however_the_stream_is_cut() {
        let stream = conversation();
        for piece in 1..=stream.len() {
            assert_eq!(seen(&stream, piece), 3, "in pieces of {piece}");
        }
        // A handshake of TLS: nothing behind it is understood.
        assert_eq!(seen(&[first(TLS_REQUEST, b""), vec![0x16, 3, 1, 2, 0, 1], conversation()].concat(), 9), 0);
    }

    proptest! {
        #[test]
        fn every_stream_passes_as_it_is(
            bytes in prop::collection::vec(any::<u8>(), 0..300), sensible: bool, piece in 1..80_usize,
        ) {
            seen(&if sensible { [conversation(), bytes].concat() } else { bytes }, piece);
        }
    }

    #[test]
    fn the_nth_commit_is_broken_once() {
        let (commits, losing) = (Mutex::new(Commits::default()), Losing::default());
        let mut requests = Requests::new(&commits, &losing);
        requests.pass(&start()).unwrap();
        let commit = message(b'Q', b"COMMIT\0");
        commits.lock().arm(Some((2, CommitFault::NeverSent)));
        assert_eq!(requests.pass(&commit).unwrap(), commit);
        assert!(requests.pass(&commit).is_err());
        commits.lock().arm(Some((1, CommitFault::AnswerLost)));
        assert_eq!(requests.pass(&commit).unwrap(), commit);
        let mut answers = Answers::new(&losing);
        assert!(answers.pass(BytesMut::from(&b"C\0\0\0\x0bCOM"[..])).unwrap().is_empty());
        assert!(answers.pass(BytesMut::from(&b"MIT\0Z\0\0\0\x05I"[..])).is_err());
        losing.answer.store(false, Relaxed);
        assert_eq!(requests.pass(&commit).unwrap(), commit);
        assert!(!losing.answer.load(Relaxed), "only once");
    }
}
