//! How a server wants to be spoken to: what it promises is the same.

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::{self, Message};

use super::dial::Socket;

/// What is around a message on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Nothing, as the limit server has it.
    Plain,
    /// Engine.IO 4 and Socket.IO 5: packets `42["send","ROOM TEXT"]` and `42["message","ROOM NUMBER TEXT"]`.
    SocketIo,
}

/// A frame that has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// A message.
    Message(&'a str),
    /// The server asks whether we are there.
    Ping,
}

const SEND: &str = "42[\"send\",\"";
const MESSAGE: &str = "42[\"message\",\"";
const END: &str = "\"]";

impl Dialect {
    /// Path and query of a socket in these rooms (`7`, or `1,2,3`).
    pub(super) fn path(self, rooms: &str) -> String {
        match self {
            Self::Plain => format!("/rooms/{rooms}"),
            Self::SocketIo => format!("/socket.io/?EIO=4&transport=websocket&rooms={rooms}"),
        }
    }

    /// What is to be said and heard on a new socket before messages are.
    pub(super) async fn greet(self, socket: &mut Socket) -> Result<()> {
        if self == Self::Plain {
            return Ok(());
        }
        expect(socket, "0{").await?;
        socket.send(Message::text("40")).await?;
        expect(socket, "40").await
    }

    /// A message as it goes out. It holds nothing that JSON escapes.
    pub(super) fn wrap(self, message: String) -> String {
        match self {
            Self::Plain => message,
            Self::SocketIo => format!("{SEND}{message}{END}"),
        }
    }

    /// A frame as it came; what is none of ours is a message that is not as it was sent.
    pub(super) fn read(self, frame: &str) -> Said<'_> {
        match self {
            Self::SocketIo if frame == "2" => Said::Ping,
            Self::SocketIo => {
                let message = frame.strip_prefix(MESSAGE).and_then(|rest| rest.strip_suffix(END));
                Said::Message(message.unwrap_or(frame))
            }
            Self::Plain => Said::Message(frame),
        }
    }

    /// The answer to [`Said::Ping`].
    pub(super) fn pong() -> Message {
        Message::text("3")
    }
}

async fn expect(socket: &mut Socket, beginning: &str) -> Result<()> {
    let frame: Option<tungstenite::Result<Message>> = socket.next().await;
    match frame.context("the server closed a new socket")?? {
        Message::Text(text) if text.starts_with(beginning) => Ok(()),
        other => bail!("a new socket heard {other:?} instead of {beginning}…"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_around_a_message_is_put_there_and_taken_off() {
        assert_eq!(Dialect::Plain.wrap("7 x".into()), "7 x");
        assert_eq!(Dialect::SocketIo.wrap("7 x".into()), r#"42["send","7 x"]"#);
        assert_eq!(Dialect::Plain.read("7 1 x"), Said::Message("7 1 x"));
        assert_eq!(Dialect::SocketIo.read(r#"42["message","7 1 x"]"#), Said::Message("7 1 x"));
        assert_eq!(Dialect::SocketIo.read("2"), Said::Ping);
        // Left as it is: the ledger counts it.
        assert_eq!(Dialect::SocketIo.read(r#"42["other"]"#), Said::Message(r#"42["other"]"#));
    }
}
