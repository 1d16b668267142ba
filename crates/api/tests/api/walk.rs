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
    server.get("", "/v1/openapi.json").await.expect(200);

    nothing_was_left_out(&server);
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
    let named = |part: &str| if part.len() == 36 { "{id}".to_owned() } else { part.to_owned() };
    line.split('/').map(named).collect::<Vec<_>>().join("/")
}
