//! A person's device in a simulated run: the client's own logic ([`Core`]) on a simulated wire.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use protocol::{Reply, User, UserId};
use serde_json::Value;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep, sleep_until},
};

use super::{
    chance::Chance,
    wire::{ToClient, Wire},
    world::World,
};
use crate::{
    audit::{Entry, SignedIn},
    client::{Answered, BROKEN, Core, Output, Persistence},
};

/// Before whoever was sent away for good signs in again.
pub(super) const SIGNS_IN: std::ops::Range<Duration> = Duration::from_millis(200)..Duration::from_secs(3);

/// See the module.
pub(super) struct Device {
    /// Whose.
    pub(super) user: User,
    state: Mutex<State>,
    poke: Notify,
    began: Instant,
    chance: Chance,
}

/// What was heard under sessions that are over.
pub(super) type Past = Vec<(Option<SignedIn>, Vec<Entry>)>;

struct State {
    core: Core,
    /// In order, since they may all end at once.
    answers: BTreeMap<u64, oneshot::Sender<Answered>>,
    /// It does not read until then.
    stalled: Option<Instant>,
    /// Which connection: what is still on its way on an older one is nobody's.
    connection: u64,
    wanted: bool,
    /// Whom it watches.
    watched: Vec<UserId>,
    /// As whom.
    signed_in: Option<SignedIn>,
    /// When it signs in again: it was sent away for good.
    sign_in_at: Option<Instant>,
    /// What it heard under sessions that are over.
    past: Past,
}

impl Device {
    /// Connects from now on, and always comes back.
    pub(super) fn start(world: &Arc<World>, user: &User, number: usize, began: Instant) -> Arc<Self> {
        let chance = Chance::new(world.setting.seed, ("device", number));
        let state = Mutex::new(State {
            core: core(&chance),
            answers: BTreeMap::new(),
            stalled: None,
            connection: 0,
            wanted: true,
            watched: Vec::new(),
            signed_in: None,
            sign_in_at: None,
            past: Vec::new(),
        });
        let device = Arc::new(Self { user: user.clone(), state, poke: Notify::new(), began, chance });
        tokio::spawn(Arc::clone(&device).run(Arc::clone(world)));
        device
    }

    /// Says a command until it is answered, over as many connections as that takes; none when it is not in time.
    pub(super) async fn command(&self, frame: Value, within: Duration) -> Option<Reply<Value>> {
        let (sender, answer) = oneshot::channel();
        {
            let mut state = self.state.lock();
            let number = state.core.command(self.began.elapsed(), frame, Persistence::UntilAnswered);
            state.answers.insert(number, sender);
        }
        self.poke.notify_one();
        match tokio::time::timeout(within, answer).await {
            Ok(Ok(Answered::Reply(reply))) => Some(reply),
            _ => None,
        }
    }

    /// Whether it wants to be connected.
    pub(super) fn want(&self, wanted: bool) {
        self.state.lock().wanted = wanted;
        self.with(|core, now| core.want(now, wanted));
    }

    /// Breaks its connection.
    pub(super) fn break_off(&self) {
        self.with(Core::break_off);
    }

    /// Does not read for this long.
    pub(super) fn stall(&self, time: Duration) {
        self.state.lock().stalled = Some(Instant::now() + time);
        self.poke.notify_one();
    }

    /// Watches these users' presence from now on.
    pub(super) fn watch(&self, users: Vec<UserId>) {
        self.state.lock().watched.clone_from(&users);
        self.with(|core, now| core.watch(now, users));
    }

    /// Looks at its client.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Core, Duration) -> T) -> T {
        let found = look(&mut self.state.lock().core, self.began.elapsed());
        self.poke.notify_one();
        found
    }

    /// As whom it is signed in.
    pub(super) fn signed_in(&self) -> Option<SignedIn> {
        self.state.lock().signed_in
    }

    /// What it said and heard: under its present session, and under those that are over.
    pub(super) fn take_logs(&self) -> (Vec<Entry>, Past) {
        let mut state = self.state.lock();
        (state.core.take_log(), std::mem::take(&mut state.past))
    }

    /// Begins anew, as a page that is loaded again does.
    async fn sign_in(&self, world: &World) {
        let signed_in = world.sign_in(&self.user, &self.chance).await;
        let now = self.began.elapsed();
        let mut state = self.state.lock();
        let state = &mut *state;
        let before = std::mem::replace(&mut state.signed_in, signed_in);
        if state.sign_in_at.take().is_some() {
            let heard = state.core.take_log();
            state.past.push((before, heard));
            // Nobody will hear the answers to what it asked.
            state.answers.clear();
            state.core = core(&self.chance);
            state.core.want(now, state.wanted);
            state.core.watch(now, state.watched.clone());
        }
    }

    async fn run(self: Arc<Self>, world: Arc<World>) {
        let mut wire: Option<Wire> = None;
        self.sign_in(&world).await;
        loop {
            if self.state.lock().sign_in_at.is_some_and(|at| at <= Instant::now()) {
                self.sign_in(&world).await;
            }
            let due = self.work(&world, &mut wire).await;
            let (wakes, stalled) = {
                let mut state = self.state.lock();
                state.stalled = state.stalled.filter(|until| *until > Instant::now());
                let wakes = state.core.wakes_at().map(|at| self.began + at);
                ([wakes, state.sign_in_at].into_iter().flatten().min(), state.stalled)
            };
            if due {
                continue;
            }
            let wakes = [wakes, stalled].into_iter().flatten().min();
            tokio::select! {
                biased;
                () = self.poke.notified() => {}
                heard = hear(&mut wire), if wire.is_some() && stalled.is_none() => {
                    self.heard(&world, &mut wire, heard).await;
                }
                () = sleep_until(wakes.unwrap_or_else(Instant::now)), if wakes.is_some() => {}
            }
        }
    }

    /// Does what the client wants; true when it may want more at once.
    async fn work(&self, world: &World, wire: &mut Option<Wire>) -> bool {
        let mut worked = false;
        loop {
            let now = self.began.elapsed();
            let output = {
                let mut state = self.state.lock();
                state.core.tick(now);
                state.core.next()
            };
            let Some(output) = output else { return worked };
            worked = true;
            match output {
                Output::Connect => {
                    self.way(world).await;
                    let now = self.began.elapsed();
                    let session = self.signed_in().map(|signed_in| signed_in.session);
                    *wire = world.connect(&self.user, session, &self.chance);
                    let mut state = self.state.lock();
                    state.connection += 1;
                    if wire.is_some() { state.core.opened(now) } else { state.core.failed(now) }
                }
                Output::Send(frame) => {
                    if let Some(wire) = wire {
                        wire.say(frame.to_string());
                    }
                }
                Output::Leave { .. } => {
                    *wire = None;
                    self.state.lock().connection += 1;
                }
                Output::Answered { number, outcome } => {
                    if let Some(waiting) = self.state.lock().answers.remove(&number) {
                        let _ = waiting.send(outcome);
                    }
                }
                Output::Stopped(_) => {
                    *wire = None;
                    self.state.lock().sign_in_at = Some(Instant::now() + self.chance.time(SIGNS_IN));
                }
            }
        }
    }

    async fn heard(&self, world: &World, wire: &mut Option<Wire>, heard: Option<ToClient>) {
        match heard {
            Some(ToClient::Frames { frames, ping, .. }) => {
                let connection = self.state.lock().connection;
                self.way(world).await;
                self.work(world, wire).await;
                let now = self.began.elapsed();
                let mut state = self.state.lock();
                if state.connection != connection {
                    return;
                }
                if ping && let Some(wire) = wire {
                    wire.pong();
                }
                for frame in frames {
                    // A frame that is no JSON is one that the client does not understand: null.
                    state.core.frame(now, serde_json::from_str(&frame).unwrap_or_default());
                }
            }
            ended => {
                *wire = None;
                let code = if let Some(ToClient::Closed(code)) = ended { code } else { BROKEN };
                self.state.lock().core.closed(self.began.elapsed(), code);
            }
        }
    }

    async fn way(&self, world: &World) {
        let longest = world.setting.latency;
        if !longest.is_zero() {
            sleep(self.chance.time(Duration::ZERO..longest)).await;
        }
    }
}

/// A client that knows nothing.
fn core(chance: &Chance) -> Core {
    let draws = chance.clone();
    Core::new(Box::new(move |most| draws.time(Duration::ZERO..most))).recording()
}

async fn hear(wire: &mut Option<Wire>) -> Option<ToClient> {
    match wire {
        Some(wire) => wire.hear().await,
        None => std::future::pending().await,
    }
}
