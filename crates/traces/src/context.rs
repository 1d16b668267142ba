//! The place of a span in its trace as other processes are told of it.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// What a context takes: trace id (16), span id (8), flags (1).
pub const BYTES: usize = 25;

/// The one flag that this knows: the span is recorded.
const SAMPLED: u8 = 1;
/// `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const TRACEPARENT: usize = 55;

/// One span: its trace and itself, and whether it is recorded. Neither id is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    trace: [u8; 16],
    span: [u8; 8],
    sampled: bool,
}

impl Context {
    fn new(trace: [u8; 16], span: [u8; 8], sampled: bool) -> Option<Self> {
        (trace != [0; 16] && span != [0; 8]).then_some(Self { trace, span, sampled })
    }

    /// For another node: see [`Context::from_bytes`].
    pub fn to_bytes(self) -> [u8; BYTES] {
        let mut bytes = [0; BYTES];
        bytes[..16].copy_from_slice(&self.trace);
        bytes[16..24].copy_from_slice(&self.span);
        bytes[24] = u8::from(self.sampled) * SAMPLED;
        bytes
    }

    /// What another node wrote. None where it is no context, or of a span that is not recorded: there is nothing to go
    /// on with. Flags that this does not know are ignored.
    pub fn from_bytes(bytes: &[u8; BYTES]) -> Option<Self> {
        let (trace, rest) = bytes.split_first_chunk()?;
        let (span, flags) = rest.split_first_chunk()?;
        Self::new(*trace, *span, flags.first()? & SAMPLED != 0).filter(|context| context.sampled)
    }

    /// What a caller of ours says in its `traceparent`, given every header of that name. None where there is none, more
    /// than one, or what is no context by the standard (W3C Trace Context, level 1, section 3.2).
    ///
    /// Whether the caller records it is not taken over: otherwise anybody who can call decided what we pay for.
    pub fn of_caller<'a>(headers: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut headers = headers.into_iter();
        let (header, None) = (headers.next()?, headers.next()) else { return None };
        let (known, rest) = header.split_at_checked(TRACEPARENT)?;
        let [version, trace, span, flags] = fields(known)?;
        let [version] = digits(version)?;
        let [_flags]: [u8; 1] = digits(flags)?;
        // Of a later version more may follow, after another dash; 255 is no version.
        let ends_well = rest.is_empty() || (version > 0 && rest.starts_with(b"-"));
        if version == u8::MAX || !ends_well {
            return None;
        }
        Self::new(digits(trace)?, digits(span)?, false)
    }
}

/// The four parts between dashes, in their places.
fn fields(known: &[u8]) -> Option<[&[u8]; 4]> {
    let dashes = [2, 35, 52].iter().all(|at| known.get(*at) == Some(&b'-'));
    dashes.then_some([known.get(..2)?, known.get(3..35)?, known.get(36..52)?, known.get(53..)?])
}

/// So many bytes of two digits each, which are written small.
fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    let mut bytes = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

fn digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl From<Context> for SpanContext {
    fn from(Context { trace, span, sampled }: Context) -> Self {
        let flags = TraceFlags::default().with_sampled(sampled);
        Self::new(TraceId::from_bytes(trace), SpanId::from_bytes(span), flags, true, TraceState::NONE)
    }
}

impl From<&SpanContext> for Context {
    fn from(context: &SpanContext) -> Self {
        let (trace, span) = (context.trace_id().to_bytes(), context.span_id().to_bytes());
        Self { trace, span, sampled: context.is_sampled() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn one(header: &str) -> Option<Context> {
        Context::of_caller([header.as_bytes()])
    }

    #[test]
    fn a_caller_s_header_is_read_and_its_flag_is_not_believed() {
        let context = one(EXAMPLE).unwrap();
        assert_eq!(context.trace[..4], [0x4b, 0xf9, 0x2f, 0x35]);
        assert_eq!(context.span, [0x00, 0xf0, 0x67, 0xaa, 0x0b, 0xa9, 0x02, 0xb7]);
        assert!(!context.sampled);
        assert_eq!(one(&EXAMPLE.replace("-01", "-00")), Some(context));
        for later in ["cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", &EXAMPLE.replacen("00", "01", 1)]
        {
            assert_eq!(one(later), Some(context), "{later}");
        }
    }

    #[test]
    fn what_is_no_header_by_the_standard_is_as_if_it_were_not_there() {
        let wrong = [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
            "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00F067AA0BA902B7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473g-00f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ];
        for wrong in wrong {
            assert_eq!(one(wrong), None, "{wrong:?}");
        }
        assert_eq!(Context::of_caller([]), None);
        assert_eq!(Context::of_caller([EXAMPLE.as_bytes(), EXAMPLE.as_bytes()]), None, "which of the two counts?");
    }

    proptest! {
        #[test]
        fn what_is_recorded_comes_back_from_its_bytes_and_nothing_else_does(
            trace: [u8; 16], span: [u8; 8], flags: u8, zero_trace in prop::bool::weighted(0.1),
            zero_span in prop::bool::weighted(0.1),
        ) {
            let (trace, span) = (if zero_trace { [0; 16] } else { trace }, if zero_span { [0; 8] } else { span });
            let mut bytes = [0; BYTES];
            bytes[..16].copy_from_slice(&trace);
            bytes[16..24].copy_from_slice(&span);
            bytes[24] = flags;
            let goes_on = trace != [0; 16] && span != [0; 8] && flags & 1 == 1;
            let read = Context::from_bytes(&bytes);
            prop_assert_eq!(read.is_some(), goes_on);
            if let Some(context) = read {
                bytes[24] = 1;
                prop_assert_eq!(context.to_bytes(), bytes);
                prop_assert_eq!(Context::from(&SpanContext::from(context)), context);
            }
        }

        #[test]
        fn no_header_is_trouble(header: Vec<u8>, cut in 0..60_usize, place in 0..55_usize, byte: u8) {
            let _ = Context::of_caller([&header[..]]);
            let mut near = EXAMPLE.as_bytes().to_vec();
            near[place] = byte;
            near.truncate(cut);
            let _ = Context::of_caller([&near[..]]);
        }
    }
}
