//! `--chaos`: kills, drains, restarts and freezes the nodes that the run started, one after the other, while load goes
//! on. Each deed is a mark in the plots and a chapter in the book of faults.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use rand::RngExt;
use tokio::time::{sleep, timeout};

use super::{Nodes, process::Node};
use crate::{
    pace,
    plan::chaos::{Chaos, Deed},
    run::Run,
};

/// How long a killed or frozen node stays so.
const DOWN: Duration = Duration::from_secs(2);
/// While a node drains, what it used is looked at so often.
const LOOK: Duration = Duration::from_millis(50);
/// A node that drains longer is killed.
const DRAIN: Duration = Duration::from_secs(40);

/// Disturbs until it is told to stop, and brings the node that is down back before it returns.
pub(crate) async fn disturb(run: &Arc<Run>, nodes: &mut Nodes, chaos: &Chaos, seed: u64, sockets: bool) -> Result<()> {
    let mut rng = pace::chance(seed);
    for turn in 0_usize.. {
        let mut loading = run.loading.subscribe();
        tokio::select! {
            () = sleep(chaos.every) => {}
            () = run.stop.cancelled() => break,
            _ = loading.wait_for(|loading| !loading) => break,
        }
        let deed = chaos.kinds[turn % chaos.kinds.len()];
        // Where no socket is open, what is called is the api node.
        let able: Vec<_> = (0..nodes.all.len()).filter(|n| nodes.all[*n].has_sockets() == sockets).collect();
        let able = if able.is_empty() { (0..nodes.all.len()).collect() } else { able };
        let place = able[rng.random_range(0..able.len())];
        let node = &mut nodes.all[place];
        let node_name = node.name.clone();
        let name = format!("{deed} {node_name}");
        run.mark(name.clone());
        run.ledger.book.event(name);
        let look = || {
            let mut watched = nodes.watched.lock();
            if let Some(process) = watched.processes.iter_mut().find(|process| process.name() == node_name) {
                process.count();
            }
        };
        act(node, deed, look).await.with_context(|| format!("{node_name} does not come back after {deed}"))?;
        if deed != Deed::Freeze {
            let id = node.id();
            run.mark(format!("{node_name} is back"));
            let mut watched = nodes.watched.lock();
            if let Some(process) = watched.processes.iter_mut().find(|process| process.name() == node_name) {
                process.renewed(id);
            }
        }
    }
    Ok(())
}

/// Does it. `look` counts what the node used, which nobody can ask it after its end.
async fn act(node: &mut Node, deed: Deed, look: impl Fn()) -> Result<()> {
    match deed {
        Deed::Kill => {
            look();
            node.kill().await;
            sleep(DOWN).await;
        }
        Deed::Restart => {
            look();
            node.kill().await;
        }
        Deed::Drain => {
            node.terminate();
            let begin = Instant::now();
            while timeout(LOOK, node.ended()).await.is_err() {
                look();
                if begin.elapsed() > DRAIN {
                    node.kill().await;
                }
            }
        }
        Deed::Freeze => {
            node.signal(Signal::SIGSTOP);
            sleep(DOWN).await;
            node.signal(Signal::SIGCONT);
            return Ok(());
        }
    }
    node.start_again().await
}
