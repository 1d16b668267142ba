//! Connections that are not read: their kernels take in little (a small segment size and receive buffer), so that what
//! they do not read waits at the node.

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::Value;
use starling_tests::{client::SOON, cluster::Person, node::Node};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest},
};

/// A connection to a node, on a kernel that takes in little.
pub(crate) async fn narrow(node: &Node) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    // As small as segments get: the node's kernel keeps room for a few of them.
    setsockopt(&socket, sockopt::TcpMaxSeg, &536)?;
    Ok(timeout(SOON, socket.connect(node.address().parse()?)).await??)
}

/// A socket that is live, over this connection.
pub(crate) async fn live(
    node: &Node,
    person: &Person,
    stream: TcpStream,
    hello: &Value,
) -> Result<WebSocketStream<TcpStream>> {
    let mut request = format!("ws://{}/v1/ws?await_hello=true", node.address()).into_client_request()?;
    request.headers_mut().insert("authorization", format!("Bearer {}", person.token).parse()?);
    let (mut stream, _) = timeout(SOON, client_async(request, stream)).await??;
    stream.send(Message::text(hello.to_string())).await?;
    loop {
        let frame = timeout(SOON, stream.next()).await.context("no reply to `hello`")?.context("ended")??;
        if frame.to_text().is_ok_and(|text| text.starts_with(r#"{"type":"reply""#)) {
            return Ok(stream);
        }
    }
}

/// A live socket that nobody reads from now on.
pub(crate) async fn socket(node: &Node, person: &Person) -> Result<WebSocketStream<TcpStream>> {
    live(node, person, narrow(node).await?, &serde_json::json!({"type": "hello", "ref": "1"})).await
}

/// A stream of events that nobody reads from now on.
pub(crate) async fn stream(node: &Node, person: &Person) -> Result<TcpStream> {
    let mut stream = narrow(node).await?;
    let head = format!("GET /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n", person.token);
    stream.write_all(head.as_bytes()).await?;
    let mut first = [0; 12];
    timeout(SOON, stream.read_exact(&mut first)).await.context("no answer")??;
    ensure!(first == *b"HTTP/1.1 200", "{}", String::from_utf8_lossy(&first));
    Ok(stream)
}
