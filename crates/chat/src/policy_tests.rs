//! The policy as tables: each row is a sentence that somebody could ask about.

use ConversationKind::{Direct, Group, Public};
use Role::{Admin, Member, Owner};
use protocol::{ConversationId, History, MessageId, Notify, Sender};

use super::*;

fn conversation(kind: ConversationKind, org_id: OrgId) -> LockedConversation {
    LockedConversation {
        org_id,
        kind,
        title: None,
        description: None,
        avatar_url: None,
        posting: Posting::Everyone,
        history: History::All,
        last_seq: 5,
        last_number: 3,
        access_seq: 1,
        participant_count: 3,
        owner_count: 1,
        slow_mode_seconds: 0,
        pin_count: 0,
        blocked: false,
        archived_at: None,
        deleted_at: None,
    }
}

fn row(role: Role) -> LockedParticipant {
    LockedParticipant {
        role,
        active: true,
        access_since_seq: 0,
        last_sent_at: None,
        notify: Notify::All,
        muted_until: None,
    }
}

fn moment() -> Timestamp {
    Timestamp::from_unix_millis(1_790_000_000_000).unwrap()
}

fn after(millis: i64) -> Timestamp {
    Timestamp::from_unix_millis(moment().unix_millis() + millis).unwrap()
}

fn text(sender: UserId) -> Message {
    Message {
        id: MessageId::generate(),
        conversation_id: ConversationId::generate(),
        seq: 4,
        changed_seq: 4,
        number: 2,
        kind: MessageKind::Text,
        sender: Sender { id: sender, username: "u".into(), display_name: "U".into(), avatar_url: None },
        content: "hello".into(),
        system: None,
        client_id: None,
        reply_to: None,
        thread_root_id: None,
        thread: None,
        mentions: Vec::new(),
        attachments: Vec::new(),
        reactions: Vec::new(),
        pinned_at: None,
        edited_at: None,
        deleted_at: None,
        created_at: moment(),
    }
}

#[test]
fn an_outsider_cannot_tell_a_conversation_that_exists_from_one_that_does_not() {
    let org = OrgId::generate();
    let left = LockedParticipant { active: false, ..row(Owner) };
    for (kind, refusal) in [(Direct, Refusal::NotFound), (Group, Refusal::NotFound), (Public, Refusal::NotAParticipant)]
    {
        let here = conversation(kind, org);
        assert_eq!(taking_part(&here, org, None).unwrap_err(), refusal, "{kind:?}, never in it");
        assert_eq!(taking_part(&here, org, Some(&left)).unwrap_err(), refusal, "{kind:?}, left");
        assert!(taking_part(&here, org, Some(&row(Member))).is_ok(), "{kind:?}, in it");
        let elsewhere = taking_part(&here, OrgId::generate(), None).unwrap_err();
        assert_eq!(elsewhere, Refusal::NotFound, "{kind:?}, of another org");
        let gone = LockedConversation { deleted_at: Some(moment()), ..here };
        assert_eq!(taking_part(&gone, org, Some(&row(Owner))).unwrap_err(), Refusal::NotFound, "{kind:?}, deleted");
    }
}

#[test]
fn reads_follow_the_same_rule_as_writes() {
    let look = |kind, participant| {
        Some(Access {
            kind,
            participant,
            last_seq: 1,
            posting: Posting::Everyone,
            archived_at: None,
            blocked: false,
            participant_count: 1,
        })
    };
    assert_eq!(reading(None), Err(Refusal::NotFound));
    assert_eq!(reading(look(Group, None).as_ref()), Err(Refusal::NotFound));
    assert_eq!(reading(look(Public, None).as_ref()), Err(Refusal::NotAParticipant));
    assert_eq!(reading(look(Group, Some(row(Member))).as_ref()), Ok(()));
    let left = LockedParticipant { active: false, ..row(Member) };
    assert_eq!(reading(look(Public, Some(left)).as_ref()), Err(Refusal::NotAParticipant));
}

#[test]
fn who_may_send() {
    let open = conversation(Group, OrgId::generate());
    let announcing = LockedConversation { posting: Posting::Admins, ..open.clone() };
    let archived = LockedConversation { archived_at: Some(moment()), ..open.clone() };
    let direct = conversation(Direct, OrgId::generate());
    let blocked = LockedConversation { blocked: true, ..direct.clone() };
    for (here, role, verdict) in [
        (&open, Member, Ok(())),
        (&announcing, Member, Err(Refusal::PostingRestricted)),
        (&announcing, Admin, Ok(())),
        (&announcing, Owner, Ok(())),
        (&archived, Owner, Err(Refusal::Archived)),
        (&direct, Member, Ok(())),
        (&blocked, Member, Err(Refusal::Blocked)),
    ] {
        assert_eq!(send(here, &row(role), moment()), verdict, "{role:?}, {:?}", here.posting);
    }
}

#[test]
fn in_slow_mode_a_member_waits_and_an_admin_does_not() {
    let slow = LockedConversation { slow_mode_seconds: 10, ..conversation(Group, OrgId::generate()) };
    for (since, role, verdict) in [
        (0, Member, Err(Refusal::SlowMode(10_000))),
        (9_999, Member, Err(Refusal::SlowMode(1))),
        (10_000, Member, Ok(())),
        // Another node's clock was ahead when it wrote.
        (-60_000, Member, Err(Refusal::SlowMode(10_000))),
        (0, Admin, Ok(())),
        (0, Owner, Ok(())),
    ] {
        let sent = LockedParticipant { last_sent_at: Some(after(-since)), ..row(role) };
        assert_eq!(send(&slow, &sent, moment()), verdict, "{since} ms after, {role:?}");
    }
    assert_eq!(send(&slow, &row(Member), moment()), Ok(()), "who never sent waits for nothing");
    let sent = LockedParticipant { last_sent_at: Some(moment()), ..row(Member) };
    assert_eq!(send(&conversation(Group, OrgId::generate()), &sent, moment()), Ok(()), "there is no slow mode");
}

#[test]
fn who_may_mention_everybody() {
    for (kind, role, verdict) in [
        (Group, Member, Err(Refusal::Forbidden)),
        (Group, Admin, Ok(())),
        (Public, Owner, Ok(())),
        (Direct, Member, Err(Refusal::Forbidden)),
        (Direct, Owner, Err(Refusal::Forbidden)),
    ] {
        let here = conversation(kind, OrgId::generate());
        assert_eq!(mention_everybody(&here, &row(role)), verdict, "{kind:?}, {role:?}");
    }
}

#[test]
fn who_may_edit() {
    let (me, other) = (UserId::generate(), UserId::generate());
    let here = conversation(Group, OrgId::generate());
    let archived = LockedConversation { archived_at: Some(moment()), ..here.clone() };
    let blocked = LockedConversation { blocked: true, ..conversation(Direct, OrgId::generate()) };
    let system = Message { kind: MessageKind::System, ..text(me) };
    let gone = Message { deleted_at: Some(moment()), ..text(me) };
    let at = moment();
    assert_eq!(edit(&here, me, &text(me), at, 0), Ok(()));
    assert_eq!(edit(&here, me, &gone, at, 0), Err(Refusal::MessageDeleted));
    assert_eq!(edit(&here, me, &text(other), at, 0), Err(Refusal::Forbidden));
    assert_eq!(edit(&here, me, &system, at, 0), Err(Refusal::Forbidden));
    assert_eq!(edit(&archived, me, &text(me), at, 0), Err(Refusal::Archived));
    assert_eq!(edit(&blocked, me, &text(me), at, 0), Err(Refusal::Blocked));
    assert_eq!(delete(&blocked, me, &row(Member), &text(me)), Ok(()), "one may take back what one wrote");
    assert_eq!(edit(&here, me, &text(me), after(60_000), 60), Ok(()));
    assert_eq!(edit(&here, me, &text(me), after(60_001), 60), Err(Refusal::EditWindowPassed));
    assert_eq!(edit(&here, me, &text(me), after(-5_000), 1), Ok(()), "the other node's clock was ahead");
    assert_eq!(edit(&here, me, &text(me), after(60_001), u64::MAX), Ok(()));
    let newcomer = LockedParticipant { access_since_seq: 4, ..row(Member) };
    assert!(!sees(&newcomer, &text(me)));
    assert!(sees(&row(Member), &text(me)));
}

#[test]
fn who_may_react() {
    let other = UserId::generate();
    let here = conversation(Group, OrgId::generate());
    let archived = LockedConversation { archived_at: Some(moment()), ..here.clone() };
    let announcing = LockedConversation { posting: Posting::Admins, ..here.clone() };
    let blocked = LockedConversation { blocked: true, ..conversation(Direct, OrgId::generate()) };
    let system = Message { kind: MessageKind::System, ..text(other) };
    let gone = Message { deleted_at: Some(moment()), ..text(other) };
    for (here, message, verdict) in [
        (&here, &text(other), Ok(())),
        (&announcing, &text(other), Ok(())),
        (&here, &system, Err(Refusal::Forbidden)),
        (&here, &gone, Err(Refusal::MessageDeleted)),
        (&archived, &text(other), Err(Refusal::Archived)),
        (&blocked, &text(other), Err(Refusal::Blocked)),
    ] {
        assert_eq!(react(here, message), verdict);
    }
}

#[test]
fn who_may_pin() {
    let other = UserId::generate();
    let system = Message { kind: MessageKind::System, ..text(other) };
    let gone = Message { deleted_at: Some(moment()), ..text(other) };
    for (kind, role, message, verdict) in [
        (Direct, Member, &text(other), Ok(())),
        (Group, Member, &text(other), Err(Refusal::Forbidden)),
        (Group, Admin, &text(other), Ok(())),
        (Public, Member, &text(other), Err(Refusal::Forbidden)),
        (Public, Owner, &text(other), Ok(())),
        (Group, Admin, &system, Err(Refusal::Forbidden)),
        (Group, Admin, &gone, Err(Refusal::MessageDeleted)),
    ] {
        assert_eq!(pin(&conversation(kind, OrgId::generate()), &row(role), message), verdict, "{kind:?}, {role:?}");
    }
    let archived = LockedConversation { archived_at: Some(moment()), ..conversation(Group, OrgId::generate()) };
    assert_eq!(pin(&archived, &row(Owner), &text(other)), Err(Refusal::Archived));
}

#[test]
fn every_refusal_has_its_code_and_slow_mode_tells_how_long() {
    for (refusal, code) in [
        (Refusal::NotFound, ErrorCode::NotFound),
        (Refusal::NoSuchMessage, ErrorCode::NotFound),
        (Refusal::NoSuchParticipant, ErrorCode::NotFound),
        (Refusal::NotAParticipant, ErrorCode::NotAParticipant),
        (Refusal::PostingRestricted, ErrorCode::PostingRestricted),
        (Refusal::Blocked, ErrorCode::Blocked),
        (Refusal::SlowMode(1_500), ErrorCode::SlowMode),
        (Refusal::Archived, ErrorCode::Archived),
        (Refusal::Forbidden, ErrorCode::Forbidden),
        (Refusal::WrongKind, ErrorCode::WrongKind),
        (Refusal::LastOwner, ErrorCode::LastOwner),
        (Refusal::MessageDeleted, ErrorCode::MessageDeleted),
        (Refusal::EditWindowPassed, ErrorCode::EditWindowPassed),
        (Refusal::PinsFull(50), ErrorCode::LimitReached),
        (Refusal::EmojiFull, ErrorCode::LimitReached),
        (Refusal::Disabled, ErrorCode::UserDisabled),
    ] {
        let error = ChatError::from(refusal);
        let wait = if let Refusal::SlowMode(millis) = refusal { Some(millis) } else { None };
        assert_eq!((error.code, error.retry_after_ms), (code, wait), "{refusal:?}");
    }
}

#[test]
fn who_may_delete() {
    let (me, other) = (UserId::generate(), UserId::generate());
    for (kind, role, sender, verdict) in [
        (Group, Member, me, Ok(())),
        (Group, Member, other, Err(Refusal::Forbidden)),
        (Group, Admin, other, Ok(())),
        (Public, Owner, other, Ok(())),
        (Direct, Member, me, Ok(())),
        (Direct, Owner, other, Err(Refusal::Forbidden)),
    ] {
        let here = conversation(kind, OrgId::generate());
        assert_eq!(delete(&here, me, &row(role), &text(sender)), verdict, "{kind:?}, {role:?}");
        let system = Message { kind: MessageKind::System, ..text(sender) };
        assert_eq!(delete(&here, me, &row(role), &system), Err(Refusal::Forbidden));
    }
}

#[test]
fn who_may_manage() {
    type Rule = fn(&LockedConversation, &LockedParticipant) -> Verdict;
    let wrong = || Err(Refusal::WrongKind);
    let forbidden = || Err(Refusal::Forbidden);
    let rules: [(&str, Rule, [[Verdict; 3]; 3]); 4] = [
        // Columns: member, admin, owner. Rows: direct, group, public.
        ("add", add, [[wrong(), wrong(), wrong()], [forbidden(), Ok(()), Ok(())], [wrong(), wrong(), wrong()]]),
        (
            "set_role",
            set_role,
            [[wrong(), wrong(), wrong()], [forbidden(), forbidden(), Ok(())], [forbidden(), forbidden(), Ok(())]],
        ),
        ("update", update, [[wrong(), wrong(), wrong()], [forbidden(), Ok(()), Ok(())], [forbidden(), Ok(()), Ok(())]]),
        (
            "delete_conversation",
            delete_conversation,
            [[wrong(), wrong(), wrong()], [forbidden(), forbidden(), Ok(())], [forbidden(), forbidden(), Ok(())]],
        ),
    ];
    for (name, rule, table) in rules {
        for (kind, verdicts) in [Direct, Group, Public].into_iter().zip(table) {
            for (role, verdict) in [Member, Admin, Owner].into_iter().zip(verdicts) {
                let here = conversation(kind, OrgId::generate());
                assert_eq!(rule(&here, &row(role)), verdict, "{name}: {role:?} of a {kind:?} conversation");
            }
        }
    }
}

#[test]
fn who_may_remove_whom() {
    for (actor, target, verdict) in [
        (Member, Member, Err(Refusal::Forbidden)),
        (Admin, Member, Ok(())),
        (Admin, Admin, Err(Refusal::Forbidden)),
        (Admin, Owner, Err(Refusal::Forbidden)),
        (Owner, Admin, Ok(())),
        (Owner, Owner, Ok(())),
    ] {
        for kind in [Group, Public] {
            let here = conversation(kind, OrgId::generate());
            assert_eq!(remove(&here, &row(actor), target), verdict, "{actor:?} removes {target:?}");
        }
        assert_eq!(remove(&conversation(Direct, OrgId::generate()), &row(actor), target), Err(Refusal::WrongKind));
    }
}

#[test]
fn the_last_owner_stays_while_others_do() {
    let crowd = conversation(Group, OrgId::generate());
    let two_owners = LockedConversation { owner_count: 2, ..crowd.clone() };
    let alone = LockedConversation { participant_count: 1, ..crowd.clone() };
    assert_eq!(leave(&crowd, &row(Owner)), Err(Refusal::LastOwner));
    assert_eq!(leave(&two_owners, &row(Owner)), Ok(()));
    assert_eq!(leave(&alone, &row(Owner)), Ok(()));
    assert_eq!(leave(&crowd, &row(Admin)), Ok(()));
    assert_eq!(leave(&conversation(Direct, OrgId::generate()), &row(Member)), Err(Refusal::WrongKind));
    assert_eq!(keeps_an_owner(&crowd, &row(Owner), Admin), Err(Refusal::LastOwner));
    assert_eq!(keeps_an_owner(&crowd, &row(Owner), Owner), Ok(()));
    assert_eq!(keeps_an_owner(&two_owners, &row(Owner), Member), Ok(()));
    assert_eq!(keeps_an_owner(&crowd, &row(Member), Owner), Ok(()));
}

#[test]
fn people_join_public_rooms_of_their_org_alone() {
    let org = OrgId::generate();
    assert_eq!(join(&conversation(Public, org), org), Ok(()));
    assert_eq!(join(&conversation(Public, org), OrgId::generate()), Err(Refusal::NotFound));
    for kind in [Direct, Group] {
        assert_eq!(join(&conversation(kind, org), org), Err(Refusal::NotFound));
    }
}

#[test]
fn coming_and_going_is_quiet_in_public_rooms_and_crowds() {
    let group = conversation(Group, OrgId::generate());
    assert!(!quiet(&group));
    assert!(!quiet(&LockedConversation { participant_count: 1_000, ..group.clone() }));
    assert!(quiet(&LockedConversation { participant_count: 1_001, ..group }));
    assert!(quiet(&conversation(Public, OrgId::generate())));
}
