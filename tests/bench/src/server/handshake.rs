//! The upgrade (RFC 6455, section 4.2): which rooms a request asks for, and the answer to it.

use base64::{Engine, engine::general_purpose::STANDARD};
use sha1::{Digest, Sha1};

/// Bytes of a request's head, at most.
pub(super) const LONGEST: usize = 8 << 10;
const HEADERS: usize = 64;
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A request that is understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Upgrade {
    /// Each once.
    pub(super) rooms: Vec<u64>,
    pub(super) answer: String,
    /// Bytes of the head; frames come after it.
    pub(super) size: usize,
}

/// Reads a request: none when more bytes are needed, an HTTP answer when it is no such upgrade.
pub(super) fn read(bytes: &[u8], most_rooms: usize) -> Result<Option<Upgrade>, &'static str> {
    const BAD: &str = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    const NO_ROOM: &str = "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    const VERSION: &str = "HTTP/1.1 426 Upgrade Required\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\
                           Sec-WebSocket-Version: 13\r\nContent-Length: 0\r\n\r\n";
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let size = match request.parse(bytes) {
        Ok(httparse::Status::Complete(size)) if size <= LONGEST => size,
        Ok(httparse::Status::Partial) if bytes.len() <= LONGEST => return Ok(None),
        _ => return Err(BAD),
    };
    if request.method != Some("GET") || request.version != Some(1) {
        return Err(BAD);
    }
    let header = |name: &str| {
        let found = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
        found.and_then(|header| std::str::from_utf8(header.value).ok()).unwrap_or_default().trim()
    };
    let has = |name: &str, word: &str| header(name).split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
    if !has("upgrade", "websocket") || header("sec-websocket-version") != "13" {
        return Err(VERSION);
    }
    let key = header("sec-websocket-key");
    let is_key = STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    if !has("connection", "upgrade") || header("host").is_empty() || !is_key {
        return Err(BAD);
    }
    let rooms = rooms(request.path.unwrap_or_default(), most_rooms).ok_or(NO_ROOM)?;
    let accept = accept(key);
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    Ok(Some(Upgrade { rooms, answer, size }))
}

fn accept(key: &str) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

fn rooms(path: &str, most: usize) -> Option<Vec<u64>> {
    let mut rooms: Vec<u64> = if let Some(one) = path.strip_prefix("/room/") {
        vec![one.parse().ok()?]
    } else {
        path.strip_prefix("/rooms/")?.split(',').map(str::parse).collect::<Result<_, _>>().ok()?
    };
    rooms.sort_unstable();
    rooms.dedup();
    rooms.shrink_to_fit();
    (rooms.len() <= most).then_some(rooms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(path: &str, version: &str) -> String {
        format!(
            "GET {path} HTTP/1.1\r\nHost: here\r\nupgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: {version}\r\n\r\n"
        )
    }

    #[test]
    fn the_example_of_the_rfc_is_answered_as_there() {
        let head = request("/room/7", "13");
        let upgrade = read(format!("{head}frames").as_bytes(), 10).unwrap().unwrap();
        assert_eq!((upgrade.rooms, upgrade.size), (vec![7], head.len()));
        assert!(
            upgrade.answer.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{}",
            upgrade.answer
        );
        assert_eq!(read(&head.as_bytes()[..head.len() - 1], 10), Ok(None));
    }

    #[test]
    fn several_rooms_count_once_each_and_not_without_end() {
        let upgrade = read(request("/rooms/3,1,3,2", "13").as_bytes(), 3).unwrap().unwrap();
        assert_eq!(upgrade.rooms, [1, 2, 3]);
        for path in ["/", "/room/", "/room/x", "/rooms/", "/rooms/1,,2", "/rooms/1,2,3,4", "/room/-1"] {
            let answer = read(request(path, "13").as_bytes(), 3).unwrap_err();
            assert!(answer.contains("404"), "{path}: {answer}");
        }
    }

    #[test]
    fn other_requests_are_refused() {
        assert!(read(request("/room/7", "8").as_bytes(), 3).unwrap_err().contains("426"));
        assert!(read(b"GET /room/7 HTTP/1.1\r\nHost: here\r\n\r\n", 3).unwrap_err().contains("426"));
        let post = request("/room/7", "13").replace("GET", "POST");
        assert!(read(post.as_bytes(), 3).unwrap_err().contains("400"));
        let short = request("/room/7", "13").replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhl");
        assert!(read(short.as_bytes(), 3).unwrap_err().contains("400"));
        assert!(read(&[b'x'; LONGEST + 1], 3).unwrap_err().contains("400"));
    }
}
