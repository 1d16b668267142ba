//! What a node takes from the world around it: the time, chance, and the running of its tasks.
//!
//! Injected, so that a simulation of many nodes in one process owns all three: there one seed decides everything.
//! [`Env::system`] is the machine's own. What is not here (sockets, the store, the bus) is injected elsewhere.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    hash::{BuildHasherDefault, DefaultHasher},
    ops::Range,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use protocol::Timestamp;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Protections;

/// Tells the time.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        OffsetDateTime::now_utc().into()
    }
}

/// Draws ids and numbers. Nothing secret comes from here.
pub trait Chance: Send + Sync + 'static {
    /// A new UUIDv7.
    fn id(&self) -> Uuid;
    /// A number below `bound`, which is above 0.
    fn below(&self, bound: u64) -> u64;
}

/// The process's own generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemChance;

impl Chance for SystemChance {
    fn id(&self) -> Uuid {
        Uuid::now_v7()
    }

    fn below(&self, bound: u64) -> u64 {
        rand::random_range(0..bound.max(1))
    }
}

/// A task on its way to whoever runs it.
pub type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Runs a node's tasks where the runtime itself should not: a simulation stops, slows and interleaves them.
pub trait Spawn: Send + Sync + 'static {
    /// Starts it.
    fn spawn(&self, task: Task);
}

/// The world of one node. Cheap to clone.
#[derive(Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
    chance: Arc<dyn Chance>,
    /// None: the tokio runtime.
    tasks: Option<Arc<dyn Spawn>>,
    protections: Protections,
}

impl Env {
    /// The machine's clock and chance, the tokio runtime, every protection on.
    pub fn system() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            chance: Arc::new(SystemChance),
            tasks: None,
            protections: Protections::default(),
        }
    }

    /// With another clock.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// With another source of chance.
    #[must_use]
    pub fn with_chance(self, chance: Arc<dyn Chance>) -> Self {
        Self { chance, ..self }
    }

    /// With somebody else to run its tasks.
    #[must_use]
    pub fn with_tasks(self, tasks: Arc<dyn Spawn>) -> Self {
        Self { tasks: Some(tasks), ..self }
    }

    /// With some protections off: for tests of the tests alone.
    #[must_use]
    pub fn with_protections(self, protections: Protections) -> Self {
        Self { protections, ..self }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// A new UUIDv7.
    pub fn id(&self) -> Uuid {
        self.chance.id()
    }

    /// A time within `range`, to the microsecond; its start when it is empty.
    pub fn spread(&self, range: Range<Duration>) -> Duration {
        let span = range.end.saturating_sub(range.start).as_micros() as u64;
        range.start + Duration::from_micros(self.chance.below(span.max(1)))
    }

    /// Runs a task beside its caller.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        match &self.tasks {
            // Not boxed: this is every command of every socket.
            None => drop(tokio::spawn(task)),
            Some(tasks) => tasks.spawn(Box::pin(task)),
        }
    }

    /// Which protections are on.
    pub fn protections(&self) -> Protections {
        self.protections
    }
}

/// A map whose order of iteration is the same in every run, so that one seed decides everything. For keys that servers
/// make, not clients: whoever may choose the keys could make them collide, though with effort.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;
/// The same as a set.
pub type Set<K> = HashSet<K, BuildHasherDefault<DefaultHasher>>;

impl Default for Env {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env").field("protections", &self.protections).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_stays_within_its_range_and_an_empty_one_is_its_start() {
        let env = Env::system();
        let (start, end) = (Duration::from_millis(3), Duration::from_millis(5));
        for _ in 0..1_000 {
            let drawn = env.spread(start..end);
            assert!((start..end).contains(&drawn), "{drawn:?}");
        }
        assert_eq!(env.spread(end..start), end);
    }
}
