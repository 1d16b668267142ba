//! Every route once, as an app would use it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Server, text};

#[tokio::test]
async fn two_people_use_every_route() {
    let server = Server::start().await;
    let none = Value::Null;

    // Ann registers, comes back with her password and again with her refresh token; Bob is a guest.
    let ann = json!({"username": "Ann", "password": "a long password", "display_name": "Ann A.", "device": "laptop"});
    server.call("", "POST /v1/auth/register", ann).await.expect(201);
    let login = json!({"username": "ann", "password": "a long password"});
    let session = server.call("", "POST /v1/auth/login", login).await.expect(200);
    let refresh = json!({"refresh_token": session["refresh_token"]});
    let session = server.call("", "POST /v1/auth/refresh", refresh).await.expect(200);
    assert_eq!((&session["token_type"], &session["expires_in"]), (&json!("Bearer"), &json!(900)));
    let ann = &text(&session, "access_token");
    let ann_id = &text(&session["user"], "id");
    let (bob, bob_id) = &server.guest("bob").await;

    // Who they are.
    assert_eq!(server.get(ann, "/v1/me").await.expect(200)["display_name"], "Ann A.");
    let patch = json!({"display_name": "Ann", "status_text": "here", "avatar_url": null});
    server.call(ann, "PATCH /v1/me", patch).await.expect(200);
    assert_eq!(server.get(ann, "/v1/me").await.expect(200)["status_text"], "here");
    let found = server.get(ann, "/v1/users?query=BO&limit=10").await.expect(200);
    assert_eq!(found["items"][0]["id"].as_str(), Some(bob_id.as_str()));
    assert_eq!(server.get(bob, &format!("/v1/users/{ann_id}")).await.expect(200)["username"], "Ann");

    // A direct conversation is made once.
    let direct = json!({"kind": "direct", "participant_ids": [bob_id]});
    let made = server.call(ann, "POST /v1/conversations", direct).await;
    let location = made.headers["location"].to_str().unwrap().to_owned();
    let made = made.expect(201);
    assert_eq!(location, format!("/v1/conversations/{}", text(&made, "id")));
    let again = json!({"kind": "direct", "participant_ids": [ann_id]});
    assert_eq!(server.call(bob, "POST /v1/conversations", again).await.expect(200)["id"], made["id"]);

    // A public room, found in the lobby.
    let room = json!({"kind": "public", "title": "Lounge", "description": "All welcome"});
    let room = &text(&server.call(ann, "POST /v1/conversations", room).await.expect(201), "id");
    let lobby = server.get(bob, "/v1/conversations/public?query=loun").await.expect(200);
    assert_eq!(lobby["items"][0]["id"].as_str(), Some(room.as_str()));
    server.call(bob, &format!("POST /v1/conversations/{room}/join"), none.clone()).await.expect(200);
    server.call(bob, &format!("POST /v1/conversations/{room}/leave"), none.clone()).await.expect(204);

    // A group: people, roles, policy.
    let group = &server.group(ann, &[]).await;
    let path = |rest: &str| format!("/v1/conversations/{group}{rest}");
    let added = json!({"user_ids": [bob_id]});
    let conversation = server.call(ann, &format!("POST {}", path("/participants")), added).await.expect(200);
    assert_eq!(conversation["participant_count"], 2);
    let participants = server.get(bob, &path("/participants")).await.expect(200);
    assert_eq!(participants["items"].as_array().unwrap().len(), 2);
    let line = format!("PATCH {}/{bob_id}", path("/participants"));
    assert_eq!(server.call(ann, &line, json!({"role": "admin"})).await.expect(200)["role"], "admin");
    server.call(ann, &format!("PATCH {}", path("")), json!({"title": "Renamed"})).await.expect(200);
    assert_eq!(server.get(bob, &path("")).await.expect(200)["title"], "Renamed");

    // Messages: sent once however often, read, edited, deleted.
    let message = json!({"content": "hello", "client_id": "c-1"});
    let line = format!("POST {}", path("/messages"));
    let sent = server.call(ann, &line, message.clone()).await.expect(201);
    assert_eq!(server.call(ann, &line, message).await.expect(200)["id"], sent["id"]);
    let id = &text(&sent, "id");
    let page = server.get(bob, &path("/messages?limit=1")).await.expect(200);
    assert_eq!(page["items"][0]["content"], "hello");
    assert_eq!(server.get(bob, &format!("/v1/messages/{id}")).await.expect(200)["content"], "hello");
    let line = format!("PATCH /v1/messages/{id}");
    assert_eq!(server.call(ann, &line, json!({"content": "hello!"})).await.expect(200)["content"], "hello!");
    let changes = server.get(bob, &path(&format!("/changes?after={}", sent["seq"]))).await.expect(200);
    assert_eq!((&changes["type"], changes["changes"].as_array().unwrap().len()), (&json!("changes"), 1));
    let receipt = server.call(bob, &format!("POST {}", path("/delivered")), json!({"seq": 2})).await.expect(200);
    assert_eq!(receipt["delivered_seq"], 2);
    let receipt = server.call(bob, &format!("POST {}", path("/read")), json!({"seq": u64::MAX})).await.expect(200);
    assert!(receipt["read_seq"].as_u64() >= sent["seq"].as_u64());
    let listed = server.get(bob, "/v1/conversations").await.expect(200);
    assert!(listed["items"].as_array().unwrap().iter().all(|item| item["unread_count"] == 0));
    let gone = server.call(ann, &format!("DELETE /v1/messages/{id}"), none.clone()).await.expect(200);
    assert_eq!((gone["content"].as_str(), gone["deleted_at"].is_string()), (Some(""), true));

    features(&server, ann, bob, bob_id, group).await;
    people(&server, ann, ann_id, bob, bob_id).await;

    // The end of it.
    let line = format!("DELETE {}/{bob_id}", path("/participants"));
    server.call(ann, &line, none.clone()).await.expect(204);
    server.get(bob, &path("")).await.refused(404, "not_found");
    server.call(ann, &format!("DELETE {}", path("")), none.clone()).await.expect(204);
    server.get(ann, &path("")).await.refused(404, "not_found");
    server.call(ann, "POST /v1/tickets", json!({"for": "ws"})).await.expect(201);
    let sessions = server.get(ann, "/v1/auth/sessions").await.expect(200);
    let other = sessions["items"].as_array().unwrap().iter().find(|session| session["current"] == false).unwrap();
    let line = format!("DELETE /v1/auth/sessions/{}", text(other, "id"));
    server.call(ann, &line, none.clone()).await.expect(204);
    server.call(ann, "POST /v1/auth/logout", none).await.expect(204);
    server.get(ann, "/v1/me").await.refused(401, "session_revoked");
    for document in ["/v1/openapi.json", "/v1/asyncapi.json", "/v1/docs"] {
        server.get("", document).await.expect(200);
    }

    nothing_was_left_out(&server);
}

/// What one does with messages besides writing them, in a group of the two.
async fn features(server: &Server, ann: &str, bob: &str, bob_id: &str, group: &str) {
    let none = Value::Null;
    let path = |rest: &str| format!("/v1/conversations/{group}{rest}");
    let send = async |token: &str, body: Value| {
        server.call(token, &format!("POST {}", path("/messages")), body).await.expect(201)
    };
    let root = send(
        ann,
        json!({"content": "lunch?", "attachments": [
        {"kind": "image", "url": "https://example.com/menu.png", "name": "menu.png"}]}),
    )
    .await;
    let id = &text(&root, "id");
    let of = |rest: &str| format!("/v1/messages/{id}{rest}");

    // A thread, with a reply that names somebody.
    let reply = send(bob, json!({"content": "yes", "thread_root_id": id, "reply_to_id": id})).await;
    assert_eq!(reply["thread_root_id"], root["id"]);
    let named = send(ann, json!({"content": "@bob at one", "thread_root_id": id})).await;
    assert_eq!(named["mentions"][0]["user"]["id"], *bob_id);
    let thread = server.get(bob, &of("/thread?limit=1")).await.expect(200);
    assert_eq!((&thread["root"]["thread"]["reply_count"], &thread["items"][0]["id"]), (&json!(2), &reply["id"]));

    // Reactions, pins, edits, who read it.
    let thumb = of("/reactions/%F0%9F%91%8D");
    let reacted = server.call(bob, &format!("PUT {thumb}"), none.clone()).await.expect(200);
    assert_eq!((&reacted["reactions"][0]["count"], &reacted["reactions"][0]["mine"]), (&json!(1), &json!(true)));
    let reactors = server.get(ann, &of("/reactions?emoji=%F0%9F%91%8D")).await.expect(200);
    assert_eq!(reactors["items"][0]["user"]["id"], *bob_id);
    let back = server.call(bob, &format!("DELETE {thumb}"), none.clone()).await.expect(200);
    assert_eq!(back["reactions"], json!([]));
    assert!(server.call(ann, &format!("PUT {}", of("/pin")), none.clone()).await.expect(200)["pinned_at"].is_string());
    assert_eq!(server.get(bob, &path("/pins")).await.expect(200)["items"][0]["id"], root["id"]);
    server.call(ann, &format!("DELETE {}", of("/pin")), none.clone()).await.expect(200);
    server.call(ann, &format!("PATCH {}", of("")), json!({"content": "dinner?"})).await.expect(200);
    assert_eq!(server.get(bob, &of("/edits")).await.expect(200)["items"][0]["content"], "lunch?");
    let everything = json!({"items": [{"conversation_id": group, "seq": 1_000_000}]});
    let read = server.call(bob, "POST /v1/read", everything).await.expect(200);
    assert!(read["items"][0]["read_seq"].as_u64() >= named["seq"].as_u64());
    assert_eq!(server.get(ann, &of("/receipts")).await.expect(200)["items"][0]["state"], "read");
    server.call(bob, &format!("POST {}", path("/typing")), json!({"typing": true})).await.expect(204);

    // Found again; told about; what one wants to be told of.
    let found =
        server.get(bob, &format!("/v1/search/messages?query=DINN&conversation_id={group}&has=attachment")).await;
    assert_eq!(found.expect(200)["items"][0]["message"]["id"], root["id"]);
    let notifications = server.get(bob, "/v1/notifications?unread=true").await.expect(200);
    let kinds: Vec<_> = notifications["items"].as_array().unwrap().iter().map(|item| &item["kind"]).collect();
    assert!(kinds.contains(&&json!("mention")), "{notifications}");
    assert!(server.get(bob, "/v1/unread").await.expect(200)["notification_count"].as_u64() > Some(0));
    server.call(bob, "POST /v1/notifications/read", none.clone()).await.expect(200);
    assert_eq!(server.get(bob, "/v1/unread").await.expect(200)["notification_count"], 0);
    let muted = json!({"muted_until": "2099-01-01T00:00:00.000Z", "pinned": true});
    let own = server.call(bob, &format!("PATCH {}", path("/preferences")), muted).await.expect(200);
    assert!(own["pinned_at"].is_string());
    let all = json!({"notify": "mentions"});
    server.call(bob, "PATCH /v1/me/notification-preferences", all).await.expect(200);
    assert_eq!(server.get(bob, "/v1/me/notification-preferences").await.expect(200)["notify"], "mentions");

    // The list, in part.
    for (query, found) in
        [("kind=group", true), ("kind=direct", false), ("archived=true", false), ("unread=false", true)]
    {
        let list = server.get(bob, &format!("/v1/conversations?{query}")).await.expect(200);
        let here = list["items"].as_array().unwrap().iter().any(|item| item["id"] == *group);
        assert_eq!(here, found, "{query}");
    }
    let one = server.get(ann, &format!("{}/{bob_id}", path("/participants"))).await.expect(200);
    assert_eq!(one["role"], "admin");
}

/// Who is there, blocking, reporting, and what admins of the org do.
async fn people(server: &Server, ann: &str, ann_id: &str, bob: &str, bob_id: &str) {
    let none = Value::Null;
    // No sockets here: all are offline, and the two share a conversation.
    let list = server.get(ann, &format!("/v1/presence?ids={bob_id},{ann_id}")).await.expect(200);
    assert_eq!(list["items"][0]["state"], "offline", "{list}");
    server.get(ann, "/v1/presence").await.expect(200);
    assert_eq!(server.get(ann, &format!("/v1/users/{bob_id}/presence")).await.expect(200)["state"], "offline");

    server.call(ann, &format!("PUT /v1/users/{bob_id}/block"), none.clone()).await.expect(204);
    assert_eq!(server.get(ann, "/v1/me/blocks").await.expect(200)["items"][0]["id"], *bob_id);
    server.call(ann, &format!("DELETE /v1/users/{bob_id}/block"), none.clone()).await.expect(204);
    assert_eq!(server.get(ann, "/v1/me/blocks").await.expect(200)["items"], json!([]));

    let complaint = json!({"user_id": ann_id, "reason": "abuse", "comment": "rude"});
    let report = server.call(bob, "POST /v1/reports", complaint.clone()).await.expect(201);
    assert_eq!(server.call(bob, "POST /v1/reports", complaint).await.expect(200)["id"], report["id"]);

    let admin = &server.admin("boss").await;
    let users = server.get(admin, "/v1/org/users?query=bo&disabled=false&role=member").await.expect(200);
    assert_eq!(users["items"][0]["id"], *bob_id);
    server.call(admin, &format!("PATCH /v1/org/users/{bob_id}"), json!({"role": "admin"})).await.expect(200);
    server.call(admin, &format!("PATCH /v1/org/users/{bob_id}"), json!({"role": "member"})).await.expect(200);
    assert_eq!(server.get(admin, "/v1/org/reports?status=open").await.expect(200)["items"][0]["id"], report["id"]);
    let line = format!("PATCH /v1/org/reports/{}", text(&report, "id"));
    let decided = server.call(admin, &line, json!({"status": "dismissed"})).await.expect(200);
    assert!(decided["decided_at"].is_string());

    let news = json!({"title": "News", "content": "All is well."});
    let news = server.call(admin, "POST /v1/announcements", news).await.expect(201);
    let announcements = server.get(bob, "/v1/announcements").await.expect(200);
    assert_eq!((&announcements["items"][0]["id"], &announcements["read_seq"]), (&news["id"], &json!(0)));
    let read = server.call(bob, "POST /v1/announcements/read", json!({"seq": news["seq"]})).await.expect(200);
    assert_eq!(read["read_seq"], news["seq"]);
    let audit = server.get(admin, "/v1/org/audit").await.expect(200);
    assert_eq!(audit["items"][0]["action"], "announcement.created");
}

/// Every operation of the document was among the calls that succeeded.
fn nothing_was_left_out(server: &Server) {
    let walked = server.walked.lock().unwrap();
    let walked: BTreeSet<String> = walked.iter().map(|line| with_ids_named(line)).collect();
    let document: Value = serde_json::from_str(&api::openapi_document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let line = format!("{} {}", method.to_uppercase(), path.replace("{user_id}", "{id}"));
            assert!(walked.contains(&line), "{line} was not walked");
        }
    }
}

fn with_ids_named(line: &str) -> String {
    let named = |part: &str| match part {
        part if part.len() == 36 => "{id}".to_owned(),
        part if part.starts_with('%') => "{emoji}".to_owned(),
        part => part.to_owned(),
    };
    line.split('/').map(named).collect::<Vec<_>>().join("/")
}
