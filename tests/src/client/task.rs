//! The task behind a [`Client`](super::Client): a [`Core`] on a real socket.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{Answered, BROKEN, Core, Frame, Order, Output, Shared, Socket};

/// Owns the socket.
pub(super) struct Task {
    shared: Arc<Shared>,
    orders: mpsc::UnboundedReceiver<Order>,
    start: Instant,
    socket: Option<Socket>,
}

/// What woke the task.
enum Woke {
    Frame(Frame),
    Order(Option<Order>),
    Time,
}

impl Task {
    pub(super) fn new(shared: Arc<Shared>, orders: mpsc::UnboundedReceiver<Order>, start: Instant) -> Self {
        Self { shared, orders, start, socket: None }
    }

    pub(super) async fn run(mut self) {
        self.core(Core::tick);
        while self.outputs().await {
            let wakes_at = self.shared.state.lock().core.wakes_at();
            let woke = tokio::select! {
                biased;
                order = self.orders.recv() => Woke::Order(order),
                frame = next(&mut self.socket), if self.socket.is_some() => Woke::Frame(frame),
                () = sleep_until(self.start + wakes_at.unwrap_or_default()), if wakes_at.is_some() => Woke::Time,
            };
            match woke {
                Woke::Time => self.core(Core::tick),
                Woke::Frame(Frame::Json(frame)) => self.core(|core, now| core.frame(now, frame)),
                Woke::Frame(ended) => {
                    self.socket = None;
                    let code = if let Frame::Closed(code) = ended { code } else { BROKEN };
                    self.core(|core, now| core.closed(now, code));
                }
                Woke::Order(None) => return,
                Woke::Order(Some(Order::Watch(users))) => self.core(|core, now| core.watch(now, users)),
                Woke::Order(Some(Order::Break)) => self.core(Core::break_off),
                Woke::Order(Some(Order::Want(wanted))) => {
                    self.core(|core, now| core.want(now, wanted));
                    self.core(Core::tick);
                }
                Woke::Order(Some(Order::Command { frame, persistence, reply })) => {
                    let mut state = self.shared.state.lock();
                    let number = state.core.command(self.start.elapsed(), frame, persistence);
                    state.waiting.insert(number, reply);
                }
            }
        }
    }

    fn core(&self, change: impl FnOnce(&mut Core, Duration)) {
        change(&mut self.shared.state.lock().core, self.start.elapsed());
        self.shared.changed.notify_waiters();
    }

    /// Does what the core says; false when the client has ended.
    async fn outputs(&mut self) -> bool {
        loop {
            let output = self.shared.state.lock().core.next();
            match output {
                None => return true,
                Some(Output::Stopped(_)) => return false,
                Some(Output::Connect) => {
                    let (base, token) = {
                        let state = self.shared.state.lock();
                        (state.base.clone(), state.token.clone())
                    };
                    match Socket::awaiting_hello(&base, &token).await {
                        Ok(socket) => {
                            self.socket = Some(socket);
                            self.core(Core::opened);
                        }
                        Err(_) => self.core(Core::failed),
                    }
                }
                Some(Output::Leave { in_order }) => {
                    if let Some(socket) = self.socket.take().filter(|_| in_order) {
                        // The server may be gone already; the client leaves either way.
                        let _ = socket.close().await;
                    }
                }
                Some(Output::Send(frame)) => {
                    let Some(socket) = &mut self.socket else { continue };
                    if socket.send(&frame).await.is_err() {
                        self.socket = None;
                        self.core(|core, now| core.closed(now, BROKEN));
                    }
                }
                Some(Output::Answered { number, outcome }) => {
                    let waiting = self.shared.state.lock().waiting.remove(&number);
                    if let (Some(waiting), Answered::Reply(reply)) = (waiting, outcome) {
                        // Who asked may have given up. A lost answer is told by dropping the sender.
                        let _ = waiting.send(reply);
                    }
                }
            }
        }
    }
}

async fn next(socket: &mut Option<Socket>) -> Frame {
    match socket {
        Some(socket) => socket.next().await,
        None => std::future::pending().await,
    }
}
