//! What an operator asks: nobody's permissions count.

use std::sync::Arc;

use protocol::{ConversationId, MessageId, ReportId, ReportReason, Role, UserId};
use store::{NewReport, Placed, Store};

use super::{Mark, Op, World};

fn id(placed: Option<Placed>) -> Option<MessageId> {
    placed.map(|placed| placed.id)
}

/// By its id and by its place, edited, deleted, in a conversation that is deleted too.
pub async fn a_message_is_found_wherever_it_is(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let room = world.group(&[&ada, &bob]).await;
    let first = world.send(room, &ada, "one").await;
    let second = world.send(room, &bob, "two").await;
    let edited = world.apply_one(Op::Edit(room, first.id, "uno".into())).await;
    let found = world.store.placed(first.id).await.unwrap().unwrap();
    assert_eq!((found.id, found.conversation_id, found.sender_id), (first.id, room, ada.id));
    assert_eq!((found.seq, found.changed_seq, found.deleted_at), (first.seq, edited.changed_seq, None));
    assert_eq!(found.created_at, first.created_at);
    let at = async |seq| id(world.store.placed_at(room, seq).await.unwrap());
    assert_eq!((at(first.seq).await, at(second.seq).await), (Some(first.id), Some(second.id)));
    assert_eq!((at(edited.changed_seq).await, at(edited.changed_seq + 1).await), (Some(first.id), None));
    world.apply(&[Op::Delete(room, first.id)]).await;
    assert_eq!(at(edited.changed_seq).await, None, "another change followed it");
    assert!(world.store.placed(first.id).await.unwrap().unwrap().deleted_at.is_some());
    world.apply(&[Op::Close(room, ada.clone())]).await;
    assert_eq!(at(second.seq).await, Some(second.id));
    assert_eq!(world.store.placed(MessageId::generate()).await.unwrap(), None);
    assert_eq!(world.store.placed_at(ConversationId::generate(), 1).await.unwrap(), None);
    assert_eq!(world.store.placed_at(room, u64::MAX).await.unwrap(), None);
}

/// Who takes part, who did, who never did.
pub async fn a_part_in_a_conversation_is_told_when_it_is_over_too(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cid) = (world.user("ada").await, world.user("bob").await, world.user("cid").await);
    let room = world.group(&[&ada, &bob]).await;
    let message = world.send(room, &ada, "one").await;
    world.mark(bob.id, room, Mark::Delivered(message.seq)).await;
    let of = async |user: UserId| world.store.standing(room, user).await.unwrap();
    let bobs = of(bob.id).await.unwrap();
    assert_eq!((bobs.role, bobs.left_at, bobs.delivered_seq), (Role::Member, None, message.seq));
    assert!(bobs.read_seq < message.seq && bobs.last_seq == message.seq && bobs.deleted_at.is_none());
    assert_eq!((of(ada.id).await.unwrap().role, of(cid.id).await), (Role::Owner, None));
    world.apply(&[Op::Leave(room, bob.clone())]).await;
    let left = of(bob.id).await.unwrap();
    assert!(left.left_at.is_some_and(|at| at > left.joined_at), "{left:?}");
    world.apply(&[Op::Close(room, ada.clone())]).await;
    assert!(of(ada.id).await.unwrap().deleted_at.is_some());
    assert_eq!(world.store.standing(ConversationId::generate(), ada.id).await.unwrap(), None);
}

/// By the slugs of orgs; with the reports that wait in each.
pub async fn orgs_and_their_people_are_found_by_name(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("Ada").await, world.user("bob").await);
    let eve = world.foreigner("ada").await;
    let named = async |org: &str, name: &str| world.store.user_named(org, name).await.unwrap().map(|user| user.id);
    assert_eq!((named("acme", "ada").await, named("acme", "ADA").await), (Some(ada.id), Some(ada.id)));
    assert_eq!((named("elsewhere", "ada").await, named("acme", "eve").await), (Some(eve.id), None));
    assert_eq!((named("nowhere", "ada").await, named("", "").await), (None, None));
    let org = async |slug: &str| world.store.org_named(slug).await.unwrap();
    assert_eq!(
        (org("acme").await, org("elsewhere").await, org("nowhere").await),
        (Some(world.org), Some(eve.org_id), None)
    );
    let report = NewReport {
        id: ReportId::generate(),
        org_id: world.org,
        reporter: ada.id,
        user: bob.id,
        message: None,
        reason: ReportReason::Spam,
        comment: None,
        now: world.now(),
    };
    world.store.report(report).await.unwrap();
    let slugs = async |after: &str, limit| {
        let orgs = world.store.orgs(after, limit).await.unwrap();
        // Some stores begin with the org of a system that names none.
        let made = orgs.into_iter().filter(|org| org.slug != "default");
        made.map(|org| (org.slug, org.open_reports)).collect::<Vec<_>>()
    };
    assert_eq!(slugs("", 10).await, [("acme".to_owned(), 1), ("elsewhere".to_owned(), 0)]);
    assert_eq!((slugs("acme", 10).await.len(), slugs("", 1).await.len(), slugs("zzz", 10).await.len()), (1, 1, 0));
}
