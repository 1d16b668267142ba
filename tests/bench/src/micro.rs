//! Single parts of the way of a message, without a network, a database or other tasks: what can be counted in
//! instructions, and told apart from a noisy machine. `cargo bench -p bench` times them, `micro` counts them.

use std::{fmt, hint::black_box};

use chat::envelope::ConversationEvent;
use gateway::micro::{Members, Order, Queue, Socket};
use protocol::Command;
use serde_json::json;

/// One part: `make` prepares it, what that gives does it once.
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    /// What it does.
    pub about: &'static str,
    /// So often it is done to be counted: what costs little, more often.
    pub times: u64,
    /// Prepares it.
    pub make: fn() -> Box<dyn FnMut()>,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Bytes of an event's frame.
const FRAME: usize = 400;

/// All of them, in the order of a message's way.
pub const CASES: &[Case] = &[
    Case {
        name: "read",
        about: "a frame of 200 bytes is read from a socket, and its mask taken off",
        times: 5_000,
        make: read,
    },
    Case { name: "decode", about: "a frame becomes a command", times: 5_000, make: decode },
    Case { name: "decide", about: "64 messages in 32 conversations are decided", times: 100, make: decide },
    Case { name: "encode", about: "a message becomes the event that the bus carries", times: 5_000, make: encode },
    Case { name: "open", about: "a node takes the event out of what the bus carried", times: 5_000, make: open },
    Case { name: "order", about: "two events come in order", times: 5_000, make: || order(false) },
    Case { name: "reorder", about: "two events come the wrong way round", times: 5_000, make: || order(true) },
    Case {
        name: "fan-out",
        about: "an event goes into the outboxes of 500 connections, and is taken",
        times: 100,
        make: fan_out,
    },
    Case { name: "outbox", about: "eight frames wait for a connection, and are taken", times: 5_000, make: outbox },
    Case { name: "write", about: "eight frames of 400 bytes are written to a socket", times: 5_000, make: write },
];

fn read() -> Box<dyn FnMut()> {
    let mut socket = Socket::new(FRAME);
    Box::new(move || assert_eq!(socket.read(), 200))
}

fn decode() -> Box<dyn FnMut()> {
    let conversation = protocol::ConversationId::generate();
    let content = "x".repeat(128);
    let frame = json!({
        "type": "message.send", "ref": "17", "conversation_id": conversation, "client_id": "m-17", "content": content,
    });
    let frame = frame.to_string();
    Box::new(move || assert!(Command::decode(black_box(&frame)).is_ok()))
}

fn decide() -> Box<dyn FnMut()> {
    let batch = chat::micro::Batch::of(64, 32);
    Box::new(move || assert_eq!(batch.decide(), 64))
}

fn message() -> protocol::Message {
    let id = protocol::UserId::generate().to_string();
    let message = json!({
        "id": id, "conversation_id": id, "seq": 7, "changed_seq": 7, "number": 7, "kind": "text",
        "content": "x".repeat(128), "client_id": "m-17", "created_at": "2026-01-01T00:00:00.000000Z",
        "mentions": [], "attachments": [], "reactions": [],
        "sender": { "id": id, "username": "ada", "display_name": "Ada", "avatar_url": null },
    });
    serde_json::from_value(message).unwrap_or_else(|error| unreachable!("a message as the wire has it: {error}"))
}

fn encode() -> Box<dyn FnMut()> {
    let message = message();
    Box::new(move || assert!(!chat::micro::event(black_box(&message)).is_empty()))
}

fn open() -> Box<dyn FnMut()> {
    let payload = chat::micro::event(&message());
    Box::new(move || assert!(ConversationEvent::decode(black_box(&payload)).is_ok()))
}

fn order(swapped: bool) -> Box<dyn FnMut()> {
    let mut order = Order::default();
    Box::new(move || assert_eq!(order.two(swapped), 2))
}

fn fan_out() -> Box<dyn FnMut()> {
    let mut members = Members::new(500, FRAME);
    Box::new(move || assert_eq!(members.event(), 500))
}

fn outbox() -> Box<dyn FnMut()> {
    let queue = Queue::new(FRAME);
    Box::new(move || assert_eq!(queue.turn(8), 8))
}

fn write() -> Box<dyn FnMut()> {
    let mut socket = Socket::new(FRAME);
    // Each with a header of four bytes.
    Box::new(move || assert_eq!(socket.write(8), 8 * (FRAME + 4)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_does_what_it_says_again_and_again() {
        for case in CASES {
            let mut once = (case.make)();
            (0..100).for_each(|_| once());
        }
    }

    #[test]
    fn each_has_its_own_name() {
        let names: std::collections::BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
    }
}
