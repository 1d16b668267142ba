//! What a client of another library hears, however little the kernel takes at once.

use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
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

fn frames(texts: impl IntoIterator<Item = String>) -> Batch {
    Batch { frames: texts.into_iter().map(Into::into).collect(), ..Batch::default() }
}

async fn heard(client: &mut WebSocketStream<TcpStream>) -> Message {
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
    tokio::io::AsyncWriteExt::write_all(&mut client, &[0x81, 0x01, b'x']).await.unwrap();
    assert_eq!(timeout(PATIENCE, server.receive()).await.unwrap(), Err(End::Close(CloseCode::BadFrame)));
}
