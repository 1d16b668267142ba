//! The opening handshake, byte by byte, as clients and those who are none send it.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::harness::{Person, World};

const PATIENCE: Duration = Duration::from_secs(10);
/// The example of RFC 6455, 1.3.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Says this and reads until the end of an answer's head, and whatever came with it.
async fn said(world: &World, request: &str, after: &[u8]) -> (TcpStream, String, Vec<u8>) {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let mut bytes = request.replace('\n', "\r\n").into_bytes();
    bytes.extend_from_slice(after);
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    let reading = async {
        loop {
            assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "no answer");
            if let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") {
                return end + 4;
            }
        }
    };
    let end = timeout(PATIENCE, reading).await.expect("an answer in time");
    let rest = answer.split_off(end);
    (stream, String::from_utf8(answer).unwrap().to_lowercase(), rest)
}

fn request(who: &Person, method: &str, headers: &str) -> String {
    format!("{method} /v1/ws HTTP/1.1\nHost: here\nAuthorization: Bearer {}\n{headers}\n\n", who.token)
}

/// A masked text frame.
fn frame(text: &str) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap()];
    frame.extend_from_slice(&mask);
    frame.extend(text.bytes().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

#[tokio::test]
async fn what_came_with_the_handshake_is_the_first_frame() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    // As Firefox says it, and a list over two lines.
    let headers = format!(
        "Connection: keep-alive, Upgrade\nUpgrade: h2c\nUpgrade: WebSocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: {KEY}"
    );
    let hello = frame(r#"{"type":"hello","ref":"first"}"#);
    let (mut stream, head, mut rest) = said(&world, &request(&ada, "GET", &headers), &hello).await;
    assert!(head.starts_with("http/1.1 101"), "{head}");
    assert!(head.contains(&format!("sec-websocket-accept: {}", ACCEPT.to_lowercase())), "{head}");
    let reading = async {
        while !rest.windows(7).any(|seven| seven == br#""first""#) {
            assert!(stream.read_buf(&mut rest).await.unwrap() > 0, "closed: {}", String::from_utf8_lossy(&rest));
        }
    };
    timeout(PATIENCE, reading).await.expect("the answer to hello");
}

#[tokio::test]
async fn what_is_no_handshake_is_told_how_one_is() {
    let world = World::start().await;
    let ada = world.user("ada").await;
    let good = format!("Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: {KEY}");
    let cases = [
        ("GET", String::new()),
        ("GET", good.replace("Version: 13", "Version: 8")),
        ("GET", good.replace("\nSec-WebSocket-Version: 13", "")),
        ("GET", good.replace("Upgrade: websocket", "Upgrade: h2c")),
        ("GET", good.replace("Connection: Upgrade", "Connection: keep-alive")),
        ("GET", good.replace(&format!("\nSec-WebSocket-Key: {KEY}"), "")),
        ("GET", good.replace(KEY, "c2hvcnQ=")),
        ("GET", good.replace(KEY, "this is not base64 at all")),
    ];
    for (method, headers) in cases {
        let (mut stream, head, mut body) = said(&world, &request(&ada, method, &headers), &[]).await;
        assert!(head.starts_with("http/1.1 426"), "{headers}: {head}");
        assert!(head.contains("sec-websocket-version: 13") && head.contains("upgrade: websocket"), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let length: usize = length.trim().parse().unwrap();
        while body.len() < length {
            assert!(stream.read_buf(&mut body).await.unwrap() > 0);
        }
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["code"], "invalid", "{problem}");
    }
    let (_, head, _) = said(&world, &request(&ada, "POST", &good), &[]).await;
    assert!(head.starts_with("http/1.1 405"), "{head}");
}
