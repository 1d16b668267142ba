//! The command line of `starling-load` and of `starling load`: what may be said, and the exit code of what came of it.
//!
//! 0: every delivery was right; 1: some were not; 2: it could not run, broke off, or proved nothing: told in one line.

use std::{path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};
use serde::{Deserialize, Serialize};

use crate::{engine, report};

/// Load tester for Starling that proves every single delivery. Point it at servers that you own, and at nothing else.
///
/// Exit code 0: all right; 1: deliveries were lost, doubled, reordered, misrouted, diverged or corrupt; 2: it could not
/// run, broke off, or nothing was acknowledged. docs/load-testing.md has ten recipes.
#[derive(Debug, Parser)]
#[command(name = "starling-load", version, subcommand_required = false, arg_required_else_help = true)]
pub struct Args {
    /// Print two reports (the JSON of `--json`) side by side, and run nothing
    #[arg(long, num_args = 2, value_names = ["A", "B"], exclusive = true)]
    compare: Option<Vec<PathBuf>>,
    #[command(flatten)]
    pub(crate) options: Options,
    #[command(subcommand)]
    scenario: Option<Scenario>,
}

/// What every scenario takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// Base URL of REST [default: `http://127.0.0.1:8080`]
    #[arg(long, global = true, value_name = "URL", help_heading = "Target")]
    pub(crate) api: Option<String>,
    /// Base URLs of gateways, separated by commas; sockets are spread over them [default: the URL of REST]
    #[arg(long, global = true, value_name = "URL", value_delimiter = ',', help_heading = "Target")]
    pub(crate) gateways: Vec<String>,
    /// The cluster's HS256 secret: tokens are minted with it
    #[arg(long, global = true, env = "STARLING_JWT_SECRET", hide_env_values = true, help_heading = "Target")]
    pub(crate) secret: Option<String>,
    /// Tokens instead, one a line and of one user each: `TOKEN`, or `NAME TOKEN` (a name is for who reads the file)
    #[arg(long, global = true, value_name = "FILE", help_heading = "Target")]
    pub(crate) tokens: Option<PathBuf>,
    /// The target is not on this machine, and is mine to load
    #[arg(long, global = true, help_heading = "Target")]
    pub(crate) i_own_this_server: bool,
    /// Distinguishes this run's users and conversations [default: one of its own]
    #[arg(long, global = true, help_heading = "Target")]
    pub(crate) run: Option<String>,

    /// Seconds to load
    #[arg(long, global = true, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400), help_heading = "Load")]
    pub(crate) seconds: u64,
    /// Open loop: messages (of `rest`: calls) per second of all senders together, Poisson arrivals; latency counts from
    /// the intended time. Without it a closed loop: each sender waits for its answers
    #[arg(long, global = true, value_name = "PER_SECOND", help_heading = "Load")]
    pub(crate) rate: Option<f64>,
    /// Closed loop: messages that each sender has under way at once [default: 1]
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(1..=10_000), help_heading = "Load")]
    pub(crate) in_flight: Option<u32>,
    /// Characters of a message; the server must take so many [default: 128]
    #[arg(long, global = true, value_parser = clap::value_parser!(u32).range(80..=100_000), help_heading = "Load")]
    pub(crate) size: Option<u32>,
    /// Sockets that are opened per second
    #[arg(long, global = true, default_value_t = 500.0, value_name = "PER_SECOND", help_heading = "Load")]
    pub(crate) ramp: f64,
    /// What is drawn by chance (arrivals, who sends, what is killed) is drawn from this
    #[arg(long, global = true, default_value_t = 1, help_heading = "Load")]
    pub(crate) seed: u64,
    /// Longest wait for the last answers and deliveries, seconds; what is missing then is lost
    #[arg(long, global = true, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600), help_heading = "Load")]
    pub(crate) settle: u64,
    /// Longest wait for a connection, and for an answer before a message is sent again, seconds
    #[arg(long, global = true, default_value_t = 10, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=300), help_heading = "Load")]
    pub(crate) patience: u64,
    /// Open loop: a message that is refused is given up and not said again, so that what comes is what was to come,
    /// also when it is too much
    #[arg(long, global = true, help_heading = "Load")]
    pub(crate) no_retry: bool,

    /// Start so many gateways and an api node first, and end them afterwards. 1 without --database-url: one embedded
    /// server. The binary is `$STARLING_BIN`, or the `starling` that this is, or is beside this
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64), help_heading = "Nodes of its own")]
    pub(crate) spawn: Option<u16>,
    /// Postgres of the spawned nodes
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "DATABASE_URL",
        hide_env_values = true,
        help_heading = "Nodes of its own"
    )]
    pub(crate) database_url: Option<String>,
    /// Redis of the spawned nodes
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "REDIS_URL",
        hide_env_values = true,
        help_heading = "Nodes of its own"
    )]
    pub(crate) redis_url: Option<String>,
    /// A setting of the spawned nodes, such as STARLING_OUTBOX_BYTES=4MiB; may be repeated. STARLING_COMMAND_RATE is 0
    /// unless it is set here
    #[arg(long, global = true, value_name = "NAME=VALUE", help_heading = "Nodes of its own")]
    pub(crate) node_env: Vec<String>,
    /// What is done to the spawned nodes while load goes on: `kill`, `drain`, `restart`, `freeze`, and how often:
    /// `every=5s,kinds=kill+drain` [without SPEC: every=5s,kinds=kill+drain+restart; then another option or the end of
    /// the line must follow it]. With sockets open it is gateways that are disturbed, without any the api node
    #[arg(long, global = true, num_args = 0..=1, default_missing_value = "every=5s", value_name = "SPEC", help_heading = "Nodes of its own")]
    pub(crate) chaos: Option<String>,

    /// Base URLs of admin ports whose `starling_*` metrics are recorded, separated by commas
    #[arg(long, global = true, value_name = "URL", value_delimiter = ',', help_heading = "Watching and telling")]
    pub(crate) metrics: Vec<String>,
    /// Server processes on this machine whose CPU time and memory are recorded, separated by commas
    #[arg(long, global = true, value_name = "PID", value_delimiter = ',', help_heading = "Watching and telling")]
    pub(crate) pid: Vec<u32>,
    /// Write the report as JSON
    #[arg(long, global = true, value_name = "FILE", help_heading = "Watching and telling")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report as one HTML file with plots
    #[arg(long, global = true, value_name = "FILE", help_heading = "Watching and telling")]
    pub(crate) html: Option<PathBuf>,
    /// No live view; the summary alone
    #[arg(long, short, global = true, help_heading = "Watching and telling")]
    pub(crate) quiet: bool,
}

/// What is done to the server.
#[derive(Debug, Clone, PartialEq, Subcommand, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub(crate) enum Scenario {
    /// Sockets that do nothing: what a connection costs
    Idle {
        /// Sockets, each of its own user
        #[arg(long, default_value_t = 1_000)]
        sockets: usize,
        /// Conversations that each user takes part in (groups of ten)
        #[arg(long, default_value_t = 5)]
        conversations: usize,
    },
    /// Two people in each conversation, both writing
    Pairs {
        /// Direct conversations, two sockets each
        #[arg(long, default_value_t = 100)]
        pairs: usize,
    },
    /// One conversation with many members, some of whom write
    Room {
        /// Members, each with one socket
        #[arg(long, default_value_t = 100)]
        members: usize,
        /// How many of them write
        #[arg(long, default_value_t = 8)]
        senders: usize,
    },
    /// Many conversations; everybody writes
    Rooms {
        /// Conversations
        #[arg(long, default_value_t = 50)]
        rooms: usize,
        /// Members of each
        #[arg(long, default_value_t = 10)]
        members: usize,
        /// People, each with one socket and in rooms × members ÷ users conversations [default: one each]
        #[arg(long)]
        users: Option<usize>,
    },
    /// A day of a chat app: messages, receipts, typing, lists, presence, reconnects, in the ratios of a file
    Mixed {
        /// People, each with one socket
        #[arg(long, default_value_t = 200)]
        users: usize,
        /// Ratios and shape, TOML; `--print-mix` shows the default
        #[arg(long, value_name = "FILE")]
        mix: Option<PathBuf>,
        /// Print the file that is used when none is named, and run nothing
        #[arg(long)]
        #[serde(default)]
        print_mix: bool,
    },
    /// Many sockets break at once and come back, again and again, while messages flow
    Storm {
        /// Sockets, in rooms of ten
        #[arg(long, default_value_t = 500)]
        sockets: usize,
        /// Share of them that breaks in each wave, 0–1
        #[arg(long, default_value_t = 1.0)]
        share: f64,
        /// Waves, spread over the time
        #[arg(long, default_value_t = 2)]
        waves: u32,
        /// They come back within this, each at its own moment, milliseconds
        #[arg(long, default_value_t = 1_000)]
        within: u64,
    },
    /// Many people join one public room within seconds while others write there
    Joins {
        /// People who join
        #[arg(long, default_value_t = 200)]
        joiners: usize,
        /// People who are there already
        #[arg(long, default_value_t = 20)]
        members: usize,
        /// They join within this, milliseconds
        #[arg(long, default_value_t = 2_000)]
        within: u64,
    },
    /// REST alone: lists, history, unread counts and messages, which are read back at the end
    Rest {
        /// People who call
        #[arg(long, default_value_t = 50)]
        users: usize,
        /// Members of each conversation
        #[arg(long, default_value_t = 10)]
        members: usize,
    },
    /// Streams of Server-Sent Events instead of sockets; messages go by REST
    Events {
        /// Streams, in rooms of `members`
        #[arg(long, default_value_t = 200)]
        streams: usize,
        /// Members of each room
        #[arg(long, default_value_t = 10)]
        members: usize,
    },
}

impl Scenario {
    /// Its word on the command line.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Idle { .. } => "idle",
            Self::Pairs { .. } => "pairs",
            Self::Room { .. } => "room",
            Self::Rooms { .. } => "rooms",
            Self::Mixed { .. } => "mixed",
            Self::Storm { .. } => "storm",
            Self::Joins { .. } => "joins",
            Self::Rest { .. } => "rest",
            Self::Events { .. } => "events",
        }
    }
}

/// Does what was said.
pub async fn run(args: Args) -> ExitCode {
    // Set already where this is part of a server's binary.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match act(args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let line = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
            eprintln!("starling-load: {line}");
            ExitCode::from(2)
        }
    }
}

async fn act(args: Args) -> anyhow::Result<bool> {
    if let Some([a, b]) = args.compare.as_deref() {
        print!("{}", report::compare::files(a, b)?);
        return Ok(true);
    }
    let Some(scenario) = args.scenario else {
        if let Some(word) = args.options.chaos.filter(|word| Args::command().find_subcommand(word).is_some()) {
            anyhow::bail!("--chaos took `{word}` for its SPEC: name the scenario before it");
        }
        anyhow::bail!("name a scenario, such as `room`; `--help` lists them");
    };
    if let Scenario::Mixed { print_mix: true, .. } = scenario {
        print!("{}", crate::plan::mix::DEFAULT);
        return Ok(true);
    }
    engine::run(args.options, scenario).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Args::command().debug_assert();
    }

    #[test]
    fn options_may_stand_before_and_after_the_scenario() {
        for line in ["starling-load --rate 5 room --members 3", "starling-load room --members 3 --rate 5"] {
            let args = Args::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(args.options.rate, Some(5.0));
            assert_eq!(args.scenario, Some(Scenario::Room { members: 3, senders: 8 }));
        }
    }
}
