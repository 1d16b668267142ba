//! REST alone: messages, lists, history and unread counts. At the end each conversation is read back: what was
//! acknowledged must be there, once, and in the order in which it was numbered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use protocol::Changes;
use rand::{RngExt, rngs::SmallRng};
use tokio::{sync::OwnedSemaphorePermit, task::JoinSet, time::sleep};

use super::rooms::dealt;
use crate::{
    ledger::{Key, Receiver, Room},
    meter::Kind,
    pace,
    people::Person,
    plan::Pace,
    rest::Rest,
    run::Run,
    stage::Stage,
};

/// Of 100 calls: messages, then lists, then history; the rest are unread counts.
const SHARES: [u32; 3] = [40, 60, 90];

struct Caller {
    person: Person,
    rooms: Vec<Arc<Room>>,
    number: AtomicU64,
}

pub(super) async fn play(stage: &Stage, users: usize, members: usize) -> Result<()> {
    let people = stage.people(users).await?;
    let members = members.min(users);
    let (rooms, of) = dealt(stage, &people, users.div_ceil(members), members).await?;
    let callers: Vec<_> = people
        .iter()
        .zip(&of)
        .map(|(person, mine)| {
            let rooms = mine.iter().map(|room| Arc::clone(&rooms[*room])).collect();
            Arc::new(Caller { person: person.clone(), rooms, number: AtomicU64::new(0) })
        })
        .collect();
    load(stage, &callers).await;
    stage.run.load_ends();
    stage.settle(&[]).await;
    stage.run.phase("reading back");
    for caller in &callers {
        for room in &caller.rooms {
            // One reader per conversation: the first of its people.
            let first = callers.iter().find(|other| other.rooms.iter().any(|theirs| theirs.id == room.id));
            if first.is_some_and(|first| Arc::ptr_eq(first, caller)) {
                read_back(stage, &caller.person, room).await?;
            }
        }
    }
    Ok(())
}

async fn load(stage: &Stage, callers: &[Arc<Caller>]) {
    let end = Instant::now() + stage.plan.time;
    stage.run.load_begins("calling");
    match stage.plan.pace {
        Pace::Open { rate } => {
            pace::open(&stage.run, rate, end, pace::chance(stage.plan.seed), |intended, rng| {
                let caller = &callers[rng.random_range(0..callers.len())];
                begin(&stage.run, caller, intended, None, rng);
            })
            .await;
            stage.wait(end.saturating_duration_since(Instant::now())).await;
        }
        Pace::Closed { in_flight } => {
            let mut loops = JoinSet::new();
            for caller in callers {
                let (run, caller) = (Arc::clone(&stage.run), Arc::clone(caller));
                let mut rng = pace::chance(stage.plan.seed ^ (u64::from(caller.person.index) << 20));
                loops.spawn(async move {
                    pace::closed(&run, in_flight, end, |intended, permit| {
                        begin(&run, &caller, intended, Some(permit), &mut rng);
                        true
                    })
                    .await;
                });
            }
            while loops.join_next().await.is_some() {}
        }
    }
}

/// Begins a call; the permit is given back at its end.
fn begin(
    run: &Arc<Run>,
    caller: &Arc<Caller>,
    intended: u64,
    permit: Option<OwnedSemaphorePermit>,
    rng: &mut SmallRng,
) {
    let room = Arc::clone(&caller.rooms[rng.random_range(0..caller.rooms.len())]);
    let drawn = rng.random_range(0..100);
    let (run, caller) = (Arc::clone(run), Arc::clone(caller));
    let what = SHARES.iter().position(|share| drawn < *share);
    // Counted before the task runs: what is under way when the load ends is waited for.
    if what == Some(0) {
        run.due();
    } else {
        run.begins();
    }
    tokio::spawn(async move {
        match what {
            Some(0) => send(&run, &caller, &room, intended).await,
            Some(1) => look(&run, &caller, Kind::List, "/v1/conversations?limit=50", intended).await,
            Some(_) => {
                let path = format!("/v1/conversations/{}/messages?limit=50", room.id);
                look(&run, &caller, Kind::History, &path, intended).await;
            }
            None => look(&run, &caller, Kind::Unread, "/v1/unread", intended).await,
        }
        drop(permit);
    });
}

async fn look(run: &Run, caller: &Caller, kind: Kind, path: &str, intended: u64) {
    match run.rest.get::<serde::de::IgnoredAny>(path, &caller.person.token).await {
        Ok(_) => {
            run.meter.answers.fetch_add(1, Relaxed);
            run.meter.record(caller.person.index, kind, run.clock.now().saturating_sub(intended));
        }
        Err(refused) => run.meter.error(format!("{}: {}", kind.name(), refused.code)),
    }
    run.over(1);
}

/// Sends a message, again and again under the same `client_id` until it is answered.
async fn send(run: &Run, caller: &Caller, room: &Room, intended: u64) {
    let key = Key { sender: caller.person.index, number: caller.number.fetch_add(1, Relaxed) + 1 };
    let content = run.ledger.said(room, key, intended).text(run.size);
    let client_id = run.client_id(key);
    let give_up = Instant::now() + Duration::from_mins(1);
    loop {
        match run.rest.send(&caller.person.token, room.id, &client_id, &content).await {
            Ok(stored) => {
                run.meter.answers.fetch_add(1, Relaxed);
                return run.acknowledged(room, key, intended, stored.seq);
            }
            Err(refused) => {
                run.meter.error(format!("send: {}", refused.code));
                if !refused.passing || !run.retries || Instant::now() > give_up {
                    break;
                }
                sleep(refused.retry_after.unwrap_or(Duration::from_millis(200))).await;
            }
        }
    }
    run.over(1);
}

/// Reads all of a conversation, page by page, as a client that was away from its beginning.
async fn read_back(stage: &Stage, person: &Person, room: &Arc<Room>) -> Result<()> {
    let (mut after, mut messages) = (0, Vec::new());
    loop {
        let path = format!("/v1/conversations/{}/changes?after={after}", room.id);
        let call = || stage.run.rest.get::<Changes>(&path, &person.token);
        let page = Rest::patiently(stage.plan.settle, call).await.context("reading back")?;
        let texts = page.changes.into_iter().map(|change| change.data);
        messages.extend(texts.filter(|message| message.kind == protocol::MessageKind::Text));
        after = page.to;
        if !page.more {
            break;
        }
    }
    // Not before all was read: what could not be asked for is not lost.
    let reader = Receiver::new(person.index);
    reader.follow(room);
    reader.head(room.id, 0);
    for message in messages {
        stage.run.ledger.came(&reader, room.id, message.seq, &message.content, false);
    }
    Ok(())
}
