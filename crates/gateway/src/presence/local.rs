//! Who has connections to this node, what they say together, and what of that was told.
//!
//! A state machine without I/O: `say` asks it for what is to be said and tells it what became of that.

use std::{collections::VecDeque, time::Duration};

use bus::{FOCUS_MAX, NodePresence};
use chat::Map;
use protocol::{Activity, ConnectionId, ConversationId, PresenceSet, PresenceState, UserId};
use tokio::time::Instant;

pub(super) struct Local {
    users: Map<UserId, Here>,
    /// Users of whom there may be something to say, each once.
    changed: VecDeque<UserId>,
    /// Those without connections, with the end of their grace. Who came back and left again stands here twice.
    leaving: VecDeque<(Instant, UserId)>,
    grace: Duration,
    /// Moves when everything is to be said again.
    generation: u32,
    /// Nobody is here any more, whatever connections are left.
    ended: bool,
}

struct Here {
    seats: Vec<Seat>,
    said: Option<Said>,
    /// Something was said and not confirmed: the bus may have heard it or not.
    unsure: bool,
    /// The generation in which it was said.
    generation: u32,
    /// It stands in `changed`.
    queued: bool,
    /// When the last connection ended.
    left: Option<Instant>,
}

/// One connection.
struct Seat {
    connection: ConnectionId,
    activity: Activity,
    focus: Option<ConversationId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    state: PresenceState,
    focus: Vec<ConversationId>,
}

/// What was taken to be said.
pub(super) struct Words {
    pub(super) users: Vec<NodePresence>,
    generation: u32,
}

impl Local {
    pub(super) fn new(grace: Duration) -> Self {
        Self {
            users: Map::default(),
            changed: VecDeque::new(),
            leaving: VecDeque::new(),
            grace,
            generation: 0,
            ended: false,
        }
    }

    pub(super) fn came(&mut self, user: UserId, connection: ConnectionId) {
        let here = self.users.entry(user).or_insert_with(|| Here {
            seats: Vec::with_capacity(1),
            said: None,
            unsure: false,
            generation: 0,
            queued: false,
            left: None,
        });
        here.left = None;
        here.seats.push(Seat { connection, activity: Activity::Active, focus: None });
        self.queue(user);
    }

    /// What a connection says; false when it said the same before.
    pub(super) fn set(&mut self, user: UserId, connection: ConnectionId, set: PresenceSet) -> bool {
        let seats = self.users.get_mut(&user).map(|here| here.seats.iter_mut());
        let Some(seat) = seats.and_then(|mut seats| seats.find(|seat| seat.connection == connection)) else {
            return false;
        };
        if (seat.activity, seat.focus) == (set.state, set.focus) {
            return false;
        }
        (seat.activity, seat.focus) = (set.state, set.focus);
        self.queue(user);
        true
    }

    pub(super) fn left(&mut self, user: UserId, connection: ConnectionId, now: Instant) {
        let Some(here) = self.users.get_mut(&user) else { return };
        here.seats.retain(|seat| seat.connection != connection);
        if here.seats.is_empty() && here.left.is_none() {
            here.left = Some(now);
            self.leaving.push_back((now + self.grace, user));
        }
        // Also when the grace begins: nobody looks at anything from now on.
        self.queue(user);
    }

    /// Users with a connection.
    pub(super) fn here(&self) -> Vec<UserId> {
        self.users.iter().filter(|(_, here)| !here.seats.is_empty()).map(|(user, _)| *user).collect()
    }

    /// Everything is to be said again.
    pub(super) fn say_all(&mut self) {
        self.generation = self.generation.wrapping_add(1);
        let users: Vec<_> = self.users.keys().copied().collect();
        for user in users {
            self.queue(user);
        }
    }

    /// From now on nobody is here.
    pub(super) fn end(&mut self) {
        self.ended = true;
        self.say_all();
    }

    /// When the next grace ends.
    pub(super) fn next_leaving(&self) -> Option<Instant> {
        self.leaving.front().map(|(at, _)| *at)
    }

    /// What is to be said now, of at most `max` users. It counts as said with [`Local::said`].
    pub(super) fn take(&mut self, now: Instant, max: usize) -> Words {
        while let Some((at, user)) = self.leaving.front().copied()
            && at <= now
        {
            self.leaving.pop_front();
            self.queue(user);
        }
        let mut users = Vec::new();
        while users.len() < max
            && let Some(user) = self.changed.pop_front()
        {
            let Some(here) = self.users.get_mut(&user) else { continue };
            here.queued = false;
            let gone = self.ended || here.left.is_some_and(|left| left + self.grace <= now);
            let Some(says) = here.says(gone) else {
                if gone {
                    self.users.remove(&user);
                }
                continue;
            };
            if here.unsure || here.said.as_ref() != Some(&says) || here.generation != self.generation {
                users.push(NodePresence { user, state: says.state, focus: says.focus });
            }
        }
        Words { users, generation: self.generation }
    }

    /// It was said.
    pub(super) fn said(&mut self, words: Words) {
        for said in words.users {
            let Some(here) = self.users.get_mut(&said.user) else { continue };
            here.unsure = false;
            if said.state == PresenceState::Offline {
                here.said = None;
                if here.seats.is_empty() || self.ended {
                    self.users.remove(&said.user);
                }
            } else {
                here.said = Some(Said { state: said.state, focus: said.focus });
                here.generation = words.generation;
            }
        }
    }

    /// It could not be said, or nobody knows: it is said again, even if it is taken back meanwhile.
    pub(super) fn unsaid(&mut self, words: &Words) {
        for said in &words.users {
            if let Some(here) = self.users.get_mut(&said.user) {
                here.unsure = true;
            }
            self.queue(said.user);
        }
    }

    fn queue(&mut self, user: UserId) {
        if let Some(here) = self.users.get_mut(&user)
            && !std::mem::replace(&mut here.queued, true)
        {
            self.changed.push_back(user);
        }
    }
}

impl Here {
    /// What there is to say of the user; nothing of somebody who came and went unsaid.
    fn says(&self, gone: bool) -> Option<Said> {
        if gone {
            let offline = Said { state: PresenceState::Offline, focus: Vec::new() };
            return (self.said.is_some() || self.unsure).then_some(offline);
        }
        if self.seats.is_empty() {
            // In their grace they are there as they were, but look at nothing.
            return self.said.as_ref().map(|said| Said { state: said.state, focus: Vec::new() });
        }
        let active = self.seats.iter().any(|seat| seat.activity == Activity::Active);
        let mut focus: Vec<_> = self.seats.iter().filter_map(|seat| seat.focus).collect();
        focus.sort_unstable();
        focus.dedup();
        focus.truncate(FOCUS_MAX);
        Some(Said { state: if active { PresenceState::Online } else { PresenceState::Away }, focus })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(5);

    fn set(state: Activity, focus: Option<ConversationId>) -> PresenceSet {
        PresenceSet { state, focus }
    }

    /// Says what there is; the states.
    fn say(local: &mut Local, now: Instant) -> Vec<(UserId, PresenceState, usize)> {
        let words = local.take(now, 100);
        let said = words.users.iter().map(|said| (said.user, said.state, said.focus.len())).collect();
        local.said(words);
        said
    }

    #[test]
    fn what_may_have_been_heard_is_taken_back_or_said_again() {
        use PresenceState::{Offline, Online};
        let (mut local, now, user) = (Local::new(GRACE), Instant::now(), UserId::generate());
        // It came, nobody knows whether that was heard, and it is gone.
        local.came(user, ConnectionId::generate());
        let words = local.take(now, 100);
        local.unsaid(&words);
        let connection = local.users[&user].seats[0].connection;
        local.left(user, connection, now);
        assert_eq!(say(&mut local, now + GRACE), [(user, Offline, 0)]);
        assert_eq!(say(&mut local, now + GRACE), []);
        // Its end was said, nobody knows whether that was heard, and it is back.
        let connection = ConnectionId::generate();
        local.came(user, connection);
        assert_eq!(say(&mut local, now), [(user, Online, 0)]);
        local.left(user, connection, now);
        let words = local.take(now + GRACE, 100);
        local.unsaid(&words);
        local.came(user, ConnectionId::generate());
        assert_eq!(say(&mut local, now + GRACE), [(user, Online, 0)]);
    }

    #[test]
    fn the_most_active_connection_wins_and_what_did_not_change_is_not_said() {
        use PresenceState::{Away, Online};
        let (mut local, now, user) = (Local::new(GRACE), Instant::now(), UserId::generate());
        let (one, two) = (ConnectionId::generate(), ConnectionId::generate());
        let room = ConversationId::generate();
        local.came(user, one);
        assert_eq!(say(&mut local, now), [(user, Online, 0)]);
        local.came(user, two);
        assert_eq!(say(&mut local, now), []);
        assert!(local.set(user, one, set(Activity::Away, Some(room))));
        assert!(!local.set(user, one, set(Activity::Away, Some(room))), "the same again");
        assert!(!local.set(user, ConnectionId::generate(), set(Activity::Away, None)), "not here");
        assert_eq!(say(&mut local, now), [(user, Online, 1)]);
        local.set(user, two, set(Activity::Away, Some(room)));
        assert_eq!(say(&mut local, now), [(user, Away, 1)]);
        local.set(user, one, set(Activity::Active, None));
        local.left(user, one, now);
        assert_eq!(say(&mut local, now), [], "what came and went in between is not said");
        local.set(user, two, set(Activity::Active, None));
        assert_eq!(say(&mut local, now), [(user, Online, 0)]);
    }

    #[test]
    fn a_reload_is_not_told_and_who_stays_away_is() {
        use PresenceState::{Offline, Online};
        let (mut local, start, user) = (Local::new(GRACE), Instant::now(), UserId::generate());
        let connections: Vec<_> = (0..3).map(|_| ConnectionId::generate()).collect();
        let room = ConversationId::generate();
        local.came(user, connections[0]);
        local.set(user, connections[0], set(Activity::Active, Some(room)));
        assert_eq!(say(&mut local, start), [(user, Online, 1)]);
        local.left(user, connections[0], start);
        assert_eq!(say(&mut local, start), [(user, Online, 0)], "there, but not looking");
        local.came(user, connections[1]);
        assert_eq!(say(&mut local, start), []);
        // The first grace ends while they are there, then while the second one runs.
        assert_eq!(say(&mut local, start + GRACE), []);
        local.left(user, connections[1], start + GRACE);
        assert_eq!(say(&mut local, start + GRACE + GRACE / 2), []);
        assert_eq!(local.next_leaving(), Some(start + GRACE * 2));
        assert_eq!(say(&mut local, start + GRACE * 2), [(user, Offline, 0)]);
        assert!(local.users.is_empty() && local.leaving.is_empty());
        // Came and went before anything was said: nothing to say.
        local.came(user, connections[2]);
        local.left(user, connections[2], start);
        assert_eq!(say(&mut local, start), []);
        assert_eq!(say(&mut local, start + GRACE), []);
        assert!(local.users.is_empty());
    }

    #[test]
    fn what_could_not_be_said_is_said_as_it_is_then() {
        let (mut local, now, user) = (Local::new(GRACE), Instant::now(), UserId::generate());
        let connection = ConnectionId::generate();
        local.came(user, connection);
        let words = local.take(now, 100);
        local.set(user, connection, set(Activity::Away, None));
        local.unsaid(&words);
        assert_eq!(say(&mut local, now), [(user, PresenceState::Away, 0)]);
        assert_eq!(say(&mut local, now), []);
    }

    #[test]
    fn all_is_said_again_when_asked_also_what_was_under_way() {
        let (mut local, now) = (Local::new(GRACE), Instant::now());
        let users: Vec<_> = (0..5).map(|_| UserId::generate()).collect();
        for user in &users {
            local.came(*user, ConnectionId::generate());
        }
        let first = local.take(now, 3);
        assert_eq!(first.users.len(), 3);
        local.say_all();
        local.said(first);
        assert_eq!(say(&mut local, now).len(), 5);
        assert_eq!(say(&mut local, now), []);
        local.end();
        let last = say(&mut local, now);
        assert!(last.len() == 5 && last.iter().all(|(_, state, _)| *state == PresenceState::Offline), "{last:?}");
    }

    #[test]
    fn who_comes_back_while_their_end_is_being_said_is_said_again() {
        let (mut local, now, user) = (Local::new(GRACE), Instant::now(), UserId::generate());
        let connection = ConnectionId::generate();
        local.came(user, connection);
        say(&mut local, now);
        local.left(user, connection, now);
        let words = local.take(now + GRACE, 100);
        assert_eq!(words.users[0].state, PresenceState::Offline);
        local.came(user, ConnectionId::generate());
        local.said(words);
        assert_eq!(say(&mut local, now + GRACE), [(user, PresenceState::Online, 0)]);
    }
}
