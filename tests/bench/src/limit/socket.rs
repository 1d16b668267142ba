//! One socket of a run: sends what it is told to, hears everything, and in a closed loop answers its own messages with
//! the next.

use std::{sync::Arc, time::Duration};

use futures_util::{SinkExt, StreamExt};
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{self, Message};

use super::{
    clock::Clock,
    dial::Socket,
    dialect::{Dialect, Said},
    ledger::{Heard, Ledger, Member},
    meter::Meter,
    text::Text,
};

/// Messages that may wait to be sent by one socket.
const WAITING: usize = 1_024;

/// What the sockets of a run share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) ledger: Ledger,
    pub(super) clock: Clock,
    /// Intended time to delivery, to every member.
    pub(super) deliveries: Meter,
    /// Intended time to the sender's own delivery.
    pub(super) own: Meter,
    /// Intended time to the delivery after which all members have it.
    pub(super) last: Meter,
    /// Bytes of a text.
    pub(super) size: usize,
    /// In a closed loop, until when (of the clock) own messages are answered with the next; in an open one 0.
    pub(super) answer_until: std::sync::atomic::AtomicU64,
    pub(super) patience: Duration,
    pub(super) dialect: Dialect,
}

/// A socket at work. It says goodbye when [`Running::orders`] is dropped.
#[derive(Debug)]
pub(super) struct Running {
    /// Messages to send, by the time at which they are due; each announced to the ledger before.
    pub(super) orders: Sender<u64>,
    pub(super) member: JoinHandle<Member>,
}

/// Begins.
pub(super) fn start(shared: &Arc<Shared>, socket: Socket, index: usize) -> Running {
    let (orders, told) = channel(WAITING);
    let worker = Worker { member: shared.ledger.member(index), shared: Arc::clone(shared), socket, turn: 0 };
    Running { orders, member: tokio::spawn(worker.run(told)) }
}

struct Worker {
    shared: Arc<Shared>,
    socket: Socket,
    member: Member,
    /// Messages it sent.
    turn: u32,
}

impl Worker {
    async fn run(mut self, mut told: Receiver<u64>) -> Member {
        if !self.work(&mut told).await {
            self.member.faults.closed += 1;
        }
        self.member
    }

    /// Until the goodbye is answered; `false` when the server went first.
    async fn work(&mut self, told: &mut Receiver<u64>) -> bool {
        loop {
            let going_well = tokio::select! {
                order = told.recv() => match order {
                    Some(due) => self.send(due).await.is_ok(),
                    None => return self.leave().await,
                },
                heard = self.socket.next() => match heard {
                    Some(Ok(message)) => self.hear(message).await.is_ok(),
                    Some(Err(_)) | None => false,
                },
            };
            if !going_well {
                return false;
            }
        }
    }

    async fn send(&mut self, due: u64) -> tungstenite::Result<()> {
        let text = Text { sender: self.member.index as u32, turn: self.turn, due };
        self.turn += 1;
        let frame = self.shared.dialect.wrap(text.frame(self.shared.ledger.name(self.member.room), self.shared.size));
        self.socket.send(Message::text(frame)).await
    }

    async fn hear(&mut self, message: Message) -> tungstenite::Result<()> {
        let Message::Text(frame) = message else { return Ok(()) };
        let now = self.shared.clock.now();
        let said = match self.shared.dialect.read(&frame) {
            Said::Message(said) => said,
            Said::Ping => return self.socket.send(Dialect::pong()).await,
        };
        let Some(Heard { text, is_last }) = self.shared.ledger.hear(&mut self.member, said) else { return Ok(()) };
        self.shared.deliveries.record(self.member.index, now.saturating_sub(text.due));
        if is_last {
            self.shared.last.record(self.member.index, now.saturating_sub(text.due));
        }
        let is_own = text.sender as usize == self.member.index;
        if is_own {
            self.shared.own.record(self.member.index, now.saturating_sub(text.due));
        }
        let answers = is_own && now < self.shared.answer_until.load(std::sync::atomic::Ordering::SeqCst);
        if answers {
            self.shared.ledger.send(self.member.room);
        }
        self.shared.ledger.count();
        if answers { self.send(now).await } else { Ok(()) }
    }

    /// Says goodbye and hears the rest: what was delivered too much comes before the answer.
    async fn leave(&mut self) -> bool {
        let patience = self.shared.patience;
        if self.socket.close(None).await.is_err() {
            return false;
        }
        loop {
            match timeout(patience, self.socket.next()).await {
                Ok(Some(Ok(Message::Close(_)))) => return true,
                Ok(Some(Ok(message))) => {
                    if self.hear(message).await.is_err() {
                        return false;
                    }
                }
                Ok(Some(Err(_)) | None) | Err(_) => return false,
            }
        }
    }
}
