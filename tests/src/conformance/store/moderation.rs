//! Blocks, reports, and what admins of an org do: with an entry in the audit log, and once.

use std::sync::Arc;

use protocol::{
    AuditAction, AuditId, OrgRole, Page, Report, ReportId, ReportReason, ReportStatus, User, UserId, UserSeq,
};
use store::{Conflict, FeedChange, NewAudit, NewReport, OrgUsersFilter, ReportsFilter, Store, StoreError};

use super::World;

async fn head(world: &World, user: &User) -> UserSeq {
    world.store.feed_heads(&[user.id]).await.unwrap()[0].1
}

fn audit(world: &World, by: &User, action: AuditAction, target: uuid::Uuid) -> NewAudit {
    NewAudit {
        id: AuditId::generate(),
        org_id: by.org_id,
        actor: by.id,
        action,
        target,
        details: Some("why".into()),
        now: world.now(),
    }
}

/// The blocker's feed moves when something changed; both ways count for the two of them.
pub async fn a_block_is_told_to_the_blocker_alone(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cid) = (world.user("ada").await, world.user("bob").await, world.user("cid").await);
    let eve = world.foreigner("eve").await;
    let set = async |user: &User, other: &User, blocked| {
        world.store.set_blocked(user.id, other.id, blocked, world.now()).await
    };
    let between = async |one: &User, other: &User| world.store.blocked_between(one.id, other.id).await.unwrap();
    let before = (head(&world, &ada).await, head(&world, &bob).await);
    assert_eq!(set(&ada, &bob, false).await.unwrap(), None, "there was no block");
    assert_eq!(set(&ada, &bob, true).await.unwrap(), Some(before.0 + 1));
    assert_eq!(set(&ada, &bob, true).await.unwrap(), None);
    assert_eq!((between(&ada, &bob).await, between(&bob, &ada).await, between(&ada, &cid).await), (true, true, false));
    assert_eq!(head(&world, &bob).await, before.1, "who is blocked is not told");
    assert_eq!(set(&bob, &ada, true).await.unwrap(), Some(before.1 + 1));
    assert_eq!(set(&ada, &bob, false).await.unwrap(), Some(before.0 + 2));
    assert!(between(&ada, &bob).await, "the other one's is still there");
    let feed = world.store.feed(ada.id, before.0).await.unwrap();
    assert_eq!(feed.items.len(), 1);
    assert!(matches!(feed.items[0].change, FeedChange::Blocked(id, false) if id == bob.id), "{:?}", feed.items);
    for nobody in [&eve, &User { id: UserId::generate(), ..cid.clone() }] {
        let refused = set(&ada, nobody, true).await;
        assert!(matches!(refused, Err(StoreError::Conflict(Conflict::UnknownUser))), "{refused:?}");
    }
}

/// The last blocked first.
pub async fn blocked_users_are_listed_page_by_page(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let ada = world.user("ada").await;
    let mut names = Vec::new();
    for i in 0..5 {
        let user = world.user(&format!("user{i}")).await;
        world.store.set_blocked(ada.id, user.id, true, world.now()).await.unwrap();
        names.insert(0, user.username.clone());
        if i == 2 {
            world.store.set_blocked(ada.id, user.id, false, world.now()).await.unwrap();
            names.remove(0);
        }
    }
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = world.store.blocked_users(ada.id, cursor.as_deref(), 3).await.unwrap();
        seen.extend(page.items.into_iter().map(|user| user.username));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, names);
    let refused = world.store.blocked_users(ada.id, Some("nonsense"), 3).await;
    assert!(matches!(refused, Err(StoreError::BadCursor)), "{refused:?}");
}

/// With an entry in the log each; what changes nothing leaves none.
pub async fn what_admins_change_of_users_is_in_the_audit_log_once(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (boss, bob, eve) = (world.user("boss").await, world.user("bob").await, world.foreigner("eve").await);
    let before = head(&world, &bob).await;
    let disable = async |id: UserId, disabled, logged: bool| {
        let action = if disabled { AuditAction::UserDisabled } else { AuditAction::UserEnabled };
        let entry = logged.then(|| audit(&world, &boss, action, id.0));
        world.store.set_disabled(world.org, id, disabled, entry, world.now()).await.unwrap()
    };
    let (user, moved) = disable(bob.id, true, true).await.unwrap();
    assert_eq!((user.disabled_at.is_some(), moved), (true, Some(before + 1)));
    assert_eq!(disable(bob.id, true, true).await.unwrap(), (user, None));
    let (user, moved) = disable(bob.id, false, false).await.unwrap();
    assert_eq!((user.disabled_at, moved), (None, Some(before + 2)));
    let role = async |id: UserId, role| {
        let entry = audit(&world, &boss, AuditAction::UserRole, id.0);
        world.store.set_org_role(world.org, id, role, Some(entry)).await.unwrap()
    };
    assert_eq!(role(bob.id, OrgRole::Admin).await.unwrap().role, OrgRole::Admin);
    assert_eq!(role(bob.id, OrgRole::Admin).await.unwrap().role, OrgRole::Admin);
    assert_eq!(world.store.user(bob.id).await.unwrap().unwrap().role, OrgRole::Admin);
    for stranger in [eve.id, UserId::generate()] {
        assert_eq!(disable(stranger, true, true).await, None);
        assert_eq!(role(stranger, OrgRole::Admin).await, None);
    }
    let log = world.store.audit_log(world.org, None, 10).await.unwrap().items;
    let entries: Vec<_> = log.iter().map(|entry| (entry.action, entry.target_id)).collect();
    assert_eq!(entries, [(AuditAction::UserRole, bob.id.0), (AuditAction::UserDisabled, bob.id.0)]);
    assert_eq!((log[0].actor.id, log[0].details.as_deref()), (boss.id, Some("why")));
    assert!(world.store.audit_log(eve.org_id, None, 10).await.unwrap().items.is_empty());
}

/// Newest first, each once.
pub async fn the_audit_log_is_read_page_by_page(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (boss, bob) = (world.user("boss").await, world.user("bob").await);
    for i in 0..5 {
        let (disabled, action) =
            if i % 2 == 0 { (true, AuditAction::UserDisabled) } else { (false, AuditAction::UserEnabled) };
        let entry = audit(&world, &boss, action, bob.id.0);
        world.store.set_disabled(world.org, bob.id, disabled, Some(entry), world.now()).await.unwrap();
    }
    let page = async |cursor: Option<&str>| world.store.audit_log(world.org, cursor, 3).await.unwrap();
    let first = page(None).await;
    let second = page(first.next_cursor.as_deref()).await;
    assert_eq!((first.items.len(), second.items.len(), second.next_cursor), (3, 2, None));
    let times: Vec<_> = first.items.iter().chain(&second.items).map(|entry| entry.created_at).collect();
    assert!(times.windows(2).all(|pair| pair[0] > pair[1]), "{times:?}");
    let refused = world.store.audit_log(world.org, Some("nonsense"), 3).await;
    assert!(matches!(refused, Err(StoreError::BadCursor)), "{refused:?}");
}

/// By role, by state, by the start of a name; page by page.
pub async fn users_of_an_org_are_listed_for_its_admins(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    world.foreigner("alien").await;
    let mut users = Vec::new();
    for name in ["Ada", "albert", "bob", "cid"] {
        users.push(world.user(name).await);
    }
    world.store.set_org_role(world.org, users[2].id, OrgRole::Admin, None).await.unwrap();
    world.store.set_disabled(world.org, users[1].id, true, None, world.now()).await.unwrap();
    let list = async |filter: OrgUsersFilter, after: Option<&str>, limit| {
        let Page { items, next_cursor } = world.store.org_users(world.org, &filter, after, limit).await.unwrap();
        (items.into_iter().map(|user| user.username).collect::<Vec<_>>(), next_cursor)
    };
    let all = OrgUsersFilter::default();
    let (first, cursor) = list(all.clone(), None, 3).await;
    assert_eq!(first, ["Ada", "albert", "bob"]);
    assert_eq!(list(all.clone(), cursor.as_deref(), 3).await, (vec!["cid".to_owned()], None));
    assert_eq!(list(OrgUsersFilter { query: "a".into(), ..all.clone() }, None, 9).await.0, ["Ada", "albert"]);
    assert_eq!(list(OrgUsersFilter { disabled: Some(true), ..all.clone() }, None, 9).await.0, ["albert"]);
    assert_eq!(list(OrgUsersFilter { disabled: Some(false), ..all.clone() }, None, 9).await.0, ["Ada", "bob", "cid"]);
    assert_eq!(list(OrgUsersFilter { role: Some(OrgRole::Admin), ..all.clone() }, None, 9).await.0, ["bob"]);
    let none = OrgUsersFilter { query: "A".into(), role: Some(OrgRole::Admin), disabled: None };
    assert_eq!(list(none, None, 9).await, (Vec::new(), None));
}

async fn report(world: &World, by: &User, of: &User, message: Option<&protocol::Message>) -> (Report, bool) {
    let new = NewReport {
        id: ReportId::generate(),
        org_id: world.org,
        reporter: by.id,
        user: of.id,
        message: message.map(|message| (message.id, message.conversation_id, message.content.clone())),
        reason: ReportReason::Abuse,
        comment: Some("look".into()),
        now: world.now(),
    };
    world.store.report(new).await.unwrap()
}

/// A second one finds the first; deleting the message destroys no evidence.
pub async fn the_same_thing_is_reported_once_by_each(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (ada, bob, cid) = (world.user("ada").await, world.user("bob").await, world.user("cid").await);
    let group = world.group(&[&ada, &bob, &cid]).await;
    let one = world.send(group, &bob, "an insult").await;
    let two = world.send(group, &bob, "another").await;
    let (first, new) = report(&world, &ada, &bob, Some(&one)).await;
    assert!(new);
    assert_eq!((first.reporter.id, first.user.id, first.content.as_deref()), (ada.id, bob.id, Some("an insult")));
    assert_eq!((first.status, first.reason, first.decided_at), (ReportStatus::Open, ReportReason::Abuse, None));
    assert_eq!((first.message_id, first.conversation_id), (Some(one.id), Some(group)));
    world.apply(&[super::Op::Delete(group, one.id)]).await;
    assert_eq!(report(&world, &ada, &bob, Some(&one)).await, (first, false));
    let others = [(&ada, Some(&two)), (&ada, None), (&cid, Some(&one)), (&cid, None)];
    for (by, message) in others {
        assert!(report(&world, by, &bob, message).await.1);
        assert!(!report(&world, by, &bob, message).await.1);
    }
    let eve = world.foreigner("eve").await;
    let new = NewReport {
        id: ReportId::generate(),
        org_id: world.org,
        reporter: ada.id,
        user: eve.id,
        message: None,
        reason: ReportReason::Other,
        comment: None,
        now: world.now(),
    };
    let refused = world.store.report(new).await;
    assert!(matches!(refused, Err(StoreError::Conflict(Conflict::UnknownUser))), "{refused:?}");
}

/// By status, newest first; decided with an entry in the log; opened again with nobody's name on it.
pub async fn reports_are_listed_and_decided(store: Arc<dyn Store>) {
    let world = World::new(store).await;
    let (boss, bob) = (world.user("boss").await, world.user("bob").await);
    let mut made = Vec::new();
    for i in 0..5 {
        let by = world.user(&format!("user{i}")).await;
        made.insert(0, report(&world, &by, &bob, None).await.0.id);
    }
    let list = async |status, cursor: Option<&str>| {
        let filter = ReportsFilter { status };
        let Page { items, next_cursor } = world.store.reports(world.org, filter, cursor, 3).await.unwrap();
        (items.into_iter().map(|report| report.id).collect::<Vec<_>>(), next_cursor)
    };
    let (first, cursor) = list(None, None).await;
    assert_eq!(first, made[..3]);
    assert_eq!(list(None, cursor.as_deref()).await, (made[3..].to_vec(), None));
    let decide = async |id: ReportId, status| {
        let entry = audit(&world, &boss, AuditAction::ReportDecided, id.0);
        world.store.decide_report(world.org, id, status, entry).await.unwrap()
    };
    let decided = decide(made[1], ReportStatus::Resolved).await.unwrap();
    assert_eq!((decided.status, decided.decided_by.as_ref().map(|by| by.id)), (ReportStatus::Resolved, Some(boss.id)));
    assert!(decided.decided_at.is_some());
    assert_eq!(decide(made[1], ReportStatus::Resolved).await, Some(decided), "decided so before");
    assert_eq!(list(Some(ReportStatus::Resolved), None).await, (vec![made[1]], None));
    assert_eq!(list(Some(ReportStatus::Open), None).await.0, [made[0], made[2], made[3]]);
    assert!(list(Some(ReportStatus::Dismissed), None).await.0.is_empty());
    let open = decide(made[1], ReportStatus::Open).await.unwrap();
    assert_eq!((open.status, open.decided_at, open.decided_by), (ReportStatus::Open, None, None));
    assert_eq!(decide(ReportId::generate(), ReportStatus::Resolved).await, None);
    assert_eq!(world.store.audit_log(world.org, None, 10).await.unwrap().items.len(), 2);

    let eve = world.foreigner("eve").await;
    let entry = audit(&world, &eve, AuditAction::ReportDecided, made[0].0);
    let foreign = world.store.decide_report(eve.org_id, made[0], ReportStatus::Dismissed, entry).await.unwrap();
    assert_eq!(foreign, None);
    let all = ReportsFilter { status: None };
    assert!(world.store.reports(eve.org_id, all, None, 10).await.unwrap().items.is_empty());
    assert!(world.store.audit_log(eve.org_id, None, 10).await.unwrap().items.is_empty(), "nothing was done");
}
