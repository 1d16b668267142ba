//! One socket, with buffers small enough to open thousands from one process.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use protocol::{ConversationId, Message as ChatMessage, ReplyError};
use serde::Deserialize;
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{Message, client::IntoClientRequest, protocol::WebSocketConfig},
};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

const CONNECT: Duration = Duration::from_secs(20);
const BUFFER: usize = 4 * 1024;

/// What a socket brought, as far as a load test looks.
#[derive(Debug)]
pub enum Incoming {
    /// A message's event.
    Message(Box<ChatMessage>),
    /// The answer to the command with this `ref`.
    Reply {
        /// Its `ref`.
        reference: String,
        /// Why it was refused.
        error: Option<ReplyError>,
    },
    /// Several changes at once, each message in its present state.
    Changes(Vec<ChatMessage>),
    /// Anything else.
    Other,
}

#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(rename = "ref", default)]
    reference: Option<String>,
    #[serde(default)]
    error: Option<ReplyError>,
}

#[derive(Deserialize)]
struct Data {
    data: ChatMessage,
}

/// A connected, live client.
pub struct Client {
    /// Commands go here.
    pub sink: ClientSink,
    /// Events come from here.
    pub stream: ClientStream,
}

/// The sending half.
pub struct ClientSink(SplitSink<Socket, Message>);

/// The receiving half.
pub struct ClientStream(SplitStream<Socket>);

impl Client {
    /// Connects, says `hello` and returns when the server says that events flow.
    pub async fn connect(gateway: &str, token: &str) -> Result<Self> {
        timeout(CONNECT, Self::connect_in_time(gateway, token)).await.context("connecting took too long")?
    }

    async fn connect_in_time(gateway: &str, token: &str) -> Result<Self> {
        let url = format!("{}/v1/ws", gateway.trim_end_matches('/').replacen("http", "ws", 1));
        let mut request = url.as_str().into_client_request().with_context(|| format!("{url} is no URL"))?;
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
        let config = WebSocketConfig::default().read_buffer_size(BUFFER).write_buffer_size(0);
        let (socket, _) = tokio_tungstenite::connect_async_with_config(request, Some(config), true)
            .await
            .with_context(|| format!("cannot open {url}"))?;
        let (sink, stream) = socket.split();
        let mut client = Self { sink: ClientSink(sink), stream: ClientStream(stream) };
        client.sink.send(r#"{"type":"hello","ref":"hello"}"#.into()).await?;
        loop {
            if let Incoming::Reply { reference, error } = client.stream.next().await?
                && reference == "hello"
            {
                ensure!(error.is_none(), "hello was refused: {error:?}");
                return Ok(client);
            }
        }
    }
}

impl ClientSink {
    /// Sends one frame.
    pub async fn send(&mut self, frame: String) -> Result<()> {
        Ok(self.0.send(Message::text(frame)).await?)
    }

    /// Sends a message; its reply carries `reference`.
    pub async fn send_message(&mut self, to: ConversationId, reference: &str, content: &str) -> Result<()> {
        let frame = serde_json::json!({
            "type": "message.send", "ref": reference, "conversation_id": to, "client_id": reference, "content": content,
        });
        self.send(frame.to_string()).await
    }
}

impl ClientStream {
    /// The next thing that comes.
    pub async fn next(&mut self) -> Result<Incoming> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return read(&text),
                Some(Ok(Message::Close(frame))) => bail!("the server closed the socket: {frame:?}"),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => bail!("the socket ended"),
            }
        }
    }
}

fn read(text: &str) -> Result<Incoming> {
    let head: Head<'_> = serde_json::from_str(text).context("a frame that is no event")?;
    Ok(match head.kind {
        "reply" => Incoming::Reply { reference: head.reference.unwrap_or_default(), error: head.error },
        "message.created" | "message.updated" | "message.deleted" => {
            Incoming::Message(Box::new(serde_json::from_str::<Data>(text)?.data))
        }
        "changes" => {
            let page: protocol::Changes = serde_json::from_str(text)?;
            Incoming::Changes(page.changes.into_iter().map(|change| change.data).collect())
        }
        _ => Incoming::Other,
    })
}
