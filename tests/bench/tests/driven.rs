//! The limit server under its driver, in small: everybody gets everything, in one order.

#![allow(clippy::unwrap_used)]

use std::{path::Path, time::Duration};

use bench::limit::{Dialect, Idle, Load, Outcome, Pace, Started, cpu_seconds, hold, memory, run};

const TIME: Duration = Duration::from_millis(300);

fn started() -> Started {
    Started::start(Path::new(env!("CARGO_BIN_EXE_limit-server"))).unwrap()
}

async fn outcome(load: &Load) -> Outcome {
    let server = started();
    let outcome = run(server.address(), load, || cpu_seconds(server.id())).await.unwrap();
    assert!(outcome.faults.is_clean(), "{:?}", outcome.faults);
    assert_eq!(outcome.delivered, outcome.expected);
    assert_eq!(outcome.delivered, outcome.sent * load.members as u64);
    assert_eq!((outcome.deliveries.len(), outcome.own.len()), (outcome.delivered, outcome.sent));
    assert!(outcome.sampled >= 0.0 && outcome.seconds >= TIME.as_secs_f64());
    assert!(server.end().unwrap(), "SIGTERM ends it well");
    outcome
}

#[tokio::test]
async fn one_room_hears_all_its_senders() {
    let outcome = outcome(&Load::fan_out(40, TIME)).await;
    assert!(outcome.sent >= 16, "{} sent", outcome.sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pairs_talk_at_once() {
    let outcome = outcome(&Load::pairs(30, TIME)).await;
    assert!(outcome.sent >= 60, "{} sent", outcome.sent);
}

#[tokio::test]
async fn steady_arrivals_are_as_many_as_the_rate_says() {
    let outcome = outcome(&Load::steady(5, 500.0, TIME)).await;
    assert!((100..200).contains(&outcome.sent), "{} sent", outcome.sent);
}

#[tokio::test]
async fn long_texts_go_through_partial_reads_and_writes() {
    // All of them together are less than what one socket may have waiting: nobody is too slow, however late they read.
    let load = Load { pace: Pace::Open { rate: 30.0 }, size: 60_000, ..Load::fan_out(8, TIME) };
    let outcome = outcome(&load).await;
    assert!((4..15).contains(&outcome.sent), "{} sent", outcome.sent);
}

#[tokio::test]
async fn idle_sockets_are_held_and_weighed() {
    let server = started();
    let before = memory(server.id()).unwrap();
    let idle = Idle { sockets: 300, rooms: 5, patience: Duration::from_secs(20), dialect: Dialect::Plain };
    let held = hold(server.address(), &idle).await.unwrap();
    let after = memory(server.id()).unwrap();
    // Less than any of the peers, by far; the figure itself is the benchmark's.
    assert!(after.pss.saturating_sub(before.pss) / 300 < 8 << 10, "{before:?} {after:?}");
    held.close().await.unwrap();
}

#[tokio::test]
async fn a_load_that_cannot_be_is_refused() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    let load = Load::fan_out(10, TIME);
    for (load, why) in [
        (Load { size: 10, ..load }, "44 bytes"),
        (Load { rooms: 0, ..load }, "a room"),
        (Load { pace: Pace::Closed { senders: 11, in_flight: 1 }, ..load }, "senders"),
        (Load { pace: Pace::Closed { senders: 1, in_flight: 0 }, ..load }, "under way"),
        (Load { pace: Pace::Open { rate: 0.0 }, ..load }, "rate"),
        (load, "connecting to 127.0.0.1:1"),
    ] {
        let line = format!("{:#}", run(nowhere, &load, || Ok(0.0)).await.unwrap_err());
        assert!(line.contains(why), "{line}");
    }
}
