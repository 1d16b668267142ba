//! One node's way to the store of a simulation: the embedded store itself, on a memory disk, with faults on the way.
//!
//! The store runs beside the simulation's runtime, and each call of it is one instant of virtual time, so that the same
//! seed gives the same answers. What can happen is on the way: a call that does not get there, an answer that does not
//! come back though the commit was done, and the time that both take. What a store must promise is the conformance
//! suite's affair (`tests/tests/store_conformance.rs`); this one is that store.

mod through;

use std::{
    future::Future,
    path::Path,
    pin::pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, Wake, Waker},
    thread::Thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use store::{
    Store as _, StoreError,
    sqlite::{SqliteConfig, SqliteStore},
};
use tokio::{runtime::Runtime, time::sleep};

use super::{chance::Chance, gate::Gate};

/// A call that does not get there fails after this, as a driver's time limit would have it.
const TIME_LIMIT: Duration = Duration::from_secs(2);

/// The org of everybody in a simulation.
pub(super) const ORG: &str = "default";

/// What happens on the way to the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFaults {
    /// Nothing gets there.
    pub down: bool,
    /// So many calls in a thousand are done, and their answer is lost.
    pub lost_answers: u32,
    /// So many in a thousand fail before they are done.
    pub failures: u32,
    /// The longest time that each way takes.
    pub delay: Duration,
}

/// The database of a simulation; removed with it.
pub struct Database {
    slot: Arc<Mutex<Slot>>,
}

/// What is open now: another one after a restore.
struct Slot {
    store: Arc<SqliteStore>,
    dir: tempfile::TempDir,
}

/// A database as it was at a moment: its file, and what stood beside it.
pub struct Backup(Vec<(&'static str, Vec<u8>)>);

/// A database's file and its log.
const FILES: [&str; 2] = ["starling.db", "starling.db-wal"];

impl Database {
    /// A fresh one: migrated, empty.
    pub fn open() -> Result<Self> {
        static TEMPLATE: OnceLock<std::result::Result<Vec<u8>, String>> = OnceLock::new();
        let template = TEMPLATE.get_or_init(|| template().map_err(|error| format!("{error:#}")));
        let template = template.as_ref().map_err(|error| anyhow::anyhow!("{error}"))?;
        let slot = Slot::open(&[(FILES[0], template)])?;
        Ok(Self { slot: Arc::new(Mutex::new(slot)) })
    }

    /// As it is now.
    pub fn save(&self) -> Result<Backup> {
        let slot = self.slot.lock();
        let read = |name| Some((name, std::fs::read(slot.dir.path().join(name)).ok()?));
        let files: Vec<_> = FILES.into_iter().filter_map(read).collect();
        anyhow::ensure!(!files.is_empty(), "the database has no file");
        Ok(Backup(files))
    }

    /// Puts it back to what it was, as an operator does, who then gives it another epoch: that one.
    pub fn restore(&self, backup: &Backup) -> Result<String> {
        let files: Vec<_> = backup.0.iter().map(|(name, bytes)| (*name, &**bytes)).collect();
        let restored = Slot::open(&files)?;
        let epoch = blocking(restored.store.new_epoch())?.new;
        let before = std::mem::replace(&mut *self.slot.lock(), restored);
        blocking(before.store.close());
        Ok(epoch)
    }

    /// The store without anything on the way: for whoever looks at what is true.
    pub fn truth(&self) -> Arc<dyn store::Store> {
        Arc::new(SimStore::new(Arc::clone(&self.slot), Chance::new(0, "truth"), None))
    }

    /// One node's way to it.
    pub fn node(&self, chance: Chance, gate: Gate) -> Arc<SimStore> {
        Arc::new(SimStore::new(Arc::clone(&self.slot), chance, Some(gate)))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        blocking(self.slot.lock().store.close());
    }
}

impl Slot {
    fn open(files: &[(&str, &[u8])]) -> Result<Self> {
        let dir = memory_dir()?;
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes)?;
        }
        let store = Arc::new(blocking(SqliteStore::open(config(dir.path())))?);
        Ok(Self { store, dir })
    }
}

/// See the module.
pub struct SimStore {
    slot: Arc<Mutex<Slot>>,
    chance: Chance,
    /// None: whoever looks from outside.
    gate: Option<Gate>,
    faults: Mutex<StoreFaults>,
}

impl SimStore {
    fn new(slot: Arc<Mutex<Slot>>, chance: Chance, gate: Option<Gate>) -> Self {
        Self { slot, chance, gate, faults: Mutex::default() }
    }

    /// From now on this happens on the way.
    pub fn set(&self, faults: StoreFaults) {
        *self.faults.lock() = faults;
    }

    /// A call is on its way; the database that it comes to.
    async fn there(&self, name: &'static str) -> store::Result<Arc<SqliteStore>> {
        self.on_the_way(name, |faults| faults.failures).await?;
        if self.gate.as_ref().is_some_and(Gate::is_dead) {
            return Err(StoreError::Unavailable("the process was killed".into()));
        }
        Ok(Arc::clone(&self.slot.lock().store))
    }

    /// Its answer is.
    async fn back<T>(&self, name: &'static str, answer: store::Result<T>) -> store::Result<T> {
        self.on_the_way(name, |faults| faults.lost_answers).await?;
        answer
    }

    /// One way of a call.
    async fn on_the_way(&self, name: &'static str, fails: fn(&StoreFaults) -> u32) -> store::Result<()> {
        let faults = *self.faults.lock();
        if !faults.delay.is_zero() {
            sleep(self.chance.time(Duration::ZERO..faults.delay)).await;
        }
        // Looked at anew: it may have gone down meanwhile.
        let faults = *self.faults.lock();
        if faults.down {
            sleep(TIME_LIMIT).await;
        } else if !self.chance.per_mille(fails(&faults)) {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!("a simulated fault of `{name}`").into()))
    }
}

/// Runs a future of the store to its end, without the simulation's clock moving or its other tasks running.
fn blocking<F: Future>(future: F) -> F::Output {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    // The driver's own tasks and timers live on a runtime of their own, in real time.
    let runtime = RUNTIME.get_or_init(|| {
        let builder = &mut tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("sim-store").enable_all().build().expect("a runtime starts")
    });
    let _context = runtime.enter();
    // It must not use up the budget of the task that it is polled in, which nobody would fill again.
    let mut future = pin!(tokio::task::unconstrained(future));
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::park();
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The file of an empty, migrated database.
fn template() -> Result<Vec<u8>> {
    let dir = memory_dir()?;
    let store = blocking(SqliteStore::open(config(dir.path())))?;
    blocking(store.migrate())?;
    // Its id is drawn by the store itself: once, so that every run of this process has the same.
    blocking(store.ensure_org(ORG))?;
    blocking(store.close());
    std::fs::read(dir.path().join(FILES[0])).context("the template cannot be read")
}

fn config(dir: &Path) -> SqliteConfig {
    SqliteConfig { durable: false, readers: 1, ..SqliteConfig::new(dir) }
}

/// A directory in memory, where there is one.
fn memory_dir() -> Result<tempfile::TempDir> {
    let shared_memory = Path::new("/dev/shm");
    let dir = tempfile::Builder::new().prefix("starling-sim-").tempdir_in(shared_memory);
    Ok(dir.or_else(|_| tempfile::Builder::new().prefix("starling-sim-").tempdir())?)
}
