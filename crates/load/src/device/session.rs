//! What a person's connections have in common, whatever carries them: cursors, commands under way, and what a frame
//! means. Sans-IO: frames come in by [`Session::frame`], and what is to be said waits in `out`.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use protocol::{ConversationId, ErrorCode, ReplyError, Seq};
use serde_json::json;
use tokio::sync::{mpsc, watch};

use super::{
    Order, Phase,
    pending::{Message, Pending, Waiting},
};
use crate::{
    frame::{Data, Frame, Page},
    ledger::{Came, Key, Receiver},
    meter::Kind,
    people::Person,
    run::Run,
};

/// A refusal that names no time is said again after this.
const RETRY: Duration = Duration::from_millis(200);
/// `ref` of `hello`; all others are numbers.
const HELLO: &str = "hello";
/// Before the first attempt to connect again, at most; it doubles with each attempt in vain, up to the second.
const BACKOFF: [Duration; 2] = [Duration::from_millis(400), Duration::from_millis(1_600)];

/// Orders of a device.
pub(super) type Orders = mpsc::UnboundedReceiver<Order>;

/// What a frame asks of who owns the connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Nothing.
    Nothing,
    /// The server wants it to connect elsewhere after this.
    Move(Duration),
}

/// One person's connections, one after the other.
pub(super) struct Session {
    pub(super) run: Arc<Run>,
    pub(super) person: Person,
    pub(super) receiver: Arc<Receiver>,
    /// Frames to be said.
    pub(super) out: VecDeque<String>,
    /// Pages to be asked for by who has no socket to ask on.
    pub(super) fetches: Vec<(ConversationId, Seq)>,
    /// Its events flow.
    pub(super) live: bool,
    pub(super) pending: Pending,
    /// Silence that means a dead server.
    pub(super) patience: Duration,
    phase: watch::Sender<Phase>,
    number: u64,
    epoch: Option<String>,
    user_seq: u64,
    announcement_seq: u64,
    /// The first connection is told from later ones: it takes "connect", they take "reconnect".
    lost_at: Option<Instant>,
    dialled_at: Instant,
    failures: u32,
}

impl Session {
    pub(super) fn new(run: Arc<Run>, person: Person, receiver: Arc<Receiver>, phase: watch::Sender<Phase>) -> Self {
        Self {
            run,
            person,
            receiver,
            out: VecDeque::new(),
            fetches: Vec::new(),
            live: false,
            pending: Pending::default(),
            patience: Duration::from_mins(1),
            phase,
            number: 0,
            epoch: None,
            user_seq: 0,
            announcement_seq: 0,
            lost_at: None,
            dialled_at: Instant::now(),
            failures: 0,
        }
    }

    // ---- the life of a connection

    /// It is about to connect.
    pub(super) fn dials(&mut self) {
        self.dialled_at = Instant::now();
        self.out.clear();
        self.receiver.connects();
    }

    /// It could not.
    pub(super) fn failed(&mut self, code: &str, line: String) {
        self.failures += 1;
        self.run.meter.error(code);
        *self.run.last_error.lock() = line;
    }

    /// Events flow.
    fn goes_live(&mut self) {
        self.live = true;
        self.failures = 0;
        self.run.meter.opened();
        let (kind, since) = match self.lost_at.take() {
            Some(lost_at) => (Kind::Back, lost_at),
            None => (Kind::Connect, self.dialled_at),
        };
        self.run.meter.record(self.person.index, kind, since.elapsed().as_micros() as u64);
        self.phase.send_replace(Phase::Live);
        self.tick();
    }

    /// The connection is gone, for now or for good.
    pub(super) fn ended(&mut self, code: u16, for_good: bool) {
        self.run.meter.closed(code);
        if std::mem::take(&mut self.live) {
            self.run.meter.open.fetch_sub(1, Relaxed);
            self.lost_at = Some(Instant::now());
        }
        let forgotten = self.pending.broken();
        for _ in 0..forgotten {
            self.run.meter.error("command lost with its connection");
        }
        if for_good {
            self.run.meter.error(format!("sent away with {code}"));
        }
        self.phase.send_replace(if for_good { Phase::Stopped } else { Phase::Away });
    }

    /// How long it waits before it tries again: full jitter.
    pub(super) fn backoff(&self) -> Duration {
        let most = BACKOFF[0].saturating_mul(1 << self.failures.min(6)).min(BACKOFF[1]);
        most.mul_f64(rand::random::<f64>())
    }

    /// Which connection it is, counted over gateways: people are spread over them, and each failure tries the next.
    pub(super) fn turn(&self) -> usize {
        self.person.index as usize + self.failures as usize
    }

    // ---- what it says

    /// Takes an order that is a command. Breaking the connection is up to who owns it.
    pub(super) fn order(&mut self, order: Order) {
        match order {
            Order::Send { room, intended, permit } => {
                self.number += 1;
                let key = Key { sender: self.person.index, number: self.number };
                let content = self.run.ledger.sent(&room, key, intended).text(self.run.size);
                let client_id = format!("{}-{}-{}", self.run.name, key.sender, key.number);
                self.run.under_way.fetch_add(1, Relaxed);
                let message = Message { room, key, client_id, content, _permit: permit };
                let (reference, message) = self.pending.message(intended, message, self.run.patience);
                self.out.push_back(send_frame(reference, message));
            }
            Order::Tell { kind, fields, intended } => {
                let reference = self.pending.command(intended, self.run.patience);
                self.out.push_back(format!(r#"{{"type":"{kind}","ref":"{reference}",{fields}}}"#));
            }
            Order::Break { .. } => {}
        }
    }

    /// Says again what is due.
    pub(super) fn tick(&mut self) {
        let (again, given_up) = self.pending.due(self.run.patience, self.live);
        self.out.extend(again.into_iter().map(|(reference, message)| send_frame(reference, message)));
        for _ in 0..given_up {
            self.run.meter.error("no answer");
        }
    }

    fn hello(&self) -> String {
        let mut hello = json!({"type": "hello", "ref": HELLO});
        if let Some(epoch) = &self.epoch {
            hello["resume"] = json!({
                "epoch": epoch, "user_seq": self.user_seq, "announcement_seq": self.announcement_seq,
                "cursors": self.receiver.cursors(),
            });
        }
        hello.to_string()
    }

    // ---- what it hears

    /// A frame came.
    pub(super) fn frame(&mut self, text: &str) -> Ask {
        self.run.meter.received.fetch_add(text.len() as u64, Relaxed);
        let Ok(frame) = Frame::read(text) else {
            self.run.meter.error("a frame that cannot be read");
            return Ask::Nothing;
        };
        if let Some(user_seq) = frame.user_seq {
            self.user_seq = self.user_seq.max(user_seq);
        }
        match (frame.kind, &frame.data) {
            ("message.created", _) => self.message(&frame),
            ("changes", _) => {
                if let Some(page) = frame.page() {
                    self.page(&page, false);
                }
            }
            ("reply", data) => self.reply(frame.reference, frame.error.as_ref(), data.as_ref()),
            ("connected", Some(data)) => {
                self.out.push_front(self.hello());
                self.connected(data);
            }
            ("conversation.created", Some(data)) => {
                if let (Some(Ok(id)), Some(head)) = (data.id.map(str::parse), data.last_seq) {
                    self.receiver.head(id, head);
                }
            }
            ("announcement", Some(data)) => {
                self.announcement_seq = self.announcement_seq.max(data.seq.unwrap_or_default());
            }
            ("resync_required", Some(data)) => self.resync(data),
            ("participant.removed", _) => self.run.meter.error("removed from a conversation"),
            ("reconnect", Some(data)) => return Ask::Move(Duration::from_millis(data.after_ms.unwrap_or_default())),
            _ => {
                if let (Some(id), Some(seq)) = (frame.conversation_id, frame.seq) {
                    self.receiver.step(id, seq);
                }
            }
        }
        Ask::Nothing
    }

    fn message(&mut self, frame: &Frame<'_>) {
        match (frame.conversation_id, frame.message()) {
            (Some(id), Some((seq, content))) => self.came(id, seq, content, false),
            (Some(id), None) => self.receiver.step(id, frame.seq.unwrap_or_default()),
            (None, _) => self.run.meter.error("a message of no conversation"),
        }
    }

    fn came(&mut self, id: ConversationId, seq: Seq, content: &str, paged: bool) {
        if let Came::New(stamp) = self.run.ledger.came(&self.receiver, id, seq, content, paged) {
            let took = self.run.clock.now().saturating_sub(stamp.sent);
            self.run.meter.record(self.person.index, Kind::Delivery, took);
        }
    }

    /// Takes a page; `asked`: the device asked for it, so it may repeat what is known.
    pub(super) fn page(&mut self, page: &Page<'_>, asked: bool) {
        for (seq, content) in page.messages() {
            self.came(page.id, seq, content, asked);
        }
        self.receiver.page(page.id, page.from, page.to);
        if asked && page.more {
            self.fetch(page.id, page.to);
        }
    }

    fn connected(&mut self, data: &Data<'_>) {
        if self.epoch.is_none() {
            self.epoch = data.epoch.map(str::to_owned);
            self.user_seq = data.user_seq.unwrap_or_default();
            self.announcement_seq = data.announcement_seq.unwrap_or_default();
        }
        if let Some(interval) = data.heartbeat_interval_ms.filter(|interval| *interval > 0) {
            self.patience = Duration::from_millis(2 * interval) + Duration::from_secs(1);
        }
    }

    /// A conversation, or all, is to be fetched: what is known of it is not to be gone on from.
    fn resync(&mut self, data: &Data<'_>) {
        self.run.meter.error(format!("resync: {}", data.reason.unwrap_or("without a reason")));
        match data.conversation_id {
            Some(id) => self.fetch(id, self.receiver.cursor(id).unwrap_or_default()),
            None => {
                self.epoch = None;
                for (id, cursor) in self.receiver.cursors() {
                    self.fetch(id, cursor);
                }
            }
        }
    }

    fn fetch(&mut self, id: ConversationId, after: Seq) {
        let frame = json!({"type": "changes.get", "ref": format!("fetch-{id}"), "conversation_id": id, "after": after});
        self.out.push_back(frame.to_string());
        self.fetches.push((id, after));
    }

    fn reply(&mut self, reference: Option<&str>, error: Option<&ReplyError>, data: Option<&Data<'_>>) {
        // The reply to the `hello` of a stream has none.
        let reference = reference.unwrap_or(HELLO);
        if reference == HELLO {
            return self.welcome(error, data);
        }
        if reference.starts_with("fetch-") {
            match (data.and_then(Data::page), error) {
                (Some(page), _) => self.page(&page, true),
                (None, Some(error)) => self.run.meter.error(error.code.as_str()),
                (None, None) => self.run.meter.error("a page that cannot be read"),
            }
            return;
        }
        let Some(number) = reference.parse().ok() else { return };
        // Said twice, it is answered twice.
        let Some(waiting) = self.pending.answered(number) else { return };
        match error {
            None => self.done(waiting, data.and_then(|data| data.seq)),
            Some(error) => {
                self.run.meter.error(error.code.as_str());
                if waiting.message.is_some() && is_passing(error) {
                    let after = error.retry_after_ms.map_or(RETRY, Duration::from_millis);
                    self.pending.later(number, waiting, after);
                } else if waiting.message.is_some() {
                    self.run.under_way.fetch_sub(1, Relaxed);
                }
            }
        }
    }

    fn welcome(&mut self, error: Option<&ReplyError>, data: Option<&Data<'_>>) {
        if let Some(error) = error {
            self.run.meter.error(format!("hello: {}", error.code));
            *self.run.last_error.lock() = format!("`hello` was refused: {}", error.message);
            return;
        }
        for (id, head) in data.and_then(|data| data.heads.as_ref()).into_iter().flatten() {
            self.receiver.head(*id, *head);
        }
        self.goes_live();
    }

    /// A command was done; a message is at this place.
    pub(super) fn done(&mut self, waiting: Waiting, seq: Option<Seq>) {
        let took = self.run.clock.now().saturating_sub(waiting.intended);
        let Some(Message { room, key, .. }) = waiting.message else {
            return self.run.meter.record(self.person.index, Kind::Command, took);
        };
        self.run.under_way.fetch_sub(1, Relaxed);
        match seq {
            Some(seq) => {
                if self.run.ledger.acknowledged(&room, key, seq) {
                    self.run.meter.record(self.person.index, Kind::Ack, took);
                }
            }
            None => self.run.meter.error("an acknowledgement without a place"),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.live {
            self.run.meter.open.fetch_sub(1, Relaxed);
        }
    }
}

/// Whether saying the same again may help.
fn is_passing(error: &ReplyError) -> bool {
    use ErrorCode::{Internal, Overloaded, RateLimited, SlowMode, Timeout, Unavailable};
    error.retry_after_ms.is_some()
        || matches!(error.code, Internal | Overloaded | RateLimited | SlowMode | Timeout | Unavailable)
}

/// Content and names are ours: nothing in them needs to be escaped.
fn send_frame(reference: u64, message: &Message) -> String {
    let Message { room, client_id, content, .. } = message;
    format!(
        r#"{{"type":"message.send","ref":"{reference}","conversation_id":"{}","client_id":"{client_id}","content":"{content}"}}"#,
        room.id
    )
}
