//! Runs the binary with an environment of its own; every wait has a deadline.

use std::{path::Path, time::Duration};

use starling_tests::process::{Launch, Process, eventually, temp_dir};
use tempfile::TempDir;

/// For anything that a person would call "at once", on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// How a subcommand ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The binary, with nothing of our own environment that configures it, and `home` as its home.
fn starling(args: &[&str], env: &[(&str, &str)], home: &Path) -> Launch {
    let ours = |name: &str| !name.starts_with("STARLING_") && !name.starts_with("XDG_") && !name.ends_with("_URL");
    let launch = Launch::new(env!("CARGO_BIN_EXE_starling")).keep_env(ours).args(args).env("HOME", home).dir(home);
    env.iter().fold(launch, |launch, (name, value)| launch.env(name, value))
}

/// Runs a subcommand to its end.
pub(crate) async fn run(args: &[&str], env: &[(&str, &str)]) -> Ended {
    let dir = temp_dir("home").unwrap();
    run_in(dir.path(), args, env).await
}

/// The same in this home.
pub(crate) async fn run_in(home: &Path, args: &[&str], env: &[(&str, &str)]) -> Ended {
    let logs = temp_dir("logs").unwrap();
    let mut process = starling(args, env, home).start("run", logs.path()).unwrap();
    let status = process.wait(SOON).await.unwrap();
    Ended { code: status.code(), stdout: process.output(), stderr: process.log() }
}

/// What an operator sees of a configuration that cannot work: exit code 2 and one line on stderr.
pub(crate) async fn refused(args: &[&str], env: &[(&str, &str)]) -> String {
    let ended = run(args, env).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(ended.stdout, "", "{ended:?}");
    let line = ended.stderr.strip_prefix("starling: ").unwrap_or_else(|| panic!("{ended:?}"));
    let line = line.strip_suffix('\n').unwrap_or_else(|| panic!("{ended:?}"));
    assert!(!line.contains('\n') && line.contains("; "), "{ended:?}");
    line.to_owned()
}

/// A server that listens.
pub(crate) struct Server {
    pub(crate) process: Process,
    pub(crate) url: String,
    pub(crate) admin: Option<String>,
    pub(crate) home: TempDir,
    _logs: TempDir,
}

impl Server {
    /// Starts it in a home of its own, on a free port; `admin` says whether an admin line is waited for.
    pub(crate) async fn start(args: &[&str], env: &[(&str, &str)], admin: bool) -> Self {
        let (home, logs) = (temp_dir("home").unwrap(), temp_dir("logs").unwrap());
        let launch = starling(args, env, home.path()).env("STARLING_LISTEN", "127.0.0.1:0");
        let launch = if admin { launch.env("STARLING_ADMIN_LISTEN", "127.0.0.1:0") } else { launch };
        let mut process = launch.start("server", logs.path()).unwrap();
        let lines = 1 + usize::from(admin);
        let output = eventually("it listens", SOON, async || {
            process.check_running()?;
            let output = process.output();
            anyhow::ensure!(output.matches('\n').count() >= lines, "stdout so far: {output:?}");
            anyhow::Ok(output)
        })
        .await;
        let mut said = output.lines();
        let url = said.next().unwrap().strip_prefix("listening on ").expect("the first line").to_owned();
        let admin = said.next().map(|line| line.strip_prefix("admin on ").expect("the second line").to_owned());
        Self { process, url, admin, home, _logs: logs }
    }

    /// GET of a public path.
    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        client().get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// Status and body of an admin path.
    pub(crate) async fn admin_get(&self, path: &str) -> (u16, String) {
        let admin = self.admin.as_deref().expect("no admin listener");
        let answer = client().get(format!("{admin}{path}")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// `/readyz`
    pub(crate) async fn readyz(&self) -> (u16, serde_json::Value) {
        let (status, body) = self.admin_get("/readyz").await;
        (status, serde_json::from_str(&body).unwrap())
    }

    /// Waits until `/readyz` has this status and this word.
    pub(crate) async fn becomes(&self, status: u16, word: &str) {
        eventually(&format!("/readyz says {word}"), SOON, async || {
            let (found, body) = self.readyz().await;
            anyhow::ensure!(found == status && body["status"] == word, "{found} {body}");
            anyhow::Ok(())
        })
        .await;
    }

    /// SIGTERM; it must end with 0.
    pub(crate) async fn ends_well(mut self) -> String {
        self.process.signal(nix::sys::signal::Signal::SIGTERM).unwrap();
        let status = self.process.wait(SOON).await.unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.process.log());
        self.process.log()
    }
}

/// Calls without a proxy, in time.
pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().timeout(SOON).no_proxy().build().unwrap()
}
