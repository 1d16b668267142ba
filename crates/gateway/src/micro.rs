//! For benchmarks of single parts (`tests/bench`), behind the feature `micro`; servers are built without it.

use std::sync::Arc;

use axum::body::Bytes;
use chat::envelope::ConversationEvent;
use futures_util::FutureExt;
use protocol::{ConversationId, Seq};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{
    hub::{
        Hub,
        channel::Rules,
        sequencer::{Offered, Room, Sequencer},
    },
    link::Link,
    outbox::{Class, Outbox, OutboxLimits},
    testing::link,
    transport::{Batch, Inbound, Io, Transport, WsTransport},
};

/// More than any of these fills.
const BYTES: usize = 1 << 20;

/// A conversation with live subscribers on this node.
pub struct Members {
    hub: Hub,
    links: Vec<Arc<Link>>,
    id: ConversationId,
    seq: Seq,
    frame: Bytes,
}

impl Members {
    /// So many, who get events of so many bytes.
    ///
    /// # Panics
    /// When somebody cannot go live.
    pub fn new(count: usize, bytes: usize) -> Self {
        let (hub, id) = (Hub::new(Rules::default()), ConversationId::generate());
        let links: Vec<_> = std::iter::repeat_with(link).take(count).collect();
        for link in &links {
            let attachment = hub.attach(id, link).expect("it is new here");
            let _ = hub.establish(id, 0);
            let released = hub.release(id, &attachment, 0, 0);
            assert!(released.is_ok(), "nothing was delivered before");
        }
        Self { hub, links, id, seq: 0, frame: "x".repeat(bytes).into() }
    }

    /// The next event comes and is in everybody's outbox, from where it is taken: how many took it.
    pub fn event(&mut self) -> usize {
        self.seq += 1;
        let event = ConversationEvent {
            seq: Some(self.seq),
            place: Some(self.seq),
            removed: Vec::new(),
            ends: false,
            epoch: None,
            trace: None,
            frame: self.frame.clone(),
        };
        let _ = self.hub.offer(self.id, event);
        let taken = self.links.iter().map(|link| {
            let count = link.outbox.take(BYTES).frames.len();
            link.outbox.written(true);
            count
        });
        taken.sum()
    }
}

/// Events of one conversation, to be put in order.
#[derive(Default)]
pub struct Order {
    sequencer: Sequencer<()>,
    next: Seq,
}

impl Order {
    /// The next two, the second one first if they are to be swapped: how many came out.
    pub fn two(&mut self, swapped: bool) -> usize {
        if self.next == 0 {
            self.sequencer.establish(0);
        }
        self.next += 2;
        let two = [self.next - 1, self.next];
        let room = Room { events: 100, bytes: BYTES };
        let in_turn = if swapped { [two[1], two[0]] } else { two };
        let offered = in_turn.map(|seq| self.sequencer.offer(seq, (), 300, room));
        offered.iter().map(|offered| if let Offered::Deliver(out) = offered { out.len() } else { 0 }).sum()
    }
}

/// What waits for one connection.
pub struct Queue {
    outbox: Outbox,
    frame: Utf8Bytes,
}

impl Queue {
    /// Frames of so many bytes.
    pub fn new(bytes: usize) -> Self {
        let outbox = Outbox::new(OutboxLimits { bytes: BYTES, events: 4_096 });
        Self { outbox, frame: "x".repeat(bytes).into() }
    }

    /// So many are put in, then taken: how many were.
    pub fn turn(&self, count: usize) -> usize {
        (0..count).for_each(|_| self.outbox.push(self.frame.clone(), Class::Durable));
        let taken = self.outbox.take(BYTES).frames.len();
        self.outbox.written(true);
        taken
    }
}

/// A WebSocket over a pipe.
pub struct Socket {
    transport: WsTransport,
    client: DuplexStream,
    frame: Utf8Bytes,
    says: Vec<u8>,
    heard: Vec<u8>,
}

impl Socket {
    /// It writes frames of so many bytes, and reads ones of 200.
    pub fn new(bytes: usize) -> Self {
        let (server, client) = duplex(BYTES);
        let transport = WsTransport::new(Io::Pipe(server), &[], BYTES);
        // Final, text, masked, with a length of two bytes.
        let mut says = vec![0x81, 0xfe, 0, 200, 1, 2, 3, 4];
        says.extend(
            b"{}".iter().chain(&[b' '; 198]).zip([1, 2, 3, 4].into_iter().cycle()).map(|(byte, mask)| byte ^ mask),
        );
        Self { transport, client, frame: "x".repeat(bytes).into(), says, heard: vec![0; BYTES] }
    }

    /// So many frames in one batch: how many bytes came out.
    ///
    /// # Panics
    /// When a pipe with room for them does not take them.
    pub fn write(&mut self, frames: usize) -> usize {
        let frames = vec![self.frame.clone(); frames];
        let written = self.transport.send(Batch { frames, ..Batch::default() }).now_or_never();
        assert_eq!(written, Some(Ok(())), "the pipe has room");
        self.client.read(&mut self.heard).now_or_never().expect("it is there").expect("the pipe is open")
    }

    /// A frame with a mask comes: how many characters it has.
    ///
    /// # Panics
    /// When it cannot be read.
    pub fn read(&mut self) -> usize {
        self.client.write_all(&self.says).now_or_never().expect("there is room").expect("the pipe is open");
        match self.transport.receive().now_or_never() {
            Some(Ok(Inbound::Text(text))) => text.len(),
            other => panic!("a text should have come: {other:?}"),
        }
    }
}
