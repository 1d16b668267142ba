//! A person's event stream in a simulated run: says nothing, and comes back with the last id that it got, as
//! `EventSource` does. What it is told to fetch it fetches over REST.

use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};

use chat::{Caller, Spawn};
use parking_lot::Mutex;
use protocol::{Changes, Conversation, Seq, User, should_reconnect};
use serde_json::{Value, json};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{
    chance::Chance,
    device::{Past, SIGNS_IN},
    wire::{ToClient, Wire},
    world::{World, caller},
};
use crate::{
    audit::{Entry, Happened, SignedIn},
    client::{BROKEN, Load, View, is_passing},
};

/// Before it comes back, at most.
const BACK_AFTER: Duration = Duration::from_secs(2);
/// Silence that means a dead server: two heartbeats and a little.
const PATIENCE: Duration = Duration::from_secs(51);
/// Before it fetches a page, and how long it waits for it.
const PAUSE: Range<Duration> = Duration::from_millis(1)..Duration::from_millis(300);
const TRY: Duration = Duration::from_secs(3);

/// See the module.
pub(super) struct Listener {
    /// Whose.
    pub(super) user: User,
    state: Mutex<State>,
    poke: Notify,
    began: Instant,
    chance: Chance,
}

struct State {
    wanted: bool,
    /// It is to end its connection.
    leave: bool,
    live: bool,
    /// How often events began to flow.
    connections: u64,
    stalled: Option<Instant>,
    last_id: Option<String>,
    view: View,
    /// What is still to be fetched, and after which seq.
    to_load: BTreeMap<Load, Seq>,
    entries: Vec<Entry>,
    /// As whom.
    signed_in: Option<SignedIn>,
    /// What it heard under sessions that are over.
    past: Past,
}

impl State {
    /// A page that is loaded again knows nothing.
    fn forget(&mut self) {
        self.view = View::default();
        self.view.without_events();
        self.to_load.clear();
    }
}

impl Listener {
    /// Connects from now on, and always comes back.
    pub(super) fn start(world: &Arc<World>, user: &User, number: usize, began: Instant) -> Arc<Self> {
        let chance = Chance::new(world.setting.seed, ("listener", number));
        let mut state = State {
            wanted: true,
            leave: false,
            live: false,
            connections: 0,
            stalled: None,
            last_id: None,
            view: View::default(),
            to_load: BTreeMap::new(),
            entries: Vec::new(),
            signed_in: None,
            past: Vec::new(),
        };
        state.forget();
        let listener =
            Arc::new(Self { user: user.clone(), state: Mutex::new(state), poke: Notify::new(), began, chance });
        tokio::spawn(Arc::clone(&listener).run(Arc::clone(world)));
        listener
    }

    /// Whether it wants to be connected.
    pub(super) fn want(&self, wanted: bool) {
        self.state.lock().wanted = wanted;
        self.poke.notify_one();
    }

    /// Breaks its connection.
    pub(super) fn break_off(&self) {
        self.state.lock().leave = true;
        self.poke.notify_one();
    }

    /// Does not read for this long.
    pub(super) fn stall(&self, time: Duration) {
        self.state.lock().stalled = Some(Instant::now() + time);
        self.poke.notify_one();
    }

    /// Its replay is over and events flow.
    pub(super) fn is_live(&self) -> bool {
        self.state.lock().live
    }

    /// As whom it is signed in.
    pub(super) fn signed_in(&self) -> Option<SignedIn> {
        self.state.lock().signed_in
    }

    /// Its person fetches their list. One beside which the stream began is not kept: which of the two is older, nothing
    /// tells, and each names all that is theirs.
    pub(super) async fn lists(&self, list: impl Future<Output = Option<Vec<Conversation>>>) {
        let Some(before) = self.begun() else { return };
        let asked = self.began.elapsed();
        let conversations = list.await;
        if let Some(conversations) = conversations.filter(|_| self.begun() == Some(before)) {
            self.write(Happened::Listed { asked, conversations });
        }
    }

    /// How often events began to flow; None while it does not know from where they go on.
    fn begun(&self) -> Option<u64> {
        let state = self.state.lock();
        (state.live || state.last_id.is_some()).then_some(state.connections)
    }

    /// Everything that it heard: under its present session, and under those that are over.
    pub(super) fn take_logs(&self) -> (Vec<Entry>, Past) {
        let mut state = self.state.lock();
        (std::mem::take(&mut state.entries), std::mem::take(&mut state.past))
    }

    async fn run(self: Arc<Self>, world: Arc<World>) {
        self.state.lock().signed_in = world.sign_in(&self.user, &self.chance).await;
        loop {
            if !self.state.lock().wanted {
                self.poke.notified().await;
                continue;
            }
            let last_id = self.state.lock().last_id.clone();
            let session = self.signed_in().map(|signed_in| signed_in.session);
            if let Some(wire) = world.stream(&self.user, session, &self.chance, last_id.as_deref()) {
                if last_id.is_none() {
                    // It has nothing to go on from: what it knew is fetched anew, as a page that is loaded again does.
                    let mut state = self.state.lock();
                    state.entries.clear();
                    state.forget();
                }
                self.write(Happened::Opened);
                let code = self.listen(&world, wire).await;
                self.state.lock().live = false;
                self.write(Happened::Closed(code));
                if !should_reconnect(code) {
                    self.begin_anew(&world).await;
                }
            }
            sleep(self.chance.time(Duration::ZERO..BACK_AFTER)).await;
        }
    }

    /// It was sent away for good: signs in again, as a page that is loaded again does.
    async fn begin_anew(&self, world: &World) {
        sleep(self.chance.time(SIGNS_IN)).await;
        let signed_in = world.sign_in(&self.user, &self.chance).await;
        let mut state = self.state.lock();
        let before = std::mem::replace(&mut state.signed_in, signed_in);
        let heard = std::mem::take(&mut state.entries);
        state.past.push((before, heard));
        state.last_id = None;
        state.forget();
    }

    /// To the end of a connection.
    async fn listen(&self, world: &World, mut wire: Wire) -> u16 {
        self.state.lock().leave = false;
        loop {
            let (stalled, to_load) = {
                let mut state = self.state.lock();
                if state.leave || !state.wanted {
                    return BROKEN;
                }
                state.stalled = state.stalled.filter(|until| *until > Instant::now());
                (state.stalled, state.to_load.first_key_value().map(|(load, after)| (*load, *after)))
            };
            tokio::select! {
                biased;
                () = self.poke.notified() => {}
                () = sleep_until(stalled.unwrap_or_else(Instant::now)), if stalled.is_some() => {}
                heard = timeout(PATIENCE, wire.hear()), if stalled.is_none() => match heard {
                    Ok(Some(ToClient::Frames { frames, id, .. })) => {
                        sleep(self.chance.time(Duration::ZERO..world.setting.latency)).await;
                        for frame in frames {
                            self.take(serde_json::from_str(&frame).unwrap_or_default());
                        }
                        let mut state = self.state.lock();
                        state.last_id = id.or_else(|| state.last_id.take());
                    }
                    Ok(Some(ToClient::Closed(code))) => return code,
                    Ok(None) | Err(_) => return BROKEN,
                },
                () = self.load(world, to_load), if to_load.is_some() && stalled.is_none() => {}
            }
        }
    }

    /// Fetches a page of a conversation, from any node; whoever does not answer is asked again.
    async fn load(&self, world: &World, what: Option<(Load, Seq)>) {
        sleep(self.chance.time(PAUSE)).await;
        let (Some((load, after)), Some(node)) = (what, world.any_node(&self.chance)) else { return };
        let (sender, answer) = oneshot::channel();
        let session = self.signed_in().map(|signed_in| signed_in.session);
        let (chat, caller) = (node.chat.clone(), Caller { session, ..caller(&self.user) });
        node.gate.spawn(Box::pin(async move {
            let page = async {
                let page = chat.changes(&caller, load.id, after, None).await?;
                // As REST would, of a session that has ended.
                chat.recheck(&caller).await.map(|()| page)
            };
            let _ = sender.send(page.await);
        }));
        match timeout(TRY, answer).await {
            Ok(Ok(Ok(page))) => {
                self.loaded(load, &page);
                let frame = json!({"type": "reply", "ref": load.to_string(), "ok": true, "data": page});
                self.take(frame);
            }
            // It is not theirs any more, or has less than they were told.
            Ok(Ok(Err(error))) if !is_passing(error.code) => drop(self.state.lock().to_load.remove(&load)),
            _ => {}
        }
    }

    fn loaded(&self, load: Load, page: &Changes) {
        let mut state = self.state.lock();
        if page.more && state.view.is_current(&load) {
            state.to_load.insert(load, page.to);
        } else {
            state.to_load.remove(&load);
        }
    }

    fn take(&self, mut frame: Value) {
        let new = {
            let mut state = self.state.lock();
            if frame["type"] == "reply" && frame["ref"].is_null() {
                // The one reply of a stream: what follows it flows.
                (frame["ref"], frame["stream"]) = ("hello".into(), true.into());
                state.live = true;
                state.connections += 1;
            }
            state.view.take(frame.clone());
            let new = state.view.take_to_load();
            state.to_load.extend(new.iter().map(|load| (*load, 0)));
            new
        };
        self.write(Happened::Heard(frame));
        for load in new {
            self.write(Happened::Said(load.command()));
        }
    }

    fn write(&self, what: Happened) {
        self.state.lock().entries.push(Entry { at: self.began.elapsed(), what });
    }
}
