//! What benchmarks call: sockets that are held, and a room that is measured from inside.

use std::time::Duration;

use load::{Target, idle, pairs, room, steady, surge};

use crate::fake::{self, SECRET};

#[tokio::test(flavor = "multi_thread")]
async fn a_benchmark_holds_sockets_and_measures_a_room() {
    let (url, _) = fake::start(Vec::new()).await;
    let target = Target { api: url.clone(), gateways: vec![url], secret: SECRET.into() };
    let wanted = idle::Idle { run: "held".into(), sockets: 20, conversations: 2 };
    let open = idle::open(&target, &wanted).await.unwrap();
    assert_eq!(open.live(), 20);
    let (run, time) = ("measured".into(), Duration::from_millis(500));
    let wanted = room::Room { run, members: 6, senders: 2, in_flight: 2, size: 128, time };
    let mut samples = [1.0, 3.5].into_iter();
    let outcome =
        tokio::time::timeout(Duration::from_mins(1), room::run(&target, &wanted, move || samples.next().unwrap()));
    let outcome = outcome.await.unwrap().unwrap();
    assert!(outcome.acknowledged >= 10 && outcome.expected == 6 * outcome.acknowledged, "{outcome:?}");
    assert!(outcome.findings.is_clean() && outcome.refused == 0, "{outcome:?}");
    assert!((outcome.sampled - 2.5).abs() < 1e-9 && outcome.ack_ms[1] > 0.0, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_benchmark_measures_pairs_and_a_steady_rate() {
    let (url, _) = fake::start(Vec::new()).await;
    let target = Target { api: url.clone(), gateways: vec![url], secret: SECRET.into() };
    let time = Duration::from_millis(500);
    let wanted = pairs::Pairs { run: "pairs".into(), pairs: 5, in_flight: 1, size: 128, time };
    let outcome = tokio::time::timeout(Duration::from_mins(1), pairs::run(&target, &wanted, || 1.0));
    let outcome = outcome.await.unwrap().unwrap();
    assert!(outcome.acknowledged >= 10 && outcome.expected == 2 * outcome.acknowledged, "{outcome:?}");
    assert!(outcome.findings.is_clean() && outcome.refused == 0 && outcome.sampled == 0.0, "{outcome:?}");
    let wanted = steady::Steady { run: "steady".into(), rooms: 4, members: 5, rate: 200.0, size: 128, time };
    let outcome = tokio::time::timeout(Duration::from_mins(1), steady::run(&target, &wanted, || 1.0));
    let outcome = outcome.await.unwrap().unwrap();
    assert!((50..200).contains(&outcome.acknowledged), "{outcome:?}");
    assert!(outcome.expected == 5 * outcome.acknowledged && outcome.delivery_ms[1] > 0.0, "{outcome:?}");
    assert!(outcome.findings.is_clean() && outcome.refused == 0, "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_benchmark_tells_what_comes_of_too_much_from_what_is_before_and_after_it() {
    let (url, world) = fake::start(Vec::new()).await;
    let target = Target { api: url.clone(), gateways: vec![url], secret: SECRET.into() };
    let wanted = surge::Surge {
        run: "surge".into(),
        pairs: 5,
        carried: 100.0,
        too_much: 400.0,
        calm: Duration::from_secs(1),
        surge: Duration::from_secs(1),
        recovery: Duration::from_secs(1),
    };
    let (begins, ends) = (|| world.lock().tires = 3, || world.lock().tires = 0);
    let outcome = tokio::time::timeout(Duration::from_mins(1), surge::run(&target, &wanted, begins, ends));
    let outcome = outcome.await.unwrap().unwrap();
    let (before, during, after) = (&outcome.before, &outcome.during, &outcome.after);
    assert!(before.refused.is_empty() && before.acknowledged > 0, "{outcome:?}");
    assert!(during.refused["overloaded"] > 10 && during.acknowledged > 0, "{outcome:?}");
    assert!(after.refused.is_empty() && after.acknowledged > 0, "{outcome:?}");
    assert!(outcome.findings.is_clean() && after.ack_ms[1] > 0.0, "{outcome:?}");
}
