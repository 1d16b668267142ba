//! A view follows the rules for clients, and writes down who broke them.

use protocol::MessageId;

use super::*;

fn message(id: ConversationId, place: Seq, changed: Seq, content: &str) -> Value {
    let now = "2026-01-01T00:00:00.000Z";
    json!({
        "id": MessageId::generate(), "conversation_id": id, "seq": place, "changed_seq": changed, "number": place,
        "kind": "text", "sender": {"id": UserId::generate(), "username": "a", "display_name": "A", "avatar_url": null},
        "content": content, "system": null, "client_id": null, "reply_to": null, "thread_root_id": null,
        "thread": null, "mentions": [], "attachments": [], "reactions": [], "pinned_at": null, "edited_at": null,
        "deleted_at": null, "created_at": now,
    })
}

fn created(id: ConversationId, seq: Seq, content: &str) -> Value {
    json!({"type": "message.created", "conversation_id": id, "seq": seq, "data": message(id, seq, seq, content)})
}

fn live_at(id: ConversationId, head: Seq) -> View {
    let mut view = View::default();
    view.hello(HelloReply { heads: HashMap::from([(id, head)]), ..HelloReply::default() }, false);
    view
}

#[test]
fn events_in_order_are_applied_and_repetitions_dropped() {
    let id = ConversationId::generate();
    let mut view = live_at(id, 4);
    for frame in [created(id, 5, "five"), created(id, 5, "five"), created(id, 6, "six"), created(id, 3, "three")] {
        view.event(frame);
    }
    assert_eq!(view.texts(id), ["five", "six"]);
    assert_eq!((view.cursor(id), view.repeats, view.violations.len()), (Some(6), 2, 0), "{:?}", view.violations);
}

#[test]
fn a_gap_is_written_down() {
    let id = ConversationId::generate();
    let mut view = live_at(id, 4);
    view.event(created(id, 6, "six"));
    assert!(view.violations[0].contains("gap"), "{:?}", view.violations);
}

#[test]
fn events_before_the_heads_count_from_the_heads_and_others_are_unannounced() {
    let (id, other) = (ConversationId::generate(), ConversationId::generate());
    let mut view = View::default();
    for frame in [created(id, 4, "four"), created(id, 5, "five"), created(other, 1, "?")] {
        view.event(frame);
    }
    view.hello(HelloReply { heads: HashMap::from([(id, 4)]), ..HelloReply::default() }, false);
    assert_eq!(view.texts(id), ["five"]);
    assert_eq!((view.repeats, view.unannounced()), (0, vec![other]));
}

#[test]
fn a_page_of_changes_moves_the_cursor_in_one_step_and_must_join_on() {
    let id = ConversationId::generate();
    let page = |from: Seq, to: Seq| {
        let change = json!({"type": "message.updated", "seq": to, "data": message(id, 2, to, "edited")});
        json!({"type": "changes", "conversation_id": id, "from": from, "to": to, "more": false, "changes": [change]})
    };
    let mut view = live_at(id, 4);
    view.event(page(4, 9));
    assert_eq!((view.cursor(id), view.texts(id), view.violations.len()), (Some(9), vec!["edited".into()], 0));
    view.event(page(10, 12));
    assert!(view.violations[0].contains("from 10, but the cursor is 9"), "{:?}", view.violations);
}

#[test]
fn after_the_removal_nothing_may_come() {
    let id = ConversationId::generate();
    let mut view = live_at(id, 4);
    view.event(json!({
        "type": "participant.removed", "user_seq": 1, "data": {"conversation_id": id, "user_id": UserId::generate()},
    }));
    assert_eq!(view.cursor(id), None);
    view.event(created(id, 5, "secret"));
    assert_eq!((view.texts(id).len(), view.violations.len()), (0, 1));
}

fn loaded(load: &Load, changes: &[(Seq, &str)], to: Seq, more: bool) -> Value {
    let changes: Vec<_> = changes
        .iter()
        .map(|(seq, text)| json!({"type": "message.created", "seq": seq, "data": message(load.id, *seq, *seq, text)}))
        .collect();
    let page =
        json!({"type": "changes", "conversation_id": load.id, "from": 0, "to": to, "more": more, "changes": changes});
    json!({"type": "reply", "ref": load.to_string(), "ok": true, "data": page})
}

fn resync(id: Option<ConversationId>) -> Value {
    json!({"type": "resync_required", "data": {"conversation_id": id, "reason": "too_far_behind"}})
}

#[test]
fn what_is_to_be_fetched_goes_on_where_the_last_page_ends() {
    let id = ConversationId::generate();
    let mut view = live_at(id, 4);
    view.event(resync(Some(id)));
    let first = view.take_to_load();
    view.event(resync(Some(id)));
    let second = view.take_to_load();
    assert_eq!((first.len(), second.len(), view.cursor(id)), (1, 1, None));
    // Of a time before the second was asked for.
    view.take(loaded(&first[0], &[(1, "old")], 5, false));
    assert_eq!(view.cursor(id), None);
    view.take(loaded(&second[0], &[(1, "one")], 1, true));
    view.event(created(id, 7, "seven"));
    view.event(created(id, 8, "eight"));
    view.take(loaded(&second[0], &[(6, "six"), (7, "seven")], 7, false));
    assert_eq!(view.texts(id), ["one", "six", "seven", "eight"]);
    assert_eq!((view.cursor(id), view.repeats, view.violations.len()), (Some(8), 0, 0), "{:?}", view.violations);
    assert_eq!(view.timelines[&id].from, 0, "all of it came");
}

#[test]
fn who_is_to_fetch_everything_fetches_what_the_reply_names() {
    let (id, other) = (ConversationId::generate(), ConversationId::generate());
    let mut view = live_at(id, 4);
    view.event(resync(None));
    assert!(view.take_to_load().is_empty() && view.cursor(id).is_none());
    view.hello(HelloReply { heads: HashMap::from([(id, 9), (other, 2)]), ..HelloReply::default() }, false);
    let loads = view.take_to_load();
    assert_eq!((loads.len(), view.cursor(id), view.cursor(other)), (2, Some(9), Some(2)));
    view.event(created(id, 10, "ten"));
    assert!(view.violations.is_empty(), "{:?}", view.violations);
}
