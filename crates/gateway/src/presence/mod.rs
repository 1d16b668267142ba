//! Presence: what this node's connections say of their users, and whom they watch.
//!
//! `local` knows who is here, `say` tells the bus what changed, `lease` keeps that counting while the node lives.
//! `watched` knows who looks at whom, `watch` serves the commands, `tell` finds out and pushes. What comes over the bus
//! is a hint here too: a state is told only as read from the bus after the hint, so that two nodes whose hints cross
//! leave nobody with the wrong one.

mod lease;
mod local;
mod say;
mod tell;
mod watch;
mod watched;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use protocol::PresenceSet;
use tokio::sync::{Notify, watch as channel};

use self::{local::Local, watched::Watched};
use crate::{link::Link, node::Node};

/// Times of presence.
#[derive(Debug, Clone, Copy)]
pub struct PresenceConfig {
    /// How long a node that died is believed; it renews its lease three times within this.
    pub lease: Duration,
    /// So long after their last connection ended somebody still counts as there: a reload of the page is not told.
    pub grace: Duration,
    /// Between two events about one user.
    pub pause: Duration,
    /// How often is looked again at who may watch whom, and at everybody who is watched. Every fourth time is noted who
    /// is here: when a node dies, that is when they were last there.
    pub recheck: Duration,
}

impl Default for PresenceConfig {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            grace: Duration::from_secs(5),
            pause: Duration::from_secs(5),
            recheck: Duration::from_secs(30),
        }
    }
}

/// One node's presence.
pub(crate) struct Presence {
    local: Mutex<Local>,
    /// Something changed here.
    changed: Notify,
    /// Held while something is said, so that the last word is the latest.
    saying: tokio::sync::Mutex<()>,
    /// Whether the node ever held its lease: before, nothing that it says would count.
    leased: channel::Sender<bool>,
    /// Held while the lease is renewed or given back; true once it was given back for good.
    lease_ended: tokio::sync::Mutex<bool>,
    /// The bus may have forgotten what was said, and what it told may be lost.
    lost: Notify,
    watched: Mutex<Watched>,
    /// Somebody is to be looked at.
    due: Notify,
}

impl Presence {
    pub(crate) fn new(config: PresenceConfig) -> Self {
        Self {
            local: Mutex::new(Local::new(config.grace)),
            changed: Notify::new(),
            saying: tokio::sync::Mutex::default(),
            leased: channel::Sender::new(false),
            lease_ended: tokio::sync::Mutex::default(),
            lost: Notify::new(),
            watched: Mutex::new(Watched::new(config.pause)),
            due: Notify::new(),
        }
    }

    /// A connection counts from now on.
    pub(crate) fn came(&self, link: &Link) {
        self.local.lock().came(link.user(), link.id);
        self.changed.notify_one();
    }

    /// And no longer.
    pub(crate) fn left(&self, link: &Link) {
        self.local.lock().left(link.user(), link.id, tokio::time::Instant::now());
        self.changed.notify_one();
    }

    /// `presence.set`.
    pub(crate) fn set(&self, link: &Link, set: PresenceSet) {
        if self.local.lock().set(link.user(), link.id, set) {
            self.changed.notify_one();
        }
    }

    /// Anything that the bus told may have been missed, and what it was told may be gone.
    pub(crate) fn lost(&self) {
        self.lost.notify_one();
    }
}

/// Starts the tasks; they end with the node.
pub(crate) fn start(node: &Arc<Node>) {
    node.spawn(lease::run(Arc::clone(node)));
    node.spawn(say::run(Arc::clone(node)));
    node.spawn(say::note(Arc::clone(node)));
    node.spawn(tell::run(Arc::clone(node)));
    node.spawn(watch::recheck(Arc::clone(node)));
}

/// The node ends: says that its users are gone from here, then gives the lease back.
pub(crate) async fn end(node: &Arc<Node>) {
    say::last_words(node).await;
    lease::end(node).await;
}
