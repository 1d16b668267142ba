//! The loop: in each turn, whatever epoll tells of is read and dealt out, then everybody who got something is written
//! to, once.

use std::{
    io::{ErrorKind, Write},
    net::SocketAddr,
    os::fd::AsRawFd,
    rc::Rc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use mio::{Events, Interest, Poll, Token, event::Event, net::TcpStream, unix::SourceFd};
use nix::sys::{
    signal::{SigSet, Signal},
    signalfd::{SfdFlags, SignalFd},
};
use slab::Slab;

use super::{
    Limits,
    connection::{Connection, Got, Stage},
    deadlines::Deadlines,
    frame::{self, Code, Opcode},
    handshake,
    listen::Listen,
    protocol::{self, Said},
    rooms::{Member, Rooms},
};

const LISTENER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
/// Events of one turn.
const EVENTS: usize = 1_024;
/// Bytes of one read. Who says more waits for the next turn, behind the others.
const BUFFER: usize = 64 << 10;

/// Everything there is.
#[derive(Debug)]
pub(super) struct Loop {
    poll: Poll,
    signals: SignalFd,
    listen: Listen,
    clients: Clients,
    /// Who said more than one read took, and whether the end comes behind it.
    unread: Vec<(Member, bool)>,
    buffer: Vec<u8>,
}

/// Those who are connected, and what is done to them.
#[derive(Debug)]
struct Clients {
    limits: Limits,
    all: Slab<Connection>,
    rooms: Rooms,
    serial: u64,
    /// Upgrades and goodbyes that have to come to an end.
    deadlines: Deadlines<(Member, u64, Stage)>,
    /// Who got something in this turn. An entry may be old: [`Connection::listed`] tells.
    to_write: Vec<Member>,
    /// Who is to be forgotten at the end of this turn. An entry may be old: the stage tells.
    gone: Vec<Member>,
    /// The payload of the frame that is looked at.
    payload: Vec<u8>,
    /// The part of a message's frame that comes before its text.
    prefix: Vec<u8>,
}

impl Loop {
    pub(super) fn new(address: SocketAddr, limits: Limits) -> Result<Self> {
        let poll = Poll::new().context("starting epoll")?;
        let listen = Listen::new(address, poll.registry(), LISTENER)?;
        let mut mask = SigSet::empty();
        mask.add(Signal::SIGTERM);
        mask.add(Signal::SIGINT);
        mask.thread_block().context("holding signals back")?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
            .context("opening a descriptor for signals")?;
        let source = signals.as_raw_fd();
        poll.registry().register(&mut SourceFd(&source), SIGNALS, Interest::READABLE).context("waiting for signals")?;
        let clients = Clients {
            limits,
            all: Slab::new(),
            rooms: Rooms::default(),
            serial: 0,
            deadlines: Deadlines::new(limits.patience),
            to_write: Vec::new(),
            gone: Vec::new(),
            payload: Vec::new(),
            prefix: Vec::new(),
        };
        Ok(Self { poll, signals, listen, clients, unread: Vec::new(), buffer: vec![0; BUFFER] })
    }

    pub(super) fn address(&self) -> Result<SocketAddr> {
        self.listen.address()
    }

    pub(super) fn run(mut self) -> Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let now = Instant::now();
            let wait = if self.unread.is_empty() { self.clients.deadlines.wait(now) } else { Some(Duration::ZERO) };
            match self.poll.poll(&mut events, wait) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                other => other.context("waiting for events")?,
            }
            for (member, hung_up) in std::mem::take(&mut self.unread) {
                self.read(member, hung_up);
            }
            for event in &events {
                match event.token() {
                    LISTENER => self.accept()?,
                    SIGNALS => {
                        if self.signals.read_signal().context("reading a signal")?.is_some() {
                            return Ok(());
                        }
                    }
                    Token(member) => self.event(member, event),
                }
            }
            self.clients.flush();
            self.clients.expire(Instant::now());
            let freed = self.clients.forget();
            if freed && self.listen.is_stuck {
                self.accept()?;
            }
        }
    }

    fn accept(&mut self) -> Result<()> {
        while let Some(stream) = self.listen.accept() {
            let member = self.clients.add(stream);
            let stream = &mut self.clients.all[member].stream;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(stream, Token(member), interest).context("waiting for a client")?;
        }
        Ok(())
    }

    /// Something happened to a client. It may be another one's event who had its place a moment ago: then there is
    /// nothing to be read, and nothing comes of it.
    fn event(&mut self, member: Member, event: &Event) {
        let Some(client) = self.clients.all.get_mut(member) else { return };
        if event.is_writable() && client.writable() {
            self.clients.list(member);
        }
        if event.is_error() {
            self.clients.lose(member);
        } else if event.is_readable() || event.is_read_closed() {
            self.read(member, event.is_read_closed());
        }
    }

    /// Reads once. `hung_up`: the end comes behind the bytes, and there will be no other event for it.
    fn read(&mut self, member: Member, hung_up: bool) {
        let Some(client) = self.clients.all.get_mut(member) else { return };
        match client.read(&mut self.buffer) {
            Ok(Got::Bytes(size, more)) => {
                self.clients.hear(member, &self.buffer[..size]);
                if more || hung_up {
                    self.unread.push((member, hung_up));
                }
            }
            Ok(Got::Nothing) => {}
            Ok(Got::End) | Err(_) => self.clients.lose(member),
        }
    }
}

impl Clients {
    fn add(&mut self, stream: TcpStream) -> Member {
        self.serial += 1;
        let member = self.all.insert(Connection::new(stream, self.serial));
        self.deadlines.push(Instant::now(), (member, self.serial, Stage::Asking));
        member
    }

    /// It will be written to in this turn.
    fn list(&mut self, member: Member) {
        let Some(client) = self.all.get_mut(member) else { return };
        if !client.listed {
            client.listed = true;
            self.to_write.push(member);
        }
    }

    /// It is gone: forgotten at the end of the turn, so that nobody else has its place before.
    fn lose(&mut self, member: Member) {
        let Some(client) = self.all.get_mut(member) else { return };
        client.stage = Stage::Gone;
        self.gone.push(member);
    }

    /// One frame to one client.
    fn tell(&mut self, member: Member, frame: Rc<[u8]>) {
        let Some(client) = self.all.get_mut(member).filter(|client| client.stage != Stage::Gone) else { return };
        if !client.push(frame, self.limits.outbox) {
            self.gone.push(member);
        } else if !client.listed {
            client.listed = true;
            self.to_write.push(member);
        }
    }

    /// One last frame.
    fn dismiss(&mut self, member: Member, last: Rc<[u8]>) {
        self.tell(member, last);
        let Some(client) = self.all.get_mut(member).filter(|client| client.stage != Stage::Gone) else { return };
        client.stage = Stage::Leaving;
        let serial = client.serial;
        for room in std::mem::take(&mut client.rooms) {
            self.rooms.leave(room, member);
        }
        self.deadlines.push(Instant::now(), (member, serial, Stage::Leaving));
    }

    /// It said so much.
    fn hear(&mut self, member: Member, bytes: &[u8]) {
        let Some(client) = self.all.get_mut(member) else { return };
        if let Some(mut all) = client.behind_rest(bytes) {
            let taken = self.take(member, &all);
            all.drain(..taken);
            self.keep(member, all);
        } else {
            let taken = self.take(member, bytes);
            self.keep(member, bytes[taken..].to_vec());
        }
    }

    fn keep(&mut self, member: Member, rest: Vec<u8>) {
        let Some(client) = self.all.get_mut(member) else { return };
        if !rest.is_empty() && matches!(client.stage, Stage::Asking | Stage::Open) {
            client.keep(rest);
        }
    }

    /// Does what whole requests and frames say; how many bytes they were.
    fn take(&mut self, member: Member, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while let Some(client) = self.all.get(member) {
            let step = match client.stage {
                Stage::Asking => self.upgrade(member, &bytes[taken..]),
                Stage::Open => self.frame(member, &bytes[taken..]),
                Stage::Leaving | Stage::Gone => 0,
            };
            if step == 0 {
                break;
            }
            taken += step;
        }
        taken
    }

    fn upgrade(&mut self, member: Member, bytes: &[u8]) -> usize {
        match handshake::read(bytes, self.limits.rooms) {
            Ok(None) => 0,
            Ok(Some(upgrade)) => {
                self.tell(member, upgrade.answer.into_bytes().into());
                for room in &upgrade.rooms {
                    self.rooms.join(*room, member);
                }
                self.all[member].rooms = upgrade.rooms;
                self.all[member].stage = Stage::Open;
                upgrade.size
            }
            Err(answer) => {
                self.dismiss(member, answer.as_bytes().into());
                0
            }
        }
    }

    fn frame(&mut self, member: Member, bytes: &[u8]) -> usize {
        let mut payload = std::mem::take(&mut self.payload);
        let said = protocol::next(bytes, self.limits.payload, &mut payload);
        let size = match said {
            Ok(None) => 0,
            Ok(Some((size, said))) => {
                match said {
                    Said::Message { opcode, room, text } => self.spread(member, opcode, room, &payload[text..]),
                    Said::Ping => self.tell(member, frame::encode(Opcode::Pong, &[&payload])),
                    Said::Pong => {}
                    Said::Close if payload.is_empty() => self.dismiss(member, frame::close(Code::Normal)),
                    Said::Close => self.dismiss(member, frame::encode(Opcode::Close, &[&payload[..2]])),
                }
                size
            }
            Err(code) => {
                self.dismiss(member, frame::close(code));
                0
            }
        };
        self.payload = payload;
        size
    }

    /// A message to everybody in the room: encoded once.
    fn spread(&mut self, member: Member, opcode: Opcode, room: u64, text: &[u8]) {
        let next = match self.all[member].rooms.binary_search(&room) {
            Ok(_) => self.rooms.next(room),
            Err(_) => None,
        };
        let Some((number, members)) = next else {
            return self.dismiss(member, frame::close(Code::Policy));
        };
        self.prefix.clear();
        // A vector takes every byte.
        let _ = write!(self.prefix, "{room} {number} ");
        let frame = frame::encode(opcode, &[&self.prefix, text]);
        for member in members {
            // As `tell`, with the members borrowed. Who is in a room is in the table.
            let client = &mut self.all[*member];
            if client.stage == Stage::Gone {
                continue;
            }
            if !client.push(Rc::clone(&frame), self.limits.outbox) {
                self.gone.push(*member);
            } else if !client.listed {
                client.listed = true;
                self.to_write.push(*member);
            }
        }
    }

    /// Writes to everybody who got something.
    fn flush(&mut self) {
        for member in self.to_write.drain(..) {
            let Some(client) = self.all.get_mut(member).filter(|client| client.listed) else { continue };
            client.listed = false;
            if client.stage != Stage::Gone && client.flush().is_err() {
                client.stage = Stage::Gone;
                self.gone.push(member);
            }
        }
    }

    /// Ends upgrades and goodbyes that took too long.
    fn expire(&mut self, now: Instant) {
        while let Some((member, serial, stage)) = self.deadlines.pop(now) {
            if self.all.get(member).is_some_and(|client| client.serial == serial && client.stage == stage) {
                self.lose(member);
            }
        }
    }

    /// Forgets who is gone; whether anybody was.
    fn forget(&mut self) -> bool {
        let mut freed = false;
        while let Some(member) = self.gone.pop() {
            if self.all.get(member).is_none_or(|client| client.stage != Stage::Gone) {
                continue;
            }
            // Dropped, it is closed, and epoll forgets it.
            for room in self.all.remove(member).rooms {
                self.rooms.leave(room, member);
            }
            freed = true;
        }
        freed
    }
}
