//! The self-test: a server that loses, doubles, reorders, misroutes, swaps and changes deliveries on purpose, and a
//! load tester that must find exactly as many of each.

use std::{path::Path, process::Command};

use crate::fake::{self, SECRET, Wrong};
use load::{Counts, Report};

/// Runs the program; its exit code and its report, and what it said.
pub(crate) async fn run(url: &str, args: &str, folder: &Path) -> (i32, Report, String) {
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
async fn what_only_the_whole_order_tells_is_found() {
    let one = "room --members 5 --senders 1 --seconds 2 --rate 100";
    for (args, wrong, times, wanted) in [
        // Nobody contradicts anybody: only the acknowledgement tells that it is another message.
        (ROOM, Wrong::DivergeAll, 2, Counts { diverged: 10, ..Counts::default() }),
        // One place for two messages: the second is delivered to nobody.
        (one, Wrong::SamePlace, 2, Counts { diverged: 2, lost: 10, ..Counts::default() }),
        // Never acknowledged, and delivered to all but one.
        (one, Wrong::Silent, 2, Counts { lost: 2, ..Counts::default() }),
        // Into another conversation of the receiver, at the place of what comes there next.
        (
            "rooms --rooms 6 --members 4 --users 12 --seconds 2 --rate 200",
            Wrong::MisrouteHome,
            3,
            Counts { misrouted: 3, ..Counts::default() },
        ),
        // A frame that names another place than the message in it is right at neither.
        (one, Wrong::Contradict, 2, Counts { misrouted: 2, lost: 2, ..Counts::default() }),
        // What a connection lost is not in what comes when it resumes.
        (one, Wrong::BreakUnstored, 1, Counts { lost: 1, ..Counts::default() }),
    ] {
        let (code, report, said) = faults_of(args, vec![wrong; times]).await;
        assert_eq!((code, report.verdict.faults), (1, wanted), "{wrong:?}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_scenario_finds_what_is_lost_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let mix = folder.path().join("mix.toml");
    let calm = "conversations = 2\nmembers = 5\nactions_per_user_per_second = 1\n[ratios]\nsend = 5\ntyping = 1\n";
    std::fs::write(&mix, calm).unwrap();
    let mixed = format!("mixed --users 10 --seconds 2 --rate 100 --mix {}", mix.display());
    for (args, wrong) in [
        ("pairs --pairs 5 --seconds 2 --rate 100", Wrong::Lose),
        ("joins --members 4 --joiners 10 --within 300 --seconds 2 --rate 100", Wrong::Lose),
        (mixed.as_str(), Wrong::Lose),
        ("storm --sockets 20 --waves 1 --within 100 --seconds 2 --rate 60", Wrong::BreakUnstored),
        ("rest --users 6 --members 3 --seconds 1 --rate 200", Wrong::Unstored),
    ] {
        let (code, report, said) = faults_of(args, vec![wrong; 2]).await;
        let wanted = Counts { lost: 2, ..Counts::default() };
        assert_eq!((code, report.verdict.faults), (1, wanted), "{args}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_forgets_a_conversation_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let (url, world) = fake::start(Vec::new()).await;
    world.lock().forget = true;
    let (code, report, said) = run(&url, ROOM, folder.path()).await;
    assert_eq!((code, report.verdict.faults.lost), (1, report.verdict.acknowledged), "{said}");
    assert_eq!(report.errors["hello: a conversation without a head"], 1, "{said}");
    let (url, world) = fake::start(Vec::new()).await;
    world.lock().forget_joins = true;
    let joins = "joins --members 4 --joiners 3 --within 100 --seconds 4 --rate 50 --patience 2";
    let (code, report, said) = run(&url, joins, folder.path()).await;
    assert!(code == 1 && report.verdict.faults.lost > 100, "{said}");
    assert_eq!(report.errors["join: the socket was never told"], 3, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_nobody_could_say_are_counted_and_end_no_closed_loop_in_a_race() {
    let open = "room --members 3 --senders 3 --seconds 2 --rate 150";
    let (code, report, said) = faults_of(open, vec![Wrong::SendAway]).await;
    let verdict = &report.verdict;
    assert_eq!(code, 1, "{said}");
    assert!(verdict.unsent > 20 && verdict.faults.lost > 20 && said.contains("NEVER SENT"), "{said}");
    assert!(verdict.sent > 200 && verdict.unknown < verdict.unsent, "{said}");
    let closed = "room --members 3 --senders 3 --seconds 2 --in-flight 1";
    let (code, report, said) = faults_of(closed, vec![Wrong::SendAway]).await;
    assert!(code == 1 && report.verdict.unsent <= 2, "{said}");
    assert!(report.verdict.sent <= report.verdict.acknowledged + 3, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_acknowledged_nothing_is_proved() {
    let folder = tempfile::tempdir().unwrap();
    let (url, world) = fake::start(Vec::new()).await;
    world.lock().refuse = true;
    for args in [ROOM, "rest --users 6 --members 3 --seconds 1", "events --streams 4 --members 4 --seconds 1 --rate 50"]
    {
        let (code, report, said) = run(&url, args, folder.path()).await;
        assert!(code == 2 && said.contains("nothing was proved"), "{args}: {said}");
        assert!(!said.contains("every delivery was right"), "{args}: {said}");
        assert!(report.verdict.sent > 0 && report.verdict.acknowledged == 0, "{args}: {said}");
        // A refusal is no answer.
        let read = ["list", "history", "unread"].map(|kind| report.latency.get(kind).map_or(0, |of| of.count));
        assert_eq!(report.calls, read.iter().sum::<u64>(), "{args}: {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_for_now_is_said_again_unless_it_is_to_be_given_up() {
    for (args, code) in [
        (ROOM, "overloaded"),
        ("events --streams 5 --members 5 --seconds 2 --rate 200", "overloaded"),
        ("rest --users 5 --members 3 --seconds 2 --rate 200", "send: overloaded"),
    ] {
        for given_up in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let (url, world) = fake::start(Vec::new()).await;
            world.lock().tires = 4;
            let args = format!("{args}{}", if given_up { " --no-retry" } else { "" });
            let (exit, report, said) = run(&url, &args, folder.path()).await;
            let (verdict, refused) = (&report.verdict, report.errors.get(code).copied().unwrap_or_default());
            assert_eq!((exit, verdict.faults), (0, Counts::default()), "{args}: {said}");
            assert!(refused > 5, "{args}: {said}");
            let missing = if given_up { refused } else { 0 };
            assert_eq!((verdict.sent - verdict.acknowledged, verdict.unknown), (missing, missing), "{args}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_name_again_is_another_proof() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _) = fake::start(Vec::new()).await;
    for _ in 0..2 {
        let (code, report, said) = run(&url, &format!("{ROOM} --run again"), folder.path()).await;
        assert_eq!((code, report.verdict.faults), (0, Counts::default()), "{said}");
        assert_eq!(report.verdict.delivered, 5 * report.verdict.sent, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_of_the_load_and_not_of_what_came_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (url, world) = fake::start(Vec::new()).await;
    world.lock().slow = std::time::Duration::from_millis(30);
    let (code, report, said) = run(&url, "room --members 2 --senders 1 --seconds 1 --rate 60", folder.path()).await;
    assert_eq!((code, report.verdict.faults), (0, Counts::default()), "{said}");
    assert!(report.verdict.acknowledged > 30, "{said}");
    // 33 a second are all that it can.
    let rate = report.figures.messages_per_second.unwrap();
    assert!(rate < 40.0 && report.during_load.acknowledged < report.verdict.acknowledged, "{rate}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_in_vain_are_a_part_of_how_long_a_connection_takes() {
    let folder = tempfile::tempdir().unwrap();
    let (url, world) = fake::start(Vec::new()).await;
    world.lock().close_first = 9;
    let (code, report, said) = run(&url, "idle --sockets 3 --conversations 1 --seconds 1", folder.path()).await;
    assert!(code == 0 && report.closes[&4000] == 9, "{said}");
    // Three times backing off, longer each time, for the one or the other of them.
    assert!(report.latency["connect"].max > 200.0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_back_costs_no_report() {
    let folder = tempfile::tempdir().unwrap();
    let (url, world) = fake::start(Vec::new()).await;
    world.lock().unreadable = true;
    let (code, report, said) = run(&url, "rest --users 6 --members 3 --seconds 1", folder.path()).await;
    assert_eq!((code, report.verdict.faults), (2, Counts::default()), "{said}");
    assert!(said.contains("BROKEN OFF: reading back") && report.broken.len() == 1, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_and_metrics_that_are_named_are_in_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let (url, _) = fake::start(Vec::new()).await;
    let args = format!("idle --sockets 20 --seconds 3 --pid {} --metrics {url}", std::process::id());
    let (code, report, said) = run(&url, &args, folder.path()).await;
    assert!(code == 0 && report.processes[0].most_rss_bytes > 0, "{said}");
    assert!(report.metrics["starling_messages_total"].contains(&Some(7.0)), "{said}");
    assert!(report.figures.cpu_micros_per_socket_second.is_some(), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_with_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let (url, world) = fake::start(Vec::new()).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-load"));
    command.args("room --members 3 --senders 1 --seconds 600 --rate 50 --quiet".split(' '));
    command.args(["--api", &url, "--secret", SECRET, "--json"]).arg(&json);
    let mut child = command.stdout(std::process::Stdio::null()).spawn().unwrap();
    let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while world.lock().messages < 20 {
        assert!(std::time::Instant::now() < deadline, "it sends nothing");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id() as i32), nix::sys::signal::Signal::SIGINT).unwrap();
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    let report: Report = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert!(status.code() == Some(0) && report.stopped_early && report.verdict.acknowledged >= 20);
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
async fn a_page_that_is_refused_is_asked_for_again() {
    for args in [ROOM, "events --streams 5 --members 5 --seconds 2 --rate 100"] {
        let (code, report, said) = faults_of(args, vec![Wrong::Resync; 2]).await;
        assert_eq!((code, report.verdict.faults), (0, Counts::default()), "{args}: {said}");
        assert_eq!(report.errors["resync: behind"], 2, "{args}: {said}");
        assert!(args != ROOM || report.errors["overloaded"] == 2, "{args}: {said}");
    }
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
