//! Presence: what nodes say together, who is told, and who may look.

use std::time::Duration;

use bus::{NodePresence, Topic};
use protocol::{ConversationKind, ErrorCode, NodeId, Presence, PresenceState, UserId};

use crate::{
    Caller,
    envelope::PresenceChanged,
    testing::{World, code, field},
};

async fn node(world: &World) -> NodeId {
    let node = NodeId::generate();
    world.chat.hold_lease(node, Duration::from_mins(1)).await.unwrap();
    node
}

async fn say(world: &World, node: NodeId, who: &Caller, state: PresenceState) {
    let said = NodePresence { user: who.user.id, state, focus: Vec::new() };
    world.chat.set_presence(node, &[said]).await.unwrap();
}

async fn told(world: &mut World) -> Presence {
    let (topic, payload) = world.heard().await;
    let presence = PresenceChanged::decode(&payload).unwrap().presence;
    assert_eq!(topic, Topic::Presence(presence.user_id));
    presence
}

#[tokio::test]
async fn the_most_active_connection_of_all_nodes_counts_and_going_is_noted() {
    let mut world = World::start().await;
    let (ann, ben) = (world.user("ann").await, world.user("ben").await);
    world.room(ConversationKind::Group, &ann, &[&ben]).await;
    world.listen(Topic::Presence(ben.user.id)).await;
    let (one, two) = (node(&world).await, node(&world).await);
    assert_eq!(world.chat.presence_of_user(&ann, ben.user.id).await.unwrap().last_seen_at, None);

    let steps = [
        (one, PresenceState::Online, PresenceState::Online),
        (two, PresenceState::Away, PresenceState::Online),
        (one, PresenceState::Offline, PresenceState::Away),
        (two, PresenceState::Offline, PresenceState::Offline),
    ];
    for (node, said, together) in steps {
        say(&world, node, &ben, said).await;
        let heard = told(&mut world).await;
        assert_eq!((heard.user_id, heard.state), (ben.user.id, together));
        assert_eq!(heard.last_seen_at.is_some(), together == PresenceState::Offline);
        let read = world.chat.presence_of_user(&ann, ben.user.id).await.unwrap();
        assert_eq!(read, heard);
    }
}

#[tokio::test]
async fn a_node_without_its_lease_takes_its_users_with_it() {
    let world = World::start().await;
    let (ann, ben) = (world.user("ann").await, world.user("ben").await);
    world.room(ConversationKind::Group, &ann, &[&ben]).await;
    let node = node(&world).await;
    say(&world, node, &ben, PresenceState::Online).await;
    let online = world.chat.presence(&ann, None).await.unwrap().items;
    assert_eq!(online.iter().map(|presence| presence.user_id).collect::<Vec<_>>(), [ben.user.id]);
    world.chat.release_lease(node).await.unwrap();
    assert!(world.chat.presence(&ann, None).await.unwrap().items.is_empty());
    let read = world.chat.presence_of_user(&ann, ben.user.id).await.unwrap();
    assert_eq!((read.state, read.last_seen_at.is_some()), (PresenceState::Offline, true));
}

#[tokio::test]
async fn only_who_shares_a_conversation_may_look_and_a_block_hides_both() {
    let world = World::start().await;
    let (ann, ben, eve) = (world.user("ann").await, world.user("ben").await, world.user("eve").await);
    world.room(ConversationKind::Group, &ann, &[&ben]).await;
    let node = node(&world).await;
    for who in [&ann, &ben, &eve] {
        say(&world, node, who, PresenceState::Online).await;
    }
    let all = [ann.user.id, ben.user.id, eve.user.id, UserId::generate()];
    let seen = async |who: &Caller| {
        let mut ids: Vec<_> = world.chat.presence(who, Some(&all)).await.unwrap().items;
        ids.sort_by_key(|presence| presence.user_id);
        ids.into_iter().map(|presence| presence.user_id).collect::<Vec<_>>()
    };
    let mut both = vec![ann.user.id, ben.user.id];
    both.sort_unstable();
    assert_eq!(seen(&ann).await, both);
    assert_eq!(code(world.chat.presence_of_user(&eve, ann.user.id).await), ErrorCode::NotFound);
    assert!(world.chat.presence(&eve, None).await.unwrap().items.is_empty());

    world.chat.set_blocked(&ben, ann.user.id, true).await.unwrap();
    assert_eq!((seen(&ann).await, seen(&ben).await), (vec![ann.user.id], vec![ben.user.id]));
    assert!(world.chat.presence(&ann, None).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn five_hundred_may_be_asked_for_and_no_more() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let ids: Vec<_> = (0..501).map(|_| UserId::generate()).collect();
    assert!(world.chat.presence(&ann, Some(&ids[..500])).await.unwrap().items.is_empty());
    assert_eq!(field(world.chat.presence(&ann, Some(&ids)).await), "ids");
    assert!(world.chat.presence(&ann, Some(&[])).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn a_node_may_speak_of_more_users_than_one_round_trip_carries() {
    let world = World::start().await;
    let ann = world.user("ann").await;
    let node = node(&world).await;
    let online = |user| NodePresence { user, state: PresenceState::Online, focus: Vec::new() };
    let mut said: Vec<_> = (0..1_200).map(|_| online(UserId::generate())).collect();
    // Of what is said twice, the last counts.
    said.insert(0, NodePresence { state: PresenceState::Away, ..online(ann.user.id) });
    said.push(online(ann.user.id));
    world.chat.set_presence(node, &said).await.unwrap();
    let read = world.chat.presence_of_user(&ann, ann.user.id).await.unwrap();
    assert_eq!(read.state, PresenceState::Online);
    let last = world.bus.presence(&[said[1_199].user]).await.unwrap();
    assert_eq!(last[0].state, PresenceState::Online);
}
