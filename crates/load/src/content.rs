//! What a message of a run says: who sent it, which it is, where to and when, under a checksum.
//!
//! `sl1 CHECKSUM RUN CONVERSATION SENDER NUMBER TIME ……`: everything behind the checksum is under it, the padding too.
//! A receiver knows from the text alone whether the message is of this run, came to the right place and is whole.

/// First word of every message.
const MARK: &str = "sl1 ";
/// Characters of the checksum and the space behind it.
const SUM: usize = 9;

/// What is stamped on a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The run, as a number.
    pub(crate) run: u32,
    /// Index of the conversation in the run.
    pub(crate) room: u32,
    /// Index of the sender in the run.
    pub(crate) sender: u32,
    /// Which of the sender's messages.
    pub(crate) number: u64,
    /// When it was meant to be sent, microseconds since 1970.
    pub(crate) sent: u64,
}

/// What a text turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A message of some run, whole.
    Whole(Stamp),
    /// It was one, and was changed on its way.
    Corrupt,
    /// No load tester wrote it.
    Foreign,
}

/// A run's mark as the number that its messages carry.
pub(crate) fn run_number(name: &str) -> u32 {
    crc32fast::hash(name.as_bytes())
}

impl Stamp {
    /// The text, padded to `size` characters (longer where the stamp needs more).
    pub(crate) fn text(&self, size: usize) -> String {
        let Self { run, room, sender, number, sent } = self;
        let mut body = format!("{run:x} {room} {sender} {number} {sent} ");
        let missing = size.saturating_sub(MARK.len() + SUM + body.len());
        body.extend(std::iter::repeat_n('.', missing));
        format!("{MARK}{:08x} {body}", crc32fast::hash(body.as_bytes()))
    }

    /// Reads it back.
    pub(crate) fn parse(text: &str) -> Parsed {
        let Some(rest) = text.strip_prefix(MARK) else { return Parsed::Foreign };
        Self::body(rest).map_or(Parsed::Corrupt, Parsed::Whole)
    }

    fn body(rest: &str) -> Option<Self> {
        let (sum, body) = rest.split_at_checked(SUM)?;
        let sum = u32::from_str_radix(sum.strip_suffix(' ')?, 16).ok()?;
        if crc32fast::hash(body.as_bytes()) != sum {
            return None;
        }
        let mut words = body.split(' ');
        Some(Self {
            run: u32::from_str_radix(words.next()?, 16).ok()?,
            room: words.next()?.parse().ok()?,
            sender: words.next()?.parse().ok()?,
            number: words.next()?.parse().ok()?,
            sent: words.next()?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp { run: 0xbeef, room: 3, sender: 17, number: 4, sent: 1_763_000_000_000_000 };

    #[test]
    fn a_text_says_what_was_stamped_on_it_and_has_the_wanted_size() {
        for size in [0, 64, 128, 4_000] {
            let text = STAMP.text(size);
            assert_eq!(Stamp::parse(&text), Parsed::Whole(STAMP));
            assert!(text.len() == size || size < 64, "{}", text.len());
        }
    }

    #[test]
    fn any_changed_character_is_found() {
        let text = STAMP.text(100);
        for place in MARK.len()..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(Stamp::parse(&changed), Parsed::Corrupt, "{changed}");
        }
        assert_eq!(Stamp::parse(&text[..text.len() - 1]), Parsed::Corrupt);
        assert_eq!(Stamp::parse("hello"), Parsed::Foreign);
        assert_eq!(Stamp::parse("sl1 ünöt"), Parsed::Corrupt);
    }
}
