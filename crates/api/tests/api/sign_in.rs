//! Signing in and out as a client sees it.

use std::time::Duration;

use api::ApiConfig;
use chat::AuthConfig;
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{SECRET, Server, auth, claims, eventually, mint, text};

#[tokio::test]
async fn a_username_is_taken_whatever_its_case() {
    let server = Server::start().await;
    server.guest("Zoe").await;
    for line in ["POST /v1/auth/guest", "POST /v1/auth/register"] {
        let mut body = json!({"username": "zOE"});
        if line.ends_with("register") {
            body["password"] = json!("long enough");
        }
        server.call("", line, body).await.refused(409, "username_taken");
    }
}

#[tokio::test]
async fn what_is_switched_off_is_refused() {
    let off = AuthConfig { guest_sign_in: false, password_sign_in: false, ..auth() };
    let keys_only = AuthConfig { secret: None, ..auth() };
    for config in [off, keys_only] {
        let server = Server::with(config, ApiConfig::default()).await;
        let named = json!({"username": "ann"});
        server.call("", "POST /v1/auth/guest", named).await.refused(403, "sign_in_disabled");
        for line in ["POST /v1/auth/register", "POST /v1/auth/login"] {
            let body = json!({"username": "ann", "password": "long enough"});
            server.call("", line, body).await.refused(403, "sign_in_disabled");
        }
    }
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_user_look_the_same() {
    let server = Server::start().await;
    let body = |name: &str, password: &str| json!({"username": name, "password": password});
    server.call("", "POST /v1/auth/register", body("ann", "long enough")).await.expect(201);
    server.guest("guest").await;
    let mut answers = Vec::new();
    for (name, password) in
        [("ann", "long enoughX"), ("nobody", "long enough"), ("guest", "long enough"), ("ann", ""), ("a b", "x")]
    {
        let answer = server.call("", "POST /v1/auth/login", body(name, password)).await;
        let mut answer = answer.refused(401, "invalid_credentials");
        answer.as_object_mut().unwrap().remove("request_id");
        answers.push(answer);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    let good = server.call("", "POST /v1/auth/login", body("ANN", "long enough")).await;
    assert_eq!(good.headers["cache-control"], "no-store");
    good.expect(200);
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_session() {
    let server = Server::start().await;
    let first = server.call("", "POST /v1/auth/guest", json!({"username": "ann"})).await.expect(201);
    let refresh = async |answer: &Value| {
        let body = json!({"refresh_token": answer["refresh_token"]});
        server.call("", "POST /v1/auth/refresh", body).await
    };
    let second = refresh(&first).await.expect(200);
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    refresh(&first).await.refused(401, "session_revoked");
    for answer in [&first, &second] {
        server.get(&text(answer, "access_token"), "/v1/me").await.refused(401, "session_revoked");
    }
    refresh(&second).await.refused(401, "not_authenticated");
    for bad in ["", "nonsense", &"x".repeat(10_000)] {
        refresh(&json!({"refresh_token": bad})).await.refused(401, "not_authenticated");
    }
}

#[tokio::test]
async fn tokens_end_and_are_refreshed() {
    let server = Server::start().await;
    let signed_in = server.call("", "POST /v1/auth/guest", json!({"username": "ann"})).await.expect(201);
    let token = text(&signed_in, "access_token");
    server.get(&token, "/v1/me").await.expect(200);
    server.clock.skip(Duration::from_mins(16));
    server.get(&token, "/v1/me").await.refused(401, "token_expired");
    let body = json!({"refresh_token": signed_in["refresh_token"]});
    let fresh = server.call("", "POST /v1/auth/refresh", body).await.expect(200);
    server.get(&text(&fresh, "access_token"), "/v1/me").await.expect(200);
    server.clock.skip(Duration::from_hours(24 * 31));
    let body = json!({"refresh_token": fresh["refresh_token"]});
    server.call("", "POST /v1/auth/refresh", body).await.refused(401, "not_authenticated");
}

#[tokio::test]
async fn an_ended_session_is_refused_on_every_node_within_about_a_second() {
    let here = Server::start().await;
    let there = here.another();
    let body = json!({"username": "ann", "password": "long enough"});
    let laptop = here.call("", "POST /v1/auth/register", body.clone()).await.expect(201);
    let phone = here.call("", "POST /v1/auth/login", body).await.expect(200);
    let (laptop, phone) = (text(&laptop, "access_token"), text(&phone, "access_token"));
    there.get(&laptop, "/v1/me").await.expect(200);
    let sessions = here.get(&phone, "/v1/auth/sessions").await.expect(200);
    assert_eq!(sessions["items"].as_array().unwrap().len(), 2);
    assert_eq!(sessions["items"][0]["current"], true);
    let line = format!("DELETE /v1/auth/sessions/{}", text(&sessions["items"][1], "id"));
    here.call(&phone, &line, Value::Null).await.expect(204);
    here.get(&laptop, "/v1/me").await.refused(401, "session_revoked");
    eventually("the other node refuses it", || async { there.get(&laptop, "/v1/me").await.status == 401 }).await;
    here.call(&phone, &line, Value::Null).await.refused(404, "not_found");
    // All of them.
    here.call(&phone, "POST /v1/auth/logout", json!({"all": true})).await.expect(204);
    here.get(&phone, "/v1/me").await.refused(401, "session_revoked");
}

#[tokio::test]
async fn nobody_ends_the_session_of_another() {
    let server = Server::start().await;
    let (ann, _) = server.guest("ann").await;
    let (eve, _) = server.guest("eve").await;
    let sessions = server.get(&ann, "/v1/auth/sessions").await.expect(200);
    let line = format!("DELETE /v1/auth/sessions/{}", text(&sessions["items"][0], "id"));
    server.call(&eve, &line, Value::Null).await.refused(404, "not_found");
    server.get(&ann, "/v1/me").await.expect(200);
}

#[tokio::test]
async fn a_disabled_user_is_refused_within_about_a_second() {
    let server = Server::start().await;
    let (token, id) = server.guest("ann").await;
    let external = mint(&claims("ext"));
    let ext = text(&server.get(&external, "/v1/me").await.expect(200), "id");
    let admin = server.admin("boss").await;
    for (token, id) in [(&token, &id), (&external, &ext)] {
        let line = format!("PATCH /v1/org/users/{id}");
        server.call(&admin, &line, json!({"disabled": true})).await.expect(200);
        eventually("refused", || async { server.get(token, "/v1/me").await.status == StatusCode::FORBIDDEN }).await;
        server.get(token, "/v1/me").await.refused(403, "user_disabled");
    }
}

#[tokio::test]
async fn users_of_another_system_are_made_on_first_sight_and_follow_their_token() {
    let server = Server::start().await;
    let mut wanted = claims("auth0|7");
    wanted.preferred_username = Some("zoe".into());
    wanted.name = Some("Zoë".into());
    let first = server.get(&mint(&wanted), "/v1/me").await.expect(200);
    assert_eq!((&first["username"], &first["display_name"]), (&json!("zoe"), &json!("Zoë")));
    // The same person with a new name, also seen by another node.
    wanted.name = Some("Zoë Q.".into());
    let second = server.another().get(&mint(&wanted), "/v1/me").await.expect(200);
    assert_eq!((&second["id"], &second["display_name"]), (&first["id"], &json!("Zoë Q.")));
    // Somebody else who wants the same name gets another one.
    let mut other = claims("auth0|8");
    other.preferred_username = Some("ZOE".into());
    let other = server.get(&mint(&other), "/v1/me").await.expect(200);
    assert_ne!(other["id"], first["id"]);
    // And the same subject in another org is another person.
    let mut elsewhere = claims("auth0|7");
    elsewhere.org = Some("acme".into());
    let token = mint(&elsewhere);
    let elsewhere = server.get(&token, "/v1/me").await.expect(200);
    assert_ne!(elsewhere["org_id"], first["org_id"]);
    server.get(&token, &format!("/v1/users/{}", text(&first, "id"))).await.refused(404, "not_found");
    server.call(&token, "POST /v1/auth/logout", Value::Null).await.refused(403, "forbidden");
}

#[tokio::test]
async fn bad_tokens_of_another_system_are_refused_alike() {
    let server = Server::start().await;
    let mut expired = claims("a");
    expired.exp -= 1_200;
    server.get(&mint(&expired), "/v1/me").await.refused(401, "token_expired");
    let wrong_key = chat::mint_external(b"another secret, 32 bytes or more!", &claims("a")).unwrap();
    let mut bad_org = claims("a");
    bad_org.org = Some("No Slug".into());
    for bad in [wrong_key, mint(&bad_org), mint(&claims("")), mint(&claims(&"x".repeat(256)))] {
        let answer = server.get(&bad, "/v1/me").await.refused(401, "not_authenticated");
        assert_eq!(answer["detail"], "the access token is not valid");
    }
    assert_eq!(SECRET.len(), 32);
}

#[tokio::test]
async fn a_ticket_opens_once_on_any_node_and_not_after_its_session_ended() {
    let here = Server::start().await;
    let there = here.another();
    let (token, id) = here.guest("ann").await;
    let buy = async || text(&here.call(&token, "POST /v1/tickets", Value::Null).await.expect(201), "ticket");
    let ticket = buy().await;
    let caller = there.chat.redeem_ticket(&ticket).await.unwrap();
    assert_eq!((caller.user.id.to_string(), caller.session.is_some()), (id, true));
    for bad in [ticket.as_str(), "", "nonsense", &"x".repeat(1_000)] {
        let error = there.chat.redeem_ticket(bad).await.unwrap_err();
        assert_eq!(error.code, protocol::ErrorCode::NotAuthenticated);
    }
    let late = buy().await;
    here.call(&token, "POST /v1/auth/logout", Value::Null).await.expect(204);
    let error = there.chat.redeem_ticket(&late).await.unwrap_err();
    assert_eq!(error.code, protocol::ErrorCode::SessionRevoked);
}
