//! What to run, checked: anything that cannot work is told here, in one line, before the server hears of it.

pub(crate) mod chaos;
pub(crate) mod mix;

use std::{
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};

use self::{chaos::Chaos, mix::Mix};
use crate::{
    cli::{Options, Scenario},
    target::{Target, base_url, must_be_here, service_must_be_here},
};

/// Most conversations of one user: as many cursors as a resume carries.
const CURSORS: usize = 1_000;
/// Where REST is, unless it is said.
const API: &str = "http://127.0.0.1:8080";
/// Characters of a message, unless it is said.
const SIZE: u32 = 128;
/// What can be waited for, and what timers can tell apart.
const PER_SECOND: std::ops::RangeInclusive<f64> = 0.001..=1e6;
/// HS256 wants as many bytes.
const SECRET: usize = 32;

/// How fast messages are sent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Pace {
    /// Poisson arrivals, so many per second, whatever the server does.
    Open { rate: f64 },
    /// So many under way per sender.
    Closed { in_flight: u32 },
}

/// Where nodes come from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Spawn {
    pub(crate) gateways: u16,
    /// Postgres and Redis; none: one embedded server.
    pub(crate) cluster: Option<[String; 2]>,
    pub(crate) env: Vec<(String, String)>,
}

/// A run, before it begins.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Plan {
    pub(crate) scenario: Scenario,
    pub(crate) mix: Option<Mix>,
    pub(crate) pace: Pace,
    pub(crate) time: Duration,
    pub(crate) size: usize,
    /// Sockets per second.
    pub(crate) ramp: f64,
    pub(crate) seed: u64,
    pub(crate) settle: Duration,
    pub(crate) patience: Duration,
    /// What is refused for now is said again.
    pub(crate) retries: bool,
    pub(crate) run: String,
    pub(crate) api: String,
    pub(crate) gateways: Vec<String>,
    pub(crate) chaos: Option<Chaos>,
    #[serde(skip)]
    pub(crate) secret: Option<String>,
    #[serde(skip)]
    pub(crate) tokens: Option<PathBuf>,
    #[serde(skip)]
    pub(crate) spawn: Option<Spawn>,
    #[serde(skip)]
    pub(crate) metrics: Vec<String>,
    #[serde(skip)]
    pub(crate) pids: Vec<u32>,
}

impl Spawn {
    /// URLs of the services that its nodes use.
    fn services(&self) -> impl Iterator<Item = &String> {
        let named = self.env.iter().filter(|(name, _)| ["DATABASE_URL", "REDIS_URL"].contains(&name.as_str()));
        self.cluster.iter().flatten().chain(named.map(|(_, url)| url))
    }
}

impl Plan {
    /// Checks what was said.
    pub(crate) fn new(options: &Options, scenario: Scenario) -> Result<Self> {
        let spawn = spawn(options)?;
        let chaos = options.chaos.as_deref().map(Chaos::parse).transpose()?;
        ensure!(chaos.is_none() || spawn.is_some(), "--chaos needs --spawn: only nodes of its own are killed");
        refuse_idle_options(options, &scenario)?;
        let api = base_url(options.api.as_deref().unwrap_or(API))?;
        let gateways = options.gateways.iter().map(|url| base_url(url)).collect::<Result<Vec<_>>>()?;
        let gateways = if gateways.is_empty() { vec![api.clone()] } else { gateways };
        let metrics = options.metrics.iter().map(|url| base_url(url)).collect::<Result<Vec<_>>>()?;
        if !options.i_own_this_server {
            gateways.iter().chain([&api]).chain(&metrics).try_for_each(|url| must_be_here(url))?;
            // Nodes of its own load a database too.
            spawn.iter().flat_map(Spawn::services).try_for_each(|url| service_must_be_here(url))?;
        }
        let secret = options.secret.clone();
        ensure!(
            secret.is_some() || spawn.is_some() || options.tokens.is_some(),
            "no tokens: name the cluster's secret (--secret or STARLING_JWT_SECRET), a file (--tokens), or --spawn"
        );
        // Beside a file of tokens it is the secret of the nodes of its own, or nobody's.
        if let Some(secret) = secret.as_deref().filter(|_| spawn.is_some() || options.tokens.is_none()) {
            ensure!(secret.len() >= SECRET, "--secret is shorter than {SECRET} bytes: no Starling has such a secret");
        }
        let mix = match &scenario {
            Scenario::Mixed { mix, .. } => Some(Mix::load(mix.as_deref())?),
            _ => None,
        };
        if let Some(rate) = options.rate {
            ensure!(PER_SECOND.contains(&rate), "--rate {rate} is not from 0.001 to a million");
        }
        ensure!(PER_SECOND.contains(&options.ramp), "--ramp {} is not from 0.001 to a million", options.ramp);
        let pace = match (options.rate, &scenario) {
            (Some(rate), _) => Pace::Open { rate },
            // What flows beside the storm is not what is measured.
            (None, Scenario::Storm { .. } | Scenario::Joins { .. }) => Pace::Open { rate: 20.0 },
            (None, Scenario::Mixed { users, .. }) => {
                let each = mix.as_ref().map_or(0.0, |mix| mix.actions_per_user_per_second);
                Pace::Open { rate: each * *users as f64 }
            }
            (None, _) => Pace::Closed { in_flight: options.in_flight.unwrap_or(1) },
        };
        let run = options.run.clone().unwrap_or_else(own_name);
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        ensure!(
            !run.is_empty() && run.len() <= 24 && run.chars().all(plain),
            "--run `{run}` is not 1 to 24 letters, digits, - and _"
        );
        let plan = Self {
            scenario,
            mix,
            pace,
            time: Duration::from_secs(options.seconds),
            size: options.size.unwrap_or(SIZE) as usize,
            ramp: options.ramp,
            seed: options.seed,
            settle: Duration::from_secs(options.settle),
            patience: Duration::from_secs(options.patience),
            retries: !options.no_retry,
            run,
            api,
            gateways,
            chaos,
            secret,
            tokens: options.tokens.clone(),
            spawn,
            metrics,
            pids: options.pid.clone(),
        };
        plan.check_shape()?;
        Ok(plan)
    }

    /// What a benchmark wants: unchecked, against servers of its own.
    pub(crate) fn for_benchmark(target: &Target, run: &str, scenario: Scenario, pace: Pace) -> Self {
        Self {
            scenario,
            mix: None,
            pace,
            time: Duration::from_secs(10),
            size: 128,
            ramp: 5_000.0,
            seed: 1,
            settle: Duration::from_secs(30),
            patience: Duration::from_secs(20),
            retries: true,
            run: run.to_owned(),
            api: target.api.clone(),
            gateways: target.gateways.clone(),
            chaos: None,
            secret: None,
            tokens: None,
            spawn: None,
            metrics: Vec::new(),
            pids: Vec::new(),
        }
    }

    fn check_shape(&self) -> Result<()> {
        let some = |what: &str, count: usize| -> Result<()> {
            ensure!((1..=1_000_000).contains(&count), "--{what} {count} is not from 1 to 1,000,000");
            Ok(())
        };
        match self.scenario {
            Scenario::Idle { sockets, conversations } => {
                some("sockets", sockets)?;
                ensure!(conversations <= CURSORS, "--conversations {conversations} is more than {CURSORS}");
            }
            Scenario::Pairs { pairs } => some("pairs", pairs)?,
            Scenario::Room { members, senders } => {
                some("members", members)?;
                ensure!((1..=members).contains(&senders), "--senders {senders} is not from 1 to --members {members}");
            }
            Scenario::Rooms { rooms, members, users } => {
                some("rooms", rooms)?;
                some("members", members)?;
                let users = users.unwrap_or(rooms * members);
                ensure!(members <= users, "--members {members} is more than --users {users}");
                let each = (rooms * members).div_ceil(users);
                ensure!(each <= CURSORS, "each user would be in {each} rooms, and may be in {CURSORS}");
            }
            Scenario::Mixed { users, .. } => {
                some("users", users)?;
                let members = self.mix.as_ref().map_or(0, |mix| mix.members);
                ensure!(members <= users, "the mix has members = {members}, which is more than --users {users}");
            }
            Scenario::Storm { sockets, share, waves, .. } => {
                some("sockets", sockets)?;
                ensure!((0.0..=1.0).contains(&share) && share > 0.0, "--share {share} is not above 0 and at most 1");
                some("waves", waves as usize)?;
            }
            Scenario::Joins { joiners, members, .. } => {
                some("joiners", joiners)?;
                some("members", members)?;
            }
            Scenario::Rest { users, members } => {
                some("users", users)?;
                some("members", members)?;
            }
            Scenario::Events { streams, members } => {
                some("streams", streams)?;
                some("members", members)?;
            }
        }
        Ok(())
    }

    /// Users that it needs.
    pub(crate) fn people(&self) -> usize {
        match self.scenario {
            Scenario::Rest { users, .. } => users,
            _ => self.sockets(),
        }
    }

    /// Sockets (or streams) that it opens.
    pub(crate) fn sockets(&self) -> usize {
        match self.scenario {
            Scenario::Idle { sockets, .. } | Scenario::Storm { sockets, .. } => sockets,
            Scenario::Pairs { pairs } => 2 * pairs,
            Scenario::Room { members, .. } => members,
            Scenario::Rooms { rooms, members, users } => users.unwrap_or(rooms * members),
            Scenario::Mixed { users, .. } => users,
            Scenario::Joins { joiners, members, .. } => joiners + members,
            Scenario::Rest { .. } => 0,
            Scenario::Events { streams, .. } => streams,
        }
    }
}

/// An option that does nothing is a mistake, or will be believed to have done something.
fn refuse_idle_options(options: &Options, scenario: &Scenario) -> Result<()> {
    if options.spawn.is_some() {
        ensure!(options.api.is_none(), "--api does nothing with --spawn: its own nodes are loaded");
        ensure!(options.gateways.is_empty(), "--gateways does nothing with --spawn: its own nodes are loaded");
    }
    let name = scenario.name();
    if options.in_flight.is_some() {
        ensure!(options.rate.is_none(), "--in-flight does nothing with --rate: an open loop waits for nobody");
        let open = matches!(scenario, Scenario::Storm { .. } | Scenario::Joins { .. } | Scenario::Mixed { .. });
        ensure!(!open, "--in-flight does nothing in `{name}`, an open loop: use --rate");
    }
    if options.no_retry && !matches!(scenario, Scenario::Idle { .. }) {
        let open = matches!(scenario, Scenario::Storm { .. } | Scenario::Joins { .. } | Scenario::Mixed { .. });
        ensure!(
            open || options.rate.is_some(),
            "--no-retry needs --rate: in a closed loop who is refused says the next"
        );
    }
    if matches!(scenario, Scenario::Idle { .. }) {
        let said = [options.rate.is_some(), options.in_flight.is_some(), options.size.is_some(), options.no_retry];
        for (said, option) in said.into_iter().zip(["--rate", "--in-flight", "--size", "--no-retry"]) {
            ensure!(!said, "{option} does nothing in `{name}`, which sends nothing");
        }
    }
    Ok(())
}

fn spawn(options: &Options) -> Result<Option<Spawn>> {
    let Some(gateways) = options.spawn else {
        ensure!(options.node_env.is_empty(), "--node-env needs --spawn");
        return Ok(None);
    };
    let cluster = match (&options.database_url, &options.redis_url) {
        (Some(database), Some(redis)) => Some([database.clone(), redis.clone()]),
        (None, None) if gateways == 1 => None,
        (None, None) => bail!("--spawn {gateways} needs --database-url and --redis-url; --spawn 1 alone is embedded"),
        (None, Some(_)) => bail!("--redis-url needs --database-url: a cluster has both"),
        (Some(_), None) => bail!("--database-url needs --redis-url: a cluster has both"),
    };
    let mut env = Vec::new();
    for pair in &options.node_env {
        let (name, value) = pair.split_once('=').with_context(|| format!("--node-env `{pair}` is not NAME=VALUE"))?;
        env.push((name.to_owned(), value.to_owned()));
    }
    Ok(Some(Spawn { gateways, cluster, env }))
}

/// A name that no other run has: seconds since 1970 and the process.
fn own_name() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("load-{now:x}-{:x}", std::process::id())
}

#[cfg(test)]
mod tests;
