//! One multiplexed connection to one server, made when it is first needed and again when it broke.
//!
//! Promises that a pipeline is sent in order and ends within its limit. When the connection breaks under it, it is sent
//! once more on a new one: events can arrive twice then, never in disorder. Does not look for another server.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use redis::{AsyncConnectionConfig, Client, Pipeline, ServerError, Value, aio::MultiplexedConnection};
use tokio::time::{Instant, timeout};

use super::{failure::Failure, server::check_role};
use crate::MOMENT;

/// So long after a failed attempt nobody tries again: all who ask meanwhile hear of it at once.
const COOLDOWN: Duration = Duration::from_millis(100);
const _: () = assert!(COOLDOWN.as_millis() < MOMENT.as_millis());

pub(super) struct Pipe {
    client: Client,
    limit: Duration,
    /// Whether a server that is no master is left at once.
    master_only: bool,
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

/// Why a pipeline did not go through whole.
#[derive(Debug, Clone)]
pub(super) struct Broken {
    pub(super) failure: Failure,
    /// Which of its commands the server refused, when it answered.
    pub(super) refused: Option<Arc<[(usize, ServerError)]>>,
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self { failure, refused: None }
    }
}

/// How one attempt failed.
enum Attempt {
    /// The connection ended under it.
    Connection(Failure),
    Answer(Broken),
}

impl Pipe {
    pub(super) fn new(client: Client, limit: Duration, master_only: bool) -> Self {
        Self { client, limit, master_only, slot: Mutex::default(), dialing: tokio::sync::Mutex::default() }
    }

    /// The answers, one for each command.
    pub(super) async fn run(&self, pipeline: &Pipeline) -> Result<Vec<Value>, Broken> {
        let mut generation = self.slot.lock().generation;
        if let Ok(result) = timeout(self.limit, self.run_twice(pipeline, &mut generation)).await {
            return result;
        }
        let failure = Failure::silent(self.limit);
        self.broken(generation, Some(&failure));
        Err(failure.into())
    }

    /// Drops the connection; the next call makes a new one.
    pub(super) fn forget(&self) {
        let mut slot = self.slot.lock();
        slot.connection = None;
        slot.generation += 1;
        slot.failed = None;
    }

    async fn run_twice(&self, pipeline: &Pipeline, generation: &mut u64) -> Result<Vec<Value>, Broken> {
        let again = match self.run_once(pipeline, generation).await {
            Err(Attempt::Connection(_)) => self.run_once(pipeline, generation).await,
            first => first,
        };
        again.map_err(|failed| match failed {
            Attempt::Answer(broken) => broken,
            Attempt::Connection(failure) => failure.into(),
        })
    }

    async fn run_once(&self, pipeline: &Pipeline, generation: &mut u64) -> Result<Vec<Value>, Attempt> {
        let connection = self.connection(generation).await;
        let mut connection = connection.map_err(|failure| Attempt::Answer(failure.into()))?;
        let answers: Result<Vec<Value>, _> = pipeline.query_async(&mut connection).await;
        answers.map_err(|error| {
            let failure = Failure::from(&error);
            if error.is_connection_dropped() {
                self.broken(*generation, None);
                return Attempt::Connection(failure);
            }
            if error.is_timeout() || error.is_unrecoverable_error() {
                self.broken(*generation, Some(&failure));
            }
            Attempt::Answer(Broken { failure, refused: error.into_server_errors() })
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
        match self.dial().await {
            Ok(connection) => {
                let mut slot = self.slot.lock();
                slot.generation += 1;
                slot.failed = None;
                *generation = slot.generation;
                Ok(slot.connection.insert(connection).clone())
            }
            Err(failure) => {
                self.slot.lock().failed = Some((Instant::now(), failure.clone()));
                Err(failure)
            }
        }
    }

    async fn dial(&self) -> Result<MultiplexedConnection, Failure> {
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.limit))
            .set_response_timeout(Some(self.limit));
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&limits).await?;
        if self.master_only {
            check_role(&mut connection).await?;
        }
        Ok(connection)
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
