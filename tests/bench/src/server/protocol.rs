//! What a client says, frame by frame. Knows the rules of what may be said, and nothing of sockets and rooms.

use super::frame::{Code, Head, Opcode};

/// What a whole frame means; the payload is in the buffer that was given.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// To everybody in a room: the text is the payload from this byte on.
    Message {
        opcode: Opcode,
        room: u64,
        text: usize,
    },
    /// To be answered with the payload.
    Ping,
    Pong,
    /// Goodbye, to be answered with the payload.
    Close,
}

/// Reads the next frame, and how many bytes it took: none when more bytes are needed.
pub(super) fn next(bytes: &[u8], most: usize, payload: &mut Vec<u8>) -> Result<Option<(usize, Said)>, Code> {
    let Some(head) = Head::read(bytes, most)? else { return Ok(None) };
    if bytes.len() < head.size() {
        return Ok(None);
    }
    head.payload(bytes, payload);
    let said = match head.opcode {
        Opcode::Ping => Said::Ping,
        Opcode::Pong => Said::Pong,
        Opcode::Close => close(payload)?,
        opcode @ (Opcode::Text | Opcode::Binary) => {
            if opcode == Opcode::Text && std::str::from_utf8(payload).is_err() {
                return Err(Code::NotUtf8);
            }
            let (room, text) = address(payload).ok_or(Code::Policy)?;
            Said::Message { opcode, room, text }
        }
    };
    Ok(Some((head.size(), said)))
}

/// `ROOM TEXT`: the room, and where the text begins.
fn address(payload: &[u8]) -> Option<(u64, usize)> {
    // 20 digits hold every u64.
    let end = payload.iter().take(21).position(|byte| *byte == b' ')?;
    let digits = std::str::from_utf8(&payload[..end]).ok().filter(|digits| !digits.starts_with('+'))?;
    Some((digits.parse().ok()?, end + 1))
}

/// A goodbye may say nothing, or a code that may be sent and a reason in UTF-8.
fn close(payload: &[u8]) -> Result<Said, Code> {
    match payload {
        [] => Ok(Said::Close),
        [a, b, reason @ ..] => match u16::from_be_bytes([*a, *b]) {
            1000..=1003 | 1007..=1014 | 3000..=4999 if std::str::from_utf8(reason).is_ok() => Ok(Said::Close),
            1000..=1003 | 1007..=1014 | 3000..=4999 => Err(Code::NotUtf8),
            _ => Err(Code::Protocol),
        },
        [_] => Err(Code::Protocol),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of a client whose mask is 0.
    fn frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        [&[0x80 | opcode as u8, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
    }

    fn one(opcode: Opcode, payload: &[u8]) -> Result<Said, Code> {
        let mut into = Vec::new();
        next(&frame(opcode, payload), 125, &mut into).map(|said| {
            assert_eq!(into, payload);
            said.unwrap().1
        })
    }

    #[test]
    fn a_message_names_its_room() {
        assert_eq!(one(Opcode::Text, b"7 hello"), Ok(Said::Message { opcode: Opcode::Text, room: 7, text: 2 }));
        let most = format!("{} ", u64::MAX);
        let said = one(Opcode::Binary, most.as_bytes());
        assert_eq!(said, Ok(Said::Message { opcode: Opcode::Binary, room: u64::MAX, text: 21 }));
        for wrong in ["hello", "x hello", " hello", "-1 hello", "+1 hello", "7", "18446744073709551616 hello"] {
            assert_eq!(one(Opcode::Text, wrong.as_bytes()), Err(Code::Policy), "{wrong}");
        }
        assert_eq!(one(Opcode::Text, b"7 \xff"), Err(Code::NotUtf8));
        assert!(one(Opcode::Binary, b"7 \xff").is_ok());
    }

    #[test]
    fn a_goodbye_is_checked() {
        assert_eq!(one(Opcode::Close, b""), Ok(Said::Close));
        assert_eq!(one(Opcode::Close, b"\x03\xe8so long"), Ok(Said::Close));
        assert_eq!(one(Opcode::Close, b"\x03\xe8\xff"), Err(Code::NotUtf8));
        for wrong in [b"\x03".as_slice(), b"\x03\xed", b"\x00\x00", b"\xff\xff"] {
            assert_eq!(one(Opcode::Close, wrong), Err(Code::Protocol), "{wrong:?}");
        }
    }

    #[test]
    fn frames_are_read_one_after_the_other() {
        let bytes = [frame(Opcode::Ping, b"a"), frame(Opcode::Pong, b"")].concat();
        let mut payload = Vec::new();
        let (size, said) = next(&bytes, 125, &mut payload).unwrap().unwrap();
        assert_eq!((said, payload.as_slice()), (Said::Ping, b"a".as_slice()));
        assert_eq!(next(&bytes[size..], 125, &mut payload), Ok(Some((6, Said::Pong))));
        assert_eq!(next(&bytes[..size - 1], 125, &mut payload), Ok(None));
    }
}
