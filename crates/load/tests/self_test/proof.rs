//! The self-test: a server that loses, doubles, reorders, misroutes, swaps and changes deliveries on purpose, and a load
//! tester that must find exactly as many of each.

use std::{path::Path, process::Command};

use crate::fake::{self, SECRET, Wrong};
use load::{Counts, Report};

/// Runs the program; its exit code and its report.
async fn run(url: &str, args: &str, folder: &Path) -> (i32, Report, String) {
    let json = folder.join("report.json");
    let html = folder.join("report.html");
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-load"));
    command.args(args.split_whitespace()).args(["--api", url, "--secret", SECRET, "--quiet", "--settle", "3"]);
    command.arg("--json").arg(&json).arg("--html").arg(&html);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let report = std::fs::read(&json).unwrap_or_else(|_| panic!("no report: {said}"));
    assert!(std::fs::read_to_string(html).unwrap().contains("</html>"));
    (output.status.code().unwrap(), serde_json::from_slice(&report).unwrap(), said)
}

async fn faults_of(args: &str, to_do: Vec<Wrong>) -> (i32, Report, String) {
    let folder = tempfile::tempdir().unwrap();
    let count = to_do.len();
    let (url, world) = fake::start(to_do).await;
    let found = run(&url, args, folder.path()).await;
    assert_eq!(world.lock().done, count, "the run was too short for all of it: {}", found.2);
    found
}

const ROOM: &str = "room --members 5 --senders 3 --seconds 2 --rate 200";

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_nothing_wrong_is_clean_in_every_scenario() {
    for args in [
        ROOM,
        "room --members 4 --senders 4 --seconds 1 --in-flight 3",
        "pairs --pairs 5 --seconds 1",
        "rooms --rooms 6 --members 4 --users 12 --seconds 1",
        "storm --sockets 20 --waves 2 --within 200 --seconds 2 --rate 100",
        "joins --members 4 --joiners 10 --within 300 --seconds 2 --rate 100",
        "mixed --users 20 --seconds 2 --rate 200",
        "rest --users 6 --members 3 --seconds 1",
        "events --streams 8 --members 4 --seconds 1 --rate 100",
    ] {
        let (code, report, said) = faults_of(args, Vec::new()).await;
        assert_eq!((code, report.verdict.faults), (0, Counts::default()), "{args}: {said}");
        assert!(report.verdict.sent > 0 && report.verdict.unknown == 0, "{args}: {said}");
        assert!(report.verdict.delivered >= report.verdict.expected && report.verdict.expected > 0, "{args}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_found_exactly_as_often_as_it_was_done() {
    for (wrong, times, wanted) in [
        (Wrong::Lose, 3, Counts { lost: 3, ..Counts::default() }),
        (Wrong::Double, 4, Counts { doubled: 4, ..Counts::default() }),
        (Wrong::Reorder, 2, Counts { reordered: 2, ..Counts::default() }),
        (Wrong::Misroute, 5, Counts { misrouted: 5, ..Counts::default() }),
        (Wrong::Diverge, 3, Counts { diverged: 3, ..Counts::default() }),
        (Wrong::Corrupt, 2, Counts { corrupt: 2, ..Counts::default() }),
    ] {
        let (code, report, said) = faults_of(ROOM, vec![wrong; times]).await;
        assert_eq!((code, report.verdict.faults), (1, wanted), "{wrong:?}: {said}");
        assert!(!report.verdict.told.is_empty() && said.contains("DELIVERIES WERE WRONG"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_kinds_at_once_are_told_apart() {
    use Wrong::{Corrupt, Diverge, Double, Lose, Misroute, Reorder};
    let all = vec![Lose, Double, Reorder, Misroute, Diverge, Corrupt, Lose, Double];
    let (code, report, said) = faults_of(ROOM, all).await;
    let wanted = Counts { lost: 2, doubled: 2, reordered: 1, misrouted: 1, diverged: 1, corrupt: 1 };
    assert_eq!((code, report.verdict.faults), (1, wanted), "{said}");
    assert_eq!(report.verdict.faults.total(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_broken_connections_are_no_faults() {
    let all = vec![Wrong::LoseAnswer, Wrong::Break, Wrong::LoseAnswer, Wrong::Break];
    let (code, report, said) = faults_of(ROOM, all).await;
    assert_eq!((code, report.verdict.faults), (0, Counts::default()), "{said}");
    assert_eq!(report.verdict.unknown, 0, "{said}");
    // A person whose connection was broken may be hit again while they are away.
    let broken = report.closes.values().sum::<u64>();
    assert!(broken >= 2 && report.latency.contains_key("reconnect"), "{broken}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_events_is_proved_like_a_socket() {
    let args = "events --streams 5 --members 5 --seconds 2 --rate 100";
    let (code, report, said) = faults_of(args, vec![Wrong::Lose, Wrong::Double]).await;
    let wanted = Counts { lost: 1, doubled: 1, ..Counts::default() };
    assert_eq!((code, report.verdict.faults), (1, wanted), "{said}");
    // What comes again after a break is at or below the cursor, and no doubling.
    let (code, report, said) = faults_of(args, vec![Wrong::Break, Wrong::Break]).await;
    assert_eq!((code, report.verdict.faults), (0, Counts::default()), "{said}");
    assert!(report.verdict.repeated > 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_reports_are_put_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _) = fake::start(vec![Wrong::Lose]).await;
    let args = "room --members 3 --senders 1 --seconds 1 --rate 40";
    run(&url, args, folder.path()).await;
    let report = folder.path().join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-load"));
    command.arg("--compare").args([&report, &report]);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let line =
        |name: &str| said.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {said}"));
    assert!(line("deliveries/s").ends_with("1.00"), "{said}");
    assert!(line("lost").ends_with("FAULTS") && !line("doubled").contains("FAULTS"), "{said}");
}
