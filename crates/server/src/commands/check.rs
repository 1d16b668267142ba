//! `starling check`: tries each part and says how to mend what does not work. Writes no data.

use std::{fmt, path::Path, process::ExitCode, sync::Arc, time::Duration};

use bus::{Bus, BusStatus, Incoming, Topic, local::LocalBus};
use bytes::Bytes;
use chat::{Chat, Env};
use protocol::NodeId;
use tokio::time::timeout;

use crate::{
    Failure,
    commands::say,
    config::{Config, Mode},
    embedded,
    failure::chain,
    limits, parts,
};

/// How long a part may take to answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How long an event may take from one node to another.
const DELIVERY: Duration = Duration::from_secs(2);

/// What a browser would find out otherwise.
const NO_ORIGINS: &str =
    "no web page may open a socket here; set STARLING_PUBLIC_URL or STARLING_ALLOWED_ORIGINS if one should";

/// What was found out about the parts.
#[derive(Default)]
struct Findings {
    failed: bool,
}

impl Findings {
    fn ok(part: &str, text: impl fmt::Display) {
        say(format_args!("ok    {part}: {text}"));
    }

    fn warn(part: &str, text: impl fmt::Display) {
        say(format_args!("warn  {part}: {text}"));
    }

    fn fail(&mut self, part: &str, text: impl fmt::Display) {
        self.failed = true;
        say(format_args!("fail  {part}: {text}"));
    }
}

pub(super) async fn run(config: &Config) -> Result<ExitCode, Failure> {
    let mut findings = Findings::default();
    Findings::ok("configuration", format_args!("{} mode", config.mode.name()));
    match limits::raise_open_files() {
        Some(files) if files >= limits::FEW_FILES => Findings::ok("open files", format_args!("{files} allowed")),
        Some(files) => {
            Findings::warn(
                "open files",
                format_args!("only {files} allowed, each connection is one; raise `ulimit -n`"),
            );
        }
        None => Findings::warn("open files", "the limit cannot be read"),
    }
    match &config.mode {
        Mode::Embedded => embedded_parts(config, &mut findings).await,
        Mode::Cluster { redis_url, .. } => {
            store(config, &mut findings).await;
            redis(config, redis_url, &mut findings).await;
            keys(config, &mut findings).await;
            if !parts::any_page_may_connect(config) {
                Findings::warn("origins", NO_ORIGINS);
            }
        }
    }
    if let Some(url) = &config.settings.jwks_url {
        jwks(url, &mut findings).await;
    }
    Ok(if findings.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

async fn embedded_parts(config: &Config, findings: &mut Findings) {
    let dir = &config.settings.data_dir;
    if !dir.exists() {
        return Findings::ok("data folder", format_args!("{} will be made on the first start", dir.display()));
    }
    writable("data folder", dir, findings);
    let attachments = embedded::attachments(dir);
    if attachments.exists() {
        writable("attachments", &attachments, findings);
    }
    if dir.join("starling.db").exists() {
        store(config, findings).await;
    }
    let bus = LocalBus::start();
    event("event", &bus, &bus.node(), findings).await;
}

fn writable(part: &str, dir: &Path, findings: &mut Findings) {
    match tempfile::NamedTempFile::new_in(dir) {
        Ok(_) => Findings::ok(part, format_args!("{} can be written", dir.display())),
        Err(error) => findings.fail(
            part,
            format_args!(
                "{} cannot be written: {error}; give it to this user, or set STARLING_DATA_DIR",
                dir.display()
            ),
        ),
    }
}

async fn store(config: &Config, findings: &mut Findings) {
    let store = match parts::store(config).await {
        Ok(store) => store,
        Err(failure) if failure.to_string().contains("another process uses") => {
            return Findings::warn("store", "a server is running on the data folder; ask its /readyz");
        }
        Err(failure) => return findings.fail("store", failure),
    };
    match timeout(ANSWER, store.health()).await {
        Ok(Ok(health)) if health.migrated => {
            Findings::ok("store", format_args!("{}, the schema is up to date", health.version));
        }
        Ok(Ok(health)) if config.settings.migrate_on_start => {
            Findings::ok("store", format_args!("{}, will be migrated at the start", health.version));
        }
        Ok(Ok(health)) => findings.fail(
            "store",
            format_args!("{}, the schema is not this version's; run `starling migrate`", health.version),
        ),
        Ok(Err(error)) => {
            findings.fail("store", format_args!("{}; check DATABASE_URL and that Postgres runs", chain(&error)));
        }
        Err(_) => findings.fail("store", "no answer in time; check DATABASE_URL and that Postgres runs"),
    }
    let _ = timeout(ANSWER, store.close()).await;
}

async fn redis(config: &Config, url: &str, findings: &mut Findings) {
    let (publisher, reader) = match (parts::redis(url, &config.settings), parts::redis(url, &config.settings)) {
        (Ok(publisher), Ok(reader)) => (publisher, reader),
        (Err(failure), _) | (_, Err(failure)) => return findings.fail("bus", failure),
    };
    for bus in [&publisher, &reader] {
        let mut status = bus.status();
        // Whether it came up, the next question tells, with a reason.
        let _ = timeout(ANSWER, status.wait_for(|status| *status == BusStatus::Up)).await;
    }
    match publisher.describe().await {
        Ok(version) if is_old(&version) => {
            Findings::warn("bus", format_args!("{version}; 7.0 is the oldest supported"));
        }
        Ok(version) => Findings::ok("bus", version),
        Err(error) => {
            let mend = "check REDIS_URL and that Redis runs";
            return findings.fail("bus", format_args!("{}; {mend}", chain(&error)));
        }
    }
    event("event", &publisher, &reader, findings).await;
}

/// `redis 6.2.14`, `redis 6.2.14 (cluster, 3 masters)`
fn is_old(version: &str) -> bool {
    let number = version.split_whitespace().nth(1).unwrap_or_default();
    number.split('.').next().and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major < 7)
}

/// Sends an event from one node's end of the bus to another's.
async fn event(part: &str, publisher: &dyn Bus, reader: &dyn Bus, findings: &mut Findings) {
    let topic = Topic::Node(NodeId::generate());
    let payload = Bytes::from_static(b"starling check");
    let Some(mut incoming) = reader.incoming() else { return findings.fail(part, "the bus has another reader") };
    let round = async {
        reader.subscribe(&[topic]).await.map_err(|error| chain(&error))?;
        publisher.publish(&[(topic, payload.clone())]).await.map_err(|error| chain(&error))?;
        while let Some(heard) = incoming.recv().await {
            if heard == (Incoming::Event { topic, payload: payload.clone() }) {
                return Ok(());
            }
        }
        Err("the bus ended".to_owned())
    };
    match timeout(DELIVERY, round).await {
        Ok(Ok(())) => Findings::ok(part, "went from one connection to another"),
        Ok(Err(why)) => findings.fail(
            part,
            format_args!(
                "{why}; allow this user SUBSCRIBE and PUBLISH in Redis (in a cluster SSUBSCRIBE and SPUBLISH)"
            ),
        ),
        Err(_) => findings.fail(part, format_args!("did not arrive within {DELIVERY:?}; is it the same Redis?")),
    }
}

/// Reads the keys as a node would, over a store and a bus that are not used.
async fn keys(config: &Config, findings: &mut Findings) {
    let wired = async {
        let store = parts::store(config).await?;
        let bus = Arc::new(LocalBus::start());
        let registry = prometheus::Registry::new();
        let chat = Chat::new(store, bus, Env::system(), parts::chat(config)?, &registry);
        chat.map(drop).map_err(|what| parts::key_failure(config, &what))
    };
    match wired.await {
        Ok(()) => Findings::ok("sign-in keys", "can be read"),
        Err(failure) => findings.fail("sign-in keys", failure),
    }
}

async fn jwks(url: &reqwest::Url, findings: &mut Findings) {
    let fetched = async {
        let client = reqwest::Client::builder().timeout(ANSWER).build()?;
        client.get(url.clone()).send().await?.error_for_status()?.json::<serde_json::Value>().await
    };
    match fetched.await {
        Ok(set) if set.get("keys").is_some_and(serde_json::Value::is_array) => Findings::ok("key set", "was fetched"),
        Ok(_) => findings.fail("key set", "the answer is no key set; check STARLING_JWKS_URL"),
        Err(error) => {
            let why = chain(&error.without_url());
            findings.fail("key set", format_args!("cannot be fetched: {why}; check STARLING_JWKS_URL"));
        }
    }
}
