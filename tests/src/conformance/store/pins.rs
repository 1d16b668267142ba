//! What else a message keeps: pins, attachments; and what a deletion leaves of all that.

use std::sync::Arc;

use protocol::{Attachment, AttachmentKind};
use store::{Scope, Store};

use super::{op::Op, world::World};

fn attachment(n: u64) -> Attachment {
    Attachment {
        kind: AttachmentKind::Image,
        url: format!("https://example.org/{n}.png"),
        name: Some("ein Bild 🖼".into()),
        media_type: Some("image/png".into()),
        byte_size: Some(u64::from(u32::MAX) + n),
        width: Some(640),
        height: None,
        duration_ms: None,
        thumbnail_url: None,
    }
}

/// A change each, with the count in the conversation's row.
pub async fn a_pin_is_a_change_and_is_counted(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let (one, two) = (world.send(group, &ada, "one").await, world.send(group, &ada, "two").await);
    let count = async || {
        let scope = Scope { conversations: vec![group], ..Scope::default() };
        world.look(&scope).await.conversations[&group].pin_count
    };
    assert_eq!(count().await, 0);
    let pinned = world.apply_one(Op::Pin(group, one.id, true)).await;
    assert_eq!((pinned.changed_seq, pinned.pinned_at.is_some(), pinned.edited_at), (4, true, None));
    assert_eq!(world.store.message(bob.id, one.id).await.unwrap(), Some(pinned.clone()));
    let both = world.apply(&[Op::Pin(group, two.id, true), Op::Edit(group, one.id, "uno".into())]).await;
    assert_eq!(both.messages[&one.id].pinned_at, pinned.pinned_at, "no other change moves it");
    assert_eq!(count().await, 2);
    let off = world.apply(&[Op::Pin(group, two.id, false), Op::Pin(group, one.id, false)]).await;
    assert!(off.messages.values().all(|message| message.pinned_at.is_none()));
    assert_eq!(count().await, 0);
    let again = world.apply(&[Op::Pin(group, one.id, true), Op::Pin(group, one.id, false)]).await;
    assert_eq!((again.messages[&one.id].pinned_at, again.messages[&one.id].changed_seq), (None, 10));
}

/// As they were given.
pub async fn attachments_come_back_as_they_were(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let group = world.group(&[&ada]).await;
    let mut op = Op::send(group, &ada, "");
    if let Op::Send { attachments, .. } = &mut op {
        *attachments = (0..10).map(attachment).collect();
    }
    let sent = world.apply_one(op).await;
    assert_eq!(sent.attachments, (0..10).map(attachment).collect::<Vec<_>>());
    assert_eq!(world.store.message(ada.id, sent.id).await.unwrap(), Some(sent.clone()));
    let edited = world.apply_one(Op::Edit(group, sent.id, "look".into())).await;
    assert_eq!(edited.attachments, sent.attachments, "an edit leaves them");
}

/// A tombstone has its place, its time and its sender.
pub async fn a_tombstone_keeps_nothing_of_what_it_was(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let group = world.group(&[&ada, &bob]).await;
    let root = world.send(group, &ada, "root").await;
    let mut op = Op::mentioning(group, &ada, "abcd", &[Some(&bob), None]);
    if let Op::Send { attachments, thread, .. } = &mut op {
        *attachments = vec![attachment(1)];
        *thread = Some(root.id);
    }
    let sent = world.apply_one(op).await;
    let react = Op::React(group, sent.id, bob.clone(), "👍".into());
    world.apply(&[react.clone(), Op::Pin(group, sent.id, true), Op::Edit(group, sent.id, "new".into())]).await;
    let gone = world.apply(&[Op::Delete(group, sent.id), Op::Pin(group, sent.id, true), react]).await;
    for gone in [gone.messages[&sent.id].clone(), world.store.message(bob.id, sent.id).await.unwrap().unwrap()] {
        assert!(gone.deleted_at.is_some() && gone.content.is_empty() && gone.pinned_at.is_none(), "{gone:?}");
        assert!(gone.mentions.is_empty() && gone.attachments.is_empty() && gone.reactions.is_empty(), "{gone:?}");
        assert_eq!((gone.seq, gone.number, gone.changed_seq), (3, 2, 9));
        assert_eq!((gone.thread_root_id, gone.sender.id), (Some(root.id), ada.id));
    }
    assert_eq!(world.view(&bob, group).await.mention_count, 0);
}
