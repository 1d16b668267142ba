//! What was sent and what has come, of every room and member: the proof of a run.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::{
    text::{self, Text},
    track::{Seen, Track},
};

/// How often what went wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Deliveries that did not come.
    pub lost: u64,
    /// Deliveries that came again, and messages that got a second number.
    pub doubled: u64,
    /// Deliveries after ones with a higher number, and messages of one sender in another order than it sent them.
    pub reordered: u64,
    /// Deliveries to a socket that is not in the message's room.
    pub misrouted: u64,
    /// Deliveries whose text is not as it was sent.
    pub altered: u64,
    /// Deliveries that have another number than at other members, or one that is higher than what was sent.
    pub diverged: u64,
    /// Sockets that the server closed.
    pub closed: u64,
}

impl Faults {
    /// Whether there is none.
    pub fn is_clean(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.reordered += other.reordered;
        self.misrouted += other.misrouted;
        self.altered += other.altered;
        self.diverged += other.diverged;
        self.closed += other.closed;
    }
}

/// The whole run.
#[derive(Debug)]
pub(super) struct Ledger {
    rooms: Vec<Room>,
    /// What the first of them is called.
    first: usize,
    members: usize,
    /// Deliveries that there should be, and that there were, each counted once.
    expected: AtomicU64,
    delivered: AtomicU64,
    /// Nothing will be sent but in answer to deliveries.
    over: AtomicBool,
    whole: Notify,
}

#[derive(Debug, Default)]
struct Room {
    sent: AtomicU64,
    /// By number, from 1.
    log: Mutex<Vec<Option<Logged>>>,
}

/// A message that has a number.
#[derive(Debug, Clone, Copy)]
struct Logged {
    /// Whose it is, and which of theirs.
    message: (u32, u32),
    /// How many have heard it.
    heard: usize,
}

/// A delivery that is right and new.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) text: Text,
    /// All others have it already.
    pub(super) is_last: bool,
}

/// What one member has seen.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) index: usize,
    pub(super) room: usize,
    track: Track,
    pub(super) faults: Faults,
}

impl Ledger {
    /// Of sockets 0, 1, 2, …, so many in each room; rooms are called `first`, `first` + 1, ….
    pub(super) fn new(rooms: usize, first: usize, members: usize) -> Self {
        Self {
            first,
            rooms: std::iter::repeat_with(Room::default).take(rooms).collect(),
            members,
            expected: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            over: AtomicBool::new(false),
            whole: Notify::new(),
        }
    }

    pub(super) fn member(&self, index: usize) -> Member {
        Member { index, room: index / self.members, track: Track::default(), faults: Faults::default() }
    }

    /// What a room is called.
    pub(super) fn name(&self, room: usize) -> usize {
        self.first + room
    }

    /// A message will be sent: said before anything that could make the run look whole.
    pub(super) fn send(&self, room: usize) {
        self.rooms[room].sent.fetch_add(1, SeqCst);
        self.expected.fetch_add(self.members as u64, SeqCst);
    }

    /// Messages so far.
    pub(super) fn sent(&self) -> u64 {
        self.rooms.iter().map(|room| room.sent.load(SeqCst)).sum()
    }

    /// Deliveries so far.
    pub(super) fn delivered(&self) -> u64 {
        self.delivered.load(SeqCst)
    }

    /// Deliveries that there should be.
    pub(super) fn expected(&self) -> u64 {
        self.expected.load(SeqCst)
    }

    /// A frame has come to a member: what it says, when it is right and new. [`Ledger::count`] it then.
    pub(super) fn hear(&self, member: &mut Member, frame: &str) -> Option<Heard> {
        let Some((room, number, text)) = text::numbered(frame) else {
            member.faults.altered += 1;
            return None;
        };
        if room != self.name(member.room) {
            member.faults.misrouted += 1;
            return None;
        }
        let Some(text) = Text::read(text) else {
            member.faults.altered += 1;
            return None;
        };
        if text.sender as usize / self.members != member.room {
            member.faults.misrouted += 1;
            return None;
        }
        if !self.is_agreed(member.room, number, (text.sender, text.turn)) {
            member.faults.diverged += 1;
            return None;
        }
        match member.track.see(number) {
            Seen::InOrder => {}
            Seen::Late => member.faults.reordered += 1,
            Seen::Again => {
                member.faults.doubled += 1;
                return None;
            }
        }
        Some(Heard { text, is_last: self.note(member.room, number) == self.members })
    }

    /// One more has heard this number: how many have.
    fn note(&self, room: usize, number: u64) -> usize {
        match self.rooms[room].log.lock().get_mut(number as usize - 1) {
            Some(Some(logged)) => {
                logged.heard += 1;
                logged.heard
            }
            _ => 0,
        }
    }

    /// A delivery counts. After the next message of a closed loop was announced, or the run would look whole between.
    pub(super) fn count(&self) {
        self.delivered.fetch_add(1, SeqCst);
        if self.over.load(SeqCst) && self.is_whole() {
            self.whole.notify_one();
        }
    }

    /// Waits until all that was sent has come everywhere. The time to send is over.
    pub(super) async fn settle(&self) {
        self.over.store(true, SeqCst);
        while !self.is_whole() {
            self.whole.notified().await;
        }
    }

    fn is_whole(&self) -> bool {
        self.delivered() == self.expected()
    }

    /// Whether this number is this message's for all; who comes first decides.
    fn is_agreed(&self, room: usize, number: u64, message: (u32, u32)) -> bool {
        let room = &self.rooms[room];
        if number == 0 || number > room.sent.load(SeqCst) {
            return false;
        }
        let place = number as usize - 1;
        let mut log = room.log.lock();
        if log.len() <= place {
            log.resize(place + 1, None);
        }
        log[place].get_or_insert(Logged { message, heard: 0 }).message == message
    }

    /// What is wrong at the end, these members' own faults included.
    pub(super) fn verdict(&self, members: &[Member]) -> Faults {
        let mut faults = Faults::default();
        for member in members {
            faults.add(&member.faults);
            faults.lost += self.rooms[member.room].sent.load(SeqCst) - member.track.count();
        }
        for room in &self.rooms {
            // In the order of numbers, each sender's own messages are in the order in which it sent them.
            let mut senders: Vec<_> = std::iter::repeat_with(Track::default).take(self.members).collect();
            for Logged { message: (sender, turn), .. } in room.log.lock().iter().flatten() {
                match senders[*sender as usize % self.members].see(u64::from(*turn) + 1) {
                    Seen::InOrder => {}
                    Seen::Late => faults.reordered += 1,
                    Seen::Again => faults.doubled += 1,
                }
            }
        }
        faults
    }

    #[cfg(test)]
    fn hear_all(&self, member: &mut Member, frames: &[String]) {
        for frame in frames {
            if self.hear(member, frame).is_some() {
                self.count();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(room: usize, number: u64, sender: u32, turn: u32) -> String {
        let said = Text { sender, turn, due: 0 }.frame(room, 60);
        let (room, text) = said.split_once(' ').unwrap();
        format!("{room} {number} {text}")
    }

    /// Two rooms of two; in the first one, socket 0 sends three messages. What socket 1 hears is given.
    fn faults(heard: &[String]) -> Faults {
        let ledger = Ledger::new(2, 0, 2);
        let mut members: Vec<_> = (0..4).map(|index| ledger.member(index)).collect();
        for _ in 0..3 {
            ledger.send(0);
        }
        ledger.hear_all(&mut members[0], &right());
        ledger.hear_all(&mut members[1], heard);
        ledger.verdict(&members)
    }

    fn right() -> Vec<String> {
        (0..3).map(|turn| frame(0, u64::from(turn) + 1, 0, turn)).collect()
    }

    #[test]
    fn each_fault_is_counted_under_its_name() {
        let clean = Faults::default();
        let of = |change: fn(&mut Vec<String>)| {
            let mut heard = right();
            change(&mut heard);
            faults(&heard)
        };
        assert_eq!(of(|_| {}), clean);
        assert_eq!(of(|heard| drop(heard.remove(1))), Faults { lost: 1, ..clean });
        assert_eq!(of(|heard| drop(heard.pop())), Faults { lost: 1, ..clean });
        assert_eq!(of(|heard| heard.push(heard[0].clone())), Faults { doubled: 1, ..clean });
        assert_eq!(of(|heard| heard.swap(1, 2)), Faults { reordered: 1, ..clean });
        assert_eq!(of(|heard| heard.push(frame(1, 1, 2, 0))), Faults { misrouted: 1, ..clean });
        assert_eq!(of(|heard| heard.push(frame(0, 1, 2, 0))), Faults { misrouted: 1, ..clean });
        assert_eq!(of(|heard| heard[1].push('y')), Faults { altered: 1, lost: 1, ..clean });
        assert_eq!(of(|heard| heard[1] = "hello".into()), Faults { altered: 1, lost: 1, ..clean });
        assert_eq!(of(|heard| heard[1] = frame(0, 2, 0, 2)), Faults { diverged: 1, lost: 1, ..clean });
        assert_eq!(of(|heard| heard.push(frame(0, 4, 0, 2))), Faults { diverged: 1, ..clean });
    }

    #[test]
    fn an_order_that_is_wrong_for_all_is_found() {
        let ledger = Ledger::new(1, 0, 1);
        let mut members = vec![ledger.member(0)];
        for _ in 0..4 {
            ledger.send(0);
        }
        let frames: Vec<_> = [0, 2, 1, 2].iter().zip(1..).map(|(turn, number)| frame(0, number, 0, *turn)).collect();
        ledger.hear_all(&mut members[0], &frames);
        assert_eq!(ledger.verdict(&members), Faults { reordered: 1, doubled: 1, ..Faults::default() });
    }
}
