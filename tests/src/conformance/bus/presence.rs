//! What every bus keeps of presence: leases of nodes, and what nodes say of users.

use std::{collections::HashSet, sync::Arc, time::Duration};

use ::bus::{Bus, NodePresence};
use protocol::{ConversationId, NodeId, PresenceState, UserId};

use super::{Nodes, SOON};

/// What a node says of a user in these tests.
fn says(user: UserId, state: PresenceState, focus: &[ConversationId]) -> NodePresence {
    NodePresence { user, state, focus: focus.to_vec() }
}

/// One user's state on the bus.
async fn state(bus: &Arc<dyn Bus>, user: UserId) -> PresenceState {
    bus.presence(&[user]).await.expect("presence")[0].state
}

/// Of what two nodes say, the most active counts and the focus of both; answers come in the order of the question.
pub async fn presence_is_what_all_nodes_say_together(nodes: Nodes) {
    use PresenceState::{Away, Offline, Online};
    let (a, b) = (NodeId::generate(), NodeId::generate());
    nodes.a.hold_lease(a, SOON).await.expect("lease");
    let live = nodes.b.hold_lease(b, SOON).await.expect("lease");
    assert_eq!(live.iter().copied().collect::<HashSet<_>>(), HashSet::from([a, b]));
    let users: Vec<UserId> = (0..4).map(|_| UserId::generate()).collect();
    let rooms: Vec<_> = (0..3).map(|_| ConversationId::generate()).collect();
    nodes
        .a
        .set_presence(
            a,
            &[
                says(users[0], Away, &rooms[..2]),
                says(users[1], Online, &[]),
                says(users[2], Away, &[]),
                says(users[3], Offline, &rooms),
            ],
        )
        .await
        .expect("set");
    nodes
        .b
        .set_presence(b, &[says(users[0], Online, &rooms[1..]), says(users[1], Away, &rooms[..1])])
        .await
        .expect("set");
    let asked = [users[3], users[0], UserId::generate(), users[2], users[1], users[0]];
    for bus in [&nodes.a, &nodes.b] {
        let said = bus.presence(&asked).await.expect("presence");
        assert_eq!(said.iter().map(|said| said.user).collect::<Vec<_>>(), asked);
        let states: Vec<_> = said.iter().map(|said| said.state).collect();
        assert_eq!(states, [Offline, Online, Offline, Away, Online, Online]);
        let mut all = rooms.clone();
        all.sort_unstable();
        assert_eq!((&said[1].focus, &said[5].focus), (&all, &all));
        assert_eq!(said[4].focus, rooms[..1]);
        assert!(said[0].focus.is_empty(), "who is not there looks at nothing");
    }
    // Said anew, it replaces what this node said before, and nothing else.
    nodes.b.set_presence(b, &[says(users[0], Offline, &[])]).await.expect("set");
    nodes.a.set_presence(a, &[says(users[2], Online, &rooms[..1]), says(users[1], Offline, &[])]).await.expect("set");
    let said = nodes.b.presence(&users).await.expect("presence");
    assert_eq!(said.iter().map(|said| said.state).collect::<Vec<_>>(), [Away, Away, Online, Offline]);
    assert_eq!((said[0].focus.len(), &said[2].focus), (2, &rooms[..1].to_vec()));
    nodes.a.set_presence(a, &[]).await.expect("nothing to say is fine");
    assert!(nodes.a.presence(&[]).await.expect("nothing to ask is fine").is_empty());
}

/// Without a lease a node's words do not count: not before it, not after its end, not after it was given back.
pub async fn a_node_without_a_lease_says_nothing(nodes: Nodes) {
    use PresenceState::{Offline, Online};
    let (a, b) = (NodeId::generate(), NodeId::generate());
    let (one, two) = (UserId::generate(), UserId::generate());
    let brief = Duration::from_millis(400);
    nodes.a.set_presence(a, &[says(one, Online, &[])]).await.expect("set");
    assert_eq!(state(&nodes.b, one).await, Offline, "there was no lease yet");
    nodes.a.hold_lease(a, SOON).await.expect("lease");
    nodes.b.hold_lease(b, SOON).await.expect("lease");
    nodes.a.set_presence(a, &[says(one, Online, &[])]).await.expect("set");
    nodes.b.set_presence(b, &[says(two, Online, &[])]).await.expect("set");
    assert_eq!((state(&nodes.b, one).await, state(&nodes.a, two).await), (Online, Online));
    // Renewed, it lasts as long as was said last.
    nodes.a.hold_lease(a, brief).await.expect("lease");
    let live = nodes.a.hold_lease(a, SOON).await.expect("lease");
    assert!(live.contains(&a) && live.contains(&b), "{live:?}");
    tokio::time::sleep(brief * 2).await;
    assert_eq!(state(&nodes.b, one).await, Online);
    nodes.a.hold_lease(a, brief).await.expect("lease");
    tokio::time::sleep(brief * 2).await;
    assert_eq!((state(&nodes.b, one).await, state(&nodes.b, two).await), (Offline, Online));
    assert_eq!(nodes.b.hold_lease(b, SOON).await.expect("lease"), [b]);
    // Back, and saying it again.
    nodes.a.hold_lease(a, SOON).await.expect("lease");
    nodes.a.set_presence(a, &[says(one, Online, &[])]).await.expect("set");
    assert_eq!(state(&nodes.b, one).await, Online);
    nodes.a.release_lease(a).await.expect("release");
    assert_eq!((state(&nodes.b, one).await, state(&nodes.b, two).await), (Offline, Online));
    nodes.a.release_lease(a).await.expect("a second time is fine");
}

/// A node that starts anew under another id speaks for itself: what its former self said ends with the old lease.
pub async fn a_restarted_node_disturbs_nobody(nodes: Nodes) {
    use PresenceState::{Away, Offline, Online};
    let (old, new, other) = (NodeId::generate(), NodeId::generate(), NodeId::generate());
    let users: Vec<UserId> = (0..3).map(|_| UserId::generate()).collect();
    nodes.a.hold_lease(old, SOON).await.expect("lease");
    nodes.b.hold_lease(other, SOON).await.expect("lease");
    let all: Vec<_> = users.iter().map(|user| says(*user, Online, &[])).collect();
    nodes.a.set_presence(old, &all).await.expect("set");
    nodes.b.set_presence(other, &[says(users[1], Away, &[])]).await.expect("set");
    // It dies, comes back, and only the last user finds it again; the old lease still runs.
    nodes.a.hold_lease(new, SOON).await.expect("lease");
    nodes.a.set_presence(new, &[says(users[2], Online, &[])]).await.expect("set");
    nodes.a.set_presence(new, &[says(users[1], Offline, &[])]).await.expect("set");
    assert_eq!(state(&nodes.b, users[0]).await, Online, "nobody but its own lease ends it");
    assert_eq!(state(&nodes.b, users[1]).await, Online);
    nodes.a.release_lease(old).await.expect("release");
    let said = nodes.b.presence(&users).await.expect("presence");
    assert_eq!(said.iter().map(|said| said.state).collect::<Vec<_>>(), [Offline, Away, Online]);
    // Whoever speaks of them next finds them as they are.
    nodes.b.set_presence(other, &all).await.expect("set");
    let said = nodes.a.presence(&users).await.expect("presence");
    assert!(said.iter().all(|said| said.state == Online), "{said:?}");
}

/// Hundreds of users in one call, each answered, whoever says it.
pub async fn presence_of_hundreds_in_one_call(nodes: Nodes) {
    let (a, b) = (NodeId::generate(), NodeId::generate());
    nodes.a.hold_lease(a, SOON).await.expect("lease");
    nodes.b.hold_lease(b, SOON).await.expect("lease");
    let users: Vec<UserId> = (0..1_200).map(|_| UserId::generate()).collect();
    let half: Vec<_> = users.iter().step_by(2).map(|user| says(*user, PresenceState::Online, &[])).collect();
    nodes.a.set_presence(a, &half).await.expect("set");
    let third: Vec<_> = users.iter().step_by(3).map(|user| says(*user, PresenceState::Away, &[])).collect();
    nodes.b.set_presence(b, &third).await.expect("set");
    let said = nodes.b.presence(&users).await.expect("presence");
    for (n, (user, said)) in users.iter().zip(&said).enumerate() {
        let expected = match n {
            _ if n % 2 == 0 => PresenceState::Online,
            _ if n % 3 == 0 => PresenceState::Away,
            _ => PresenceState::Offline,
        };
        assert_eq!((said.user, said.state), (*user, expected), "user {n}");
    }
}
