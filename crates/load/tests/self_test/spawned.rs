//! Nodes of its own: the "node" is a script that says where the fake server listens, and can be killed as any other.

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use load::{Counts, Report};

use crate::fake::{self, SECRET};

fn script(folder: &Path, url: &str) -> std::path::PathBuf {
    let file = folder.join("starling");
    let text = format!("#!/bin/sh\necho 'listening on {url}'\necho 'admin on {url}'\nexec sleep 600\n");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_started_disturbed_and_in_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let json = folder.path().join("report.json");
    let (url, _) = fake::start(Vec::new()).await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-load"));
    command.args("room --members 3 --senders 1 --rate 50 --seconds 4 --spawn 1 --quiet".split(' '));
    command.args(["--chaos", "every=0.5s,kinds=restart+drain", "--secret", SECRET, "--json"]).arg(&json);
    command.env("STARLING_BIN", script(folder.path(), &url)).env_remove("DATABASE_URL").env_remove("REDIS_URL");
    // A proxy of the environment is not for nodes on this machine.
    command.env("http_proxy", "http://127.0.0.1:9").env("HTTP_PROXY", "http://127.0.0.1:9");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report: Report = serde_json::from_slice(&std::fs::read(&json).unwrap()).unwrap();
    assert_eq!(report.verdict.faults, Counts::default(), "{said}");
    let events: Vec<_> = report.verdict.by_event.iter().map(|part| part.event.as_str()).collect();
    assert_eq!(events[..3], ["undisturbed", "restart server", "drain server"], "{said}");
    assert!(report.marks.iter().any(|mark| mark.what == "server is back"), "{said}");
    assert_eq!(report.processes[0].name, "server", "{said}");
    assert!(report.processes[0].most_rss_bytes > 0, "{said}");
}
