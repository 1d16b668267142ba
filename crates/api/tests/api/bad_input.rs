//! Bad input: a clear refusal on every route, never a 5xx. What every route must refuse is derived from the OpenAPI
//! document, so that a new route is tested from its first day.

use axum::body::Body;
use http::header;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Server, request, text};

const SOME_ID: &str = "01900000-0000-7000-8000-000000000000";
/// 👍
const SOME_EMOJI: &str = "%F0%9F%91%8D";

struct Operation {
    line: String,
    /// With an id in its path.
    path: String,
    secured: bool,
    has_id: bool,
    has_body: bool,
    /// The body may be absent.
    body_optional: bool,
    /// Names of the parameters in its query.
    query: Vec<(String, Value)>,
}

impl Operation {
    fn takes(&self, name: &str) -> bool {
        self.query.iter().any(|(known, _)| known == name)
    }

    /// Of its path alone, with a conversation that the caller has in place of one that nobody has.
    fn line_in(&self, group: &str, message: &str) -> String {
        let id = if self.path.starts_with("/v1/messages/") { message } else { group };
        self.line.replace(SOME_ID, id)
    }
}

fn operations() -> Vec<Operation> {
    let document: Value = serde_json::from_str(&api::openapi_document()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let filled = path.replace("{id}", SOME_ID).replace("{user_id}", SOME_ID).replace("{emoji}", SOME_EMOJI);
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            operations.push(Operation {
                line: format!("{} {filled}", method.to_uppercase()),
                path: path.clone(),
                secured: operation["security"].is_array(),
                has_id: path.contains('{'),
                has_body: operation["requestBody"].is_object(),
                body_optional: operation["requestBody"]["required"] != true,
                query: parameters
                    .iter()
                    .filter(|parameter| parameter["in"] == "query")
                    .map(|parameter| (text(parameter, "name"), parameter["schema"].clone()))
                    .collect(),
            });
        }
    }
    assert!(operations.len() > 60);
    operations
}

#[tokio::test]
async fn what_needs_a_token_says_so() {
    let server = Server::start().await;
    for operation in operations().iter().filter(|operation| operation.secured) {
        let answer = server.call("", &operation.line, Value::Null).await;
        assert_eq!(answer.headers[header::WWW_AUTHENTICATE], "Bearer realm=\"starling\"");
        answer.refused(401, "not_authenticated");
        server.call("nonsense", &operation.line, Value::Null).await.refused(401, "not_authenticated");
        let mut basic = request(&operation.line);
        basic.headers_mut().insert(header::AUTHORIZATION, "Basic YTpi".parse().unwrap());
        server.send(basic).await.refused(401, "not_authenticated");
    }
}

#[tokio::test]
async fn an_id_that_is_none_names_nothing() {
    let server = Server::start().await;
    let (token, _) = server.guest("ann").await;
    for operation in operations().iter().filter(|operation| operation.has_id) {
        for bad in ["x", "123", "%F0%9F", "01900000-0000-7000-8000-00000000000g", "%00"] {
            let line = operation.line.replace(SOME_ID, bad);
            server.call(&token, &line, json!({})).await.refused(404, "not_found");
        }
    }
}

#[tokio::test]
async fn unknown_routes_and_methods_are_told_apart() {
    let server = Server::start().await;
    for path in ["/v1", "/v1/", "/v1/nope", "/v1/conversations/x/nope", "/v1/me/", "/v1//me", "/v1/messages"] {
        server.get("", path).await.refused(404, "no_such_route");
        server.call("", &format!("POST {path}"), json!({})).await.refused(404, "no_such_route");
    }
    for operation in operations() {
        let path = operation.line.split_once(' ').unwrap().1.to_owned();
        let answer = server.call("", &format!("TRACE {path}"), Value::Null).await;
        assert!(answer.headers.contains_key(header::ALLOW), "{}", operation.path);
        answer.refused(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn bodies_that_are_no_json_or_too_large_are_refused() {
    let server = Server::start().await;
    let (token, _) = server.guest("ann").await;
    for operation in operations().iter().filter(|operation| operation.has_body) {
        let send = async |content_type: Option<&str>, body: Vec<u8>| {
            let mut request = request(&operation.line);
            request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
            if let Some(value) = content_type {
                request.headers_mut().insert(header::CONTENT_TYPE, value.parse().unwrap());
            }
            *request.body_mut() = Body::from(body);
            server.send(request).await
        };
        let json = Some("application/json");
        send(None, b"{}".to_vec()).await.refused(415, "unsupported_media_type");
        if !operation.body_optional {
            send(None, Vec::new()).await.refused(415, "unsupported_media_type");
            send(json, Vec::new()).await.refused(400, "bad_json");
        }
        send(Some("text/plain"), b"{}".to_vec()).await.refused(415, "unsupported_media_type");
        for bad in [&b"{"[..], b"nonsense", b"{\"a\":\"\\ud800\"}", b"\xff\xfe", b"{}{}"] {
            let answer = send(json, bad.to_vec()).await;
            // Some fields are missed before the end of the document is reached.
            assert_eq!(answer.status, 400, "{} {bad:?}", operation.line);
        }
        send(json, b"{\"no_such_field\":1}".to_vec()).await.invalid("no_such_field");
        send(json, b"[]".to_vec()).await.refused(400, "invalid");
        send(json, vec![b' '; 300 * 1024]).await.refused(413, "too_large");
        send(json, b"[".repeat(100_000)).await.expect(400);
    }
}

#[tokio::test]
async fn limits_and_cursors_out_of_range_are_refused_by_name() {
    let server = Server::start().await;
    let (token, _) = server.guest("ann").await;
    let group = server.group(&token, &[]).await;
    let sent = server.call(&token, &format!("POST /v1/conversations/{group}/messages"), json!({"content": "a"})).await;
    let message = text(&sent.expect(201), "id");
    let admin = server.admin("boss").await;
    for operation in operations().iter().filter(|operation| operation.takes("limit")) {
        // A search needs words, and what is of the org an admin.
        let begin = if operation.path == "/v1/search/messages" { "query=a&" } else { "" };
        let token = if operation.path.starts_with("/v1/org/") { &admin } else { &token };
        let path = operation.line_in(&group, &message);
        for bad in ["0", "-1", "1e9", "1000000000", "x", "", "99999999999999999999"] {
            server.call(token, &format!("{path}?{begin}limit={bad}"), Value::Null).await.invalid("limit");
        }
        server.call(token, &format!("{path}?{begin}limit=1&no_such_parameter=1"), Value::Null).await.expect(200);
        if operation.takes("cursor") {
            // Pages of users go on from a username, and any text is one's place in the order.
            let by_name = operation.path.ends_with("/users");
            for bad in if by_name { &["%00"][..] } else { &["x", "%00", "AAAA", "%F0"] } {
                let line = format!("{path}?{begin}cursor={bad}");
                let answer = server.call(token, &line, Value::Null).await;
                assert_eq!(
                    (answer.status.as_u16(), &answer.body["errors"][0]["field"]),
                    (400, &json!("cursor")),
                    "{line}"
                );
            }
        }
    }
}

#[tokio::test]
async fn parameters_of_the_wrong_type_are_refused_by_name() {
    let server = Server::start().await;
    let (token, _) = server.guest("ann").await;
    let group = server.group(&token, &[]).await;
    let sent = server.call(&token, &format!("POST /v1/conversations/{group}/messages"), json!({"content": "a"})).await;
    let message = text(&sent.expect(201), "id");
    let admin = server.admin("boss").await;
    let mut tried = 0;
    for operation in operations() {
        let token = if operation.path.starts_with("/v1/org/") { &admin } else { &token };
        let path = operation.line_in(&group, &message);
        for (name, schema) in &operation.query {
            // Text is always of the right type; what it may say is tried elsewhere.
            if schema["type"] == "string" && schema["enum"].is_null() && schema["format"].is_null() {
                continue;
            }
            let begin = if operation.path == "/v1/search/messages" { "query=a&" } else { "" };
            for bad in ["nonsense", "", "1.5", "%00", "%F0"] {
                // Nobody at all is a list of users too.
                if name == "ids" && bad.is_empty() {
                    continue;
                }
                server.call(token, &format!("{path}?{begin}{name}={bad}"), Value::Null).await.invalid(name);
                tried += 1;
            }
        }
    }
    assert!(tried > 100, "{tried}");
    for bad in ["", "query=", "query=%20", "query=%2B%2B", &format!("query={}", "x".repeat(121)), "query=a%00"] {
        server.get(&token, &format!("/v1/search/messages?{bad}")).await.refused(400, "invalid");
    }
    let many = vec![SOME_ID; 501].join(",");
    server.get(&token, &format!("/v1/presence?ids={many}")).await.invalid("ids");
    for bad in ["x", "%20", "ab", "%F0%9F%91%8D%F0%9F%91%8D", "%3Csmile%3E"] {
        let line = format!("PUT /v1/messages/{message}/reactions/{bad}");
        server.call(&token, &line, Value::Null).await.invalid("emoji");
    }
}

#[tokio::test]
async fn windows_of_history_exclude_each_other_and_take_any_seq() {
    let server = Server::start().await;
    let (token, _) = server.guest("ann").await;
    let group = server.group(&token, &[]).await;
    let path = format!("/v1/conversations/{group}");
    server.get(&token, &format!("{path}/messages?before=1&after=1")).await.invalid("before");
    server.get(&token, &format!("{path}/messages?before=1&around=1")).await.invalid("before");
    server.get(&token, &format!("{path}/messages?after=1&around=1")).await.invalid("after");
    for window in ["before", "after", "around"] {
        for seq in ["0", "1", "9223372036854775807", "18446744073709551615"] {
            server.get(&token, &format!("{path}/messages?{window}={seq}")).await.expect(200);
        }
        server.get(&token, &format!("{path}/messages?{window}=-1")).await.invalid(window);
    }
    let future = server.get(&token, &format!("{path}/changes?after=18446744073709551615")).await;
    assert!(future.status == 200 || future.status == 400, "{}", future.body);
    server.get(&token, &format!("{path}/changes?after=-1")).await.invalid("after");
}

#[tokio::test]
async fn values_that_are_not_allowed_name_their_field() {
    let server = Server::start().await;
    let (token, id) = server.guest("ann").await;
    let group = server.group(&token, &[]).await;
    let long = "x".repeat(5_000);
    let create = "POST /v1/conversations".to_owned();
    let messages = format!("POST /v1/conversations/{group}/messages");
    let conversation = format!("PATCH /v1/conversations/{group}");
    let people = format!("POST /v1/conversations/{group}/participants");
    let register = "POST /v1/auth/register".to_owned();
    let reports = "POST /v1/reports".to_owned();
    let own = |rest: &str| format!("PATCH /v1/conversations/{group}/{rest}");
    let file = |url: &str| json!({"kind": "document", "url": url});
    let guest = "POST /v1/auth/guest".to_owned();
    for (line, body, field) in [
        (&guest, json!({}), "username"),
        (&guest, json!({"username": ""}), "username"),
        (&guest, json!({"username": "a b"}), "username"),
        (&guest, json!({"username": "a\0b"}), "username"),
        (&guest, json!({"username": long}), "username"),
        (&guest, json!({"username": 7}), "username"),
        (&guest, json!({"username": "bob", "device": "\n"}), "device"),
        (&register, json!({"username": "bob"}), "password"),
        (&register, json!({"username": "bob", "password": "short"}), "password"),
        (&register, json!({"username": "bob", "password": long}), "password"),
        (&register, json!({"username": "bob", "password": "long enough", "display_name": " "}), "display_name"),
        (&"PATCH /v1/me".to_owned(), json!({"display_name": ""}), "display_name"),
        (&"PATCH /v1/me".to_owned(), json!({"avatar_url": "javascript:alert(1)"}), "avatar_url"),
        (&"POST /v1/tickets".to_owned(), json!({"for": "everything"}), "for"),
        (&create, json!({}), "kind"),
        (&create, json!({"kind": "secret"}), "kind"),
        (&create, json!({"kind": "group"}), "title"),
        (&create, json!({"kind": "group", "title": ""}), "title"),
        (&create, json!({"kind": "group", "title": long}), "title"),
        (&create, json!({"kind": "direct", "participant_ids": []}), "participant_ids"),
        (&create, json!({"kind": "direct", "participant_ids": [id]}), "participant_ids"),
        (&create, json!({"kind": "group", "title": "a", "participant_ids": ["x"]}), "participant_ids.0"),
        (&create, json!({"kind": "group", "title": "a", "posting": "nobody"}), "posting"),
        (&conversation, json!({"title": "\u{7}"}), "title"),
        (&conversation, json!({"posting": 1}), "posting"),
        (&people, json!({"user_ids": []}), "user_ids"),
        (&messages, json!({}), "content"),
        (&messages, json!({"content": ""}), "content"),
        (&messages, json!({"content": " \n "}), "content"),
        (&messages, json!({"content": "a\0b"}), "content"),
        (&messages, json!({"content": long}), "content"),
        (&messages, json!({"content": null}), "content"),
        (&messages, json!({"content": "a", "client_id": ""}), "client_id"),
        (&messages, json!({"content": "a", "client_id": "x".repeat(65)}), "client_id"),
        (&messages, json!({"content": "a", "reply_to_id": "x"}), "reply_to_id"),
        (&messages, json!({"content": "a", "thread_root_id": 7}), "thread_root_id"),
        (&messages, json!({"content": "a", "mentions": [{"offset": 0, "length": 2}]}), "mentions"),
        (&messages, json!({"content": "a", "mentions": [{"offset": 0, "length": 0}]}), "mentions"),
        (&messages, json!({"content": "a", "mentions": vec![json!({"offset": 0, "length": 1}); 51]}), "mentions"),
        (&messages, json!({"attachments": vec![file("https://example.com/a"); 11]}), "attachments"),
        (&messages, json!({"attachments": [file("javascript:alert(1)")]}), "attachments.0.url"),
        (&messages, json!({"attachments": [{"kind": "ship", "url": "https://example.com"}]}), "attachments.0.kind"),
        (&conversation, json!({"slow_mode_seconds": 86_401}), "slow_mode_seconds"),
        (&conversation, json!({"archived": true, "title": "b"}), "archived"),
        (&create, json!({"kind": "group", "title": "a", "slow_mode_seconds": -1}), "slow_mode_seconds"),
        (&own("preferences"), json!({"notify": "some"}), "notify"),
        (&own("preferences"), json!({"muted_until": "tomorrow"}), "muted_until"),
        (&"PATCH /v1/me/notification-preferences".to_owned(), json!({"notify": 1}), "notify"),
        (&"POST /v1/notifications/read".to_owned(), json!({"ids": []}), "ids"),
        (&"POST /v1/notifications/read".to_owned(), json!({"ids": vec![SOME_ID; 101]}), "ids"),
        (&"POST /v1/read".to_owned(), json!({"items": []}), "items"),
        (&"POST /v1/read".to_owned(), json!({"items": vec![json!({"conversation_id": group, "seq": 1}); 2]}), "items"),
        (&"POST /v1/read".to_owned(), json!({"items": [{"conversation_id": group, "seq": -1}]}), "items.0.seq"),
        (&format!("POST /v1/conversations/{group}/typing"), json!({"typing": "yes"}), "typing"),
        (&reports, json!({"reason": "spam"}), "message_id"),
        (&reports, json!({"reason": "spam", "user_id": id, "message_id": SOME_ID}), "message_id"),
        (&reports, json!({"reason": "dull", "user_id": id}), "reason"),
        (&reports, json!({"reason": "spam", "user_id": SOME_ID, "comment": "x".repeat(1_001)}), "comment"),
        (&"POST /v1/announcements/read".to_owned(), json!({"seq": "1"}), "seq"),
        (&format!("POST /v1/conversations/{group}/read"), json!({"seq": -1}), "seq"),
        (&format!("POST /v1/conversations/{group}/delivered"), json!({"seq": 1.5}), "seq"),
        (&format!("PATCH /v1/conversations/{group}/participants/{id}"), json!({"role": "king"}), "role"),
    ] {
        let answer = server.call(&token, line, body.clone()).await;
        let refused = answer.refused(400, "invalid");
        assert_eq!(refused["errors"][0]["field"], field, "{line} {body} {refused}");
    }
}

#[tokio::test]
async fn an_idempotency_key_is_the_client_id() {
    let server = Server::start().await;
    let (token, _) = server.guest("ann").await;
    let group = server.group(&token, &[]).await;
    let line = format!("POST /v1/conversations/{group}/messages");
    let send = async |key: &str, body: Value| {
        let mut request = request(&line);
        let headers = request.headers_mut();
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        headers.insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
        headers.insert("idempotency-key", key.parse().unwrap());
        *request.body_mut() = Body::from(body.to_string());
        server.send(request).await
    };
    let first = send("k1", json!({"content": "a"})).await.expect(201);
    assert_eq!(first["client_id"], "k1");
    assert_eq!(send("k1", json!({"content": "a", "client_id": "k1"})).await.expect(200)["id"], first["id"]);
    send("k1", json!({"content": "a", "client_id": "k2"})).await.invalid("client_id");
    send("k1", json!({"content": "b"})).await.refused(409, "idempotency_conflict");
    send(&"k".repeat(65), json!({"content": "b"})).await.invalid("Idempotency-Key");
}

#[tokio::test]
async fn an_outsider_learns_nothing() {
    let server = Server::start().await;
    let (ann, _) = server.guest("ann").await;
    let (eve, eve_id) = server.guest("eve").await;
    let group = server.group(&ann, &[]).await;
    let sent =
        server.call(&ann, &format!("POST /v1/conversations/{group}/messages"), json!({"content": "secret"})).await;
    let message = text(&sent.expect(201), "id");
    for (method, path, body) in [
        ("GET", "", Value::Null),
        ("PATCH", "", json!({"title": "mine"})),
        ("DELETE", "", Value::Null),
        ("POST", "/join", Value::Null),
        ("POST", "/leave", Value::Null),
        ("GET", "/participants", Value::Null),
        ("POST", "/participants", json!({"user_ids": [eve_id]})),
        ("GET", "/messages", Value::Null),
        ("POST", "/messages", json!({"content": "hi"})),
        ("GET", "/changes?after=0", Value::Null),
        ("POST", "/read", json!({"seq": 1})),
        ("POST", "/delivered", json!({"seq": 1})),
        ("POST", "/typing", json!({"typing": true})),
        ("GET", "/pins", Value::Null),
        ("PATCH", "/preferences", json!({"notify": "none"})),
        ("GET", &format!("/participants/{eve_id}"), Value::Null),
    ] {
        let real = server.call(&eve, &format!("{method} /v1/conversations/{group}{path}"), body.clone()).await;
        let mut real = real.refused(404, "not_found");
        let none = server.call(&eve, &format!("{method} /v1/conversations/{SOME_ID}{path}"), body).await;
        let mut none = none.refused(404, "not_found");
        for answer in [&mut real, &mut none] {
            answer.as_object_mut().unwrap().remove("request_id");
        }
        assert_eq!(real, none, "{method} {path}");
    }
    for (method, path, body) in [
        ("GET", "", Value::Null),
        ("PATCH", "", json!({"content": "x"})),
        ("DELETE", "", Value::Null),
        ("PUT", "/pin", Value::Null),
        ("DELETE", "/pin", Value::Null),
        ("PUT", "/reactions/%F0%9F%91%8D", Value::Null),
        ("DELETE", "/reactions/%F0%9F%91%8D", Value::Null),
        ("GET", "/reactions", Value::Null),
        ("GET", "/thread", Value::Null),
        ("GET", "/edits", Value::Null),
        ("GET", "/receipts", Value::Null),
    ] {
        server.call(&eve, &format!("{method} /v1/messages/{message}{path}"), body).await.refused(404, "not_found");
    }
    let search = format!("/v1/search/messages?query=secret&conversation_id={group}");
    server.get(&eve, &search).await.refused(404, "not_found");
    assert_eq!(server.get(&eve, "/v1/search/messages?query=secret").await.expect(200)["items"], json!([]));
    let report = json!({"message_id": message, "reason": "spam"});
    server.call(&eve, "POST /v1/reports", report).await.refused(404, "not_found");
    for line in ["GET /v1/org/users", "GET /v1/org/reports", "GET /v1/org/audit"] {
        server.call(&eve, line, Value::Null).await.refused(403, "forbidden");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_request_makes_the_server_fail(
        at in 0..100_usize,
        query in "[a-z]{0,8}=[ -~]{0,12}",
        body in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let server = Server::start().await;
            let (token, _) = server.guest("ann").await;
            let operations = operations();
            let (name, value) = query.split_once('=').unwrap();
            let query = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
            let mut request = request(&format!("{}?{query}", operations[at % operations.len()].line));
            request.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
            request.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
            *request.body_mut() = Body::from(body);
            let answer = server.send(request).await;
            assert!(!answer.status.is_server_error(), "{}", answer.body);
        });
    }
}
