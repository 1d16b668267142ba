//! WebSocket frames as a server reads and writes them (RFC 6455, section 5): whole messages only.

use std::rc::Rc;

/// Frames that a server has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// Codes of a close frame that this server gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Normal = 1000,
    Protocol = 1002,
    NotUtf8 = 1007,
    Policy = 1008,
    TooBig = 1009,
}

/// A frame that begins in the bytes at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) opcode: Opcode,
    mask: [u8; 4],
    /// Bytes before the payload.
    header: usize,
    payload: usize,
}

impl Head {
    /// Reads the head of a client's frame: none when more bytes are needed.
    pub(super) fn read(bytes: &[u8], most: usize) -> Result<Option<Self>, Code> {
        let [first, second, rest @ ..] = bytes else { return Ok(None) };
        let opcode = match first & 0x0f {
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            // A continuation too: fragments are what this server does not do.
            _ => return Err(Code::Protocol),
        };
        let (is_final, reserved, masked) = (first & 0x80 != 0, first & 0x70 != 0, second & 0x80 != 0);
        if !is_final || reserved || !masked {
            return Err(Code::Protocol);
        }
        let length = second & 0x7f;
        if opcode.is_control() && length > 125 {
            return Err(Code::Protocol);
        }
        let (payload, extended) = match length {
            126 => (rest.first_chunk().map(|bytes| u64::from(u16::from_be_bytes(*bytes))), 2),
            127 => (rest.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)), 8),
            short => (Some(u64::from(short)), 0),
        };
        let Some(payload) = payload else { return Ok(None) };
        let Some(payload) = usize::try_from(payload).ok().filter(|payload| *payload <= most) else {
            return Err(Code::TooBig);
        };
        let Some(mask) = rest.get(extended..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
        Ok(Some(Self { opcode, mask: *mask, header: 2 + extended + 4, payload }))
    }

    /// Bytes of the whole frame.
    pub(super) fn size(&self) -> usize {
        self.header + self.payload
    }

    /// Writes the frame's payload, without its mask, in place of what the buffer held. `bytes` hold the whole frame.
    pub(super) fn payload(&self, bytes: &[u8], into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&bytes[self.header..self.size()]);
        // By words, which the compiler makes vectors of.
        let mask = u32::from_ne_bytes(self.mask);
        let mut words = into.chunks_exact_mut(4);
        for word in &mut words {
            // Four bytes: what the iterator gives.
            let bytes: &mut [u8; 4] = word.try_into().unwrap_or_else(|_| unreachable!());
            *bytes = (u32::from_ne_bytes(*bytes) ^ mask).to_ne_bytes();
        }
        for (byte, mask) in words.into_remainder().iter_mut().zip(self.mask) {
            *byte ^= mask;
        }
    }
}

/// A whole frame from server to client, of a payload in parts.
pub(super) fn encode(opcode: Opcode, parts: &[&[u8]]) -> Rc<[u8]> {
    let payload: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(10 + payload);
    frame.push(0x80 | opcode as u8);
    match payload {
        0..=125 => frame.push(payload as u8),
        126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&(payload as u16).to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend_from_slice(&(payload as u64).to_be_bytes());
        }
    }
    for part in parts {
        frame.extend_from_slice(part);
    }
    frame.into()
}

/// The frame that ends a connection.
pub(super) fn close(code: Code) -> Rc<[u8]> {
    encode(Opcode::Close, &[&(code as u16).to_be_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

    fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first];
        match payload.len() {
            short @ 0..=125 => frame.push(0x80 | short as u8),
            middle @ 126..=0xffff => {
                frame.push(0xfe);
                frame.extend_from_slice(&(middle as u16).to_be_bytes());
            }
            long => {
                frame.push(0xff);
                frame.extend_from_slice(&(long as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&MASK);
        frame.extend(payload.iter().enumerate().map(|(n, byte)| byte ^ MASK[n % 4]));
        frame
    }

    #[test]
    fn frames_of_every_length_are_read_once_they_are_whole() {
        for length in [0, 1, 3, 4, 5, 125, 126, 127, 65_535, 65_536] {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            let bytes = masked(0x82, &payload);
            let head = Head::read(&bytes, 1 << 20).unwrap().unwrap();
            assert_eq!((head.opcode, head.size()), (Opcode::Binary, bytes.len()));
            let mut read = vec![7; 3];
            head.payload(&bytes, &mut read);
            assert!(read == payload, "{length} bytes");
            for cut in 0..head.header {
                assert_eq!(Head::read(&bytes[..cut], 1 << 20), Ok(None), "{cut} of {length}");
            }
        }
    }

    #[test]
    fn what_the_protocol_forbids_is_refused() {
        let hello = masked(0x81, b"Hello");
        for (what, first, second) in [
            ("a fragment", 0x01, hello[1]),
            ("a continuation", 0x80, hello[1]),
            ("a reserved bit", 0xc1, hello[1]),
            ("a reserved opcode", 0x83, hello[1]),
            ("no mask", 0x81, 5),
            ("a long ping", 0x89, 0xfe),
        ] {
            let mut bytes = hello.clone();
            (bytes[0], bytes[1]) = (first, second);
            assert_eq!(Head::read(&bytes, 100), Err(Code::Protocol), "{what}");
        }
        assert_eq!(Head::read(&masked(0x81, &[b'x'; 101]), 100), Err(Code::TooBig));
    }

    #[test]
    fn the_servers_frames_say_their_length() {
        assert_eq!(*encode(Opcode::Text, &[b"He", b"llo"]), *b"\x81\x05Hello");
        assert_eq!(encode(Opcode::Binary, &[&[0; 126]])[..4], [0x82, 126, 0, 126]);
        assert_eq!(encode(Opcode::Binary, &[&vec![0; 65_536]])[..10], [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(*close(Code::TooBig), [0x88, 2, 0x03, 0xf1]);
    }
}
