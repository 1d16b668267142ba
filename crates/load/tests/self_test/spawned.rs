//! Nodes of its own: the "node" is a script that says where the fake server listens, and can be killed as any other.

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use load::{Counts, Report};

use crate::fake::{self, SECRET};

/// Plays with a node that does this first; exit code, report and what was said.
async fn played(first: &str, args: &str) -> (i32, Report, String) {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let (url, _) = fake::start(Vec::new()).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-load"));
    command.args("room --members 3 --senders 1 --spawn 1 --quiet".split(' ')).args(args.split(' '));
    command.args(["--secret", SECRET, "--json"]).arg(&json);
    command.env("STARLING_BIN", script(folder.path(), first, &url)).env_remove("DATABASE_URL").env_remove("REDIS_URL");
    // A proxy of the environment is not for nodes on this machine.
    command.env("http_proxy", "http://127.0.0.1:9").env("HTTP_PROXY", "http://127.0.0.1:9");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let report = std::fs::read(&json).unwrap_or_else(|_| panic!("no report: {said}"));
    (output.status.code().unwrap(), serde_json::from_slice(&report).unwrap(), said)
}

fn script(folder: &Path, first: &str, url: &str) -> std::path::PathBuf {
    let file = folder.join("starling");
    let text = format!("#!/bin/sh\n{first}\necho 'listening on {url}'\necho 'admin on {url}'\nexec sleep 600\n");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_started_disturbed_and_in_the_report() {
    let args = "--rate 50 --seconds 10 --chaos every=0.5s,kinds=restart+drain";
    let (code, report, said) = played("", args).await;
    assert_eq!((code, report.verdict.faults), (0, Counts::default()), "{said}");
    let events: Vec<_> = report.verdict.by_event.iter().map(|part| part.event.as_str()).collect();
    assert_eq!(events[..3], ["undisturbed", "restart server", "drain server"], "{said}");
    assert!(report.marks.iter().any(|mark| mark.what == "server is back"), "{said}");
    assert_eq!(report.processes[0].name, "server", "{said}");
    assert!(report.processes[0].most_rss_bytes > 0, "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_away_when_the_load_ends_comes_back_before_the_report() {
    // Killed after a second, and away for two.
    let (code, report, said) = played("", "--rate 10 --seconds 2 --chaos every=1s,kinds=kill").await;
    assert_eq!((code, report.verdict.faults), (0, Counts::default()), "{said}");
    assert!(report.marks.iter().any(|mark| mark.what == "server is back"), "{said}");
    assert!(report.processes[0].pss_bytes.contains_key("end"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_does_not_come_back_costs_no_report() {
    // It is waited for half a minute.
    let args = "--rate 10 --seconds 38 --chaos every=0.5s,kinds=restart";
    let (code, report, said) = played("[ -e was-here ] && exit 1; touch was-here", args).await;
    assert_eq!((code, report.verdict.faults), (2, Counts::default()), "{said}");
    assert!(said.contains("BROKEN OFF: server does not come back after restart"), "{said}");
    assert!(report.broken.len() == 1 && report.verdict.acknowledged > 100, "{said}");
}
