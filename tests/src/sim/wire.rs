//! A connection without a network: what a client and a node say to each other, late, cut, or not read at all.

use std::time::Duration;

use gateway::{Batch, End, Inbound, Transport, Utf8Bytes};
use protocol::CloseCode;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::chance::Chance;

/// Batches that are on their way to a client that does not read; beyond it the node waits.
const IN_FLIGHT: usize = 2;
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// What comes to a client.
#[derive(Debug)]
pub(super) enum ToClient {
    /// What came with one flush.
    Frames {
        /// Frames, in order.
        frames: Vec<Utf8Bytes>,
        /// Then a ping.
        ping: bool,
        /// And where a stream stands after them.
        id: Option<String>,
    },
    /// The node ended it, with this code.
    Closed(u16),
}

/// A client's end. Dropped, the connection is broken.
#[derive(Debug)]
pub(super) struct Wire {
    to_node: mpsc::UnboundedSender<Inbound>,
    from_node: mpsc::Receiver<ToClient>,
}

/// The node's end.
pub(super) struct SimTransport {
    from_client: mpsc::UnboundedReceiver<Inbound>,
    to_client: mpsc::Sender<ToClient>,
    chance: Chance,
    /// The longest time that each way takes.
    delay: Duration,
    /// It is an event stream.
    stream: bool,
}

/// Both ends of a connection.
pub(super) fn wire(chance: Chance, delay: Duration, stream: bool) -> (Wire, SimTransport) {
    let (to_node, from_client) = mpsc::unbounded_channel();
    let (to_client, from_node) = mpsc::channel(IN_FLIGHT);
    (Wire { to_node, from_node }, SimTransport { from_client, to_client, chance, delay, stream })
}

impl Wire {
    /// Says something; whether it arrives shows by its answer.
    pub(super) fn say(&self, frame: String) {
        let _ = self.to_node.send(Inbound::Text(frame.into()));
    }

    /// Answers a ping.
    pub(super) fn pong(&self) {
        let _ = self.to_node.send(Inbound::Alive);
    }

    /// What comes next; none when the connection broke.
    pub(super) async fn hear(&mut self) -> Option<ToClient> {
        self.from_node.recv().await
    }
}

impl SimTransport {
    async fn way(&self) {
        if !self.delay.is_zero() {
            sleep(self.chance.time(Duration::ZERO..self.delay)).await;
        }
    }
}

impl Transport for SimTransport {
    async fn receive(&mut self) -> Result<Inbound, End> {
        // Of a stream nothing comes but its end.
        self.from_client.recv().await.ok_or(End::Gone)
    }

    async fn send(&mut self, batch: Batch) -> Result<(), End> {
        self.way().await;
        let Batch { frames, ping, id } = batch;
        self.to_client.send(ToClient::Frames { frames, ping, id }).await.map_err(|_| End::Gone)
    }

    fn resumes_by_id(&self) -> bool {
        self.stream
    }

    async fn close(&mut self, code: CloseCode) {
        let _ = timeout(FAREWELL, self.to_client.send(ToClient::Closed(code.code()))).await;
    }
}
