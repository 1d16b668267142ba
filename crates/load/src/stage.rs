//! What scenarios have in common: people and conversations are made, sockets ramped up, messages sent for a time, and
//! the end is waited for until everything has arrived or the patience is over.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow, bail, ensure};
use futures_util::{StreamExt, stream::FuturesUnordered};
use protocol::ConversationKind;
use rand::{RngExt, rngs::SmallRng};
use tokio::{
    sync::Semaphore,
    task::JoinSet,
    time::{interval, sleep, timeout},
};

use crate::{
    device::{Device, Line, Phase},
    ledger::{Receiver, Room},
    pace,
    people::{People, Person},
    plan::{Pace, Plan},
    run::{Progress, Run},
};

/// Connections that are being opened at once, at most.
const OPENING: usize = 512;

/// Said where somebody stops a run before its load began.
#[derive(Debug, thiserror::Error)]
#[error("stopped before the load began")]
pub(crate) struct Stopped;

/// Everybody's devices, by their index in the run.
pub(crate) type Crowd = Arc<Vec<Device>>;

/// A run on its way.
pub(crate) struct Stage {
    pub(crate) run: Arc<Run>,
    pub(crate) plan: Plan,
    pub(crate) people: People,
}

/// Who sends, and where to.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    pub(crate) device: usize,
    pub(crate) rooms: Vec<Arc<Room>>,
}

impl Sender {
    /// One of its conversations.
    pub(crate) fn room(&self, rng: &mut SmallRng) -> Arc<Room> {
        Arc::clone(&self.rooms[rng.random_range(0..self.rooms.len())])
    }
}

impl Stage {
    /// What the future gives, unless somebody stops the run meanwhile.
    pub(crate) async fn unless_stopped<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            () = self.run.stop.cancelled() => Err(Stopped.into()),
        }
    }

    /// Makes people.
    pub(crate) async fn people(&self, count: usize) -> Result<Vec<Person>> {
        self.run.phase(format!("making {count} people"));
        let made = |done| *self.run.progress.lock() = Progress::Made(done, count);
        self.unless_stopped(self.people.make(count, made)).await
    }

    /// Makes groups of them.
    pub(crate) async fn groups(&self, groups: &[Vec<Person>]) -> Result<Vec<Arc<Room>>> {
        let count = groups.len();
        self.run.phase(format!("making {count} conversations"));
        let made = |done| *self.run.progress.lock() = Progress::Made(done, count);
        let made = self.unless_stopped(self.people.groups(groups, made)).await?;
        Ok(made.into_iter().map(|(id, head)| self.run.ledger.room(id, head)).collect())
    }

    /// Makes the direct conversations of pairs.
    pub(crate) async fn pairs(&self, pairs: &[[Person; 2]]) -> Result<Vec<Arc<Room>>> {
        let count = pairs.len();
        self.run.phase(format!("making {count} conversations"));
        let made = |done| *self.run.progress.lock() = Progress::Made(done, count);
        let made = self.unless_stopped(self.people.pairs(pairs, made)).await?;
        Ok(made.into_iter().map(|(id, head)| self.run.ledger.room(id, head)).collect())
    }

    /// Makes one conversation of them all.
    pub(crate) async fn one_room(&self, kind: ConversationKind, people: &[Person]) -> Result<Arc<Room>> {
        self.run.phase("making a conversation");
        let (id, head) = self.unless_stopped(self.people.group(0, kind, people)).await?;
        Ok(self.run.ledger.room(id, head))
    }

    /// Connects everybody at the pace of the ramp, and waits until all are live. `rooms(n)`: what the n-th takes part
    /// in.
    pub(crate) async fn connect(
        &self,
        people: &[Person],
        line: Line,
        rooms: impl Fn(usize) -> Vec<Arc<Room>>,
    ) -> Result<Crowd> {
        self.run.phase(format!("connecting {}", people.len()));
        *self.run.progress.lock() = Progress::Opening(people.len());
        self.run.connected.send_replace(1);
        let devices = self.unless_stopped(self.ramp(people, line, rooms)).await?;
        let (size, longest) = (self.run.size, self.run.longest.load(Relaxed));
        ensure!(size <= longest, "--size {size} is more than the server takes: {longest} characters");
        self.run.connected.send_replace(2);
        Ok(Arc::new(devices))
    }

    async fn ramp(
        &self,
        people: &[Person],
        line: Line,
        rooms: impl Fn(usize) -> Vec<Arc<Room>>,
    ) -> Result<Vec<Device>> {
        let opening = Arc::new(Semaphore::new(OPENING));
        let mut gap = interval(Duration::from_secs_f64(1.0 / self.plan.ramp).max(Duration::from_micros(1)));
        let mut devices = Vec::with_capacity(people.len());
        for (n, person) in people.iter().enumerate() {
            // Its turn by the ramp: that it waits until others are open shows in how long it took.
            let due = gap.tick().await.into_std();
            let permit = timeout(self.long(), Arc::clone(&opening).acquire_owned()).await;
            let permit = permit.map_err(|_| self.not_connected(&devices, people.len()))?;
            let receiver = Receiver::new(person.index);
            for room in rooms(n) {
                receiver.follow(&room);
            }
            let device = Device::start(&self.run, person.clone(), receiver, line, due);
            let settled = device.settled();
            devices.push(device);
            tokio::spawn(async move {
                settled.await;
                drop(permit);
            });
        }
        // Its own patience for what is still opening.
        let mut waiting: FuturesUnordered<_> = devices.iter().map(Device::settled).collect();
        let mut live = 0;
        while live < devices.len() {
            match timeout(self.long(), waiting.next()).await {
                Ok(Some(Phase::Live)) => live += 1,
                _ => return Err(self.not_connected(&devices, devices.len())),
            }
        }
        drop(waiting);
        Ok(devices)
    }

    /// Twice what a connection may take: a first attempt may fail.
    fn long(&self) -> Duration {
        self.plan.patience * 2
    }

    fn not_connected(&self, devices: &[Device], all: usize) -> anyhow::Error {
        let live = devices.iter().filter(|device| device.is_live()).count();
        let why = self.run.last_error.lock().clone();
        let why = if why.is_empty() { "the server does not answer `hello`".to_owned() } else { why };
        anyhow!("{live} of {all} connections came about: {why}")
    }

    /// Waits so long, or until somebody stops the run.
    pub(crate) async fn wait(&self, time: Duration) {
        tokio::select! {
            () = sleep(time) => {}
            () = self.run.stop.cancelled() => {}
        }
    }

    /// Lets these send, in the plan's pace and for its time.
    pub(crate) async fn send(&self, crowd: &Crowd, senders: Vec<Sender>) -> Result<()> {
        if senders.is_empty() {
            bail!("nobody sends");
        }
        let end = Instant::now() + self.plan.time;
        self.run.load_begins("sending");
        match self.plan.pace {
            Pace::Open { rate } => {
                pace::open(&self.run, rate, end, pace::chance(self.plan.seed), |intended, rng| {
                    let sender = &senders[rng.random_range(0..senders.len())];
                    crowd[sender.device].send(sender.room(rng), intended, None);
                })
                .await;
                self.wait(end.saturating_duration_since(Instant::now())).await;
            }
            Pace::Closed { in_flight } => {
                let mut loops = JoinSet::new();
                for sender in senders {
                    let (run, crowd) = (Arc::clone(&self.run), Arc::clone(crowd));
                    let mut rng = pace::chance(self.plan.seed ^ ((sender.device as u64) << 20));
                    loops.spawn(async move {
                        pace::closed(&run, in_flight, end, |intended, permit| {
                            crowd[sender.device].send(sender.room(&mut rng), intended, Some(permit))
                        })
                        .await;
                    });
                }
                while loops.join_next().await.is_some() {}
            }
        }
        self.run.load_ends();
        Ok(())
    }

    /// Waits until all is answered and delivered, for the plan's patience at most.
    pub(crate) async fn settle(&self, crowd: &[Device]) {
        self.run.phase("waiting for the last deliveries");
        let start = Instant::now();
        let mut pause = Duration::from_millis(20);
        while start.elapsed() < self.plan.settle {
            let answered = self.run.under_way.load(Relaxed) <= 0 && !crowd.iter().any(Device::is_away);
            if answered && self.all_came().await {
                // What comes now is a fault, and would be missed by one that leaves at once.
                sleep(Duration::from_millis(300)).await;
                return;
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    /// Whether nothing is missing. It takes long for millions of deliveries, while the last ones are being timed:
    /// beside.
    async fn all_came(&self) -> bool {
        let run = Arc::clone(&self.run);
        tokio::task::spawn_blocking(move || run.ledger.verdict().faults.lost == 0).await.unwrap_or_default()
    }
}
