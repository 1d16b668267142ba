//! One person's device: a socket or a stream of events that comes back by itself, resumes with its cursors, and says a
//! message again under the same `client_id` until it is answered, as docs/protocol.md asks of a good client.

mod hears;
mod pending;
mod session;
mod sse;
mod sse_stream;
mod ws;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    task::JoinHandle,
};

use self::session::Session;
use crate::{
    ledger::{Receiver, Room},
    people::Person,
    run::Run,
};

/// What a device is told to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Send a message, which was meant to go out at `intended` (of the run's clock).
    Send {
        room: Arc<Room>,
        intended: u64,
        /// Given back when the message is answered: what closes a closed loop.
        permit: Option<OwnedSemaphorePermit>,
    },
    /// Say another command: its type, and its fields as JSON without braces.
    Tell { kind: &'static str, fields: String, intended: u64 },
    /// Break the connection as a lost network does, and come back after this time.
    Break { away: Duration },
}

/// How a device is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not connected, and trying.
    Away,
    /// Its events flow.
    Live,
    /// The server sent it away for good.
    Stopped,
}

/// How a device is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// A WebSocket.
    Socket,
    /// Server-Sent Events; what it says goes by REST.
    Events,
}

/// A device that lives until it is dropped.
#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) person: Person,
    pub(crate) receiver: Arc<Receiver>,
    run: Arc<Run>,
    orders: mpsc::UnboundedSender<Order>,
    phase: watch::Receiver<Phase>,
    task: JoinHandle<()>,
}

impl Device {
    /// Starts to connect, which was due then. What it takes part in is told to `receiver` before.
    pub(crate) fn start(run: &Arc<Run>, person: Person, receiver: Arc<Receiver>, line: Line, due: Instant) -> Self {
        let (orders, inbox) = mpsc::unbounded_channel();
        let (tell, phase) = watch::channel(Phase::Away);
        let session = Session::new(Arc::clone(run), person.clone(), Arc::clone(&receiver), tell, due);
        let task = match line {
            Line::Socket => tokio::spawn(ws::run(session, inbox)),
            Line::Events => tokio::spawn(sse::run(session, inbox)),
        };
        Self { person, receiver, run: Arc::clone(run), orders, phase, task }
    }

    /// Tells it what to do; it does so as soon as it is connected. False: it was sent away for good and does nothing
    /// more.
    pub(crate) fn order(&self, order: Order) -> bool {
        self.orders.send(order).is_ok()
    }

    /// A message is due, which counts from now on. False: it was sent away for good and never says it.
    pub(crate) fn send(&self, room: Arc<Room>, intended: u64, permit: Option<OwnedSemaphorePermit>) -> bool {
        self.run.due();
        let taken = self.order(Order::Send { room, intended, permit });
        if !taken {
            self.run.over(1);
        }
        taken
    }

    /// Whether its events flow.
    pub(crate) fn is_live(&self) -> bool {
        *self.phase.borrow() == Phase::Live
    }

    /// Whether it is on its way back.
    pub(crate) fn is_away(&self) -> bool {
        *self.phase.borrow() == Phase::Away
    }

    /// Waits until its events flow, or it was sent away for good.
    pub(crate) fn settled(&self) -> impl Future<Output = Phase> + Send + use<> {
        let mut phase = self.phase.clone();
        async move { phase.wait_for(|phase| *phase != Phase::Away).await.map_or(Phase::Stopped, |phase| phase.clone()) }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.task.abort();
    }
}
