//! The limit server towards clients of all manners: what is kept of RFC 6455, and what is bounded.

#![allow(clippy::unwrap_used)]

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    path::Path,
    time::{Duration, Instant},
};

use bench::limit::Started;

const PATIENCE: Duration = Duration::from_secs(20);

fn started() -> Started {
    Started::start(Path::new(env!("CARGO_BIN_EXE_limit-server"))).unwrap()
}

fn connect(server: &Started) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// A client that is in.
fn open(server: &Started, path: &str) -> TcpStream {
    let mut stream = connect(server);
    stream.write_all(request(path).as_bytes()).unwrap();
    assert!(head(&mut stream).contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    stream
}

fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A client's frame with a mask.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![first];
    if payload.len() < 126 {
        frame.push(0x80 | payload.len() as u8);
    } else {
        frame.push(0xff);
        frame.extend((payload.len() as u64).to_be_bytes());
    }
    frame.extend(mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The next frame of a server: its first byte and its payload.
fn heard(stream: &mut TcpStream) -> (u8, Vec<u8>) {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    assert!(head[1] < 126, "short frames are asked for here");
    let mut payload = vec![0; head[1].into()];
    stream.read_exact(&mut payload).unwrap();
    (head[0], payload)
}

/// The server's goodbye and the end of the stream: its code.
fn goodbye(stream: &mut TcpStream) -> u16 {
    let (first, payload) = heard(stream);
    assert_eq!(first, 0x88, "{payload:?}");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "nothing comes after a goodbye");
    u16::from_be_bytes([payload[0], payload[1]])
}

#[test]
fn a_message_goes_to_its_room_with_its_number_and_kind() {
    let server = started();
    let mut both = open(&server, "/rooms/1,2");
    let mut one = open(&server, "/room/1");
    both.write_all(&[frame(0x81, b"1 hello"), frame(0x82, b"2 \xff"), frame(0x81, b"1 ")].concat()).unwrap();
    assert_eq!(
        [heard(&mut both), heard(&mut both), heard(&mut both)],
        [(0x81, b"1 1 hello".to_vec()), (0x82, b"2 1 \xff".to_vec()), (0x81, b"1 2 ".to_vec())]
    );
    assert_eq!([heard(&mut one), heard(&mut one)], [(0x81, b"1 1 hello".to_vec()), (0x81, b"1 2 ".to_vec())]);
}

#[test]
fn what_comes_byte_by_byte_is_put_together() {
    let server = started();
    let mut stream = connect(&server);
    stream.set_nodelay(true).unwrap();
    let said = [request("/room/1").as_bytes(), &frame(0x81, b"1 hello"), &frame(0x89, b"there?")].concat();
    for byte in said {
        stream.write_all(&[byte]).unwrap();
    }
    assert!(head(&mut stream).starts_with("HTTP/1.1 101 "));
    assert_eq!(heard(&mut stream), (0x81, b"1 1 hello".to_vec()));
    assert_eq!(heard(&mut stream), (0x8a, b"there?".to_vec()));
}

#[test]
fn a_goodbye_is_answered_after_what_waits() {
    let server = started();
    let mut stream = open(&server, "/room/1");
    stream
        .write_all(
            &[frame(0x81, b"1 last"), frame(0x8a, b""), frame(0x88, b"\x0f\xa0bye"), frame(0x81, b"1 not")].concat(),
        )
        .unwrap();
    assert_eq!(heard(&mut stream), (0x81, b"1 1 last".to_vec()));
    assert_eq!(goodbye(&mut stream), 4000);
}

#[test]
fn whoever_breaks_the_rules_is_told_which() {
    let server = started();
    let unmasked = [0x81, 3, b'1', b' ', b'x'].to_vec();
    for (what, said, code) in [
        ("a fragment", frame(0x01, b"1 he"), 1002),
        ("a continuation", frame(0x80, b"llo"), 1002),
        ("an unknown opcode", frame(0x83, b"1 x"), 1002),
        ("a reserved bit", frame(0xc1, b"1 x"), 1002),
        ("no mask", unmasked, 1002),
        ("a goodbye of one byte", frame(0x88, b"\x03"), 1002),
        ("a fragmented ping", frame(0x09, b""), 1002),
        ("no text", frame(0x81, b"1 \xff"), 1007),
        ("no room", frame(0x81, b"hello"), 1008),
        ("another room", frame(0x81, b"2 hello"), 1008),
        ("too much", frame(0x82, &vec![b'1'; (64 << 10) + 1]), 1009),
    ] {
        let mut stream = open(&server, "/room/1");
        stream.write_all(&said).unwrap();
        assert_eq!(goodbye(&mut stream), code, "{what}");
    }
    // And it goes on for others.
    let mut stream = open(&server, "/room/1");
    stream.write_all(&frame(0x81, b"1 x")).unwrap();
    assert_eq!(heard(&mut stream).1, b"1 1 x");
}

#[test]
fn other_requests_get_an_answer_and_the_end() {
    let server = started();
    for (said, status) in [
        (request("/"), "404"),
        (request("/room/x"), "404"),
        (request("/room/1").replace("GET", "POST"), "400"),
        (request("/room/1").replace("13", "12"), "426"),
        ("hello\r\n\r\n".to_owned(), "400"),
        (format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(9_000)), "400"),
    ] {
        let mut stream = connect(&server);
        stream.write_all(said.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    }
}

#[test]
fn who_does_not_read_is_closed_and_holds_up_nobody() {
    let server = started();
    let mut slow = open(&server, "/room/1");
    let mut quick = open(&server, "/room/1");
    let long = frame(0x82, &[b"1 ".to_vec(), vec![0; 60_000]].concat());
    let mut expected = vec![0; 4 + b"1 1 ".len() + 60_000];
    let start = Instant::now();
    for number in 1.. {
        assert!(start.elapsed() < PATIENCE, "{number} messages of 60,000 bytes are not too many for it");
        quick.write_all(&long).unwrap();
        expected.resize(4 + format!("1 {number} ").len() + 60_000, 0);
        quick.read_exact(&mut expected).unwrap();
        // What the kernel holds and the server's limit together are some megabytes.
        if number > 50 && is_closed(&slow) {
            break;
        }
    }
    let mut rest = Vec::new();
    // It reads what the kernel took, and then the end.
    let _ = slow.read_to_end(&mut rest);
    assert!(rest.len() > 60_000, "{} bytes", rest.len());
}

/// Whether the other side has closed it, though much is unread.
fn is_closed(stream: &TcpStream) -> bool {
    // A ping fails once the server's end is closed: it is answered with a reset.
    let mut stream = stream;
    match stream.write_all(&frame(0x8a, b"")) {
        Ok(()) => false,
        Err(error) => {
            assert!(matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset), "{error}");
            true
        }
    }
}
