//! What cannot run ends with exit code 2 and one line that says what is wrong.

use std::process::Command;

use crate::fake::{self, SECRET};

async fn told(args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-load"));
    command.args(args).env_remove("STARLING_JWT_SECRET").env_remove("DATABASE_URL").env_remove("REDIS_URL");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let line = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {line}");
    assert!(line.starts_with("starling-load: ") && line.lines().count() == 1, "{args:?}: {line}");
    line
}

fn to<'a>(url: &'a str, secret: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["--quiet", "--api", url, "--secret", secret, "--seconds", "1"][..], rest].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_or_not_ours_is_told() {
    let nobody = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let line = told(&to(&nobody, SECRET, &["idle"])).await;
    assert!(line.contains("cannot connect to") && line.contains("refused"), "{line}");
    let line = told(&to("http://chat.example.com", SECRET, &["idle"])).await;
    assert!(line.contains("--i-own-this-server"), "{line}");
    let line = told(&to("nonsense", SECRET, &["idle"])).await;
    assert!(line.contains("`nonsense` is no URL"), "{line}");
    let line = told(&["--quiet", "idle"]).await;
    assert!(line.contains("no tokens"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_told() {
    let (url, _) = fake::start(Vec::new()).await;
    let line = told(&to(&url, "another secret of 32 bytes or more", &["idle"])).await;
    assert!(line.contains("does not take our tokens"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_or_closes_is_told() {
    let (url, world) = fake::start(Vec::new()).await;
    world.lock().mute = true;
    let line = told(&to(&url, SECRET, &["idle"])).await;
    assert!(line.contains("does not answer within"), "{line}");
    let (url, world) = fake::start(Vec::new()).await;
    world.lock().close_with = Some(4500);
    let line = told(&to(&url, SECRET, &["room", "--members", "3", "--senders", "1"])).await;
    assert!(line.contains("0 of 3 connections came about") && line.contains("4500"), "{line}");
    let (url, world) = fake::start(Vec::new()).await;
    world.lock().deaf = true;
    let line = told(&to(&url, SECRET, &["room", "--members", "3", "--senders", "1", "--patience", "1"])).await;
    assert!(line.contains("0 of 3 connections came about") && line.contains("does not answer `hello`"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_server_does_not_take_is_told_before_the_load() {
    let (url, world) = fake::start(Vec::new()).await;
    world.lock().content_chars = Some(200);
    let line = told(&to(&url, SECRET, &["room", "--members", "3", "--senders", "1", "--size", "500"])).await;
    assert!(line.contains("--size 500 is more than the server takes: 200"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_written_is_told_before_the_load() {
    let (url, world) = fake::start(Vec::new()).await;
    for option in ["--json", "--html"] {
        let line = told(&to(&url, SECRET, &["pairs", option, "/nowhere/report"])).await;
        assert!(line.contains("cannot write /nowhere/report"), "{line}");
    }
    assert_eq!(world.lock().messages, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_that_work_are_used_and_those_that_cannot_are_told() {
    let (url, _) = fake::start(Vec::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    let token = |name: &str| {
        let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
        let claims = serde_json::json!({"sub": name, "exp": 4_000_000_000_u64});
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap()
    };
    let args = ["--quiet", "--api", &url, "--seconds", "1", "room", "--members", "3", "--senders", "2", "--tokens"];
    let args = [&args[..], &[tokens.to_str().unwrap()]].concat();
    let write = |names: &[&str]| {
        let lines: Vec<_> = names.iter().map(|name| format!("{name} {}", token(name))).collect();
        std::fs::write(&tokens, lines.join("\n")).unwrap();
    };
    write(&["ada", "bea"]);
    assert!(told(&args).await.contains("3 users are needed"));
    write(&["ada", "bea", "ada"]);
    assert!(told(&args).await.contains("tokens 1 and 3 are of the same user"));
    write(&["ada", "bea", "cleo"]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_starling-load"));
    command.args(&args).env_remove("STARLING_JWT_SECRET");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("every delivery was right"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_are_not_there_or_hold_something_else_are_told() {
    let (url, _) = fake::start(Vec::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let mix = file("mix.toml", "conversations = 1\nmembers = 2\nactions_per_user_per_second = 1\n[ratios]\nsent = 1\n");
    let line = told(&to(&url, SECRET, &["mixed", "--mix", &mix])).await;
    assert!(line.contains("line 5") && line.contains("unknown field `sent`"), "{line}");
    let line = told(&to(&url, SECRET, &["idle", "--tokens", "/nowhere"])).await;
    assert!(line.contains("cannot read /nowhere"), "{line}");
    let tokens = file("tokens", "# none\n\nada not-a-token\n");
    let line = told(&to(&url, SECRET, &["idle", "--tokens", &tokens])).await;
    assert!(line.contains("token 1 is no JWT"), "{line}");
    let line = told(&["--chaos", "room"]).await;
    assert!(line.contains("--chaos took `room` for its SPEC"), "{line}");
    let other = file("other.json", "{}");
    let line = told(&["--compare", &other, &other]).await;
    assert!(line.contains("is no report"), "{line}");
    let line = told(&to(&url, SECRET, &["idle", "--sockets", "900000"])).await;
    assert!(line.contains("file descriptors are needed"), "{line}");
    let line = told(&to(&url, SECRET, &["idle", "--pid", "4294967294"])).await;
    assert!(line.contains("no such process"), "{line}");
}
