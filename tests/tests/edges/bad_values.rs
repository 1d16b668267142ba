//! Values that no type forbids: too long, empty, unknown, foreign, in conflict, out of range, with NUL in them. Each
//! names its refusal, and nothing is stored. What a message may say is tried over REST and as a command alike.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use starling_tests::{client::Socket, cluster::Cluster};

use crate::{
    calls::{Answer, ask},
    samples::{UNKNOWN, World},
    unchanged::Snapshot,
};

/// What is sent beside the valid fields, the code, and the field that is named (none: the code says enough).
type Case = (Value, &'static str, Option<&'static str>);

pub(crate) async fn values_that_no_type_forbids_are_refused_and_store_nothing(cluster: &Cluster) -> Result<()> {
    let world = World::new(cluster).await?;
    let before = Snapshot::take(&world).await?;
    let mut wrong = Vec::new();
    messages(&world, &mut wrong).await?;
    calls(&world, &mut wrong).await?;
    commands(&world, &mut wrong).await?;
    ensure!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    before.is_still(&world).await?;
    past_the_head(&world).await
}

fn check(what: &str, answer: &Answer, code: &str, field: Option<&str>, wrong: &mut Vec<String>) {
    let named = answer.fields.first().map(String::as_str);
    if answer.word != code || (field.is_some() && named != field) {
        let shown: String = what.chars().take(200).collect();
        wrong.push(format!("{shown}: not {code} {field:?} but {}", answer.text));
    }
}

/// Every byte of it, as a path may have it.
fn percent_encoded(text: &str) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or('0');
    text.bytes().flat_map(|byte| ['%', digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The same object with other fields, or more.
fn with(mut object: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        object[name] = value.clone();
    }
    object
}

/// Bad messages, over REST and as commands.
fn bad_messages(world: &World) -> Vec<Case> {
    let picture = || json!({"kind": "image", "url": "https://example.com/a.png"});
    let attachment = |more: Value| json!({"attachments": [with(picture(), &more)]});
    let mentions = |ranges: &[(u64, u64, &str)]| {
        let range =
            |(offset, length, user): &(u64, u64, &str)| json!({"offset": offset, "length": length, "user_id": user});
        json!({"content": "@ben 👍", "mentions": ranges.iter().map(range).collect::<Vec<_>>()})
    };
    let ben = &*world.ben.id;
    let mut cases = vec![
        (json!({"content": ""}), "invalid", Some("content")),
        (json!({"content": " \n\u{200b}"}), "invalid", Some("content")),
        (json!({"content": "a\u{0}b"}), "invalid", Some("content")),
        (json!({"content": "x".repeat(4_001)}), "invalid", Some("content")),
        (json!({"client_id": ""}), "invalid", Some("client_id")),
        (json!({"client_id": "x".repeat(65)}), "invalid", Some("client_id")),
        (json!({"client_id": "a\nb"}), "invalid", Some("client_id")),
        (json!({"client_id": "a\u{0}"}), "invalid", Some("client_id")),
        (json!({"thread_root_id": world.in_thread}), "invalid", Some("thread_root_id")),
        (attachment(json!({"url": "javascript:alert(1)"})), "invalid", Some("attachments.0.url")),
        (attachment(json!({"url": "JavaScript://%0aalert(1)"})), "invalid", Some("attachments.0.url")),
        (attachment(json!({"url": "data:text/html,x"})), "invalid", Some("attachments.0.url")),
        (attachment(json!({"url": "//example.com/a"})), "invalid", Some("attachments.0.url")),
        (attachment(json!({"url": "https://"})), "invalid", Some("attachments.0.url")),
        (attachment(json!({"url": "https://a.example/\u{0}"})), "invalid", Some("attachments.0.url")),
        (
            attachment(json!({"url": format!("https://a.example/{}", "x".repeat(2_000))})),
            "invalid",
            Some("attachments.0.url"),
        ),
        (attachment(json!({"thumbnail_url": "javascript:alert(1)"})), "invalid", Some("attachments.0.thumbnail_url")),
        (attachment(json!({"name": ""})), "invalid", Some("attachments.0.name")),
        (attachment(json!({"name": "x".repeat(121)})), "invalid", Some("attachments.0.name")),
        (attachment(json!({"media_type": "a\nb"})), "invalid", Some("attachments.0.media_type")),
        (attachment(json!({"byte_size": u64::MAX})), "invalid", Some("attachments.0.byte_size")),
        (attachment(json!({"duration_ms": u64::MAX})), "invalid", Some("attachments.0.duration_ms")),
        (json!({"attachments": vec![picture(); 11]}), "invalid", Some("attachments")),
        (mentions(&[(0, 0, ben)]), "invalid", Some("mentions")),
        (mentions(&[(0, 8, ben)]), "invalid", Some("mentions")),
        (mentions(&[(7, 1, ben)]), "invalid", Some("mentions")),
        (mentions(&[(u64::from(u32::MAX), u64::from(u32::MAX), ben)]), "invalid", Some("mentions")),
        // In the middle of a pair of surrogates.
        (mentions(&[(6, 1, ben)]), "invalid", Some("mentions")),
        (mentions(&[(0, 4, ben), (3, 2, ben)]), "invalid", Some("mentions")),
        (mentions(&[(0, 4, &world.otto.id)]), "invalid", Some("mentions")),
        (mentions(&[(0, 4, &world.xia.id)]), "invalid", Some("mentions")),
        (mentions(&[(0, 4, UNKNOWN)]), "invalid", Some("mentions")),
        (mentions(&vec![(0, 1, ben); 51]), "invalid", Some("mentions")),
    ];
    // Unknown, another org's, another's, of another conversation: all the same to who asks.
    for id in [UNKNOWN, &world.xias.1, &world.ottos.1, &world.elsewhere] {
        cases.push((json!({"reply_to_id": id}), "invalid", Some("reply_to_id")));
        cases.push((json!({"thread_root_id": id}), "invalid", Some("thread_root_id")));
    }
    cases
}

async fn messages(world: &World, wrong: &mut Vec<String>) -> Result<()> {
    let (http, token) = (&world.http, &*world.ann.token);
    let mut socket = Socket::with_token(&http.base, token).await?;
    let line = format!("POST /v1/conversations/{}/messages", world.group);
    for (number, (bad, code, field)) in bad_messages(world).into_iter().enumerate() {
        let mut body = with(json!({"content": "hi", "client_id": format!("never-sent-{number}")}), &bad);
        if bad["attachments"].is_array() {
            body["content"] = json!("");
        }
        check(&format!("REST {bad}"), &http.call(Some(token), &line, Some(&body)).await?, code, field, wrong);
        body["conversation_id"] = json!(world.group);
        check(&format!("command {bad}"), &ask(&mut socket, "message.send", &body).await?, code, field, wrong);
        // What is wrong in a text is wrong in a new text, too.
        if field.is_some_and(|field| field == "content" || field == "mentions") {
            let mut edit = with(json!({"content": "new"}), &bad);
            let patch = format!("PATCH /v1/messages/{}", world.message);
            check(&format!("edit {bad}"), &http.call(Some(token), &patch, Some(&edit)).await?, code, field, wrong);
            edit["message_id"] = json!(world.message);
            check(&format!("edit command {bad}"), &ask(&mut socket, "message.edit", &edit).await?, code, field, wrong);
        }
    }
    socket.close().await
}

async fn calls(world: &World, wrong: &mut Vec<String>) -> Result<()> {
    let (ben, group, message) = (&*world.ben.id, &*world.group, &*world.message);
    let line = |line: &str, body: Value| (line.to_owned(), body);
    let create = |more: Value| line("POST /v1/conversations", with(json!({"kind": "group", "title": "New"}), &more));
    let direct =
        |more: Value| line("POST /v1/conversations", with(json!({"kind": "direct", "participant_ids": [ben]}), &more));
    let of_group = |rest: &str, body: Value| (rest.replace("{}", &format!("/v1/conversations/{group}")), body);
    let subject = |more: Value| create(json!({"subject": with(json!({"type": "a", "id": "1", "title": "A"}), &more)}));
    let get = |path: &str| (format!("GET /v1/{path}"), Value::Null);
    let long = "x".repeat(1_001);
    let crowd = vec![UNKNOWN; 1_001];
    let mut cases: Vec<((String, Value), &str, Option<&str>)> = vec![
        // Who is named
        (create(json!({"participant_ids": [UNKNOWN]})), "invalid", Some("participant_ids")),
        (create(json!({"participant_ids": [world.xia.id]})), "invalid", Some("participant_ids")),
        (create(json!({"participant_ids": [ben, UNKNOWN]})), "invalid", Some("participant_ids")),
        (direct(json!({"participant_ids": [UNKNOWN]})), "invalid", Some("participant_ids")),
        (direct(json!({"participant_ids": [world.xia.id]})), "invalid", Some("participant_ids")),
        (direct(json!({"participant_ids": [world.ann.id]})), "invalid", Some("participant_ids")),
        (direct(json!({"participant_ids": [ben, world.otto.id]})), "invalid", Some("participant_ids")),
        (of_group("POST {}/participants", json!({"user_ids": [UNKNOWN]})), "invalid", Some("user_ids")),
        (of_group("POST {}/participants", json!({"user_ids": [world.xia.id]})), "invalid", Some("user_ids")),
        (of_group("POST {}/participants", json!({"user_ids": crowd})), "invalid", Some("user_ids")),
        (of_group("POST {}/participants", json!({"user_ids": []})), "invalid", Some("user_ids")),
        // Conflicts
        (direct(json!({"title": "Us"})), "invalid", Some("title")),
        (direct(json!({"posting": "admins"})), "invalid", Some("posting")),
        (direct(json!({"slow_mode_seconds": 5})), "invalid", Some("slow_mode_seconds")),
        (of_group("PATCH {}", json!({"archived": true, "title": "New"})), "invalid", Some("archived")),
        (of_group("GET {}/messages?before=1&after=1", Value::Null), "invalid", Some("before")),
        (line("POST /v1/reports", json!({"reason": "spam"})), "invalid", Some("message_id")),
        (
            line("POST /v1/reports", json!({"reason": "spam", "user_id": ben, "message_id": message})),
            "invalid",
            Some("message_id"),
        ),
        // Texts and addresses
        (create(json!({"title": ""})), "invalid", Some("title")),
        (create(json!({"title": "a\u{0}"})), "invalid", Some("title")),
        (create(json!({"title": "x".repeat(121)})), "invalid", Some("title")),
        (create(json!({"description": long})), "invalid", Some("description")),
        (create(json!({"avatar_url": "javascript:alert(1)"})), "invalid", Some("avatar_url")),
        (create(json!({"slow_mode_seconds": 86_401})), "invalid", Some("slow_mode_seconds")),
        (subject(json!({"url": "javascript:alert(1)"})), "invalid", Some("subject.url")),
        (subject(json!({"id": "a\u{0}"})), "invalid", Some("subject.id")),
        (subject(json!({"type": "x".repeat(65)})), "invalid", Some("subject.type")),
        (subject(json!({"title": ""})), "invalid", Some("subject.title")),
        (of_group("PATCH {}", json!({"avatar_url": "data:,x"})), "invalid", Some("avatar_url")),
        (of_group("PATCH {}", json!({"title": "a\u{0}"})), "invalid", Some("title")),
        (of_group("PATCH {}", json!({"slow_mode_seconds": 4_294_967_295_u32})), "invalid", Some("slow_mode_seconds")),
        (line("PATCH /v1/me", json!({"avatar_url": "javascript:alert(1)"})), "invalid", Some("avatar_url")),
        (line("PATCH /v1/me", json!({"display_name": "a\u{0}"})), "invalid", Some("display_name")),
        (line("PATCH /v1/me", json!({"status_text": "x".repeat(121)})), "invalid", Some("status_text")),
        (
            line("POST /v1/reports", json!({"reason": "spam", "user_id": ben, "comment": long})),
            "invalid",
            Some("comment"),
        ),
        (
            line("POST /v1/announcements", json!({"title": "a", "content": "b", "url": "javascript:x"})),
            "invalid",
            Some("url"),
        ),
        (line("POST /v1/announcements", json!({"title": "a\u{0}", "content": "b"})), "invalid", Some("title")),
        (line("POST /v1/announcements", json!({"title": "a", "content": ""})), "invalid", Some("content")),
        (
            line("POST /v1/auth/register", json!({"username": "a\u{0}", "password": "correct horse"})),
            "invalid",
            Some("username"),
        ),
        (line("POST /v1/auth/login", json!({"username": "a\u{0}", "password": "x"})), "invalid_credentials", None),
        (line("POST /v1/auth/refresh", json!({"refresh_token": "x".repeat(5_000)})), "not_authenticated", None),
        (line("POST /v1/auth/refresh", json!({"refresh_token": "a\u{0}"})), "not_authenticated", None),
        // Ranges and cursors
        (of_group("GET {}/changes?after=0&limit=0", Value::Null), "invalid", Some("limit")),
        (of_group("GET {}/changes?after=0&limit=501", Value::Null), "invalid", Some("limit")),
        (of_group("GET {}/changes?after=18446744073709551616", Value::Null), "invalid", Some("after")),
        (of_group("POST {}/read", json!({"seq": -1})), "invalid", Some("seq")),
        (get("conversations?limit=101"), "invalid", Some("limit")),
        (get(&format!("conversations?cursor={}", "x".repeat(513))), "invalid", Some("cursor")),
        (get(&format!("messages/{message}/thread?cursor=-1")), "invalid", Some("cursor")),
        (get(&format!("messages/{message}/reactions?emoji=x")), "invalid", Some("emoji")),
        (get(&format!("users?query={}", "x".repeat(121))), "invalid", Some("query")),
        (get("users?query=%00"), "invalid", Some("query")),
        (get("org/users?query=%00"), "invalid", Some("query")),
        (get("conversations/public?query=%00"), "invalid", Some("query")),
        (get("search/messages?query=a%00"), "invalid", Some("query")),
        (get("search/messages?query=a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q"), "invalid", Some("query")),
        (get("search/messages?query=a&before=10000-01-01T00:00:00Z"), "invalid", Some("before")),
        // Ids
        (line(&format!("PUT /v1/users/{}/block", world.ann.id), Value::Null), "invalid", Some("id")),
        (line(&format!("PATCH /v1/org/users/{}", world.ann.id), json!({"disabled": true})), "forbidden", None),
        (line(&format!("PATCH /v1/org/reports/{UNKNOWN}"), json!({"status": "resolved"})), "not_found", None),
        (line(&format!("DELETE /v1/auth/sessions/{UNKNOWN}"), Value::Null), "not_found", None),
    ];
    for bad in ["x", "", "👍👍", ":+1:", " "] {
        let emoji = percent_encoded(bad);
        let code = if bad.is_empty() { "no_such_route" } else { "invalid" };
        let field = (!bad.is_empty()).then_some("emoji");
        cases.push((line(&format!("PUT /v1/messages/{message}/reactions/{emoji}"), Value::Null), code, field));
    }
    for id in [UNKNOWN, &*world.ottos.0, &*world.xias.0] {
        for (method, rest, body) in [
            ("GET", "", Value::Null),
            ("PATCH", "", json!({"title": "Mine"})),
            ("DELETE", "", Value::Null),
            ("POST", "/join", Value::Null),
            ("POST", "/leave", Value::Null),
            ("POST", "/messages", json!({"content": "hi"})),
            ("POST", "/read", json!({"seq": 1})),
            ("POST", "/delivered", json!({"seq": 1})),
            ("POST", "/typing", json!({"typing": true})),
            ("POST", "/participants", json!({"user_ids": [ben]})),
            ("PATCH", "/preferences", json!({"pinned": true})),
        ] {
            cases.push((line(&format!("{method} /v1/conversations/{id}{rest}"), body), "not_found", None));
        }
        cases.push((get(&format!("search/messages?query=first&conversation_id={id}")), "not_found", None));
    }
    for id in [UNKNOWN, &*world.ottos.1, &*world.xias.1] {
        for (method, rest, body) in [
            ("PATCH", "", json!({"content": "mine"})),
            ("DELETE", "", Value::Null),
            ("PUT", "/pin", Value::Null),
            ("PUT", "/reactions/%F0%9F%91%8D", Value::Null),
            ("GET", "/receipts", Value::Null),
        ] {
            cases.push((line(&format!("{method} /v1/messages/{id}{rest}"), body), "not_found", None));
        }
        cases.push((line("POST /v1/reports", json!({"message_id": id, "reason": "spam"})), "not_found", None));
    }
    for id in [UNKNOWN, &*world.xia.id] {
        for of_user in ["GET /v1/users/{}", "PUT /v1/users/{}/block", "GET /v1/users/{}/presence"] {
            cases.push((line(&of_user.replace("{}", id), Value::Null), "not_found", None));
        }
        cases.push((line("POST /v1/reports", json!({"user_id": id, "reason": "spam"})), "not_found", None));
        cases.push((line(&format!("PATCH /v1/org/users/{id}"), json!({"disabled": true})), "not_found", None));
        let participant = format!("DELETE /v1/conversations/{group}/participants/{id}");
        cases.push((line(&participant, Value::Null), "not_found", None));
    }
    for ((line, body), code, field) in &cases {
        let body = (!body.is_null()).then_some(body);
        let answer = world.http.call(Some(&world.ann.token), line, body).await?;
        check(&format!("{line} {}", body.unwrap_or(&Value::Null)), &answer, code, *field, wrong);
    }
    for (line, _) in world.bodies() {
        let bytes = b"{\"a\":\"\xff\xfe\"}";
        let answer = world.http.call_raw(&world.ann.token, &world.path(line), bytes).await?;
        // Who meets an unknown field first need not look at its value.
        ensure!(["bad_json", "invalid"].contains(&&*answer.word), "{line} with bytes of no text: {}", answer.text);
    }
    Ok(())
}

async fn commands(world: &World, wrong: &mut Vec<String>) -> Result<()> {
    let (group, message) = (&*world.group, &*world.message);
    let many: Vec<_> = (0..501).map(|number| format!("01900000-0000-7000-8000-{number:012}")).collect();
    let cursors: serde_json::Map<_, _> =
        (0..1_001).map(|number| (format!("01900000-0000-7000-8000-{number:012}"), json!(1))).collect();
    let mut cases: Vec<(&str, Value, &str, Option<&str>)> = vec![
        (
            "hello",
            json!({"resume": {"epoch": "x", "user_seq": 0, "cursors": cursors}}),
            "invalid",
            Some("resume.cursors"),
        ),
        ("reaction.add", json!({"message_id": message, "emoji": ""}), "invalid", Some("emoji")),
        ("reaction.add", json!({"message_id": message, "emoji": "x"}), "invalid", Some("emoji")),
        ("reaction.add", json!({"message_id": message, "emoji": "👍👍"}), "invalid", Some("emoji")),
        ("reaction.remove", json!({"message_id": message, "emoji": "\u{0}"}), "invalid", Some("emoji")),
        ("changes.get", json!({"conversation_id": group, "after": 0, "limit": 0}), "invalid", Some("limit")),
        ("changes.get", json!({"conversation_id": group, "after": 0, "limit": 501}), "invalid", Some("limit")),
        ("presence.watch", json!({"user_ids": many}), "limit_reached", None),
        ("auth.renew", json!({"token": ""}), "not_authenticated", None),
        ("auth.renew", json!({"token": "a\u{0}b"}), "not_authenticated", None),
        ("auth.renew", json!({"token": world.ben.token}), "invalid", Some("token")),
        ("auth.renew", json!({"token": world.xia.token}), "invalid", Some("token")),
    ];
    for id in [UNKNOWN, &*world.ottos.0, &*world.xias.0] {
        cases.extend([
            ("message.send", json!({"conversation_id": id, "content": "hi", "client_id": "1"}), "not_found", None),
            ("typing.start", json!({"conversation_id": id}), "not_found", None),
            ("typing.stop", json!({"conversation_id": id}), "not_found", None),
            ("receipt.read", json!({"conversation_id": id, "seq": 1}), "not_found", None),
            ("receipt.delivered", json!({"conversation_id": id, "seq": 1}), "not_found", None),
            ("changes.get", json!({"conversation_id": id, "after": 0}), "not_found", None),
        ]);
    }
    for id in [UNKNOWN, &*world.ottos.1, &*world.xias.1] {
        cases.extend([
            ("message.edit", json!({"message_id": id, "content": "mine"}), "not_found", None),
            ("message.delete", json!({"message_id": id}), "not_found", None),
            ("message.pin", json!({"message_id": id}), "not_found", None),
            ("message.unpin", json!({"message_id": id}), "not_found", None),
            ("reaction.add", json!({"message_id": id, "emoji": "👍"}), "not_found", None),
            ("reaction.remove", json!({"message_id": id, "emoji": "👍"}), "not_found", None),
        ]);
    }
    let mut socket = Socket::with_token(&world.http.base, &world.ann.token).await?;
    for (kind, fields, code, field) in &cases {
        let answer = ask(&mut socket, kind, fields).await.with_context(|| (*kind).to_owned())?;
        check(&format!("{kind} {fields}"), &answer, code, *field, wrong);
    }
    // Nobody whom one may not see is told of, and that is no error.
    let strangers = json!({"user_ids": [UNKNOWN, world.otto.id, world.xia.id]});
    let watched = ask(&mut socket, "presence.watch", &strangers).await?;
    ensure!(watched.body["data"]["items"] == json!([]), "strangers are watched: {}", watched.text);
    socket.close().await
}

/// A marker past the head means the head, however far past it is; a cursor there is a mistake.
async fn past_the_head(world: &World) -> Result<()> {
    let (http, token, group) = (&world.http, &*world.ann.token, &*world.group);
    let conversation = http.done(token, &format!("GET /v1/conversations/{group}"), Value::Null).await?;
    let head = conversation["last_seq"].as_u64().context("last_seq")?;
    let mut socket = Socket::with_token(&http.base, token).await?;
    for seq in [head + 1, 1 << 53, 1 << 63, u64::MAX] {
        let mark = json!({"conversation_id": group, "seq": seq});
        for (kind, field) in [("receipt.delivered", "delivered_seq"), ("receipt.read", "read_seq")] {
            let marked = ask(&mut socket, kind, &mark).await?;
            ensure!(marked.body["data"][field] == head, "{kind} {seq} of {head}: {}", marked.text);
        }
        let read = http.done(token, &format!("POST /v1/conversations/{group}/read"), json!({"seq": seq})).await?;
        ensure!(read["read_seq"] == head, "read {seq} of {head}: {read}");
        let all = json!({"items": [{"conversation_id": group, "seq": seq}]});
        http.done(token, "POST /v1/read", all).await?;
        for window in ["before", "after", "around"] {
            let line = format!("GET /v1/conversations/{group}/messages?{window}={seq}");
            http.done(token, &line, Value::Null).await?;
        }
        let after = ask(&mut socket, "changes.get", &json!({"conversation_id": group, "after": seq})).await?;
        ensure!(after.fields == ["after"], "changes after {seq} of {head}: {}", after.text);
        let news = http.done(token, "POST /v1/announcements/read", json!({"seq": seq})).await?;
        ensure!(news["read_seq"] == 0, "announcements read up to {seq} of none: {news}");
    }
    socket.close().await
}
