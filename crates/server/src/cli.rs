//! The command line: subcommands, and one flag per setting, made from the table.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Arg, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::config::{Environment, Sources, TABLE, show};

/// A chat backend that runs alone on one machine, or as a cluster of any size.
#[derive(Debug, Parser)]
#[command(name = "starling", version, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// A TOML file with settings
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    config: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run sockets and REST in one process (the default)
    Serve,
    /// Run sockets only: a node of a cluster
    Gateway,
    /// Run REST and the web client only: a node of a cluster
    Api,
    /// Bring the Postgres of DATABASE_URL to this version
    Migrate {
        /// How long to wait for Postgres, such as 60s
        #[arg(long, default_value = "60s", value_parser = duration)]
        wait: Duration,
    },
    /// What operators do and ask: nodes, connections, drains, and why somebody did not get a message
    #[command(subcommand)]
    Admin(Admin),
    /// Try each part of the configuration and say how to mend what does not work (exit code 1 where something fails, 2 where a setting is wrong)
    Check {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Print a token as another system would sign it with STARLING_JWT_SECRET, for trying things out
    Token(Token),
    /// Print the configuration in effect, without secrets, and where each value came from
    Config {
        /// For programs
        #[arg(long)]
        json: bool,
    },
    /// Load a server that you own, and prove every delivery: `starling load --help`
    #[command(disable_help_flag = true)]
    Load {
        /// What `starling-load` takes
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
    /// Ask the server on this machine whether it is ready (exit code 0) or not (1), for health checks of containers
    Healthcheck {
        /// Whether its process answers at all: for what restarts a container that does not, and would restart one that
        /// merely waits for its database or drains
        #[arg(long)]
        alive: bool,
    },
}

/// What to do or ask. All but the first call a running node, which asks the others.
#[derive(Debug, Clone, Subcommand)]
pub enum Admin {
    /// After a restore from a backup, before nodes start: begin a new history, so that clients which saw what was lost
    /// fetch everything anew instead of going on from there
    NewEpoch,
    /// The nodes: who is there, how they are, what they do
    Nodes(Call),
    /// The connections of a user
    Connections {
        /// Whom.
        #[command(flatten)]
        user: Named,
        /// Where, and how.
        #[command(flatten)]
        call: Call,
    },
    /// End the connections of a user, or one connection; clients come back and resume
    Disconnect {
        /// Username or id
        #[arg(required_unless_present = "connection")]
        user: Option<String>,
        /// The slug of the user's org; `default` when absent
        #[arg(long)]
        org: Option<String>,
        /// This connection alone
        #[arg(long, conflicts_with = "user")]
        connection: Option<String>,
        /// Where, and how.
        #[command(flatten)]
        call: Call,
    },
    /// Disable a user: their connections end, and they cannot come back
    Disable {
        /// Whom.
        #[command(flatten)]
        user: Named,
        /// Where, and how.
        #[command(flatten)]
        call: Call,
    },
    /// Enable a user again
    Enable {
        /// Whom.
        #[command(flatten)]
        user: Named,
        /// Where, and how.
        #[command(flatten)]
        call: Call,
    },
    /// Let a node's connections move to others; it takes no new ones, is not ready, and runs until it is stopped
    Drain {
        /// Its id, as `nodes` shows it
        node: String,
        /// Where, and how.
        #[command(flatten)]
        call: Call,
    },
    /// How far a conversation is in the store and on each node
    Heads {
        /// Its id
        conversation: String,
        /// Where, and how.
        #[command(flatten)]
        call: Call,
    },
    /// Why did a user not get a message?
    Trace {
        /// Whom.
        #[command(flatten)]
        user: Named,
        /// The message's id
        #[arg(required_unless_present_all = ["conversation", "seq"])]
        message: Option<String>,
        /// Instead of the message's id: its conversation,
        #[arg(long, requires = "seq", conflicts_with = "message")]
        conversation: Option<String>,
        /// and its place in it
        #[arg(long, requires = "conversation")]
        seq: Option<u64>,
        /// Where, and how.
        #[command(flatten)]
        call: Call,
    },
    /// What nodes do behind the calls of people: how much waits, and since when
    Jobs(Call),
    /// The orgs by slug, 100 at a time, and how many reports wait in each
    Orgs {
        /// Those after this slug
        #[arg(long)]
        after: Option<String>,
        /// Where, and how.
        #[command(flatten)]
        call: Call,
    },
    /// What users reported
    Reports {
        /// The slug of the org
        #[arg(long, default_value = "default")]
        org: String,
        /// Only these
        #[arg(long, value_parser = ["open", "resolved", "dismissed"])]
        status: Option<String>,
        /// The next page: what the page before said
        #[arg(long)]
        cursor: Option<String>,
        /// Where, and how.
        #[command(flatten)]
        call: Call,
    },
}

/// A user.
#[derive(Debug, Clone, clap::Args)]
pub struct Named {
    /// Username or id
    pub user: String,
    /// The slug of the user's org; `default` when absent
    #[arg(long)]
    pub org: Option<String>,
}

/// Whom to call, and how to answer.
#[derive(Debug, Clone, clap::Args)]
pub struct Call {
    /// The admin address of any node, such as http://10.0.0.3:9180; else STARLING_ADMIN_LISTEN on this machine
    #[arg(long)]
    pub url: Option<reqwest::Url>,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// Claims of the token.
#[derive(Debug, clap::Args)]
pub struct Token {
    /// The other system's id of the user
    #[arg(long)]
    pub sub: String,
    /// Display name
    #[arg(long)]
    pub name: Option<String>,
    /// Wanted username
    #[arg(long)]
    pub username: Option<String>,
    /// Slug of the org
    #[arg(long)]
    pub org: Option<String>,
    /// Role in the org
    #[arg(long, value_enum)]
    pub role: Option<TokenRole>,
    /// How long the token lives, such as 15m
    #[arg(long, default_value = "1h", value_parser = duration)]
    pub ttl: Duration,
}

/// Role in an org.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum TokenRole {
    /// May do what admins of an org may.
    Admin,
    /// Anybody.
    Member,
}

fn duration(text: &str) -> Result<Duration, String> {
    crate::config::parse_duration(text).map_err(|bad| format!("{}; {}", bad.what, bad.mend))
}

fn command() -> clap::Command {
    let flags = TABLE.iter().filter_map(|setting| {
        let help = format!("{} [default: {}]", setting.doc.trim(), show::fallback_text(setting));
        let flag = Arg::new(setting.key).long(setting.flag()?).value_name("VALUE").global(true);
        Some(flag.help(help).help_heading("Settings").hide_short_help(true))
    });
    Cli::command().args(flags).after_help("`--help` lists the settings; so does docs/configuration.md")
}

/// Reads the command line; clap itself answers `--help` and wrong usage (exit code 2).
pub fn parse(args: impl IntoIterator<Item = OsString>, environment: Environment) -> (Command, Sources) {
    let mut args: Vec<_> = args.into_iter().collect();
    // The load tester has options of its own, some with the names of settings: what follows the word is all its own.
    if args.get(1).is_some_and(|word| word == "load") {
        let mut args = args.split_off(1);
        // What its help calls itself.
        args[0] = "starling load".into();
        return (Command::Load { args }, Sources { environment, ..Sources::default() });
    }
    let matches = command().get_matches_from(args);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let flag = |key: &'static str| Some((key, matches.try_get_one::<String>(key).ok()??.clone()));
    let flags = TABLE.iter().filter_map(|setting| flag(setting.key)).collect();
    (cli.command.unwrap_or(Command::Serve), Sources { environment, flags, config_flag: cli.config })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn what_follows_load_is_the_load_testers() {
        let line = ["starling", "load", "--database-url", "x", "room"].map(Into::into);
        let (command, sources) = parse(line, Environment::new());
        assert!(matches!(command, Command::Load { args } if args.len() == 4 && args[3] == "room"));
        assert!(sources.flags.is_empty());
    }

    #[test]
    fn flags_of_settings_are_found_before_and_after_the_subcommand() {
        for args in [&["starling", "--listen", "a:1", "api"][..], &["starling", "api", "--listen", "a:1"]] {
            let (command, sources) = parse(args.iter().map(Into::into), Environment::new());
            assert!(matches!(command, Command::Api));
            assert_eq!(sources.flags.get("listen").map(String::as_str), Some("a:1"));
        }
        let (command, sources) = parse(["starling".into()], Environment::new());
        assert!(matches!(command, Command::Serve) && sources.flags.is_empty());
    }
}
