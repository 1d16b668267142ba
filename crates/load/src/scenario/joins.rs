//! A join storm: many people, connected already, join one public room within seconds while others write there. Whoever
//! has joined must get everything from then on.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use protocol::{ConversationKind, Seq};
use rand::RngExt;
use serde::Deserialize;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    device::Line,
    ledger::{Receiver, Room},
    meter::Kind,
    pace,
    people::Person,
    run::Run,
    stage::{Crowd, Sender, Stage},
};

pub(super) async fn play(stage: &Stage, joiners: usize, members: usize, within: u64) -> Result<()> {
    let people = stage.people(members + joiners).await?;
    let room = stage.one_room(ConversationKind::Public, &people[..members]).await?;
    let here = |n: usize| if n < members { vec![Arc::clone(&room)] } else { Vec::new() };
    let crowd = stage.connect(&people, Line::Socket, here).await?;
    let senders = (0..members).map(|device| Sender { device, rooms: vec![Arc::clone(&room)] }).collect();
    let (sent, ()) = tokio::join!(stage.send(&crowd, senders), come(stage, &crowd, &room, members, within));
    sent?;
    stage.settle(&crowd).await;
    Ok(())
}

/// They come, each at their own moment, after a quarter of the time.
async fn come(stage: &Stage, crowd: &Crowd, room: &Arc<Room>, members: usize, within: u64) {
    let mut rng = pace::chance(stage.plan.seed);
    stage.wait(stage.plan.time / 4).await;
    let count = crowd.len() - members;
    stage.run.mark(format!("{count} join"));
    stage.run.ledger.book.event(format!("{count} join"));
    let mut joining = JoinSet::new();
    for device in &crowd[members..] {
        let at = Duration::from_millis(rng.random_range(0..=within));
        let (run, person, receiver) = (Arc::clone(&stage.run), device.person.clone(), Arc::clone(&device.receiver));
        let (room, patience) = (Arc::clone(room), stage.plan.patience);
        joining.spawn(async move {
            tokio::select! {
                () = sleep(at) => join(&run, &person, &receiver, &room, patience).await,
                () = run.stop.cancelled() => {}
            }
        });
    }
    while joining.join_next().await.is_some() {}
}

/// What is read of the conversation that a newcomer is answered with.
#[derive(Deserialize)]
struct Joined {
    last_seq: Seq,
}

async fn join(run: &Run, person: &Person, receiver: &Arc<Receiver>, room: &Arc<Room>, patience: Duration) {
    receiver.joins(room);
    let start = Instant::now();
    let path = format!("/v1/conversations/{}/join", room.id);
    let joined = loop {
        match run.rest.post::<Joined>(&path, &person.token, &serde_json::json!({})).await {
            Ok(joined) => break joined,
            Err(refused) => {
                run.meter.error(format!("join: {}", refused.code));
                if !refused.passing || start.elapsed() > patience {
                    return;
                }
                sleep(refused.retry_after.unwrap_or(Duration::from_millis(200))).await;
            }
        }
    };
    // The room is the newcomer's when their socket says so.
    while receiver.cursor(room.id).is_none() {
        if start.elapsed() > patience {
            receiver.joined_untold(room.id, joined.last_seq);
            return run.meter.error("join: the socket was never told");
        }
        sleep(Duration::from_millis(2)).await;
    }
    run.meter.record(person.index, Kind::Join, start.elapsed().as_micros() as u64);
}
