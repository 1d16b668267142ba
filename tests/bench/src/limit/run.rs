//! One run: sockets are opened, messages sent for a time, and the end waited for until all has come or patience is
//! over.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};
use hdrhistogram::Histogram;
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::time::{sleep_until, timeout};

use super::{
    Load, Pace,
    clock::Clock,
    dial, fds,
    ledger::{Faults, Ledger},
    meter::Meter,
    socket::{self, Running, Shared},
    text::SHORTEST,
};

/// The same arrivals in every run.
const SEED: u64 = 6;

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Messages.
    pub sent: u64,
    /// Deliveries, each counted once, and how many there should have been.
    pub delivered: u64,
    /// Messages times members.
    pub expected: u64,
    /// What was wrong.
    pub faults: Faults,
    /// From the first send to the last delivery.
    pub seconds: f64,
    /// From a message's intended time to each delivery, microseconds.
    pub deliveries: Histogram<u64>,
    /// From a message's intended time to its sender's own delivery, microseconds.
    pub own: Histogram<u64>,
    /// From a message's intended time to when the last of its room has it, microseconds.
    pub last: Histogram<u64>,
    /// What `sample` rose by in that time.
    pub sampled: f64,
}

/// Runs the load. `sample` (CPU seconds of the server, for instance) is called when all sockets are open and when all
/// has been delivered; the difference is reported.
pub async fn run(to: SocketAddr, load: &Load, mut sample: impl FnMut() -> Result<f64>) -> Result<Outcome> {
    check(load)?;
    fds::make_room(load.sockets())?;
    let shared = Arc::new(Shared {
        ledger: Ledger::new(load.rooms, load.first, load.members),
        clock: Clock::start(),
        deliveries: Meter::new(),
        own: Meter::new(),
        last: Meter::new(),
        size: load.size,
        answer_until: AtomicU64::new(0),
        patience: load.patience,
        dialect: load.dialect,
    });
    let open = |index: usize| {
        let (shared, room) = (Arc::clone(&shared), index / load.members);
        async move {
            let socket =
                dial::dial(to, index, &shared.ledger.name(room).to_string(), shared.dialect, shared.patience).await?;
            Ok::<_, anyhow::Error>((index, socket))
        }
    };
    let sockets: Vec<_> = stream::iter((0..load.sockets()).map(open)).buffered(dial::OPENING).try_collect().await?;
    let running: Vec<_> = sockets.into_iter().map(|(index, socket)| socket::start(&shared, socket, index)).collect();

    let (before, started) = (sample()?, Instant::now());
    let end = started + load.time;
    match load.pace {
        Pace::Closed { senders, in_flight } => {
            shared.answer_until.store(shared.clock.at(end), SeqCst);
            for index in (0..load.sockets()).filter(|index| index % load.members < senders) {
                for _ in 0..in_flight {
                    order(&shared, &running, load, index, shared.clock.now())?;
                }
            }
            sleep_until(end.into()).await;
        }
        Pace::Open { rate } => arrivals(&shared, &running, load, rate, end).await?,
    }
    // What is missing after that is lost: the verdict tells.
    let _ = timeout(load.patience, shared.ledger.settle()).await;
    let (seconds, sampled) = (started.elapsed().as_secs_f64(), sample()? - before);

    let mut members = Vec::with_capacity(running.len());
    let (orders, workers): (Vec<_>, Vec<_>) = running.into_iter().map(|one| (one.orders, one.member)).unzip();
    drop(orders);
    for worker in workers {
        members.push(worker.await.context("a socket's task ended early")?);
    }
    let ledger = &shared.ledger;
    Ok(Outcome {
        sent: ledger.sent(),
        delivered: ledger.delivered(),
        expected: ledger.expected(),
        faults: ledger.verdict(&members),
        seconds,
        deliveries: shared.deliveries.collect(),
        own: shared.own.collect(),
        last: shared.last.collect(),
        sampled,
    })
}

fn check(load: &Load) -> Result<()> {
    ensure!(load.rooms > 0 && load.members > 0, "there must be a room and a member");
    ensure!(load.size >= SHORTEST, "a text has {SHORTEST} bytes at least");
    match load.pace {
        Pace::Closed { senders, in_flight } => {
            ensure!((1..=load.members).contains(&senders), "senders must be 1 to the number of members");
            ensure!((1..=1_000).contains(&in_flight), "messages under way must be 1 to 1,000");
        }
        Pace::Open { rate } => ensure!(rate.is_finite() && rate > 0.0, "a rate must be above 0"),
    }
    Ok(())
}

/// One message of this socket, announced and told.
fn order(shared: &Shared, running: &[Running], load: &Load, index: usize, due: u64) -> Result<()> {
    shared.ledger.send(index / load.members);
    let told = running[index].orders.try_send(due);
    told.context("a socket cannot follow: the server closed it, or a thousand of its messages wait to be sent")
}

/// Messages of anybody, at the times of a Poisson process.
async fn arrivals(shared: &Shared, running: &[Running], load: &Load, rate: f64, end: Instant) -> Result<()> {
    let mut chance = SmallRng::seed_from_u64(SEED);
    let mut next = Instant::now();
    loop {
        // Exponential gaps: what comes from many people who know nothing of each other.
        let drawn: f64 = chance.random();
        next += Duration::from_secs_f64(-(1.0 - drawn).ln() / rate);
        if next >= end {
            sleep_until(end.into()).await;
            return Ok(());
        }
        // Timers ring to the millisecond: what is due by then goes out at once, with its own time.
        if next > Instant::now() {
            sleep_until(next.into()).await;
        }
        order(shared, running, load, chance.random_range(0..running.len()), shared.clock.at(next))?;
    }
}
