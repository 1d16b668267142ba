//! Publishing: one multiplexed connection for the whole node, made when it is first needed and again when it broke.
//!
//! Promises one round trip per batch, in order, and an end within the command timeout. When a connection breaks
//! under a batch, the batch is sent once more on a new one: events can arrive twice then, never in disorder.

use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use redis::{AsyncConnectionConfig, Client, Pipeline, aio::MultiplexedConnection};
use tokio::time::{Instant, timeout};

use super::failure::Failure;
use crate::Topic;

/// So long after a failed attempt nobody tries again: all who publish meanwhile hear of it at once.
const COOLDOWN: Duration = Duration::from_millis(100);

pub(super) struct Publisher {
    client: Client,
    prefix: String,
    limit: Duration,
    slot: Mutex<Slot>,
    /// Held while connecting, so that one attempt serves all who wait.
    dialing: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Slot {
    connection: Option<MultiplexedConnection>,
    /// Which connection this is; what failed on an older one does not count against it.
    generation: u64,
    failed: Option<(Instant, Failure)>,
}

/// Why a batch was not published.
enum Broken {
    /// The connection ended under it.
    Connection(Failure),
    /// The server answered and refused.
    Answer(Failure),
}

impl Publisher {
    pub(super) fn new(client: Client, prefix: String, limit: Duration) -> Self {
        Self { client, prefix, limit, slot: Mutex::default(), dialing: tokio::sync::Mutex::default() }
    }

    pub(super) async fn publish(&self, batch: &[(Topic, Bytes)]) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut pipeline = Pipeline::with_capacity(batch.len());
        for (topic, payload) in batch {
            pipeline.publish(format!("{}{topic}", self.prefix), payload.as_ref()).ignore();
        }
        let mut generation = self.slot.lock().generation;
        if let Ok(result) = timeout(self.limit, self.publish_twice(&pipeline, &mut generation)).await {
            return result;
        }
        let failure = Failure::silent(self.limit);
        self.broken(generation, Some(&failure));
        Err(failure)
    }

    /// Drops the connection; the next publish makes a new one.
    pub(super) fn forget(&self) {
        let mut slot = self.slot.lock();
        slot.connection = None;
        slot.generation += 1;
        slot.failed = None;
    }

    async fn publish_twice(&self, pipeline: &Pipeline, generation: &mut u64) -> Result<(), Failure> {
        match self.publish_once(pipeline, generation).await {
            Ok(()) => Ok(()),
            Err(Broken::Answer(failure)) => Err(failure),
            Err(Broken::Connection(_)) => match self.publish_once(pipeline, generation).await {
                Ok(()) => Ok(()),
                Err(Broken::Answer(failure) | Broken::Connection(failure)) => Err(failure),
            },
        }
    }

    async fn publish_once(&self, pipeline: &Pipeline, generation: &mut u64) -> Result<(), Broken> {
        let mut connection = self.connection(generation).await.map_err(Broken::Answer)?;
        let answer: Result<(), _> = pipeline.query_async(&mut connection).await;
        answer.map_err(|error| {
            let failure = Failure::from(&error);
            if error.is_connection_dropped() {
                self.broken(*generation, None);
                return Broken::Connection(failure);
            }
            if error.is_timeout() || error.is_unrecoverable_error() {
                self.broken(*generation, Some(&failure));
            }
            Broken::Answer(failure)
        })
    }

    /// The connection, made now if there is none. `generation` becomes that of the connection in use.
    async fn connection(&self, generation: &mut u64) -> Result<MultiplexedConnection, Failure> {
        if let Some(connection) = self.present(generation)? {
            return Ok(connection);
        }
        let _alone = self.dialing.lock().await;
        if let Some(connection) = self.present(generation)? {
            return Ok(connection);
        }
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.limit))
            .set_response_timeout(Some(self.limit));
        match self.client.get_multiplexed_async_connection_with_config(&limits).await {
            Ok(connection) => {
                let mut slot = self.slot.lock();
                slot.generation += 1;
                slot.failed = None;
                *generation = slot.generation;
                Ok(slot.connection.insert(connection).clone())
            }
            Err(error) => {
                let failure = Failure::from(error);
                self.slot.lock().failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    fn present(&self, generation: &mut u64) -> Result<Option<MultiplexedConnection>, Failure> {
        let slot = self.slot.lock();
        *generation = slot.generation;
        match (&slot.connection, &slot.failed) {
            (Some(connection), _) => Ok(Some(connection.clone())),
            (None, Some((at, failure))) if at.elapsed() < COOLDOWN => Err(failure.clone()),
            (None, _) => Ok(None),
        }
    }

    /// Ends the use of the connection of this generation. One that merely broke (`failure: None`) may be made
    /// again at once; a server that does not answer is left alone for a moment.
    fn broken(&self, generation: u64, failure: Option<&Failure>) {
        let mut slot = self.slot.lock();
        if slot.generation == generation {
            slot.connection = None;
            slot.generation += 1;
            slot.failed = failure.map(|failure| (Instant::now(), failure.clone()));
        }
    }
}
