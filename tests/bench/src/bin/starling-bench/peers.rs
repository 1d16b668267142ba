//! C4: Starling beside Socket.IO, which is the best of the peers that were looked at, in interleaved rounds of one run:
//! the shapes of [`super::ratios`], each server on the first core, with a Postgres that syncs and a Redis of its own.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use bench::{
    limit::{Dialect, Faults, Started, pin},
    table::Samples,
};

use crate::{
    Plan,
    ratios::{self, Round},
    stack::{Apart, Services},
};

/// One figure of both.
#[derive(Default)]
pub(crate) struct Both {
    pub(crate) peer: Samples,
    pub(crate) starling: Samples,
    /// Starling's to the peer's, of each round.
    pub(crate) ratio: Samples,
}

/// What was measured.
#[derive(Default)]
pub(crate) struct Figures {
    pub(crate) idle_bytes: Both,
    pub(crate) fan_out: Both,
    pub(crate) pairs: Both,
    pub(crate) steady: Both,
    pub(crate) steady_p99: Both,
    /// What was wrong with the peer's C1, C2 and C3, of all rounds. Nothing was with Starling's, or it would be an error.
    pub(crate) wrong: [Vec<Faults>; 3],
}

/// Measures.
pub(crate) async fn measure(plan: &Plan) -> Result<Figures> {
    let (apart, all) = Apart::of_this_machine()?;
    let mut figures = Figures::default();
    for number in 0..plan.rounds {
        let (peer, wrong) = of_socketio(plan, apart.as_ref()).await.context("measuring Socket.IO")?;
        let starling = ratios::of_starling(plan, apart.as_ref(), number).await.context("measuring Starling")?;
        let add = |both: &mut Both, of: fn(&Round) -> f64| {
            both.peer.add(of(&peer));
            both.starling.add(of(&starling));
            both.ratio.add(of(&starling) / of(&peer));
        };
        add(&mut figures.idle_bytes, |round| round.idle_bytes);
        add(&mut figures.fan_out, |round| round.fan_out);
        add(&mut figures.pairs, |round| round.pairs);
        add(&mut figures.steady, |round| round.steady);
        add(&mut figures.steady_p99, |round| round.steady_p99);
        for (all, one) in figures.wrong.iter_mut().zip(wrong) {
            all.push(one);
        }
    }
    pin(std::process::id(), &all)?;
    Ok(figures)
}

async fn of_socketio(plan: &Plan, apart: Option<&Apart>) -> Result<(Round, [Faults; 3])> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/socketio");
    ensure!(folder.join("node_modules").is_dir(), "{} has no packages: run `npm ci` there", folder.display());
    let services = Services::start(apart).await?;
    let mut command = Command::new("node");
    command.arg(folder.join("server.js"));
    command.env("DATABASE_URL", services.postgres.url()).env("REDIS_URL", services.redis.url());
    command.env("NODE_ENV", "production");
    let server = Started::spawn(&mut command)?;
    if let Some(apart) = apart {
        pin(server.id(), &apart.servers)?;
    }
    ratios::of_spoken(plan, server, Dialect::SocketIo).await
}
