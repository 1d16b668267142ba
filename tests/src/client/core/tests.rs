use protocol::ConversationId;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// A device whose draws are the most that it may wait.
fn device() -> Core {
    let mut core = Core::new(Box::new(|most| most)).recording();
    core.tick(Duration::ZERO);
    assert_eq!(core.next(), Some(Output::Connect));
    core
}

fn said(core: &mut Core) -> Value {
    match core.next() {
        Some(Output::Send(frame)) => frame,
        other => panic!("said nothing: {other:?}"),
    }
}

fn connected(core: &mut Core, now: Duration) -> Value {
    core.opened(now);
    let data = json!({"epoch": "e", "user_seq": 7, "announcement_seq": 0, "heartbeat_interval_ms": 2_000});
    core.frame(now, json!({"type": "connected", "data": data}));
    said(core)
}

fn live(core: &mut Core, now: Duration, heads: &Value) {
    connected(core, now);
    let data = json!({"heads": heads, "receipts": [], "announcement_seq": 0});
    core.frame(now, json!({"type": "reply", "ref": "hello", "ok": true, "data": data}));
    assert!(core.is_live());
}

#[test]
fn it_says_hello_and_resumes_with_its_cursors() {
    let mut core = device();
    let hello = connected(&mut core, Duration::ZERO);
    assert!(hello.get("resume").is_none(), "{hello}");
    let id = ConversationId::generate();
    let data = json!({"heads": {id.to_string(): 4}, "receipts": [], "announcement_seq": 0});
    core.frame(SECOND, json!({"type": "reply", "ref": "hello", "ok": true, "data": data}));
    core.closed(SECOND, BROKEN);
    core.tick(2 * SECOND);
    assert_eq!(core.next(), Some(Output::Connect));
    let hello = connected(&mut core, 2 * SECOND);
    assert_eq!(hello["resume"]["cursors"][id.to_string()], 4);
    assert_eq!(hello["resume"]["user_seq"], 7);
}

#[test]
fn a_kept_command_is_said_again_the_same_until_there_is_an_answer() {
    let mut core = device();
    let number =
        core.command(Duration::ZERO, json!({"type": "message.send", "client_id": "c"}), Persistence::UntilAnswered);
    live(&mut core, SECOND, &json!({}));
    let first = said(&mut core);
    // The answer goes with the connection.
    core.closed(2 * SECOND, BROKEN);
    core.tick(3 * SECOND);
    assert_eq!(core.next(), Some(Output::Connect));
    live(&mut core, 3 * SECOND, &json!({}));
    assert_eq!(said(&mut core), first);
    // It is refused for now.
    let error = json!({"code": "unavailable", "message": "later", "retry_after_ms": 500});
    core.frame(4 * SECOND, json!({"type": "reply", "ref": first["ref"], "ok": false, "error": error}));
    assert_eq!(core.wakes_at(), Some(4 * SECOND + Duration::from_millis(500)));
    core.tick(5 * SECOND);
    assert_eq!(said(&mut core), first);
    // Nobody answers.
    core.frame(9 * SECOND, json!({"type": "heartbeat", "data": {}}));
    core.tick(10 * SECOND);
    assert_eq!(said(&mut core), first);
    let reply = json!({"type": "reply", "ref": first["ref"], "ok": true, "data": {}});
    core.frame(10 * SECOND, reply.clone());
    let Some(Output::Answered { number: answered, outcome: Answered::Reply(reply_to) }) = core.next() else {
        panic!("no answer")
    };
    assert!(answered == number && reply_to.ok && core.unanswered() == 0);
    // The answer to the other try is nothing strange.
    core.frame(11 * SECOND, reply);
    assert!(core.view.violations.is_empty(), "{:?}", core.view.violations);
}

#[test]
fn a_command_that_is_said_once_is_lost_with_its_connection() {
    let mut core = device();
    live(&mut core, Duration::ZERO, &json!({}));
    let number = core.command(SECOND, json!({"type": "ping"}), Persistence::Once);
    said(&mut core);
    core.closed(2 * SECOND, BROKEN);
    assert_eq!(core.next(), Some(Output::Answered { number, outcome: Answered::Lost }));
}

#[test]
fn a_silent_server_is_left_and_one_that_goes_away_at_the_moment_it_names() {
    let mut core = device();
    live(&mut core, Duration::ZERO, &json!({}));
    core.tick(4 * SECOND);
    assert_eq!(core.next(), None);
    core.tick(5 * SECOND);
    assert_eq!(core.next(), Some(Output::Leave { in_order: false }));
    core.tick(6 * SECOND);
    assert_eq!(core.next(), Some(Output::Connect));
    live(&mut core, 6 * SECOND, &json!({}));
    core.frame(6 * SECOND, json!({"type": "reconnect", "data": {"after_ms": 1_500}}));
    assert_eq!(core.wakes_at(), Some(7 * SECOND + SECOND / 2));
    core.tick(8 * SECOND);
    assert_eq!(core.next(), Some(Output::Leave { in_order: true }));
    assert_eq!(core.closes(), [BROKEN, MOVED]);
}

#[test]
fn attempts_in_vain_come_ever_more_rarely_and_a_close_for_good_ends_them() {
    let mut core = device();
    let mut now = Duration::ZERO;
    let mut pauses = Vec::new();
    for _ in 0..4 {
        core.failed(now);
        let next = core.wakes_at().unwrap();
        pauses.push(next.saturating_sub(now).as_millis());
        now = next;
        core.tick(now);
        assert_eq!(core.next(), Some(Output::Connect));
    }
    assert_eq!(pauses, [400, 800, 1_600, 1_600]);
    core.opened(now);
    core.closed(now, 4501);
    assert_eq!(core.next(), Some(Output::Stopped(4501)));
    assert_eq!(core.wakes_at(), None);
}

#[test]
fn all_that_was_said_and_heard_is_written_down() {
    let mut core = device();
    live(&mut core, SECOND, &json!({}));
    core.closed(2 * SECOND, BROKEN);
    let log = core.take_log();
    let heard = log.iter().filter(|entry| matches!(entry.what, Happened::Heard(_))).count();
    assert_eq!((log.len(), heard), (5, 2), "{log:?}");
    assert_eq!(log.last().unwrap().what, Happened::Closed(BROKEN));
}

#[test]
fn it_watches_on_every_connection_and_asks_again_when_it_is_refused_for_now() {
    let mut core = device();
    let other = protocol::UserId::generate();
    core.watch(Duration::ZERO, vec![other]);
    live(&mut core, SECOND, &json!({}));
    let asked = said(&mut core);
    assert_eq!((&asked["type"], &asked["user_ids"]), (&json!("presence.watch"), &json!([other])));
    let error = json!({"code": "unavailable", "message": "later", "retry_after_ms": 500});
    core.frame(SECOND, json!({"type": "reply", "ref": asked["ref"], "ok": false, "error": error}));
    assert_eq!(core.wakes_at(), Some(Duration::from_millis(1_500)));
    core.tick(Duration::from_millis(1_500));
    let asked = said(&mut core);
    let item = |state: &str| json!({"user_id": other, "state": state, "last_seen_at": null});
    let data = json!({"items": [item("online")]});
    core.frame(2 * SECOND, json!({"type": "reply", "ref": asked["ref"], "ok": true, "data": data}));
    core.frame(2 * SECOND, json!({"type": "presence.updated", "data": item("away")}));
    assert_eq!(core.view.presence[&other].state, protocol::PresenceState::Away);
    core.closed(3 * SECOND, BROKEN);
    core.tick(4 * SECOND);
    assert_eq!(core.next(), Some(Output::Connect));
    live(&mut core, 4 * SECOND, &json!({}));
    assert!(core.view.presence.is_empty(), "what another connection told counts no more");
    assert_eq!(said(&mut core)["type"], "presence.watch");
    assert_eq!(core.view.violations, [""; 0]);
}
