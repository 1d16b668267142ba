//! Conversations in which people write: pairs, one big one, many.

use std::sync::Arc;

use anyhow::Result;
use protocol::ConversationKind;

use crate::{
    device::Line,
    ledger::Room,
    people::Person,
    stage::{Sender, Stage},
};

/// Direct conversations, both writing.
pub(super) async fn pairs(stage: &Stage, pairs: usize) -> Result<()> {
    let people = stage.people(2 * pairs).await?;
    let couples: Vec<_> = people.chunks_exact(2).map(|two| [two[0].clone(), two[1].clone()]).collect();
    let rooms = stage.pairs(&couples).await?;
    everybody(stage, &people, Line::Socket, |n| vec![Arc::clone(&rooms[n / 2])]).await
}

/// One conversation, some writing.
pub(super) async fn one(stage: &Stage, members: usize, senders: usize) -> Result<()> {
    let people = stage.people(members).await?;
    let room = stage.one_room(ConversationKind::Group, &people).await?;
    let crowd = stage.connect(&people, Line::Socket, |_| vec![Arc::clone(&room)]).await?;
    let senders = (0..senders).map(|device| Sender { device, rooms: vec![Arc::clone(&room)] }).collect();
    stage.send(&crowd, senders).await?;
    stage.settle(&crowd).await;
    Ok(())
}

/// Many conversations; everybody writes in all of theirs.
pub(super) async fn many(stage: &Stage, rooms: usize, members: usize, users: usize) -> Result<()> {
    let people = stage.people(users).await?;
    let (rooms, of) = dealt(stage, &people, rooms, members).await?;
    everybody(stage, &people, Line::Socket, |n| of[n].iter().map(|room| Arc::clone(&rooms[*room])).collect()).await
}

/// Makes conversations of so many members, people dealt to them in turn; and which ones each person is in.
pub(crate) async fn dealt(
    stage: &Stage,
    people: &[Person],
    rooms: usize,
    members: usize,
) -> Result<(Vec<Arc<Room>>, Vec<Vec<usize>>)> {
    let (groups, of) = deal(people.len(), rooms, members);
    let groups: Vec<Vec<Person>> =
        groups.iter().map(|group| group.iter().map(|person| people[*person].clone()).collect()).collect();
    Ok((stage.groups(&groups).await?, of))
}

/// Who is in which of so many conversations, both ways. Neighbours meet in one conversation of each round, and others
/// in the next.
fn deal(people: usize, rooms: usize, members: usize) -> (Vec<Vec<usize>>, Vec<Vec<usize>>) {
    let mut of = vec![Vec::new(); people];
    let mut groups = Vec::with_capacity(rooms);
    for room in 0..rooms {
        // After each round everybody moves on by a step that shares no factor with most sizes.
        let round = room * members / people;
        let group: Vec<_> = (0..members).map(|n| (room * members + n * (1 + 6 * round)) % people).collect();
        let mut group = group;
        group.sort_unstable();
        group.dedup();
        // A step that met somebody twice: whoever comes next fills the gap.
        let mut next = room * members;
        while group.len() < members {
            let person = next % people;
            if !group.contains(&person) {
                group.push(person);
            }
            next += 1;
        }
        for person in &group {
            of[*person].push(room);
        }
        groups.push(group);
    }
    (groups, of)
}

/// Connects everybody and lets those who are in a conversation write.
pub(super) async fn everybody(
    stage: &Stage,
    people: &[Person],
    line: Line,
    rooms: impl Fn(usize) -> Vec<Arc<Room>>,
) -> Result<()> {
    let crowd = stage.connect(people, line, &rooms).await?;
    let senders = (0..people.len()).map(|device| Sender { device, rooms: rooms(device) });
    stage.send(&crowd, senders.filter(|sender| !sender.rooms.is_empty()).collect()).await?;
    stage.settle(&crowd).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::deal;

    #[test]
    fn each_conversation_has_its_members_once_and_everybody_is_in_about_as_many() {
        for (people, rooms, members) in [(100, 10, 10), (100, 50, 10), (7, 3, 7), (20, 30, 2), (13, 40, 5)] {
            let (groups, of) = deal(people, rooms, members);
            for group in &groups {
                let mut once = group.clone();
                once.sort_unstable();
                once.dedup();
                assert_eq!(once.len(), members);
            }
            assert_eq!(of.iter().map(Vec::len).sum::<usize>(), rooms * members);
            assert!(of.iter().all(|rooms_of| !rooms_of.is_empty()), "{people} {rooms} {members}");
        }
    }
}
