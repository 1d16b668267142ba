//! Which topics this node needs, and what of it Redis knows: references, batches, the linger, who waits.
//!
//! A state machine without I/O: the link asks it for the next command and tells it what became of that. At most
//! one command is under way at a time, so that for one topic "subscribe" and "unsubscribe" cannot overtake.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};

use crate::Topic;

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
    /// It stands in `wanted`.
    queued: bool,
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

pub(super) struct Registry {
    linger: Duration,
    max: usize,
    entries: HashMap<Topic, Entry>,
    /// To be subscribed, oldest first.
    wanted: VecDeque<Topic>,
    /// Ends of lingers, in order, as all are equally long. An entry that was needed again has another `until`.
    lingering: VecDeque<(Instant, Topic)>,
    waiters: HashMap<u64, Waiter>,
    next_waiter: u64,
    /// A call gave up on a topic that was confirmed later: its reader must hear `Lost`.
    gave_up: bool,
}

impl Registry {
    pub(super) fn new(linger: Duration, max: usize) -> Self {
        Self {
            linger,
            max: max.max(1),
            entries: HashMap::new(),
            wanted: VecDeque::new(),
            lingering: VecDeque::new(),
            waiters: HashMap::new(),
            next_waiter: 0,
            gave_up: false,
        }
    }

    /// One more reference to each topic; `done` hears when all are confirmed.
    pub(super) fn acquire(&mut self, topics: &[Topic], done: oneshot::Sender<()>) {
        let id = self.next_waiter;
        let mut missing = 0;
        for topic in topics {
            let entry = self.entries.entry(*topic).or_insert_with(|| Entry {
                references: 0,
                wire: Wire::Off,
                queued: false,
                until: None,
                waiters: Vec::new(),
            });
            entry.references += 1;
            entry.until = None;
            if entry.wire != Wire::On {
                entry.waiters.push(id);
                missing += 1;
            }
            if entry.wire == Wire::Off && !entry.queued {
                entry.queued = true;
                self.wanted.push_back(*topic);
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

    /// The next command, if there is anything to do. The caller has none under way.
    pub(super) fn next(&mut self, now: Instant) -> Option<Batch> {
        let mut topics = Vec::new();
        while topics.len() < self.max {
            let Some(topic) = self.wanted.pop_front() else { break };
            let Some(entry) = self.entries.get_mut(&topic) else { continue };
            entry.queued = false;
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
            let Some((until, topic)) = self.lingering.front().copied().filter(|(until, _)| *until <= now) else {
                break;
            };
            self.lingering.pop_front();
            let Some(entry) = self.entries.get_mut(&topic).filter(|entry| entry.until == Some(until)) else { continue };
            if entry.wire == Wire::On {
                entry.wire = Wire::Unsubscribing;
                topics.push(topic);
            } else {
                self.remove(&topic);
            }
        }
        (!topics.is_empty()).then_some(Batch::Unsubscribe(topics))
    }

    /// Redis confirmed a command.
    pub(super) fn confirmed(&mut self, batch: &Batch) {
        match batch {
            Batch::Subscribe(topics) => {
                for topic in topics {
                    if let Some(entry) = self.entries.get_mut(topic) {
                        entry.wire = Wire::On;
                        let waiters = std::mem::take(&mut entry.waiters);
                        self.notify(&waiters);
                    }
                }
            }
            Batch::Unsubscribe(topics) => {
                for topic in topics {
                    let Some(entry) = self.entries.get_mut(topic) else { continue };
                    if entry.references == 0 {
                        self.remove(topic);
                    } else {
                        // Needed again while the command was under way.
                        entry.wire = Wire::Off;
                        entry.queued = true;
                        self.wanted.push_back(*topic);
                    }
                }
            }
        }
    }

    /// The connection is gone, and every subscription with it: what is referred to is wanted again.
    pub(super) fn disconnected(&mut self) {
        self.wanted.clear();
        self.lingering.clear();
        let idle: Vec<Topic> =
            self.entries.iter().filter(|(_, e)| e.references == 0).map(|(topic, _)| *topic).collect();
        for topic in idle {
            self.remove(&topic);
        }
        for (topic, entry) in &mut self.entries {
            entry.wire = Wire::Off;
            entry.queued = true;
            self.wanted.push_back(*topic);
        }
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

#[cfg(test)]
mod tests {
    use protocol::ConversationId;

    use super::*;

    const LINGER: Duration = Duration::from_secs(5);

    fn topics(n: usize) -> Vec<Topic> {
        (0..n).map(|_| Topic::Conversation(ConversationId::generate())).collect()
    }

    fn acquire(registry: &mut Registry, topics: &[Topic]) -> oneshot::Receiver<()> {
        let (done, wait) = oneshot::channel();
        registry.acquire(topics, done);
        wait
    }

    /// Confirms command after command until there is nothing to do.
    fn settle(registry: &mut Registry, now: Instant) -> Vec<Batch> {
        std::iter::from_fn(|| {
            let batch = registry.next(now)?;
            registry.confirmed(&batch);
            Some(batch)
        })
        .collect()
    }

    #[test]
    fn calls_that_wait_together_share_commands_of_bounded_size() {
        let mut registry = Registry::new(LINGER, 200);
        let names = topics(500);
        let mut waits: Vec<_> = names.iter().map(|topic| acquire(&mut registry, &[*topic])).collect();
        let sizes: Vec<usize> = settle(&mut registry, Instant::now())
            .iter()
            .map(|batch| match batch {
                Batch::Subscribe(topics) => topics.len(),
                Batch::Unsubscribe(_) => panic!("nothing was released"),
            })
            .collect();
        assert_eq!(sizes, [200, 200, 100]);
        assert!(waits.iter_mut().all(|wait| wait.try_recv().is_ok()));
    }

    #[test]
    fn a_topic_is_unsubscribed_when_its_last_reference_has_been_gone_for_the_linger() {
        let mut registry = Registry::new(LINGER, 200);
        let name = topics(1);
        let start = Instant::now();
        let _wait = (acquire(&mut registry, &name), acquire(&mut registry, &name));
        settle(&mut registry, start);
        registry.release(&name, start);
        assert_eq!(registry.next_linger(), None, "one reference is left");
        registry.release(&name, start);
        registry.release(&name, start);
        assert_eq!(registry.next(start + LINGER / 2), None);
        // Needed again in between, and released again: the linger starts anew.
        assert!(acquire(&mut registry, &name).try_recv().is_ok(), "it is warm");
        registry.release(&name, start + LINGER / 2);
        assert_eq!(registry.next(start + LINGER), None);
        assert_eq!(settle(&mut registry, start + LINGER * 2), [Batch::Unsubscribe(name)]);
        assert_eq!(registry.len(), 0);
    }

    #[test]
    fn needed_again_while_the_unsubscribe_is_under_way() {
        let mut registry = Registry::new(Duration::ZERO, 200);
        let name = topics(1);
        let now = Instant::now();
        drop(acquire(&mut registry, &name));
        settle(&mut registry, now);
        registry.release(&name, now);
        let under_way = registry.next(now).unwrap();
        let mut wait = acquire(&mut registry, &name);
        registry.confirmed(&under_way);
        assert!(wait.try_recv().is_err(), "it is off now");
        assert_eq!(settle(&mut registry, now), [Batch::Subscribe(name)]);
        assert!(wait.try_recv().is_ok());
    }

    #[test]
    fn after_a_disconnect_everything_that_is_referred_to_is_wanted_again() {
        let mut registry = Registry::new(LINGER, 200);
        let names = topics(3);
        let now = Instant::now();
        drop(acquire(&mut registry, &names));
        settle(&mut registry, now);
        registry.release(&names[..1], now);
        let mut during = acquire(&mut registry, &names[1..2]);
        assert!(during.try_recv().is_ok());
        registry.disconnected();
        let mut after = acquire(&mut registry, &names[1..2]);
        assert!(after.try_recv().is_err());
        let batches = settle(&mut registry, now);
        let [Batch::Subscribe(again)] = batches.as_slice() else { panic!("{batches:?}") };
        assert_eq!(again.len(), 2);
        assert!(after.try_recv().is_ok());
    }

    #[test]
    fn a_call_that_gave_up_is_remembered_and_nobody_waits_for_ever() {
        let mut registry = Registry::new(LINGER, 200);
        let names = topics(2);
        let now = Instant::now();
        drop(acquire(&mut registry, &names[..1]));
        let mut wait = acquire(&mut registry, &names[1..]);
        registry.release(&names[1..], now);
        settle(&mut registry, now);
        assert!(wait.try_recv().is_ok(), "released by somebody else before it was subscribed");
        assert!(registry.take_gave_up());
        assert!(!registry.take_gave_up());
    }
}
