//! Moderation: blocking, reporting, and what only admins of the org may do.

use bus::Topic;
use protocol::{
    AuditAction, ConversationKind, CreateReport, ErrorCode, MessageId, OrgRole, OrgUserPatch, Report, ReportId,
    ReportPatch, ReportReason, ReportStatus, UserId,
};

use crate::{
    Caller, FeedEffect, OrgUsersFilter,
    envelope::FeedMoved,
    testing::{World, code, field},
};

fn about(message_id: Option<MessageId>, user_id: Option<UserId>) -> CreateReport {
    CreateReport { message_id, user_id, reason: ReportReason::Spam, comment: None }
}

async fn admin(world: &World) -> Caller {
    let mut admin = world.user("admin").await;
    admin.user.role = OrgRole::Admin;
    admin
}

#[tokio::test]
async fn a_block_is_told_to_ones_own_devices_once_and_is_no_news_twice() {
    let mut world = World::start().await;
    let (ann, ben, sam) = (world.user("ann").await, world.user("ben").await, world.stranger("sam").await);
    world.listen(Topic::User(ann.user.id)).await;
    let blocked = async |world: &World| {
        let page = world.chat.blocked_users(&ann, None, None).await.unwrap();
        page.items.into_iter().map(|user| user.id).collect::<Vec<_>>()
    };
    for (block, kind, listed) in [(true, "user.blocked", vec![ben.user.id]), (false, "user.unblocked", Vec::new())] {
        for _ in 0..2 {
            world.chat.set_blocked(&ann, ben.user.id, block).await.unwrap();
        }
        let head = FeedMoved::decode(&world.heard().await.1).unwrap().user_seq;
        let (now, events) = world.chat.feed(ann.user.id, head - 1).await.unwrap();
        let frame: serde_json::Value = serde_json::from_slice(&events[0].frame).unwrap();
        assert_eq!((now, events.len(), events[0].effect), (head, 1, FeedEffect::None));
        assert_eq!((frame["type"].as_str(), &frame["data"]["user_id"]), (Some(kind), &ben.user.id.to_string().into()));
        assert_eq!(blocked(&world).await, listed);
    }
    assert_eq!(field(world.chat.set_blocked(&ann, ann.user.id, true).await), "id");
    for nobody in [sam.user.id, UserId::generate()] {
        assert_eq!(code(world.chat.set_blocked(&ann, nobody, true).await), ErrorCode::NotFound);
    }
    assert_eq!(field(world.chat.blocked_users(&ann, Some("no cursor"), None).await), "cursor");
}

#[tokio::test]
async fn a_report_keeps_what_was_said_and_is_decided_by_an_admin() {
    let world = World::start().await;
    let (admin, ann, ben, eve) =
        (admin(&world).await, world.user("ann").await, world.user("ben").await, world.user("eve").await);
    let room = world.room(ConversationKind::Group, &ann, &[&ben]).await;
    let message = world.say(&ben, room, "buy this").await;
    let (report, new) = world.chat.report(&ann, about(Some(message.id), None)).await.unwrap();
    assert_eq!((new, report.user.id, report.content.as_deref()), (true, ben.user.id, Some("buy this")));
    world.chat.delete(&ben, message.id).await.unwrap();
    let (again, new) = world.chat.report(&ann, about(Some(message.id), None)).await.unwrap();
    assert_eq!((again.id, new), (report.id, false));
    world.chat.report(&eve, about(None, Some(ben.user.id))).await.unwrap();

    let open =
        async |status| -> Vec<Report> { world.chat.reports(&admin, Some(status), None, None).await.unwrap().items };
    assert_eq!(open(ReportStatus::Open).await.len(), 2);
    let patch = ReportPatch { status: ReportStatus::Resolved };
    let decided = world.chat.decide_report(&admin, report.id, patch).await.unwrap();
    assert_eq!(decided.decided_by.map(|sender| sender.id), Some(admin.user.id));
    let resolved = open(ReportStatus::Resolved).await;
    assert_eq!((resolved.len(), resolved[0].content.as_deref()), (1, Some("buy this")));
    let log = world.chat.audit_log(&admin, None, None).await.unwrap().items;
    assert_eq!((log[0].action, log[0].details.as_deref()), (AuditAction::ReportDecided, Some("resolved")));
    assert_eq!(log[0].target_id, report.id.0);
    assert_eq!(code(world.chat.decide_report(&admin, ReportId::generate(), patch).await), ErrorCode::NotFound);
}

#[tokio::test]
async fn what_cannot_be_reported() {
    let world = World::start().await;
    let (ann, ben, eve) = (world.user("ann").await, world.user("ben").await, world.user("eve").await);
    let sam = world.stranger("sam").await;
    let room = world.room(ConversationKind::Group, &ann, &[&ben]).await;
    let message = world.say(&ann, room, "hello").await;
    for bad in [about(None, None), about(Some(message.id), Some(ann.user.id))] {
        assert_eq!(field(world.chat.report(&ben, bad).await), "message_id");
    }
    let long = CreateReport { comment: Some("x".repeat(1_001)), ..about(None, Some(ann.user.id)) };
    assert_eq!(field(world.chat.report(&ben, long).await), "comment");
    assert_eq!(code(world.chat.report(&ann, about(None, Some(ann.user.id))).await), ErrorCode::Forbidden);
    assert_eq!(code(world.chat.report(&ann, about(Some(message.id), None)).await), ErrorCode::Forbidden);
    assert_eq!(code(world.chat.report(&eve, about(Some(message.id), None)).await), ErrorCode::NotFound);
    assert_eq!(code(world.chat.report(&ben, about(None, Some(sam.user.id))).await), ErrorCode::NotFound);
    let first = world.chat.history(&ben, room, protocol::HistoryWindow::Latest, None).await.unwrap().items.remove(0);
    assert_eq!(field(world.chat.report(&ben, about(Some(first.id), None)).await), "message_id");
}

#[tokio::test]
async fn an_admin_disables_and_promotes_others_and_it_is_logged() {
    let mut world = World::start().await;
    let (admin, ben) = (admin(&world).await, world.user("ben").await);
    world.listen(Topic::User(ben.user.id)).await;
    let disable = |disabled| OrgUserPatch { disabled: Some(disabled), role: None };
    for _ in 0..2 {
        let user = world.chat.update_org_user(&admin, ben.user.id, disable(true)).await.unwrap();
        assert!(user.disabled_at.is_some());
    }
    let head = FeedMoved::decode(&world.heard().await.1).unwrap().user_seq;
    let (_, events) = world.chat.feed(ben.user.id, head - 1).await.unwrap();
    assert_eq!(events.iter().map(|event| event.effect).collect::<Vec<_>>(), [FeedEffect::Disabled]);
    let filter = OrgUsersFilter { disabled: Some(true), ..OrgUsersFilter::default() };
    let disabled = world.chat.org_users(&admin, filter, None, None).await.unwrap().items;
    assert_eq!(disabled.iter().map(|user| user.id).collect::<Vec<_>>(), [ben.user.id]);

    let both = OrgUserPatch { disabled: Some(false), role: Some(OrgRole::Admin) };
    let user = world.chat.update_org_user(&admin, ben.user.id, both).await.unwrap();
    assert_eq!((user.disabled_at, user.role), (None, OrgRole::Admin));
    let log = world.chat.audit_log(&admin, None, None).await.unwrap().items;
    let actions: Vec<_> = log.iter().map(|entry| entry.action).collect();
    assert_eq!(actions, [AuditAction::UserEnabled, AuditAction::UserRole, AuditAction::UserDisabled]);
    assert_eq!(log[1].details.as_deref(), Some("admin"));
}

#[tokio::test]
async fn only_admins_of_the_org_do_these_and_never_to_themselves_or_other_orgs() {
    let world = World::start().await;
    let (admin, ben, sam) = (admin(&world).await, world.user("ben").await, world.stranger("sam").await);
    let patch = OrgUserPatch { disabled: Some(true), role: None };
    let decision = ReportPatch { status: ReportStatus::Dismissed };
    assert_eq!(code(world.chat.update_org_user(&ben, admin.user.id, patch).await), ErrorCode::Forbidden);
    assert_eq!(code(world.chat.org_users(&ben, OrgUsersFilter::default(), None, None).await), ErrorCode::Forbidden);
    assert_eq!(code(world.chat.reports(&ben, None, None, None).await), ErrorCode::Forbidden);
    assert_eq!(code(world.chat.decide_report(&ben, ReportId::generate(), decision).await), ErrorCode::Forbidden);
    assert_eq!(code(world.chat.audit_log(&ben, None, None).await), ErrorCode::Forbidden);
    assert_eq!(code(world.chat.update_org_user(&admin, admin.user.id, patch).await), ErrorCode::Forbidden);
    assert_eq!(code(world.chat.update_org_user(&admin, sam.user.id, patch).await), ErrorCode::NotFound);
    let all = world.chat.org_users(&admin, OrgUsersFilter::default(), None, None).await.unwrap().items;
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(field(world.chat.audit_log(&admin, Some("no cursor"), None).await), "cursor");
    assert_eq!(field(world.chat.reports(&admin, None, None, Some(101)).await), "limit");
}
