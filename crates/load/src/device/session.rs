//! What a person's connections have in common, whatever carries them: cursors, commands under way, and what is
//! to be said, which waits in `out`. Sans-IO; what a frame means is in `hears.rs`.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use protocol::{ConversationId, Seq};
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use super::{
    Order, Phase,
    pending::{Message, Pending},
};
use crate::{
    ledger::{Key, Receiver, Room},
    meter::Kind,
    people::Person,
    run::Run,
};

/// `ref` of `hello`; those of pages begin with [`FETCH`], all others are numbers.
pub(super) const HELLO: &str = "hello";
/// Before the id of the conversation whose page is asked for.
pub(super) const FETCH: &str = "fetch-";
/// Before the first attempt to connect again, at most; it doubles with each attempt in vain, up to the second.
const BACKOFF: [Duration; 2] = [Duration::from_millis(400), Duration::from_millis(1_600)];

/// Orders of a device.
pub(super) type Orders = mpsc::UnboundedReceiver<Order>;

/// One person's connections, one after the other.
pub(super) struct Session {
    pub(super) run: Arc<Run>,
    pub(super) person: Person,
    pub(super) receiver: Arc<Receiver>,
    /// Frames to be said.
    pub(super) out: VecDeque<String>,
    /// Pages to be asked for: on the socket, or over REST by who has none.
    pub(super) fetches: Vec<(ConversationId, Seq)>,
    /// Conversations whose page was refused for now.
    pub(super) refused: Vec<ConversationId>,
    /// Its events flow.
    pub(super) live: bool,
    pub(super) pending: Pending,
    /// Silence that means a dead server.
    pub(super) patience: Duration,
    phase: watch::Sender<Phase>,
    number: u64,
    /// In which the cursors were taken.
    pub(super) epoch: Option<String>,
    /// That of the last connection.
    pub(super) told_epoch: Option<String>,
    pub(super) user_seq: u64,
    pub(super) announcement_seq: u64,
    /// The first connection is told from later ones: it takes "connect", they take "reconnect".
    lost_at: Option<Instant>,
    /// When it was to connect for the first time. Attempts in vain are a part of how long that takes.
    due: Instant,
    failures: u32,
}

impl Session {
    pub(super) fn new(
        run: Arc<Run>,
        person: Person,
        receiver: Arc<Receiver>,
        phase: watch::Sender<Phase>,
        due: Instant,
    ) -> Self {
        Self {
            run,
            person,
            receiver,
            out: VecDeque::new(),
            fetches: Vec::new(),
            refused: Vec::new(),
            live: false,
            pending: Pending::default(),
            patience: Duration::from_mins(1),
            phase,
            number: 0,
            epoch: None,
            told_epoch: None,
            user_seq: 0,
            announcement_seq: 0,
            lost_at: None,
            due,
            failures: 0,
        }
    }

    // ---- the life of a connection

    /// It is about to connect.
    pub(super) fn dials(&mut self) {
        self.out.clear();
        // The resume brings what these were to bring.
        self.fetches.clear();
        self.refused.clear();
        self.receiver.connects();
    }

    /// It could not.
    pub(super) fn failed(&mut self, code: &str, line: String) {
        self.failures += 1;
        self.run.meter.error(code);
        *self.run.last_error.lock() = line;
    }

    /// Events flow.
    pub(super) fn goes_live(&mut self) {
        self.live = true;
        self.failures = 0;
        self.run.meter.opened();
        let (kind, since) = match self.lost_at.take() {
            Some(lost_at) => (Kind::Back, lost_at),
            None => (Kind::Connect, self.due),
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
        } else {
            // A connection that never came to anything is an attempt in vain: the next one waits longer.
            self.failures += 1;
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

    /// It was sent away for good: what it was told to say is never said, and what it said is not answered any more.
    pub(super) fn dismissed(&mut self, orders: &mut Orders) {
        orders.close();
        let mut over = self.pending.messages();
        while let Ok(order) = orders.try_recv() {
            over += usize::from(matches!(order, Order::Send { .. }));
        }
        self.run.over(over);
    }

    /// How long it waits before it tries again: full jitter.
    pub(super) fn backoff(&self) -> Duration {
        let most = BACKOFF[0].saturating_mul(1 << self.failures.min(6)).min(BACKOFF[1]);
        most.mul_f64(rand::random::<f64>())
    }

    /// Which gateway's turn it is.
    pub(super) fn turn(&self) -> usize {
        self.run.dialer.turn(self.person.index as usize, self.failures as usize)
    }

    // ---- what it says

    /// A message is to be said now.
    pub(super) fn written(&mut self, room: Arc<Room>, intended: u64, permit: Option<OwnedSemaphorePermit>) -> Message {
        self.number += 1;
        let key = Key { sender: self.person.index, number: self.number };
        let content = self.run.ledger.said(&room, key, intended).text(self.run.size);
        Message { client_id: self.run.client_id(key), room, key, content, _permit: permit }
    }

    /// Takes an order that is a command. Breaking the connection is up to who owns it.
    pub(super) fn order(&mut self, order: Order) {
        match order {
            Order::Send { room, intended, permit } => {
                let message = self.written(room, intended, permit);
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
        for id in std::mem::take(&mut self.refused) {
            self.fetches.push((id, self.receiver.cursor(id).unwrap_or_default()));
        }
        self.ask();
    }

    /// Whether a tick has something to do.
    pub(super) fn waits(&self) -> bool {
        !self.pending.is_empty() || !self.refused.is_empty()
    }

    /// Asks for pages on the socket.
    pub(super) fn ask(&mut self) {
        for (id, after) in self.fetches.drain(..) {
            let frame = json!({
                "type": "changes.get", "ref": format!("{FETCH}{id}"), "conversation_id": id, "after": after,
            });
            self.out.push_back(frame.to_string());
        }
    }

    pub(super) fn hello(&self) -> String {
        let mut hello = json!({"type": "hello", "ref": HELLO});
        if let Some(epoch) = &self.epoch {
            hello["resume"] = json!({
                "epoch": epoch, "user_seq": self.user_seq, "announcement_seq": self.announcement_seq,
                "cursors": self.receiver.cursors(),
            });
        }
        hello.to_string()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.live {
            self.run.meter.open.fetch_sub(1, Relaxed);
        }
    }
}

/// Content and names are ours: nothing in them needs to be escaped.
fn send_frame(reference: u64, message: &Message) -> String {
    let Message { room, client_id, content, .. } = message;
    format!(
        r#"{{"type":"message.send","ref":"{reference}","conversation_id":"{}","client_id":"{client_id}","content":"{content}"}}"#,
        room.id
    )
}
