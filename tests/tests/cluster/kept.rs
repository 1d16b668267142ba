//! Connections that a proxy keeps open to a node: what it sends on one at the moment at which the node is told to end is
//! answered all the same. It could not be sent again: nobody would know whether it was done.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use protocol::{ConversationId, Message};
use serde_json::json;
use starling_tests::{
    client::SOON,
    cluster::{Cluster, Person},
    node::Node,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::timeout,
};

use crate::world::{agree, devices, people, scenarios};

scenarios! {
    on_a_cluster: [what_comes_on_a_kept_connection_while_a_node_ends_is_answered];
}

/// As many as nginx keeps.
const KEPT: usize = 32;

/// A connection that stays open from one call to the next.
struct Kept {
    stream: BufReader<TcpStream>,
    authorization: String,
}

impl Kept {
    async fn open(node: &Node, person: &Person) -> Result<Self> {
        let stream = BufReader::new(TcpStream::connect(node.address()).await?);
        let mut kept = Self { stream, authorization: format!("authorization: Bearer {}", person.token) };
        kept.call("GET", "/v1/me", "").await?;
        ensure!(kept.answer().await?.0 == 200, "who am I?");
        Ok(kept)
    }

    async fn call(&mut self, method: &str, path: &str, body: &str) -> Result<()> {
        let (authorization, length) = (&self.authorization, body.len());
        let text = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\n{authorization}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        Ok(self.stream.write_all(text.as_bytes()).await?)
    }

    /// Status and body.
    async fn answer(&mut self) -> Result<(u16, Vec<u8>)> {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| line != "\r\n") {
            let mut line = String::new();
            let read = timeout(SOON, self.stream.read_line(&mut line)).await.context("no answer")??;
            ensure!(read > 0, "the connection was closed without an answer: {lines:?}");
            lines.push(line.to_lowercase());
        }
        let status = lines[0].split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
        let mut body = vec![0; length.with_context(|| format!("no length: {lines:?}"))?];
        timeout(SOON, self.stream.read_exact(&mut body)).await.context("no body")??;
        Ok((status, body))
    }

    /// It is closed, and nothing more came on it.
    async fn ends(&mut self) -> Result<()> {
        let rest = timeout(SOON, self.stream.fill_buf()).await.context("it stays open")??;
        ensure!(rest.is_empty(), "{} bytes more", rest.len());
        Ok(())
    }
}

async fn say(kept: &mut Kept, id: ConversationId, number: usize) -> Result<()> {
    let body = json!({"content": format!("text {number}"), "client_id": number.to_string()}).to_string();
    kept.call("POST", &format!("/v1/conversations/{id}/messages"), &body).await
}

async fn what_comes_on_a_kept_connection_while_a_node_ends_is_answered(cluster: &mut Cluster) -> Result<()> {
    let [ann, ben] = people(cluster, ["ann", "ben"]).await?;
    let all = devices(cluster, &ben).await?;
    let id = ann.group("plans", &[&ben]).await?;
    let node = &mut cluster.apis[0];
    let mut kept = try_join_all((0..KEPT).map(|_| Kept::open(node, &ann))).await?;
    // When it wakes, what was said and the end are there at once.
    node.freeze()?;
    for (number, kept) in kept.iter_mut().enumerate() {
        say(kept, id, number).await?;
    }
    node.terminate()?;
    node.thaw()?;
    let mut sent = Vec::new();
    for kept in &mut kept {
        let (status, body) = kept.answer().await?;
        ensure!(status == 201, "{status}: {}", String::from_utf8_lossy(&body));
        sent.push(serde_json::from_slice::<Message>(&body)?);
        kept.ends().await?;
    }
    let ended = node.ended(SOON).await?;
    ensure!(ended.code() == Some(0), "it ended with {ended}:\n{}", node.log());
    node.restart().await?;
    node.ready().await?;
    let truth = agree(&ann, id, &all).await?;
    for message in &sent {
        ensure!(truth.get(&message.seq) == Some(message), "acknowledged and not there: {message:?}");
    }
    Ok(())
}
