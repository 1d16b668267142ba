//! Who is in which room, and how many messages each had.

use std::collections::HashMap;

/// A connection, by its place in the loop's table.
pub(super) type Member = usize;

/// Rooms that somebody is in; one that everybody left is forgotten, its numbers too.
#[derive(Debug, Default)]
pub(super) struct Rooms(HashMap<u64, Room>);

#[derive(Debug, Default)]
struct Room {
    members: Vec<Member>,
    messages: u64,
}

impl Rooms {
    /// It comes in.
    pub(super) fn join(&mut self, room: u64, member: Member) {
        self.0.entry(room).or_default().members.push(member);
    }

    /// It goes.
    pub(super) fn leave(&mut self, room: u64, member: Member) {
        let Some(found) = self.0.get_mut(&room) else { return };
        found.members.retain(|other| *other != member);
        if found.members.is_empty() {
            self.0.remove(&room);
        }
    }

    /// One more message: its number, and who gets it.
    pub(super) fn next(&mut self, room: u64) -> Option<(u64, &[Member])> {
        let room = self.0.get_mut(&room)?;
        room.messages += 1;
        Some((room.messages, &room.members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_per_room_while_somebody_is_there() {
        let mut rooms = Rooms::default();
        assert_eq!(rooms.next(1), None);
        rooms.join(1, 10);
        rooms.join(1, 11);
        rooms.join(2, 11);
        assert_eq!(rooms.next(1), Some((1, [10, 11].as_slice())));
        assert_eq!(rooms.next(2), Some((1, [11].as_slice())));
        rooms.leave(1, 10);
        assert_eq!(rooms.next(1), Some((2, [11].as_slice())));
        rooms.leave(1, 11);
        rooms.leave(1, 11);
        assert_eq!(rooms.next(1), None);
    }
}
