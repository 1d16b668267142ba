//! Hands events to the bus, in order, off the lane's way. A hint, as the bus is: beyond its bound events are
//! dropped, and what the bus refuses is not kept; nodes find the hole and fill it from the store. But for markers,
//! which leave no hole: they are said again when the bus works.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_trait::async_trait;
use bus::{Bus, MOMENT, Topic};
use bytes::Bytes;
use protocol::{Event, EventType, Message, ReactionEvent, SystemChange, UserId, UserSeq};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_util::task::TaskTracker;
use traces::Context;

use super::{
    commit::Chain,
    journal::{Journal, Number},
};
use crate::{
    Env, Outage, Told,
    change::Reacted,
    envelope::{ChangePlace, ConversationEvent, FeedMoved},
    metrics::Metrics,
};

/// Most events that wait.
const QUEUE: usize = 65_536;
/// Most events in one round trip.
const BATCH: usize = 512;

/// Most markers that wait for the bus to work again; beyond it the oldest are forgotten.
const KEPT: usize = 16_384;
/// Between two attempts to publish those, when nothing else is published.
const AGAIN: Duration = Duration::from_secs(1);

/// What is to be published.
pub(super) enum Outgoing {
    /// A message in the state of its last change, and the reaction that this was, if it was one and that is known. Then
    /// the epoch of the database that has it, where its trace goes on, if that is recorded, and its number in the journal.
    Change(Arc<Told>, Option<Reacted>, Arc<str>, Option<Box<Context>>, Number),
    /// A user's feed moved.
    Feed(UserId, UserSeq),
    /// A payload as it is.
    Ready(Topic, Bytes),
    /// The same, of a marker: nobody who misses it would find out. Said late, or twice, it does no harm.
    Marker(Topic, Bytes),
}

/// The one thing of the bus that this uses, so that tests can refuse.
#[async_trait]
trait Publish: Send + Sync {
    /// See [`Bus::publish`].
    async fn publish(&self, batch: &[(Topic, Bytes)]) -> bus::Result<()>;
}

#[async_trait]
impl Publish for Arc<dyn Bus> {
    async fn publish(&self, batch: &[(Topic, Bytes)]) -> bus::Result<()> {
        self.as_ref().publish(batch).await
    }
}

/// The sending end of one publisher's queue.
#[derive(Clone)]
pub(super) struct Publisher {
    queue: mpsc::Sender<Outgoing>,
    journal: Arc<Journal>,
    metrics: Metrics,
}

impl Publisher {
    /// Starts its task; `outage` is of all publishers of the node together. It ends when the publisher is dropped, or
    /// `closing` says so, after publishing what waits.
    pub(super) fn start(
        bus: Arc<dyn Bus>,
        journal: &Arc<Journal>,
        metrics: Metrics,
        env: &Env,
        outage: &Arc<Outage>,
        tasks: &TaskTracker,
        closing: Option<watch::Receiver<bool>>,
    ) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        env.spawn(tasks.track_future(run(
            bus,
            Arc::clone(journal),
            metrics.clone(),
            Arc::clone(outage),
            waiting,
            closing,
        )));
        Self { queue, journal: Arc::clone(journal), metrics }
    }

    /// Queues one event. Never waits.
    pub(super) fn hand(&self, event: Outgoing) {
        if let Err(refused) = self.queue.try_send(event) {
            self.metrics.publish_failures.inc();
            if let Outgoing::Change(.., number) = refused.into_inner() {
                self.journal.dropped(number);
            }
        }
    }
}

async fn run(
    bus: impl Publish,
    journal: Arc<Journal>,
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
        let again = kept.len().min(BATCH);
        batch.extend(kept.iter().take(again).cloned());
        let (mut markers, mut numbers) = (Vec::new(), Vec::new());
        for event in taken.drain(..) {
            if let Outgoing::Change(.., number) = &event {
                numbers.push(*number);
            }
            let is_marker = matches!(event, Outgoing::Marker(..));
            let Some(event) = encode(event) else { continue };
            if is_marker {
                markers.push(event.clone());
            }
            batch.push(event);
        }
        let mut result = bus.publish(&batch).await;
        if works && result.is_err() {
            // A connection that just died is soon replaced; nodes drop what they get twice.
            result = bus.publish(&batch).await;
        }
        if works && result.is_err() {
            sleep(MOMENT).await;
            result = bus.publish(&batch).await;
        }
        match &result {
            Ok(()) => {
                kept.drain(..again);
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
        if !numbers.is_empty() {
            journal.sent(&numbers, works);
        }
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
        Outgoing::Change(message, reaction, epoch, trace, _) => {
            let topic = Topic::Conversation(message.conversation_id);
            match encode_change(&message, reaction, &epoch, trace.map(|trace| *trace)) {
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
pub(crate) fn encode_change(
    message: &Told,
    reaction: Option<Reacted>,
    epoch: &str,
    trace: Option<Context>,
) -> serde_json::Result<Bytes> {
    let (conversation_id, seq, place) = (message.conversation_id, message.changed_seq, message.seq);
    let removed = match &message.system {
        Some(SystemChange::ParticipantRemoved { user }) => Some(user.id),
        _ => None,
    };
    let ends = matches!(message.system, Some(SystemChange::ConversationDeleted));
    let at = ChangePlace { seq, place, removed: removed.as_slice(), ends, epoch, trace };
    if let Some(Reacted { change, added }) = reaction {
        let kind = if added { EventType::ReactionAdded } else { EventType::ReactionRemoved };
        let data = ReactionEvent { message: Message::clone(message), reaction: change };
        let event = Event { kind, conversation_id: Some(conversation_id), seq: Some(seq), user_seq: None, data };
        return ConversationEvent::encode_change(at, &event);
    }
    let kind = if message.deleted_at.is_some() {
        EventType::MessageDeleted
    } else if message.changed_seq > message.seq {
        EventType::MessageUpdated
    } else {
        EventType::MessageCreated
    };
    let event = Event { kind, conversation_id: Some(conversation_id), seq: Some(seq), user_seq: None, data: message };
    ConversationEvent::encode_change(at, &event)
}

#[cfg(test)]
mod tests {
    use bus::BusError;
    use parking_lot::Mutex;
    use protocol::ConversationId;
    use tokio::time::Instant;

    use super::*;

    /// Refuses until this moment, then takes everything down.
    struct Away {
        until: Instant,
        published: Arc<Mutex<Vec<Bytes>>>,
    }

    #[async_trait]
    impl Publish for Away {
        async fn publish(&self, batch: &[(Topic, Bytes)]) -> bus::Result<()> {
            if Instant::now() < self.until {
                return Err(BusError::Unavailable("away".into()));
            }
            self.published.lock().extend(batch.iter().map(|(_, payload)| payload.clone()));
            Ok(())
        }
    }

    /// What is published of these, one every `pause`, to a bus that is away at first.
    async fn published(away: Duration, pause: Duration, events: impl IntoIterator<Item = Outgoing>) -> Vec<usize> {
        let published = Arc::default();
        let bus = Away { until: Instant::now() + away, published: Arc::clone(&published) };
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let (queue, waiting) = mpsc::channel(QUEUE);
        let journal = Arc::new(Journal::remembering(1));
        let task = tokio::spawn(run(bus, journal, metrics, Arc::new(Outage::new(AGAIN)), waiting, None));
        for event in events {
            queue.send(event).await.ok().unwrap();
            sleep(pause).await;
        }
        sleep(Duration::from_mins(1)).await;
        drop(queue);
        task.await.unwrap();
        let published = Arc::into_inner(published).unwrap().into_inner();
        published.iter().map(|text| std::str::from_utf8(text).unwrap().parse().unwrap()).collect()
    }

    fn event(number: usize, is_marker: bool) -> Outgoing {
        let (topic, payload) = (Topic::Conversation(ConversationId::generate()), Bytes::from(number.to_string()));
        if is_marker { Outgoing::Marker(topic, payload) } else { Outgoing::Ready(topic, payload) }
    }

    const TENTH: Duration = Duration::from_millis(100);
    const AWAY: Duration = Duration::from_secs(5);

    #[tokio::test(start_paused = true)]
    async fn markers_that_the_bus_refused_are_said_when_it_is_back_and_other_hints_are_not() {
        let said = published(AWAY, TENTH, (0..20).map(|n| event(n, n % 2 == 0))).await;
        assert_eq!(said, (0..20).step_by(2).collect::<Vec<_>>(), "each once, in order");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bus_that_works_gets_everything_once() {
        let said = published(Duration::ZERO, TENTH, (0..20).map(|n| event(n, n % 2 == 0))).await;
        assert_eq!(said, (0..20).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_in_which_the_bus_does_not_answer_loses_nothing() {
        let said = published(TENTH, TENTH, (0..20).map(|n| event(n, false))).await;
        assert_eq!(said, (0..20).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_their_bound_the_oldest_markers_are_forgotten() {
        let said = published(AWAY, Duration::ZERO, (0..KEPT + 100).map(|n| event(n, true))).await;
        assert_eq!((said.len(), said[0]), (KEPT, 100));
    }
}
