//! A header of bytes before a frame: read without looking through the frame, which is most of it.
//!
//! | bytes | |
//! |---|---|
//! | 1 | [`VERSION`] |
//! | 1 | which fields the header has: bits [`SEQ`] to [`TRACE`] |
//! | 4 | where the frame begins |
//! | 4 | bytes of the frame, with which the payload ends |
//! | | the fields, in the order of their bits |
//! | | what a node of a later version adds; skipped |
//! | | the frame |
//!
//! Numbers are little-endian. `seq` and `place` take 8 bytes; `epoch` its length (4) and its text; `removed` how many
//! there are (4) and 16 bytes each; `ends` none; `trace` 25 ([`traces::Context::to_bytes`]). One that is no context is as if
//! it were not there: whoever wrote it, the event counts.

use std::borrow::Cow;

use bytes::{BufMut, Bytes};
use protocol::{Seq, UserId};
use serde::Serialize;
use traces::Context;
use uuid::Uuid;

use super::{EnvelopeError, VERSION};

const SEQ: u8 = 1;
const PLACE: u8 = 2;
const EPOCH: u8 = 4;
const REMOVED: u8 = 8;
const ENDS: u8 = 16;
const TRACE: u8 = 32;

/// Version, bits, where the frame begins and its length.
const FIXED: usize = 10;
/// Most events fit: the header, and a message of some lines.
const USUAL: usize = 1280;

/// What nodes act on; see [`super::ConversationEvent`].
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Header<'a> {
    pub(super) seq: Option<Seq>,
    pub(super) place: Option<Seq>,
    pub(super) epoch: Option<&'a str>,
    pub(super) removed: Cow<'a, [UserId]>,
    pub(super) ends: bool,
    pub(super) trace: Option<Context>,
}

/// Whether this is what [`encode`] makes, of any version.
pub(super) fn is_framed(payload: &[u8]) -> bool {
    payload.first().is_some_and(|first| *first != b'{')
}

/// As payload, around an event that serialises to the frame.
pub(super) fn encode(header: &Header<'_>, event: &impl Serialize) -> serde_json::Result<Bytes> {
    let mut payload = Vec::with_capacity(USUAL);
    let has = |bit: u8, has: bool| if has { bit } else { 0 };
    let bits = has(SEQ, header.seq.is_some())
        | has(PLACE, header.place.is_some())
        | has(EPOCH, header.epoch.is_some())
        | has(REMOVED, !header.removed.is_empty())
        | has(ENDS, header.ends)
        | has(TRACE, header.trace.is_some());
    payload.extend_from_slice(&[VERSION, bits]);
    payload.resize(FIXED, 0);
    for number in [header.seq, header.place].into_iter().flatten() {
        payload.put_u64_le(number);
    }
    if let Some(epoch) = header.epoch {
        payload.put_u32_le(length(epoch.len())?);
        payload.extend_from_slice(epoch.as_bytes());
    }
    if !header.removed.is_empty() {
        payload.put_u32_le(length(header.removed.len())?);
        header.removed.iter().for_each(|user| payload.extend_from_slice(user.0.as_bytes()));
    }
    if let Some(trace) = header.trace {
        payload.extend_from_slice(&trace.to_bytes());
    }
    let begins = payload.len();
    serde_json::to_writer(&mut payload, event)?;
    let bytes = length(payload.len() - begins)?;
    payload[2..6].copy_from_slice(&length(begins)?.to_le_bytes());
    payload[6..FIXED].copy_from_slice(&bytes.to_le_bytes());
    Ok(payload.into())
}

/// Reads a payload: its header, and its frame, UTF-8.
pub(super) fn decode(payload: &[u8]) -> Result<(Header<'_>, &str), EnvelopeError> {
    read(payload).ok_or(EnvelopeError)
}

fn read(payload: &[u8]) -> Option<(Header<'_>, &str)> {
    let (&[version, bits], rest) = payload.split_first_chunk()?;
    if version != VERSION {
        return None;
    }
    let mut rest = Fields(rest);
    let (begins, bytes) = (rest.length()?, rest.length()?);
    let (header, frame) = payload.split_at_checked(begins)?;
    if frame.len() != bytes {
        return None;
    }
    let mut fields = Fields(header.get(FIXED..)?);
    let has = |bit: u8| bits & bit != 0;
    let seq = if has(SEQ) { Some(fields.number()?) } else { None };
    let place = if has(PLACE) { Some(fields.number()?) } else { None };
    let epoch = if has(EPOCH) {
        let length = fields.length()?;
        Some(std::str::from_utf8(fields.take(length)?).ok()?)
    } else {
        None
    };
    let removed = if has(REMOVED) {
        let count = fields.length()?;
        let (ids, _) = fields.take(count.checked_mul(size_of::<Uuid>())?)?.as_chunks();
        ids.iter().map(|id| UserId(Uuid::from_bytes(*id))).collect()
    } else {
        Vec::new()
    };
    let trace = if has(TRACE) { fields.0.first_chunk().and_then(Context::from_bytes) } else { None };
    let header = Header { seq, place, epoch, removed: removed.into(), ends: has(ENDS), trace };
    // Sockets get it as it is: a frame of text that is not UTF-8 would end them.
    let frame = std::str::from_utf8(frame).ok().filter(|frame| frame.starts_with('{') && frame.ends_with('}'))?;
    Some((header, frame))
}

/// What is left of the fields.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u64::from_le_bytes(*number))
    }

    fn length(&mut self) -> Option<usize> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_le_bytes(*number) as usize)
    }
}

fn length(length: usize) -> serde_json::Result<u32> {
    u32::try_from(length).map_err(serde::ser::Error::custom)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(user: UserId) -> Header<'static> {
        let removed = vec![user, user].into();
        Header { seq: Some(7), place: Some(3), epoch: Some("é1"), removed, ends: true, trace: trace() }
    }

    fn trace() -> Option<Context> {
        Context::from_bytes(&[1; traces::BYTES])
    }

    #[test]
    fn each_field_comes_out_as_it_went_in() {
        let user = UserId::generate();
        let frame = serde_json::json!({"type": "x"});
        let some = [
            Header::default(),
            Header { seq: Some(u64::MAX), ..Header::default() },
            Header { place: Some(1), ..Header::default() },
            Header { epoch: Some(""), ..Header::default() },
            Header { removed: vec![user].into(), ..Header::default() },
            Header { ends: true, ..Header::default() },
            Header { trace: trace(), ..Header::default() },
            all(user),
        ];
        for header in some {
            let payload = encode(&header, &frame).unwrap();
            assert!(is_framed(&payload));
            assert_eq!(decode(&payload), Ok((header, r#"{"type":"x"}"#)));
        }
    }

    #[test]
    fn what_a_later_version_adds_to_the_header_is_skipped() {
        let header = all(UserId::generate());
        let payload = encode(&header, &serde_json::json!({"type": "x"})).unwrap();
        let begins = payload.len() - r#"{"type":"x"}"#.len();
        let mut more = [&payload[..begins], b"{more}", &payload[begins..]].concat();
        more[1] |= 128;
        more[2..6].copy_from_slice(&(begins as u32 + 6).to_le_bytes());
        assert_eq!(decode(&more), Ok((header, r#"{"type":"x"}"#)));
    }

    #[test]
    fn a_node_that_knows_no_traces_reads_the_rest() {
        let user = UserId::generate();
        let payload = encode(&all(user), &serde_json::json!({"type": "x"})).unwrap();
        // To it the bit is one of a later version.
        let mut older = payload.to_vec();
        older[1] &= !TRACE;
        assert_eq!(decode(&older), Ok((Header { trace: None, ..all(user) }, r#"{"type":"x"}"#)));
        let untraced = encode(&Header { trace: None, ..all(user) }, &serde_json::json!({"type": "x"})).unwrap();
        assert_eq!(payload.len(), untraced.len() + traces::BYTES, "what is not recorded costs no byte");
    }

    proptest! {
        #[test]
        fn a_context_that_is_none_costs_the_event_nothing(
            mut bytes in prop::collection::vec(any::<u8>(), 0..2 * traces::BYTES), zero in any::<bool>(),
        ) {
            if zero && let Some(trace) = bytes.get_mut(..16) {
                trace.fill(0);
            }
            let header = Header { trace: None, ..all(UserId::generate()) };
            let payload = encode(&header, &serde_json::json!({"type": "x"})).unwrap();
            let begins = payload.len() - r#"{"type":"x"}"#.len();
            let mut with = [&payload[..begins], &bytes, &payload[begins..]].concat();
            with[1] |= TRACE;
            with[2..6].copy_from_slice(&((begins + bytes.len()) as u32).to_le_bytes());
            let trace = bytes.first_chunk().and_then(Context::from_bytes);
            prop_assert_eq!(decode(&with), Ok((Header { trace, ..header }, r#"{"type":"x"}"#)));
        }
    }

    #[test]
    fn no_part_and_no_single_wrong_byte_of_a_payload_is_trouble() {
        let payload = encode(&all(UserId::generate()), &serde_json::json!({"type": "x"})).unwrap();
        for cut in 0..payload.len() {
            assert_eq!(decode(&payload[..cut]), Err(EnvelopeError), "{cut} bytes");
        }
        for place in 0..payload.len() {
            for bit in 0..8 {
                let mut wrong = payload.to_vec();
                wrong[place] ^= 1 << bit;
                // Either it is refused, or what comes out is whole.
                if let Ok((_, frame)) = decode(&wrong) {
                    assert!(frame.starts_with('{') && frame.ends_with('}'), "{wrong:?}");
                }
            }
        }
        let huge = [&[VERSION, REMOVED, 14, 0, 0, 0, 2, 0, 0, 0][..], &[0xff; 4], b"{}"].concat();
        assert_eq!(decode(&huge), Err(EnvelopeError));
        let framed = |frame: &[u8]| [&[VERSION, 0, 10, 0, 0, 0, 3, 0, 0, 0][..], frame].concat();
        assert_eq!(decode(&framed(b"{ }")), Ok((Header::default(), "{ }")));
        for wrong in [&b"{\xff}"[..], b"[1]", b"{ }}", b"{}"] {
            assert_eq!(decode(&framed(wrong)), Err(EnvelopeError), "{wrong:?}");
        }
    }
}
