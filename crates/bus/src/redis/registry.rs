//! Which topics this node needs, and what of it Redis knows: references, batches, the linger, who waits.
//!
//! A state machine without I/O: the link asks it for the next command of a lane (a connection to one server) and tells
//! it what became of that. At most one command is under way on a lane at a time, so that for one topic "subscribe" and
//! "unsubscribe" cannot overtake. A topic is on one lane; where, the owners of the slots say, of which there is one
//! when the servers are no cluster.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use super::slot;
use crate::Topic;

/// A connection to one server.
pub(super) type Lane = u32;

/// A command for the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Batch {
    Subscribe(Vec<Topic>),
    Unsubscribe(Vec<Topic>),
}

/// What Redis knows of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Off,
    Subscribing,
    On,
    Unsubscribing,
}

struct Entry {
    references: usize,
    wire: Wire,
    slot: u16,
    /// None: no server has the slot.
    lane: Option<Lane>,
    /// It stands in `wanted` of its lane, or has no lane.
    queued: bool,
    /// It was subscribed, or is wanted since a loss: until it is back, something may be missed.
    owed: bool,
    /// When the linger ends; set while nothing refers to it.
    until: Option<Instant>,
    /// Calls that wait for this topic.
    waiters: Vec<u64>,
}

struct Waiter {
    /// Topics that are not confirmed yet.
    missing: usize,
    done: oneshot::Sender<()>,
}

#[derive(Default)]
struct Queue {
    /// To be subscribed, oldest first.
    wanted: VecDeque<Topic>,
    /// To be unsubscribed, unless they are needed again.
    leaving: VecDeque<Topic>,
}

pub(super) struct Registry {
    linger: Duration,
    max: usize,
    prefix: String,
    /// By slot; of length 1 where there are no slots.
    owners: Vec<Option<Lane>>,
    entries: HashMap<Topic, Entry>,
    queues: HashMap<Lane, Queue>,
    /// Ends of lingers, in order, as all are equally long. An entry that was needed again has another `until`.
    lingering: VecDeque<(Instant, Topic)>,
    waiters: HashMap<u64, Waiter>,
    next_waiter: u64,
    owed: usize,
    /// A call gave up on a topic that was confirmed later: its reader must hear `Lost`.
    gave_up: bool,
}

impl Registry {
    pub(super) fn new(linger: Duration, max: usize, prefix: String) -> Self {
        Self {
            linger,
            max: max.max(1),
            prefix,
            owners: vec![None],
            entries: HashMap::new(),
            queues: HashMap::new(),
            lingering: VecDeque::new(),
            waiters: HashMap::new(),
            next_waiter: 0,
            owed: 0,
            gave_up: false,
        }
    }

    /// Which lane has which slot from now on (one for all, or one by slot). Topics whose lane is another one are wanted
    /// there. How many subscriptions that ended.
    pub(super) fn place(&mut self, owners: Vec<Option<Lane>>) -> usize {
        let sharded = owners.len() > 1;
        if sharded != (self.owners.len() > 1) {
            for (topic, entry) in &mut self.entries {
                entry.slot = slot_of(&self.prefix, topic, sharded);
            }
        }
        self.owners = owners;
        self.queues.retain(|lane, _| self.owners.contains(&Some(*lane)));
        let (mut idle, mut ended) = (Vec::new(), 0);
        for (topic, entry) in &mut self.entries {
            let lane = self.owners.get(usize::from(entry.slot)).copied().flatten();
            if lane == entry.lane {
                continue;
            }
            entry.lane = lane;
            entry.queued = false;
            ended += usize::from(entry.wire == Wire::On);
            if entry.references == 0 {
                idle.push(*topic);
                continue;
            }
            owe(entry, &mut self.owed);
            want(&mut self.queues, *topic, entry);
        }
        for topic in idle {
            self.remove(&topic);
        }
        ended
    }

    /// One more reference to each topic; `done` hears when all are confirmed.
    pub(super) fn acquire(&mut self, topics: &[Topic], done: oneshot::Sender<()>) {
        let id = self.next_waiter;
        let mut missing = 0;
        for topic in topics {
            let entry = self.entries.entry(*topic).or_insert_with(|| {
                let slot = slot_of(&self.prefix, topic, self.owners.len() > 1);
                Entry {
                    references: 0,
                    wire: Wire::Off,
                    slot,
                    lane: self.owners.get(usize::from(slot)).copied().flatten(),
                    queued: false,
                    owed: false,
                    until: None,
                    waiters: Vec::new(),
                }
            });
            entry.references += 1;
            entry.until = None;
            if entry.wire != Wire::On {
                entry.waiters.push(id);
                missing += 1;
            }
            if entry.wire == Wire::Off && !entry.queued {
                want(&mut self.queues, *topic, entry);
            }
        }
        if missing == 0 {
            // Nothing was missed in between: the topics were on all the time.
            let _ = done.send(());
        } else {
            self.next_waiter += 1;
            self.waiters.insert(id, Waiter { missing, done });
        }
    }

    /// One reference less to each topic.
    pub(super) fn release(&mut self, topics: &[Topic], now: Instant) {
        for topic in topics {
            let Some(entry) = self.entries.get_mut(topic) else { continue };
            if entry.references == 0 {
                continue;
            }
            entry.references -= 1;
            if entry.references == 0 {
                let until = now + self.linger;
                entry.until = Some(until);
                self.lingering.push_back((until, *topic));
            }
        }
    }

    /// The next command of a lane, if there is anything to do. The caller has none under way on it.
    pub(super) fn next(&mut self, lane: Lane, now: Instant) -> Option<Batch> {
        self.expire(now);
        let mut topics = Vec::new();
        while topics.len() < self.max {
            let Some(topic) = self.queues.get_mut(&lane).and_then(|queue| queue.wanted.pop_front()) else { break };
            let Some(entry) = self.entries.get_mut(&topic).filter(|entry| entry.lane == Some(lane)) else { continue };
            entry.queued = false;
            // A topic that was forgotten and needed again stands here twice: the second time it is no longer off.
            if entry.wire != Wire::Off {
                continue;
            }
            if entry.references == 0 {
                // Released before it was ever subscribed.
                self.remove(&topic);
            } else {
                entry.wire = Wire::Subscribing;
                topics.push(topic);
            }
        }
        if !topics.is_empty() {
            return Some(Batch::Subscribe(topics));
        }
        while topics.len() < self.max {
            let Some(topic) = self.queues.get_mut(&lane).and_then(|queue| queue.leaving.pop_front()) else { break };
            match self.entries.get_mut(&topic).filter(|entry| entry.lane == Some(lane)) {
                Some(entry) => {
                    let over = entry.until.is_some_and(|until| until <= now);
                    if entry.references == 0 && entry.wire == Wire::On && over {
                        entry.wire = Wire::Unsubscribing;
                        topics.push(topic);
                    }
                }
                // Left over on this lane, which has no use for it.
                None if !topics.contains(&topic) => topics.push(topic),
                None => {}
            }
        }
        (!topics.is_empty()).then_some(Batch::Unsubscribe(topics))
    }

    /// Moves topics whose linger is over to their lanes.
    fn expire(&mut self, now: Instant) {
        while let Some((until, topic)) = self.lingering.front().copied().filter(|(until, _)| *until <= now) {
            self.lingering.pop_front();
            let Some(entry) = self.entries.get_mut(&topic).filter(|entry| entry.until == Some(until)) else { continue };
            match (entry.wire, entry.lane) {
                (Wire::On, Some(lane)) => self.queues.entry(lane).or_default().leaving.push_back(topic),
                // Looked at again when the command under way has ended.
                (Wire::Subscribing | Wire::Unsubscribing, _) => {
                    let until = now + self.linger.max(Duration::from_millis(1));
                    entry.until = Some(until);
                    self.lingering.push_back((until, topic));
                }
                (Wire::Off | Wire::On, _) => self.remove(&topic),
            }
        }
    }

    /// A lane has these topics now. One that is not needed there is left again: its slot moved, and perhaps came back,
    /// while the command was under way.
    pub(super) fn subscribed(&mut self, lane: Lane, topics: &[Topic]) {
        for topic in topics {
            let entry = self.entries.get_mut(topic).filter(|entry| entry.lane == Some(lane));
            if entry.as_ref().is_none_or(|entry| entry.references == 0) {
                self.queues.entry(lane).or_default().leaving.push_back(*topic);
            }
            let Some(entry) = entry else { continue };
            // Off: wanted anew, and on by an earlier command. What a lane reports last is what its server has.
            if matches!(entry.wire, Wire::Subscribing | Wire::Off) {
                entry.wire = Wire::On;
                self.owed -= usize::from(std::mem::take(&mut entry.owed));
                let waiters = std::mem::take(&mut entry.waiters);
                self.notify(&waiters);
            }
        }
    }

    /// A lane no longer has these topics. How many of them were needed: their slots have moved.
    pub(super) fn unsubscribed(&mut self, lane: Lane, topics: &[Topic]) -> usize {
        let mut ended = 0;
        for topic in topics {
            let Some(entry) = self.entries.get_mut(topic).filter(|entry| entry.lane == Some(lane)) else { continue };
            if entry.references == 0 {
                self.remove(topic);
                continue;
            }
            match entry.wire {
                Wire::Off => continue,
                // Needed again while the command was under way: whoever waits hears of it when it is on.
                Wire::Unsubscribing => {}
                Wire::Subscribing | Wire::On => {
                    ended += 1;
                    owe(entry, &mut self.owed);
                }
            }
            want(&mut self.queues, *topic, entry);
        }
        ended
    }

    /// The connection of a lane is gone, and every subscription with it: what is referred to is wanted again.
    pub(super) fn disconnected(&mut self, lane: Lane) {
        self.queues.remove(&lane);
        let mut idle = Vec::new();
        for (topic, entry) in self.entries.iter_mut().filter(|(_, entry)| entry.lane == Some(lane)) {
            if entry.references == 0 {
                idle.push(*topic);
            } else {
                want(&mut self.queues, *topic, entry);
            }
        }
        for topic in idle {
            self.remove(&topic);
        }
    }

    /// The connection of a lane is new: from what is wanted on it now, something may be missed until it is on.
    pub(super) fn connected(&mut self, lane: Lane) {
        for entry in self.entries.values_mut().filter(|entry| entry.lane == Some(lane)) {
            if entry.wire == Wire::Off && entry.references > 0 {
                owe(entry, &mut self.owed);
            }
        }
    }

    /// Topics of which something may be missed.
    pub(super) fn owed(&self) -> usize {
        self.owed
    }

    /// Whether a call gave up on a topic that is confirmed now; asking clears it.
    pub(super) fn take_gave_up(&mut self) -> bool {
        std::mem::take(&mut self.gave_up)
    }

    /// When the next linger ends.
    pub(super) fn next_linger(&self) -> Option<Instant> {
        self.lingering.front().map(|(until, _)| *until)
    }

    /// Topics that are known, lingering ones included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn remove(&mut self, topic: &Topic) {
        if let Some(entry) = self.entries.remove(topic) {
            self.owed -= usize::from(entry.owed);
            self.notify(&entry.waiters);
        }
    }

    fn notify(&mut self, waiters: &[u64]) {
        for id in waiters {
            let Some(waiter) = self.waiters.get_mut(id) else { continue };
            waiter.missing -= 1;
            if waiter.missing == 0
                && let Some(waiter) = self.waiters.remove(id)
            {
                self.gave_up |= waiter.done.send(()).is_err();
            }
        }
    }
}

fn owe(entry: &mut Entry, owed: &mut usize) {
    *owed += usize::from(!std::mem::replace(&mut entry.owed, true));
}

/// Puts a topic that is off to those that its lane is to subscribe.
fn want(queues: &mut HashMap<Lane, Queue>, topic: Topic, entry: &mut Entry) {
    entry.wire = Wire::Off;
    entry.queued = true;
    if let Some(lane) = entry.lane {
        queues.entry(lane).or_default().wanted.push_back(topic);
    }
}

fn slot_of(prefix: &str, topic: &Topic, sharded: bool) -> u16 {
    if sharded { slot::of(format!("{prefix}{topic}").as_bytes()) } else { 0 }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
