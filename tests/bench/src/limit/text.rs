//! What a message says: who sent it, which of theirs it is, when it was to be sent, and a checksum of all that.

/// Bytes of the shortest text.
pub const SHORTEST: usize = 44;

/// What a text says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text {
    /// Index of the socket.
    pub(super) sender: u32,
    /// 0, 1, 2, … of this sender.
    pub(super) turn: u32,
    /// When it was to be sent, by the run's clock.
    pub(super) due: u64,
}

impl Text {
    /// `ROOM TEXT`, the text of `size` bytes.
    pub(super) fn frame(&self, room: usize, size: usize) -> String {
        let Self { sender, turn, due } = self;
        let mut frame = format!("{room} 00000000 {sender:08x} {turn:08x} {due:016x} ");
        let start = frame.len() - SHORTEST;
        frame.extend(std::iter::repeat_n('x', size.saturating_sub(SHORTEST)));
        let sum = format!("{:08x}", crc32fast::hash(&frame.as_bytes()[start + 8..]));
        frame.replace_range(start..start + 8, &sum);
        frame
    }

    /// Reads a text: none when it is not as it was sent.
    pub(super) fn read(text: &str) -> Option<Self> {
        let rest = text.get(8..).filter(|_| text.len() >= SHORTEST)?;
        let hex = |from: usize, to: usize| u64::from_str_radix(text.get(from..to)?, 16).ok();
        if hex(0, 8)? != u64::from(crc32fast::hash(rest.as_bytes())) {
            return None;
        }
        Some(Self { sender: hex(9, 17)? as u32, turn: hex(18, 26)? as u32, due: hex(27, 43)? })
    }
}

/// Takes `ROOM NUMBER TEXT` apart.
pub(super) fn numbered(frame: &str) -> Option<(usize, u64, &str)> {
    let (room, rest) = frame.split_once(' ')?;
    let (number, text) = rest.split_once(' ')?;
    Some((room.parse().ok()?, number.parse().ok()?, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_comes_back_as_it_was_and_not_otherwise() {
        let text = Text { sender: 499, turn: 7, due: 123_456_789 };
        for size in [SHORTEST, 128, 1_000] {
            let frame = text.frame(3, size);
            let said = frame.strip_prefix("3 ").unwrap();
            assert_eq!((said.len(), Text::read(said)), (size, Some(text)));
            for place in 0..size {
                let mut bytes = said.as_bytes().to_vec();
                bytes[place] ^= 1;
                assert_eq!(Text::read(std::str::from_utf8(&bytes).unwrap()), None, "byte {place} of {size}");
            }
            assert_eq!(Text::read(&said[..size - 1]), None);
        }
        assert_eq!(numbered("3 41 a text"), Some((3, 41, "a text")));
        assert_eq!(numbered("3 41"), None);
    }
}
