//! A protection whose removal goes unnoticed would be a hole in the harness: each is turned off in every node, faults
//! that it protects against strike, and the auditor must name what follows.

use std::time::Duration;

use starling_tests::{
    audit::{Kind, summary},
    chaos::{Fault, Plan, Report},
};

use super::ran;

/// Seeds that are tried.
const SEEDS: u64 = 4;

/// Without the protection one of these seeds must lead to one of these kinds.
async fn noticed(protection: &'static str, kinds: &[Kind], change: impl Fn(&mut Plan)) {
    noticed_as(protection, |report| kinds.iter().any(|kind| report.has(*kind)), kinds, change).await;
}

/// The same to all of them.
async fn noticed_in_each_way(protection: &'static str, kinds: &[Kind], change: impl Fn(&mut Plan)) {
    noticed_as(protection, |report| kinds.iter().all(|kind| report.has(*kind)), kinds, change).await;
}

async fn noticed_as(
    protection: &'static str,
    is_noticed: impl Fn(&Report) -> bool,
    kinds: &[Kind],
    change: impl Fn(&mut Plan),
) {
    let mut seen = Vec::new();
    for seed in 1..=SEEDS {
        let mut plan = Plan::new(seed, Duration::from_secs(12));
        (plan.people, plan.devices, plan.streams, plan.pace) = (6, 12, 2, 40.0);
        (plan.calm, plan.settle) = (Duration::from_millis(300), Duration::from_secs(8));
        plan.presence = Duration::from_secs(15);
        plan.weaken = Some(protection);
        plan.keep = plan.keep.with_file_name(format!("without-{protection}-{seed}"));
        change(&mut plan);
        let report = ran(&plan).await;
        if is_noticed(&report) {
            println!("without {protection}, seed {seed}: {}", summary(&report.violations));
            return;
        }
        seen.push(format!("seed {seed}: {}", summary(&report.violations)));
    }
    panic!("nobody noticed that {protection} is off: none of {kinds:?}\n{}", seen.join("\n"));
}

#[tokio::test]
async fn without_gap_filling_events_are_missing_or_out_of_order() {
    noticed("gap_fill", &[Kind::Gap, Kind::Reordered], |plan| {
        plan.faults = vec![Fault::DropPublishes, Fault::ReorderPublishes];
    })
    .await;
}

#[tokio::test]
async fn without_the_sweep_a_lost_last_event_is_never_found() {
    noticed("head_sweep", &[Kind::Stale, Kind::FeedNotWhole], |plan| {
        plan.faults = vec![Fault::DropPublishes];
        // Whatever is said later shows the hole: so the loss comes last, and little is said.
        (plan.pace, plan.calm) = (10.0, Duration::from_millis(20));
    })
    .await;
}

#[tokio::test]
async fn without_deduplication_events_come_twice() {
    noticed("dedupe", &[Kind::Doubled], |plan| plan.faults = vec![Fault::DuplicatePublishes]).await;
}

#[tokio::test]
async fn without_idempotency_a_retry_is_another_message() {
    noticed("idempotency", &[Kind::Doubled], |plan| {
        plan.faults = vec![Fault::LoseCommitsAndPostgres];
    })
    .await;
}

#[tokio::test]
async fn without_subscribing_first_a_connection_begins_with_a_hole() {
    noticed("subscribe_first", &[Kind::Gap, Kind::Missing, Kind::Stale, Kind::FeedNotWhole], |plan| {
        plan.faults = vec![Fault::KillGateway, Fault::DelayRedis];
        plan.pace = 80.0;
    })
    .await;
}

#[tokio::test]
async fn without_the_check_of_membership_the_removed_go_on_hearing() {
    noticed("membership", &[Kind::Leaked], |plan| plan.faults = Vec::new()).await;
}

#[tokio::test]
async fn without_an_end_of_leases_the_dead_stay_online() {
    // By who asks the api, and by who watches.
    let kinds = [Kind::GhostPresence, Kind::WrongWatch];
    noticed_in_each_way("lease_end", &kinds, |plan| plan.faults = vec![Fault::KillGateway]).await;
}
