//! Just enough of the Redis protocol (RESP 2 and 3) to tell where one value ends and which of them are messages.

/// Bytes that are no RESP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A line that is longer is no RESP, and neither is a bulk.
const LINE: usize = 64 * 1024;
const BULK: usize = 512 * 1024 * 1024;

/// Length of the first value in `bytes`, attributes before it included; `None` while its end is not there yet.
pub(super) fn value(bytes: &[u8]) -> Result<Option<usize>, Malformed> {
    let (mut at, mut missing) = (0, 1_usize);
    while missing > 0 {
        let Some((kind, text, end)) = line(bytes, at)? else { return Ok(None) };
        at = end;
        missing -= 1;
        match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => {}
            b'$' | b'!' | b'=' => {
                if let Some(length) = length(text, BULK)? {
                    at += length;
                    match bytes.get(at..at + 2) {
                        None => return Ok(None),
                        Some(b"\r\n") => at += 2,
                        Some(_) => return Err(Malformed),
                    }
                }
            }
            b'*' | b'~' | b'>' => missing += length(text, LINE * 16)?.unwrap_or(0),
            b'%' => missing += 2 * length(text, LINE * 16)?.unwrap_or(0),
            // What it says it says of the value behind it.
            b'|' => missing += 1 + 2 * length(text, LINE * 16)?.unwrap_or(0),
            _ => return Err(Malformed),
        }
    }
    Ok(Some(at))
}

/// The three bulk strings of an array or a push of three; of anything else nothing.
pub(super) fn three(value: &[u8]) -> Option<[&[u8]; 3]> {
    let (kind, text, mut at) = line(value, 0).ok()??;
    if !matches!(kind, b'*' | b'>') || text != b"3" {
        return None;
    }
    let mut found: [&[u8]; 3] = [b""; 3];
    for bulk in &mut found {
        let (kind, text, start) = line(value, at).ok()??;
        let length = length(text, BULK).ok()?.filter(|_| kind == b'$')?;
        *bulk = value.get(start..start + length)?;
        at = start + length + 2;
    }
    Some(found)
}

/// A command.
pub(super) fn command(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", parts.len()).into_bytes();
    for part in parts {
        bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// Its kind, what it says, and where the next one begins.
type Line<'a> = (u8, &'a [u8], usize);

/// The line at `at`.
fn line(bytes: &[u8], at: usize) -> Result<Option<Line<'_>>, Malformed> {
    let Some(rest) = bytes.get(at..) else { return Ok(None) };
    let Some(&kind) = rest.first() else { return Ok(None) };
    match rest.iter().take(LINE).position(|byte| *byte == b'\n') {
        Some(end) if end >= 2 && rest[end - 1] == b'\r' => Ok(Some((kind, &rest[1..end - 1], at + end + 1))),
        Some(_) => Err(Malformed),
        None if rest.len() >= LINE => Err(Malformed),
        None => Ok(None),
    }
}

/// A length; `None` for -1, which means null.
fn length(text: &[u8], most: usize) -> Result<Option<usize>, Malformed> {
    if text == b"-1" {
        return Ok(None);
    }
    let digits = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let length: usize = digits.and_then(|text| text.parse().ok()).ok_or(Malformed)?;
    if length <= most { Ok(Some(length)) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any value, as its bytes.
    fn any_value() -> impl Strategy<Value = Vec<u8>> {
        let bulk = prop::collection::vec(any::<u8>(), 0..40).prop_map(|data| {
            let mut bytes = format!("${}\r\n", data.len()).into_bytes();
            bytes.extend(data);
            bytes.extend(b"\r\n");
            bytes
        });
        let plain = prop::sample::select(vec![
            "+OK\r\n",
            "-ERR no\r\n",
            ":12\r\n",
            ":-3\r\n",
            "$-1\r\n",
            "*-1\r\n",
            "_\r\n",
            "#t\r\n",
            ",1.5\r\n",
            "(12345678901234567890\r\n",
            "*0\r\n",
            "|1\r\n+ttl\r\n:3\r\n+value\r\n",
            "=5\r\ntxt:a\r\n",
        ]);
        let leaf = prop_oneof![bulk, plain.prop_map(|text| text.as_bytes().to_vec())];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let kinds = prop::sample::select(vec![b'*', b'~', b'>', b'%']);
            (kinds, prop::collection::vec(inner, 0..4)).prop_map(|(kind, mut values)| {
                if kind == b'%' && values.len() % 2 == 1 {
                    values.pop();
                }
                let count = if kind == b'%' { values.len() / 2 } else { values.len() };
                let mut bytes = vec![kind];
                bytes.extend(format!("{count}\r\n").into_bytes());
                bytes.extend(values.concat());
                bytes
            })
        })
    }

    proptest! {
        #[test]
        fn the_end_of_a_value_is_found_when_it_is_there_and_not_before(bytes in any_value(), more in any_value()) {
            let together = [bytes.clone(), more].concat();
            prop_assert_eq!(value(&together), Ok(Some(bytes.len())));
            for cut in 0..bytes.len() {
                prop_assert_eq!(value(&bytes[..cut]), Ok(None), "cut at {}", cut);
            }
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (value(&bytes), three(&bytes));
        }

        #[test]
        fn three_bulks_are_read_back(parts in prop::array::uniform3(prop::collection::vec(any::<u8>(), 0..40))) {
            let parts: [&[u8]; 3] = [&parts[0], &parts[1], &parts[2]];
            let bytes = command(&parts);
            prop_assert_eq!(three(&bytes), Some(parts));
        }
    }

    #[test]
    fn what_is_no_resp_is_told() {
        for bad in ["PING\r\n", "\r\n", "*x\r\n", "$3\r\nabcde\r\n", "*99999999999999999999\r\n", "$-2\r\n"] {
            assert_eq!(value(bad.as_bytes()), Err(Malformed), "{bad:?}");
        }
        assert_eq!(three(b"*2\r\n$1\r\na\r\n$1\r\nb\r\n"), None);
        assert_eq!(three(b"*3\r\n:1\r\n$1\r\na\r\n$1\r\nb\r\n"), None);
    }
}
