//! Examples of the documents: of what a client sends, never of what it gets, so that each can be tried.
//!
//! Ids and tokens in them stand for real ones: a test puts those in, sends every example to a running server, and
//! compares what comes with the documented shape.

use serde_json::{Value, json};

/// By name, what stands in the examples for something real.
pub const PLACEHOLDERS: &[(&str, &str)] = &[
    ("me", ME),
    ("user", USER),
    ("conversation", CONVERSATION),
    ("room", ROOM),
    ("joined", JOINED),
    ("message", MESSAGE),
    ("reported", REPORTED),
    ("session", SESSION),
    ("report", REPORT),
    ("notification", NOTIFICATION),
    ("access_token", ACCESS_TOKEN),
    ("refresh_token", REFRESH_TOKEN),
    ("epoch", EPOCH),
];

/// The caller, who owns [`CONVERSATION`] and is an admin of the org.
const ME: &str = "01939c5e-7a10-7000-8000-00000000000a";
/// Somebody who takes part in [`CONVERSATION`] as well.
const USER: &str = "01939c5e-7a10-7000-8000-00000000000b";
/// A group of the two.
const CONVERSATION: &str = "01939c5e-7a10-7000-8000-0000000000c1";
/// A public room that the caller has not joined.
const ROOM: &str = "01939c5e-7a10-7000-8000-0000000000c2";
/// A group in which the caller is a member.
const JOINED: &str = "01939c5e-7a10-7000-8000-0000000000c3";
/// A message of the caller in [`CONVERSATION`].
const MESSAGE: &str = "01939c5e-7a10-7000-8000-0000000000d1";
/// A message of the other there.
const REPORTED: &str = "01939c5e-7a10-7000-8000-0000000000d2";
/// A session of the caller.
const SESSION: &str = "01939c5e-7a10-7000-8000-0000000000e1";
/// A report to the org's admins.
const REPORT: &str = "01939c5e-7a10-7000-8000-0000000000e2";
/// A notification of the caller.
const NOTIFICATION: &str = "01939c5e-7a10-7000-8000-0000000000e3";
const ACCESS_TOKEN: &str = "an-access-token";
const REFRESH_TOKEN: &str = "a-refresh-token";
const EPOCH: &str = "01939c5e-7a10-7000-8000-0000000000f1";

/// An emoji in a path; documents have it as it is, clients encode it.
const EMOJI: &str = "👍";

/// Puts examples into an operation: of its parameters and of its body.
pub(super) fn illustrate(path: &str, operation: &mut Value) {
    let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
    for parameter in parameters.into_iter().flatten() {
        let name = parameter["name"].as_str().unwrap_or_default().to_owned();
        if let Some(example) = parameter_example(path, &name) {
            parameter["example"] = example;
        }
    }
    let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
    if operation["requestBody"].is_object() {
        let examples = bodies(&id).into_iter().map(|(name, value)| (name.to_owned(), json!({ "value": value })));
        operation["requestBody"]["content"]["application/json"]["examples"] = Value::Object(examples.collect());
    }
}

fn parameter_example(path: &str, name: &str) -> Option<Value> {
    let example = match name {
        "emoji" => json!(EMOJI),
        "user_id" | "sender_id" => json!(USER),
        "ids" => json!([USER]),
        "conversation_id" => json!(CONVERSATION),
        "query" if path == "/v1/search/messages" => json!("hello"),
        "id" => match path {
            "/v1/conversations/{id}/join" => json!(ROOM),
            "/v1/conversations/{id}/leave" => json!(JOINED),
            "/v1/auth/sessions/{id}" => json!(SESSION),
            "/v1/org/reports/{id}" => json!(REPORT),
            path if path.starts_with("/v1/conversations/") => json!(CONVERSATION),
            path if path.starts_with("/v1/messages/") => json!(MESSAGE),
            _ => json!(USER),
        },
        _ => return None,
    };
    Some(example)
}

/// Bodies of an operation by name; none for one that is not known, which a test finds.
fn bodies(operation: &str) -> Vec<(&'static str, Value)> {
    let password = "correct horse battery staple";
    match operation {
        "sign_in_guest" => vec![("guest", json!({ "username": "zoe", "device": "Zoe's phone" }))],
        "register" => vec![(
            "register",
            json!({ "username": "ann", "password": password, "display_name": "Ann", "device": "laptop" }),
        )],
        "login" => vec![("login", json!({ "username": "bea", "password": password, "device": "laptop" }))],
        "refresh" => vec![("refresh", json!({ "refresh_token": REFRESH_TOKEN }))],
        "logout" => vec![("this_session", json!({})), ("all_sessions", json!({ "all": true }))],
        "issue_ticket" => vec![("socket", json!({ "for": "ws" })), ("events", json!({ "for": "events" }))],
        "update_me" => {
            vec![("profile", json!({ "display_name": "Ann A.", "status_text": "On the road", "avatar_url": null }))]
        }
        "create_conversation" => vec![
            ("direct", json!({ "kind": "direct", "participant_ids": [USER] })),
            (
                "group",
                json!({ "kind": "group", "title": "Launch", "description": "What is left to do",
                        "participant_ids": [USER] }),
            ),
            ("public", json!({ "kind": "public", "title": "Lounge", "slow_mode_seconds": 5 })),
            (
                "about_something",
                json!({ "kind": "direct", "participant_ids": [USER], "subject": {
                    "type": "listing", "id": "4711", "title": "Flat, 2 rooms", "url": "https://example.com/4711" } }),
            ),
        ],
        "update_conversation" => vec![
            ("rename", json!({ "title": "Launch day", "description": null })),
            ("announcement_channel", json!({ "posting": "admins" })),
            ("archive", json!({ "archived": true })),
        ],
        "add_participants" => vec![("add", json!({ "user_ids": [USER] }))],
        "update_participant" => vec![("promote", json!({ "role": "admin" }))],
        "update_preferences" => vec![
            ("mute", json!({ "muted_until": "2099-01-01T00:00:00.000Z" })),
            ("mentions_only", json!({ "notify": "mentions", "muted_until": null, "pinned": true })),
        ],
        "send_message" => messages(),
        "edit_message" => vec![("edit", json!({ "content": "Hello, everybody!" }))],
        "mark_read" | "mark_delivered" => vec![("marker", json!({ "seq": 2 }))],
        "mark_many" => vec![("markers", json!({ "items": [{ "conversation_id": CONVERSATION, "seq": 2 }] }))],
        "set_typing" => vec![("start", json!({ "typing": true })), ("stop", json!({ "typing": false }))],
        "read_notifications" => vec![("all", json!({})), ("some", json!({ "ids": [NOTIFICATION] }))],
        "update_notification_preferences" => vec![
            ("mentions_only", json!({ "notify": "mentions" })),
            ("holiday", json!({ "muted_until": "2099-01-01T00:00:00.000Z" })),
        ],
        "create_announcement" => vec![(
            "announcement",
            json!({ "title": "Maintenance", "content": "On Sunday from 6 to 7 UTC.",
                    "url": "https://example.com/status" }),
        )],
        "read_announcements" => vec![("read", json!({ "seq": 1 }))],
        "create_report" => vec![
            ("message", json!({ "message_id": REPORTED, "reason": "spam", "comment": "For the third time." })),
            ("user", json!({ "user_id": USER, "reason": "abuse" })),
        ],
        "update_org_user" => vec![("promote", json!({ "role": "admin" })), ("disable", json!({ "disabled": true }))],
        "decide_report" => vec![("resolve", json!({ "status": "resolved" }))],
        _ => Vec::new(),
    }
}

/// Messages as one may send them.
fn messages() -> Vec<(&'static str, Value)> {
    vec![
        ("text", json!({ "content": "Hello!", "client_id": "7b1c6a52-1" })),
        ("reply", json!({ "content": "Yes.", "client_id": "7b1c6a52-2", "reply_to_id": MESSAGE })),
        ("in_thread", json!({ "content": "More of that here.", "client_id": "7b1c6a52-3", "thread_root_id": MESSAGE })),
        (
            "mention",
            json!({ "content": "@bob look", "client_id": "7b1c6a52-4",
                    "mentions": [{ "offset": 0, "length": 4, "user_id": USER }] }),
        ),
        (
            "attachment",
            json!({ "client_id": "7b1c6a52-5", "attachments": [{
                "kind": "image", "url": "https://example.com/cat.png", "name": "cat.png", "media_type": "image/png",
                "byte_size": 48_213, "width": 800, "height": 600 }] }),
        ),
    ]
}

/// Fields of a command by name of the example; none for one that is not known, which a test finds.
pub(super) fn command(kind: &str) -> Vec<(&'static str, Value)> {
    let message = json!({ "message_id": MESSAGE });
    let reaction = json!({ "message_id": MESSAGE, "emoji": EMOJI });
    let conversation = json!({ "conversation_id": CONVERSATION });
    let marker = json!({ "conversation_id": CONVERSATION, "seq": 2 });
    let users = json!({ "user_ids": [USER] });
    match kind {
        "hello" => vec![
            ("authenticate", json!({ "token": ACCESS_TOKEN })),
            (
                "resume",
                json!({ "token": ACCESS_TOKEN, "resume": {
                    "epoch": EPOCH, "user_seq": 0, "cursors": { CONVERSATION: 1 }, "announcement_seq": 0 } }),
            ),
        ],
        "message.send" => {
            let mut examples = messages();
            for (_, fields) in &mut examples {
                fields["conversation_id"] = CONVERSATION.into();
            }
            examples
        }
        "message.edit" => vec![("edit", json!({ "message_id": MESSAGE, "content": "Hello, everybody!" }))],
        "message.delete" => vec![("delete", message)],
        "message.pin" => vec![("pin", message)],
        "message.unpin" => vec![("unpin", message)],
        "reaction.add" => vec![("add", reaction)],
        "reaction.remove" => vec![("remove", reaction)],
        "typing.start" => vec![("start", conversation)],
        "typing.stop" => vec![("stop", conversation)],
        "presence.set" => {
            vec![("focused", json!({ "state": "active", "focus": CONVERSATION })), ("away", json!({ "state": "away" }))]
        }
        "presence.watch" => vec![("watch", users)],
        "presence.unwatch" => vec![("unwatch", users)],
        "receipt.read" => vec![("read", marker)],
        "receipt.delivered" => vec![("delivered", marker)],
        "changes.get" => vec![("changes", json!({ "conversation_id": CONVERSATION, "after": 0, "limit": 100 }))],
        "auth.renew" => vec![("renew", json!({ "token": ACCESS_TOKEN }))],
        "ping" => vec![("ping", json!({}))],
        _ => Vec::new(),
    }
}
