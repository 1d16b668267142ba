//! One conversation with many members, some of whom send as fast as they are answered (a closed loop). Every
//! delivery to every member is checked.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use protocol::{ConversationId, MessageKind};
use serde::Serialize;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, timeout},
};

use crate::{
    Client, Findings, Incoming, People, Target,
    audit::Seen,
    client::{ClientSink, ClientStream},
};

/// What to run.
#[derive(Debug, Clone)]
pub struct Room {
    /// Distinguishes this run's users.
    pub run: String,
    /// Members, each with one socket.
    pub members: usize,
    /// How many of them send.
    pub senders: usize,
    /// Messages that each sender has under way at once.
    pub in_flight: usize,
    /// Characters of a message.
    pub size: usize,
    /// How long to send.
    pub time: Duration,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Messages that were acknowledged.
    pub acknowledged: u64,
    /// Commands that were refused, by whatever code.
    pub refused: u64,
    /// Events that members received.
    pub delivered: u64,
    /// Events that they should have received.
    pub expected: u64,
    /// Faults.
    pub findings: Findings,
    /// Seconds from the first send to the last delivery.
    pub seconds: f64,
    /// Send to acknowledgement, milliseconds at p50 and p99.
    pub ack_ms: [f64; 2],
    /// What `sample` gave for the measured part (CPU seconds of the servers, for instance).
    pub sampled: f64,
}

/// Longest wait for the last deliveries.
const SETTLE: Duration = Duration::from_secs(30);

/// Runs it. `sample` is called at the start and the end of the measured part; the difference is reported.
pub async fn run(target: &Target, room: &Room, mut sample: impl FnMut() -> f64) -> Result<Outcome> {
    ensure!(room.senders <= room.members && room.senders > 0, "senders must be 1 to the number of members");
    let people = People::new(target)?;
    let members = people.make(&room.run, room.members).await?;
    let conversation = people.group(&room.run, &members).await?;
    let clients: Vec<Client> = stream::iter(members.iter().enumerate())
        .map(|(n, person)| Client::connect(&target.gateways[n % target.gateways.len()], &person.token))
        .buffered(16)
        .try_collect()
        .await?;

    let stop = Arc::new(AtomicBool::new(false));
    let (total, expected) = watch::channel(None);
    let mut receivers = Vec::new();
    let mut senders = Vec::new();
    let before = sample();
    let started = Instant::now();
    for (n, client) in clients.into_iter().enumerate() {
        let Client { sink, stream } = client;
        let (replies, inbox) = mpsc::unbounded_channel();
        receivers.push(tokio::spawn(receive(stream, expected.clone(), replies)));
        if n < room.senders {
            senders.push(tokio::spawn(send(sink, inbox, conversation, room.clone(), n, Arc::clone(&stop))));
        } else {
            senders.push(tokio::spawn(async move { Ok(Sent::nothing(sink)) }));
        }
    }
    tokio::time::sleep(room.time).await;
    stop.store(true, Ordering::Relaxed);
    let (mut acknowledged, mut refused) = (0, 0);
    let mut acks = Histogram::<u64>::new(3)?;
    // A sink that is dropped closes its socket: kept until every receiver is done.
    let mut open = Vec::new();
    for sender in senders {
        let sent = sender.await??;
        acknowledged += sent.acknowledged;
        refused += sent.refused;
        acks.add(&sent.acks)?;
        open.push(sent.sink);
    }
    // Every receiver now knows how much there is to come, and ends when it has it.
    total.send(Some(acknowledged))?;
    let mut findings = Findings::default();
    let mut got = 0;
    for receiver in receivers {
        let seen = receiver.await??;
        got += seen.count();
        findings.add(seen.findings(acknowledged));
    }
    let seconds = started.elapsed().as_secs_f64();
    let sampled = sample() - before;
    let ms = |q| acks.value_at_quantile(q) as f64 / 1_000.0;
    Ok(Outcome {
        acknowledged,
        refused,
        delivered: got,
        expected: acknowledged * room.members as u64,
        findings,
        seconds,
        ack_ms: [ms(0.5), ms(0.99)],
        sampled,
    })
}

/// What one sender did. Its sink comes along: dropped, it would close the socket.
struct Sent {
    sink: ClientSink,
    acknowledged: u64,
    refused: u64,
    acks: Histogram<u64>,
}

impl Sent {
    fn nothing(sink: ClientSink) -> Self {
        // Three digits are always a valid precision.
        let acks = Histogram::new(3).unwrap_or_else(|_| unreachable!());
        Self { sink, acknowledged: 0, refused: 0, acks }
    }
}

/// Sends in a closed loop until `stop`, then waits for what is under way.
async fn send(
    sink: ClientSink,
    mut inbox: mpsc::UnboundedReceiver<(String, bool)>,
    conversation: ConversationId,
    room: Room,
    me: usize,
    stop: Arc<AtomicBool>,
) -> Result<Sent> {
    let mut sent = Sent::nothing(sink);
    let mut under_way = HashMap::new();
    let mut number = 0u64;
    loop {
        let stopping = stop.load(Ordering::Relaxed);
        if !stopping && under_way.len() < room.in_flight {
            number += 1;
            let reference = format!("{me}-{number}");
            let content =
                format!("{:<size$}", format!("{reference} of {}", room.run), size = room.size).replace(' ', ".");
            under_way.insert(reference.clone(), Instant::now());
            sent.sink.send_message(conversation, &reference, &content).await?;
            continue;
        }
        if stopping && under_way.is_empty() {
            return Ok(sent);
        }
        let reply = timeout(SETTLE, inbox.recv()).await.context("a command was never answered")?;
        let (reference, ok) = reply.context("the socket ended while commands were under way")?;
        if let Some(at) = under_way.remove(&reference) {
            sent.acks.record(at.elapsed().as_micros() as u64)?;
            if ok { sent.acknowledged += 1 } else { sent.refused += 1 }
        }
    }
}

/// Receives until everything that was acknowledged is here, or nothing more comes.
async fn receive(
    mut stream: ClientStream,
    mut total: watch::Receiver<Option<u64>>,
    replies: mpsc::UnboundedSender<(String, bool)>,
) -> Result<Seen> {
    let mut seen = Seen::default();
    loop {
        let known = *total.borrow_and_update();
        if known.is_some_and(|total| seen.count() >= total) {
            return Ok(seen);
        }
        let item = tokio::select! {
            item = stream.next() => item?,
            _ = total.changed(), if known.is_none() => continue,
            // What is missing now stays missing: the count says so.
            () = tokio::time::sleep(SETTLE), if known.is_some() => return Ok(seen),
        };
        match item {
            Incoming::Message(message) => note(&mut seen, &message),
            Incoming::Changes(messages) => messages.iter().for_each(|message| note(&mut seen, message)),
            // Nobody listens when this member does not send.
            Incoming::Reply { reference, error } => drop(replies.send((reference, error.is_none()))),
            Incoming::Other => {}
        }
    }
}

fn note(seen: &mut Seen, message: &protocol::Message) {
    if message.kind == MessageKind::Text {
        seen.message(message.id, message.seq);
    }
}
