//! Hands events to the bus, in order, off the lane's way. A hint, as the bus is: beyond its bound events are
//! dropped, and what the bus refuses is not kept; nodes find the hole and fill it from the store. But for markers, which
//! leave no hole: they are said again when the bus works.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bus::{Bus, Topic};
use bytes::Bytes;
use protocol::{Event, EventType, Message, ReactionEvent, SystemChange, UserId, UserSeq};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_util::task::TaskTracker;

use super::commit::Chain;
use crate::{
    Env, Outage,
    change::Reacted,
    envelope::{ConversationEvent, FeedMoved},
    metrics::Metrics,
};

/// Most events that wait.
const QUEUE: usize = 16_384;
/// Most events in one round trip.
const BATCH: usize = 512;

/// Most markers that wait for the bus to work again; beyond it the oldest are forgotten.
const KEPT: usize = 16_384;
/// Between two attempts to publish those, when nothing else is published.
const AGAIN: Duration = Duration::from_secs(1);

/// What is to be published.
pub(super) enum Outgoing {
    /// A message in the state of its last change, and the reaction that this was, if it was one and that is known.
    Change(Box<Message>, Option<Reacted>),
    /// A user's feed moved.
    Feed(UserId, UserSeq),
    /// A payload as it is.
    Ready(Topic, Bytes),
    /// The same, of a marker: nobody who misses it would find out. Said late, or twice, it does no harm.
    Marker(Topic, Bytes),
}

/// The sending end of one publisher's queue.
pub(super) struct Publisher {
    queue: mpsc::Sender<Outgoing>,
    metrics: Metrics,
}

impl Publisher {
    /// Starts its task; `outage` is of all publishers of the node together. It ends when the publisher is dropped, or `closing` says so, after publishing what waits.
    pub(super) fn start(
        bus: Arc<dyn Bus>,
        metrics: Metrics,
        env: &Env,
        outage: &Arc<Outage>,
        tasks: &TaskTracker,
        closing: Option<watch::Receiver<bool>>,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        env.spawn(tasks.track_future(run(bus, metrics.clone(), Arc::clone(outage), waiting, closing)));
        Self { queue, metrics }
    }

    /// Queues one event. Never waits.
    pub(super) fn hand(&self, event: Outgoing) {
        if self.queue.try_send(event).is_err() {
            self.metrics.publish_failures.inc();
        }
    }
}

async fn run(
    bus: Arc<dyn Bus>,
    metrics: Metrics,
    outage: Arc<Outage>,
    mut waiting: mpsc::Receiver<Outgoing>,
    mut closing: Option<watch::Receiver<bool>>,
) {
    let (mut taken, mut batch) = (Vec::new(), Vec::new());
    // Markers that the bus refused.
    let mut kept = VecDeque::new();
    let mut works = true;
    loop {
        tokio::select! {
            biased;
            () = closed(&mut closing), if !waiting.is_closed() => {
                waiting.close();
                continue;
            }
            count = waiting.recv_many(&mut taken, BATCH) => if count == 0 { break },
            () = sleep(AGAIN), if !kept.is_empty() => {}
        }
        let mut markers: Vec<_> = kept.drain(..kept.len().min(BATCH)).collect();
        for event in taken.drain(..) {
            let is_marker = matches!(event, Outgoing::Marker(..));
            let Some(event) = encode(event) else { continue };
            if is_marker { markers.push(event) } else { batch.push(event) }
        }
        batch.extend(markers.iter().cloned());
        let mut result = bus.publish(&batch).await;
        if works && result.is_err() {
            // A connection that just died is soon replaced; nodes drop what they get twice.
            result = bus.publish(&batch).await;
        }
        match &result {
            Ok(()) => {
                if let Some(failures) = outage.worked() {
                    tracing::info!(failures, "events are published again");
                }
            }
            Err(error) => {
                metrics.publish_failures.inc_by(batch.len() as u64);
                if outage.failed() {
                    tracing::warn!(error = %Chain(error), "events are not published; nodes fill from the store");
                }
                kept.extend(markers);
                kept.drain(..kept.len().saturating_sub(KEPT));
            }
        }
        works = result.is_ok();
        batch.clear();
    }
}

async fn closed(closing: &mut Option<watch::Receiver<bool>>) {
    match closing {
        Some(closing) => {
            let _ = closing.wait_for(|closing| *closing).await;
        }
        None => std::future::pending().await,
    }
}

fn encode(event: Outgoing) -> Option<(Topic, Bytes)> {
    match event {
        Outgoing::Ready(topic, payload) | Outgoing::Marker(topic, payload) => Some((topic, payload)),
        Outgoing::Feed(user, user_seq) => Some((Topic::User(user), FeedMoved::encode(user_seq))),
        Outgoing::Change(message, reaction) => {
            let topic = Topic::Conversation(message.conversation_id);
            match encode_change(*message, reaction) {
                Ok(payload) => Some((topic, payload)),
                Err(error) => {
                    tracing::error!(%error, "an event could not be serialised");
                    None
                }
            }
        }
    }
}

/// The event of a message's last change. A reaction that is published again, by a retry, is not known as one: it goes
/// out as `message.updated`, with the same place and state.
fn encode_change(message: Message, reaction: Option<Reacted>) -> serde_json::Result<Bytes> {
    let (conversation_id, seq, place) = (message.conversation_id, message.changed_seq, message.seq);
    let removed = match &message.system {
        Some(SystemChange::ParticipantRemoved { user }) => vec![user.id],
        _ => Vec::new(),
    };
    if let Some(Reacted { change, added }) = reaction {
        let kind = if added { EventType::ReactionAdded } else { EventType::ReactionRemoved };
        let data = ReactionEvent { message, reaction: change };
        let event = Event { kind, conversation_id: Some(conversation_id), seq: Some(seq), user_seq: None, data };
        return ConversationEvent::encode(Some(seq), Some(place), removed, &event);
    }
    let kind = if message.deleted_at.is_some() {
        EventType::MessageDeleted
    } else if message.changed_seq > message.seq {
        EventType::MessageUpdated
    } else {
        EventType::MessageCreated
    };
    let event = Event { kind, conversation_id: Some(conversation_id), seq: Some(seq), user_seq: None, data: message };
    ConversationEvent::encode(Some(seq), Some(place), removed, &event)
}
