//! What a client of another library hears, however little is taken at once: by a kernel with a small buffer, and by a
//! pipe with room for a few bytes, where a write stops within headers, between them and their payloads, and between
//! frames.

use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::{
    io::{AsyncWriteExt, DuplexStream, duplex},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::frame::coding::CloseCode as Code};

use super::*;

const FRAME_BYTES: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(10);

/// Both ends of a connection whose handshake is over; the server's kernel holds little.
async fn pair() -> (WsTransport, WebSocketStream<TcpStream>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let client = socket.connect(listener.local_addr().unwrap()).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    (WsTransport::new(Io::Tcp(server), &[], FRAME_BYTES), client)
}

/// The same over a pipe that takes so many bytes at once.
async fn narrow(bytes: usize) -> (WsTransport, WebSocketStream<DuplexStream>) {
    let (server, client) = duplex(bytes);
    let client = WebSocketStream::from_raw_socket(client, Role::Client, None).await;
    (WsTransport::new(Io::Pipe(server), &[], FRAME_BYTES), client)
}

fn frames(texts: impl IntoIterator<Item = String>) -> Batch {
    Batch { frames: texts.into_iter().map(Into::into).collect(), ..Batch::default() }
}

async fn heard<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(client: &mut WebSocketStream<S>) -> Message {
    timeout(PATIENCE, client.next()).await.expect("in time").expect("an open socket").expect("a good frame")
}

#[tokio::test]
async fn frames_of_every_size_come_whole_and_in_order_to_who_reads_slowly() {
    let (mut server, mut client) = pair().await;
    // Around each length at which a header grows, and more frames than one write takes.
    let sizes = [0, 1, 125, 126, 127, 65_535, 65_536, 1_000_000].into_iter().chain((0..300).map(|n| n * 7));
    let texts: Vec<String> = sizes.map(|size| "é".repeat(size / 2) + &"x".repeat(size % 2)).collect();
    let batch = Batch { ping: true, ..frames(texts.clone()) };
    let writing = tokio::spawn(async move {
        server.send(batch).await.unwrap();
        server
    });
    for text in texts {
        assert_eq!(heard(&mut client).await, Message::text(text));
    }
    assert_eq!(heard(&mut client).await, Message::Ping(Bytes::new()));
    let mut server = writing.await.unwrap();
    assert!(server.batch.is_empty() && server.batch.capacity() == 0, "an idle socket holds no frames");
    // The answer to the ping, which waits in the client.
    client.flush().await.unwrap();
    assert_eq!(timeout(PATIENCE, server.receive()).await.unwrap(), Ok(Inbound::Alive));
}

#[tokio::test]
async fn a_close_waits_for_the_end_of_the_frame_that_was_begun_and_for_no_other() {
    let (mut server, mut client) = pair().await;
    let large = "x".repeat(8 << 20);
    // Nobody reads yet: the kernel takes a part of it.
    assert!(server.send(frames([large.clone(), "given up".into()])).now_or_never().is_none());
    assert!(server.offset > 0 && server.at == 0);
    let closing = tokio::spawn(async move { server.close(CloseCode::SlowConsumer).await });
    assert_eq!(heard(&mut client).await, Message::text(large));
    let Message::Close(Some(close)) = heard(&mut client).await else { panic!("no close") };
    assert_eq!(close.code, Code::Library(4001));
    client.flush().await.unwrap();
    timeout(PATIENCE, closing).await.expect("in time").unwrap();
}

#[tokio::test]
async fn a_ping_is_answered_between_frames_and_a_close_with_a_close() {
    let (mut server, mut client) = pair().await;
    client.send(Message::Ping("are you there".into())).await.unwrap();
    client.send(Message::text("hello")).await.unwrap();
    assert_eq!(timeout(PATIENCE, server.receive()).await.unwrap(), Ok(Inbound::Alive));
    server.send(frames(["event".into()])).await.unwrap();
    let mut answers = [heard(&mut client).await, heard(&mut client).await];
    answers.sort_by_key(Message::is_text);
    assert_eq!(answers, [Message::Pong("are you there".into()), Message::text("event")]);
    assert_eq!(timeout(PATIENCE, server.receive()).await.unwrap(), Ok(Inbound::Text("hello".into())));
    client.close(None).await.unwrap();
    assert_eq!(timeout(PATIENCE, server.receive()).await.unwrap(), Err(End::Gone));
    drop(server);
    assert_eq!(heard(&mut client).await, Message::Close(None));
}

#[tokio::test]
async fn what_is_no_text_too_long_or_broken_ends_it_with_a_code_that_says_so() {
    let cases = [
        (Message::binary(vec![1, 2, 3]), CloseCode::BadFrame),
        (Message::text("x".repeat(FRAME_BYTES + 1)), CloseCode::TooBig),
        // More than the kernel takes: it is read to its end, or the client would see a reset and no code.
        (Message::text("x".repeat(8 << 20)), CloseCode::TooBig),
    ];
    for (message, code) in cases {
        let (mut server, mut client) = pair().await;
        let saying = tokio::spawn(async move {
            let _ = client.send(message).await;
            client
        });
        assert_eq!(timeout(PATIENCE, server.receive()).await.unwrap(), Err(End::Close(code)));
        let closing = tokio::spawn(async move { server.close(code).await });
        let mut client = timeout(PATIENCE, saying).await.unwrap().unwrap();
        let Message::Close(Some(close)) = heard(&mut client).await else { panic!("no close") };
        assert_eq!(u16::from(close.code), code.code());
        drop(client);
        timeout(PATIENCE, closing).await.expect("in time").unwrap();
    }
    let (mut server, client) = pair().await;
    drop(client);
    assert_eq!(timeout(PATIENCE, server.receive()).await.unwrap(), Err(End::Gone));
    // A frame without a mask.
    let (mut server, client) = pair().await;
    let mut client = client.into_inner();
    client.write_all(&[0x81, 0x01, b'x']).await.unwrap();
    assert_eq!(timeout(PATIENCE, server.receive()).await.unwrap(), Err(End::Close(CloseCode::BadFrame)));
}

#[tokio::test]
async fn frames_come_whole_however_few_bytes_are_taken_at_once() {
    for bytes in 1..=11 {
        let (mut server, mut client) = narrow(bytes).await;
        // More than one write takes, of each form of header.
        let sizes = [0, 1, 125, 126, 127, 300, 65_535, 65_536].into_iter().chain((0..70).map(|n| n % 9));
        let texts: Vec<String> = sizes.map(|size| "x".repeat(size)).collect();
        let batch = frames(texts.clone());
        let writing = tokio::spawn(async move {
            server.send(batch).await.unwrap();
            server.close(CloseCode::GoingAway).await;
        });
        for text in texts {
            assert_eq!(heard(&mut client).await, Message::text(text), "{bytes} at once");
        }
        assert!(heard(&mut client).await.is_close());
        client.flush().await.unwrap();
        timeout(PATIENCE, writing).await.expect("in time").unwrap();
    }
}

#[tokio::test]
async fn a_pong_that_was_begun_ends_before_the_next_frame() {
    let (mut server, mut client) = narrow(3).await;
    let talking = tokio::spawn(async move {
        client.send(Message::Ping("are you there".into())).await.unwrap();
        client.send(Message::text("hello")).await.unwrap();
        [heard(&mut client).await, heard(&mut client).await]
    });
    assert_eq!(timeout(PATIENCE, server.receive()).await.unwrap(), Ok(Inbound::Alive));
    // The answer is begun while the text is read, and may be half written when the events come.
    assert_eq!(timeout(PATIENCE, server.receive()).await.unwrap(), Ok(Inbound::Text("hello".into())));
    timeout(PATIENCE, server.send(frames(["event".into()]))).await.expect("in time").unwrap();
    let heard = timeout(PATIENCE, talking).await.expect("in time").unwrap();
    assert_eq!(heard, [Message::Pong("are you there".into()), Message::text("event")]);
}

#[tokio::test]
async fn a_ping_that_was_begun_ends_before_the_close() {
    let (mut server, mut client) = narrow(3).await;
    // Between two frames: the first is with the client, of the ping a byte at most.
    assert!(server.send(Batch { ping: true, ..frames(["x".into()]) }).now_or_never().is_none());
    let closing = tokio::spawn(async move { server.close(CloseCode::SlowConsumer).await });
    assert_eq!(heard(&mut client).await, Message::text("x"));
    let mut next = heard(&mut client).await;
    if next.is_ping() {
        next = heard(&mut client).await;
    }
    assert!(next.is_close(), "{next:?}");
    client.flush().await.unwrap();
    timeout(PATIENCE, closing).await.expect("in time").unwrap();
}

#[tokio::test(start_paused = true)]
async fn who_never_stops_talking_is_read_for_a_while_only() {
    let (mut server, client) = narrow(64).await;
    let mut client = client.into_inner();
    let talking = tokio::spawn(async move {
        // A frame over the limit that never ends.
        client.write_all(&[0x81, 0xff, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 1, 2, 3, 4]).await.unwrap();
        while client.write_all(&[0; 64]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert_eq!(server.receive().await, Err(End::Close(CloseCode::TooBig)));
    let begun = tokio::time::Instant::now();
    server.close(CloseCode::TooBig).await;
    assert!(begun.elapsed() <= FAREWELL + Duration::from_millis(10), "{:?}", begun.elapsed());
    drop(server);
    talking.await.unwrap();
}
