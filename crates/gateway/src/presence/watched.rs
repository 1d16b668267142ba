//! Who is watched by connections of this node, and what each of them was told.
//!
//! A state machine without I/O: `tell` asks it at whom to look and tells it what it saw. Each watcher is told what
//! differs from what they know, whatever others were told before; and of one user at most once per pause.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use chat::{Map, Seen};
use protocol::{Event, EventType, Presence, PresenceState, Timestamp, UserId};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::{link::Link, outbox::Class};

/// What comes within this is looked at together.
const GATHER: Duration = Duration::from_millis(50);

pub(super) struct Watched {
    users: Map<UserId, Entry>,
    /// Whom to look at, and when: each at most once, as in `Entry::due`.
    queue: BTreeSet<(Instant, UserId)>,
    pause: Duration,
}

struct Entry {
    watchers: Vec<Watcher>,
    /// As last read from the bus.
    current: Option<PresenceState>,
    last_seen_at: Option<Timestamp>,
    /// The last hint told that they went: `last_seen_at` is of then.
    went: bool,
    /// The pause after the last event ends.
    not_before: Option<Instant>,
    due: Option<Instant>,
}

struct Watcher {
    link: Arc<Link>,
    /// What it knows; none until its question was answered: it is told nothing before.
    told: Option<PresenceState>,
    /// How much its outbox had dropped when it was told: of more since then, this may have been a part.
    dropped: u64,
}

impl Watched {
    pub(super) fn new(pause: Duration) -> Self {
        Self { users: Map::default(), queue: BTreeSet::default(), pause }
    }

    /// Users who are watched.
    pub(super) fn len(&self) -> usize {
        self.users.len()
    }

    pub(super) fn add(&mut self, seen: &Seen, link: &Arc<Link>) {
        let entry = self.users.entry(seen.user_id).or_insert_with(|| Entry {
            watchers: Vec::with_capacity(1),
            current: None,
            last_seen_at: None,
            went: false,
            not_before: None,
            due: None,
        });
        entry.last_seen_at = seen.last_seen_at.or(entry.last_seen_at);
        entry.watchers.push(Watcher { link: Arc::clone(link), told: None, dropped: 0 });
    }

    pub(super) fn remove(&mut self, user: UserId, link: &Arc<Link>) {
        let Some(entry) = self.users.get_mut(&user) else { return };
        entry.watchers.retain(|watcher| !Arc::ptr_eq(&watcher.link, link));
        if entry.watchers.is_empty() {
            if let Some(due) = entry.due {
                self.queue.remove(&(due, user));
            }
            self.users.remove(&user);
        }
    }

    /// A connection's question was answered. What it knows now may be older than what others were told.
    pub(super) fn answered(&mut self, link: &Arc<Link>, presences: &[Presence], now: Instant) {
        for presence in presences {
            let Some(entry) = self.users.get_mut(&presence.user_id) else { continue };
            let Some(watcher) = entry.watchers.iter_mut().find(|w| Arc::ptr_eq(&w.link, link)) else { continue };
            (watcher.told, watcher.dropped) = (Some(presence.state), link.outbox.dropped());
            match entry.current {
                // Nothing came since the question was asked.
                None if entry.due.is_none() => entry.current = Some(presence.state),
                current if current == Some(presence.state) => {}
                _ => self.look_at(presence.user_id, now),
            }
        }
    }

    /// The bus tells that something may have changed.
    pub(super) fn hint(&mut self, presence: &Presence, now: Instant) {
        if let Some(entry) = self.users.get_mut(&presence.user_id) {
            entry.last_seen_at = presence.last_seen_at.or(entry.last_seen_at);
            entry.went = presence.last_seen_at.is_some();
            self.look_at(presence.user_id, now + GATHER);
        }
    }

    /// An ephemeral frame for who watches them. Their own devices have it from their own topic.
    pub(super) fn push(&self, user: UserId, frame: &Utf8Bytes) {
        let Some(entry) = self.users.get(&user) else { return };
        for watcher in entry.watchers.iter().filter(|watcher| watcher.link.user() != user) {
            watcher.link.outbox.push(frame.clone(), Class::Ephemeral);
        }
    }

    /// When they were last there, as the store has it.
    pub(super) fn seen(&mut self, seen: &[Seen]) {
        for seen in seen {
            if let Some(entry) = self.users.get_mut(&seen.user_id) {
                entry.last_seen_at = seen.last_seen_at.or(entry.last_seen_at);
            }
        }
    }

    /// Everybody is to be looked at.
    pub(super) fn look_at_all(&mut self, now: Instant) {
        let users: Vec<_> = self.users.keys().copied().collect();
        for user in users {
            self.look_at(user, now);
        }
    }

    /// Somebody is to be looked at, when it is time and they may be told of.
    pub(super) fn look_at(&mut self, user: UserId, at: Instant) {
        let Some(entry) = self.users.get_mut(&user) else { return };
        let at = entry.not_before.map_or(at, |not_before| at.max(not_before));
        if entry.due.is_some_and(|due| due <= at) {
            return;
        }
        if let Some(due) = entry.due.replace(at) {
            self.queue.remove(&(due, user));
        }
        self.queue.insert((at, user));
    }

    /// When to look next.
    pub(super) fn next(&self) -> Option<Instant> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// At whom to look now, at most `max`.
    pub(super) fn take(&mut self, now: Instant, max: usize) -> Vec<Seen> {
        let mut seen = Vec::new();
        while seen.len() < max
            && let Some((at, user)) = self.queue.first().copied()
            && at <= now
        {
            self.queue.remove(&(at, user));
            if let Some(entry) = self.users.get_mut(&user) {
                entry.due = None;
                seen.push(Seen { user_id: user, last_seen_at: entry.last_seen_at });
            }
        }
        seen
    }

    /// Those of them who went and nobody said so (their node died): when they were last there is to be read, each for
    /// one who watches them.
    pub(super) fn silent(&self, presences: &[Presence]) -> Vec<(Arc<Link>, Vec<UserId>)> {
        let mut silent: Map<UserId, (Arc<Link>, Vec<UserId>)> = Map::default();
        for presence in presences.iter().filter(|presence| presence.state == PresenceState::Offline) {
            let entry = self.users.get(&presence.user_id);
            let entry = entry.filter(|entry| !entry.went && entry.current != Some(PresenceState::Offline));
            let Some(watcher) = entry.and_then(|entry| entry.watchers.first()) else { continue };
            let of_viewer = silent.entry(watcher.link.user());
            of_viewer.or_insert_with(|| (Arc::clone(&watcher.link), Vec::new())).1.push(presence.user_id);
        }
        silent.into_values().collect()
    }

    /// They were seen like this now: tells who knows otherwise, or may not have got what they were told. How many
    /// events that were.
    pub(super) fn look(&mut self, presences: &[Presence], now: Instant) -> u64 {
        let mut events = 0;
        for presence in presences {
            let Some(entry) = self.users.get_mut(&presence.user_id) else { continue };
            entry.current = Some(presence.state);
            entry.went &= presence.state == PresenceState::Offline;
            let mut frame = None;
            for watcher in &mut entry.watchers {
                let Some(told) = watcher.told else { continue };
                let dropped = watcher.link.outbox.dropped();
                if told == presence.state && dropped == watcher.dropped {
                    continue;
                }
                (watcher.told, watcher.dropped) = (Some(presence.state), dropped);
                let frame = frame.get_or_insert_with(|| self::frame(presence));
                watcher.link.outbox.push(frame.clone(), Class::Ephemeral);
                events += 1;
            }
            if frame.is_some() {
                entry.not_before = Some(now + self.pause);
            }
        }
        events
    }
}

fn frame(presence: &Presence) -> Utf8Bytes {
    // Ids, a word and a time: it always serialises.
    serde_json::to_string(&Event::plain(EventType::PresenceUpdated, presence)).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use protocol::PresenceState::*;

    use super::*;
    use crate::testing::link;

    const PAUSE: Duration = Duration::from_secs(5);

    fn told(link: &Link) -> Vec<String> {
        let frames = link.outbox.take(usize::MAX).frames;
        let state = |frame: Utf8Bytes| {
            let frame: serde_json::Value = serde_json::from_str(&frame).unwrap();
            assert_eq!(frame["type"], "presence.updated");
            frame["data"]["state"].as_str().unwrap().to_owned()
        };
        frames.into_iter().map(state).collect()
    }

    fn is(user: UserId, state: PresenceState) -> Presence {
        Presence { user_id: user, state, last_seen_at: None }
    }

    /// Looks at whoever is due, who is in this state.
    fn look(watched: &mut Watched, state: PresenceState, now: Instant) -> usize {
        let due = watched.take(now, 100);
        let presences: Vec<_> = due.iter().map(|seen| is(seen.user_id, state)).collect();
        watched.look(&presences, now);
        due.len()
    }

    #[test]
    fn a_change_is_told_once_and_the_next_one_after_the_pause() {
        let (mut watched, start, user) = (Watched::new(PAUSE), Instant::now(), UserId::generate());
        let link = link();
        watched.add(&Seen { user_id: user, last_seen_at: None }, &link);
        watched.answered(&link, &[is(user, Offline)], start);
        assert_eq!(watched.next(), None);
        watched.hint(&is(user, Online), start);
        watched.hint(&is(user, Online), start);
        assert_eq!(look(&mut watched, Online, start + GATHER), 1);
        assert_eq!(told(&link), ["online"]);
        // It flaps: one look when the pause is over, with what is true then.
        for n in 0..40 {
            let now = start + GATHER + Duration::from_millis(100) * n;
            watched.hint(&is(user, Offline), now);
            assert_eq!(look(&mut watched, Offline, now), 0);
        }
        assert_eq!(watched.next(), Some(start + GATHER + PAUSE));
        assert_eq!(look(&mut watched, Online, start + GATHER + PAUSE), 1);
        assert!(told(&link).is_empty(), "back to what it knows");
        watched.hint(&is(user, Away), start + PAUSE * 2);
        assert_eq!(look(&mut watched, Away, start + PAUSE * 3), 1);
        assert_eq!(told(&link), ["away"]);
    }

    #[test]
    fn what_a_full_outbox_did_not_take_is_told_again() {
        let (mut watched, now, user) = (Watched::new(PAUSE), Instant::now(), UserId::generate());
        let link = link();
        watched.add(&Seen { user_id: user, last_seen_at: None }, &link);
        watched.answered(&link, &[is(user, Offline)], now);
        // It does not read, and a hundred frames are all that may wait.
        (0..100).for_each(|_| link.outbox.push("durable".into(), Class::Durable));
        watched.hint(&is(user, Online), now);
        assert_eq!(look(&mut watched, Online, now + GATHER), 1);
        assert_eq!(link.outbox.take(usize::MAX).frames.len(), 100);
        watched.look_at_all(now + PAUSE * 2);
        assert_eq!(look(&mut watched, Online, now + PAUSE * 2), 1);
        assert_eq!(told(&link), ["online"]);
        watched.look_at_all(now + PAUSE * 4);
        assert_eq!(look(&mut watched, Online, now + PAUSE * 4), 1);
        assert!(told(&link).is_empty(), "once");
    }

    #[test]
    fn each_watcher_is_told_what_it_does_not_know() {
        let (mut watched, now, user) = (Watched::new(PAUSE), Instant::now(), UserId::generate());
        let (early, late) = (link(), link());
        let seen = Seen { user_id: user, last_seen_at: None };
        watched.add(&seen, &early);
        watched.answered(&early, &[is(user, Online)], now);
        watched.add(&seen, &late);
        watched.hint(&is(user, Offline), now);
        assert_eq!(look(&mut watched, Offline, now + GATHER), 1);
        assert_eq!((told(&early), told(&late)), (vec!["offline".to_owned()], vec![]), "it waits for its answer");
        // The answer was read before that.
        watched.answered(&late, &[is(user, Online)], now + GATHER);
        assert_eq!(look(&mut watched, Offline, now + GATHER + PAUSE), 1);
        assert_eq!((told(&early), told(&late)), (vec![], vec!["offline".to_owned()]));
        watched.remove(user, &early);
        watched.look_at_all(now + PAUSE * 3);
        assert_eq!(watched.len(), 1);
        watched.remove(user, &late);
        assert_eq!((watched.len(), watched.next()), (0, None));
        watched.hint(&is(user, Online), now);
        assert_eq!(watched.next(), None);
    }
}
