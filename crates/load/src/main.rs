//! `starling-load`: runs one scenario against a cluster that is already there.

use std::{process::ExitCode, time::Duration};

use anyhow::{Result, ensure};
use clap::{Parser, Subcommand};
use load::{Target, idle, room};

/// Load tester for Starling. Point it at servers that you own, and nothing else.
#[derive(Parser)]
#[command(name = "starling-load", version)]
struct Args {
    /// Base URL of REST.
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    api: String,
    /// Base URLs of gateways, separated by commas; the REST URL when absent.
    #[arg(long, value_delimiter = ',')]
    gateways: Vec<String>,
    /// The cluster's HS256 secret.
    #[arg(long, env = "STARLING_JWT_SECRET", hide_env_values = true)]
    secret: String,
    /// Distinguishes this run's users; give each run its own.
    #[arg(long, default_value_t = format!("load{}", std::process::id()))]
    run: String,
    #[command(subcommand)]
    scenario: Scenario,
}

#[derive(Subcommand)]
enum Scenario {
    /// Opens sockets that do nothing, and holds them.
    Idle {
        /// Sockets.
        #[arg(long, default_value_t = 1_000)]
        sockets: usize,
        /// Conversations that each user takes part in.
        #[arg(long, default_value_t = 5)]
        conversations: usize,
        /// Seconds to hold them.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
        seconds: u64,
    },
    /// One conversation with many members, some of whom send; checks every delivery.
    Room {
        /// Members, each with one socket.
        #[arg(long, default_value_t = 100)]
        members: usize,
        /// How many of them send.
        #[arg(long, default_value_t = 8)]
        senders: usize,
        /// Messages under way per sender.
        #[arg(long, default_value_t = 2)]
        in_flight: usize,
        /// Characters of a message.
        #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=4_000))]
        size: u16,
        /// Seconds to send.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3_600))]
        seconds: u64,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    // The only provider in the tree; installing it twice is impossible here.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match run(Args::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("starling-load: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Runs the scenario; true when every delivery was right.
async fn run(args: Args) -> Result<bool> {
    let gateways = if args.gateways.is_empty() { vec![args.api.clone()] } else { args.gateways };
    for url in gateways.iter().chain([&args.api]) {
        ensure!(url.starts_with("http://") || url.starts_with("https://"), "{url} is no http:// or https:// URL");
    }
    let target = Target { api: args.api, gateways, secret: args.secret };
    match args.scenario {
        Scenario::Idle { sockets, conversations, seconds } => {
            let clients = idle::open(&target, &idle::Idle { run: args.run, sockets, conversations }).await?;
            println!("{} sockets are open, for {seconds} s", clients.len());
            let end = async {
                tokio::select! {
                    () = tokio::time::sleep(Duration::from_secs(seconds)) => {}
                    _ = tokio::signal::ctrl_c() => {}
                }
            };
            idle::hold(clients, end).await?;
            Ok(true)
        }
        Scenario::Room { members, senders, in_flight, size, seconds } => {
            let time = Duration::from_secs(seconds);
            let room = room::Room { run: args.run, members, senders, in_flight, size: size.into(), time };
            let outcome = room::run(&target, &room, || 0.0).await?;
            println!("{}", serde_json::to_string_pretty(&outcome)?);
            Ok(outcome.findings.is_clean())
        }
    }
}
