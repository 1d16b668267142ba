//! A day of a chat app: people send, read, type, open lists and conversations, watch others, lose their connection, in
//! the ratios of a file and at a pace that does not wait for the server.

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use rand::{RngExt, rngs::SmallRng};

use super::rooms::dealt;
use crate::{
    device::{Device, Line, Order},
    meter::Kind,
    pace,
    plan::{Pace, mix::Action},
    run::Run,
    stage::{Sender, Stage},
};

/// Users that one `presence.watch` names.
const WATCHED: usize = 20;
/// How long a connection stays away that was lost, at most, milliseconds.
const AWAY: u64 = 2_000;

pub(super) async fn play(stage: &Stage, users: usize) -> Result<()> {
    let mix = stage.plan.mix.as_ref().context("a mix without a file")?;
    let people = stage.people(users).await?;
    let (rooms, of) = dealt(stage, &people, (users * mix.conversations).div_ceil(mix.members), mix.members).await?;
    let mine = |n: usize| -> Vec<_> { of[n].iter().map(|room| Arc::clone(&rooms[*room])).collect() };
    let crowd = stage.connect(&people, Line::Socket, mine).await?;
    let everybody: Vec<_> = (0..users).map(|device| Sender { device, rooms: mine(device) }).collect();
    let rate = match stage.plan.pace {
        Pace::Open { rate } => rate,
        Pace::Closed { .. } => users as f64 * mix.actions_per_user_per_second,
    };
    stage.run.load_begins("a day of a chat app");
    let end = Instant::now() + stage.plan.time;
    pace::open(&stage.run, rate, end, pace::chance(stage.plan.seed), |intended, rng| {
        let who = &everybody[rng.random_range(0..everybody.len())];
        let action = mix.ratios.pick(rng.random());
        act(&stage.run, &crowd[who.device], who, action, intended, rng, &crowd);
    })
    .await;
    stage.wait(end.saturating_duration_since(Instant::now())).await;
    stage.run.load_ends();
    stage.settle(&crowd).await;
    Ok(())
}

fn act(
    run: &Arc<Run>,
    device: &Device,
    who: &Sender,
    action: Action,
    intended: u64,
    rng: &mut SmallRng,
    crowd: &[Device],
) {
    let room = who.room(rng);
    // Whoever was sent away for good does nothing more: that it was is counted once.
    let tell = |kind: &'static str, fields: String| {
        device.order(Order::Tell { kind, fields, intended });
    };
    let marker = || {
        let seq = device.receiver.cursor(room.id).unwrap_or_default();
        format!(r#""conversation_id":"{}","seq":{seq}"#, room.id)
    };
    match action {
        Action::Send => {
            device.send(room, intended, None);
        }
        Action::Read => tell("receipt.read", marker()),
        Action::Delivered => tell("receipt.delivered", marker()),
        Action::Typing => tell("typing.start", format!(r#""conversation_id":"{}""#, room.id)),
        Action::Presence => {
            let state = if rng.random() { "active" } else { "away" };
            tell("presence.set", format!(r#""state":"{state}""#));
        }
        Action::Watch => {
            // The same few each time: a connection watches 500 at most.
            let start = who.device % crowd.len();
            let ids = crowd.iter().cycle().skip(start).take(WATCHED.min(crowd.len()));
            let ids: Vec<_> = ids.map(|device| format!(r#""{}""#, device.person.id)).collect();
            tell("presence.watch", format!(r#""user_ids":[{}]"#, ids.join(",")));
        }
        Action::Reconnect => {
            device.order(Order::Break { away: Duration::from_millis(rng.random_range(0..=AWAY)) });
        }
        Action::List => look(run, device, Kind::List, "/v1/conversations?limit=50".into(), intended),
        Action::History => {
            look(run, device, Kind::History, format!("/v1/conversations/{}/messages?limit=50", room.id), intended);
        }
    }
}

/// Reads something over REST, and times it from when it was meant to be read.
fn look(run: &Arc<Run>, device: &Device, kind: Kind, path: String, intended: u64) {
    let (run, person) = (Arc::clone(run), device.person.clone());
    run.begins();
    tokio::spawn(async move {
        match run.rest.get::<serde::de::IgnoredAny>(&path, &person.token).await {
            Ok(_) => {
                run.meter.answers.fetch_add(1, Relaxed);
                run.meter.record(person.index, kind, run.clock.now().saturating_sub(intended));
            }
            Err(refused) => run.meter.error(format!("{}: {}", kind.name(), refused.code)),
        }
        run.over(1);
    });
}
