//! What a client does, without any transport: it connects, resumes with its cursors, retries under the same
//! `client_id`, leaves when it is asked to, and backs off.
//!
//! Sans-IO: whoever owns a socket, a real one or a simulated one, tells the [`Core`] what happened and does what
//! [`Iterator::next`] says, until it says nothing more; at [`Core::wakes_at`] it calls [`Core::tick`]. Times are
//! offsets from a moment of the owner's choice. It writes down all that it said and heard when it is told to.

mod replies;
mod words;

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use protocol::{Conversation, Reply, Seq, UserId, should_reconnect};
use serde_json::{Value, json};

pub use self::words::{Answered, Draw, Output, Persistence, is_passing};
use self::words::{Command, Phase};
use super::{
    MOVED,
    view::{Load, View},
};
use crate::audit::{Entry, Happened};

/// Before the first attempt to connect again, at most; half of it on average. It doubles with each attempt in vain.
const FIRST_BACKOFF: Duration = Duration::from_millis(400);
/// What it doubles up to.
const LAST_BACKOFF: Duration = Duration::from_millis(1_600);
/// A kept command that has no answer after this is said again.
const ANSWER: Duration = Duration::from_secs(5);
/// `hello` without an answer for so long is a dead connection.
const HELLO: Duration = Duration::from_secs(20);
/// Before a command that was refused for now is said again, when the refusal names no time.
const RETRY: Duration = Duration::from_millis(100);
/// `ref` of `hello`.
pub(super) const HELLO_REF: &str = "hello";
/// `ref` of the command with which it watches others.
pub(crate) const WATCH_REF: &str = "watch";
/// A connection that broke without a close.
pub const BROKEN: u16 = 1006;

/// One device.
pub struct Core {
    /// What it knows.
    pub view: View,
    draw: Draw,
    phase: Phase,
    wanted: bool,
    failures: u32,
    opened_at: Duration,
    heard_at: Duration,
    /// Silence that means a dead server.
    patience: Option<Duration>,
    move_at: Option<Duration>,
    next_number: u64,
    commands: Vec<Command>,
    /// Commands said more than once: a second reply to one of them is nothing strange.
    repeated: BTreeSet<u64>,
    /// Conversations that are not fetched to their end: what one connection did not finish, the next does.
    loading: Vec<Load>,
    /// To be asked again at that time.
    load_later: Vec<(Duration, Load)>,
    /// Whom it watches, on every connection.
    watched: Vec<UserId>,
    /// Watching was refused for now: it is asked for again at that time.
    watch_at: Option<Duration>,
    outputs: VecDeque<Output>,
    connections: usize,
    closes: Vec<u16>,
    log: Option<Vec<Entry>>,
}

impl Core {
    /// A device that wants to be connected.
    pub fn new(draw: Draw) -> Self {
        Self {
            view: View::default(),
            draw,
            phase: Phase::Away(Duration::ZERO),
            wanted: true,
            failures: 0,
            opened_at: Duration::ZERO,
            heard_at: Duration::ZERO,
            patience: None,
            move_at: None,
            next_number: 0,
            commands: Vec::new(),
            repeated: BTreeSet::new(),
            loading: Vec::new(),
            load_later: Vec::new(),
            watched: Vec::new(),
            watch_at: None,
            outputs: VecDeque::new(),
            connections: 0,
            closes: Vec::new(),
            log: None,
        }
    }

    /// The same that writes down all it says and hears: [`Core::take_log`]. Its view keeps no copy of the events.
    #[must_use]
    pub fn recording(mut self) -> Self {
        self.log = Some(Vec::new());
        self.view.without_events();
        self
    }

    // ---- what the owner does

    /// When [`Core::tick`] is due.
    pub fn wakes_at(&self) -> Option<Duration> {
        let commands = self.commands.iter().filter_map(|command| match (self.phase, command.said) {
            (Phase::Live, None) => Some(command.not_before),
            (Phase::Live, Some(said)) if command.persistence == Persistence::UntilAnswered => Some(said + ANSWER),
            _ => None,
        });
        let phase = match self.phase {
            Phase::Away(until) if self.wanted => Some(until),
            Phase::Open => Some(self.opened_at + HELLO),
            _ => None,
        };
        let live = matches!(self.phase, Phase::Open | Phase::Live);
        let silence = self.patience.filter(|_| live).map(|patience| self.heard_at + patience);
        let loads = self.load_later.iter().map(|(at, _)| *at);
        let open = loads.chain(self.move_at).chain(self.watch_at).filter(|_| live);
        commands.chain(phase).chain(silence).chain(open).min()
    }

    /// Time passed.
    pub fn tick(&mut self, now: Duration) {
        match self.phase {
            Phase::Away(until) if self.wanted && until <= now => {
                self.phase = Phase::Connecting;
                self.outputs.push_back(Output::Connect);
            }
            Phase::Open | Phase::Live => self.tick_open(now),
            _ => {}
        }
    }

    fn tick_open(&mut self, now: Duration) {
        let silent = self.patience.is_some_and(|patience| self.heard_at + patience <= now);
        let unanswered = self.phase == Phase::Open && self.opened_at + HELLO <= now;
        if self.move_at.is_some_and(|at| at <= now) {
            return self.leave(now, MOVED);
        }
        if silent || unanswered {
            return self.leave(now, BROKEN);
        }
        let (due, later): (Vec<_>, Vec<_>) = self.load_later.drain(..).partition(|(at, _)| *at <= now);
        self.load_later = later;
        for (_, load) in due {
            self.load(now, load, 0);
        }
        if self.phase == Phase::Live {
            if self.watch_at.is_some_and(|at| at <= now) {
                self.say_watch(now);
            }
            self.flush(now);
        }
    }

    /// The socket is open.
    pub fn opened(&mut self, now: Duration) {
        self.phase = Phase::Open;
        (self.opened_at, self.heard_at) = (now, now);
        self.write(now, Happened::Opened);
        if !self.wanted {
            self.leave(now, BROKEN);
        }
    }

    /// It could not be opened.
    pub fn failed(&mut self, now: Duration) {
        self.away(now);
    }

    /// The socket ended; [`BROKEN`] without a close.
    pub fn closed(&mut self, now: Duration, code: u16) {
        self.closes.push(code);
        self.write(now, Happened::Closed(code));
        let lost = |command: &Command| command.said.is_some() && command.persistence == Persistence::Once;
        for command in self.commands.extract_if(.., |command| lost(command)) {
            self.outputs.push_back(Output::Answered { number: command.number, outcome: Answered::Lost });
        }
        for command in &mut self.commands {
            if command.said.take().is_some() {
                self.repeated.insert(command.number);
            }
        }
        (self.patience, self.move_at, self.watch_at) = (None, None, None);
        self.load_later.clear();
        if should_reconnect(code) {
            self.away(now);
        } else {
            self.phase = Phase::Stopped;
            self.outputs.push_back(Output::Stopped(code));
        }
    }

    /// A frame came.
    pub fn frame(&mut self, now: Duration, frame: Value) {
        self.heard_at = now;
        if self.log.is_some() {
            self.write(now, Happened::Heard(frame.clone()));
        }
        match frame["type"].as_str() {
            Some("reply") => self.reply(now, frame),
            Some("connected") => {
                // Where to resume from is what was known before this connection said anything.
                let resume = self.view.resume();
                let interval = frame["data"]["heartbeat_interval_ms"].as_u64().filter(|interval| *interval > 0);
                self.patience = interval.map(|interval| Duration::from_millis(2 * interval) + Duration::from_secs(1));
                self.view.take(frame);
                let mut hello = json!({"type": "hello", "ref": HELLO_REF});
                if let Some(resume) = resume {
                    hello["resume"] = json!(resume);
                }
                self.say(now, hello);
            }
            kind => {
                if kind == Some("reconnect") {
                    let after = frame["data"]["after_ms"].as_u64().unwrap_or(0);
                    self.move_at = Some(now + Duration::from_millis(after));
                }
                self.view.take(frame);
                self.load_new(now);
            }
        }
    }

    // ---- what the user does

    /// Says a command as soon as a connection is live; its number.
    pub fn command(&mut self, now: Duration, frame: Value, persistence: Persistence) -> u64 {
        self.next_number += 1;
        let number = self.next_number;
        self.commands.push(Command { number, frame, persistence, said: None, not_before: Duration::ZERO });
        if self.phase == Phase::Live {
            self.flush(now);
        }
        number
    }

    /// Watches these users too, at most 500 in all, on this connection and on all that follow it: [`View::presence`].
    pub fn watch(&mut self, now: Duration, users: Vec<UserId>) {
        self.watched.extend(users);
        if self.phase == Phase::Live {
            self.say_watch(now);
        }
    }

    /// Writes down what a fresh `GET conversations` gave just now, and when it was asked for, for who wants to know how
    /// a list is kept from there on.
    pub fn listed(&mut self, now: Duration, asked: Duration, conversations: Vec<Conversation>) {
        if self.log.is_some() {
            self.write(now, Happened::Listed { asked, conversations });
        }
    }

    /// Whether it connects at all. Turned off, the connection is broken, as a lost network does.
    pub fn want(&mut self, now: Duration, wanted: bool) {
        self.wanted = wanted;
        if !wanted {
            self.break_off(now);
        }
    }

    /// Breaks the connection without a close; the client comes back by itself.
    pub fn break_off(&mut self, now: Duration) {
        if matches!(self.phase, Phase::Open | Phase::Live) {
            self.leave(now, BROKEN);
        }
    }

    // ---- looking

    /// The socket is open and `hello` was answered.
    pub fn is_live(&self) -> bool {
        self.phase == Phase::Live
    }

    /// No socket is open, none is being opened, and none will be while it is not wanted.
    pub fn is_away(&self) -> bool {
        self.phase == Phase::Stopped || matches!(self.phase, Phase::Away(_)) && !self.wanted
    }

    /// Sockets that went live so far.
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// How sockets ended, in order.
    pub fn closes(&self) -> &[u16] {
        &self.closes
    }

    /// Commands without an answer.
    pub fn unanswered(&self) -> usize {
        self.commands.len()
    }

    /// Everything that was said and heard, when it is recording.
    pub fn take_log(&mut self) -> Vec<Entry> {
        self.log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    // ---- inside

    fn write(&mut self, at: Duration, what: Happened) {
        if let Some(log) = &mut self.log {
            log.push(Entry { at, what });
        }
    }

    fn say(&mut self, now: Duration, frame: Value) {
        if self.log.is_some() {
            self.write(now, Happened::Said(frame.clone()));
        }
        self.outputs.push_back(Output::Send(frame));
    }

    fn leave(&mut self, now: Duration, code: u16) {
        self.outputs.push_back(Output::Leave { in_order: code == MOVED });
        self.closed(now, code);
    }

    fn away(&mut self, now: Duration) {
        let most = FIRST_BACKOFF.saturating_mul(1 << self.failures.min(8)).min(LAST_BACKOFF);
        self.failures += 1;
        self.phase = Phase::Away(now + (self.draw)(most));
    }

    /// Fetches what the view wants fetched.
    fn load_new(&mut self, now: Duration) {
        let new = self.view.take_to_load();
        self.loading.extend(&new);
        self.loading.retain(|load| self.view.is_current(load));
        // What comes before the answer to `hello` is asked for with the rest, after it.
        if self.phase == Phase::Live {
            for load in new {
                self.load(now, load, 0);
            }
        }
    }

    fn load(&mut self, now: Duration, load: Load, after: Seq) {
        let reference = load.to_string();
        self.say(now, json!({"type": "changes.get", "ref": reference, "conversation_id": load.id, "after": after}));
    }

    fn say_watch(&mut self, now: Duration) {
        self.watch_at = None;
        if !self.watched.is_empty() {
            self.say(now, json!({"type": "presence.watch", "ref": WATCH_REF, "user_ids": self.watched}));
        }
    }

    fn watching(&mut self, now: Duration, reply: Reply<Value>, frame: Value) {
        match reply.error {
            None => self.view.take(frame),
            Some(error) if error.retry_after_ms.is_some() || is_passing(error.code) => {
                self.watch_at = Some(now + error.retry_after_ms.map_or(RETRY, Duration::from_millis));
            }
            Some(error) => self.view.violations.push(format!("`presence.watch` was refused: {error:?}")),
        }
    }

    /// Says what waits to be said.
    fn flush(&mut self, now: Duration) {
        let mut frames = Vec::new();
        for command in &mut self.commands {
            let overdue = command.persistence == Persistence::UntilAnswered
                && command.said.is_some_and(|said| said + ANSWER <= now);
            if overdue {
                self.repeated.insert(command.number);
            }
            if overdue || command.said.is_none() && command.not_before <= now {
                command.said = Some(now);
                command.frame["ref"] = command.number.to_string().into();
                frames.push(command.frame.clone());
            }
        }
        for frame in frames {
            self.say(now, frame);
        }
    }
}

/// What to do next. `None`: nothing for now.
impl Iterator for Core {
    type Item = Output;

    fn next(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("phase", &self.phase)
            .field("wanted", &self.wanted)
            .field("connections", &self.connections)
            .field("closes", &self.closes)
            .field("unanswered", &self.commands.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
