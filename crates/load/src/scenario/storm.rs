//! A reconnect storm: many sockets break at once, come back within a moment and resume, while messages flow.

use std::{sync::Arc, time::Duration};

use anyhow::Result;
use rand::RngExt;

use super::rooms::dealt;
use crate::{
    device::{Line, Order},
    pace,
    stage::{Crowd, Sender, Stage},
};

/// Members of each conversation.
const MEMBERS: usize = 10;

pub(super) async fn play(stage: &Stage, sockets: usize, share: f64, waves: u32, within: u64) -> Result<()> {
    let people = stage.people(sockets).await?;
    let members = MEMBERS.min(sockets);
    let (rooms, of) = dealt(stage, &people, sockets.div_ceil(members), members).await?;
    let mine = |n: usize| -> Vec<_> { of[n].iter().map(|room| Arc::clone(&rooms[*room])).collect() };
    let crowd = stage.connect(&people, Line::Socket, mine).await?;
    let senders = (0..sockets).map(|device| Sender { device, rooms: mine(device) }).collect();
    let (sent, ()) = tokio::join!(stage.send(&crowd, senders), roll(stage, &crowd, share, waves, within));
    sent?;
    stage.settle(&crowd).await;
    Ok(())
}

/// Wave after wave, the first one after half of a wave's time.
async fn roll(stage: &Stage, crowd: &Crowd, share: f64, waves: u32, within: u64) {
    let each = stage.plan.time / waves;
    let mut rng = pace::chance(stage.plan.seed);
    stage.wait(each / 2).await;
    for wave in 1..=waves {
        if stage.run.stop.is_cancelled() {
            return;
        }
        let name = format!("wave {wave}");
        stage.run.mark(name.clone());
        stage.run.ledger.book.event(name);
        for device in crowd.iter() {
            if rng.random::<f64>() < share {
                device.order(Order::Break { away: Duration::from_millis(rng.random_range(0..=within)) });
            }
        }
        if wave < waves {
            stage.wait(each).await;
        }
    }
}
