//! Slow consumers (invariant 9): two hundred connections that never read, among two thousand. They cost a bounded
//! amount of memory, delay nobody, and resume with everything.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use protocol::ConversationId;
use serde_json::{Value, json};
use starling_tests::{
    client::{SOON, Socket},
    cluster::{Cluster, Person},
    node::Node,
    process::eventually,
    stalls,
};
use tokio::{
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use crate::{
    deaf,
    world::{people, scenarios},
};

scenarios! {
    on_a_node_with_small_outboxes: [two_hundred_that_never_read_among_two_thousand_harm_nobody];
}

/// Connections that read, and that do not.
const READERS: usize = 1_800;
const DEAF: usize = 200;
/// Messages of each of the two runs, and characters of each.
const MESSAGES: usize = 50;
const TEXT: usize = 4_000;
/// What one that does not read may cost the node: its outbox (`STARLING_OUTBOX_BYTES` of the scenario's cluster), what
/// was taken out of it to be written, and about as much for its buffers and tasks.
const EACH: usize = 3 * 64 * 1024;
/// What the node's memory may vary by for other reasons.
const SLACK: usize = 64 * 1024 * 1024;
/// Beside the same run without those who do not read, nobody waits longer than so many times plus a moment.
const RATIO: u32 = 3;
const MOMENT: Duration = Duration::from_secs(1);

type Stream = WebSocketStream<TcpStream>;

/// How many of `wanted` connections this machine lets one process have; says so when they are fewer.
fn affordable(wanted: usize) -> Result<usize> {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    // Each is a file here and one at the node; logs, pipes and other clusters need some as well.
    let most = usize::try_from(hard).unwrap_or(usize::MAX).saturating_sub(500);
    if most < wanted {
        println!("  at most {hard} open files here (`ulimit -Hn`): {most} connections instead of {wanted}");
    }
    Ok(wanted.min(most))
}

/// A connection that is live, as a plain socket. `narrow`: its kernel takes in little.
async fn open(node: &Node, person: &Person, narrow: bool, hello: &Value) -> Result<Stream> {
    let stream =
        if narrow { deaf::narrow(node).await? } else { timeout(SOON, TcpStream::connect(node.address())).await?? };
    deaf::live(node, person, stream, hello).await
}

async fn open_many(node: &Node, people: &[Person], count: usize, narrow: bool) -> Result<Vec<Stream>> {
    let hello = json!({"type": "hello", "ref": "1"});
    let opening = (0..count).map(|n| open(node, &people[n % people.len()], narrow, &hello));
    stream::iter(opening).buffer_unordered(50).try_collect().await
}

/// The seq of a message's event; none for other frames. Without reading all of it: there are many.
fn seq_of(text: &str) -> Option<u64> {
    let rest = text.strip_prefix(r#"{"type":"message.created""#)?;
    let (_, rest) = rest.split_once(r#""seq":"#)?;
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}

/// Reads until `last`; when each event came. Fails when one is missing, doubled or out of order.
fn read_until(mut stream: Stream, first: u64, last: u64) -> JoinHandle<Result<(Stream, Vec<Instant>)>> {
    tokio::spawn(async move {
        let mut came = Vec::new();
        while first + (came.len() as u64) <= last {
            let wanted = first + came.len() as u64;
            let frame = timeout(Duration::from_mins(1), stream.next()).await;
            let frame = frame.with_context(|| format!("{wanted} does not come"))?.context("ended")??;
            if let Some(seq) = frame.to_text().ok().and_then(seq_of) {
                ensure!(seq == wanted, "{seq} came instead of {wanted}");
                came.push(Instant::now());
            }
        }
        Ok((stream, came))
    })
}

/// Delays of all events at all readers.
struct Delays {
    median: Duration,
    longest: Duration,
}

/// Sends messages and has everybody read them. The head before it, and after it.
async fn run(
    ann: &Person,
    id: ConversationId,
    streams: Vec<Stream>,
    node: &Node,
) -> Result<(Vec<Stream>, Delays, u64, usize)> {
    let text = "x".repeat(TEXT);
    let path = format!("conversations/{id}/messages");
    let head = ann.rest.get(&format!("conversations/{id}")).await?.ok::<protocol::Conversation>()?.last_seq;
    let (first, last) = (head + 1, head + MESSAGES as u64);
    let readers: Vec<_> = streams.into_iter().map(|stream| read_until(stream, first, last)).collect();
    let (mut sent, mut most) = (Vec::new(), 0);
    for _ in 0..MESSAGES {
        ann.rest.post(&path, json!({"content": text})).await?.done()?;
        sent.push(Instant::now());
        most = most.max(memory(node)?);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (mut streams, mut delays) = (Vec::new(), Vec::new());
    for reader in readers {
        let (stream, came) = reader.await??;
        // But for what all stood still, which nobody is to blame for.
        let delay = |(came, sent): (&Instant, &Instant)| {
            let stood = stalls::within(sent.into_std(), came.into_std());
            came.saturating_duration_since(*sent).saturating_sub(stood)
        };
        delays.extend(came.iter().zip(&sent).map(delay));
        streams.push(stream);
    }
    most = most.max(memory(node)?);
    delays.sort_unstable();
    let longest = delays.last().copied().context("nobody reads")?;
    Ok((streams, Delays { median: delays[delays.len() / 2], longest }, last, most))
}

/// Resident memory of a node, bytes.
fn memory(node: &Node) -> Result<usize> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.id()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<usize>()? * 1024)
}

/// What one that did not read finds when it reads at last: its events in order up to some seq, then the end.
async fn wake(mut stream: Stream, first: u64) -> Result<u64> {
    let mut next = first;
    loop {
        match timeout(SOON, stream.next()).await.context("neither a frame nor an end")? {
            Some(Ok(Message::Text(text))) => {
                if let Some(seq) = seq_of(&text) {
                    ensure!(seq == next, "{seq} came instead of {next}");
                    next += 1;
                }
            }
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map(|frame| u16::from(frame.code));
                ensure!(code == Some(4001), "closed with {code:?}");
                return Ok(next - 1);
            }
            Some(Ok(_)) => {}
            // Its kernel had no room left for the close: to a client that is a broken connection, which resumes as
            // well.
            Some(Err(_)) | None => return Ok(next - 1),
        }
    }
}

/// Comes back with its cursor, and gets exactly what is missing.
async fn resume(node: &Node, person: &Person, id: ConversationId, cursor: u64, head: u64) -> Result<()> {
    let mut socket = Socket::awaiting_hello(node.url(), &person.token).await?;
    let connected = socket.until("connected").await?["data"].clone();
    let resume =
        json!({"epoch": connected["epoch"], "user_seq": connected["user_seq"], "cursors": {id.to_string(): cursor}});
    socket.send(&json!({"type": "hello", "ref": "1", "resume": resume})).await?;
    let mut at = cursor;
    while at < head {
        let page = socket.until("changes").await?;
        ensure!(page["from"] == at, "a page from {} after {at}", page["from"]);
        for change in page["changes"].as_array().context("no changes")? {
            at += 1;
            ensure!(change["seq"] == at, "{} came instead of {at}", change["seq"]);
        }
    }
    let reply = socket.until("reply").await?;
    ensure!(reply["ok"] == true && at == head, "{reply}");
    socket.close().await
}

async fn two_hundred_that_never_read_among_two_thousand_harm_nobody(cluster: &mut Cluster) -> Result<()> {
    let total = affordable(READERS + DEAF)?;
    let deaf = total * DEAF / (READERS + DEAF);
    let [ann] = people(cluster, ["ann"]).await?;
    let mut others = Vec::new();
    for number in 0..20 {
        others.push(cluster.person(&format!("reader {number}")).await?);
    }
    let id = ann.group("busy", &others.iter().collect::<Vec<_>>()).await?;
    let node = &cluster.gateways[0];
    stalls::watch();
    let began = Instant::now();
    let readers = open_many(node, &others, total - deaf, false).await?;
    println!("  {} connections after {:.1} s", readers.len(), began.elapsed().as_secs_f64());
    let (readers, alone, head, _) = run(&ann, id, readers, node).await?;

    let before = memory(node)?;
    let stuck = open_many(node, &others, deaf, true).await?;
    let (readers, beside, last, most) = run(&ann, id, readers, node).await?;
    let grown = most.saturating_sub(before);
    println!("  alone:                median {:.0?}, longest {:.0?}", alone.median, alone.longest);
    println!("  beside {deaf} deaf ones: median {:.0?}, longest {:.0?}", beside.median, beside.longest);
    println!("  the node's memory: {} MiB before, {} MiB more", before >> 20, grown >> 20);
    ensure!(beside.median <= alone.median * RATIO + MOMENT, "{:?} beside {:?}", beside.median, alone.median);
    ensure!(beside.longest <= alone.longest * RATIO + MOMENT, "{:?} beside {:?}", beside.longest, alone.longest);
    let bound = deaf * EACH + SLACK;
    ensure!(grown <= bound, "{grown} bytes for {deaf} that do not read; the bound is {bound}");

    // Each of them, and nobody else, is closed as a slow consumer.
    eventually("those who do not read are closed with 4001", SOON, async || {
        let closed = closed(node, "4001").await.map_err(|error| error.to_string())?;
        if closed == deaf { Ok(()) } else { Err(closed.to_string()) }
    })
    .await;
    drop(readers);
    let waking = stuck.into_iter().enumerate().map(async |(number, stream)| {
        let cursor = wake(stream, head + 1).await?;
        if cursor >= last {
            bail!("it has everything, so it was not slow");
        }
        resume(node, &others[number % others.len()], id, cursor, last).await
    });
    stream::iter(waking).buffer_unordered(20).try_collect::<()>().await
}

/// How many connections of a node ended with this code.
async fn closed(node: &Node, code: &str) -> Result<usize> {
    let (_, text) = node.admin_get("/metrics").await?;
    let line = format!("starling_connections_closed_total{{code=\"{code}\"}} ");
    Ok(text.lines().find_map(|metric| metric.strip_prefix(&line)?.parse().ok()).unwrap_or_default())
}
